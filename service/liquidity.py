"""What impact depends on, as known before a session: usual volume and volatility, wherever a book is filled.

The fund's settlement and the walk of a backtest charge a fill by the same figures. Here is nothing of what is charged
(:mod:`portfolio.fills`) or of what the optimizer expects of it (:mod:`portfolio.build`).
"""

from typing import TYPE_CHECKING

import numpy as np

from portfolio.book import Liquidity

if TYPE_CHECKING:
    from market.arrays import IntArray
    from market.panel import PanelView

SIGMA_SESSIONS = 63
"""Sessions over which the volatility in the impact cost is measured: one quarter."""


def liquidity_before(view: "PanelView", row: int, adv_window_sessions: int, positions: "IntArray | None" = None) -> Liquidity:
    """Return usual volume and volatility of assets before the session at ``row``.

    Parameters
    ----------
    view : PanelView
    row : int
        Of the view; the number of its sessions for the session that follows them. Nothing from ``row`` on is looked at.
    adv_window_sessions : int
        Sessions of the median volume.
    positions : (n,) int64, optional
        Places of the assets on the panel's axis; all by default.

    Returns
    -------
    Liquidity
        A session without a trade, or whose return is unknown, counts as 0.
    """
    assets = slice(None) if positions is None else positions
    volume = np.nan_to_num(view.dollar_volume()[max(row - adv_window_sessions, 0) : row, assets])
    returns = np.nan_to_num(view.total_returns()[max(row - SIGMA_SESSIONS, 0) : row, assets])
    return Liquidity(np.median(volume, axis=0), returns.std(axis=0))
