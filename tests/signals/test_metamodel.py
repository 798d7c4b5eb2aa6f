"""The meta-model is the weighted mean of Gaussianized ranks, its neutral part has no exposure, and no stake means silence.

Independent sources: ``stake_weight`` with ``gaussian`` and ``tie_kept_rank`` of numerai-tools 0.7.2; concentration, caps and
minima by hand; the contribution of a model by building the meta-model again without it.
"""

import numerai_tools.scoring as oracle
import numpy as np
import pandas as pd
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.ranks import gaussianize, tie_kept_rank
from signals.contribution import BLOCK_MODELS, contributions, vector_score
from signals.crowd_report import concentration, factor_exposures
from signals.metamodel import VARIANTS, blend, build_meta_model, variant_weights
from signals.scores import corr

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


def test_signals_that_cancel_are_no_opinion():
    signals, _, exposures = draw(3)
    mirrored = np.concatenate([signals, 1.0 - signals])
    crowd = build_meta_model(mirrored, np.array([1.0, 2.0, 3.0, 1.0, 2.0, 3.0]), exposures)
    assert not crowd.raw.any()
    assert not crowd.neutral.any()
    target = np.random.default_rng(3).normal(size=200)
    pair = contributions(mirrored[[0, 3]], np.array([2.0, 2.0]), exposures, target)
    alone = contributions(mirrored[[0]], np.array([2.0]), exposures, target)[0]
    assert pair == pytest.approx([alone, -alone], abs=1e-12)  # each harms by what the other says alone


@pytest.mark.parametrize("m", [0, 3])
def test_without_stakes_the_meta_model_is_silent(m):
    crowd = build_meta_model(np.full((m, 50), 0.5), np.zeros(m), np.ones((50, 2)))
    assert (crowd.effective_models, crowd.raw.shape, crowd.raw.any(), crowd.neutral.any()) == (0.0, (50,), False, False)
    assert not contributions(np.full((m, 50), 0.5), np.zeros(m), np.ones((50, 2)), np.linspace(0, 1, 50)).any()


@pytest.mark.parametrize("weights", [[-1.0, 2.0], [np.nan, 1.0], [np.inf, 1.0], [1.0]])
def test_impossible_weights_are_refused(weights):
    with pytest.raises(InputRejected) as refusal:
        build_meta_model(np.full((2, 5), 0.5), np.array(weights), np.ones((5, 1)))
    assert refusal.value.code is Code.SCORE_INPUT_INVALID


# --- variants ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "options", "expected"),
    [
        ("stake", {}, [50.0, 30.0, 0.0, 15.0, 5.0]),
        ("equal", {}, [1.0, 1.0, 0.0, 1.0, 1.0]),
        ("stake_min", {"minimum": 15.0}, [50.0, 30.0, 0.0, 15.0, 0.0]),
        ("stake_min", {"minimum": 51.0}, [0.0, 0.0, 0.0, 0.0, 0.0]),
        # Provider a holds 80 of 100 and is cut to 0.4; b and c share 0.6 as 15 to 5, so b passes 0.4 too and c gets the rest.
        ("provider_cap", {"provider_share_max": 0.4}, [0.25, 0.15, 0.0, 0.4, 0.2]),
        ("provider_cap", {"provider_share_max": 0.6}, [0.375, 0.225, 0.0, 0.3, 0.1]),
        ("provider_cap", {"provider_share_max": 1.0}, [0.5, 0.3, 0.0, 0.15, 0.05]),
        # Three providers cannot all stay below 0.3.
        ("provider_cap", {"provider_share_max": 0.3}, [5 / 24, 3 / 24, 0.0, 1 / 3, 1 / 3]),
    ],
)
def test_variants_by_hand(variant, options, expected):
    weights, owners = np.array([50.0, 30.0, 0.0, 15.0, 5.0]), ["a", "a", "a", "b", "c"]
    assert variant_weights(variant, weights, owners, **options).tolist() == pytest.approx(expected, abs=1e-12)


def test_no_provider_passes_the_cap_where_it_can_hold():
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    for _ in range(300):
        m = int(rng.integers(1, 30))
        owners = [f"p{i}" for i in rng.integers(0, 8, m)]
        weights = np.exp(rng.normal(0, 2, m)) * (rng.random(m) < 0.8)
        cap = float(rng.uniform(0.05, 1))
        found = variant_weights("provider_cap", weights, owners, provider_share_max=cap)
        if not weights.any():
            assert not found.any()
            continue
        assert found.sum() == pytest.approx(1.0)
        assert ((found > 0) == (weights > 0)).all()
        staked = len({o for o, w in zip(owners, weights, strict=True) if w > 0})
        assert concentration(found, owners).largest_provider <= max(cap, 1 / staked) + 1e-12


@pytest.mark.parametrize("variant", VARIANTS)
def test_nobody_weighs_anything_without_stakes(variant):
    assert not variant_weights(variant, np.zeros(3), ["a", "b", "c"]).any()


@pytest.mark.parametrize(
    ("variant", "weights", "owners", "cap"),
    [("best", [1.0], ["a"], 1.0), ("equal", [-1.0], ["a"], 1.0), ("stake", [np.nan], ["a"], 1.0), ("stake", [1.0], [], 1.0),
     ("provider_cap", [1.0], ["a"], 0.0), ("provider_cap", [1.0], ["a"], 1.5)],
)  # fmt: skip
def test_impossible_variants_are_refused(variant, weights, owners, cap):
    with pytest.raises(InputRejected) as refusal:
        variant_weights(variant, np.array(weights), owners, provider_share_max=cap)
    assert refusal.value.code is Code.SCORE_INPUT_INVALID


def test_splitting_a_stake_changes_nothing_by_stake_and_much_by_heads():
    """One stake behind a file, or the same stake spread over ten copies under ten names."""
    signals, _, exposures = draw(m=4)
    whole = np.array([1.0, 1.0, 1.0, 1.0])
    copies, spread = np.vstack([signals, *[signals[:1]] * 9]), np.array([0.1, 1.0, 1.0, 1.0, *[0.1] * 9])
    owners = ["mallory", "b", "c", "d", *(f"sybil{i}" for i in range(9))]
    moved = {}
    for variant in ("stake", "equal", "provider_cap"):
        before = variant_weights(variant, whole, owners[:4], provider_share_max=0.25)
        after = variant_weights(variant, spread, owners, provider_share_max=0.25)
        one, other = build_meta_model(signals, before, exposures).raw, build_meta_model(copies, after, exposures).raw
        moved[variant] = float(np.abs(one - other).max())
    assert moved["stake"] <= 1e-12
    assert moved["equal"] > 0.1
    small = variant_weights("provider_cap", spread, owners, provider_share_max=0.1)
    assert small[0] + small[4:].sum() > 0.7  # ten names hold what a cap of a tenth was meant to keep from one


# --- contribution --------------------------------------------------------------------------------------------------------


def brute_force(signals, weights, exposures, target):
    """Build the meta-model again without each model, and score both."""

    def score(kept):
        return float(corr(build_meta_model(signals[kept], weights[kept], exposures).neutral[None, :], target)[0])

    everyone = list(range(len(weights)))
    return [score(everyone) - score([j for j in everyone if j != i]) for i in everyone]


@pytest.mark.parametrize(("m", "n"), [(1, 40), (2, 40), (3, 200), (7, 200), (12, 500)])
def test_leaving_one_out_equals_building_without_it(m, n):
    signals, weights, exposures = draw(m, n)
    if m > 3:
        weights[3] = 0.0
    rng = np.random.default_rng(SEED + 1)
    target = rng.integers(0, 5, n) / 4
    target[rng.random(n) < 0.05] = np.nan
    found = contributions(signals, weights, exposures, target)
    assert found.tolist() == pytest.approx(brute_force(signals, weights, exposures, target), abs=1e-12)
    assert m <= 3 or found[3] == 0.0


def test_contributions_do_not_depend_on_blocks_or_on_the_order_of_models(monkeypatch):
    signals, weights, exposures = draw(12, 200)
    target = np.random.default_rng(SEED).integers(0, 5, 200) / 4
    expected = contributions(signals, weights, exposures, target)
    assert BLOCK_MODELS > 12
    monkeypatch.setattr("signals.contribution.BLOCK_MODELS", 5)
    assert contributions(signals, weights, exposures, target).tolist() == pytest.approx(expected.tolist(), abs=1e-12)
    order = np.random.default_rng(SEED).permutation(12)
    shuffled = contributions(signals[order], weights[order], exposures, target)
    assert shuffled.tolist() == pytest.approx(expected[order].tolist(), abs=1e-12)


def test_a_model_that_knows_the_target_helps_and_its_mirror_harms():
    signals, weights, exposures = draw(6, 400)
    rng = np.random.default_rng(SEED + 1)
    target = rng.integers(0, 5, 400) / 4
    knowing = tie_kept_rank(target + 0.5 * rng.normal(size=400))
    signals[0], signals[1] = knowing, 1 - knowing
    weights[:] = 1.0
    found = contributions(signals, weights, exposures, target)
    assert found[0] > 0.1
    assert found[1] < -0.1
    assert found[0] == max(found)
    assert found[1] == min(found)


def test_what_is_left_without_an_opinion_scores_zero():
    """Without the only model that says something, constants are left, or what the exposures explain: rounding, no view."""
    _, _, exposures = draw(1, 200)
    rng = np.random.default_rng(SEED)
    target, own = rng.integers(0, 5, 200) / 4, tie_kept_rank(rng.normal(size=200))
    sector_bet = tie_kept_rank(exposures[:, 0])
    signals = np.vstack([own, np.full(200, 0.5), sector_bet])
    found = contributions(signals, np.array([1.0, 2.0, 3.0]), exposures, target)
    alone = vector_score(build_meta_model(own[None, :], np.ones(1), exposures).neutral, target)
    assert found.tolist() == pytest.approx([alone, 0.0, 0.0], abs=1e-12)
    assert vector_score(np.zeros(200), target) == 0.0


def test_assets_that_nobody_ranks_tie_whatever_rounding_does():
    """Half of the universe is missing in all files and has the same exposures: its neutral values are one number."""
    rng = np.random.default_rng(SEED)
    n = 300
    exposures = np.eye(3)[np.arange(n) % 3]
    signals = np.full((4, n), 0.5)
    signals[:, : n // 2] = tie_kept_rank(rng.normal(size=(4, n // 2)))
    target = rng.integers(0, 5, n) / 4
    weights = rng.random(4) + 0.5
    neutral = build_meta_model(signals, weights, exposures).neutral
    exact = np.round(neutral, 10)
    assert len(set(exact[n // 2 :].tolist())) <= 3
    assert vector_score(neutral, target) == pytest.approx(float(corr(exact[None, :], target)[0]), abs=1e-12)
    order = rng.permutation(4)
    found = contributions(signals, weights, exposures, target)
    assert contributions(signals[order], weights[order], exposures, target).tolist() == pytest.approx(
        found[order].tolist(), abs=1e-12
    )


# --- the report ----------------------------------------------------------------------------------------------------------


def test_concentration_by_hand():
    found = concentration(np.array([1.0, 2.0, 5.0, 0.0]), ["a", "a", "b", "c"])
    assert found.hhi_models == pytest.approx((1 + 4 + 25) / 64)
    assert found.hhi_providers == pytest.approx((9 + 25) / 64)
    assert (found.effective_models, found.effective_providers) == (pytest.approx(64 / 30), pytest.approx(64 / 34))
    assert (found.largest_model, found.largest_provider) == (0.625, 0.625)
    silent = concentration(np.zeros(2), ["a", "b"])
    assert (silent.effective_models, silent.effective_providers, silent.largest_model) == (0.0, 0.0, 0.0)
    with pytest.raises(InputRejected):
        concentration(np.ones(2), ["a"])


def test_factor_exposures_are_correlations_and_zero_where_nothing_varies():
    signals, weights, exposures = draw()
    crowd = build_meta_model(signals, weights, exposures)
    found = factor_exposures(crowd.raw, exposures)
    expected = [np.corrcoef(crowd.raw, column)[0, 1] for column in exposures.T]
    assert found.tolist() == pytest.approx(expected, abs=1e-12)
    assert np.abs(factor_exposures(crowd.neutral, exposures)).max() <= 1e-10
    flat = np.column_stack([np.full(200, 0.1), exposures[:, 4]])
    assert factor_exposures(crowd.raw, flat)[0] == 0.0
    assert not factor_exposures(np.full(200, 0.1), exposures).any()


# --- the blend -----------------------------------------------------------------------------------------------------------


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
