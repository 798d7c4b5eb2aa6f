"""The point-in-time panel: the only door to market data for scores, features and backtests.

A :class:`PointInTimePanel` holds everything that was ever learnt; :meth:`PointInTimePanel.as_of` gives a :class:`PanelView`
with what was known at one instant, as read-only arrays. It opens no file: :mod:`market.pivot` builds a panel from tables that
somebody read.

1. Rows are dates on which at least one of the panel's exchanges trades. ``known_at`` of a row is the instant at which the last
   of them has closed and the vendor's delay has passed. A view at an instant ends with the last row whose ``known_at`` is not
   later: it never holds half a date.
2. What was learnt of a cell by then stands in :class:`market.quotes.Quotes`; what was said later is a revision
   (:mod:`market.revisions`). A view applies the revisions that were known at its instant, so a later one is invisible. Without
   any, views are slices of the same memory.
3. Derived arrays (returns, dollar volume) are computed once for each state of the quotes and sliced. That leaks nothing,
   because row t of each depends on rows up to t only; whatever would not be causal in that sense is computed on the view.
4. A delisting is an event of one row (``delisting_index``) with a return of its own. A view knows it once that row is visible
   and the event was learnt; before, the asset looks like any other.
5. Tickers, sectors, countries and currencies that a ticker map dates are changes in the order of time
   (:mod:`market.assettable`): a view's table of assets shows those known at its instant. What no map dates is a snapshot, the
   same in all views. Share counts that have dates are used from then on (:mod:`market.facts`), carried over the splits since.

Prices are carried over sessions without a trade: the return is 0 there and jumps at the next trade; :attr:`PanelView.traded`
tells the truth. The delisting return is not part of the return arrays: who holds the asset books it on that session.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from types import MappingProxyType
from typing import TypeVar

import numpy as np

from crowdalpha.canonical import canonical_bytes
from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, InvariantBroken
from market.arrays import BoolArray, DateArray, FloatArray, IntArray, readonly
from market.assettable import UNKNOWN, AssetTable, AssetWords
from market.calendars import SessionCalendar, to_date, to_datetime64
from market.facts import DatedFacts
from market.quotes import Derived, Quotes
from market.revisions import Revisions

__all__ = ["NOT_DELISTED", "UNKNOWN", "AssetTable", "PanelView", "PointInTimePanel"]

_State = TypeVar("_State")

NOT_DELISTED = -1
"""``delisting_index`` of an asset without a known delisting."""

STATES_KEPT = 2
"""States of the quotes kept beside the first one: a replay moves forward, and looks back to the rounds that it resolves."""


@dataclass(frozen=True, slots=True, eq=False)
class PanelView:
    """What was known at :attr:`instant`: the decision instant of everything that is computed from it.

    Attributes
    ----------
    instant : datetime
        Aware UTC.
    assets : AssetTable
        All assets of the panel, also those not listed yet, as they were known.
    calendar : SessionCalendar
        The exchanges' sessions, which are known ahead.
    sessions : (T,) datetime64[D]
        Dates that are visible; at least one.
    known_at : (T,) datetime64[s]
        When each was learnt, UTC.
    quotes : Quotes
        Prices, volumes, splits and dividends as they were known; its arrays are attributes of the view as well.
    trading : (T, E) bool
        Which of :attr:`exchange_names` trades on which date.
    exchange_names : tuple of str
        Sorted.
    exchange_index : (n,) int64
        Position of each asset's exchange among them.
    delisting_index : (n,) int64
        Row of the session on which a delisting return is booked (the first without listing); −1 if none is known.
    delisting_return : (n,) float64
        Return from the last price to what holders got; NaN where ``delisting_index`` is −1.
    price_basis : str
        ``raw``, ``split_adjusted`` or ``total_return``: of all prices.
    flags : frozenset of str
        What a report must say of these data.
    source : str
        ``parquet``, ``synthetic`` or the name of another vendor.
    """

    instant: datetime
    assets: AssetTable
    calendar: SessionCalendar
    sessions: DateArray
    known_at: DateArray
    quotes: Quotes
    trading: BoolArray
    exchange_names: tuple[str, ...]
    exchange_index: IntArray
    delisting_index: IntArray
    delisting_return: FloatArray
    price_basis: str
    flags: frozenset[str]
    source: str
    _derived: Derived = field(repr=False)

    @property
    def open(self) -> FloatArray:
        """(T, n): see :class:`market.quotes.Quotes`."""
        return self.quotes.open

    @property
    def close(self) -> FloatArray:
        """(T, n): see :class:`market.quotes.Quotes`."""
        return self.quotes.close

    @property
    def volume(self) -> FloatArray:
        """(T, n): see :class:`market.quotes.Quotes`."""
        return self.quotes.volume

    @property
    def splits(self) -> FloatArray | None:
        """(T, n) or None: see :class:`market.quotes.Quotes`."""
        return self.quotes.splits

    @property
    def dividends(self) -> FloatArray | None:
        """(T, n) or None: see :class:`market.quotes.Quotes`."""
        return self.quotes.dividends

    @property
    def last_session(self) -> date:
        """The last visible session."""
        return to_date(self.sessions[-1])

    def index_of(self, session: date) -> int:
        """Return the row of ``session``; raises InputRejected ``date_outside_panel`` when it is not visible."""
        return _row_of(self.sessions, session)

    @property
    def traded(self) -> BoolArray:
        """(T, n) bool: a price on that session, and a volume above zero; or an unknown one, where a source has none."""
        return self._derived.traded[: len(self.sessions)]

    def total_returns(self) -> FloatArray:
        """Return close-to-close total returns (T, n) in the fund's currency.

        NaN up to and including the first price; 0 on a session without one, but for a dividend; the whole move since the last
        price on the next session that has one. Row t is the return from t−1 to t.
        """
        return self._derived.total[: len(self.sessions)]

    def paid_out(self, row: int) -> FloatArray:
        """Return what the dividends of the visible session at ``row`` add to its total returns, (n,); 0 for none.

        A book in shares gets them in cash: its shares return the rest.
        """
        return self._derived.paid_out(range(len(self.sessions))[row])

    def share_prices(self, row: int) -> FloatArray:
        """Return prices of one share at the visible session at ``row``, (n,), carried over sessions without a trade.

        In the fund's currency at that session's rate; NaN before the first price.
        """
        return self._derived.share_prices(range(len(self.sessions))[row])

    def shares_grown(self, row: int) -> FloatArray:
        """Return what one share of the panel's first session has become by splits at the visible session at ``row``, (n,)."""
        return self._derived.shares_grown(range(len(self.sessions))[row])

    def return_index(self) -> FloatArray:
        """Return what one share of each first price is worth with everything reinvested (T, n); NaN without a price.

        It is adjusted forward from the first price, so its level tells nothing of a later split or dividend.
        """
        return self._derived.index[: len(self.sessions)]

    def overnight_returns(self) -> FloatArray:
        """Return previous close to open (T, n), with dividends, splits and currency; (1+overnight)(1+intraday) = 1+total."""
        return self._derived.overnight[: len(self.sessions)]

    def intraday_returns(self) -> FloatArray:
        """Return open to close (T, n); NaN before the first price, 0 on a later session without one."""
        return self._derived.intraday[: len(self.sessions)]

    def dollar_volume(self) -> FloatArray:
        """Return close × volume (T, n) in the fund's currency; 0 where nothing was traded, also before the listing."""
        return self._derived.dollar_volume[: len(self.sessions)]

    def market_cap(self) -> FloatArray:
        """Return shares × last price (T, n) in the fund's currency; NaN where either is unknown."""
        return self._derived.market_cap[: len(self.sessions)]

    def history_sessions(self) -> IntArray:
        """Return for each asset (n,) the number of visible sessions since its first price, that one included."""
        return np.maximum(len(self.sessions) - self._derived.first_row, 0)


@dataclass(frozen=True, slots=True, eq=False)
class PointInTimePanel:
    """Everything that was learnt about a market; see :class:`PanelView` for the fields that both share.

    Attributes
    ----------
    quotes : Quotes
        What was known of each row at its own ``known_at``.
    revisions : Revisions
        What was learnt of it later.
    delisting_known_at : (n,) datetime64[us] or None
        When each delisting was learnt; None where each was with its row.
    trading : (T, E) bool or None
        None where all exchanges trade on all rows.
    fx : (T, n) float64 or None
        Value of one unit of each asset's currency in the fund's; None where all are the fund's own.
    words : AssetWords
        Changes of tickers, sectors, countries and currencies; :attr:`assets` holds what no change speaks of.
    share_counts : DatedFacts or None
        Shares outstanding, each count as of its date, before later splits.
    notes : mapping of str to int
        What was counted while the panel was built, such as rows left out.

    Raises
    ------
    InvariantBroken
        When shapes differ, sessions or ``known_at`` do not ascend, or a delisting event is not whole.
    """

    assets: AssetTable
    calendar: SessionCalendar
    sessions: DateArray
    known_at: DateArray
    quotes: Quotes
    delisting_index: IntArray
    delisting_return: FloatArray
    price_basis: str
    flags: frozenset[str]
    source: str
    revisions: Revisions = field(default_factory=Revisions.none)
    delisting_known_at: DateArray | None = None
    trading: BoolArray | None = None
    fx: FloatArray | None = None
    words: AssetWords = field(default_factory=AssetWords.none)
    share_counts: DatedFacts | None = None
    notes: Mapping[str, int] = field(default_factory=dict)
    _states: dict[int, tuple[Quotes, Derived]] = field(init=False, repr=False)
    _tables: dict[int, AssetTable] = field(init=False, repr=False)
    _exchanges: tuple[tuple[str, ...], IntArray, BoolArray] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names, index = np.unique(self.assets.exchanges, return_inverse=True)
        trading = np.ones((len(self.sessions), len(names)), dtype=np.bool_) if self.trading is None else self.trading
        self._check(trading, len(names))
        held = (self.sessions, self.known_at, self.delisting_index, self.delisting_return, trading, self.fx)
        for array in (*held, self.delisting_known_at):
            if array is not None:
                readonly(array)
        object.__setattr__(self, "notes", MappingProxyType(dict(self.notes)))
        object.__setattr__(self, "_exchanges", (tuple(names.tolist()), readonly(index.astype(np.int64)), trading))
        object.__setattr__(self, "_states", {0: (self.quotes, Derived(self.quotes, self._shares, self.fx))})
        object.__setattr__(self, "_tables", {0: self.assets})

    def _check(self, trading: BoolArray, exchanges: int) -> None:
        shape = (self.sessions.shape[0], len(self.assets))
        wide = [self.quotes.close] + ([] if self.fx is None else [self.fx])
        if any(m.shape != shape for m in wide) or self.known_at.shape != self.sessions.shape:
            raise InvariantBroken(Code.INTERNAL, "The panel's arrays differ in shape.")
        if trading.shape != (shape[0], exchanges):
            raise InvariantBroken(Code.INTERNAL, "The panel does not say of each exchange on which dates it trades.")
        for clock in (self.sessions, self.known_at):
            if (np.diff(clock) <= np.timedelta64(0)).any():
                raise InvariantBroken(Code.INTERNAL, "The panel's sessions or instants do not ascend.")
        gone = self.delisting_index != NOT_DELISTED
        fits = (self.delisting_index >= NOT_DELISTED) & (self.delisting_index < shape[0])
        if not fits.all() or (gone != np.isfinite(self.delisting_return)).any():
            raise InvariantBroken(Code.INTERNAL, "A delisting names no session of the panel, or lacks its return.")
        if len(self.revisions) and (self.revisions.rows.max() >= shape[0] or self.revisions.assets.max() >= shape[1]):
            raise InvariantBroken(Code.INTERNAL, "A revision is of a cell that the panel does not have.")
        if len(self.words) and self.words.assets.max() >= shape[1]:
            raise InvariantBroken(Code.INTERNAL, "A word is about an asset that the panel does not have.")

    @property
    def close(self) -> FloatArray:
        """(T, n) closes as first learnt: for reports and checks; whatever decides takes a view."""
        return self.quotes.close

    @property
    def first_session(self) -> date:
        """The first session of the panel."""
        return to_date(self.sessions[0])

    @property
    def last_session(self) -> date:
        """The last session of the panel."""
        return to_date(self.sessions[-1])

    @property
    def exchange_names(self) -> tuple[str, ...]:
        """The exchanges of the panel's assets, sorted."""
        return self._exchanges[0]

    def index_of(self, session: date) -> int:
        """Return the row of ``session``; raises InputRejected ``date_outside_panel`` when the panel lacks it."""
        return _row_of(self.sessions, session)

    def as_of(self, instant: datetime) -> PanelView:
        """Return what was known at ``instant``.

        Parameters
        ----------
        instant : datetime
            Aware; rows, revisions and delistings with ``known_at`` not later than it are visible.

        Raises
        ------
        InputRejected
            ``date_outside_panel`` when nothing was known yet.
        """
        at = to_datetime64(instant)
        count, revised, _, told = self.knowledge_at(instant)
        if count == 0:
            raise InputRejected(Code.DATE_OUTSIDE_PANEL, f"The panel knows nothing before {instant.isoformat()}.")
        quotes, derived = self._state(revised)
        visible = self.delisting_index < count
        if self.delisting_known_at is not None:
            visible &= self.delisting_known_at <= at
        names, index, trading = self._exchanges
        return PanelView(
            instant=instant,
            assets=self._table(told),
            calendar=self.calendar,
            sessions=self.sessions[:count],
            known_at=self.known_at[:count],
            quotes=quotes.first_rows(count),
            trading=trading[:count],
            exchange_names=names,
            exchange_index=index,
            delisting_index=readonly(np.where(visible, self.delisting_index, NOT_DELISTED)),
            delisting_return=readonly(np.where(visible, self.delisting_return, np.nan)),
            price_basis=self.price_basis,
            flags=self.flags,
            source=self.source,
            _derived=derived,
        )

    def knowledge_at(self, instant: datetime) -> tuple[int, int, int, int]:
        """Return how many rows, revisions, delistings and words about assets were known at ``instant``.

        All four only grow, so two instants with the same numbers have views of the same bytes.
        """
        at = to_datetime64(instant)
        learnt = self.delisting_known_at
        gone = 0 if learnt is None else int(np.count_nonzero(learnt <= at))
        rows = int(np.searchsorted(self.known_at, at, side="right"))
        return rows, self.revisions.known_by(at), gone, self.words.known_by(at)

    def _state(self, revised: int) -> tuple[Quotes, Derived]:
        """Return quotes with so many revisions applied, and what follows from them."""
        found = self._states.get(revised)
        if found is None:
            applied = max(count for count in self._states if count < revised)
            former, derived = self._states[applied]
            quotes = self.revisions.apply(former, revised, applied)
            found = quotes, derived.revised(quotes, self.revisions.assets_between(applied, revised))
            # One assignment: a thread that reads meanwhile sees the former states or these.
            object.__setattr__(self, "_states", {**_latest(self._states), revised: found})
        return found

    def _table(self, count: int) -> AssetTable:
        """Return what the assets are by the snapshot and the first ``count`` words."""
        found = self._tables.get(count)
        if found is None:
            found = self.words.applied(self.assets, count)
            object.__setattr__(self, "_tables", {**_latest(self._tables), count: found})
        return found

    def _shares(self, grown: FloatArray | None) -> FloatArray:
        """Return shares before the first split, (n,) or by row; ``grown`` is what one share has become by splits."""
        counts, ids = self.share_counts, self.assets.asset_ids
        if counts is None:
            return self.assets.shares
        values = counts.values
        if grown is not None:
            place = np.searchsorted(ids, counts.asset_ids).clip(max=len(ids) - 1)
            row = np.searchsorted(self.sessions, counts.dates, side="right") - 1
            values = np.where(row >= 0, values / grown[row.clip(min=0), place], values)
        static = self.assets.shares
        return np.where(np.isnan(static), counts.by_row(ids, self.known_at, values), static)

    def with_flags(self, flags: Iterable[str]) -> "PointInTimePanel":
        """Return the same panel with ``flags`` added to what a report must say of it."""
        return replace(self, flags=self.flags | frozenset(flags))

    def content_hash(self) -> str:
        """Return the SHA-256 over everything that the panel says, in hexadecimal; equal panels have equal hashes."""
        digest = hashlib.sha256()
        words = [getattr(self.assets, f.name).tolist() for f in fields(self.assets) if f.name != "shares"]
        head = {
            "price_basis": self.price_basis,
            "flags": sorted(self.flags),
            "source": self.source,
            "exchange": self.calendar.exchange,
            "assets": words,
            "shape": [int(s) for s in self.quotes.close.shape],
            "arrays": sorted(self.quotes.arrays()),
        }
        digest.update(canonical_bytes(head))
        numbers = [*self.quotes.arrays().values(), self.assets.shares, self.delisting_return, self.revisions.values, self.fx]
        for array in numbers:
            digest.update(b"none" if array is None else np.ascontiguousarray(array, dtype="<f8").data)
        r = self.revisions
        late = (r.known_at, r.field_index, r.rows, r.assets)
        for whole in (self.sessions, self.known_at, self.delisting_index, self.delisting_known_at, self._exchanges[2], *late):
            digest.update(b"none" if whole is None else np.ascontiguousarray(whole.astype("<i8")).data)
        if len(self.words):
            digest.update(canonical_bytes(self.words.plain()))
        if self.share_counts is not None:
            digest.update(canonical_bytes(self.share_counts.plain()))
        return digest.hexdigest()


def _latest(states: Mapping[int, _State]) -> dict[int, _State]:
    """Return the first state and the few that were made last."""
    late = [item for item in states.items() if item[0] != 0][-(STATES_KEPT - 1) :]
    return {0: states[0], **dict(late)}


def _row_of(sessions: DateArray, session: date) -> int:
    at = int(np.searchsorted(sessions, np.datetime64(session, "D")))
    if at >= sessions.shape[0] or to_date(sessions[at]) != session:
        reach = f"{sessions[0]} to {sessions[-1]}"
        raise InputRejected(Code.DATE_OUTSIDE_PANEL, f"{session.isoformat()} is not among the sessions {reach}.")
    return at
