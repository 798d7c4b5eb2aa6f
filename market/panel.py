"""The point-in-time panel: the only door to market data for scores, features and backtests.

A :class:`PointInTimePanel` holds everything that was ever learnt; :meth:`PointInTimePanel.as_of` gives a :class:`PanelView`
with what was known at one instant, as read-only slices of the same memory. It opens no file: :mod:`market.pivot` builds a
panel from a table that somebody read.

1. ``known_at`` of a session is its close plus the vendor's delay. A view at an instant ends with the last session whose
   ``known_at`` is not later.
2. Derived arrays (returns, dollar volume) are computed once on the whole panel and sliced. That leaks nothing, because row t
   of each depends on rows up to t only; whatever would not be causal in that sense is computed on the view instead.
3. A delisting is an event of one session (``delisting_index``) with a return of its own. A view knows it once that session
   is visible; before, the asset looks like any other.

Prices are carried over sessions without a trade: the return is 0 there and jumps at the next trade; :attr:`PanelView.traded`
tells the truth. The delisting return is not part of the return arrays: who holds the asset books it on that session.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from crowdalpha.canonical import canonical_bytes
from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, InvariantBroken
from market.arrays import BoolArray, DateArray, FloatArray, IntArray, StrArray, readonly
from market.calendars import SessionCalendar, to_date, to_datetime64

if TYPE_CHECKING:
    import pandas as pd

NOT_DELISTED = -1
"""``delisting_index`` of an asset without a known delisting."""

UNKNOWN = "unknown"
"""Sector or country of an asset that the metadata does not place."""


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
    shares : (n,) float64
        Shares outstanding on the price basis of the panel's ``close`` (for a raw basis: before the first split of the
        panel's ``splits``); NaN where unknown.
    """

    asset_ids: StrArray
    tickers: StrArray
    sectors: StrArray
    countries: StrArray
    shares: FloatArray

    def __post_init__(self) -> None:
        columns = (self.asset_ids, self.tickers, self.sectors, self.countries, self.shares)
        if len({c.shape for c in columns}) != 1 or self.asset_ids.ndim != 1:
            raise InvariantBroken(Code.INTERNAL, "The columns of an asset table differ in length.")
        if (self.asset_ids[1:] <= self.asset_ids[:-1]).any():
            raise InvariantBroken(Code.INTERNAL, "The asset ids are not sorted, or repeat.")
        for column in columns:
            readonly(column)

    def __len__(self) -> int:
        """Return the number of assets."""
        return int(self.asset_ids.shape[0])


def _carried(prices: FloatArray) -> FloatArray:
    """Prices (T, n) carried forward over NaN; row t depends on rows up to t."""
    gaps = np.isnan(prices)
    if not gaps.any():
        return prices
    rows = np.arange(prices.shape[0])[:, None]
    last = np.maximum.accumulate(np.where(gaps, 0, rows), axis=0)
    return np.take_along_axis(prices, last, axis=0)


class _Derived:
    """Lazily computed arrays of a whole panel, each (T, n) and causal in t; views slice them."""

    __slots__ = ("_cache", "_raw")

    def __init__(self, raw: Mapping[str, FloatArray]) -> None:
        self._raw = raw
        self._cache: dict[str, Any] = {}

    def _once(self, name: str, compute: Callable[[], Any]) -> Any:
        if name not in self._cache:
            self._cache[name] = readonly(compute())
        return self._cache[name]

    @property
    def traded(self) -> BoolArray:
        out: BoolArray = self._once("traded", lambda: np.isfinite(self._raw["close"]) & (self._raw["volume"] > 0))
        return out

    @property
    def total(self) -> FloatArray:
        out: FloatArray = self._once("total", self._total)
        return out

    def _total(self) -> FloatArray:
        price = _carried(self._raw["adj_close"])
        out = np.full_like(price, np.nan)
        out[1:] = price[1:] / price[:-1] - 1.0
        return out

    @property
    def intraday(self) -> FloatArray:
        out: FloatArray = self._once("intraday", self._intraday)
        return out

    def _intraday(self) -> FloatArray:
        # the adjustment factor of a session is common to its open and close, so it cancels
        out = self._raw["close"] / self._raw["open"] - 1.0
        listed = np.maximum.accumulate(np.isfinite(self._raw["close"]), axis=0)
        out[np.isnan(out) & listed] = 0.0
        return out

    @property
    def overnight(self) -> FloatArray:
        out: FloatArray = self._once("overnight", lambda: (1.0 + self.total) / (1.0 + self.intraday) - 1.0)
        return out

    @property
    def dollar_volume(self) -> FloatArray:
        def compute() -> FloatArray:
            return np.nan_to_num(self._raw["close"] * self._raw["volume"], copy=False, nan=0.0)

        out: FloatArray = self._once("dollar_volume", compute)
        return out

    @property
    def market_cap(self) -> FloatArray:
        out: FloatArray = self._once("market_cap", self._market_cap)
        return out

    def _market_cap(self) -> FloatArray:
        cap = _carried(self._raw["close"]) * self._raw["shares"]
        # a split moves the carried price only at the next trade, and the share count with it
        return cap * np.cumprod(self._raw["splits"], axis=0) if "splits" in self._raw else cap

    @property
    def first_row(self) -> IntArray:
        """(n,) row of the first price; T for an asset that never had one. A view compares it with its own end."""

        def compute() -> IntArray:
            priced = np.isfinite(self._raw["close"])
            first: IntArray = np.where(priced.any(axis=0), priced.argmax(axis=0), priced.shape[0]).astype(np.int64)
            return first

        out: IntArray = self._once("first_row", compute)
        return out


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
        The exchange's sessions, which are known ahead.
    sessions : (T,) datetime64[D]
        Sessions that are visible; at least one.
    known_at : (T,) datetime64[s]
        When each was learnt, UTC.
    open, close, adj_close : (T, n) float64
        Currency units; NaN where there was no price. ``adj_close`` carries splits and dividends.
    volume : (T, n) float64
        Shares, on the price basis; NaN where there was no price.
    splits : (T, n) float64 or None
        New shares for each old one, effective at that session's open (1 for none); None on an adjusted basis.
    delisting_index : (n,) int64
        Row of the session on which a delisting return is booked (the first without listing); −1 if none is known.
    delisting_return : (n,) float64
        Return from the last price to what holders got; NaN where ``delisting_index`` is −1.
    price_basis : str
        ``raw``, ``split_adjusted`` or ``total_return``: of ``open`` and ``close``.
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
    open: FloatArray
    close: FloatArray
    adj_close: FloatArray
    volume: FloatArray
    splits: FloatArray | None
    delisting_index: IntArray
    delisting_return: FloatArray
    price_basis: str
    flags: frozenset[str]
    source: str
    _derived: _Derived = field(repr=False)

    @property
    def last_session(self) -> date:
        """The last visible session."""
        return to_date(self.sessions[-1])

    def index_of(self, session: date) -> int:
        """Return the row of ``session``; raises InputRejected ``date_outside_panel`` when it is not visible."""
        return _row_of(self.sessions, session)

    @property
    def traded(self) -> BoolArray:
        """(T, n) bool: a price and a volume above zero on that session."""
        return self._derived.traded[: len(self.sessions)]

    def total_returns(self) -> FloatArray:
        """Return close-to-close total returns (T, n), from ``adj_close``.

        NaN up to and including the first price; 0 on a session without one; the whole move since the last price on the next
        session that has one. Row t is the return from t−1 to t.
        """
        return self._derived.total[: len(self.sessions)]

    def overnight_returns(self) -> FloatArray:
        """Return previous close to open (T, n), with dividends and splits; (1+overnight)(1+intraday) = 1+total."""
        return self._derived.overnight[: len(self.sessions)]

    def intraday_returns(self) -> FloatArray:
        """Return open to close (T, n); NaN before the first price, 0 on a later session without one."""
        return self._derived.intraday[: len(self.sessions)]

    def dollar_volume(self) -> FloatArray:
        """Return close × volume (T, n), currency units; 0 where nothing was traded, also before the listing."""
        return self._derived.dollar_volume[: len(self.sessions)]

    def market_cap(self) -> FloatArray:
        """Return shares × last price (T, n), currency units; NaN where either is unknown."""
        return self._derived.market_cap[: len(self.sessions)]

    def history_sessions(self) -> IntArray:
        """Return for each asset (n,) the number of visible sessions since its first price, that one included."""
        return np.maximum(len(self.sessions) - self._derived.first_row, 0)


@dataclass(frozen=True, slots=True, eq=False)
class PointInTimePanel:
    """Everything that was learnt about a market; see :class:`PanelView` for the fields that both share.

    Attributes
    ----------
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
    open: FloatArray
    close: FloatArray
    adj_close: FloatArray
    volume: FloatArray
    delisting_index: IntArray
    delisting_return: FloatArray
    price_basis: str
    flags: frozenset[str]
    source: str
    splits: FloatArray | None = None
    notes: Mapping[str, int] = field(default_factory=dict)
    _derived: _Derived = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._check()
        raw = {"open": self.open, "close": self.close, "adj_close": self.adj_close, "volume": self.volume}
        raw["shares"] = self.assets.shares
        if self.splits is not None:
            raw["splits"] = self.splits
        for array in (*raw.values(), self.sessions, self.known_at, self.delisting_index, self.delisting_return):
            readonly(array)
        object.__setattr__(self, "notes", MappingProxyType(dict(self.notes)))
        object.__setattr__(self, "_derived", _Derived(raw))

    def _check(self) -> None:
        shape = (self.sessions.shape[0], len(self.assets))
        matrices = [self.open, self.close, self.adj_close, self.volume] + ([] if self.splits is None else [self.splits])
        if any(m.shape != shape for m in matrices) or self.known_at.shape != self.sessions.shape:
            raise InvariantBroken(Code.INTERNAL, "The panel's arrays differ in shape.")
        for clock in (self.sessions, self.known_at):
            if (np.diff(clock) <= np.timedelta64(0)).any():
                raise InvariantBroken(Code.INTERNAL, "The panel's sessions or instants do not ascend.")
        gone = self.delisting_index != NOT_DELISTED
        fits = (self.delisting_index >= NOT_DELISTED) & (self.delisting_index < shape[0])
        if not fits.all() or (gone != np.isfinite(self.delisting_return)).any():
            raise InvariantBroken(Code.INTERNAL, "A delisting names no session of the panel, or lacks its return.")

    @property
    def first_session(self) -> date:
        """The first session of the panel."""
        return to_date(self.sessions[0])

    @property
    def last_session(self) -> date:
        """The last session of the panel."""
        return to_date(self.sessions[-1])

    def index_of(self, session: date) -> int:
        """Return the row of ``session``; raises InputRejected ``date_outside_panel`` when the panel lacks it."""
        return _row_of(self.sessions, session)

    def as_of(self, instant: datetime) -> PanelView:
        """Return what was known at ``instant``: slices, no copies of prices.

        Parameters
        ----------
        instant : datetime
            Aware; rows with ``known_at`` not later than it are visible.

        Raises
        ------
        InputRejected
            ``date_outside_panel`` when nothing was known yet.
        """
        count = int(np.searchsorted(self.known_at, to_datetime64(instant), side="right"))
        if count == 0:
            raise InputRejected(Code.DATE_OUTSIDE_PANEL, f"The panel knows nothing before {instant.isoformat()}.")
        visible = self.delisting_index < count
        return PanelView(
            instant=instant,
            assets=self.assets,
            calendar=self.calendar,
            sessions=self.sessions[:count],
            known_at=self.known_at[:count],
            open=self.open[:count],
            close=self.close[:count],
            adj_close=self.adj_close[:count],
            volume=self.volume[:count],
            splits=None if self.splits is None else self.splits[:count],
            delisting_index=readonly(np.where(visible, self.delisting_index, NOT_DELISTED)),
            delisting_return=readonly(np.where(visible, self.delisting_return, np.nan)),
            price_basis=self.price_basis,
            flags=self.flags,
            source=self.source,
            _derived=self._derived,
        )

    def with_flags(self, flags: Iterable[str]) -> "PointInTimePanel":
        """Return the same panel with ``flags`` added to what a report must say of it."""
        return replace(self, flags=self.flags | frozenset(flags))

    def content_hash(self) -> str:
        """Return the SHA-256 over everything that the panel says, in hexadecimal; equal panels have equal hashes."""
        digest = hashlib.sha256()
        head = {
            "price_basis": self.price_basis,
            "flags": sorted(self.flags),
            "source": self.source,
            "exchange": self.calendar.exchange,
            "assets": [self.assets.asset_ids.tolist(), self.assets.tickers.tolist()],
            "labels": [self.assets.sectors.tolist(), self.assets.countries.tolist()],
            "shape": [int(s) for s in self.open.shape],
        }
        digest.update(canonical_bytes(head))
        arrays = [self.assets.shares, self.open, self.close, self.adj_close, self.volume, self.delisting_return]
        for array in arrays + ([] if self.splits is None else [self.splits]):
            digest.update(np.ascontiguousarray(array, dtype="<f8").data)
        for whole in (self.sessions, self.known_at, self.delisting_index):
            digest.update(np.ascontiguousarray(whole.astype("<i8")).data)
        return digest.hexdigest()


def _row_of(sessions: DateArray, session: date) -> int:
    at = int(np.searchsorted(sessions, np.datetime64(session, "D")))
    if at >= sessions.shape[0] or to_date(sessions[at]) != session:
        reach = f"{sessions[0]} to {sessions[-1]}"
        raise InputRejected(Code.DATE_OUTSIDE_PANEL, f"{session.isoformat()} is not among the sessions {reach}.")
    return at


def build_panel(
    prices: "Any | pd.DataFrame",
    meta: "Any | pd.DataFrame | None",
    calendar: SessionCalendar,
    vendor_delay_minutes: int = 60,
    source: str = "parquet",
    price_basis: str = "split_adjusted",
) -> PointInTimePanel:
    """Build a panel from a long price table; see :func:`market.pivot.build_panel`, which this calls."""
    from market.pivot import build_panel as build

    return build(prices, meta, calendar, vendor_delay_minutes, source, price_basis)
