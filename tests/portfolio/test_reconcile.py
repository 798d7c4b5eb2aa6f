"""Goal: two accounts of one book are equal up to the tolerance, whatever their assets are, or each difference is told. Method:
books by hand; differences on both sides of the tolerance."""

import numpy as np
import pytest

from crowdalpha.codes import Code
from portfolio.book import BookState
from portfolio.reconcile import compare_books

OURS = BookState(np.array(["a", "b", "c"]), np.array([60.0, -60.0, 0.0]), 1_000.0)


def theirs(a: float = 60.0, b: float = -60.0, cash: float = 1_000.0) -> BookState:
    return BookState(np.array(["z", "b", "a"]), np.array([0.0, b, a]), cash)


def test_equal_books_have_no_difference() -> None:
    assert compare_books(OURS, theirs(), 0.0) == ()
    assert compare_books(theirs(), OURS, 0.0) == ()


@pytest.mark.parametrize(("change", "name"), [({"a": 60.02}, "a"), ({"b": -60.02}, "b"), ({"cash": 999.98}, "cash")])
def test_a_difference_beyond_the_tolerance_is_told(change: dict[str, float], name: str) -> None:
    assert compare_books(OURS, theirs(**change), 2.1e-5) == ()
    (finding,) = compare_books(OURS, theirs(**change), 1.9e-5)
    assert (finding.code, finding.value, finding.refuses) == (Code.BOOKS_DIFFER, name, True)


def test_what_one_of_them_lacks_is_a_difference() -> None:
    extra = BookState(np.array(["a", "b", "d"]), np.array([60.0, -60.0, 5.0]), 995.0)
    assert [f.value for f in compare_books(OURS, extra, 1e-6)] == ["d", "cash"]
