"""Goal: the risk that is forecast is the risk that comes, on real prices and out of sample. Method: bias statistics
(independent source: the returns that followed), as ``benchmarks.riskmodel`` prints them. A cut of the panel in the quick tests,
all of it in the long ones."""

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest

from benchmarks.riskmodel import (
    BOOKS,
    HISTORY_BLOCKS,
    Block,
    Forecasts,
    blocks_of,
    forecasts_of,
    least_variance,
    read_panel,
    verdict,
)
from portfolio.riskmodel import RiskModel, RiskParameters

CUT_LAST, CUT_UNIVERSE, CUT_HISTORY_BLOCKS = date(2014, 12, 31), 500, 52
"""A year for the exposures, a year for the first model, two to judge."""


@pytest.fixture(scope="module")
def blocks(real_data: Any) -> list[Block]:
    panel = read_panel(real_data / "us_daily.parquet", real_data / "equity_meta.csv.gz", CUT_LAST)
    return blocks_of(panel, CUT_UNIVERSE)


def judge(found: Forecasts) -> None:
    """Hold the means to 0.9–1.1 and 85 % of the factors to two standard errors."""
    told = {kind: verdict(z) for kind, z in found.standardized.items()}
    print({kind: (round(v.mean, 3), round(v.share, 2)) for kind, v in told.items()})
    print({kind: round(verdict(z, None).mean, 3) for kind, z in found.standardized.items()})
    assert 0.9 <= told["factors"].mean <= 1.1
    assert 0.9 <= told["neutral"].mean <= 1.1
    assert told["factors"].share >= 0.85
    assert found.standardized["neutral"].shape[1] == BOOKS


def test_two_years_of_five_hundred_stocks(blocks: list[Block]) -> None:
    found = forecasts_of(blocks, RiskParameters(), history=CUT_HISTORY_BLOCKS)
    assert len(found.standardized["factors"]) >= 95
    judge(found)


@pytest.mark.soak
def test_four_and_a_half_years_of_a_thousand_stocks(real_data: Any) -> None:
    whole = blocks_of(read_panel(real_data / "us_daily.parquet", real_data / "equity_meta.csv.gz"))
    found = forecasts_of(whole, RiskParameters())
    assert len(found.standardized["factors"]) == len(whole) - HISTORY_BLOCKS >= 220
    judge(found)


def test_a_forecast_does_not_see_what_it_is_judged_by(blocks: list[Block]) -> None:
    """Twice the returns from one block on: what came before is judged the same to the bit, and that block twice as far off."""
    few = blocks[:15]
    changed = [*few[:12], *(replace(block, returns=2.0 * block.returns) for block in few[12:])]
    before, after = (forecasts_of(each, RiskParameters(), history=10) for each in (few, changed))
    for kind, z in before.standardized.items():
        np.testing.assert_array_equal(after.standardized[kind][:2], z[:2], err_msg=kind)
        np.testing.assert_allclose(after.standardized[kind][2], 2.0 * z[2], rtol=1e-9, err_msg=kind)
        assert not np.allclose(after.standardized[kind][3], 2.0 * z[3])


def test_books_of_least_variance_equal_the_whole_covariance() -> None:
    """V⁻¹α by numpy's solve on B F B' + D, with an F that has no inverse."""
    print("seed 61")
    rng = np.random.default_rng(61)
    root = rng.standard_normal((4, 2))
    model = RiskModel(("market",) * 4, ("style",) * 4, rng.standard_normal((30, 4)), root @ root.T, rng.uniform(0.5, 2.0, 30))
    alpha = rng.standard_normal((30, 3))
    V = model.B @ model.F @ model.B.T + np.diag(model.D)
    np.testing.assert_allclose(least_variance(model, alpha), np.linalg.solve(V, alpha), rtol=1e-9, atol=1e-12)
