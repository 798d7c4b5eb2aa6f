"""Where we differ from the field's library on purpose, each case by name: what it does, what we do, and that we mean it.

Independent source: numerai-tools 0.7.2, called here beside our functions. The table of docs/scores.md lists the same cases.
"""

import warnings

import numerai_tools.scoring as scoring
import numerai_tools.signals as over_time
import numerai_tools.submissions as submissions
import numpy as np
import pandas as pd
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.terms import ScoringTerms
from market.projection import residualize
from signals import neutralize, score_frame
from signals.churn import RoundSignal, max_churn_and_turnover, mean_neutral_churn
from signals.parse import SIGNALS_FORMAT
from signals.submission import judge

N = 200
LABELS = pd.Index([f"A{i:04d}" for i in range(N)], name="ticker")


@pytest.fixture
def rng():
    return np.random.default_rng(31)


def series(values, name="s"):
    return pd.Series(values, index=LABELS, name=name)


def table(values):
    return pd.DataFrame(values, index=LABELS).add_prefix("c")


@pytest.fixture
def given(rng):
    """Predictions, target, neutralizers, weights."""
    return table(rng.normal(size=(N, 2))), series(rng.normal(size=N)), table(rng.normal(size=(N, 3))), series(np.ones(N))


def quietly(call, *args, **more):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return call(*args, **more)


def test_constant_prediction_is_nan_or_a_failed_assertion_there_and_zero_here(given):
    p, t, f, _ = given
    p = p.assign(c1=0.5)
    assert np.isnan(quietly(scoring.numerai_corr, p, t)["c1"])
    with pytest.raises(AssertionError):
        quietly(scoring.neutral_correlation, p, f, t)
    assert (score_frame(p, t, meta_model=t, neutralizers=f).loc["c1"] == 0.0).all()


def test_constant_meta_model_is_nan_there_and_zero_here(given):
    p, t, _, _ = given
    flat = series(np.full(N, 0.5))
    assert quietly(scoring.correlation_contribution, p, flat, t).isna().all()
    assert (score_frame(p, t, meta_model=flat)[["mmc", "cwmm"]] == 0.0).all().all()


def test_constant_but_for_rounding_has_an_order_there_and_none_here(given):
    _, t, _, _ = given
    rounded = table((0.1 + np.where(np.arange(N) % 2, 1.4e-17, 0.0))[:, None])
    assert rounded["c0"].std() != 0
    assert abs(quietly(scoring.numerai_corr, rounded, t)["c0"]) > 0
    assert score_frame(rounded, t).loc["c0", "corr"] == 0.0


def test_what_neutralizers_explain_wholly_scores_its_rounding_there_and_zero_here(rng):
    group = rng.integers(0, 4, N)
    p, t, f = table((group * 0.1)[:, None]), series(rng.normal(size=N)), table(np.eye(4)[group])
    assert quietly(scoring.neutral_correlation, p, f, t)["c0"] != 0.0
    assert score_frame(p, t, neutralizers=f).loc["c0", "neutral_corr"] == 0.0


def test_ill_conditioned_neutralizers_keep_exposure_there_and_none_here(rng):
    base = rng.normal(size=(N, 3))
    f = np.column_stack([base, base[:, 0] + 1e-8 * rng.normal(size=N)])
    y = table(rng.normal(size=(N, 1)))
    inside = f - residualize(f.T, base).T
    spread = f[:, 3] - inside[:, 3]

    def exposure(rest):
        return abs(spread @ rest) / (np.linalg.norm(spread) * np.linalg.norm(rest))

    assert exposure(scoring.neutralize(y, table(f))["c0"].to_numpy()) > 1e-3
    assert exposure(neutralize(y, table(f))["c0"].to_numpy()) < 1e-6  # the direction is known to 1e-8 alone


def test_portfolio_kinds_fail_there_where_neutralizers_lack_assets_and_score_here_on_those_in_common(given):
    p, t, f, v = given
    for call in (
        lambda: scoring.alpha(p, f.iloc[5:], v, t),
        lambda: scoring.meta_portfolio_contribution(p, pd.Series({"c0": 1.0, "c1": 2.0}), f.iloc[5:], v, t),
    ):
        with pytest.raises(ValueError, match=r"align|mismatch|shape"):
            call()
    found = score_frame(p, t, neutralizers=f.iloc[5:], sample_weights=v, stakes=pd.Series({"c0": 1.0, "c1": 2.0}))
    weights = scoring.generate_neutralized_weights(p.iloc[5:], f.iloc[5:], v.iloc[5:])
    assert found["alpha"].to_numpy() == pytest.approx((weights.T @ (t - t.mean()).iloc[5:]).to_numpy() / (N - 5), abs=1e-12)
    assert np.isfinite(found["mpc"]).all()


def test_books_that_cancel_give_any_number_there_and_zero_here(given):
    p, t, f, v = given
    mirrored = p.assign(c1=-p["c0"])
    stakes = pd.Series({"c0": 1.0, "c1": 1.0})
    theirs = quietly(scoring.meta_portfolio_contribution, mirrored, stakes, f, v, t)
    assert not (theirs.abs() < 1e3).all()
    ours = score_frame(mirrored, t, neutralizers=f, sample_weights=v, stakes=stakes)
    assert (ours["mpc"] == 0.0).all()


def test_nobody_with_a_stake_is_a_failed_assertion_there_and_zero_here(given):
    p, t, f, v = given
    stakes = pd.Series({"c0": 0.0, "c1": np.nan})
    with pytest.raises(AssertionError):
        quietly(scoring.meta_portfolio_contribution, p, stakes, f, v, t)
    assert (score_frame(p, t, neutralizers=f, sample_weights=v, stakes=stakes)["mpc"] == 0.0).all()


def test_target_with_very_long_tails_is_refused_there_and_scored_here(given):
    p, _, _, _ = given
    # One of fourteen beside many of one: of the power's variance it is most, of the target's own only half.
    target = series(np.where(np.arange(N) == 7, 14.0, np.where(np.arange(N) % 2, 1.0, -1.0)), "target")
    with pytest.raises(AssertionError):
        quietly(scoring.numerai_corr, p, target)
    centred = target - target.mean()
    s, u = (np.sign(x) * np.abs(x) ** 1.5 for x in (scoring.gaussian(scoring.tie_kept_rank(p))["c0"], centred))
    assert score_frame(p, target).loc["c0", "corr"] == pytest.approx(np.corrcoef(s, u)[0, 1], abs=1e-12)


def test_labels_in_another_order_are_refused_there_and_matched_here(given):
    p, t, f, _ = given
    turned = p.iloc[::-1]
    with pytest.raises(AssertionError):
        scoring.feature_neutral_corr(turned, f, t)
    found = score_frame(turned, t, features=f)["fnc"]
    assert found.to_numpy() == pytest.approx(scoring.feature_neutral_corr(p, f, t).to_numpy(), abs=1e-12)


def test_target_without_a_name_is_an_error_there_and_nothing_here(given):
    p, t, _, _ = given
    with pytest.raises(KeyError):
        scoring.numerai_corr(p, t.rename(None))
    assert (score_frame(p, t.rename(None)) == score_frame(p, t)).all().all()


def test_infinities_have_a_rank_there_and_are_refused_here(given):
    p, t, _, _ = given
    for bad in (np.inf, -np.inf):
        changed = p.copy()
        changed.iloc[3, 0] = bad
        assert np.isfinite(scoring.numerai_corr(changed, t)).all()
        with pytest.raises(InputRejected) as refusal:
            score_frame(changed, t)
        assert refusal.value.code is Code.VALUE_NOT_FINITE


def in_round(values, f, v):
    return RoundSignal(list(LABELS), scoring.tie_kept_rank(values).to_numpy(), f.to_numpy(), v.to_numpy())


def test_no_history_is_a_churn_of_one_there_and_none_here(given):
    p, _, f, v = given
    sent = p["c0"].rank(pct=True).clip(0.01, 0.99).rename("signal")
    assert over_time.calculate_max_churn_and_turnover(sent, f, v, {}, {}, {}) == (1.0, 1.0)
    assert over_time.calculate_mean_neutral_churn(sent, f, v, {}, {}, {}) == 1.0
    now = in_round(sent, f, v)
    assert max_churn_and_turnover(now, []) is None
    assert mean_neutral_churn(now, []) is None


def test_former_signal_without_an_order_of_its_own_is_left_out_there_and_unrelated_here(rng, given):
    p, _, _, v = given
    group = rng.integers(0, 4, N)
    dummies = table(np.eye(4)[group])
    sent = p["c0"].rank(pct=True).clip(0.01, 0.99).rename("signal")
    explained = series(0.2 + 0.1 * group, "signal")
    other = p["c1"].rank(pct=True).clip(0.01, 0.99).rename("signal")
    dates = ({"d0": explained, "d1": other}, {"d0": dummies, "d1": dummies}, {"d0": v, "d1": v})
    theirs = quietly(over_time.calculate_mean_neutral_churn, sent, dummies, v, *dates)
    ours = mean_neutral_churn(in_round(sent, dummies, v), [in_round(explained, dummies, v), in_round(other, dummies, v)])
    alone = mean_neutral_churn(in_round(sent, dummies, v), [in_round(other, dummies, v)])
    assert ours == pytest.approx((1.0 + alone) / 2, abs=1e-12)
    assert theirs != pytest.approx(ours, abs=1e-6)


def test_callers_table_loses_columns_there_and_nothing_here():
    sent = pd.DataFrame({"ticker": LABELS, "signal": np.linspace(0.01, 0.99, N), "date": "2026-01-02"})
    quietly(submissions.validate_submission_signals, pd.DataFrame({"ticker": LABELS}), sent)
    assert list(sent.columns) == ["ticker", "signal"]


def test_narrow_file_counts_as_constant_there_and_is_ranked_here():
    values = 0.5 + 1e-10 * np.arange(N)
    sent = pd.DataFrame({"ticker": LABELS, "signal": values})
    with pytest.raises(AssertionError, match="standard deviation"):
        quietly(submissions.validate_submission_signals, pd.DataFrame({"ticker": LABELS}), sent.copy())
    verdict = judge(sent.to_csv(index=False).encode(), SIGNALS_FORMAT, list(LABELS), ScoringTerms(kinds=("corr",)))
    assert verdict.signal is not None
    assert np.array_equal(verdict.signal.values, (np.arange(N) + 0.5) / N)
