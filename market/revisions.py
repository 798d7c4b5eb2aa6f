"""What was learnt late: cells of a panel that were first said, or said anew, after their session's own instant.

A correction never overwrites. The panel keeps what was known when each session was learnt, and beside it a list of later
words; a view applies those that were known at its instant.
"""

from dataclasses import dataclass

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InvariantBroken
from market.arrays import DateArray, FloatArray, IntArray, readonly
from market.quotes import FIELDS, Quotes


@dataclass(frozen=True, slots=True, eq=False)
class Revisions:
    """Later words, in the order in which they were learnt.

    Attributes
    ----------
    known_at : (k,) datetime64[us]
        UTC, ascending.
    field_index : (k,) int64
        Position in :data:`market.quotes.FIELDS`.
    rows, assets : (k,) int64
        The cell.
    values : (k,) float64
        What it holds from then on; NaN takes a price back.

    Raises
    ------
    InvariantBroken
        When lengths differ, the instants descend, or a field is none.
    """

    known_at: DateArray
    field_index: IntArray
    rows: IntArray
    assets: IntArray
    values: FloatArray

    def __post_init__(self) -> None:
        columns = (self.known_at, self.field_index, self.rows, self.assets, self.values)
        if len({c.shape for c in columns}) != 1 or (np.diff(self.known_at) < np.timedelta64(0)).any():
            raise InvariantBroken(Code.INTERNAL, "Revisions differ in length, or are not in the order of their instants.")
        if len(self) and not (self.field_index.min() >= 0 and self.field_index.max() < len(FIELDS)):
            raise InvariantBroken(Code.INTERNAL, "A revision is of a field that no panel has.")
        for column in columns:
            readonly(column)

    def __len__(self) -> int:
        """Return the number of revisions."""
        return int(self.known_at.shape[0])

    @staticmethod
    def none() -> "Revisions":
        """Return no revisions."""
        whole = np.empty(0, dtype=np.int64)
        return Revisions(np.empty(0, dtype="datetime64[us]"), whole, whole.copy(), whole.copy(), np.empty(0))

    def known_by(self, instant: np.datetime64) -> int:
        """Return how many were known at ``instant``."""
        return int(np.searchsorted(self.known_at, instant, side="right"))

    def assets_between(self, applied: int, count: int) -> IntArray:
        """Return the assets of which revisions ``applied`` to ``count`` speak, ascending."""
        return np.unique(self.assets[applied:count])

    def apply(self, quotes: Quotes, count: int, applied: int = 0) -> Quotes:
        """Return ``quotes``, which hold the first ``applied`` revisions, with the first ``count`` applied in their order.

        The same object when there is nothing to apply.
        """
        if count == applied:
            return quotes
        cells = {}
        for position in np.unique(self.field_index[applied:count]).tolist():
            at = applied + np.flatnonzero(self.field_index[applied:count] == position)
            # Of several words on one cell the last holds: NumPy gives no promise for repeated positions, so they go.
            key = self.rows[at] * quotes.close.shape[1] + self.assets[at]
            last = at[len(at) - 1 - np.unique(key[::-1], return_index=True)[1]]
            cells[FIELDS[position]] = (self.rows[last], self.assets[last], self.values[last])
        return quotes.with_cells(cells)
