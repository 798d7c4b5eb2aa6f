"""From a long price table to a dense panel, and back. Reads and writes no file: the shell does.

1. Name every missing column at once.
2. Turn tickers and dates into whole numbers.
3. Go through the rows in parts, so that beside the table and the panel little is held: leave out, and count, rows that are no
   sessions or no prices, and write each column into a (sessions × assets) array by position.
4. Refuse a table with two rows for one asset and session; cut off sessions before the first and after the last price. A
   vendor's adjusted closes are not kept: what they say of dividends is (:mod:`market.dividends`), because their levels tell of
   events to come.
5. Join the metadata by ticker, delistings among them where the table dates them. They are a snapshot, so the panel says
   ``static_lookahead``.
6. Set ``known_at`` to the session's close plus the vendor's declared delay. The rows are a backfill, so the panel says
   ``assumed``.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import Finding, InputRejected
from market.arrays import BoolArray, DateArray, FloatArray, IntArray, StrArray
from market.calendars import SessionCalendar
from market.dividends import inferred_dividends
from market.panel import NOT_DELISTED, UNKNOWN, AssetTable, PointInTimePanel
from market.quality import priced_rows, refuse_duplicates
from market.quotes import Quotes

if TYPE_CHECKING:
    import pandas as pd

PRICE_COLUMNS = ("ticker", "date", "open", "close", "volume")
ADJUSTED_COLUMN, DIVIDEND_COLUMN = "adj_close", "dividend"
"""One of the two must be there: adjusted for splits and dividends; or the dividend a share on its ex-date, 0 for none."""

META_COLUMNS = ("ticker", "sector", "listing_country", "shares_out_approx")

_ARRAYS = {"split": "splits", "dividend": "dividends"}

SPLIT_COLUMN = "split"
"""Optional column of prices on a raw basis: new shares for each old one from this session on; 1 or empty for none."""

DELISTING_COLUMNS = ("delisted_on", "delisting_return")
"""Optional columns of the metadata: the session (ISO text, empty for none) that books the return, and that return."""

AS_OF = "as_of"
"""Optional column of the metadata: the date of the share count. A count that has one says nothing of the time before it."""

PART_ROWS = 1 << 20
"""Rows of a long table that are turned into numbers at a time."""

DIVIDEND_ASSETS = 512
"""Assets whose dividends are inferred at a time: that takes several arrays of its own."""

NO_SESSION = -1


class _Part(NamedTuple):
    """Rows that are prices: positions of session and asset, and the columns by name."""

    at: IntArray
    code: IntArray
    values: dict[str, FloatArray]


def _as_table(data: Any, columns: Sequence[str], optional: Sequence[str], code: Code, what: str) -> Any:
    import pyarrow as pa

    names = [str(name) for name in (data.column_names if isinstance(data, pa.Table) else data.columns)]
    missing = [name for name in columns if name not in names]
    if missing:
        findings = [Finding(code, f"The column {name} is missing.", column=name) for name in missing]
        raise InputRejected(code, f"The {what} lack the columns {', '.join(missing)}.", findings)
    wanted = [*columns, *(name for name in optional if name in names)]
    if isinstance(data, pa.Table):
        return data.select(wanted)
    try:
        return pa.Table.from_pandas(data[wanted], preserve_index=False)
    except pa.ArrowException as error:
        raise InputRejected(code, f"The {what} mix kinds of values in one column.") from error


def _column(table: Any, name: str, kind: Any, code: Code) -> Any:
    """One column as a single Arrow array of ``kind``; a cell that is no such value refuses the table."""
    import pyarrow as pa

    column = table.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        return column.cast(kind, safe=kind != pa.float64()).combine_chunks()
    except pa.ArrowException as error:
        finding = Finding(code, f"The column {name} holds a value that is no {kind}.", column=name)
        raise InputRejected(code, f"The column {name} cannot be read as {kind}.", [finding]) from error


def _numbers(array: Any) -> FloatArray:
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.float64)


def _ticker_codes(column: Any) -> tuple[StrArray, Any]:
    """Sorted labels and, for each row, the position of its label; dictionary codes spare four million comparisons."""
    import pyarrow as pa

    column = column.unify_dictionaries().combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks else pa.array([], pa.string())
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    if column.null_count:
        raise InputRejected(Code.PRICES_INVALID, f"{column.null_count} rows have no ticker.")
    labels = np.asarray(column.dictionary.to_pylist(), dtype=np.str_)
    tickers, place = np.unique(labels, return_inverse=True)
    return tickers, place.astype(np.int32)[column.indices.to_numpy()]


class _Prices:
    """A long price table as numbers, and what was left out of it."""

    def __init__(self, prices: Any, calendar: SessionCalendar) -> None:
        import pyarrow as pa

        named = [str(name) for name in getattr(prices, "column_names", getattr(prices, "columns", ()))]
        paying = DIVIDEND_COLUMN if DIVIDEND_COLUMN in named else ADJUSTED_COLUMN
        self.table = _as_table(prices, (*PRICE_COLUMNS, paying), (SPLIT_COLUMN,), Code.PRICES_COLUMNS, "prices")
        if self.table.num_rows == 0:
            raise InputRejected(Code.PRICES_INVALID, "The price table holds no row.")
        self.calendar = calendar
        self.tickers, self.code = _ticker_codes(self.table.column("ticker"))
        days = _column(self.table, "date", pa.date32(), Code.PRICES_INVALID)
        if days.null_count:
            raise InputRejected(Code.PRICES_INVALID, f"{days.null_count} rows have no date.")
        self.day = days.view(pa.int32()).to_numpy()
        self.notes = dict.fromkeys(("rows_not_prices", "rows_untraded", "rows_not_sessions"), 0)
        self.used = 0

    @property
    def columns(self) -> list[str]:
        """Names of the columns of numbers."""
        return [name for name in self.table.column_names if name not in PRICE_COLUMNS[:2]]

    def parts(self, first: int) -> Iterator[_Part]:
        """Yield the rows that are prices; positions of sessions count from the calendar's ``first``."""
        import pyarrow as pa

        self.notes = dict.fromkeys(self.notes, 0)
        self.used = 0
        reach = [np.iinfo(np.int32).max, np.iinfo(np.int32).min]
        for lo in range(0, self.table.num_rows, PART_ROWS):
            rows = self.table.slice(lo, PART_ROWS)
            values = {name: _numbers(_column(rows, name, pa.float64(), Code.PRICES_INVALID)) for name in self.columns}
            code, day = self.code[lo : lo + PART_ROWS], self.day[lo : lo + PART_ROWS]
            # Where dividends are given there is no adjusted close to judge: the close stands for it.
            adjusted = values.get(ADJUSTED_COLUMN, values["close"])
            good = priced_rows(values["open"], values["close"], adjusted, values["volume"])
            # A quote without a trade is no price: stale and mistaken quotes stand for weeks beside a volume of zero.
            traded = good & (values["volume"] > 0)
            self.notes["rows_not_prices"] += int((~good).sum())
            self.notes["rows_untraded"] += int((good & ~traded).sum())
            if traded.any():
                reach = [min(reach[0], int(day[traded].min())), max(reach[1], int(day[traded].max()))]
                self._check_reach(*reach)
            at = np.where(traded, self._position(day), NO_SESSION)
            kept = at != NO_SESSION
            self.notes["rows_not_sessions"] += int((traded & ~kept).sum())
            self.used += int(kept.sum())
            if not kept.all():
                at, code, values = at[kept], code[kept], {name: column[kept] for name, column in values.items()}
            yield _Part(at - first, code.astype(np.int64), values)
        self._check_used()

    def span(self) -> tuple[int, int]:
        """Return the calendar's positions of the first and last session that any row can be on."""
        sessions = self.calendar.sessions.astype("datetime64[D]").astype(np.int64)
        first = int(np.searchsorted(sessions, self.day.min()))
        last = int(np.searchsorted(sessions, self.day.max(), side="right")) - 1
        return min(first, len(sessions) - 1), min(max(last, first), len(sessions) - 1)

    def _position(self, day: Any) -> IntArray:
        """Return the calendar's position of each day, NO_SESSION where it has none."""
        sessions = self.calendar.sessions.astype("datetime64[D]").astype(np.int64)
        table = np.full(int(sessions[-1] - sessions[0]) + 1, NO_SESSION, dtype=np.int64)
        table[sessions - sessions[0]] = np.arange(len(sessions))
        place = day - sessions[0]
        inside = (place >= 0) & (place < len(table))
        return np.where(inside, table[np.where(inside, place, 0)], NO_SESSION)

    def _check_reach(self, first: int, last: int) -> None:
        days = np.array([first, last]).astype("datetime64[D]")
        if days[0] < np.datetime64(self.calendar.first_date, "D") or days[1] > np.datetime64(self.calendar.last_date, "D"):
            reach = f"{self.calendar.first_date.isoformat()} to {self.calendar.last_date.isoformat()}"
            raise InputRejected(Code.CALENDAR_END, f"The prices run from {days[0]} to {days[1]}, the calendar from {reach}.")

    def _check_used(self) -> None:
        total = self.table.num_rows
        if self.notes["rows_not_prices"] == total:
            raise InputRejected(Code.PRICES_INVALID, "No row of the price table holds positive prices.")
        if self.notes["rows_not_prices"] + self.notes["rows_untraded"] == total:
            raise InputRejected(Code.PRICES_INVALID, "No row of the price table has a volume above zero.")
        if self.used == 0:
            raise InputRejected(Code.PRICES_INVALID, f"No row of the price table is on a session of {self.calendar.exchange}.")


class About(NamedTuple):
    """One row of the metadata: what is said of an asset; ``delisted_on`` is ISO text, empty for none."""

    sector: str = UNKNOWN
    country: str = UNKNOWN
    shares: float = float("nan")
    delisted_on: str = ""
    delisting_return: float = float("nan")


def facts_by_ticker(meta: Any, tickers: StrArray) -> dict[str, About]:
    """The row of each ticker.

    A ticker may be listed in several countries: then the row of the country that most of the panel's tickers have is meant. A
    share count with a date is none of a snapshot and is left out.
    """
    import pyarrow as pa

    table = _as_table(meta, META_COLUMNS, (*DELISTING_COLUMNS, AS_OF), Code.META_UNREADABLE, "metadata")
    dated = all(name in table.column_names for name in DELISTING_COLUMNS)
    words = [*META_COLUMNS[:3], *(DELISTING_COLUMNS[:1] if dated else ())]
    numbers = [META_COLUMNS[3], *(DELISTING_COLUMNS[1:] if dated else ())]
    text = {name: _column(table, name, pa.string(), Code.META_UNREADABLE).to_pylist() for name in words}
    value = {name: _numbers(_column(table, name, pa.float64(), Code.META_UNREADABLE)).tolist() for name in numbers}
    if AS_OF in table.column_names:
        undated = np.array(table.column(AS_OF).is_null().to_pylist(), dtype=np.bool_)
        value["shares_out_approx"] = np.where(undated, value["shares_out_approx"], np.nan).tolist()
    known = set(tickers.tolist())
    rows = [i for i, ticker in enumerate(text["ticker"]) if ticker in known]
    countries = [text["listing_country"][i] or UNKNOWN for i in rows]
    common = max(sorted(set(countries)), key=countries.count) if countries else UNKNOWN
    found: dict[str, About] = {}
    for i, country in zip(rows, countries, strict=True):
        ticker, shares = text["ticker"][i], value["shares_out_approx"][i]
        if ticker not in found or (found[ticker].country != common and country == common):
            gone = (text["delisted_on"][i] or "", value["delisting_return"][i]) if dated else ("", float("nan"))
            found[ticker] = About(text["sector"][i] or UNKNOWN, country, shares if shares > 0 else float("nan"), *gone)
    return found


def _assets(tickers: StrArray, about: list[About], exchange: str) -> AssetTable:
    return AssetTable(
        asset_ids=tickers,
        tickers=tickers.copy(),
        sectors=np.array([row.sector for row in about], dtype=np.str_),
        countries=np.array([row.country for row in about], dtype=np.str_),
        exchanges=np.full(len(about), exchange),
        currencies=np.full(len(about), UNKNOWN),
        shares=np.array([row.shares for row in about], dtype=np.float64),
    )


def _delistings(about: list[About], sessions: DateArray) -> tuple[IntArray, FloatArray]:
    """Row and return of each delisting; one after the last session is not known yet, an undated or worthless one is refused."""
    index = np.full(len(about), NOT_DELISTED, dtype=np.int64)
    returns = np.full(len(about), np.nan)
    for i, row in enumerate(about):
        if not row.delisted_on:
            continue
        try:
            day = np.datetime64(row.delisted_on[:10], "D")
        except ValueError as error:
            raise InputRejected(Code.META_UNREADABLE, f"{row.delisted_on!r} is no date of a delisting.") from error
        if not np.isfinite(row.delisting_return) or row.delisting_return < -1.0:
            raise InputRejected(Code.META_UNREADABLE, f"A delisting on {day} has no return of -1 or more.")
        at = int(np.searchsorted(sessions, day))
        if at < sessions.shape[0]:
            index[i], returns[i] = at, row.delisting_return
    return index, returns


class _Dense(NamedTuple):
    """Columns as (sessions × assets) arrays, the sessions, and which of all tickers have a price."""

    columns: dict[str, FloatArray]
    sessions: slice
    present: BoolArray


def _dense(prices: _Prices) -> _Dense:
    first, last = prices.span()
    sessions, n = prices.calendar.sessions[first : last + 1], len(prices.tickers)
    shape = (len(sessions), n)
    nothing = {name: {SPLIT_COLUMN: 1.0, DIVIDEND_COLUMN: 0.0}.get(name, np.nan) for name in prices.columns}
    flat = {name: np.full(shape[0] * n, empty) for name, empty in nothing.items()}
    filled = np.zeros(shape[0] * n, dtype=np.bool_)
    for part in prices.parts(first):
        cells = part.at * n + part.code
        filled[cells] = True
        for name, column in part.values.items():
            flat[name][cells] = np.where(column > 0, column, nothing[name]) if np.isfinite(nothing[name]) else column
    if np.count_nonzero(filled) < prices.used:
        refuse_duplicates(
            np.concatenate([part.at * n + part.code for part in prices.parts(first)]), n, sessions, prices.tickers
        )
    filled = filled.reshape(shape)
    present: BoolArray = np.asarray(filled.any(axis=0))
    priced = np.flatnonzero(filled.any(axis=1))
    rows = slice(int(priced[0]), int(priced[-1]) + 1)
    columns = {name: column.reshape(shape)[rows] for name, column in flat.items()}
    if not present.all():
        columns = {name: np.ascontiguousarray(column[:, present]) for name, column in columns.items()}
    return _Dense(columns, slice(first + rows.start, first + rows.stop), present)


def _quotes(columns: dict[str, FloatArray]) -> tuple[Quotes, int]:
    """Return the quotes, and on how many cells the adjusted closes said what no dividend explains."""
    out = {_ARRAYS.get(name, name): column for name, column in columns.items()}
    adjusted, refused = out.pop(ADJUSTED_COLUMN, None), 0
    if adjusted is not None:
        close, splits = out["close"], out.get("splits")
        out["dividends"] = np.empty_like(close)
        for lo in range(0, close.shape[1], DIVIDEND_ASSETS):
            part = slice(lo, lo + DIVIDEND_ASSETS)
            split = None if splits is None else splits[:, part]
            out["dividends"][:, part], more = inferred_dividends(close[:, part], adjusted[:, part], split)
            refused += more
    return Quotes(**out), refused


def build_panel(
    prices: "Any | pd.DataFrame",
    meta: "Any | pd.DataFrame | None",
    calendar: SessionCalendar,
    vendor_delay_minutes: int = 60,
    source: str = "parquet",
    price_basis: str = "split_adjusted",
) -> PointInTimePanel:
    """Build a panel from a long price table.

    Parameters
    ----------
    prices : pyarrow.Table or pandas.DataFrame
        Columns ticker, date (a date or ISO text), open, close (on ``price_basis``), volume (shares), adj_close (adjusted for
        splits and dividends) or dividend, and optionally split. One row for each asset and session, in any order.
    meta : pyarrow.Table or pandas.DataFrame, optional
        Columns ticker, sector, listing_country, shares_out_approx: an undated snapshot; and optionally delisted_on,
        delisting_return. Share counts beside a column as_of are left out.
    calendar : SessionCalendar
        Must cover every date of ``prices``; rounds need it to reach further.
    vendor_delay_minutes : int
        ``known_at`` is the session's close plus this.
    source, price_basis : str
        Written into the panel.

    Returns
    -------
    PointInTimePanel
        Sessions run from the first to the last date with a price, without gaps. ``notes`` counts ``rows_read``,
        ``rows_not_prices`` (an empty or non-positive price, a negative volume), ``rows_untraded`` (no volume),
        ``rows_not_sessions``, ``assets_without_rows`` and ``dividends_refused``. Flags: ``assumed``, ``adjusted_prices`` on
        another basis than ``raw``, ``dividends_inferred`` when they come from adjusted closes, ``survivors_only`` when no
        delisting is known, and ``static_lookahead`` when metadata were given.

    Raises
    ------
    InputRejected
        ``prices_columns``, ``prices_invalid``, ``meta_unreadable``, ``calendar_end``.
    """
    long = _Prices(prices, calendar)
    dense = _dense(long)
    tickers, sessions = long.tickers[dense.present], calendar.sessions[dense.sessions].copy()
    notes = {"rows_read": long.table.num_rows} | long.notes
    notes["assets_without_rows"] = int((~dense.present).sum())
    found = {} if meta is None else facts_by_ticker(meta, tickers)
    about = [found.get(ticker, About()) for ticker in tickers.tolist()]
    delisting_index, delisting_return = _delistings(about, sessions)
    quotes, notes["dividends_refused"] = _quotes(dense.columns)
    flags = {"assumed"} | ({"static_lookahead"} if meta is not None else set())
    flags |= {"dividends_inferred"} if ADJUSTED_COLUMN in dense.columns else set()
    flags |= {"adjusted_prices"} if price_basis != "raw" else set()
    if (delisting_index == NOT_DELISTED).all():
        flags.add("survivors_only")
    delay = np.timedelta64(vendor_delay_minutes, "m")
    return PointInTimePanel(
        assets=_assets(tickers, about, calendar.exchange),
        calendar=calendar,
        sessions=sessions,
        known_at=(calendar.closes[dense.sessions] + delay).astype("datetime64[s]"),
        quotes=quotes,
        delisting_index=delisting_index,
        delisting_return=delisting_return,
        price_basis=price_basis,
        flags=frozenset(flags),
        source=source,
        notes=notes,
    )


def to_tables(panel: PointInTimePanel) -> tuple[Any, Any]:
    """Return a panel as the two long tables from which :func:`build_panel` makes it again.

    Returns
    -------
    prices, meta : pyarrow.Table
        Rows sorted by session, then asset. Flags, source, price basis and the vendor's delay are not in the tables.
    """
    import pyarrow as pa

    row, asset = np.nonzero(np.isfinite(panel.close))
    names = {array: name for name, array in _ARRAYS.items()}
    columns = {names.get(name, name): array for name, array in panel.quotes.arrays().items()}
    columns.setdefault(DIVIDEND_COLUMN, np.zeros(panel.close.shape))
    assets, gone = panel.assets, panel.delisting_index != NOT_DELISTED
    days = np.where(gone, panel.sessions[panel.delisting_index].astype(str), "")
    prices = {"ticker": assets.tickers[asset], "date": panel.sessions[row], **{k: v[row, asset] for k, v in columns.items()}}
    meta = {
        "ticker": assets.tickers,
        "sector": assets.sectors,
        "listing_country": assets.countries,
        "shares_out_approx": assets.shares,
        "delisted_on": days,
        "delisting_return": panel.delisting_return,
    }
    return pa.table(prices), pa.table(meta)
