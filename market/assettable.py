"""What assets are: a table of words and share counts, and the changes of its words in the order of time.

Not here: what was said (:meth:`market.assets.AssetBook.words` makes the list). Decision instant: what each question names.

What a book says of an asset at an instant, about that very instant's date (UTC), changes when a spell is learnt, begins or
ends, and at no other time. So all that it ever says is one list of changes, each at an instant, and what is known at an instant
is what the first so many of them say, as with :class:`market.revisions.Revisions`.
"""

from dataclasses import dataclass, fields, replace

import numpy as np

from crowdalpha.canonical import Plain
from crowdalpha.codes import Code
from crowdalpha.errors import InvariantBroken
from market.arrays import DateArray, FloatArray, IntArray, StrArray, readonly

UNKNOWN = "unknown"
"""Sector, country, exchange or currency of an asset that nothing places."""

COLUMNS = ("tickers", "sectors", "countries", "currencies")
"""Columns of an asset table that the words are about."""


@dataclass(frozen=True, slots=True, eq=False)
class AssetTable:
    """What the assets are, in the order of every asset axis.

    Attributes
    ----------
    asset_ids : (n,) str
        Stable identities, sorted, without repetition.
    tickers : (n,) str
        The vendor's labels.
    sectors, countries : (n,) str
        ``unknown`` where nothing is known.
    exchanges : (n,) str
        ISO 10383 code of where each is listed, one of the panel's.
    currencies : (n,) str
        ISO 4217 code of its prices; ``unknown`` where nothing is known.
    shares : (n,) float64
        Shares outstanding on the price basis of the panel's ``close`` (for a raw basis: before the first split of the
        panel's ``splits``), of a snapshot; NaN where unknown, or where counts have dates: then ask for the capitalization.
    """

    asset_ids: StrArray
    tickers: StrArray
    sectors: StrArray
    countries: StrArray
    exchanges: StrArray
    currencies: StrArray
    shares: FloatArray

    def __post_init__(self) -> None:
        columns = [getattr(self, f.name) for f in fields(self)]
        if len({c.shape for c in columns}) != 1 or self.asset_ids.ndim != 1:
            raise InvariantBroken(Code.INTERNAL, "The columns of an asset table differ in length.")
        if (self.asset_ids[1:] <= self.asset_ids[:-1]).any():
            raise InvariantBroken(Code.INTERNAL, "The asset ids are not sorted, or repeat.")
        for column in columns:
            readonly(column)

    def __len__(self) -> int:
        """Return the number of assets."""
        return int(self.asset_ids.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class AssetWords:
    """Changes of the words about a panel's assets; all arrays have length k.

    Attributes
    ----------
    known_at : (k,) datetime64[us]
        UTC, ascending: when each is known and in force.
    columns : (k,) int64
        Position in :data:`COLUMNS`.
    assets : (k,) int64
        Position on the panel's asset axis.
    values : (k,) str
        What the asset's word is from then on; empty for none.
    """

    known_at: DateArray
    columns: IntArray
    assets: IntArray
    values: StrArray

    def __post_init__(self) -> None:
        arrays = (self.known_at, self.columns, self.assets, self.values)
        if len({a.shape for a in arrays}) != 1 or (np.diff(self.known_at) < np.timedelta64(0)).any():
            raise InvariantBroken(
                Code.INTERNAL, "Words about assets differ in length, or are not in the order of their instants."
            )
        for array in arrays:
            readonly(array)

    def __len__(self) -> int:
        """Return the number of changes."""
        return int(self.known_at.shape[0])

    @staticmethod
    def none() -> "AssetWords":
        """Return no words."""
        whole = np.empty(0, dtype=np.int64)
        return AssetWords(np.empty(0, dtype="datetime64[us]"), whole, whole.copy(), np.empty(0, dtype=np.str_))

    def plain(self) -> Plain:
        """Return the changes as canonical values, instants in microseconds."""
        return [self.known_at.astype("<i8").tolist(), self.columns.tolist(), self.assets.tolist(), self.values.tolist()]

    def known_by(self, instant: np.datetime64) -> int:
        """Return how many were known at ``instant``."""
        return int(np.searchsorted(self.known_at, instant, side="right"))

    def latest(self, column: str, count: int) -> tuple[IntArray, StrArray]:
        """Return of which assets the first ``count`` changes say anything in a column, and the last that they say."""
        at = np.flatnonzero(self.columns[:count] == COLUMNS.index(column))
        newest_first = at[::-1]
        assets, last = np.unique(self.assets[newest_first], return_index=True)
        return assets, self.values[newest_first[last]]

    def ever(self, column: str) -> set[str]:
        """Return all words that are ever said in a column."""
        return set(self.values[self.columns == COLUMNS.index(column)].tolist()) - {""}

    def applied(self, table: AssetTable, count: int) -> AssetTable:
        """Return a table of assets with the first ``count`` changes applied; an asset without a ticker bears its id."""
        changed = {}
        for column in COLUMNS:
            assets, values = self.latest(column, count)
            if assets.size:
                former = getattr(table, column)
                nothing = table.asset_ids[assets] if column == "tickers" else UNKNOWN
                words = np.where(values == "", nothing, values)
                out = former.astype(np.promote_types(former.dtype, words.dtype))
                out[assets] = words
                changed[column] = out
        return replace(table, **changed)
