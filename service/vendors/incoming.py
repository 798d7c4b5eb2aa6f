"""Batches in a folder of Parquet files, as they came: where an ingest leaves what it fetched, before anything judges it.

Files are named by their content, so that a batch kept twice is there once. Rows are only added; of several rows for one ticker
and date the latest ``known_at`` is the newest word. Each file says in its metadata what source, price basis and flags it has.
"""

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from crowdalpha.canonical import sha256_hex
from market.batch import EventRows, PriceBatch, PriceRows, Rows
from market.calendars import to_date
from service.atomic import write_file
from service.vendors.files import parquet_bytes

ABOUT = b"crowdalpha"
HASH_LENGTH = 16


class IncomingFolder:
    """The batches of one source in a folder of its own, made where it is missing."""

    def __init__(self, folder: Path, *, sync: bool = True) -> None:
        self._folder, self._sync = folder, sync
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, batch: PriceBatch) -> None:
        """Write the rows and events of a batch; nothing is written for none."""
        about = {
            "source": batch.source,
            "price_basis": batch.price_basis,
            "fetched_at": str(batch.fetched_at),
            "flags": sorted(batch.flags),
        }
        # Events first: prices without the split between them would be read as a fall.
        for stem, rows in (("events", batch.events), ("prices", batch.prices)):
            if len(rows):
                data = parquet_bytes(_table(rows).replace_schema_metadata({ABOUT: json.dumps(about, sort_keys=True)}))
                write_file(self._folder / f"{stem}-{sha256_hex(data)[:HASH_LENGTH]}.parquet", data, sync=self._sync)

    def spans(self, tickers: Sequence[str]) -> dict[str, tuple[date, date]]:
        """Return the first and last kept date of each of ``tickers`` that has prices."""
        table = self._read("prices", tickers, None, ["tickers", "dates"])
        if table is None:
            return {}
        grouped = table.group_by("tickers").aggregate([("dates", "min"), ("dates", "max")]).to_pydict()
        pairs = zip(grouped["dates_min"], grouped["dates_max"], strict=True)
        return dict(zip(grouped["tickers"], pairs, strict=True))

    def prices(self, tickers: Sequence[str], since: np.datetime64) -> PriceRows:
        """Return the kept prices of ``tickers`` from ``since`` on, revisions included."""
        return self._rows("prices", PriceRows, tickers, since)

    def events(self, tickers: Sequence[str], since: np.datetime64) -> EventRows:
        """Return the kept events of ``tickers`` from ``since`` on, revisions included."""
        return self._rows("events", EventRows, tickers, since)

    def _rows(self, stem: str, kind: type[Rows], tickers: Sequence[str], since: np.datetime64) -> Rows:
        table = self._read(stem, tickers, to_date(since), [item.name for item in fields(kind)])
        if table is None:
            return kind.empty()
        columns = {name: table.column(name).to_numpy() for name in table.column_names}
        like = kind.empty()
        return kind(**{name: np.asarray(column, dtype=_dtype(getattr(like, name))) for name, column in columns.items()})

    def _read(self, stem: str, tickers: Sequence[str], since: date | None, columns: list[str]) -> Any:
        """Return the wanted rows of all files of a kind; None where there are none."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        filters: list[tuple[str, str, Any]] = [("tickers", "in", list(tickers))]
        if since is not None:
            filters.append(("dates", ">=", since))
        paths = sorted(self._folder.glob(f"{stem}-*.parquet")) if tickers else []
        tables = [pq.read_table(path, columns=columns, filters=filters) for path in paths]
        return pa.concat_tables(tables) if tables else None


def _table(rows: PriceRows | EventRows) -> Any:
    import pyarrow as pa

    columns = {item.name: getattr(rows, item.name) for item in fields(rows)}
    return pa.table({name: pa.array(column) for name, column in columns.items()})


def _dtype(column: Any) -> Any:
    """Text has the width that its longest cell needs."""
    return np.str_ if column.dtype.kind == "U" else column.dtype
