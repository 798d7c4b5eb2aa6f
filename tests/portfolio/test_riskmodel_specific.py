"""Goal: an asset's own variance is its history as far as that is known, and what its like have beyond. Method: the Newey–West
formula as loops over sessions and lags for each asset, shrinkage written out, simulated assets with a known truth."""

import math

import numpy as np
import pytest

from portfolio.specific import FLOOR, own_variances, specific_variances, structural_variances


def own_plainly(e: np.ndarray, half_life: float, lags: int) -> tuple[float, float]:
    """Newey–West of one asset and its effective number of sessions; what is unknown contributes nothing."""
    sessions = len(e)
    w = [2.0 ** (-(sessions - 1 - t) / half_life) for t in range(sessions)]
    known = [t for t in range(sessions) if not math.isnan(e[t])]
    if not known:
        return 0.0, 0.0
    total = sum(w[t] * e[t] ** 2 for t in known)
    for lag in range(1, lags + 1):
        for t in known:
            if t - lag in known:
                total += 2 * (1 - lag / (lags + 1)) * math.sqrt(w[t] * w[t - lag]) * e[t] * e[t - lag]
    mass = sum(w[t] for t in known)
    return total / mass, mass**2 / sum(w[t] ** 2 for t in known)


@pytest.mark.parametrize("lags", [0, 1, 4])
def test_own_variance_equals_the_formula(lags):
    print("seed 41")
    rng = np.random.default_rng(41)
    e = 0.02 * rng.standard_normal((50, 8))
    e[rng.random(e.shape) < 0.2] = np.nan
    e[:, 3] = np.nan
    e[:-2, 4] = np.nan
    variance, effective = own_variances(e, 12.0, lags)
    for i in range(8):
        expected = own_plainly(e[:, i], 12.0, lags)
        assert (variance[i], effective[i]) == (pytest.approx(expected[0], rel=1e-10), pytest.approx(expected[1], rel=1e-10))


def test_own_variance_is_never_negative():
    """Residuals that alternate, as bid and ask do, cancel: of five in a row one is left. Gaps in them do no harm."""
    alternating = np.where(np.arange(200)[:, None] % 2, 0.01, -0.01) * np.ones((1, 3))
    alternating[::7, 1] = np.nan
    variance, _ = own_variances(alternating, 84.0, 4)
    assert (variance >= 0).all()
    assert variance[0] == pytest.approx(0.01**2 / 5, rel=0.02)


def test_shrinkage_is_as_written():
    """D = s·own + (1 − s)·structural, s = n/(n + prior), with both written out; the young have the structural value alone."""
    print("seed 42")
    rng = np.random.default_rng(42)
    m = 60
    B = np.column_stack([np.ones(m), rng.standard_normal((m, 2))])
    e = rng.standard_normal((100, m)) * np.exp(0.3 * B[:, 1]) * 0.02
    e[:-20, 5] = np.nan
    D = specific_variances(e, B, half_life_sessions=50.0, lags=2, prior_sessions=30.0)
    plain = [own_plainly(e[:, i], 50.0, 2) for i in range(m)]
    own, effective = np.array([p[0] for p in plain]), np.array([p[1] for p in plain])
    seasoned = np.arange(m) != 5
    b = np.linalg.solve(B[seasoned].T @ B[seasoned], B[seasoned].T @ np.log(own[seasoned]))
    fitted = np.clip(np.exp(B @ b), own[seasoned].min(), own[seasoned].max())
    structural = fitted * np.mean(own[seasoned] / fitted[seasoned])
    share = np.where(seasoned, effective / (effective + 30.0), 0.0)
    np.testing.assert_allclose(D, share * own + (1 - share) * structural, rtol=1e-10)


def test_structural_variance_finds_what_exposures_tell():
    """Truth log-linear in the exposures: a newcomer's variance comes within 15 % of it, where the median is off by a factor."""
    print("seed 43")
    rng = np.random.default_rng(43)
    m = 400
    B = np.column_stack([np.ones(m), np.eye(3)[rng.integers(0, 3, m)], rng.standard_normal((m, 2))])
    truth = 4e-4 * np.exp(B[:, 1:] @ [0.5, 0.0, -0.5, 0.8, -0.3])
    e = rng.standard_normal((250, m)) * np.sqrt(truth)
    e[:-10, :40] = np.nan
    D = specific_variances(e, B, half_life_sessions=84.0, lags=0, prior_sessions=42.0)
    np.testing.assert_allclose(D[:40], truth[:40], rtol=0.15)
    assert np.max(np.abs(np.median(D) / truth[:40] - 1)) > 1.0
    assert np.sqrt(np.mean((D[40:] / truth[40:] - 1) ** 2)) < 0.13


def test_few_assets_are_shrunk_towards_the_median():
    own = np.array([1.0, 4.0, 9.0, 2.0])
    B = np.column_stack([np.ones(4), np.arange(4.0)])
    np.testing.assert_array_equal(structural_variances(own, B, np.array([True, True, True, False])), [4.0] * 4)


def test_an_extreme_exposure_does_not_leave_the_range():
    print("seed 44")
    rng = np.random.default_rng(44)
    B = np.column_stack([np.ones(50), rng.standard_normal(50)])
    own = np.exp(B[:, 1] * 0.5)
    wild = np.vstack([B, [1.0, 1e6], [1.0, -1e6]])
    found = structural_variances(np.append(own, [0.0, 0.0]), wild, np.append(np.ones(50, bool), [False, False]))
    assert found.max() == pytest.approx(own.max(), rel=1e-6)
    assert found.min() == pytest.approx(own.min(), rel=1e-6)


def test_stale_prices_have_the_floor_and_nobody_at_all_has_zero():
    """One that hardly moves has at least the floor and pulls nobody down; without a residual D is zero."""
    print("seed 45")
    rng = np.random.default_rng(45)
    B = np.ones((30, 1))
    e = 0.02 * rng.standard_normal((100, 30))
    before = specific_variances(e, B, half_life_sessions=84.0, lags=0, prior_sessions=0.0)
    e[:, 0] *= 1e-6
    D = specific_variances(e, B, half_life_sessions=84.0, lags=0, prior_sessions=0.0)
    assert D[0] == pytest.approx(FLOOR * np.median(D), rel=0.05)
    np.testing.assert_allclose(D[1:], before[1:])
    nothing = specific_variances(np.full((5, 3), np.nan), B[:3], half_life_sessions=84.0, lags=4, prior_sessions=42.0)
    assert nothing.tolist() == [0.0] * 3
    assert (
        specific_variances(np.empty((5, 0)), np.empty((0, 2)), half_life_sessions=84.0, lags=4, prior_sessions=42.0).size == 0
    )
