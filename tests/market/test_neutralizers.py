"""N is orthonormal under v, spans the exposures and an intercept whatever they are, and is one and the same on any machine.

Independent sources: numpy's QR of the weighted design, its signs turned, and plain loops over pandas series for v.
"""

import numpy as np
import pandas as pd
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.exposures import compute_exposures
from market.neutralizers import condensed, neutralizers_of, sample_weights
from signals.portfolio_scores import neutral_weights
from tests.builders.designs import N, degenerate_designs, sectors
from tests.builders.panels import changed_after, hand_panel, small_panel, view_at

SEED = 20240301


def orthonormality(basis, weights):
    return np.abs(basis.T @ (weights[:, None] * basis) - np.eye(basis.shape[1])).max(initial=0.0)


def test_equals_numpys_qr_where_the_design_has_full_rank():
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    for k in (1, 6, 25):
        design, weights = rng.normal(size=(300, k)) * 10.0 ** rng.uniform(-3, 3, k), rng.uniform(0.1, 3.0, 300)
        root = np.sqrt(weights)[:, None]
        q, r = np.linalg.qr(root * np.column_stack([np.ones(300), design]))
        np.testing.assert_allclose(neutralizers_of(design, weights), q * np.sign(np.diag(r)) / root, rtol=0, atol=1e-12)


def test_any_design_gives_an_orthonormal_basis_of_its_own_space():
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    weights = rng.uniform(0.2, 5.0, N)
    for name, design in degenerate_designs(rng):
        basis = neutralizers_of(design, weights)
        assert orthonormality(basis, weights) <= 1e-10, name
        for column in np.column_stack([np.ones(N), design]).T:
            scaled = column / (np.abs(column).max() or 1.0)
            rest = scaled - basis @ (basis.T @ (weights * scaled))
            assert np.sqrt(rest @ (weights * rest)) <= 1e-10 * np.sqrt(scaled @ (weights * scaled)), name


def test_assets_without_weight_decide_nothing_and_are_placed_by_their_exposures():
    rng = np.random.default_rng(SEED)
    design = np.column_stack([rng.normal(size=(N, 3)), sectors(rng, N, 4)])
    weights = rng.random(N)
    weights[:3] = 0.0
    basis = condensed(design, weights)
    assert orthonormality(basis, weights) <= 1e-12
    np.testing.assert_allclose(basis[3:], condensed(design[3:], weights[3:]), atol=1e-12)
    assert np.linalg.matrix_rank(np.column_stack([basis, design])) == np.linalg.matrix_rank(design) == basis.shape[1]


def test_rounding_and_the_order_of_assets_change_it_below_1e_10():
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    view = view_at(small_panel(seed=13, n_assets=300, n_sessions=600))
    members = np.arange(300)
    exposures, weights = compute_exposures(view, members).values, sample_weights(view, members)
    basis = neutralizers_of(exposures, weights)
    assert basis.shape[1] == exposures.shape[1]  # the sectors hold the intercept
    order = rng.permutation(300)
    noise = 1.0 + rng.uniform(-2e-16, 2e-16, exposures.shape)
    other = neutralizers_of((exposures * noise)[order], weights[order])
    np.testing.assert_allclose(other, basis[order], rtol=0, atol=1e-10)
    assert (basis.T @ weights > 0)[0]
    new = np.flatnonzero([np.linalg.matrix_rank(exposures[:, : i + 1]) == i + 1 for i in range(exposures.shape[1])])
    # The first vector is the intercept; the last sector is what the intercept leaves of it: nothing.
    products = np.einsum("ij,ij->j", basis[:, 1:], weights[:, None] * exposures[:, np.delete(new, 3)])
    assert (products > 0).all()


def test_neutral_weights_of_a_round_hold_no_factor():
    rng = np.random.default_rng(SEED)
    view = view_at(small_panel(seed=14, n_assets=120, n_sessions=600))
    members = np.arange(120)
    exposures, weights = compute_exposures(view, members).values, sample_weights(view, members)
    books = neutral_weights(rng.random((5, 120)), neutralizers_of(exposures, weights), weights)
    assert np.abs(books @ np.column_stack([np.ones(120), exposures])).max() <= 1e-10 * np.abs(books).sum(axis=1).max()


def test_sample_weights_equal_plain_loops():
    view = view_at(small_panel(seed=15, n_assets=60))
    members = np.array([i for i in range(60) if i % 7])
    dollars = pd.DataFrame(view.close * view.volume).fillna(0.0).iloc[-63:]
    roots = pd.Series([dollars[i].median() ** 0.5 for i in members])
    within = roots.clip(roots.median() / 5, roots.median() * 5)
    found = sample_weights(view, members)
    np.testing.assert_allclose(found, within / within.mean(), rtol=1e-12)
    assert found.mean() == pytest.approx(1.0)
    assert found.max() <= 25 * found.min() * (1 + 1e-12)
    assert not found.flags.writeable


def test_sample_weights_know_nothing_of_the_future_and_need_no_volume():
    panel = small_panel(seed=16)
    members = np.arange(40)
    for row in (255, 318):
        late = sample_weights(view_at(changed_after(panel, row), row), members)
        assert sample_weights(view_at(panel, row), members).tobytes() == late.tobytes()
    silent = hand_panel(panel.close, volume=np.zeros(panel.close.shape))
    np.testing.assert_array_equal(sample_weights(view_at(silent), members), np.ones(40))


def test_wrong_inputs_are_refused_by_name():
    good = np.ones(4)
    for code, call in [
        (Code.VALUE_RANGE, lambda: condensed(good[:, None], -good)),
        (Code.VALUE_NOT_FINITE, lambda: condensed(good * np.nan, good)),
        (Code.VALUE_NOT_FINITE, lambda: condensed(good, good * np.inf)),
    ]:
        with pytest.raises(InputRejected) as caught:
            call()
        assert caught.value.code is code
