"""What becomes of orders at an open: the fills of a paper broker, order by order, with what each costs.

The same market as :func:`portfolio.simulate.step` knows: names that trade are filled at their open, half the spread and the
impact are paid, the others' orders lapse. It carries no book: it says which weights are reached, and ``step`` takes those as
its target, so that a fill and the book that follows from it come from one set of prices.

An order to a weight is sized on the equity at the open. An order over shares is worth what they cost at the open; across a
split it would be over the wrong number, so it lapses. An order over more than a part of the usual volume is filled up to that
part, in whole shares where it is over shares.
"""

from dataclasses import dataclass

import numpy as np

from market.arrays import BoolArray, FloatArray
from portfolio.book import BookState, Liquidity, TradingCosts

CLOSED_WITHIN = 1e-9
"""Part of a position: rounding of money that went through some thousand sessions stays below it."""


@dataclass(frozen=True, slots=True)
class OpenMarket:
    """What an open did to n assets, in the order of the book that is traded.

    Attributes
    ----------
    overnight, intraday : (n,) float64
        As for :func:`portfolio.simulate.step`.
    halted : (n,) bool
        Names that do not trade in the session.
    delisting : (n,) float64
        Return of a name that is delisted before the open, NaN for the others.
    liquidity : Liquidity
        As known before the open.
    prices : (n,) float64
        At the open, in the currency of the fund; NaN without one.
    split : (n,) float64
        New shares for an old one since the orders were decided; 1 for none.
    paid : (n,) float64 or None
        What the session pays in cash before its open, as parts of the positions at the close before; None for nothing.
    """

    overnight: FloatArray
    intraday: FloatArray
    halted: BoolArray
    delisting: FloatArray
    liquidity: Liquidity
    prices: FloatArray
    split: FloatArray
    paid: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class OpenFills:
    """What was filled, (n,) each; names without an order are not filled.

    Attributes
    ----------
    weights : float64
        Position right after the fill as a fraction of equity at the open; meaningful where something was filled.
    values : float64
        What was bought, negative for a sale.
    spread, impact : float64
        What it cost.
    filled, partial : bool
        Filled at all; filled, but not whole.
    """

    weights: FloatArray
    values: FloatArray
    spread: FloatArray
    impact: FloatArray
    filled: BoolArray
    partial: BoolArray


def fill_orders(
    account: BookState,
    market: OpenMarket,
    costs: TradingCosts,
    ordered: BoolArray,
    weights: FloatArray,
    shares: FloatArray | None = None,
    adv_share_max: float = 0.0,
    no_short: BoolArray | None = None,
) -> OpenFills:
    """Fill orders at an open.

    Parameters
    ----------
    account : BookState
        At the close before, over the market's assets.
    market : OpenMarket
    costs : TradingCosts
    ordered : (n,) bool
        Names with an order.
    weights : (n,) float64
        What each position is to become, as a fraction of equity at the open.
    shares : (n,) float64, optional
        Whole shares to trade instead; NaN lapses.
    adv_share_max : float
        Largest part of the usual daily volume that is filled; 0 is no bound.
    no_short : (n,) bool, optional
        Names of which nothing is sold that is not there: an order to a weight that a price has moved away from would otherwise
        sell more of a short that is only kept.
    """
    gone = np.isfinite(market.delisting)
    opened = account.positions * (1.0 + np.where(gone, market.delisting, np.nan_to_num(market.overnight)))
    paid = 0.0 if market.paid is None else float(account.positions @ np.where(gone, 0.0, market.paid))
    cash = account.cash + float(opened[gone].sum()) + paid
    opened[gone] = 0.0
    equity = cash + float(opened.sum())
    usual = np.nan_to_num(market.liquidity.adv_dollars)
    sigma = market.liquidity.sigma
    fills = ordered & np.isfinite(market.overnight) & np.isfinite(market.intraday) & ~gone & ~market.halted & (equity > 0)
    if costs.impact_coefficient > 0:
        # Without a known volume the cost of a trade cannot be told, so there is none.
        fills &= (usual > 0) & np.isfinite(sigma)
    if shares is None:
        reached = weights
        wanted = weights * equity - opened
    else:
        fills &= np.isfinite(shares) & np.isfinite(market.prices) & (market.split == 1.0)
        wanted = np.nan_to_num(shares * market.prices)
        reached = _left(opened, wanted) / equity if equity > 0 else np.zeros_like(opened)
    if no_short is not None:
        least = np.minimum(opened, 0.0) - opened
        capped = no_short & (wanted < least)
        wanted = np.where(capped, least, wanted)
        reached = np.where(capped, np.minimum(opened, 0.0) / equity, reached) if equity > 0 else reached
    partial = np.zeros_like(fills)
    if adv_share_max > 0:
        most = adv_share_max * usual
        if shares is not None:
            most = np.nan_to_num(np.trunc(most / market.prices) * market.prices)
        partial = fills & (np.abs(wanted) > most)
        wanted = np.where(partial, np.sign(wanted) * most, wanted)
        reached = np.where(partial, _left(opened, wanted) / equity, reached)
        fills &= ~(partial & (most == 0.0))
        partial &= fills
    values = np.where(fills, wanted, 0.0)
    size = np.abs(values)
    rooted = np.sqrt(size / np.where(usual > 0, usual, np.inf))
    impact = costs.impact_coefficient * np.where(fills, np.nan_to_num(sigma), 0.0) * size * rooted
    return OpenFills(np.where(fills, reached, 0.0), values, costs.half_spread * size, impact, fills, partial)


def _left(opened: FloatArray, traded: FloatArray) -> FloatArray:
    """Return the positions after a trade; one that is closed is nothing, and not what a subtraction leaves of it."""
    after = opened + traded
    return np.where(np.abs(after) <= CLOSED_WITHIN * np.abs(opened), 0.0, after)
