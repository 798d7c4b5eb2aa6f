"""Tables in files: long prices and metadata from Parquet or CSV, and any table as Parquet bytes.

No price is judged here; unreadable is all it says.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, Unavailable

PRICE_COLUMNS = ("ticker", "date", "open", "close", "adj_close", "volume")


@contextmanager
def readable(path: Path, what: str = "price", code: Code = Code.PRICES_UNREADABLE) -> Iterator[None]:
    """Read ``path`` in a ``with`` block that tells what goes wrong in our words.

    Raises
    ------
    Unavailable
        PRICES_MISSING when the file is not there.
    InputRejected
        ``code`` when it cannot be read as what its name says.
    """
    import pyarrow as pa

    if not path.is_file():
        raise Unavailable(Code.PRICES_MISSING, f"The {what} file '{path.name}' is not there.")
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError, EOFError) as error:
        raise InputRejected(code, f"'{path.name}' cannot be read: {_first_line(error)}") from error


def read_prices(path: Path, last: date | None = None) -> Any:
    """Return the price rows of ``path`` as an Arrow table, only up to and with the session ``last``.

    Rows after ``last`` are filtered while reading, so that they never reach memory.

    Raises
    ------
    Unavailable
        PRICES_MISSING when the file is not there.
    InputRejected
        PRICES_UNREADABLE for another format or a half-written file; PRICES_COLUMNS when a column is missing.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as pv
    import pyarrow.parquet as pq

    with readable(path):
        if path.suffix == ".parquet":
            filters = None if last is None else [("date", "<=", last)]
            _need_columns(path, pq.read_schema(path).names)
            table = pq.read_table(path, columns=list(PRICE_COLUMNS), filters=filters)
        else:
            options = pv.ConvertOptions(column_types={"ticker": pa.string(), "date": pa.date32()})
            table = pv.read_csv(path, convert_options=options)
            _need_columns(path, table.column_names)
            if last is not None:
                table = table.filter(pc.less_equal(table.column("date"), pa.scalar(last, pa.date32())))
    return table


def read_meta(path: Path) -> Any:
    """Return the metadata rows of ``path`` (CSV, plain or gzip, or Parquet) as an Arrow table.

    Raises
    ------
    Unavailable, InputRejected
        PRICES_MISSING when the file is not there; META_UNREADABLE when it cannot be read or has no ``ticker`` column.
    """
    import pyarrow as pa
    import pyarrow.csv as pv
    import pyarrow.parquet as pq

    with readable(path, "metadata", Code.META_UNREADABLE):
        if path.suffix == ".parquet":
            table = pq.read_table(path)
        else:
            # "NA" and "NAN" are tickers; only an empty field is missing, and never so in the ticker column.
            options = pv.ConvertOptions(column_types={"ticker": pa.string()}, null_values=[""], strings_can_be_null=False)
            table = pv.read_csv(path, convert_options=options)
    if "ticker" not in table.column_names:
        raise InputRejected(Code.META_UNREADABLE, f"'{path.name}' has no column 'ticker'.")
    return table


def parquet_bytes(table: object, *, row_group_rows: int | None = None, repeating: Sequence[str] | None = None) -> bytes:
    """Return an Arrow table as Parquet with zstd; the same table gives the same bytes.

    Parameters
    ----------
    row_group_rows : int, optional
        Rows that can be read or skipped together.
    repeating : sequence of str, optional
        Columns whose values repeat and are kept in a dictionary; without it, all are tried.
    """
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    dictionary = True if repeating is None else list(repeating)
    pq.write_table(table, sink, compression="zstd", row_group_size=row_group_rows, use_dictionary=dictionary)
    return sink.getvalue()


def _need_columns(path: Path, names: list[str]) -> None:
    missing = [c for c in PRICE_COLUMNS if c not in names]
    if missing:
        raise InputRejected(Code.PRICES_COLUMNS, f"'{path.name}' lacks the column {', '.join(missing)}.")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
