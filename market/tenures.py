"""Whose rows a vendor's rows are: a label's owner depends on the row's date, and on when one asks.

Not here: what is known of labels (:mod:`market.assets`) and how rows become a panel (:mod:`market.assemble`). Decision instant:
``known_at`` of each row that is returned; it is never before that of the row given, nor before its owner was known.

1. The dates and the instants at which anything about a label changes cut the plane of dates and instants into fields; in each
   of them the label has one owner, or none. Fields of one owner that follow each other in time are one :class:`Tenure`.
2. A row that is learnt while an owner is known is the owner's from the start.
3. Where the owner becomes known later, or another one does, the row is said again of the new owner at that instant, and taken
   back from the former one: both are revisions, invisible before.
4. What has no owner, or several, is left to the label itself.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

import numpy as np

from crowdalpha.ids import AssetId
from market.arrays import BoolArray, DateArray, IntArray
from market.assets import ALWAYS, FOREVER, KNOWN_ALWAYS, KNOWN_AT_LAST, TICKER, AssetBook, Spell, current_spells
from market.calendars import to_datetime64

NOBODY = AssetId("")


class Tenure(NamedTuple):
    """A label had an owner for a stretch of dates, by what was known for a stretch of time; each end is the first beyond.

    Attributes
    ----------
    asset_id : AssetId
        Empty where nobody had the label, or more than one did.
    valid_from, valid_to : date
    known_from, known_to : datetime
        Aware; :data:`market.assets.KNOWN_AT_LAST` while it holds.
    """

    asset_id: AssetId
    valid_from: date
    valid_to: date
    known_from: datetime
    known_to: datetime

    @property
    def holds_still(self) -> bool:
        """Whether it is what is known now."""
        return self.known_to == KNOWN_AT_LAST

    @property
    def is_everything(self) -> bool:
        """Whether it covers all dates and all times."""
        return (self.valid_from, self.valid_to, self.known_from) == (ALWAYS, FOREVER, KNOWN_ALWAYS) and self.holds_still


def tenures_of(book: AssetBook, label: str, country: str = "", schemes: Sequence[str] = (TICKER,)) -> tuple[Tenure, ...]:
    """Return who had ``label``, over all dates and all knowledge, without a gap.

    Parameters
    ----------
    book : AssetBook
    label : str
        As the vendor writes it.
    country : str
        ISO code of the vendor's listings: spells in another country are not meant. Empty where it is not known.
    schemes : sequence of str
        The first of them in which the label was ever known is meant.

    Examples
    --------
    >>> spells = (Spell(AssetId("A1"), "ticker", "FB", date(2012, 5, 18), date(2022, 6, 9)),)
    >>> [(t.asset_id, t.valid_from.year, t.valid_to.year) for t in tenures_of(AssetBook(spells), "FB")]
    [('', 1, 2012), ('A1', 2012, 2022), ('', 2022, 9999)]
    """
    told = next((known for scheme in schemes if (known := book.spells_of(label, scheme))), ())
    spells = [s for s in told if not (country and s.country and s.country != country)]
    days = sorted({ALWAYS, *(d for s in spells for d in (s.valid_from, s.valid_to) if d < FOREVER)})
    instants = sorted({KNOWN_ALWAYS, *(s.known_at for s in spells)})
    states = [current_spells(spells, instant) for instant in instants]
    found: list[Tenure] = []
    for first, end in zip(days, [*days[1:], FOREVER], strict=True):
        owners = [_owner(current, first) for current in states]
        turns = [0, *(i for i in range(1, len(owners)) if owners[i] != owners[i - 1])]
        ends = [*(instants[i] for i in turns[1:]), KNOWN_AT_LAST]
        found += [Tenure(owners[i], first, end, instants[i], until) for i, until in zip(turns, ends, strict=True)]
    return tuple(found)


def owner_at(tenures: Sequence[Tenure], on: date) -> AssetId:
    """Return the owner on a date by all that is known now; empty for none."""
    standing = [t for t in tenures if t.holds_still]
    return standing[bisect_right([t.valid_from for t in standing], on) - 1].asset_id


def _owner(spells: Sequence[Spell], on: date) -> AssetId:
    owners = {s.asset_id for s in spells if s.holds(on)}
    return owners.pop() if len(owners) == 1 else NOBODY


class Owned(NamedTuple):
    """Rows of assets, made of rows of labels.

    Attributes
    ----------
    rows : (m,) int64
        Position of the row that each is made of.
    owners : (m,) int64
        Position of its owner in the names given by :func:`owned_rows`.
    known_at : (m,) datetime64[us]
        When it may be used.
    taken_back : (m,) bool
        Whether it says that the owner has no such row any more.
    """

    rows: IntArray
    owners: IntArray
    known_at: DateArray
    taken_back: BoolArray


def owned_rows(
    codes: IntArray, dates: DateArray, known_at: DateArray, tenures: Sequence[Sequence[Tenure]], owners: Mapping[AssetId, int],
    alone: IntArray,
) -> Owned:  # fmt: skip
    """Give rows of labels to the assets that had them.

    Parameters
    ----------
    codes : (r,) int64
        Position of each row's label.
    dates : (r,) datetime64[D]
    known_at : (r,) datetime64[us]
    tenures : sequence, length l
        Of each label, as :func:`tenures_of` gives them.
    owners : mapping of AssetId to int
        Number of each asset.
    alone : (l,) int64
        Number under which each label stands for itself.

    Returns
    -------
    Owned
        At least as long as the rows, which come first and in their order where nothing was learnt late.
    """
    first = np.array([owners.get(t[0].asset_id, alone[i]) for i, t in enumerate(tenures)], dtype=np.int64)
    holder = first[codes]
    learnt = known_at.copy()
    later: list[tuple[IntArray, int, np.datetime64, bool]] = []
    for label, rows in _rows_of(codes, [i for i, t in enumerate(tenures) if not t[0].is_everything]):
        on, at = dates[rows], known_at[rows]
        for tenure in tenures[label]:
            owner = owners.get(tenure.asset_id, int(alone[label]))
            since, until = to_datetime64(tenure.known_from), to_datetime64(tenure.known_to)
            inside = (on >= np.datetime64(tenure.valid_from, "D")) & (on < np.datetime64(tenure.valid_to, "D")) & (at < until)
            late = inside & (at < since)
            holder[rows[inside & ~late]] = owner
            if late.any():
                later.append((rows[late], owner, since, False))
            if not tenure.holds_still and inside.any():
                later.append((rows[inside], owner, until, True))
    return Owned(
        rows=np.concatenate([np.arange(len(codes)), *(rows for rows, *_ in later)]).astype(np.int64),
        owners=np.concatenate([holder, *(np.full(len(rows), owner) for rows, owner, *_ in later)]).astype(np.int64),
        known_at=np.concatenate([learnt, *(np.full(len(rows), at, learnt.dtype) for rows, _, at, _ in later)]),
        taken_back=np.concatenate([np.zeros(len(codes), dtype=np.bool_), *(np.full(len(r), b) for r, _, _, b in later)]),
    )


def _rows_of(codes: IntArray, labels: Sequence[int]) -> list[tuple[int, IntArray]]:
    """Return the positions of the rows of each of ``labels``."""
    if not labels:
        return []
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], [[label, label + 1] for label in labels]).reshape(-1, 2)
    return [(label, order[lo:hi]) for label, (lo, hi) in zip(labels, bounds.tolist(), strict=True)]
