"""Goal: the risk model finds the risk that is there. Method: per-session numpy lstsq as an independent regression, simulated
markets with known covariance, collinear and missing data."""

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from portfolio.covariance import factor_covariance
from portfolio.factorreturns import FactorPeriod, drawn_in, factor_returns
from portfolio.riskmodel import RiskModel, RiskParameters, estimate_risk_model
from portfolio.specific import specific_variances


def exposures(rng: np.random.Generator, n: int, sectors: int = 4) -> np.ndarray:
    dummies = np.eye(sectors)[rng.integers(0, sectors, n)]
    return np.concatenate([dummies, rng.standard_normal((n, 2))], axis=1)


NAMES = ("A", "B", "C", "D", "beta", "size")
KINDS = ("sector",) * 4 + ("style",) * 2
LONG = RiskParameters(
    volatility_half_life_sessions=500,
    correlation_half_life_sessions=500,
    volatility_lags=0,
    correlation_lags=0,
    specific_half_life_sessions=500,
    specific_lags=0,
)
"""For markets that do not change: nothing is forgotten and nothing corrected."""


def market(rng: np.random.Generator, periods: int, n: int, specific: np.ndarray, deviation: np.ndarray):
    """Return periods of five sessions whose factors (intercept first) have the given deviations, and the last exposures."""
    out, X = [], exposures(rng, n)
    for _ in range(periods):
        f = rng.standard_normal((5, deviation.size)) * deviation
        noise = rng.standard_normal((5, n)) * specific
        out.append(FactorPeriod(f @ np.column_stack([np.ones(n), X]).T + noise, X, np.ones(n, bool)))
    return out, X


@pytest.mark.parametrize("missing", [0.0, 0.1, 0.9])
def test_regression_equals_lstsq(missing):
    """Dummies and intercept are collinear: fit and shortest coefficients equal numpy's lstsq session by session, to 1e-12."""
    print("seed 91")
    rng = np.random.default_rng(91)
    X = exposures(rng, 120)
    returns = 0.02 * rng.standard_normal((6, 120))
    # A tenth of the names has gaps; at 0.9 nearly all names have one somewhere, so that each session stands alone.
    gappy = rng.random(120) < missing
    returns[rng.integers(0, 6, 120)[gappy], np.flatnonzero(gappy)] = np.nan
    weights = rng.uniform(0.5, 2.0, 120)
    factors, residuals = factor_returns(returns, X, weights)
    design = np.column_stack([np.ones(120), X])
    whole = np.isfinite(returns).all(axis=0)
    for t in range(6):
        used = whole if whole.mean() >= 0.5 else np.isfinite(returns[t])
        root = np.sqrt(weights[used])
        expected = np.linalg.lstsq(design[used] * root[:, None], returns[t, used] * root, rcond=1e-10)[0]
        np.testing.assert_allclose(factors[t], expected, atol=1e-12)
        np.testing.assert_allclose(residuals[t], returns[t] - design @ expected, atol=1e-12)


def test_a_session_with_few_returns_is_left_out():
    """A market-wide closure in a period gives no factor return for that session and harms no other."""
    rng = np.random.default_rng(92)
    returns = 0.02 * rng.standard_normal((3, 50))
    returns[1] = np.nan
    factors, residuals = factor_returns(returns, exposures(rng, 50))
    assert np.isnan(factors[1]).all()
    assert np.isfinite(factors[[0, 2]]).all()
    assert np.isfinite(residuals[[0, 2]]).all()


def test_known_risk_is_found():
    """Over 200 weeks the forecast variance of random books is within 10 % of the truth that made the returns."""
    print("seed 93")
    rng = np.random.default_rng(93)
    n = 300
    specific = rng.uniform(0.01, 0.03, n)
    deviation = np.array([0.010, 0.004, 0.005, 0.006, 0.004, 0.005, 0.003])
    periods, X = market(rng, 200, n, specific, deviation)
    model = estimate_risk_model(periods, X, np.arange(n), NAMES, KINDS, parameters=LONG)
    design = np.column_stack([np.ones(n), X])
    ratios = []
    for _ in range(50):
        w = rng.standard_normal(n) / n
        true = np.sum((design.T @ w) ** 2 * deviation**2) + np.sum(w**2 * specific**2)
        ratios.append(model.book_volatility(w) ** 2 / true)
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.06)
    assert np.percentile(np.abs(np.array(ratios) - 1), 90) < 0.2
    assert np.corrcoef(np.sqrt(model.D), specific)[0, 1] > 0.97


def test_covariance_is_symmetric_positive_semidefinite_and_kinds_are_told():
    """F has no eigenvalue below rounding; the style called beta is of its own kind; the intercept comes first."""
    rng = np.random.default_rng(94)
    periods, X = market(rng, 3, 80, np.full(80, 0.02), np.full(7, 0.005))
    model = estimate_risk_model(periods, X, np.arange(80), NAMES, KINDS)
    np.testing.assert_array_equal(model.F, model.F.T)
    assert np.linalg.eigvalsh(model.F)[0] > -1e-18
    assert model.factor_kinds == ("market", "sector", "sector", "sector", "sector", "beta", "style")
    assert model.factor_names[0] == "market"
    assert (model.B[:, 0] == 1).all()
    assert model.sessions == 15


def test_short_histories_get_the_median_and_stale_prices_the_floor():
    """A name listed last week has the median variance; one that never moves has the floor, not zero."""
    rng = np.random.default_rng(95)
    n = 100
    periods, X = market(rng, 40, n, np.full(n, 0.02), np.full(7, 0.0))
    young = []
    for i, period in enumerate(periods):
        inside = period.in_universe.copy()
        inside[0] = i == 39
        returns = period.returns.copy()
        returns[:, 1] = 0.0
        young.append(FactorPeriod(returns, period.exposures, inside))
    model = estimate_risk_model(young, X, np.arange(n), NAMES, KINDS)
    assert model.D[0] == pytest.approx(np.median(model.D[2:]), rel=0.05)
    assert 0 < model.D[1] < 0.5 * model.D[0]


def test_a_wrong_price_is_no_factor_return():
    """One return of +1,100 % among two hundred moves the intercept by less than a basis point and its name's risk boundedly."""
    print("seed 99")
    rng = np.random.default_rng(99)
    periods, X = market(rng, 40, 200, np.full(200, 0.02), np.full(7, 0.002))
    spoiled = [FactorPeriod(p.returns.copy(), p.exposures, p.in_universe) for p in periods]
    spoiled[-1].returns[-1, 3] = 11.3
    good, bad = (estimate_risk_model(each, X, np.arange(200), NAMES, KINDS) for each in (periods, spoiled))
    assert abs(np.sqrt(bad.F[0, 0]) - np.sqrt(good.F[0, 0])) < 5e-4
    assert bad.D[3] < 10 * good.D[3]
    np.testing.assert_allclose(np.delete(bad.D, 3), np.delete(good.D, 3), rtol=0.05)


def test_usual_returns_are_not_drawn_in():
    """Moves of 15 % on news among returns of 2 % stay as they are; NaN stays NaN; a session without spread is left alone."""
    rng = np.random.default_rng(100)
    returns = 0.02 * rng.standard_normal((2, 300))
    returns[0, 0], returns[0, 1] = 0.15, np.nan
    np.testing.assert_array_equal(drawn_in(returns), returns)
    assert drawn_in(np.zeros((1, 5))).tolist() == [[0.0] * 5]
    assert np.isnan(drawn_in(np.full((1, 5), np.nan))).all()


def test_recent_sessions_weigh_more():
    """After a calm year and a wild quarter, a short half-life sees more risk than a long one."""
    rng = np.random.default_rng(96)
    calm, X = market(rng, 40, 100, np.full(100, 0.01), np.full(7, 0.002))
    wild, _ = market(rng, 12, 100, np.full(100, 0.04), np.full(7, 0.010))
    wild = [FactorPeriod(p.returns, X, p.in_universe) for p in wild]
    quick, slow = (
        estimate_risk_model(
            calm + wild,
            X,
            np.arange(100),
            NAMES,
            KINDS,
            parameters=RiskParameters(volatility_half_life_sessions=h, specific_half_life_sessions=h),
        )
        for h in (20, 1000)
    )
    assert np.median(quick.D) > 1.5 * np.median(slow.D)
    assert quick.F[0, 0] > slow.F[0, 0]


def test_assets_are_found_by_their_positions():
    """Variances follow the positions handed in, in their order."""
    rng = np.random.default_rng(97)
    specific = np.where(np.arange(60) % 2 == 0, 0.01, 0.04)
    periods, X = market(rng, 40, 60, specific, np.full(7, 0.001))
    some = np.array([5, 2, 7, 4])
    model = estimate_risk_model(periods, X[some], some, NAMES, KINDS)
    assert (model.D[[0, 2]] > 4 * model.D[[1, 3]].max()).all()


def test_no_usable_session_is_refused():
    """No period, or periods without a return, are too short a history."""
    empty = FactorPeriod(np.full((5, 10), np.nan), np.zeros((10, 6)), np.ones(10, bool))
    for periods in ([], [empty]):
        with pytest.raises(InputRejected) as caught:
            estimate_risk_model(periods, np.zeros((10, 6)), np.arange(10), NAMES, KINDS)
        assert caught.value.code == Code.HISTORY_TOO_SHORT


def test_volatilities_equal_the_full_covariance():
    """Total and book volatility equal those of B F B' + D written out."""
    rng = np.random.default_rng(98)
    B, root, D = rng.standard_normal((9, 3)), rng.standard_normal((3, 3)), rng.uniform(0.1, 1, 9)
    model = RiskModel(("market", "a", "b"), ("market", "style", "style"), B, root @ root.T, D)
    covariance = B @ model.F @ B.T + np.diag(D)
    w = rng.standard_normal(9)
    np.testing.assert_allclose(model.total_volatility(), np.sqrt(np.diag(covariance)))
    assert model.book_volatility(w) == pytest.approx(np.sqrt(w @ covariance @ w))


def test_the_model_is_the_sum_of_its_parts():
    """Goal: nothing is lost between the parts. Method: each week's regression written out with a Lagrangian (numpy lstsq), the
    hat matrix written out, then the two public estimators; compared with the model to 1e-12."""
    print("seed 101")
    rng = np.random.default_rng(101)
    n, weeks = 60, 30
    periods, X = market(rng, weeks, n, rng.uniform(0.01, 0.03, n), np.full(7, 0.004))
    weights = rng.uniform(0.5, 2.0, n)
    weighted = [FactorPeriod(p.returns, p.exposures, p.in_universe, weights) for p in periods]
    parameters = RiskParameters()
    model = estimate_risk_model(weighted, X, np.arange(n), NAMES, KINDS, parameters=parameters)
    design = np.column_stack([np.ones(n), X])
    normal = design.T @ (design * weights[:, None])
    sums = np.concatenate([[0.0], weights @ X[:, :4], [0.0, 0.0]])
    lagrangian = np.block([[normal, sums[:, None]], [sums[None, :], np.zeros((1, 1))]])
    inverse = np.linalg.pinv(lagrangian, rcond=1e-12)[:7, :7]
    leverage = np.array([weights[i] * design[i] @ inverse @ design[i] for i in range(n)])
    r = np.concatenate([p.returns for p in periods])
    f = r @ (design * weights[:, None]) @ inverse.T
    F = factor_covariance(
        f, volatility_half_life_sessions=84, correlation_half_life_sessions=504, volatility_lags=4, correlation_lags=2
    )
    D = specific_variances((r - f @ design.T) / np.sqrt(1 - leverage), design, half_life_sessions=84, lags=4, prior_sessions=42)
    np.testing.assert_allclose(model.F, F, atol=1e-16, rtol=1e-9)
    np.testing.assert_allclose(model.D, D, rtol=1e-9)


def test_an_asset_alone_in_its_sector_is_not_without_risk():
    """Its residual is zero by construction; it must get what assets like it have, and not the floor."""
    print("seed 102")
    rng = np.random.default_rng(102)
    n = 200
    sector = np.where(np.arange(n) == 0, 3, np.arange(n) % 3)
    X = np.column_stack([np.eye(4)[sector], rng.standard_normal((n, 2))])
    everyone = np.ones(n, bool)
    periods = [FactorPeriod(0.02 * rng.standard_normal((5, n)), X, everyone) for _ in range(60)]
    model = estimate_risk_model(periods, X, np.arange(n), NAMES, KINDS)
    assert np.sqrt(model.D[0]) == pytest.approx(0.02, rel=0.1)
    assert np.sqrt(np.mean(model.D[1:])) == pytest.approx(0.02, rel=0.03)


def test_small_universes_do_not_understate_specific_risk():
    """Fifty assets and fifteen columns: a fit takes a quarter of the noise away, and the model puts it back."""
    print("seed 103")
    rng = np.random.default_rng(103)
    n = 50
    names = tuple(f"style{j}" for j in range(15))
    X = rng.standard_normal((n, 15))
    periods = [FactorPeriod(0.02 * rng.standard_normal((5, n)), X, np.ones(n, bool)) for _ in range(100)]
    model = estimate_risk_model(periods, X, np.arange(n), names, ("style",) * 15, parameters=LONG)
    assert np.sqrt(np.mean(model.D)) == pytest.approx(0.02, rel=0.02)


def test_adjusting_eigenvalues_needs_a_generator_and_follows_its_seed():
    rng = np.random.default_rng(104)
    periods, X = market(rng, 20, 80, np.full(80, 0.02), np.full(7, 0.005))
    parameters = RiskParameters(eigenvalue_simulations=10)
    with pytest.raises(InputRejected) as caught:
        estimate_risk_model(periods, X, np.arange(80), NAMES, KINDS, parameters=parameters)
    assert caught.value.code == Code.PROBLEM_INVALID
    plain = estimate_risk_model(periods, X, np.arange(80), NAMES, KINDS)
    one, same, other = (
        estimate_risk_model(periods, X, np.arange(80), NAMES, KINDS, parameters=parameters, rng=np.random.default_rng(seed))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.F, same.F)
    assert not np.array_equal(one.F, other.F)
    assert not np.array_equal(one.F, plain.F)
    np.testing.assert_array_equal(one.D, plain.D)


def test_assets_that_were_never_in_the_universe_have_the_variance_of_their_like():
    """A held name without one residual gets a finite variance, from its exposures; no residual of any asset gives zeros."""
    print("seed 105")
    rng = np.random.default_rng(105)
    periods, X = market(rng, 30, 100, np.full(100, 0.02), np.full(7, 0.004))
    outside = [FactorPeriod(p.returns, p.exposures, np.arange(100) != 7) for p in periods]
    model = estimate_risk_model(outside, X, np.arange(100), NAMES, KINDS)
    assert np.sqrt(model.D[7]) == pytest.approx(0.02, rel=0.15)
    lonely = estimate_risk_model(outside, X[[7]], np.array([7]), NAMES, KINDS)
    assert lonely.D.tolist() == [0.0]
