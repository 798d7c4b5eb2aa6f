"""Goal: the factor covariance is what Newey and West (1987) write and never indefinite. Method: their formula as nested
loops over sessions and lags, simulated histories with a known truth, random and degenerate inputs."""

import math
from functools import partial

import numpy as np
import pytest

from portfolio.covariance import UNDERSTATED_MAX, decay, eigenvalue_adjusted, factor_covariance, long_run_covariance

DEFAULTS = {
    "volatility_half_life_sessions": 84.0,
    "correlation_half_life_sessions": 504.0,
    "volatility_lags": 4,
    "correlation_lags": 2,
}


def newey_west(f: np.ndarray, half_life: float, lags: int) -> np.ndarray:
    """Γ₀ + Σ_h (1 − h/(L+1)) (Γ_h + Γ_h'), entry by entry, session by session."""
    sessions, k = f.shape
    w = [2.0 ** (-(sessions - 1 - t) / half_life) for t in range(sessions)]
    out = np.zeros((k, k))
    for lag in range(lags + 1):
        for t in range(lag, sessions):
            weight = math.sqrt(w[t] * w[t - lag]) * (1 - lag / (lags + 1))
            for i in range(k):
                for j in range(k):
                    out[i, j] += weight * f[t, i] * f[t - lag, j]
                    if lag:
                        out[i, j] += weight * f[t - lag, i] * f[t, j]
    return out / sum(w)


@pytest.mark.parametrize(("sessions", "lags"), [(1, 0), (1, 5), (3, 5), (40, 0), (40, 1), (40, 4)])
def test_long_run_covariance_equals_the_formula(sessions, lags):
    """Also where the history is shorter than the lags."""
    print("seed 31")
    f = np.random.default_rng(31).standard_normal((sessions, 3))
    np.testing.assert_allclose(long_run_covariance(f, 9.0, lags), newey_west(f, 9.0, lags), rtol=1e-12, atol=1e-14)


def test_without_decay_it_is_the_textbook_estimate():
    """Equal weights: Newey–West of a mean's score with the Bartlett kernel, through autocovariances by numpy's correlate."""
    f = np.random.default_rng(32).standard_normal(200)
    auto = np.correlate(f, f, "full")[199:] / 200
    expected = auto[0] + 2 * sum((1 - h / 6) * auto[h] for h in range(1, 6))
    assert long_run_covariance(f[:, None], 1e12, 5)[0, 0] == pytest.approx(expected, rel=1e-9)


def test_weights_halve():
    np.testing.assert_allclose(decay(5, 2.0), [0.25, 2**-1.5, 0.5, 2**-0.5, 1.0])


def test_volatilities_and_correlations_have_half_lives_of_their_own():
    """F written out: volatilities of one half-life, correlations of the other, each by the loops above."""
    print("seed 33")
    rng = np.random.default_rng(33)
    f = rng.standard_normal((60, 4)) @ rng.standard_normal((4, 4)) * np.linspace(1, 3, 60)[:, None]
    F = factor_covariance(
        f, volatility_half_life_sessions=8, correlation_half_life_sessions=50, volatility_lags=3, correlation_lags=1
    )
    fast, slow = newey_west(f, 8, 3), newey_west(f, 50, 1)
    for i in range(4):
        for j in range(4):
            correlation = slow[i, j] / math.sqrt(slow[i, i] * slow[j, j])
            assert F[i, j] == pytest.approx(math.sqrt(fast[i, i] * fast[j, j]) * correlation, rel=1e-10)


def test_serial_correlation_is_found():
    """Factors with f_t = e_t + ½ e_{t−1}: sums of many have variance 2.25 a session, not 1.25; with − ½ it is 0.25."""
    print("seed 34")
    e = np.random.default_rng(34).standard_normal((20_001, 2))
    f = np.column_stack([e[1:, 0] + 0.5 * e[:-1, 0], e[1:, 1] - 0.5 * e[:-1, 1]])
    naive, corrected = (np.diag(long_run_covariance(f, 1e9, lags)) for lags in (0, 20))
    np.testing.assert_allclose(naive, 1.25, rtol=0.04)
    np.testing.assert_allclose(corrected, [2.25 - 1 / 21, 0.25 + 1 / 21], rtol=0.1)


def degenerate(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Histories that break a careless estimate."""
    f = 0.01 * rng.standard_normal((120, 6))
    constant = f.copy()
    constant[:, 2] = 0.003
    still = f.copy()
    still[:, [1, 4]] = 0.0
    centred = f - f.mean(axis=1, keepdims=True)
    return {
        "one session": f[:1],
        "two sessions": f[:2],
        "fewer sessions than factors": f[:4],
        "a constant factor": constant,
        "factors that never move": still,
        "nothing moves": np.zeros((50, 6)),
        "dummies that sum to zero": centred,
        "a factor twice, and its opposite": np.column_stack([f, f[:, 0], -f[:, 0]]),
        "alternating": np.where(np.arange(120)[:, None] % 2, 0.01, -0.01) * np.ones((1, 6)),
        "one wild session": np.vstack([f, 1e3 * f[:1], f]),
        "scales of twelve orders": f * 10.0 ** np.arange(-6, 6, 2),
        "moved only long ago": np.vstack([f, np.zeros((3_000, 6))]),
    }


@pytest.mark.parametrize("name", degenerate(np.random.default_rng(0)))
def test_degenerate_histories_stay_positive_semidefinite(name):
    """No eigenvalue below rounding, nothing that is not finite, symmetric to the bit, with and without adjusted eigenvalues."""
    f = degenerate(np.random.default_rng(35))[name]
    estimate = partial(factor_covariance, **DEFAULTS)
    F = estimate(f)
    adjusted = eigenvalue_adjusted(F, len(f), estimate, np.random.default_rng(1), simulations=5, scale=1.4)
    for each in (F, adjusted):
        assert np.isfinite(each).all()
        np.testing.assert_array_equal(each, each.T)
        values = np.linalg.eigvalsh(each)
        assert values[0] >= -1e-14 * max(values[-1], 0.0) - 1e-300


def test_random_histories_stay_positive_semidefinite():
    """Three hundred random sizes, half-lives, lags and tails."""
    print("seed 36")
    rng = np.random.default_rng(36)
    for _ in range(300):
        sessions, k = int(rng.integers(1, 80)), int(rng.integers(1, 25))
        f = rng.standard_t(2, (sessions, k)) @ (rng.standard_normal((k, k)) * (rng.random((k, k)) < 0.4))
        short, long = np.exp(rng.uniform(-1, 7, 2))
        F = factor_covariance(
            f,
            volatility_half_life_sessions=short,
            correlation_half_life_sessions=long,
            volatility_lags=int(rng.integers(0, 12)),
            correlation_lags=int(rng.integers(0, 12)),
        )
        values = np.linalg.eigvalsh(F)
        assert values[0] >= -1e-13 * values[-1]


# --- eigenvalues ---------------------------------------------------------------------------------------------------------


def adjusted_plainly(F, sessions, estimate, seed, simulations, scale):
    """Menchero, Wang and Orr step by step, one eigenvalue at a time, for a covariance of full rank."""
    rng = np.random.default_rng(seed)
    values, vectors = np.linalg.eigh(F)
    total = [0.0] * len(values)
    for _ in range(simulations):
        draws = rng.standard_normal((sessions, len(values)))
        history = np.array([vectors @ (np.sqrt(values) * row) for row in draws])
        found, directions = np.linalg.eigh(estimate(history))
        for j, direction in enumerate(directions.T):
            total[j] += float(direction @ F @ direction) / float(found[j])
    out = np.zeros_like(F)
    for j, direction in enumerate(vectors.T):
        v = math.sqrt(total[j] / simulations)
        out += (1 + scale * (v - 1)) ** 2 * values[j] * np.outer(direction, direction)
    return out


def test_adjustment_equals_the_published_steps():
    print("seed 37")
    rng = np.random.default_rng(37)
    root = rng.standard_normal((5, 5))
    F = 1e-4 * (root @ root.T + np.eye(5))
    estimate = partial(factor_covariance, **DEFAULTS)
    found = eigenvalue_adjusted(F, 100, estimate, np.random.default_rng(4), simulations=7, scale=1.4)
    np.testing.assert_allclose(found, adjusted_plainly(F, 100, estimate, 4, 7, 1.4), rtol=1e-9, atol=1e-18)


def test_adjustment_corrects_the_risk_of_the_extreme_directions():
    """Twenty alike factors, 60 sessions: the truth along the estimate's smallest eigenvector is far above its eigenvalue; with
    the adjustment (scale 1, normal data) forecast over truth is near one, where it was below two thirds."""
    print("seed 38")
    rng = np.random.default_rng(38)
    estimate = partial(long_run_covariance, half_life_sessions=1e9, lags=0)
    before, after = [], []
    for _ in range(30):
        F = estimate(rng.standard_normal((60, 20)))
        smallest = np.linalg.eigh(F)[1][:, 0]
        adjusted = eigenvalue_adjusted(F, 60, estimate, rng, simulations=60, scale=1.0)
        before.append(smallest @ F @ smallest)
        after.append(smallest @ adjusted @ smallest)
    assert np.mean(before) < 0.3
    assert np.mean(after) > 1.8 * np.mean(before)
    assert np.mean(after) < 1.0


def test_adjustment_leaves_directions_without_risk_alone_and_is_bounded():
    """Factors that sum to zero stay so; with three sessions for six factors no volatility grows beyond the bound."""
    rng = np.random.default_rng(39)
    f = 0.01 * rng.standard_normal((100, 6))
    estimate = partial(factor_covariance, **DEFAULTS)
    f -= f.mean(axis=1, keepdims=True)
    F = long_run_covariance(f, 84, 4)
    adjusted = eigenvalue_adjusted(F, 100, estimate, rng, simulations=20, scale=1.4)
    np.testing.assert_allclose(adjusted @ np.ones(6), 0.0, atol=1e-15)
    few = estimate(f[:3])
    bounded = eigenvalue_adjusted(few, 3, estimate, rng, simulations=20, scale=1.0)
    assert np.linalg.eigvalsh(bounded)[-1] <= UNDERSTATED_MAX**2 * np.linalg.eigvalsh(few)[-1] * (1 + 1e-9)
    np.testing.assert_array_equal(
        eigenvalue_adjusted(np.zeros((2, 2)), 9, estimate, rng, simulations=1, scale=1.0), np.zeros((2, 2))
    )
