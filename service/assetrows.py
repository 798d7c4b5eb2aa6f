"""A dataset's rows with assets in the place of the vendor's labels: what a ticker map makes of what is stored.

Not here: who had a label when (:mod:`market.tenures`). Decision instant: ``known_at`` of each row.

1. Rows, splits, dividends and dated share counts go to the asset that had their label on their date, by what was known then.
2. What a map told later of them is a revision: the former owner's row is taken back, the new owner's said.
3. A delisting takes effect on the first session without listing, so it goes to who had the label the day before.
4. An undated snapshot is about whoever had the label when it was last used.
5. A label that no spell resolves stays the asset id. Where the map gives labels to an asset of that very id, which this one is
   not among, ``:unmapped`` tells the two apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from crowdalpha.ids import AssetId
from market.arrays import BoolArray, DateArray, FloatArray, IntArray, StrArray
from market.assemble import StoredEvents, StoredRows
from market.assets import TICKER, YAHOO, AssetBook
from market.batch import DELISTING, SPLIT
from market.calendars import to_date
from market.panel import UNKNOWN
from market.tenures import Owned, Tenure, owned_rows, owner_at, tenures_of

SCHEMES_OF = {"yfinance": (YAHOO, TICKER)}
"""Schemes in which a source's labels are looked for, the first that knows them; of any other source: tickers."""

UNMAPPED = ":unmapped"
UNMAPPED_FLAG = "labels_unmapped"
"""Flag of a panel in which a ticker map leaves labels unresolved."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredCounts:
    """Shares outstanding as they are kept, in any order; all columns have length k. ``assets`` are positions of labels."""

    assets: IntArray
    dates: DateArray
    known_at: DateArray
    values: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class LoadedRows:
    """What is stored of a dataset, as columns whose ``assets`` point into ``labels``.

    Attributes
    ----------
    name : str
    about : mapping
        Fields of the :class:`service.pricestore.Dataset`.
    flags : frozenset of str
    labels : (l,) str
        Sorted; the vendor's, or asset ids.
    rows, events, counts
    facts : mapping of str to mapping
        What a snapshot says of a label, or of an asset id.
    unmapped : (int, int)
        Labels that no spell resolves on some row, and their rows.
    """

    name: str
    about: Mapping[str, Any]
    flags: frozenset[str]
    labels: StrArray
    rows: StoredRows
    events: StoredEvents
    counts: StoredCounts
    facts: Mapping[str, Mapping[str, Any]]
    unmapped: tuple[int, int] = (0, 0)


def on_assets(loaded: LoadedRows, book: AssetBook) -> LoadedRows:
    """Return a dataset's rows with asset ids for labels."""
    country = loaded.about["country"]
    schemes = SCHEMES_OF.get(loaded.about["source"], (TICKER,))
    wanted = "" if country == UNKNOWN else country
    tenures = [tenures_of(book, label, wanted, schemes) for label in loaded.labels.tolist()]
    labelled = {spell.asset_id for spell in book.spells if spell.kind in schemes}
    alone = [AssetId(f"{label}{UNMAPPED}" if label in labelled else label) for label in loaded.labels.tolist()]
    names = sorted({*alone, *(t.asset_id for of_label in tenures for t in of_label if t.asset_id)})
    number = {name: i for i, name in enumerate(names)}
    giver = _Giver(tenures, number, np.array([number[name] for name in alone], dtype=np.int64))
    owned = giver.give(loaded.rows.assets, loaded.rows.dates, loaded.rows.known_at)
    used = np.unique(owned.owners)
    place_of = np.full(len(names), -1, dtype=np.int64)
    place_of[used] = np.arange(len(used))
    ids = np.array(names)[used]
    alone_now = giver.left_alone(loaded.rows.assets, loaded.rows.dates)
    return replace(
        loaded,
        labels=ids,
        rows=_rows(loaded.rows, owned, place_of),
        events=_events(loaded.events, giver, place_of),
        counts=_counts(loaded.counts, giver, place_of),
        facts=_facts(loaded, tenures, alone),
        unmapped=(len(np.unique(loaded.rows.assets[alone_now])), int(alone_now.sum())),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Giver:
    """Gives rows to owners, numbered as in ``number``; ``alone`` is the number of each label for itself."""

    tenures: Sequence[Sequence[Tenure]]
    number: Mapping[AssetId, int]
    alone: IntArray

    def give(self, codes: IntArray, dates: DateArray, known_at: DateArray) -> Owned:
        return owned_rows(codes, dates, known_at, self.tenures, self.number, self.alone)

    def left_alone(self, codes: IntArray, dates: DateArray) -> BoolArray:
        """Tell which rows have no owner by all that is known now."""
        never = np.datetime64("9999-12-31", "us")
        return np.asarray(self.give(codes, dates, np.full(len(codes), never)).owners == self.alone[codes], dtype=np.bool_)


def _rows(rows: StoredRows, owned: Owned, place_of: IntArray) -> StoredRows:
    assets = place_of[owned.owners]
    if len(owned.rows) == len(rows.assets):
        return replace(rows, assets=assets)
    values = {name: np.where(owned.taken_back, np.nan, column[owned.rows]) for name, column in rows.values.items()}
    return StoredRows(assets, rows.dates[owned.rows], owned.known_at, values)


def _events(events: StoredEvents, giver: _Giver, place_of: IntArray) -> StoredEvents:
    """Give events to assets that have prices; a delisting cannot be taken back, so it is said only of who keeps it."""
    gone = events.kinds == DELISTING
    owned = giver.give(events.assets, events.dates - gone.astype("timedelta64[D]"), events.known_at)
    lost = {(r, o) for r, o in zip(owned.rows[owned.taken_back].tolist(), owned.owners[owned.taken_back].tolist(), strict=True)}
    pairs = zip(owned.rows.tolist(), owned.owners.tolist(), strict=True)
    kept_alone = owned.owners == giver.alone[events.assets[owned.rows]]
    not_kept = np.array([pair in lost for pair in pairs], dtype=np.bool_) & ~kept_alone
    usable = (place_of[owned.owners] >= 0) & ~(gone[owned.rows] & (owned.taken_back | not_kept))
    rows, kinds = owned.rows[usable], events.kinds[owned.rows[usable]]
    values = np.where(owned.taken_back[usable], np.where(kinds == SPLIT, 1.0, 0.0), events.values[rows])
    columns = {f.name: getattr(events, f.name) for f in fields(events)}
    moved = {name: None if column is None else column[rows] for name, column in columns.items()}
    given = {"assets": place_of[owned.owners[usable]], "known_at": owned.known_at[usable], "values": values}
    return StoredEvents(**{**moved, **given})


def _counts(counts: StoredCounts, giver: _Giver, place_of: IntArray) -> StoredCounts:
    owned = giver.give(counts.assets, counts.dates, counts.known_at)
    usable = place_of[owned.owners] >= 0
    rows = owned.rows[usable]
    values = np.where(owned.taken_back[usable], np.nan, counts.values[rows])
    return StoredCounts(place_of[owned.owners[usable]], counts.dates[rows], owned.known_at[usable], values)


def _facts(loaded: LoadedRows, tenures: Sequence[Sequence[Tenure]], alone: Sequence[AssetId]) -> dict[str, Mapping[str, Any]]:
    """Return the snapshot by asset; of several labels of one the one used last counts."""
    last = np.full(len(loaded.labels), np.datetime64("0001-01-01", "D"))
    np.maximum.at(last, loaded.rows.assets, loaded.rows.dates)
    found: dict[str, Mapping[str, Any]] = {}
    for i in np.argsort(last, kind="stable").tolist():
        label = str(loaded.labels[i])
        if label in loaded.facts:
            found[owner_at(tenures[i], to_date(last[i])) or alone[i]] = loaded.facts[label]
    return found
