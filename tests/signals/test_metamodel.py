"""The meta-model is the weighted mean of Gaussianized ranks, its neutral part has no exposure, and no stake means silence.

Independent source: ``stake_weight`` with ``gaussian`` and ``tie_kept_rank`` of numerai-tools 0.7.2; concentration by hand.
"""

import numerai_tools.scoring as oracle
import numpy as np
import pandas as pd
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.ranks import gaussianize, tie_kept_rank
from signals.metamodel import blend, build_meta_model, leave_one_out

SEED = 88


def draw(m=6, n=200):
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    sectors = np.eye(4)[rng.integers(0, 4, n)]
    return tie_kept_rank(rng.normal(size=(m, n))), rng.random(m) * 10, np.column_stack([sectors, rng.normal(size=(n, 3))])


def test_raw_meta_model_equals_the_library():
    signals, weights, exposures = draw()
    index = [f"A{i:04d}" for i in range(signals.shape[1])]
    ranked = oracle.gaussian(oracle.tie_kept_rank(pd.DataFrame(signals.T, index=index)))
    expected = oracle.stake_weight(ranked, pd.Series(weights, index=ranked.columns))
    assert np.max(np.abs(build_meta_model(signals, weights, exposures).raw - expected.to_numpy())) <= 1e-12


def test_neutral_part_has_no_exposure_and_is_not_ranked_again():
    signals, weights, exposures = draw()
    crowd = build_meta_model(signals, weights, exposures)
    design = np.column_stack([np.ones(len(exposures)), exposures])
    norms = np.linalg.norm(design, axis=0) * np.linalg.norm(crowd.neutral)
    assert np.max(np.abs(design.T @ crowd.neutral) / norms) <= 1e-10
    expected = crowd.raw - design @ np.linalg.lstsq(design, crowd.raw, rcond=1e-6)[0]
    assert np.max(np.abs(crowd.neutral - expected)) <= 1e-12


def test_only_the_proportion_of_weights_matters():
    signals, weights, exposures = draw()
    one, other = (build_meta_model(signals, weights * scale, exposures) for scale in (1.0, 1e18))
    assert np.allclose(one.raw, other.raw, atol=1e-12)
    assert one.weights.sum() == pytest.approx(1.0)
    assert one.effective_models == pytest.approx(weights.sum() ** 2 / (weights**2).sum())


def test_equal_weights_count_each_model_once_and_one_model_counts_one():
    signals, _, exposures = draw()
    assert build_meta_model(signals, np.ones(6), exposures).effective_models == pytest.approx(6)
    single = build_meta_model(signals, np.eye(6)[2], exposures)
    assert single.effective_models == pytest.approx(1)
    assert np.array_equal(single.raw, gaussianize(signals[2]))


def test_models_without_weight_have_no_say():
    signals, weights, exposures = draw()
    weights[[1, 4]] = 0
    signals[1] = np.nan
    crowd = build_meta_model(signals, weights, exposures)
    kept = [0, 2, 3, 5]
    assert np.array_equal(crowd.raw, build_meta_model(signals[kept], weights[kept], exposures).raw)


@pytest.mark.parametrize("m", [0, 3])
def test_without_stakes_the_meta_model_is_silent(m):
    crowd = build_meta_model(np.full((m, 50), 0.5), np.zeros(m), np.ones((50, 2)))
    assert (crowd.effective_models, crowd.raw.shape, crowd.raw.any(), crowd.neutral.any()) == (0.0, (50,), False, False)
    assert not leave_one_out(np.full((m, 50), 0.5), np.zeros(m)).any()


@pytest.mark.parametrize("weights", [[-1.0, 2.0], [np.nan, 1.0], [np.inf, 1.0], [1.0]])
def test_impossible_weights_are_refused(weights):
    with pytest.raises(InputRejected) as refusal:
        build_meta_model(np.full((2, 5), 0.5), np.array(weights), np.ones((5, 1)))
    assert refusal.value.code is Code.SCORE_INPUT_INVALID


def test_leaving_one_out_equals_building_without_it():
    signals, weights, exposures = draw()
    weights[3] = 0
    whole = build_meta_model(signals, weights, exposures).raw
    for i, change in enumerate(leave_one_out(signals, weights).tolist()):
        without = build_meta_model(np.delete(signals, i, axis=0), np.delete(weights, i), exposures).raw
        assert change == pytest.approx(1 - np.corrcoef(without, whole)[0, 1], abs=1e-12)
    assert leave_one_out(signals[:1], np.ones(1)).tolist() == [1.0]


def test_blend_weighs_standardized_vectors():
    rng = np.random.default_rng(SEED)
    a, b = rng.normal(size=100), 50 * rng.normal(size=100) + 3
    expected = 0.3 * (a - a.mean()) / a.std() + 0.7 * (b - b.mean()) / b.std()
    assert np.max(np.abs(blend([(a, 3.0), (b, 7.0)]) - expected)) <= 1e-12


def test_silent_tournament_leaves_its_share_to_the_other():
    a = np.random.default_rng(SEED).normal(size=100)
    for silent in (np.zeros(100), np.full(100, 0.1)):
        assert np.array_equal(blend([(a, 0.5), (silent, 0.5)]), blend([(a, 1.0)]))
    assert not blend([(np.zeros(100), 0.5), (a, 0.0)]).any()


@pytest.mark.parametrize(
    "models", [[], [(np.zeros(3), 1.0), (np.zeros(4), 1.0)], [(np.zeros(3), -1.0)], [(np.array([np.nan, 1.0]), 1.0)]]
)
def test_impossible_blends_are_refused(models):
    with pytest.raises(InputRejected):
        blend(models)
