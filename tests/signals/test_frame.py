"""Labelled tables score as the reference library scores them, including its overlap rules; labels never decide by their order.

Independent source: numerai-tools 0.7.2, called here on seeded tables with missing, unsorted and unknown labels.
"""

import numerai_tools.scoring as oracle
import numpy as np
import pandas as pd
import pytest

import signals
from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from signals import neutralize, score_frame

SEED = 1_917
N = 100


def draw(rng):
    index = [f"A{i:04d}" for i in range(N)]
    hidden = rng.normal(size=N)
    predictions = pd.DataFrame(rng.normal(size=(N, 3)) + 0.3 * hidden[:, None], index=index, columns=["a", "b", "c"])
    meta = predictions.mean(axis=1) + rng.normal(size=N)
    factors = pd.DataFrame(rng.normal(size=(N, 4)), index=index)
    target = pd.Series(pd.qcut(hidden, [0, 0.05, 0.25, 0.75, 0.95, 1], labels=False) / 4, index=index, name="target")
    return predictions, target, meta.rename("meta"), pd.Series(rng.normal(size=N), index=index, name="bench"), factors


def by_library(predictions, target, meta, bench, factors):
    return pd.DataFrame(
        {
            "corr": oracle.numerai_corr(predictions, target),
            "mmc": oracle.correlation_contribution(predictions, meta, target),
            "bmc": oracle.correlation_contribution(predictions, bench, target),
            "neutral_corr": oracle.neutral_correlation(predictions, factors, target),
            "neutral_mmc": oracle.neutral_contribution(predictions, meta, factors, target),
        }
    )


def score(predictions, target, meta, bench, factors):
    return score_frame(predictions, target, meta_model=meta, benchmark=bench, neutralizers=factors)


def assert_same(found, expected):
    found = found[expected.columns]
    assert list(found.index) == list(expected.index)
    assert np.max(np.abs(found.to_numpy() - expected.to_numpy())) <= 1e-12


def test_tables_with_gaps_score_as_the_library_scores_them():
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    for _ in range(15):
        tables = list(draw(rng))
        for i, table in enumerate(tables):
            kept = rng.permutation(N)[: N - int(rng.integers(0, 4))]
            tables[i] = table.iloc[kept].copy()
        tables[0].iloc[5, 1] = np.nan
        tables[1].iloc[7] = np.nan
        tables[4].iloc[9, 0] = np.nan
        assert_same(score(*tables), by_library(*tables))


def test_labels_that_only_one_side_has_are_dropped():
    tables = list(draw(np.random.default_rng(SEED)))
    extra = pd.DataFrame(np.ones((10, 3)), index=[f"Z{i}" for i in range(10)], columns=["a", "b", "c"])
    tables[0] = pd.concat([tables[0], extra])
    assert_same(score(*tables), by_library(*tables))


@pytest.mark.parametrize("side", range(5))
@pytest.mark.parametrize("missing", [20, 21])
def test_overlap_rule_is_that_of_the_library(side, missing):
    tables = list(draw(np.random.default_rng(SEED)))
    tables[side] = tables[side].iloc[missing:]
    try:
        expected = by_library(*tables)
    except AssertionError:
        expected = None
    assert (expected is None) is (missing == 21)
    if expected is None:
        with pytest.raises(InputRejected) as refusal:
            score(*tables)
        assert refusal.value.code is Code.COVERAGE_TOO_LOW
    else:
        assert_same(score(*tables), expected)


def test_contribution_matches_its_inputs_in_pairs_as_the_library_does():
    predictions, target, meta, _, _ = draw(np.random.default_rng(SEED))
    # Meta-model and predictions share 80; of those the target knows 64: each pair holds, against 100 it would not.
    for known, accepted in ((80, True), (79, False)):
        few = target.iloc[:known]
        if accepted:
            found = score_frame(predictions, few, meta_model=meta)["mmc"]
            expected = oracle.correlation_contribution(predictions, meta, few)
            assert np.max(np.abs(found - expected)) <= 1e-12
        else:
            with pytest.raises(AssertionError):
                oracle.correlation_contribution(predictions, meta, few)
            with pytest.raises(InputRejected):
                score_frame(predictions, few, meta_model=meta)


def test_only_what_the_inputs_allow_is_scored():
    predictions, target, meta, bench, factors = draw(np.random.default_rng(SEED))
    alike = ["max_model_corr", "mean_model_corr"]
    weights, stakes = pd.Series(1.0, target.index), pd.Series({"a": 1.0})
    for given, kinds in (
        ({}, ["corr"]),
        ({"benchmark": bench}, ["corr", "bmc"]),
        ({"neutralizers": factors}, ["corr", "neutral_corr"]),
        ({"meta_model": meta}, ["corr", "mmc", "cwmm"]),
        ({"features": factors}, ["corr", "fnc", "max_feature_corr"]),
        ({"sample_weights": weights, "stakes": stakes}, ["corr"]),
        ({"neutralizers": factors, "sample_weights": weights}, ["corr", "neutral_corr", "alpha"]),
        ({"neutralizers": factors, "sample_weights": weights, "stakes": stakes}, ["corr", "neutral_corr", "alpha", "mpc"]),
    ):
        assert list(score_frame(predictions, target, **given)) == kinds + alike
        assert list(score_frame(predictions[["a"]], target, **given)) == kinds


def test_constant_model_scores_zero_beside_others():
    predictions, target, meta, bench, factors = draw(np.random.default_rng(SEED))
    found = score(predictions.assign(b=0.1), target, meta, bench, factors)
    assert (found.loc["b"] == 0.0).all()
    assert_same(found.loc[["a", "c"]], by_library(predictions[["a", "c"]], target, meta, bench, factors))


def test_tables_that_make_no_sense_are_refused():
    predictions, target, *_ = draw(np.random.default_rng(SEED))
    for bad in (
        (pd.concat([predictions, predictions]), target),
        (predictions.assign(b="x"), target),
        (predictions.set_axis([0, *predictions.index[1:]], axis=0), target),
    ):
        with pytest.raises(InputRejected) as refusal:
            score_frame(*bad)
        assert refusal.value.code is Code.SCORE_INPUT_INVALID
    with pytest.raises(InputRejected):
        score_frame(predictions.iloc[:0], target)


def test_inputs_are_not_changed():
    tables = draw(np.random.default_rng(SEED))
    copies = [table.copy() for table in tables]
    score(*tables)
    assert all(table.equals(copy) for table, copy in zip(tables, copies, strict=True))


@pytest.mark.parametrize("proportion", [1.0, 0.5, 0.0])
def test_neutralize_equals_the_library_on_tables_and_on_arrays(proportion):
    predictions, _, meta, _, factors = draw(np.random.default_rng(SEED))
    expected = oracle.neutralize(predictions, factors, proportion)
    found = neutralize(predictions, factors.sample(frac=1, random_state=1), proportion)
    assert list(found.index) == list(predictions.index)
    assert list(found.columns) == list(predictions.columns)
    assert np.max(np.abs(found.to_numpy() - expected.to_numpy())) <= 1e-12
    rows = neutralize(predictions.to_numpy().T, factors.to_numpy(), proportion)
    assert np.max(np.abs(rows.T - expected.to_numpy())) <= 1e-12
    series = neutralize(meta, factors, proportion)
    assert series.name == "meta"
    assert np.max(np.abs(series - oracle.neutralize(meta.to_frame(), factors, proportion)["meta"])) <= 1e-12


def test_neutralize_refuses_what_it_cannot_match():
    predictions, _, _, _, factors = draw(np.random.default_rng(SEED))
    for values, exposures in (
        (predictions, factors.iloc[1:]),
        (predictions, factors.to_numpy()),
        (predictions.to_numpy().T, factors),
        (predictions.to_numpy(), factors.to_numpy()),
        (pd.concat([predictions, predictions]), factors),
    ):
        with pytest.raises(InputRejected) as refusal:
            neutralize(values, exposures)
        assert refusal.value.code is Code.SCORE_INPUT_INVALID


@pytest.mark.parametrize("proportion", [np.nan, np.inf])
def test_neutralize_refuses_a_proportion_that_is_no_number(proportion):
    predictions, _, _, _, factors = draw(np.random.default_rng(SEED))
    with pytest.raises(InputRejected) as refusal:
        neutralize(predictions, factors, proportion)
    assert refusal.value.code is Code.VALUE_NOT_FINITE


def test_public_names_are_what_they_say():
    assert all(callable(getattr(signals, name)) or name.endswith("_FORMAT") for name in signals.__all__)
    with pytest.raises(AttributeError):
        signals.nothing_of_that_name  # noqa: B018
