"""The order in which rows are judged: the chain that goes on from what was known, and the rows beside it.

Sorted by ticker, date and instant, the rows of a ticker are a chain as long as their instants ascend too: each is judged by
those before it, all of which were known by then. Beside the chain stand

- *twins*: rows of one ticker, date and instant. Equal ones are one row and repetitions of it; unequal ones are all set aside,
  since no rule says which is right.
- *later words*: rows of a date that the chain or the trail has passed already when they were learnt. They never serve as the
  past of another row, which was known before them.
"""

from typing import NamedTuple

import numpy as np

from market.arrays import BoolArray, DateArray, IntArray
from market.batch import PriceRows
from market.quality.cells import Placed
from market.quality.faults import Fault, Found, of_batch, of_prices

LATEST = np.iinfo(np.int64).max


class Ordered(NamedTuple):
    """Positions in the batch: ``chain`` and ``later`` (later words), each sorted by ticker, date and instant."""

    chain: IntArray
    later: IntArray
    found: list[Found]


def instants(known_at: DateArray) -> IntArray:
    """Instants as whole numbers; a missing one is later than any."""
    return np.where(np.isnat(known_at), LATEST, known_at.astype("datetime64[us]").astype(np.int64))


def order_rows(prices: PriceRows, placed: Placed, sound: BoolArray, passed: DateArray) -> Ordered:
    """Sort the sound rows of a batch into chain, later words and twins.

    Parameters
    ----------
    prices, placed
        The batch's rows.
    sound : (r,) bool
        Rows that have a ticker, a session and numbers that can be prices.
    passed : (n,) datetime64[D]
        Last date that was accepted before, of each of ``placed.tickers``; NaT for none.
    """
    at = np.flatnonzero(sound)
    keys = (at, instants(prices.known_at[at]), prices.dates[at].astype(np.int64), placed.code[at])
    if not _ascends(keys[::-1]):
        at = at[np.lexsort(keys)]
    code, day, instant = placed.code[at], prices.dates[at], instants(prices.known_at[at])
    same_cell = np.concatenate([[False], (code[1:] == code[:-1]) & (day[1:] == day[:-1])]) if at.size else np.empty(0, np.bool_)
    twin = same_cell & np.concatenate([[False], instant[1:] == instant[:-1]]) if at.size else same_cell
    dropped, found = _twins(prices, at, twin)
    later = same_cell & ~twin | (day <= passed[code])
    later |= _late(code, instant, ~(same_cell | dropped | later))
    # of twins that agree the first stands for all, also where it is a later word
    later &= ~dropped
    return Ordered(at[~later & ~dropped], at[later], found)


def _ascends(keys: tuple[IntArray, ...]) -> bool:
    """Tell whether rows are sorted by ``keys`` already, the first being the most weighty."""
    equal = np.ones(max(keys[0].shape[0] - 1, 0), dtype=np.bool_)
    for key in keys:
        if (equal & (key[1:] < key[:-1])).any():
            return False
        equal &= key[1:] == key[:-1]
    return True


def _late(code: IntArray, instant: IntArray, candidate: BoolArray) -> BoolArray:
    """Rows that were learnt after a row of a later date of the same ticker."""
    at = np.flatnonzero(candidate)
    out = np.zeros(code.shape[0], dtype=np.bool_)
    if at.size < 2 or not ((instant[at[1:]] < instant[at[:-1]]) & (code[at[1:]] == code[at[:-1]])).any():
        return out
    # The least instant of all later dates, ticker by ticker: instants become ranks, lowered by a step for each ticker before,
    # so that one running minimum from the end never looks into another ticker.
    rank = np.unique(instant[at], return_inverse=True)[1].astype(np.int64) + code[at] * (at.size + 1)
    out[at] = rank > np.minimum.accumulate(rank[::-1])[::-1]
    return out


def _twins(prices: PriceRows, at: IntArray, twin: BoolArray) -> tuple[BoolArray, list[Found]]:
    """Rows, in sorted order, that are set aside as twins, and the finding."""
    dropped = twin.copy()
    if not twin.any():
        return dropped, []
    group = np.cumsum(~twin) - 1
    differs = np.zeros(at.shape[0], dtype=np.bool_)
    for name in ("open", "high", "low", "close", "volume"):
        column = getattr(prices, name)[at]
        same = (column[1:] == column[:-1]) | (np.isnan(column[1:]) & np.isnan(column[:-1]))
        differs[1:] |= twin[1:] & ~same
    contradicted = np.zeros(int(group[-1]) + 1, dtype=np.bool_)
    contradicted[group[differs]] = True
    dropped |= contradicted[group]
    return dropped, [of_prices(prices, Fault.DUPLICATE_ROW, np.sort(at[dropped]), "close")]


def unsorted(prices: PriceRows, placed: Placed) -> list[Found]:
    """Return a notice for each ticker whose rows stand in the batch in another order than that of their dates."""
    rows = np.flatnonzero(placed.sound)
    code = placed.code[rows]
    if (code[1:] < code[:-1]).any():
        rows = rows[np.argsort(code, kind="stable")]
        code = placed.code[rows]
    days = prices.dates[rows]
    back = (code[1:] == code[:-1]) & (days[1:] < days[:-1])
    tickers, counts = np.unique(code[1:][back], return_counts=True)
    return [
        of_batch(Fault.UNSORTED_DATES, ticker=str(placed.tickers[ticker]), column="date", value=float(count))
        for ticker, count in zip(tickers.tolist(), counts.tolist(), strict=True)
    ]
