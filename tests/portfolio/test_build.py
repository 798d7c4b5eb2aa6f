"""Goal: the problem is the mandate in the units of one rebalance period. Method: each array is computed again by hand on a few
names, and the default mandate is run on a thousand."""

from dataclasses import replace

import numpy as np
import pytest

from portfolio.alpha import alpha_from_signal
from portfolio.build import build_problem
from portfolio.ladder import SOLVED, solve
from portfolio.mandate import Mandate
from portfolio.problem import objective
from portfolio.riskmodel import RiskModel
from tests.builders.books import market_model

MANDATE = Mandate("m", impact_coefficient=0.5, adv_participation_max=0.1, position_max=0.02)
MODEL = RiskModel(
    ("market", "beta", "Energy", "size"),
    ("market", "beta", "sector", "style"),
    np.array([[1.0, 0.1, 1.0, 0.3], [1.0, -0.2, 0.0, 0.5], [1.0, 0.0, 0.0, -0.4]]),
    np.diag([1e-4, 1e-5, 4e-5, 1e-5]),
    np.array([4e-4, 1e-4, 9e-4]),
)


def build(w0=(0.0, 0.0, 0.0), mandate=MANDATE, **changes):
    arguments = {"alpha_horizon_sessions": 20, "equity": 1e8, "adv_dollars": np.array([1e7, 4e6, 1e9])} | changes
    return build_problem(mandate, MODEL, np.array([0.02, -0.01, 0.0]), np.array(w0), **arguments)


def test_units_are_of_one_period():
    """Alpha of 20 sessions counts a quarter, variances five times, a trade's cost a quarter, the yearly fee 5/252."""
    p = build()
    np.testing.assert_allclose(p.alpha, [0.005, -0.0025, 0.0])
    np.testing.assert_allclose(p.D, MODEL.D * 5)
    np.testing.assert_allclose(p.F, MODEL.F * 5)
    np.testing.assert_allclose(p.half_spread, 0.0005 / 4)
    np.testing.assert_allclose(p.borrow, 0.005 * 5 / 252)
    sigma = np.sqrt(np.diag(MODEL.B @ MODEL.F @ MODEL.B.T) + MODEL.D)
    np.testing.assert_allclose(p.impact, 0.5 * sigma * np.sqrt(1e8 / np.array([1e7, 4e6, 1e9])) / 4)


def test_impact_charged_equals_impact_paid():
    """The coefficient of |Δw|^1.5, unamortized, times equity is what the backtest books for the same trade."""
    p = build()
    w = np.array([0.004, -0.002, 0.01])
    charged = 4 * float(p.impact @ np.abs(w) ** 1.5) * 1e8
    dollars, adv = np.abs(w) * 1e8, np.array([1e7, 4e6, 1e9])
    paid = float(np.sum(0.5 * MODEL.total_volatility() * dollars * np.sqrt(dollars / adv)))
    assert charged == pytest.approx(paid)


def test_bands_follow_the_kind_of_factor():
    """The intercept has no band, beta is an equality, sectors and styles have their widths on both sides."""
    p = build()
    np.testing.assert_array_equal(p.exposure_upper, [np.inf, 0.0, MANDATE.sector_band, MANDATE.style_band])
    np.testing.assert_array_equal(p.exposure_lower, -p.exposure_upper)


def test_volume_limits_the_trade_and_caps_the_position():
    """A tenth of the volume is 1 %, 0.4 % and 100 % of equity: the first two are bound by volume, the third by its cap."""
    p = build()
    np.testing.assert_allclose(p.position_upper, [0.01, 0.004, 0.02])
    np.testing.assert_allclose(p.position_lower, [-0.01, -0.004, -0.02])


def test_a_holding_beyond_its_cap_may_come_back_as_far_as_volume_permits():
    """At 5 % with a cap of 2 % and volume for 1 % the only reachable weight is 4 %: bounds are never empty."""
    p = build(w0=(0.05, -0.01, 0.0))
    assert p.position_lower[0] == pytest.approx(0.04)
    assert p.position_upper[0] == pytest.approx(0.04)
    assert (p.position_lower <= p.position_upper).all()
    assert p.position_lower[1] == pytest.approx(-0.014)
    assert p.position_upper[1] == pytest.approx(-0.006)


def test_frozen_names_are_pinned_and_names_without_volume_are_frozen():
    """A halted name and one with unknown volume keep their weight exactly and cost nothing."""
    p = build(w0=(0.05, 0.003, 0.0), frozen=np.array([True, False, False]), adv_dollars=np.array([1e7, np.nan, 1e9]))
    assert p.position_lower[:2].tolist() == p.position_upper[:2].tolist() == [0.05, 0.003]
    assert p.impact[:2].tolist() == [0.0, 0.0]
    p.check()


def test_leaving_names_only_shrink():
    """A name out of the universe moves between zero and what is held, without an alpha."""
    p = build(w0=(0.005, -0.003, 0.0), leaving=np.array([True, True, True]), adv_dollars=None)
    np.testing.assert_allclose(p.position_lower, [0.0, -0.003, 0.0])
    np.testing.assert_allclose(p.position_upper, [0.005, 0.0, 0.0])
    assert p.alpha.tolist() == [0.0, 0.0, 0.0]
    assert p.impact.tolist() == [0.0, 0.0, 0.0]


def test_remnants_are_closed_and_tiny_volumes_freeze():
    """A leaving name below a millionth goes to zero at once; one of which ten dollars could be traded stays as it is."""
    p = build(w0=(4e-7, 2e-6, 0.003), leaving=np.array([True, True, True]), adv_dollars=np.array([1e7, 1e7, 50.0]))
    assert (p.position_lower[0], p.position_upper[0]) == (0.0, 0.0)
    assert (p.position_lower[1], p.position_upper[1]) == (0.0, 2e-6)
    assert (p.position_lower[2], p.position_upper[2]) == (0.003, 0.003)


def test_interest_forgone_is_taken_from_every_alpha():
    """At 252 basis points a year a week costs five, of leaving names' alpha too; a neutral book is worth what it was."""
    plain, charged = build(), build(mandate=replace(MANDATE, cash_bps_per_year=252.0), leaving=np.array([False, False, True]))
    np.testing.assert_allclose(plain.alpha - charged.alpha, [5e-4, 5e-4, 5e-4], rtol=1e-12)
    w = np.array([0.004, -0.004, 0.0])
    assert objective(plain, w) == pytest.approx(objective(charged, w), abs=1e-15)


def test_yearly_volatility_and_room_become_those_of_a_period():
    """25.2 % a year is that times √(5/252) a week, and so is the room up to its hard figure; other rooms have no time."""
    hard = {"volatility_target": 0.504, "turnover_max": 0.8, "style_band": 0.06}
    p = build(mandate=replace(MANDATE, volatility_target=0.252, hard=hard))
    assert p.volatility_max == pytest.approx(0.252 * np.sqrt(5 / 252))
    assert p.room == pytest.approx({"volatility": p.volatility_max, "turnover": 0.2, "style": 0.01})
    assert p.periods_per_year == pytest.approx(50.4)
    assert build().volatility_max == np.inf


def test_targets_move_the_bands():
    """Net and beta are kept near their targets; the other bands stay around zero."""
    p = build(mandate=replace(MANDATE, net_target=0.5, beta_target=0.3, beta_band=0.1))
    assert p.net_target == 0.5
    np.testing.assert_allclose(p.exposure_lower[1:3], [0.2, -MANDATE.sector_band])
    np.testing.assert_allclose(p.exposure_upper[1:3], [0.4, MANDATE.sector_band])


def test_hard_caps_and_volume_span_the_soft_ones():
    """Twice the volume and a wider cap give wider bounds for names that are free; a pinned name stays pinned."""
    hard = {"position_max": 0.03, "adv_participation_max": 0.2}
    mandate = replace(MANDATE, relaxation=("position",), hard=hard)
    p = build(mandate=mandate, w0=(0.05, 0.0, 0.01), frozen=np.array([False, False, True]))
    np.testing.assert_allclose(p.position_upper, [0.04, 0.004, 0.01])
    np.testing.assert_allclose(p.position_upper_hard, [0.04, 0.008, 0.01])
    np.testing.assert_allclose(p.position_lower_hard, [0.03, -0.008, 0.01])
    p.check()


def test_a_longer_period_gives_the_same_book():
    """With twice the period alpha, variance, borrow and financing double, and so does the part of a trade's cost: the objective
    doubles and the book stays, to what two solver runs agree on."""
    print("seed 83")
    rng = np.random.default_rng(83)
    model = market_model(rng, 200)
    costs = {"borrow_bps_per_year": 300.0, "cash_bps_per_year": 200.0, "holding_period_sessions": 20}
    limits = {"net_target": 0.3, "net_band": 0.2, "sector_band": 0.2, "turnover_max": 1.0, "position_max": 0.05}
    alpha = 2 * alpha_from_signal(rng.standard_normal(200), model, 0.05, 20)
    w0, adv = 0.002 * rng.standard_normal(200), 10 ** rng.uniform(7.5, 9, 200)
    found = []
    for sessions in (5, 10, 20):
        mandate = Mandate("m", sessions_per_rebalance=sessions, **costs, **limits)
        p = build_problem(mandate, model, alpha, w0, alpha_horizon_sessions=20, equity=1e8, adv_dollars=adv)
        found.append(solve(p))
    assert [s.status for s in found] == [SOLVED] * 3
    for longer, times in ((found[1], 2), (found[2], 4)):
        assert longer.objective == pytest.approx(times * found[0].objective, rel=1e-5)
        assert np.abs(longer.weights - found[0].weights).max() < 1e-4 * np.abs(found[0].weights).max() + 2e-5
        assert longer.limits[0].worth_per_year == pytest.approx(found[0].limits[0].worth_per_year, rel=1e-3)


def test_default_mandate_on_a_thousand_names_is_sensible():
    """At full size the default book uses its gross limit, has 200 to 800 names and a forecast volatility of 4 to 9 % a year."""
    rng = np.random.default_rng(81)
    model = market_model(rng, 1000)
    mandate = replace(Mandate("m"), turnover_max=4.0)
    alpha = alpha_from_signal(rng.standard_normal(1000), model, mandate.information_coefficient, 20)
    adv = 10 ** rng.uniform(7.5, 9, 1000)
    p = build_problem(mandate, model, alpha, np.zeros(1000), alpha_horizon_sessions=20, equity=1e8, adv_dollars=adv)
    solution = solve(p)
    assert solution.status == SOLVED
    volatility = model.book_volatility(solution.weights) * np.sqrt(252)
    names = int(np.count_nonzero(solution.weights))
    print(f"volatility {volatility:.4f}, {names} names, gross {np.abs(solution.weights).sum():.3f}")
    assert 0.04 < volatility < 0.09
    assert 200 < names < 800
    assert np.abs(solution.weights).sum() > 1.9
