"""From target weights to orders: which names are traded, in how many whole shares, and what the rounding does to the book.

It decides no weight and reads no price: prices are those known at the decision, and the fill will be at others.

1. A name with a target or a holding is traded, unless it is withheld or its trade is below the minimum; a name whose target
   is 0 is closed however little it is.
2. The trade in whole shares is the nearest whole number, and never more than are held of a position that is to be less or
   nothing. The minimum and the rounding leave the book beside its target.
3. How far beside is told as an error: of each exposure, of net and of gross, at the prices of the decision.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from market.arrays import BoolArray, FloatArray
from portfolio.wholeshares import snapped


@dataclass(frozen=True, slots=True)
class OrderSizes:
    """The orders of one decision over n names.

    Attributes
    ----------
    wanted, held : (n,) float64
        Target weights and weights held, fractions of equity.
    equity : float
        At the prices of the decision; positive.
    prices : (n,) float64
        In the currency of the fund; NaN where none is known.
    values : (n,) float64
        The trade in the currency of the fund, negative for a sale.
    shares : (n,) float64
        The trade in whole shares; NaN without a price.
    traded : (n,) bool
        Names with an order to their target weight. It may be an order over nothing at the prices of the decision: at the open
        the weight has moved.
    small : (n,) bool
        Names that are left because their trade is below the minimum.
    """

    wanted: FloatArray
    held: FloatArray
    equity: float
    prices: FloatArray
    values: FloatArray
    shares: FloatArray
    traded: BoolArray
    small: BoolArray

    @property
    def traded_whole(self) -> BoolArray:
        """Names with an order over at least one whole share."""
        some: BoolArray = self.traded & (np.nan_to_num(self.shares) != 0)
        return some

    def reached(self, *, whole: bool) -> FloatArray:
        """Return the weights (n,) after the orders, at the prices of the decision."""
        if not whole:
            return np.where(self.traded, self.wanted, self.held)
        value = np.where(self.traded_whole, self.shares * self.prices, 0.0)
        return self.held + value / self.equity


def size_orders(
    wanted: FloatArray,
    held: FloatArray,
    equity: float,
    prices: FloatArray,
    *,
    trade_min: float = 0.0,
    withheld: BoolArray | None = None,
) -> OrderSizes:
    """Return the orders that lead from what is held to what is wanted.

    Parameters
    ----------
    wanted, held : (n,) float64
        Weights, fractions of equity; finite.
    equity : float
        Positive.
    prices : (n,) float64
        Known at the decision; NaN, or not above zero, where there is none.
    trade_min : float
        Trades below it are left, in the currency of the fund; closing a position is exempt.
    withheld : (n,) bool, optional
        Names that are not traded, whatever their target.

    Examples
    --------
    A tenth of a thousand in a stock at 30 is three shares:

    >>> sizes = size_orders(np.array([0.1]), np.array([0.0]), 1_000.0, np.array([30.0]))
    >>> sizes.shares.tolist(), sizes.reached(whole=True).tolist()
    ([3.0], [0.09])
    """
    values = (wanted - held) * equity
    needed = (wanted != 0) | (held != 0)
    small = needed & (wanted != 0) & (np.abs(values) < trade_min)
    traded = needed & ~small
    if withheld is not None:
        traded &= ~withheld
    known = np.where(prices > 0, prices, np.nan)
    shares = np.rint(values / known)
    # Not past what is there: a part of a share that is sold without being there would be a short.
    owned = np.trunc(snapped(np.abs(held) * equity / known))
    shares = np.where((held > 0) & (wanted >= 0), np.maximum(shares, -owned), shares)
    shares = np.where((held < 0) & (wanted <= 0), np.minimum(shares, owned), shares)
    return OrderSizes(wanted, held, equity, known, values, shares, traded, small)


def rounding_error(sizes: OrderSizes, exposures: FloatArray, names: tuple[str, ...], *, whole: bool) -> dict[str, Any]:
    """Return how far the orders leave the book beside its target, as plain values.

    Parameters
    ----------
    sizes : OrderSizes
    exposures : (n, k) float64
        Loadings of the risk model's factors.
    names : tuple of k str
    whole : bool
        Whether whole shares are traded.

    Returns
    -------
    dict
        ``orders``, ``below_minimum``, ``without_price`` (counts); ``weight_error`` (Σ|w − w*|), ``net_error``,
        ``gross_error``; by factor ``exposure_errors``, B'(w − w*), and the largest of them in absolute value,
        ``exposure_error_max``.
    """
    reached = sizes.reached(whole=whole)
    off = reached - sizes.wanted
    errors = exposures.T @ off
    return {
        "orders": int(np.count_nonzero(sizes.traded_whole if whole else sizes.traded)),
        "below_minimum": int(np.count_nonzero(sizes.small)),
        "without_price": int(np.count_nonzero(sizes.traded & np.isnan(sizes.prices))) if whole else 0,
        "weight_error": float(np.abs(off).sum()),
        "net_error": float(off.sum()),
        "gross_error": float(np.abs(reached).sum() - np.abs(sizes.wanted).sum()),
        "exposure_errors": dict(zip(names, map(float, errors), strict=True)),
        "exposure_error_max": float(np.abs(errors).max(initial=0.0)),
    }
