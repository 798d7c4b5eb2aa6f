"""A score becomes an integer by exact half-even rounding; nothing that is not a number passes.

Independent source: decimal arithmetic of the standard library with enough digits to be exact.
"""

from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import numpy as np
import pytest

from crowdalpha.errors import InvariantBroken
from signals.quantize import retention_ppb, score_ppb, scores_ppb


def by_decimal(value: float) -> int:
    with localcontext() as context:
        context.prec = 1200
        return int((Decimal(value) * 10**9).to_integral_value(rounding=ROUND_HALF_EVEN))


def test_rounding_is_half_even_and_exact():
    seed = 77
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    halves = ((rng.integers(-(2**20), 2**20, 500) + 0.5) * 2.0**-9).tolist()
    values = [*rng.normal(0, 0.05, 2000).tolist(), *halves, 0.0, -0.0, 1.0, -1.0, 5e-324, 1.5e18, -(2.0**70)]
    middles = ((rng.integers(-(10**9), 10**9, 2000) + 0.5) / 1e9).tolist()  # next to a middle, on either side of it
    assert scores_ppb(np.array(values + middles)) == [by_decimal(value) for value in values + middles]
    for value in values:
        assert score_ppb(value) == by_decimal(value)
        assert score_ppb(-value) == -score_ppb(value)
    assert (score_ppb(2.0**-9 * 0.5), type(score_ppb(0.25))) == (976562, int)  # 976562.5 goes to the even neighbour


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_never_becomes_money(value):
    with pytest.raises(InvariantBroken):
        score_ppb(value)
    with pytest.raises(InvariantBroken):
        retention_ppb(value)
    with pytest.raises(InvariantBroken):
        scores_ppb(np.array([0.25, value]))


@pytest.mark.parametrize("value", [-1e-9, 1.0000001])
def test_retention_outside_its_range_is_a_bug(value):
    with pytest.raises(InvariantBroken):
        retention_ppb(value)


def test_retention_keeps_its_ends():
    assert (retention_ppb(0.0), retention_ppb(1.0), retention_ppb(0.5378828427399902)) == (0, 10**9, 537882843)
