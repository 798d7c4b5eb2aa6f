"""Exchange rates from a file: long CSV, plain or gzip, with the columns ``date``, ``ccy`` and ``per_eur``.

They are the reference rates of the European Central Bank, or a table of the same form. What they mean is in :mod:`market.fx`.
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, Unavailable

if TYPE_CHECKING:
    from market.fx import FxTable

GZIP = b"\x1f\x8b"
COLUMNS = ("date", "ccy", "per_eur")


def read_rates(path: Path) -> bytes:
    """Return the bytes of a file of rates that can be read.

    Raises
    ------
    Unavailable
        ``fx_missing`` when the file is not there.
    InputRejected
        ``fx_invalid`` and its like, for what is no table of rates.
    """
    if not path.is_file():
        raise Unavailable(Code.FX_MISSING, f"The file of rates '{path.name}' is not there.")
    data = path.read_bytes()
    parse_rates(data)
    return data


def parse_rates(data: bytes) -> "FxTable":
    """Return the table that the bytes of a file hold; raises like :func:`read_rates`."""
    import pyarrow as pa
    import pyarrow.csv as pv

    from market.fx import fx_table

    try:
        raw = pa.CompressedInputStream(pa.BufferReader(data), "gzip") if data[:2] == GZIP else io.BytesIO(data)
        types = {"date": pa.date32(), "ccy": pa.string(), "per_eur": pa.float64()}
        table = pv.read_csv(raw, convert_options=pv.ConvertOptions(column_types=types, include_columns=list(COLUMNS)))
    except (pa.ArrowException, OSError, EOFError, KeyError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InputRejected(Code.FX_INVALID, f"The file of rates cannot be read: {reason}") from error
    dates = np.asarray(table.column("date").to_numpy()).astype("datetime64[D]")
    return fx_table(dates, table.column("ccy").to_pylist(), np.asarray(table.column("per_eur").to_numpy(), dtype=np.float64))
