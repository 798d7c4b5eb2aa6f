"""Parquet files with a row group an era: written era by era, read the same way, so that no file has to fit memory at once.

Of a row group nothing is told but its era: the smallest and largest value of any other column would be the first words of a
file about its assets. Only columns that repeat have a dictionary; its order is that of the rows.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

UNREPEATED = ("id", "ticker")


class EraWriter:
    """Write one file; use it in a ``with`` block. A file without an era has its columns and no row."""

    def __init__(self, path: Path, schema: Any) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        repeating = [f.name for f in schema if f.name not in UNREPEATED and not pa.types.is_floating(f.type)]
        self._schema = schema
        self._writer = pq.ParquetWriter(
            path,
            schema,
            compression="zstd",
            use_dictionary=repeating,
            write_statistics=["era"] if "era" in schema.names else False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._writer.close()

    def write(self, table: Any) -> None:
        """Add one era; a column that the table lacks is zero."""
        import pyarrow as pa

        columns = [
            table.column(f.name) if f.name in table.column_names else pa.array([0] * table.num_rows).cast(f.type)
            for f in self._schema
        ]
        arrays = [pa.concat_arrays(c.chunks) if isinstance(c, pa.ChunkedArray) else c for c in columns]
        self._writer.write_table(pa.table(arrays, schema=self._schema), row_group_size=max(table.num_rows, 1))


def read_eras(path: Path, columns: Sequence[str] | None = None) -> Iterator[Any]:
    """Yield the eras of a file as Arrow tables, in the order in which they were written."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=None if columns is None else list(columns))
