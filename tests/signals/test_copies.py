"""A copy of a model adds nothing: random rounds in which a stake is split over a model and its copies, against the round with
the one model. What changes in meta-model, scores and contribution is at most 1e-9, so that only the stake is divided."""

from dataclasses import replace

import numpy as np
import pytest

from signals.contribution import contributions, vector_score
from signals.metamodel import build_meta_model, meta_model_of
from signals.prepared import prepare_round, score_prepared

KINDS = ("corr", "mmc", "fnc", "neutral_corr", "neutral_mmc", "alpha", "mpc")
SMALL = 1e-9
ROUNDS = 60


@pytest.fixture(scope="module")
def rng() -> np.random.Generator:
    seed = 41
    print(f"seed {seed}")
    return np.random.default_rng(seed)


def scored(predictions: np.ndarray, stakes: np.ndarray, exposures: np.ndarray, target: np.ndarray):
    """Return the meta-model and the scores of every kind, as a close and a final day make them."""
    n = predictions.shape[1]
    basis = np.linalg.qr(np.column_stack([np.ones(n), exposures]))[0]
    names = [f"m{i:02d}" for i in range(len(predictions))]
    prepared = prepare_round(
        predictions, [f"a{i:04d}" for i in range(n)], names, basis,
        features=exposures, sample_weights=np.ones(n), stakes=stakes,
    )  # fmt: skip
    meta = meta_model_of(prepared, stakes, exposures)
    return meta, score_prepared(replace(prepared, sides=replace(prepared.sides, meta_model=meta.raw)), target, KINDS)


def test_a_stake_split_over_copies_changes_no_score_and_no_meta_model(rng: np.random.Generator) -> None:
    for _ in range(ROUNDS):
        m, n, copies = int(rng.integers(1, 8)), int(rng.integers(60, 300)), int(rng.integers(1, 6))
        predictions, stakes = rng.normal(size=(m, n)), rng.uniform(1, 100, m)
        exposures, target = rng.normal(size=(n, 3)), rng.choice([0, 0.25, 0.5, 0.75, 1.0], n, p=[0.05, 0.2, 0.5, 0.2, 0.05])
        parts = rng.dirichlet(np.ones(copies + 1)) * stakes[0]
        meta, scores = scored(predictions, stakes, exposures, target)
        many = np.vstack([predictions[0], predictions[1:], np.repeat(predictions[:1], copies, axis=0)])
        split = np.concatenate([parts[:1], stakes[1:], parts[1:]])
        meta_split, scores_split = scored(many, split, exposures, target)
        assert np.max(np.abs(meta_split.raw - meta.raw)) <= SMALL
        assert np.max(np.abs(meta_split.neutral - meta.neutral)) <= SMALL
        for kind in KINDS:
            assert np.max(np.abs(scores_split[kind][:m] - scores[kind])) <= SMALL, kind
            assert np.max(np.abs(scores_split[kind][m:] - scores[kind][0])) <= SMALL, kind


def test_copies_add_together_what_the_one_model_adds_and_without_a_stake_nothing(rng: np.random.Generator) -> None:
    compared = 0.0
    for _ in range(ROUNDS):
        m, n, copies = int(rng.integers(2, 8)), int(rng.integers(60, 300)), int(rng.integers(1, 6))
        ranks, stakes = rng.uniform(size=(m, n)), rng.uniform(1, 100, m)
        exposures, target = rng.normal(size=(n, 3)), rng.choice([0, 0.25, 0.5, 0.75, 1.0], n)
        one = contributions(ranks, stakes, exposures, target)[0]
        many = np.vstack([ranks, np.repeat(ranks[:1], copies, axis=0)])
        split = np.concatenate([stakes, np.zeros(copies)])
        split[[0, *range(m, m + copies)]] = rng.dirichlet(np.ones(copies + 1)) * stakes[0]
        without = np.where([i in (0, *range(m, m + copies)) for i in range(len(many))], 0.0, split)
        whole, rest = (vector_score(build_meta_model(many, w, exposures).neutral, target) for w in (split, without))
        assert whole - rest == pytest.approx(one, abs=SMALL)
        unstaked = contributions(many, np.concatenate([stakes, np.zeros(copies)]), exposures, target)
        assert np.max(np.abs(unstaked[m:])) <= SMALL
        assert unstaked[0] == pytest.approx(one, abs=SMALL)
        compared += abs(one)
    assert compared > 1.0
