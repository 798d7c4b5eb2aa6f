"""Targets of an era: what came true over two horizons, measured in three ways, each in five bins.

Not here: the returns themselves (:mod:`market.targets`), nor which target rounds pay on (that is ``neutral`` over the terms'
horizon). Decision instant: ``view.instant``; every session of the longest window must be visible in it.

1. ``raw``: the forward return less the universe's mean.
2. ``neutral``: its residual on the factor exposures that were known at the era.
3. ``feature``: its residual on the era's own features, in their published bins.
"""

from collections.abc import Sequence
from datetime import date

import numpy as np

from market.arrays import FloatArray, IntArray
from market.panel import PanelView
from market.ranks import TARGET_SHARES_PERCENT
from market.targets import forward_returns, neutral_target
from signals.classic.dataset import target_names

WAYS = ("neutral", "raw", "feature")
HORIZONS = (20, 60)
"""Sessions; the horizon of the terms comes on top if it is another."""


def era_targets(
    view: PanelView,
    members: IntArray,
    session: date,
    lag: int,
    designs: dict[str, FloatArray],
    horizons: Sequence[int] = HORIZONS,
    shares_percent: Sequence[int] = TARGET_SHARES_PERCENT,
) -> dict[tuple[str, int], FloatArray]:
    """Return an era's targets by way and horizon.

    Parameters
    ----------
    view : PanelView
        Must show the longest window's last session.
    members : (n,) int64
        The era's universe, as positions on the panel's asset axis.
    session : date
        The era's session; each return runs from the close of ``session`` + lag over the horizon.
    lag : int
        Sessions.
    designs : mapping of way to (n, k) float64
        What each way's residual is taken on, NaN not allowed; ``raw`` needs none.
    horizons : sequence of int
        Sessions.
    shares_percent : sequence of int
        Shares of the bins from the lowest up.

    Returns
    -------
    mapping of (way, horizon) to (n,) float64
        0 to 1; NaN where the return is unknown. Where there are more columns than assets nothing is left, and all share a bin.

    Raises
    ------
    InputRejected
        ``date_outside_panel`` when a session of a window is not visible.
    """
    found = {}
    for horizon in horizons:
        returns = forward_returns(view, members, session, horizon, lag)
        for way, design in {"raw": np.zeros((len(members), 0)), **designs}.items():
            found[way, horizon] = neutral_target(returns, design, shares_percent)
    return found


def published_targets(secret: bytes, horizons: Sequence[int] = HORIZONS) -> dict[tuple[str, int], str]:
    """Return the column name of each target in the published files: ``target_<word>_<sessions>``."""
    words = target_names(secret, WAYS)
    return {(way, horizon): f"target_{word}_{horizon}" for way, word in zip(WAYS, words, strict=True) for horizon in horizons}
