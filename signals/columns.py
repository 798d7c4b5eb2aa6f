"""Plain lines of a history turned into columns by Arrow: dates and labels as dictionaries, values as numbers.

It checks nothing: :mod:`signals.history` hands in only what a regular expression has recognized as plain.
"""

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from market.arrays import FloatArray, IntArray

Number = TypeVar("Number", np.int32, np.float64)


def plain_columns(data: bytes, order: tuple[int, int, int]) -> tuple[list[str], IntArray, list[str], IntArray, FloatArray]:
    """Convert plain lines: texts of dates and each row's place among them, the same of labels, and the values."""
    import pyarrow as pa
    from pyarrow import csv

    names = ["", "", ""]
    for name, place in zip(("day", "label", "value"), order, strict=True):
        names[place] = name
    words = pa.dictionary(pa.int32(), pa.string())
    table = csv.read_csv(
        pa.BufferReader(data),
        # One block, in this thread: a text of a few megabytes is not worth dividing.
        read_options=csv.ReadOptions(column_names=names, block_size=len(data) + 1, use_threads=False),
        parse_options=csv.ParseOptions(quote_char=False),
        convert_options=csv.ConvertOptions(
            column_types={"day": words, "label": words, "value": pa.float64()},
            null_values=[],
            strings_can_be_null=False,
        ),
    ).combine_chunks()
    day, label = table["day"].chunk(0), table["label"].chunk(0)
    values = table["value"].chunk(0).to_numpy(zero_copy_only=False)
    return (
        day.dictionary.to_pylist(),
        day.indices.to_numpy(),
        label.dictionary.to_pylist(),
        label.indices.to_numpy(),
        np.array(values, dtype=np.float64),
    )


def joined(parts: list[npt.NDArray[Number]], empty: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Join a column's blocks; they are given up as soon as they are copied."""
    joined = np.concatenate([empty, *parts])
    parts.clear()
    return joined
