"""Two answers are compared bit for bit, whatever their form. Method: pairs that are equal, and pairs that differ once."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from crowdalpha.errors import InputRejected
from market.outcome import WHOLE, differences, outcome, raised
from market.panel import NOT_DELISTED
from tests.builders.panels import small_view

NAN = float("nan")


@dataclass(frozen=True)
class Book:
    weights: Any
    name: str = "fund"
    _kept: Any = None


def between(a: object, b: object) -> list[tuple[str, tuple[int, ...] | None]]:
    return [(d.output, d.position) for d in differences(outcome(a), outcome(b))]


def other_nan() -> np.ndarray:
    """A NaN with sign and payload of its own."""
    return np.array([0xFFF8000000000123], dtype=np.uint64).view(np.float64)


SAME = [
    (np.array([1.0, NAN]), np.array([1.0, NAN])),
    (np.array([NAN]), other_nan()),
    (np.array([np.datetime64("NaT", "s")]), np.array([np.datetime64("NaT", "s")])),
    (np.array([1 + 2j, complex(NAN, 1)]), np.array([1 + 2j, complex(NAN, 1)])),
    ({"b": 1, "a": 2}, {"a": 2, "b": 1}),
    ({"x", "y"}, {"y", "x"}),
    (Book(np.ones(2), _kept=1), Book(np.ones(2), _kept=2)),
    (pa.table({"id": ["a", None], "x": [1, 2]}), pa.table({"id": ["a", None], "x": [1, 2]})),
    (pd.DataFrame({"x": [1.0, NAN]}), pd.DataFrame({"x": [1.0, NAN]})),
    (NAN, NAN),
    (np.array(["a", None], dtype=object), np.array(["a", None], dtype=object)),
]

DIFFERENT = [
    (np.array([1.0, 2.0]), np.array([1.0, np.nextafter(2.0, 3.0)]), WHOLE, (1,)),
    (np.array([[0.0, 0.0]]), np.array([[0.0, -0.0]]), WHOLE, (0, 1)),
    (np.array([1.0, NAN]), np.array([1.0, 0.0]), WHOLE, (1,)),
    (np.zeros(2), np.zeros(3), WHOLE, None),
    (np.zeros(2), np.zeros(2, dtype=np.float32), WHOLE, None),
    (np.array([1j]), np.array([complex(-0.0, 1)]), WHOLE, (0,)),
    (1.0, np.nextafter(1.0, 2.0), WHOLE, ()),
    (1, True, WHOLE, None),
    (None, 0, WHOLE, None),
    (date(2020, 1, 1), datetime(2020, 1, 1, tzinfo=UTC), WHOLE, None),
    (Decimal("1.0"), Decimal("1.1"), WHOLE, None),
    ([], (), WHOLE, None),
    ([], [0], "[0]", None),
    ({"a": {"b": [1.0, 2.0]}}, {"a": {"b": [1.0, 3.0]}}, "a.b[1]", ()),
    ({"a": 1}, {"a": 1, "b": 2}, "b", None),
    (("x", "y"), ("x", "z"), "items", (1,)),
    ({"x"}, {"y"}, "items", (0,)),
    (Book(np.ones(2)), Book(np.array([1.0, 2.0])), "weights", (1,)),
    ([Book(np.ones(2), "a")], [Book(np.ones(2), "b")], "[0].name", None),
    (pa.table({"x": [1, 2]}), pa.table({"x": [1, 3]}), "x", (1,)),
    (pa.table({"x": pa.array([1], pa.int8())}), pa.table({"x": pa.array([1], pa.int16())}), "schema", None),
    (pd.DataFrame({"x": [1.0]}, index=["a"]), pd.DataFrame({"x": [1.0]}, index=["b"]), "index.cells.items", (0,)),
    (pd.Series([1.0, 2.0]), pd.Series([1.0, 4.0]), "values", (1,)),
    (np.array(["a", "b"], dtype=object), np.array(["a", "c"], dtype=object), "cells.items", (1,)),
]


@pytest.mark.parametrize(("a", "b"), SAME, ids=range(len(SAME)))
def test_answers_with_the_same_bits_are_equal(a: object, b: object) -> None:
    assert between(a, b) == []


@pytest.mark.parametrize(("a", "b", "output", "position"), DIFFERENT, ids=range(len(DIFFERENT)))
def test_a_difference_is_found_where_it_is(a: object, b: object, output: str, position: tuple[int, ...] | None) -> None:
    assert between(a, b)[0] == (output, position)
    assert between(b, a)[0] == (output, position)


def test_a_whole_view_can_be_compared() -> None:
    assert between(small_view(), small_view()) == []
    outputs = {output for output, _ in between(small_view(seed=1), small_view(seed=2))}
    assert {"quotes.close", "quotes.volume", "assets.shares"} <= outputs


def test_an_answer_is_copied_at_once() -> None:
    buffer = np.zeros(3)
    before = outcome({"signal": buffer})
    buffer[1] = NOT_DELISTED
    assert [d.position for d in differences(before, outcome({"signal": buffer}))] == [(1,)]


def test_an_error_is_an_answer() -> None:
    assert differences(raised(ValueError("x")), raised(ValueError("x"))) == ()
    (found,) = differences(outcome({"a": 1, "b": np.ones(2)}), raised(IndexError("off the end")))
    assert (found.output, found.before, found.after) == (WHOLE, "dict", "IndexError: off the end")


def test_what_cannot_be_compared_is_refused_with_its_path() -> None:
    with pytest.raises(InputRejected, match=r"^a\.model is a object"):
        outcome({"a": {"model": object()}})
