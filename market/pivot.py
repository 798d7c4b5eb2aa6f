"""From a long price table to a dense panel. Reads no file: the shell does.

1. Name every missing column at once.
2. Turn tickers and dates into whole numbers; leave out, and count, rows that are no sessions or no prices.
3. Refuse a table with two rows for one asset and session.
4. Write each column into a (sessions × assets) array by position.
5. Join the metadata by ticker. It is a snapshot, so the panel says ``static_lookahead``; the rows are a backfill, so it says
   ``assumed``: ``known_at`` is the session's close plus the declared delay of the vendor.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import Finding, InputRejected
from market.arrays import BoolArray, DateArray, FloatArray, IntArray, StrArray
from market.calendars import SessionCalendar
from market.panel import NOT_DELISTED, UNKNOWN, AssetTable, PointInTimePanel
from market.quality import priced_rows, refuse_duplicates

if TYPE_CHECKING:
    import pandas as pd

PRICE_COLUMNS = ("ticker", "date", "open", "close", "adj_close", "volume")
META_COLUMNS = ("ticker", "sector", "listing_country", "shares_out_approx")


class _Rows(NamedTuple):
    """A long table as numbers: ``code`` points into ``tickers``, which are sorted."""

    tickers: StrArray
    code: IntArray
    day: DateArray
    values: dict[str, FloatArray]

    def keep(self, mask: BoolArray) -> "_Rows":
        kept = {name: column[mask] for name, column in self.values.items()}
        return _Rows(self.tickers, self.code[mask], self.day[mask], kept)


def _as_table(data: Any, columns: Sequence[str], code: Code, what: str) -> Any:
    import pyarrow as pa

    names = [str(name) for name in (data.column_names if isinstance(data, pa.Table) else data.columns)]
    missing = [name for name in columns if name not in names]
    if missing:
        findings = [Finding(code, f"The column {name} is missing.", column=name) for name in missing]
        raise InputRejected(code, f"The {what} lack the columns {', '.join(missing)}.", findings)
    if isinstance(data, pa.Table):
        return data.select(list(columns))
    try:
        return pa.Table.from_pandas(data[list(columns)], preserve_index=False)
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


def _ticker_codes(column: Any) -> tuple[StrArray, IntArray]:
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
    return tickers, place[column.indices.to_numpy().astype(np.int64)].astype(np.int64)


def _read(prices: Any) -> _Rows:
    import pyarrow as pa

    table = _as_table(prices, PRICE_COLUMNS, Code.PRICES_COLUMNS, "prices")
    if table.num_rows == 0:
        raise InputRejected(Code.PRICES_INVALID, "The price table holds no row.")
    tickers, code = _ticker_codes(table.column("ticker"))
    days = _column(table, "date", pa.date32(), Code.PRICES_INVALID)
    if days.null_count:
        raise InputRejected(Code.PRICES_INVALID, f"{days.null_count} rows have no date.")
    values = {name: _numbers(_column(table, name, pa.float64(), Code.PRICES_INVALID)) for name in PRICE_COLUMNS[2:]}
    return _Rows(tickers, code, days.to_numpy(zero_copy_only=False).astype("datetime64[D]"), values)


def _on_sessions(rows: _Rows, calendar: SessionCalendar) -> tuple[_Rows, IntArray, int]:
    """Rows on sessions, their positions in the calendar, and how many others there were."""
    first, last = rows.day.min(), rows.day.max()
    if first < np.datetime64(calendar.first_date, "D") or last > np.datetime64(calendar.last_date, "D"):
        reach = f"{calendar.first_date.isoformat()} to {calendar.last_date.isoformat()}"
        raise InputRejected(Code.CALENDAR_END, f"The prices run from {first} to {last}, the calendar from {reach}.")
    at = np.minimum(np.searchsorted(calendar.sessions, rows.day), calendar.sessions.shape[0] - 1)
    good = calendar.sessions[at] == rows.day
    if good.all():
        return rows, at, 0
    return rows.keep(good), at[good], int((~good).sum())


def _clean(prices: Any, calendar: SessionCalendar) -> tuple[_Rows, IntArray, dict[str, int]]:
    rows = _read(prices)
    total = rows.code.shape[0]
    good = priced_rows(*(rows.values[name] for name in PRICE_COLUMNS[2:]))
    notes = {"rows_read": total, "rows_not_prices": int((~good).sum())}
    rows = rows if good.all() else rows.keep(good)
    if rows.code.shape[0] == 0:
        raise InputRejected(Code.PRICES_INVALID, "No row of the price table holds positive prices.")
    rows, at, notes["rows_not_sessions"] = _on_sessions(rows, calendar)
    if rows.code.shape[0] == 0:
        raise InputRejected(Code.PRICES_INVALID, f"No row of the price table is on a session of {calendar.exchange}.")
    present = np.unique(rows.code)
    notes["assets_without_rows"] = int(rows.tickers.shape[0] - present.shape[0])
    code = np.searchsorted(present, rows.code).astype(np.int64)
    return _Rows(rows.tickers[present], code, rows.day, rows.values), at, notes


def _meta_by_ticker(meta: Any, tickers: StrArray) -> dict[str, tuple[str, str, float]]:
    """Sector, country and shares by ticker.

    A ticker may be listed in several countries: then the row of the country that most of the panel's tickers have is meant.
    """
    import pyarrow as pa

    table = _as_table(meta, META_COLUMNS, Code.META_UNREADABLE, "metadata")
    text = [_column(table, name, pa.string(), Code.META_UNREADABLE).to_pylist() for name in META_COLUMNS[:3]]
    shares = _numbers(_column(table, META_COLUMNS[3], pa.float64(), Code.META_UNREADABLE))
    known = set(tickers.tolist())
    rows = [row for row in zip(*text, shares.tolist(), strict=True) if row[0] in known]
    countries = [row[2] or UNKNOWN for row in rows]
    common = max(sorted(set(countries)), key=countries.count) if countries else UNKNOWN
    found: dict[str, tuple[str, str, float]] = {}
    for ticker, sector, country, share in rows:
        if ticker not in found or (found[ticker][1] != common and country == common):
            found[ticker] = (sector or UNKNOWN, country or UNKNOWN, share if share > 0 else np.nan)
    return found


def _assets(tickers: StrArray, meta: Any) -> AssetTable:
    found = {} if meta is None else _meta_by_ticker(meta, tickers)
    rows = [found.get(ticker, (UNKNOWN, UNKNOWN, np.nan)) for ticker in tickers.tolist()]
    return AssetTable(
        asset_ids=tickers,
        tickers=tickers.copy(),
        sectors=np.array([row[0] for row in rows], dtype=np.str_),
        countries=np.array([row[1] for row in rows], dtype=np.str_),
        shares=np.array([row[2] for row in rows], dtype=np.float64),
    )


def build_panel(
    prices: "Any | pd.DataFrame",
    meta: "Any | pd.DataFrame | None",
    calendar: SessionCalendar,
    vendor_delay_minutes: int = 60,
    source: str = "parquet",
) -> PointInTimePanel:
    """Build a panel from a long price table.

    Parameters
    ----------
    prices : pyarrow.Table or pandas.DataFrame
        Columns ticker, date (a date or ISO text), open, close (adjusted for splits), adj_close (for splits and dividends),
        volume (shares). One row for each asset and session, in any order.
    meta : pyarrow.Table or pandas.DataFrame, optional
        Columns ticker, sector, listing_country, shares_out_approx: an undated snapshot.
    calendar : SessionCalendar
        Must cover every date of ``prices``; rounds need it to reach further.
    vendor_delay_minutes : int
        ``known_at`` is the session's close plus this.
    source : str
        Written into the panel.

    Returns
    -------
    PointInTimePanel
        Sessions run from the first to the last date with a price, without gaps. ``notes`` counts ``rows_read``,
        ``rows_not_prices`` (an empty or non-positive price, a negative volume), ``rows_not_sessions`` and
        ``assets_without_rows``. Flags: ``assumed``, ``survivors_only``, ``total_return_adjusted``, and ``static_lookahead``
        when metadata were given.

    Raises
    ------
    InputRejected
        ``prices_columns``, ``prices_invalid``, ``meta_unreadable``, ``calendar_end``.
    """
    rows, at, notes = _clean(prices, calendar)
    first, last = int(at.min()), int(at.max())
    sessions = calendar.sessions[first : last + 1].copy()
    n = rows.tickers.shape[0]
    cells = (at - first) * n + rows.code
    refuse_duplicates(cells, n, sessions, rows.tickers)
    dense: dict[str, FloatArray] = {}
    for name, column in rows.values.items():
        flat = np.full(sessions.shape[0] * n, np.nan)
        flat[cells] = column
        dense[name] = flat.reshape(sessions.shape[0], n)
    delay = np.timedelta64(vendor_delay_minutes, "m")
    flags = {"assumed", "survivors_only", "total_return_adjusted"} | ({"static_lookahead"} if meta is not None else set())
    return PointInTimePanel(
        assets=_assets(rows.tickers, meta),
        calendar=calendar,
        sessions=sessions,
        known_at=(calendar.closes[first : last + 1] + delay).astype("datetime64[s]"),
        **dense,
        delisting_index=np.full(n, NOT_DELISTED, dtype=np.int64),
        delisting_return=np.full(n, np.nan),
        price_basis="split_adjusted",
        flags=frozenset(flags),
        source=source,
        notes=notes,
    )
