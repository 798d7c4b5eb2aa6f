"""Goal: a factor's return is what the assets were paid for it, whatever the weights and the dummies. Method: a Lagrangian
solved by numpy's lstsq as an independent constrained regression, the hat matrix written out, medians by numpy row by row."""

import numpy as np
import pytest

from portfolio.factorreturns import OUTLIER_DEVIATIONS, drawn_in, factor_returns, groups_of, regress

KINDS = ("sector",) * 4 + ("country",) * 3 + ("style",) * 2
GROUPS = groups_of(KINDS)


def design(rng: np.random.Generator, n: int) -> np.ndarray:
    dummies = [np.eye(4)[rng.integers(0, 4, n)], np.eye(3)[rng.integers(0, 3, n)]]
    return np.concatenate([*dummies, rng.standard_normal((n, 2))], axis=1)


def constrained(X: np.ndarray, W: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Minimize Σ W (r − Xf)² under the groups' sums: stationarity and constraints as one linear system."""
    X = np.column_stack([np.ones(len(X)), X])
    sums = np.zeros((2, X.shape[1]))
    for row, columns in zip(sums, GROUPS, strict=True):
        for j in columns:
            row[1 + j] = sum(W[i] * X[i, 1 + j] for i in range(len(W)))
    zeros = np.zeros((2, 2))
    system = np.block([[X.T @ np.diag(W) @ X, sums.T], [sums, zeros]])
    return np.linalg.lstsq(system, np.concatenate([X.T @ (W * r), [0.0, 0.0]]), rcond=1e-12)[0][: X.shape[1]]


def test_groups_are_the_columns_of_each_kind_of_dummies():
    assert [g.tolist() for g in GROUPS] == [[0, 1, 2, 3], [4, 5, 6]]
    assert groups_of(("style", "style")) == []


@pytest.mark.parametrize("seed", range(5))
def test_regression_equals_a_lagrangian(seed):
    """Random weights, two groups of dummies: factor returns of each session, to 1e-12."""
    print("seed", seed)
    rng = np.random.default_rng(seed)
    X, W = design(rng, 90), rng.uniform(0.2, 3.0, 90)
    returns = 0.02 * rng.standard_normal((4, 90))
    factors, _ = factor_returns(returns, X, W, GROUPS)
    for t in range(4):
        np.testing.assert_allclose(factors[t], constrained(X, W, returns[t]), atol=1e-12)


def test_dummies_sum_to_zero_and_nothing_of_the_fit_is_lost():
    """With whole groups the sums only pick one of many equal fits: residuals are those of the shortest coefficients, and the
    market is the weighted mean return when nothing else is in the design."""
    print("seed 21")
    rng = np.random.default_rng(21)
    X, W = design(rng, 120), rng.uniform(0.2, 3.0, 120)
    returns = 0.02 * rng.standard_normal((3, 120))
    factors, residuals = factor_returns(returns, X, W, GROUPS)
    np.testing.assert_allclose(residuals, factor_returns(returns, X, W)[1], atol=1e-12)
    for columns in GROUPS:
        np.testing.assert_allclose(factors[:, 1 + columns] @ (W @ X[:, columns]), 0.0, atol=1e-12)
    alone = factor_returns(returns, X[:, :4], W, [np.arange(4)])[0]
    np.testing.assert_allclose(alone[:, 0], returns @ W / W.sum(), atol=1e-14)


def test_a_sector_that_died_out_is_not_the_market():
    """Assets of a sector without a column: the market is still about the mean of all, not what that sector earned."""
    print("seed 22")
    rng = np.random.default_rng(22)
    n = 200
    sector = np.repeat([0, 1, 2, 3], [80, 80, 36, 4])
    returns = np.where(sector == 3, 0.20, 0.01) + 0.001 * rng.standard_normal((1, n))
    X = np.eye(4)[sector][:, :3]
    free = factor_returns(returns, X)[0]
    held = factor_returns(returns, X, None, [np.arange(3)])[0]
    assert free[0, 0] == pytest.approx(0.20, abs=0.01)
    assert held[0, 0] == pytest.approx(0.01, abs=0.006)


def test_one_sector_alone_earns_nothing_beyond_the_market():
    rng = np.random.default_rng(23)
    returns = 0.02 * rng.standard_normal((2, 30))
    factors, _ = factor_returns(returns, np.ones((30, 1)), None, [np.array([0])])
    np.testing.assert_allclose(factors[:, 1], 0.0, atol=1e-15)
    np.testing.assert_allclose(factors[:, 0], returns.mean(axis=1), atol=1e-15)


def test_a_group_without_assets_and_columns_of_zeros_are_harmless():
    factors, residuals = factor_returns(np.ones((2, 10)), np.zeros((10, 3)), None, [np.array([0, 1])])
    np.testing.assert_allclose(factors, [[1, 0, 0, 0]] * 2, atol=1e-12)
    np.testing.assert_allclose(residuals, 0.0, atol=1e-12)


@pytest.mark.parametrize("missing", [0.0, 0.9])
def test_leverage_is_the_diagonal_of_the_hat_matrix(missing):
    """By its meaning: moving an asset's return by one moves its own fit by its leverage. Assets that are not used have none."""
    print("seed 24")
    rng = np.random.default_rng(24)
    X, W = design(rng, 60), rng.uniform(0.5, 2.0, 60)
    returns = 0.02 * rng.standard_normal((3, 60))
    gappy = rng.random(60) < missing
    returns[rng.integers(0, 3, 60)[gappy], np.flatnonzero(gappy)] = np.nan
    found = regress(returns, X, W, GROUPS)
    whole = np.isfinite(returns).all(axis=0)
    full = np.column_stack([np.ones(60), X])
    for t in range(3):
        used = whole if whole.mean() >= 0.5 else np.isfinite(returns[t])
        for i in range(0, 60, 7):
            moved = returns.copy()
            moved[t, i] += 1.0
            expected = full[i] @ (factor_returns(moved, X, W, GROUPS)[0][t] - found.factors[t]) if used[i] else 0.0
            assert found.leverage[t, i] == pytest.approx(expected, abs=1e-10)
    assert (found.leverage >= -1e-12).all()
    assert (found.leverage <= 1 + 1e-12).all()


def test_drawing_in_equals_numpy_row_by_row():
    """Medians of what is known, by numpy's median, a row at a time; gaps, even and odd counts, rows without spread."""
    print("seed 25")
    rng = np.random.default_rng(25)
    returns = 0.02 * rng.standard_t(2, (12, 301)) ** 3
    returns[rng.random(returns.shape) < 0.2] = np.nan
    returns[3] = np.nan
    returns[4] = np.where(rng.random(301) < 0.9, 0.01, 0.5)
    found = drawn_in(returns)
    for row, limited in zip(returns, found, strict=True):
        known = row[np.isfinite(row)]
        if known.size:
            centre = np.median(known)
            width = OUTLIER_DEVIATIONS * 1.4826 * np.median(np.abs(known - centre))
            expected = np.clip(row, centre - width, centre + width) if width > 0 else row
            np.testing.assert_array_equal(limited, expected)
    assert np.isnan(found[3]).all()
    assert (np.nan_to_num(np.abs(found)) < np.nan_to_num(np.abs(returns))).any()
