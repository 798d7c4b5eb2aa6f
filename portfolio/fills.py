"""One fill: how far a book comes towards its target at one moment, and what that costs.

Not here: when a fill happens (:mod:`portfolio.simulate`). A name that does not trade keeps what it has. An account without
equity is not traded towards its target but closed.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from market.arrays import BoolArray, FloatArray
from portfolio.book import Liquidity, TradingCosts

FillAt = Literal["open", "close"]
"""When a target is filled, in the session after its decision."""


@dataclass(frozen=True, slots=True)
class Fill:
    """What a fill did, in dollars.

    Attributes
    ----------
    positions : (n,) float64
        After it; names that do not trade keep what they had.
    traded, bought : float
        Σ|trade| and Σ trade.
    spread, impact : float
        Paid in cash, apart from the trade itself.
    unfilled : int
        Names whose target differs from what is held but that could not be traded.
    """

    positions: FloatArray
    traded: float
    bought: float
    spread: float
    impact: float
    unfilled: int

    @property
    def paid(self) -> float:
        """Cash that leaves: what was bought less what was sold, spread and impact."""
        return self.bought + self.spread + self.impact


def fill_towards(
    target: FloatArray | None,
    positions: FloatArray,
    equity: float,
    tradable: BoolArray | None,
    costs: TradingCosts,
    liquidity: Liquidity | None,
) -> Fill:
    """Trade ``positions`` towards ``target`` × ``equity``; without a target, or without equity, towards nothing.

    Parameters
    ----------
    target : (n,) float64 or None
        Finite weights.
    positions : (n,) float64
        Dollars at the moment of the fill.
    equity : float
        At the same moment, before the fill.
    tradable : (n,) bool or None
        None for all.
    costs : TradingCosts
    liquidity : Liquidity, optional
        Needed for a target when impact is charged; without it there is no impact.
    """
    wanted: FloatArray = np.zeros_like(positions) if target is None or equity <= 0 else target * equity
    volume, sigma = np.ones(0), np.zeros(0)
    priced = costs.impact_coefficient > 0 and liquidity is not None
    if priced and liquidity is not None:
        # Without a known volume the cost of a trade cannot be told, so there is none.
        volume, sigma = liquidity.adv_dollars, liquidity.sigma
        known = (volume > 0) & np.isfinite(sigma)
        if not known.all():
            tradable = known if tradable is None else tradable & known
            volume, sigma = np.where(known, volume, 1.0), np.where(known, sigma, 0.0)
    unfilled = 0
    if tradable is not None:
        frozen = np.flatnonzero(~tradable)
        unfilled = int(np.count_nonzero(wanted[frozen] != positions[frozen]))
        wanted[frozen] = positions[frozen]
    trade = wanted - positions
    bought = float(trade.sum())
    size = np.abs(trade, out=trade)
    impact = 0.0
    if priced:
        impact = float(costs.impact_coefficient * (sigma * size) @ np.sqrt(size / volume))
    traded = float(size.sum())
    half_spread = np.asarray(costs.half_spread, dtype=np.float64)
    spread = float(half_spread @ size) if half_spread.ndim else float(half_spread) * traded
    return Fill(wanted, traded, bought, spread, impact, unfilled)
