"""Scores equal the field's reference library to 1e-12, and are defined where it gives up.

Independent sources: numerai-tools 0.7.2, called here on seeded data and frozen in tests/answers/scores.json; and a twin of the
formulas that goes model by model and projects the predictions instead of the target.
"""

import json
from pathlib import Path

import numerai_tools.scoring as oracle
import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, rankdata

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.ranks import tie_kept_rank
from signals.quantize import score_ppb
from signals.scores import corr, mmc, neutral_corr, neutral_mmc, score_kinds
from signals.sides import NEEDS
from signals.similarity import cwmm

KINDS = ("corr", "mmc", "neutral_corr", "neutral_mmc")
ANSWERS = json.loads((Path(__file__).parents[1] / "answers" / "scores.json").read_text())["cases"]
SEED = 20_160
TOLERANCE = 1e-12


def draw(rng: np.random.Generator, m: int = 4, n: int = 150, *, ties: bool = False):
    sectors = np.eye(5)[rng.integers(0, 5, n)]
    exposures = np.column_stack([sectors, rng.normal(size=(n, 4))])
    hidden = rng.normal(size=n)
    predictions = rng.normal(size=(m, n)) + 0.3 * hidden
    if ties:
        predictions = np.round(predictions)
    target = pd.qcut(hidden + rng.normal(size=n), [0, 0.05, 0.25, 0.75, 0.95, 1], labels=False) / 4
    meta = predictions.mean(axis=0) + rng.normal(size=n)
    return predictions, meta, exposures, target


def by_library(predictions, meta, exposures, target):
    index = [f"A{i:04d}" for i in range(len(target))]
    p = pd.DataFrame(predictions.T, index=index)
    m, t = pd.Series(meta, index=index, name="m"), pd.Series(target, index=index, name="t")
    f = pd.DataFrame(exposures, index=index)
    return {
        "corr": oracle.numerai_corr(p, t).to_numpy(),
        "mmc": oracle.correlation_contribution(p, m, t).to_numpy(),
        "neutral_corr": oracle.neutral_correlation(p, f, t).to_numpy(),
        "neutral_mmc": oracle.neutral_contribution(p, m, f, t).to_numpy(),
    }


def by_twin(prediction, meta, exposures, target):
    """One model by the formulas, plainly: gauss, project the prediction, dot."""

    def gauss(x):
        return norm.ppf((rankdata(x) - 0.5) / len(x))

    def rest(x):
        design = np.column_stack([np.ones(len(x)), exposures])
        return x - design @ np.linalg.lstsq(design, x, rcond=1e-6)[0]

    def stress(x):
        return np.sign(x) * np.abs(x) ** 1.5

    p, m, t = gauss(prediction), gauss(meta), target - target.mean()
    bins = 4 * t if target.min() >= 0 and target.max() <= 1 else t
    flat, neutral = p - m * (p @ m) / (m @ m), rest(p) - rest(m) * (rest(p) @ rest(m)) / (rest(m) @ rest(m))
    return {
        "corr": np.corrcoef(stress(p), stress(t))[0, 1],
        "mmc": flat @ bins / len(t),
        "neutral_corr": np.corrcoef(rest(p), t)[0, 1],
        "neutral_mmc": neutral @ bins / len(t),
    }


def assert_close(found, expected):
    for kind in KINDS:
        assert np.max(np.abs(found[kind] - expected[kind])) <= TOLERANCE, kind


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer["name"])
def test_scores_equal_frozen_answers(answer):
    given = {key: np.array(value, dtype=float) for key, value in answer["inputs"].items()}
    found = score_kinds(KINDS, given["predictions"], given["target"], given["meta_model"], given["exposures"])
    for kind in KINDS:
        for value, expected in zip(found[kind], answer["scores"][kind], strict=True):
            # The library has no answer for a constant; ours is zero.
            assert value == pytest.approx(0.0 if expected is None else expected, abs=TOLERANCE), kind


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_scores_equal_the_library(m, ties):
    seed = SEED + 10 * m + ties
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    for _ in range(10):
        predictions, meta, exposures, target = draw(rng, m, ties=ties)
        gaps = rng.random(target.size) < 0.08
        target[gaps] = np.nan
        predictions[0, rng.integers(0, target.size, 3)] = np.nan
        found = score_kinds(KINDS, predictions, target, meta, exposures)
        assert_close(found, by_library(predictions, meta, exposures, target))


def test_scores_equal_the_plain_twin_on_a_thousand_rounds():
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    for i in range(1000):
        predictions, meta, exposures, target = draw(rng, 1, 60, ties=i % 2 == 0)
        if i % 3 == 0:
            target = 0.1 * rng.standard_t(3, 60)
        found = score_kinds(KINDS, predictions, target, meta, exposures)
        expected = by_twin(predictions[0], meta, exposures, target)
        assert max(abs(found[kind][0] - expected[kind]) for kind in KINDS) <= TOLERANCE


def test_each_kind_alone_equals_all_together():
    predictions, meta, exposures, target = draw(np.random.default_rng(1))
    target[:20] = np.nan
    exposures[30, 2] = np.nan
    meta[40] = np.nan
    together = score_kinds(KINDS, predictions, target, meta, exposures)
    alone = {
        "corr": corr(predictions, target),
        "mmc": mmc(predictions, meta, target),
        "neutral_corr": neutral_corr(predictions, exposures, target),
        "neutral_mmc": neutral_mmc(predictions, meta, exposures, target),
    }
    assert all(np.array_equal(together[kind], alone[kind]) for kind in KINDS)
    assert_close(together, by_library(predictions, meta, exposures, target))


def test_mirror_scores_the_exact_negative_and_a_clone_the_same():
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    for ties in (False, True):
        _, meta, exposures, target = draw(rng, 1)
        ranks = tie_kept_rank(np.round(rng.normal(size=150), 1) if ties else rng.normal(size=150))
        found = score_kinds(KINDS, np.array([ranks, 1 - ranks, ranks]), target, meta, exposures)
        for kind in KINDS:
            assert abs(found[kind][0] + found[kind][1]) <= TOLERANCE
            assert found[kind][0] == pytest.approx(found[kind][2], abs=1e-15)


def test_meta_model_contributes_nothing_to_itself():
    _, meta, exposures, target = draw(np.random.default_rng(2), 1)
    found = score_kinds(("mmc", "neutral_mmc"), meta[None, :], target, meta, exposures)
    assert np.max(np.abs([found["mmc"], found["neutral_mmc"]])) <= TOLERANCE


DEGENERATE = {
    "constant": np.full(150, 0.1),
    "constant but for rounding": np.where(np.arange(150) % 2, 0.1, 0.1 + 1.4e-17),
    "zeros": np.zeros(150),
}
ODD = {
    "two values": np.where(np.arange(150) < 7, 0.2, 0.8),
    "one outlier": np.where(np.arange(150) == 3, 1e300, np.arange(150)),
    "denormals": np.arange(150) * 5e-324,
    "nearly all tied": np.where(np.arange(150) == 3, 0.7, 0.5),
}


@pytest.mark.parametrize("name", [*DEGENERATE, *ODD])
def test_degenerate_predictions_have_a_defined_score(name):
    _, meta, exposures, target = draw(np.random.default_rng(3), 1)
    row = {**DEGENERATE, **ODD}[name]
    found = score_kinds(KINDS, row[None, :], target, meta, exposures)
    for kind in KINDS:
        assert np.isfinite(found[kind][0])
        assert isinstance(score_ppb(float(found[kind][0])), int)
        if name in DEGENERATE:
            assert found[kind][0] == 0.0
    if name in ODD:
        assert_close(found, by_library(row[None, :], meta, exposures, target))


def test_what_the_exposures_explain_wholly_scores_zero():
    rng = np.random.default_rng(4)
    n = 120
    group = rng.integers(0, 6, n)
    exposures = np.eye(6)[group]
    target, meta = rng.normal(size=n), rng.normal(size=n)
    predictions = np.array([group * 0.1, rng.normal(size=n)])
    found = score_kinds(KINDS, predictions, target, meta, exposures)
    assert found["neutral_corr"][0] == found["neutral_mmc"][0] == 0.0
    assert found["corr"][0] != 0.0
    assert found["neutral_corr"][1] != 0.0


def test_constant_target_and_constant_meta_model_score_zero():
    predictions, meta, exposures, target = draw(np.random.default_rng(5))
    flat = score_kinds(KINDS, predictions, np.full(150, 0.3), meta, exposures)
    assert all((flat[kind] == 0.0).all() for kind in KINDS)
    for constant in (np.full(150, 0.5), np.zeros(150), exposures[:, 0] * 0 + 7.0):
        found = score_kinds(("mmc", "neutral_mmc"), predictions, target, constant, exposures)
        assert all((scores == 0.0).all() for scores in found.values())


@pytest.mark.parametrize("dummies", ["all sectors", "twice", "constant column", "more factors than assets"])
def test_degenerate_exposures_are_ordinary(dummies):
    rng = np.random.default_rng(6)
    predictions, meta, exposures, target = draw(rng, 3, 80)
    designs = {
        "all sectors": exposures,
        "twice": np.column_stack([exposures, exposures]),
        "constant column": np.column_stack([exposures, np.full(80, 3.0)]),
        "more factors than assets": rng.normal(size=(80, 90)),
    }
    found = score_kinds(KINDS, predictions, target, meta, designs[dummies])
    assert all(np.isfinite(found[kind]).all() for kind in KINDS)
    if dummies == "more factors than assets":
        assert (found["neutral_corr"] == 0.0).all()
        assert (found["neutral_mmc"] == 0.0).all()
    else:
        assert_close(found, score_kinds(KINDS, predictions, target, meta, exposures))


@pytest.mark.parametrize("kind", KINDS)
def test_four_fifths_of_the_assets_are_enough_and_less_is_refused(kind):
    predictions, meta, exposures, target = draw(np.random.default_rng(7))
    target[:30] = np.nan
    assert np.isfinite(score_kinds((kind,), predictions, target, meta, exposures)[kind]).all()
    target[30] = np.nan
    with pytest.raises(InputRejected) as refusal:
        score_kinds((kind,), predictions, target, meta, exposures)
    assert refusal.value.code is Code.COVERAGE_TOO_LOW


@pytest.mark.parametrize(
    "change",
    [
        {"kinds": ("corr", "tc")},
        {"kinds": ("mmc",), "meta_model": None},
        {"kinds": ("neutral_corr",), "exposures": None},
        {"target": np.zeros(3)},
        {"predictions": np.zeros(150)},
        {"meta_model": np.zeros(3)},
        {"exposures": np.zeros((3, 2))},
    ],
    ids=lambda change: "+".join(change),
)
def test_inputs_that_do_not_fit_are_refused(change):
    predictions, meta, exposures, target = draw(np.random.default_rng(8))
    given = {"kinds": KINDS, "predictions": predictions, "target": target, "meta_model": meta, "exposures": exposures}
    with pytest.raises(InputRejected) as refusal:
        score_kinds(**{**given, **change})
    assert refusal.value.code is Code.SCORE_INPUT_INVALID


def test_inputs_are_not_changed():
    given = draw(np.random.default_rng(9))
    before = [array.copy() for array in given]
    predictions, meta, exposures, target = given
    score_kinds(KINDS, predictions, target, meta, exposures)
    assert all(np.array_equal(a, b) for a, b in zip(given, before, strict=True))


def test_order_of_assets_and_models_leaves_the_published_integers():
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    predictions, meta, exposures, target = draw(rng, 6, 300)
    published = {k: [score_ppb(s) for s in v] for k, v in score_kinds(KINDS, predictions, target, meta, exposures).items()}
    for _ in range(20):
        assets, models = rng.permutation(300), rng.permutation(6)
        again = score_kinds(KINDS, predictions[models][:, assets], target[assets], meta[assets], exposures[assets])
        assert {k: [score_ppb(s) for s in v[np.argsort(models)]] for k, v in again.items()} == published


ALL = tuple(NEEDS)


def draw_all(rng: np.random.Generator, m: int = 3, n: int = 150) -> dict[str, np.ndarray]:
    """Inputs of every kind."""
    predictions, meta, exposures, target = draw(rng, m, n)
    sides = {"benchmark": rng.normal(size=n), "features": rng.normal(size=(n, 3))}
    sides |= {"sample_weights": rng.uniform(0.5, 2, n), "stakes": rng.uniform(1, 9, m)}
    return {"predictions": predictions, "target": target, "meta_model": meta, "exposures": exposures, **sides}


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("m", [0, 1, 2])
def test_few_assets_and_no_model_are_ordinary(m, n):
    rng = np.random.default_rng([10, m, n])
    sides = {"meta_model": (n,), "exposures": (n, 2), "benchmark": (n,), "features": (n, 2)}
    given = {name: rng.normal(size=shape) for name, shape in sides.items()}
    given |= {"sample_weights": rng.uniform(0.5, 2, n), "stakes": rng.uniform(1, 9, m)}
    found = score_kinds(ALL, rng.normal(size=(m, n)), rng.normal(size=n), **given)
    for kind in ALL:
        assert found[kind].shape == (m,)
        assert np.isfinite(found[kind]).all()
    if n <= 3:
        assert (found["neutral_corr"] == 0.0).all()  # an intercept and two factors explain three assets


@pytest.mark.parametrize("size", [1e-320, 1e-200, 1e-90, 1e90])
def test_correlations_do_not_feel_the_unit_of_a_target(size):
    given = draw_all(np.random.default_rng(11))
    given["target"] = given["target"] - 0.4  # so that no bins are seen in it
    plain = score_kinds(ALL, **given)
    found = score_kinds(ALL, **{**given, "target": given["target"] * size})
    assert all(np.isfinite(found[kind]).all() for kind in ALL)
    # The least numbers have few digits of their own: 1e-320 has four.
    slack = 1e-2 if size < 1e-300 else TOLERANCE
    for kind in ("corr", "fnc", "neutral_corr"):
        assert found[kind] == pytest.approx(plain[kind], abs=slack)
    predictions, exposures, target = (given[name] for name in ("predictions", "exposures", "target"))
    cut = [neutral_corr(predictions, exposures, t, top_bottom=20) for t in (target, target * size)]
    alike = [cwmm(predictions, t) for t in (target, target * size)]
    for one, other in (cut, alike):
        assert one == pytest.approx(other, abs=slack)


@pytest.mark.parametrize("bad", [np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("side", ["target", "exposures", "sample_weights", "stakes"])
def test_what_has_no_square_is_refused_where_it_counts_as_it_is(side, bad):
    given = draw_all(np.random.default_rng(12))
    given[side] = given[side].copy()
    given[side].flat[1] = bad
    with pytest.raises(InputRejected) as refusal:
        score_kinds(ALL, **given)
    assert refusal.value.code is (Code.SCORE_INPUT_INVALID if side == "stakes" else Code.VALUE_NOT_FINITE)


def test_books_that_cancel_are_no_portfolio():
    rng = np.random.default_rng(13)
    given = draw_all(rng, 4, 300)
    a, b = given["predictions"][:2]
    given |= {"predictions": np.array([a, -a, b, -b]), "stakes": np.array([2.0, 2.0, 3.0, 3.0])}
    assert (score_kinds(("mpc",), **given)["mpc"] == 0.0).all()
    given["stakes"] = np.array([2.0, 2.0, 3.0, 2.999])
    nearly = score_kinds(("mpc",), **given)["mpc"]
    given["stakes"] = np.array([0.0, 0.0, 1.0, 0.0])
    # The less there is of a portfolio, the more a stake adds to it: of 9.999 only 0.001 is left.
    assert nearly == pytest.approx(score_kinds(("mpc",), **given)["mpc"] * 9999.0, rel=1e-6, abs=1e-9)
