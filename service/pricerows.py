"""Rows of the store as arrays: what :mod:`service.pricestore` keeps in tables, as the gate and the panel want it."""

from datetime import date

import numpy as np
import pyarrow as pa

from market.arrays import DateArray, FloatArray
from market.batch import EventRows, PriceRows
from service.pricestore import NUMBERS, PriceStore


def price_rows_of(store: PriceStore, dataset: str, first: date | None = None) -> PriceRows:
    """Return a dataset's kept rows, at least those from ``first`` on, revisions included; ``row`` is 0 throughout."""
    table = store.prices(dataset, first)
    if table is None:
        return PriceRows.empty()
    column = table.column("asset").combine_chunks()
    tickers = np.asarray(column.dictionary.to_pylist(), dtype=np.str_)[column.indices.to_numpy()]
    n = len(tickers)
    currency = store.manifest()["datasets"][dataset]["about"]["currency"]
    return PriceRows(
        row=np.zeros(n, dtype=np.int64),
        tickers=tickers,
        dates=days(table),
        **{name: floats(table, name) for name in NUMBERS},
        currencies=np.full(n, currency),
        known_at=instants(table),
    )


def events_of(store: PriceStore, dataset: str) -> EventRows:
    """Return a dataset's kept events, revisions included."""
    tables = store.tables(dataset, "events")
    if not tables:
        return EventRows.empty()
    table = pa.concat_tables(tables)
    kinds, tickers, reasons = (
        np.asarray(table.column(name).to_pylist(), dtype=np.str_) for name in ("kind", "asset", "reason")
    )
    return EventRows(kinds, tickers, days(table), floats(table, "value"), reasons, instants(table))


def floats(table: pa.Table, name: str) -> FloatArray:
    """Return a column of numbers; NaN throughout where the table has no such column."""
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    return np.asarray(table.column(name).combine_chunks().to_numpy(zero_copy_only=False), dtype=np.float64)


def days(table: pa.Table) -> DateArray:
    """Return the column ``as_of`` as datetime64[D]."""
    return np.asarray(table.column("as_of").combine_chunks().to_numpy(zero_copy_only=False)).astype("datetime64[D]")


def instants(table: pa.Table) -> DateArray:
    """Return the column ``known_at`` as datetime64[us]."""
    return np.asarray(table.column("known_at").combine_chunks().to_numpy(zero_copy_only=False)).astype("datetime64[us]")
