"""Numbers of an asset that are stated now and then: share counts, market capitalizations of a snapshot.

Not here: prices, which each session has (:mod:`market.panel`). Decision instant: the argument ``known``.

A fact has the date that it is about and the instant at which it was learnt, and is used at no instant before either. A snapshot
of today says nothing about the past: before its date the answer is NaN, and whoever multiplies it with an old price has to ask
for another source, not for a guess.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from crowdalpha.canonical import Plain
from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, InvariantBroken
from market.arrays import DateArray, FloatArray, StrArray, readonly


@dataclass(frozen=True, slots=True, eq=False)
class DatedFacts:
    """One kind of number, one row for each statement; all columns have the same length r.

    Attributes
    ----------
    asset_ids : (r,) str
    dates : (r,) datetime64[D]
        The date that the number is about.
    known_at : (r,) datetime64[us]
        UTC; when it was learnt.
    values : (r,) float64
        Shares, or currency units; a share count is as of its date, before later splits. NaN withdraws what the date said
        before.

    Raises
    ------
    InputRejected
        ``date_invalid`` when a row lacks its date or its instant: undated numbers are no facts.
    """

    asset_ids: StrArray
    dates: DateArray
    known_at: DateArray
    values: FloatArray

    def __post_init__(self) -> None:
        columns = (self.asset_ids, self.dates, self.known_at, self.values)
        if len({c.shape for c in columns}) != 1 or self.asset_ids.ndim != 1:
            raise InvariantBroken(Code.INTERNAL, "The columns of dated facts differ in length.")
        undated = int((np.isnat(self.dates) | np.isnat(self.known_at)).sum())
        if undated:
            raise InputRejected(Code.DATE_INVALID, f"{undated} numbers have no date, or no instant at which they were learnt.")

    def plain(self) -> Plain:
        """Return the statements as canonical values: days, microseconds, and numbers in hexadecimal."""
        numbers = [float(value).hex() for value in self.values]
        return [self.asset_ids.tolist(), *(a.astype("<i8").tolist() for a in (self.dates, self.known_at)), numbers]

    def at(self, asset_ids: StrArray, known: np.datetime64) -> tuple[FloatArray, DateArray]:
        """Return the last number of each asset that was known at an instant, and the date that it is about.

        Parameters
        ----------
        asset_ids : (n,) str
            In any order.
        known : datetime64
            UTC, as :func:`market.calendars.to_datetime64` gives it. Rows learnt later, or about a later date, are not used.

        Returns
        -------
        values : (n,) float64
            NaN before the first statement about the asset.
        dates : (n,) datetime64[D]
            NaT there. A share count of an old date has to be carried over the splits since then.

        Examples
        --------
        >>> day = np.array(["2018-07-18"], dtype="datetime64[D]")
        >>> shares = DatedFacts(np.array(["A1"]), day, day.astype("datetime64[us]"), np.array([5e6]))
        >>> [float(shares.at(np.array(["A1"]), np.datetime64(t))[0][0]) for t in ("2018-07-17T23:00", "2018-07-18T00:00")]
        [nan, 5000000.0]
        """
        usable = np.flatnonzero((self.known_at <= known) & (self.dates <= known.astype("datetime64[D]")))
        order = usable[np.lexsort((self.known_at[usable], self.dates[usable], self.asset_ids[usable]))]
        newest_first = order[::-1]
        names, first = np.unique(self.asset_ids[newest_first], return_index=True)
        last = newest_first[first]
        values, dates = np.full(len(asset_ids), np.nan), np.full(len(asset_ids), np.datetime64("NaT"), dtype="datetime64[D]")
        if names.shape[0]:
            place = np.minimum(np.searchsorted(names, asset_ids), names.shape[0] - 1)
            found = names[place] == asset_ids
            values[found], dates[found] = self.values[last[place[found]]], self.dates[last[place[found]]]
        return readonly(values), readonly(dates)

    def by_row(self, asset_ids: StrArray, known_at: DateArray, values: FloatArray) -> FloatArray:
        """Return for every row of a panel what :meth:`at` would say at its instant, (t, n); row t depends on rows up to t.

        Parameters
        ----------
        asset_ids : (n,) str
            Sorted.
        known_at : (t,) datetime64
            The rows' instants, ascending.
        values : (r,) float64
            What is to stand for each statement, such as its number on another basis.
        """
        n = asset_ids.shape[0]
        place = np.searchsorted(asset_ids, self.asset_ids).clip(max=n - 1)
        usable_at = np.maximum(self.known_at, self.dates.astype(self.known_at.dtype))
        row = np.searchsorted(known_at, usable_at)
        told = np.flatnonzero((asset_ids[place] == self.asset_ids) & (row < known_at.shape[0]))
        told = told[np.lexsort((self.known_at[told], self.dates[told], row[told]))]
        out = np.full((known_at.shape[0], n), np.nan)
        newest, current = np.full(n, np.datetime64("NaT", "D")), np.full(n, np.nan)
        heads = np.flatnonzero(np.diff(row[told], prepend=-1))
        for lo, hi in pairwise([*heads.tolist(), told.shape[0]]):
            for i in told[lo:hi].tolist():
                at = place[i]
                if not self.dates[i] < newest[at]:  # nothing is before NaT: the first statement is always news
                    newest[at], current[at] = self.dates[i], values[i]
            until = row[told[hi]] if hi < told.shape[0] else known_at.shape[0]
            out[row[told[lo]] : until] = current
        return out
