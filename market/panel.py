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

Prices are carried over sessions without a trade: the return is 0 there and jumps at the next trade; :attr:`PanelView.traded`
tells the truth. The delisting return is not part of the return arrays: who holds the asset books it on that session.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from types import MappingProxyType

import numpy as np

from crowdalpha.canonical import canonical_bytes
from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, InvariantBroken
from market.arrays import BoolArray, DateArray, FloatArray, IntArray, StrArray, readonly
from market.calendars import SessionCalendar, to_date, to_datetime64
from market.quotes import Derived, Quotes
from market.revisions import Revisions

NOT_DELISTED = -1
"""``delisting_index`` of an asset without a known delisting."""

UNKNOWN = "unknown"
"""Sector, country, exchange or currency of an asset that nothing places."""

STATES_KEPT = 2
"""States of the quotes kept beside the first one: a replay moves forward, and looks back to the rounds that it resolves."""


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
        panel's ``splits``); NaN where unknown.
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
class PanelView:
    """What was known at :attr:`instant`: the decision instant of everything that is computed from it.

    Attributes
    ----------
    instant : datetime
        Aware UTC.
    assets : AssetTable
        All assets of the panel, also those not listed yet.
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
    notes: Mapping[str, int] = field(default_factory=dict)
    _states: dict[int, tuple[Quotes, Derived]] = field(init=False, repr=False)
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
        object.__setattr__(self, "_states", {0: (self.quotes, Derived(self.quotes, self.assets.shares, self.fx))})

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
        count = int(np.searchsorted(self.known_at, at, side="right"))
        if count == 0:
            raise InputRejected(Code.DATE_OUTSIDE_PANEL, f"The panel knows nothing before {instant.isoformat()}.")
        quotes, derived = self._state(self.revisions.known_by(at))
        visible = self.delisting_index < count
        if self.delisting_known_at is not None:
            visible &= self.delisting_known_at <= at
        names, index, trading = self._exchanges
        return PanelView(
            instant=instant,
            assets=self.assets,
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

    def _state(self, revised: int) -> tuple[Quotes, Derived]:
        """Return quotes with so many revisions applied, and what follows from them."""
        found = self._states.get(revised)
        if found is None:
            quotes = self.revisions.apply(self.quotes, revised)
            found = quotes, Derived(quotes, self.assets.shares, self.fx)
            # One assignment: a thread that reads meanwhile sees the former states or these.
            late = [item for item in self._states.items() if item[0] != 0][-(STATES_KEPT - 1) :]
            object.__setattr__(self, "_states", {0: self._states[0], **dict(late), revised: found})
        return found

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
        return digest.hexdigest()


def _row_of(sessions: DateArray, session: date) -> int:
    at = int(np.searchsorted(sessions, np.datetime64(session, "D")))
    if at >= sessions.shape[0] or to_date(sessions[at]) != session:
        reach = f"{sessions[0]} to {sessions[-1]}"
        raise InputRejected(Code.DATE_OUTSIDE_PANEL, f"{session.isoformat()} is not among the sessions {reach}.")
    return at
