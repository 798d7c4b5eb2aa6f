"""The projection equals numpy's least squares where that is well conditioned (independent source), and leaves no exposure in
any degenerate design: |b'r| <= 1e-10 |b| |r| for each column b, the intercept among them."""

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.projection import orthonormal_basis, residualize
from tests.builders.designs import N, assert_nothing_left, degenerate_designs, sectors

SEED = 20240112


def lstsq_residual(values, exposures):
    design = np.column_stack([np.ones(len(exposures)), exposures])
    fit = np.linalg.lstsq(design, values, rcond=1e-6)[0]
    return values - design @ fit


def test_equals_numpy_lstsq_where_well_conditioned():
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    for k in (1, 5, 20):
        exposures = np.column_stack([rng.normal(size=(200, k)), sectors(rng, 200, 6)])
        values = rng.normal(size=200)
        np.testing.assert_allclose(residualize(values, exposures), lstsq_residual(values, exposures), atol=1e-12)
        part = residualize(values, exposures, proportion=0.3)
        want = values - 0.3 * (values - lstsq_residual(values, exposures))
        np.testing.assert_allclose(part, want, atol=1e-12)


def test_no_exposure_is_left_in_degenerate_designs():
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    for name, exposures in degenerate_designs(rng):
        for scale in (1e-12, 1.0, 1e12):
            values = scale * rng.normal(size=N)
            residual = residualize(values, exposures)
            print(name, scale)
            assert np.isfinite(residual).all()
            assert_nothing_left(residual, exposures)


def test_no_exposure_is_left_in_random_mixtures_of_every_defect():
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    for _ in range(400):
        n, k = int(rng.integers(1, 50)), int(rng.integers(2, 70))
        exposures = rng.normal(size=(n, k)) * 10.0 ** rng.integers(-12, 13, k)
        for a, b in rng.integers(0, k, (3, 2)):
            blur = rng.normal(size=n) * np.abs(exposures[:, b]).max() * 10.0 ** rng.integers(-16, -3)
            exposures[:, a] = exposures[:, b] * 10.0 ** rng.integers(-6, 7) + blur * rng.integers(0, 2)
        exposures[:, rng.integers(0, k)] = rng.choice([0.0, 1.0, 1e12])
        values = rng.normal(size=n) * 10.0 ** rng.integers(-12, 13)
        if rng.random() < 0.3:
            values = exposures @ rng.normal(size=k)
        assert_nothing_left(residualize(values, exposures), exposures)


def test_a_value_that_is_explained_wholly_leaves_exact_zeros():
    rng = np.random.default_rng(SEED)
    values = rng.normal(size=N)
    for exposures in (np.eye(N), rng.normal(size=(N, 2 * N)), values[:, None], np.column_stack([values * 1e9 + 3])):
        np.testing.assert_array_equal(residualize(values, exposures), np.zeros(N))
    np.testing.assert_array_equal(residualize(np.full(N, 0.1), np.zeros((N, 1))), np.zeros(N))


def test_rows_are_projected_one_by_one_and_arguments_stay():
    rng = np.random.default_rng(SEED)
    exposures, values = rng.normal(size=(N, 5)), rng.normal(size=(8, N))
    before = values.copy(), exposures.copy()
    together = residualize(values, exposures)
    for row, value in zip(together, values, strict=True):
        np.testing.assert_allclose(row, residualize(value, exposures), atol=1e-14)
    np.testing.assert_array_equal(values, before[0])
    np.testing.assert_array_equal(exposures, before[1])


def test_projecting_twice_changes_nothing_in_any_design():
    rng = np.random.default_rng(SEED)
    for name, exposures in degenerate_designs(rng):
        once = residualize(rng.normal(size=N), exposures)
        np.testing.assert_allclose(residualize(once, exposures), once, atol=1e-10, err_msg=name)


def test_basis_is_orthonormal_has_the_true_rank_and_adds_no_intercept():
    rng = np.random.default_rng(SEED)
    exposures = np.column_stack([rng.normal(size=(N, 3)), np.zeros(N)])
    exposures = np.column_stack([exposures, exposures[:, 0] - 2 * exposures[:, 1]])
    basis = orthonormal_basis(exposures)
    assert basis.shape == (N, 3)
    np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-14)
    assert np.linalg.norm(np.ones(N) - basis @ (basis.T @ np.ones(N))) > 1.0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    good = np.ones(4)
    wrong = np.array([1.0, bad, 2.0, 3.0])
    for values, exposures in ((wrong, good), (good, wrong)):
        with pytest.raises(InputRejected) as caught:
            residualize(values, exposures)
        assert caught.value.code is Code.VALUE_NOT_FINITE
