"""Goal: our factors are the world's. Method: weekly exposures of 2,000 real stocks, daily regressions, 2014 to 2016, beside the
factor returns that Kenneth R. French publishes (independent source, ff_us_daily.csv.gz); ``benchmarks.factors`` prints all."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.factors import FEW, PUBLISHED, Week, correlations, factor_series, read_panel, read_published, weeks_of

WEIGHTINGS = ("equal", "sample weights")
"""Those that a round publishes are the risk model's own."""


@pytest.fixture(scope="module")
def weeks(real_data: Any) -> list[Week]:
    return weeks_of(read_panel(real_data / "us_daily.parquet", real_data / "equity_meta.csv.gz"))


@pytest.fixture(scope="module")
def published(real_data: Any) -> dict[str, Any]:
    return read_published(real_data / "ff_us_daily.csv.gz")


def test_three_years_of_two_thousand_names_take_part(weeks: list[Week], published: dict[str, Any]) -> None:
    sizes = [len(week.members) for week in weeks]
    assert min(sizes) > 1_900
    assert max(sizes) == 2_000
    days = np.concatenate([week.sessions for week in weeks])
    assert (np.diff(days) > np.timedelta64(0)).all()
    assert np.isin(published["date"], days).all()
    assert len(published["date"]) == 756


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_the_intercept_with_size_momentum_and_beta_alone(weeks: list[Week], published: dict[str, Any], weighting: str) -> None:
    found = correlations(factor_series(weeks, weighting, FEW), published)
    print({f"{ours} with {theirs}": round(value, 3) for (ours, theirs), value in found.items()})
    assert found["market", "mkt_rf"] >= 0.9
    assert found["size", "smb"] <= -0.75  # small companies are at our size's lower end
    assert found["momentum", "mom"] >= 0.8


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_the_full_model_with_sectors_and_all_styles(weeks: list[Week], published: dict[str, Any], weighting: str) -> None:
    found = correlations(factor_series(weeks, weighting), published)
    assert len(found) == 8 * len(PUBLISHED)
    print({f"{ours} with {theirs}": round(value, 3) for (ours, theirs), value in found.items()})
    assert found["market", "mkt_rf"] >= 0.9
    assert found["momentum", "mom"] >= 0.7
    assert found["size", "smb"] <= -0.3
    assert found["beta", "mkt_rf"] >= 0.65


def test_a_market_that_is_known_is_found_again(weeks: list[Week]) -> None:
    """Goal: the figures are no accident of the method. Returns made of the exposures must give their own factor returns."""
    seed = 8
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    made, true = [], []
    for week in weeks[:20]:
        paid = rng.normal(0, 0.01, (len(week.sessions), 1 + len(FEW)))
        columns = np.column_stack([np.ones(len(week.members)), *(week.exposures.style(name) for name in FEW)])
        made.append(replace(week, returns=paid @ columns.T))
        true.append(paid)
    for styles in (FEW, None):
        found = factor_series(made, "sample weights", styles)
        for column, name in enumerate(("market", *FEW)):
            np.testing.assert_allclose(found[name], np.concatenate(true)[:, column], atol=1e-9, err_msg=name)
