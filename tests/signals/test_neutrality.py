"""Neutral means neutral at every door: in notebooks, in the neutral kinds and in the meta-model, for every degenerate design.

Independent source: the inner products themselves, |b'r| <= 1e-10 |b| |r| for each column b and the intercept; lengths
and scores are recomputed from residuals of :func:`market.projection.residualize`, which has tests of its own.
"""

import numpy as np
import pandas as pd
import pytest

from market.projection import residualize
from market.ranks import gaussianize, tie_kept_rank
from signals import neutralize, score_frame
from signals.kinds import neutral_corr, neutral_mmc
from signals.metamodel import build_meta_model
from signals.prepared import prepare_round
from tests.builders.designs import N, assert_nothing_left, degenerate_designs

SEED = 20_240_114
LABELS = [f"A{i:03d}" for i in range(N)]
DESIGNS = dict(degenerate_designs(np.random.default_rng(SEED)))
ILL_CONDITIONED = {"nearly equal columns", "large mean", "powers"}
"""Here the direction of a column is known to few digits: any residual without exposure to the columns is as good as another."""
WELL_KNOWN = [name for name in DESIGNS if name not in ILL_CONDITIONED]


@pytest.fixture
def rng():
    print(f"seed {SEED}")
    return np.random.default_rng(SEED)


@pytest.mark.parametrize("name", DESIGNS)
def test_neutralize_leaves_no_exposure_and_is_done_after_once(rng, name):
    exposures = pd.DataFrame(DESIGNS[name], index=LABELS)
    for scale in (1e-12, 1.0, 1e12):
        values = pd.DataFrame(scale * rng.normal(size=(N, 3)), index=LABELS, columns=list("abc"))
        rest = neutralize(values, exposures)
        for column in rest:
            assert_nothing_left(rest[column].to_numpy(), DESIGNS[name])
        again = neutralize(rest, exposures)
        assert np.max(np.abs(again - rest).to_numpy()) <= 1e-10 * scale


@pytest.mark.parametrize("name", DESIGNS)
def test_what_the_neutral_kinds_multiply_with_has_no_exposure(rng, name):
    predictions, meta = rng.normal(size=(3, N)), rng.normal(size=N)
    target = rng.choice([0.0, 0.25, 0.5, 0.75, 1.0], N)
    on = prepare_round(predictions, LABELS, ["a", "b", "c"], exposures=DESIGNS[name], meta_model=meta, kinds=("neutral_mmc",))
    for project in (neutral_corr, neutral_mmc):
        assert_nothing_left(project(on, target, float(target.mean())).vector, DESIGNS[name])


@pytest.mark.parametrize("name", WELL_KNOWN)
def test_neutral_kinds_are_those_of_the_residuals_themselves(rng, name):
    predictions = pd.DataFrame(rng.normal(size=(N, 3)), index=LABELS, columns=list("abc"))
    meta, target = (pd.Series(rng.normal(size=N), index=LABELS, name=label) for label in ("meta", "target"))
    found = score_frame(predictions, target, meta_model=meta, neutralizers=pd.DataFrame(DESIGNS[name], index=LABELS))
    centred = target.to_numpy() - target.mean()
    crowd = residualize(gaussianize(tie_kept_rank(meta.to_numpy())), DESIGNS[name])
    for model in predictions:
        rest = residualize(gaussianize(tie_kept_rank(predictions[model].to_numpy())), DESIGNS[name])
        length, strength = np.linalg.norm(rest), crowd @ crowd
        corr = rest @ centred / (length * np.linalg.norm(centred)) if length > 0 else 0.0
        added = rest - crowd * (rest @ crowd) / strength if strength > 0 else np.zeros(N)
        assert found.loc[model, "neutral_corr"] == pytest.approx(corr, abs=1e-10)
        assert found.loc[model, "neutral_mmc"] == pytest.approx(added @ centred / N, abs=1e-10)


@pytest.mark.parametrize("name", DESIGNS)
def test_neutral_meta_model_has_no_exposure(rng, name):
    signals = tie_kept_rank(rng.normal(size=(4, N)))
    built = build_meta_model(signals, np.array([4.0, 3.0, 2.0, 0.0]), DESIGNS[name])
    assert_nothing_left(built.neutral, DESIGNS[name])
