"""Nothing from nothing: a fund on fresh noise earns nothing before costs; a fund on (declared) knowledge of the future earns.

Twenty funds trade fresh noise every week through the real risk model, optimizer and twin on one synthetic market. Given the
market, a noise fund and its sign-flipped twin are equally likely, so the mean gross result over seeds is zero up to its error.
"""

import numpy as np
import pytest

from market.synthetic import oracle_scores
from portfolio.mandate import mandate_from_mapping
from service.settings import load_mandate
from tests.builders.funds import CAPITAL, Week, run_fund, weeks_of
from tests.builders.seasons import small_panel

SEEDS = 20
WEEKS = 12


@pytest.fixture(scope="module")
def weeks() -> list[Week]:
    return weeks_of(small_panel(), WEEKS)


@pytest.fixture(scope="module")
def mandate():
    values, source = load_mandate("market-neutral")
    return mandate_from_mapping(values, source)


def test_a_fund_on_noise_earns_nothing_before_costs(weeks: list[Week], mandate) -> None:
    gross = []
    for seed in range(SEEDS):
        rng = np.random.default_rng([20260, seed])
        days = run_fund(small_panel(), weeks, mandate, lambda week, rng=rng: rng.standard_normal(len(week.members)))
        for day, before in zip(days, [CAPITAL, *[d.equity for d in days]], strict=False):
            assert day.equity - before - day.gross_pnl == pytest.approx(-sum(day.costs.values()), abs=1e-9 * CAPITAL)
        gross.append(sum(d.gross_pnl for d in days) / CAPITAL)
    mean, error = float(np.mean(gross)), float(np.std(gross, ddof=1) / np.sqrt(SEEDS))
    print(f"gross return on noise: {mean:.5f} ± {error:.5f} over seeds [20260, 0..{SEEDS - 1}]")
    assert error > 0
    assert abs(mean) <= 3 * error


def test_a_fund_on_the_synthetic_oracle_earns_after_costs(weeks: list[Week], mandate) -> None:
    panel = small_panel()

    def knowing(week: Week) -> np.ndarray:
        session = panel.sessions[week.row].astype("datetime64[D]").item()
        return np.nan_to_num(oracle_scores(panel, session, week.members, np.random.default_rng([7, week.row])))

    # The oracle's horizon reaches 22 sessions ahead, so the last weeks of the panel have no score that is worth anything.
    days = run_fund(panel, weeks[:-4], mandate, knowing)
    assert days[-1].equity > CAPITAL
