"""A market with another future: a panel that agrees with a given one in all that was known at a cut, and differs after it.

It asks no strategy anything; :mod:`market.leakage` does. Fields are not listed one by one, so that a new one is edited too, or
refused:

1. A record with a field ``known_at`` says when each of its rows was learnt. Its arrays with as many rows are dated by it, and
   so are those of a record inside it that has no ``known_at`` of its own, as the quotes have none and the revisions have one.
   Rows learnt by the cut stay as they are, the later ones are edited.
2. Fields named ``delisting_…`` are one event an asset. One that was not known at the cut is edited.
3. Instants, calendars and :data:`KNOWN_AHEAD` are published before they come: cut off where rows are, kept otherwise.
4. :data:`UNDATED`, where no ``known_at`` stands beside it, is a snapshot that says of no cell when it was learnt. It stays, and
   so nothing can be found out about it.
5. Any other array has no rule, which is an error: a field that nobody edits is a field that nobody checks.

==========  ==========================================================================================================
edit        what becomes of the later rows
==========  ==========================================================================================================
nan         every float is NaN; later delistings are gone
scale       every float is a million times itself; a later delisting pays a million times as much
shuffle     rows and assets change places, the same in all fields, so that prices and volumes still fit each other; what
            corrections say befalls other cells, and later delistings befall other assets
truncate    they are not there; later delistings are gone
==========  ==========================================================================================================

Text, whole numbers and truths have neither NaN nor a scale: of the four edits they meet the last two.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, InvariantBroken
from market.arrays import BoolArray, IntArray
from market.calendars import SessionCalendar, to_datetime64
from market.panel import NOT_DELISTED, PointInTimePanel

CLOCK = "known_at"
EVENT = "delisting_"
EVENT_ROW, EVENT_CLOCK = "delisting_index", "delisting_known_at"

KNOWN_AHEAD = frozenset({"trading"})
"""Dated arrays that exchanges publish before: which of them trades on which date."""

UNDATED = frozenset({"asset_ids", "tickers", "sectors", "countries", "exchanges", "currencies", "shares"})
"""Arrays over assets without an instant. A panel that takes them from a snapshot says ``static_lookahead``."""

SCALE_FACTOR = 1e6

Array = npt.NDArray[Any]


class Edit(StrEnum):
    """What is done to everything that was learnt after a cut."""

    NAN = "nan"
    SCALE = "scale"
    SHUFFLE = "shuffle"
    TRUNCATE = "truncate"


@dataclass(frozen=True, slots=True)
class _Change:
    """One edit, of what was learnt after ``cut`` or, as a control, of what was learnt by then."""

    cut: np.datetime64
    edit: Edit
    rng: np.random.Generator
    of_the_past: bool = False
    orders: dict[tuple[str, int], IntArray] = field(default_factory=dict)

    def rows(self, clock: Array) -> BoolArray:
        """Rows that are edited."""
        later: BoolArray = np.asarray(clock > self.cut, dtype=np.bool_)
        return ~later if self.of_the_past else later

    def order(self, axis: str, count: int) -> IntArray:
        """New places along an axis, the same for all fields; not the old ones where there is a choice."""
        if (axis, count) not in self.orders:
            drawn = self.rng.permutation(count)
            same = np.array_equal(drawn, np.arange(count))
            self.orders[axis, count] = np.roll(drawn, 1) if same else drawn
        return self.orders[axis, count]


def edit_after(panel: PointInTimePanel, cut: datetime, edit: Edit, rng: np.random.Generator) -> PointInTimePanel:
    """Return a panel that agrees with ``panel`` in all that was known at ``cut`` and differs after it.

    Parameters
    ----------
    panel : PointInTimePanel
        Stays as it is.
    cut : datetime
        Aware; what has ``known_at`` up to and including it is kept, to the bit.
    edit : Edit
        What is done to the rest.
    rng : numpy.random.Generator
        Draws the new places of ``Edit.SHUFFLE``.

    Returns
    -------
    PointInTimePanel
        A panel of its own, with nothing computed yet.

    Raises
    ------
    InputRejected
        ``date_outside_panel`` when nothing was known at ``cut``, or nothing was learnt after it.
    InvariantBroken
        When a field of the panel has no rule.
    """
    at = to_datetime64(cut)
    if not panel.known_at[0] <= at < panel.known_at[-1]:
        span = f"{panel.known_at[0]}Z and {panel.known_at[-1]}Z"
        raise InputRejected(Code.DATE_OUTSIDE_PANEL, f"A cut lies between {span}, with data on both sides; {at}Z does not.")
    edited: PointInTimePanel = _edited(panel, _Change(at, edit, rng))
    return edited


def edit_before(panel: PointInTimePanel, cut: datetime, rng: np.random.Generator) -> PointInTimePanel:
    """Return a panel whose rows known at ``cut`` have changed places, and whose later ones stay.

    What reads any price must notice. An answer that does not is either made of no data, or was not computed anew.
    """
    edited: PointInTimePanel = _edited(panel, _Change(to_datetime64(cut), Edit.SHUFFLE, rng, of_the_past=True))
    return edited


def _edited(record: Any, change: _Change, rows: BoolArray | None = None) -> Any:
    """Return a copy of a dataclass with every field edited by its rule; ``rows`` are those of the record that holds it."""
    dated = hasattr(record, CLOCK)
    if dated:
        rows = change.rows(getattr(record, CLOCK))
    changed = {}
    for f in fields(record):
        value = getattr(record, f.name)
        if f.init and f.name.startswith(EVENT) and value is not None:
            changed[f.name] = _event(record, f.name, change)
        elif f.init:
            name = f"{type(record).__name__}.{f.name}"
            snapshot = f.name in UNDATED and not dated and isinstance(value, np.ndarray)
            changed[f.name] = value if snapshot else _value(name, value, rows, change)
    return replace(record, **changed)


def _value(name: str, value: Any, rows: BoolArray | None, change: _Change) -> Any:
    if isinstance(value, np.ndarray):
        return _array(name, value, rows, change)
    if is_dataclass(value) and not isinstance(value, type | SessionCalendar):
        return _edited(value, change, rows)
    if not _is_plain(value):
        raise _no_rule(name)
    return value


def _array(name: str, values: Array, rows: BoolArray | None, change: _Change) -> Array:
    if rows is None or values.shape[:1] != rows.shape:
        raise _no_rule(name)
    if change.edit is Edit.TRUNCATE:
        return values[~rows]
    if name.rpartition(".")[2] in KNOWN_AHEAD or values.dtype.kind == "M":
        return values
    return _rows(name, values, rows, change)


def _rows(name: str, values: Array, rows: BoolArray, change: _Change) -> Array:
    """Return ``values`` (T, …) with the chosen rows edited."""
    out = values.copy()
    if change.edit is Edit.SHUFFLE:
        # a list of records whose columns all moved alike would say the same in another order
        axis = "rows" if values.ndim > 1 else name
        moved = values[np.flatnonzero(rows)[change.order(axis, int(rows.sum()))]]
        out[rows] = moved if values.ndim == 1 else moved[:, change.order("columns", values.shape[1])]
    elif values.dtype.kind == "f":
        out[rows] = np.nan if change.edit is Edit.NAN else values[rows] * SCALE_FACTOR
    return out


def _event(record: Any, name: str, change: _Change) -> Array:
    """Return one column (n,) of the delistings, edited where the event was not known at the cut."""
    values: Array = getattr(record, name)
    if change.of_the_past:
        return values
    index, clock = getattr(record, EVENT_ROW), getattr(record, EVENT_CLOCK, None)
    dated = index != NOT_DELISTED
    known = dated & (getattr(record, CLOCK)[index] <= change.cut)
    if clock is not None:
        known &= clock <= change.cut
    out = values.copy()
    if change.edit is Edit.SHUFFLE:
        open_ = np.flatnonzero(~known)
        out[open_] = values[open_[change.order("events", open_.shape[0])]]
    elif change.edit is Edit.SCALE and values.dtype.kind == "f":
        out[dated & ~known] = (1.0 + values[dated & ~known]) * SCALE_FACTOR - 1.0
    elif change.edit in {Edit.NAN, Edit.TRUNCATE}:
        out[~known] = _no_event(name, values)
    return out


def _no_event(name: str, values: Array) -> Any:
    """What stands in a column of events where there is none."""
    blanks = {"i": NOT_DELISTED, "f": np.nan, "M": np.datetime64("NaT"), "U": ""}
    if values.dtype.kind not in blanks:
        raise _no_rule(name)
    return blanks[values.dtype.kind]


def _is_plain(value: Any) -> bool:
    """Tell whether a value holds no array: words, numbers, dates, calendars, and collections of these."""
    if isinstance(value, Mapping):
        return all(_is_plain(v) for v in value.values())
    if isinstance(value, Iterable) and not isinstance(value, str | np.ndarray):
        return all(_is_plain(v) for v in value)
    return value is None or isinstance(value, str | int | float | date | SessionCalendar)


def _no_rule(name: str) -> InvariantBroken:
    return InvariantBroken(Code.INTERNAL, f"{name}: this field has no rule by which an edit could change it.")
