"""What a new batch tells beyond what is kept: rows not known yet, and rows that say something else than before.

A vendor is asked again for the sessions just before the newest one that is kept. It opens no store: the kept rows are given.

1. Each (ticker, date) of the new rows is looked up among the kept ones, of which the latest known counts.
2. Not there: fresh. There, and a price differs by more than the tolerance: restated. There and equal: nothing new.
3. Volumes are no grounds: they are completed for days after a session. A restated row carries its new volume along.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from market.arrays import BoolArray, DateArray, FloatArray, IntArray, StrArray
from market.batch import EventRows, PriceRows

RESTATEMENT = 0.005
"""Smallest relative difference of a price that makes a revision: far above rounding, far below a missed split."""

PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True, slots=True, eq=False)
class News:
    """How new rows compare with the kept ones.

    Attributes
    ----------
    fresh, restated : (r,) bool
        Never both; a row that is neither says what is known.
    change : (r,) float64
        Largest relative difference of a price, of rows whose date was kept; NaN for the others.
    """

    fresh: BoolArray
    restated: BoolArray
    change: FloatArray


def compare_prices(new: PriceRows, kept: PriceRows, tolerance: float = RESTATEMENT) -> News:
    """Compare new rows with kept ones on the same price basis.

    Parameters
    ----------
    new, kept : PriceRows
        Any order. Several kept rows of one (ticker, date) are revisions: the latest known counts.
    tolerance : float
        Largest relative difference that is no restatement. A price where there was none before is one, and so is the reverse.

    Returns
    -------
    News
    """
    change = np.full(len(new), np.nan)
    if len(kept) == 0:  # a whole history of four million rows need not be sorted to learn that
        return News(np.ones(len(new), dtype=np.bool_), np.zeros(len(new), dtype=np.bool_), change)
    place = _latest(_keys(new.tickers, new.dates, kept.tickers, kept.dates), kept.known_at)
    known = place >= 0
    change[known] = 0.0
    for name in PRICES:
        now, before = getattr(new, name)[known], getattr(kept, name)[place[known]]
        change[known] = np.maximum(change[known], _difference(now, before))
    return News(fresh=~known, restated=known & (np.nan_to_num(change) > tolerance), change=change)


def unknown_events(new: EventRows, kept: EventRows, tolerance: float = RESTATEMENT) -> BoolArray:
    """Tell which events are not kept yet, or are kept with a value that differs by more than ``tolerance``.

    Returns
    -------
    (r,) bool
    """
    label, kept_label = _joined(new), _joined(kept)
    place = _latest(_keys(label, new.dates, kept_label, kept.dates), kept.known_at)
    out = place < 0
    known = ~out
    out[known] = _difference(new.values[known], kept.values[place[known]]) > tolerance
    return out


def _joined(events: EventRows) -> StrArray:
    return np.asarray(np.char.add(np.char.add(events.kinds, " "), events.tickers), dtype=np.str_)


def _difference(now: FloatArray, before: FloatArray) -> FloatArray:
    """Relative difference; 0 where both are empty, infinite where one is."""
    with np.errstate(invalid="ignore", divide="ignore"):
        out = np.abs(now - before) / np.abs(before)
    out[(now == before) | (np.isnan(now) & np.isnan(before))] = 0.0
    out[np.isnan(out)] = np.inf
    return np.asarray(out, dtype=np.float64)


def _keys(labels: StrArray, dates: DateArray, kept_labels: StrArray, kept_dates: DateArray) -> tuple[IntArray, IntArray]:
    """(label, date) as one whole number, the same for new and kept rows."""
    _, code = np.unique(np.concatenate([labels, kept_labels]), return_inverse=True)
    days = np.concatenate([dates, kept_dates]).astype("datetime64[D]").astype(np.int64)
    _, day = np.unique(days, return_inverse=True)
    key = code.astype(np.int64) * (day.max(initial=0) + 1) + day
    return key[: labels.shape[0]], key[labels.shape[0] :]


def _latest(keys: tuple[IntArray, IntArray], known_at: Any) -> IntArray:
    """Place of the latest known kept row of each new key, -1 where there is none."""
    wanted, kept = keys
    order = np.lexsort((known_at, kept))
    at = np.searchsorted(kept[order], wanted, side="right") - 1
    found = np.full(wanted.shape, -1, dtype=np.int64)
    hit = at >= 0
    hit[hit] = kept[order][at[hit]] == wanted[hit]
    found[hit] = order[at[hit]]
    return found
