"""What holders of a delisted asset got, where the vendor does not say.

Not here: when an asset was delisted (an event with a date of its own) and how it enters a return (:mod:`market.targets`). An
asset that merely stopped having prices is not delisted.

1. A return that the vendor gives is taken.
2. A merger paid about the last price: 0.
3. A delisting for bad performance cost its holders 30 percent: the mean of those delistings of the New York and American stock
   exchanges whose return was recovered by hand. Leaving them out biases every backtest upwards.
4. Without a reason the last trade decides: an asset that traded until the end was sold at a market price, 0; one that had
   stopped trading is taken for a failure.

Whatever was assumed is marked, and a report on it says ``delisting_return_assumed``.

Source: T. Shumway (1997), The Delisting Bias in CRSP Data, The Journal of Finance 52 (1), 327–340.
"""

import numpy as np

from market.arrays import BoolArray, FloatArray, IntArray, StrArray
from market.panel import NOT_DELISTED

DELISTING_ASSUMED = "delisting_return_assumed"
"""Flag of data under which a delisting return was assumed."""

PERFORMANCE_RETURN = -0.30
"""Return of a delisting for performance whose return is unknown (Shumway 1997)."""

MERGER, PERFORMANCE = "merger", "performance"

LAST_TRADE_SESSIONS = 5
"""An asset traded until the end if it did so on one of this many sessions before the delisting: a week, as with holidays."""


def delisting_returns(
    values: FloatArray, reasons: StrArray, traded_last: BoolArray, performance_return: float = PERFORMANCE_RETURN
) -> tuple[FloatArray, BoolArray]:
    """Return the return of each delisting, and which of them were assumed.

    Parameters
    ----------
    values : (r,) float64
        Returns from the last price to what holders got, as the vendor gave them; NaN where unknown.
    reasons : (r,) str
        ``merger``, ``performance``, ``unknown`` or empty.
    traded_last : (r,) bool
        Whether the asset traded until its delisting, from :func:`traded_before`.
    performance_return : float
        What rule 3 takes.

    Returns
    -------
    returns : (r,) float64
        No NaN.
    assumed : (r,) bool

    Examples
    --------
    >>> unknown = np.full(3, np.nan)
    >>> delisting_returns(unknown, np.array(["merger", "unknown", ""]), np.array([False, True, False]))
    (array([ 0. ,  0. , -0.3]), array([ True,  True,  True]))
    """
    assumed = np.isnan(values)
    mild = (reasons == MERGER) | ((reasons != PERFORMANCE) & traded_last)
    return np.where(assumed, np.where(mild, 0.0, performance_return), values), assumed


def traded_before(traded: BoolArray, delisting_index: IntArray) -> BoolArray:
    """Tell of each asset whether it traded in its last sessions before its delisting.

    Parameters
    ----------
    traded : (T, n) bool
        As of a view; rows before the event decide.
    delisting_index : (n,) int64
        Row of the event; −1 for none.

    Returns
    -------
    (n,) bool
        False where nothing was delisted.
    """
    out = np.zeros(delisting_index.shape[0], dtype=bool)
    for i in np.flatnonzero(delisting_index != NOT_DELISTED):
        row = int(delisting_index[i])
        out[i] = traded[max(row - LAST_TRADE_SESSIONS, 0) : row, i].any()
    return out
