"""The frame says how much signals changed, by the formulas of the kernels, and says nothing of a model without a former signal.

Independent source: ``churn``, ``neutral_churn``, ``turnover`` and ``neutral_churn_penalty`` of numerai-tools 0.7.2; random
rounds of one and more models are in test_against_library.py.
"""

import numerai_tools.scoring as scoring
import numerai_tools.signals as over_time
import numpy as np
import pandas as pd
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from signals import score_frame

SEED = 606
N = 100
LABELS = [f"A{i:04d}" for i in range(N)]
CHANGES = ["churn", "turnover", "neutral_churn", "retention"]


def table(rng, columns):
    return pd.DataFrame(rng.normal(size=(N, len(columns))), index=LABELS, columns=list(columns))


@pytest.fixture
def tables():
    rng = np.random.default_rng(SEED)
    predictions = table(rng, "ab")
    return {
        "predictions": predictions,
        "target": pd.Series(rng.normal(size=N), index=LABELS, name="target"),
        "neutralizers": table(rng, "xyz"),
        "sample_weights": pd.Series(rng.uniform(0.5, 2, N), index=LABELS, name="weight"),
        "previous": predictions + 0.3 * table(rng, "ab"),
        "previous_neutralizers": table(rng, "xyz"),
        "previous_sample_weights": pd.Series(rng.uniform(0.5, 2, N), index=LABELS, name="weight"),
    }


def score(tables, **other):
    return score_frame(**{**tables, **other})


def without(tables, *names):
    return {name: given for name, given in tables.items() if name not in names}


def test_changes_are_there_as_their_inputs_allow(tables):
    for missing, kinds in (
        ((), CHANGES),
        (("previous",), []),
        (("previous_neutralizers",), ["churn", "turnover"]),
        (("previous_sample_weights",), CHANGES),
        (("sample_weights",), ["churn", "neutral_churn", "retention"]),
        (("neutralizers",), ["churn"]),
    ):
        found = score(without(tables, *missing))
        assert [kind for kind in found if kind in CHANGES] == kinds
        assert not found.isna().any().any()


def test_former_signals_change_no_score(tables):
    alone = score(without(tables, "previous", "previous_neutralizers", "previous_sample_weights"))
    pd.testing.assert_frame_equal(score(tables)[list(alone)], alone, check_exact=True)


def test_model_without_a_former_signal_has_no_change_and_keeps_all(tables):
    full = score(tables)
    for former in (tables["previous"][["b"]], tables["previous"].assign(a=np.nan), tables["previous"][["b"]].assign(c=1.0)):
        found = score(tables, previous=former)
        assert found.loc["a", ["churn", "turnover", "neutral_churn"]].isna().all()
        assert found.loc["a", "retention"] == 1.0
        assert found.loc["b", CHANGES].to_numpy() == pytest.approx(full.loc["b", CHANGES].to_numpy(), abs=1e-12)
        assert not found.drop(columns=CHANGES).isna().any().any()
    nobody = score(tables, previous=tables["previous"].set_axis(["c", "d"], axis=1))
    assert nobody[["churn", "turnover", "neutral_churn"]].isna().all().all()
    assert (nobody["retention"] == 1.0).all()


def test_former_book_is_made_with_todays_neutralizers_where_its_own_are_not_given(tables):
    found = score(without(tables, "previous_neutralizers", "previous_sample_weights"))["turnover"]
    books = [
        scoring.generate_neutralized_weights(signals, tables["neutralizers"], tables["sample_weights"], True)
        for signals in (tables["predictions"], tables["previous"])
    ]
    for model in "ab":
        assert found[model] == pytest.approx(over_time.turnover(books[0][model], books[1][model]), abs=1e-12)
    assert (score(without(tables, "previous_sample_weights"))["turnover"] == found).all()
    assert (score(tables)["turnover"] != found).all()


def test_same_signal_has_not_changed_and_its_mirror_wholly(tables):
    same = {"previous_neutralizers": tables["neutralizers"], "previous_sample_weights": tables["sample_weights"]}
    found = score(tables, previous=tables["predictions"], **same)
    assert found[["churn", "turnover", "neutral_churn"]].abs().max().max() <= 1e-12
    assert (found["retention"] == 1.0).all()
    mirrored = score(tables, previous=-tables["predictions"], **same)
    assert mirrored[["churn", "neutral_churn"]].to_numpy() == pytest.approx(np.full((2, 2), 2.0), abs=1e-12)
    assert mirrored["turnover"].to_numpy() == pytest.approx(np.ones(2), abs=1e-12)


def test_retention_follows_the_rule_that_is_asked_for(tables):
    churns = score(tables)["neutral_churn"]
    for threshold, slope in ((0.1, 10.0), (0.2, 5.0), (2.0, 10.0)):
        found = score(tables, retention_threshold=threshold, retention_slope=slope)["retention"]
        assert found.tolist() == pytest.approx(
            [over_time.neutral_churn_penalty(c, threshold, slope) for c in churns], abs=1e-12
        )


@pytest.mark.parametrize("rule", [{"retention_threshold": -0.1}, {"retention_threshold": np.nan}, {"retention_slope": -1.0}])
def test_impossible_rule_of_retention_is_refused(tables, rule):
    with pytest.raises(InputRejected) as refusal:
        score(tables, **rule)
    assert refusal.value.code is Code.SCORE_INPUT_INVALID


def test_signal_without_an_order_counts_as_unrelated(tables):
    found = score(tables, previous=tables["previous"].assign(a=0.5))
    assert found.loc["a", ["churn", "neutral_churn"]].tolist() == [1.0, 1.0]
    assert found.loc["a", "turnover"] == pytest.approx(0.5, abs=1e-12)  # from no book to one of size 1


@pytest.mark.parametrize("side", ["previous", "previous_neutralizers", "previous_sample_weights"])
def test_too_little_overlap_is_refused_with_what_is_missing(tables, side):
    assert score(tables, **{side: tables[side].iloc[20:]}).notna().all().all()
    with pytest.raises(InputRejected) as refusal:
        score(tables, **{side: tables[side].iloc[21:]})
    assert refusal.value.code is Code.COVERAGE_TOO_LOW
    assert [finding.value for finding in refusal.value.findings] == LABELS[:21]


def test_tables_that_make_no_sense_are_refused(tables):
    twice = pd.concat([tables["previous"], tables["previous"][["a"]]], axis=1)
    for previous in (twice, tables["previous"].assign(a="x"), pd.concat([tables["previous"], tables["previous"]])):
        with pytest.raises(InputRejected) as refusal:
            score(tables, previous=previous)
        assert refusal.value.code is Code.SCORE_INPUT_INVALID
    with pytest.raises(InputRejected) as refusal:
        score(tables, previous=tables["previous"].assign(a=np.inf))
    assert refusal.value.code is Code.VALUE_NOT_FINITE


def test_what_the_factors_leave_tied_stays_tied(tables):
    """Sector dummies leave every asset of a sector with one answer the same residual, but for rounding."""
    sector = np.arange(N) % 5
    factors = pd.DataFrame(np.eye(5)[sector], index=LABELS)
    two_valued = pd.DataFrame({"a": np.where(np.arange(N) % 3 == 0, 0.7, 0.3)}, index=LABELS)
    given = {"neutralizers": factors, "previous_neutralizers": factors[[4, 2, 0, 1, 3]]}
    found = score(tables, predictions=two_valued, previous=two_valued, sample_weights=None, **given)
    assert found.loc["a", "neutral_churn"] == pytest.approx(0.0, abs=1e-12)


def test_inputs_are_not_changed(tables):
    copies = {name: given.copy() for name, given in tables.items()}
    score(tables)
    assert all(tables[name].equals(copy) for name, copy in copies.items())
