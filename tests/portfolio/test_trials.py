"""Goal: the best of many tries is told from skill. Method: the worked example of Bailey and López de Prado (2014); groups made
on purpose; simulation of searches without skill, and with."""

import math

import numpy as np
import pytest

from crowdalpha.errors import InputRejected
from portfolio.trials import _correlations, best_of_luck, clusters, deflated_sharpe, deflated_sharpes, probabilistic_sharpe


def published_error(ratio: float, skewness: float, kurtosis: float, sessions: int) -> float:
    return math.sqrt((1 - skewness * ratio + (kurtosis - 1) / 4 * ratio**2) / (sessions - 1))


@pytest.mark.parametrize(("tries", "threshold", "probability"), [(100, 0.1132, 0.9004), (46, None, 0.9505)])
def test_the_published_example(tries, threshold, probability):
    """A yearly ratio of 2.5 over 1,250 days, skewness −3, kurtosis 10, yearly variance of trials ½: Φ = 0.9004 after 100 tries.

    The article's section "A numerical example": with 46 tries it would have been 0.9505."""
    ratio = 2.5 / math.sqrt(250)
    best = best_of_luck(tries, 0.5 / 250)
    if threshold is not None:
        assert best == pytest.approx(threshold, abs=5e-5)
    assert probabilistic_sharpe(ratio, best, published_error(ratio, -3, 10, 1250)) == pytest.approx(probability, abs=1e-4)


def test_best_of_luck_is_the_mean_of_simulated_maxima():
    """Over 4,000 searches among 50 tries the largest normal averages what the formula says, within 2 %."""
    print("seed 121")
    drawn = np.random.default_rng(121).standard_normal((4000, 50)).max(axis=1).mean()
    assert best_of_luck(50, 1.0) == pytest.approx(drawn, rel=0.02)
    assert best_of_luck(1, 1.0) == 0.0
    assert best_of_luck(0, 1.0) == 0.0


def test_variants_of_one_idea_are_one_try():
    """Three ideas of 7, 4 and 1 variants make three groups, whatever their order; a flat trial stands alone."""
    print("seed 122")
    rng = np.random.default_rng(122)
    ideas = rng.standard_normal((3, 500))
    of = rng.permutation(np.repeat([0, 1, 2], [7, 4, 1]))
    returns = np.vstack([ideas[of] + 0.5 * rng.standard_normal((12, 500)), np.zeros((1, 500))])
    found = clusters(returns)
    assert len(set(found[:12])) == 3
    assert len({(int(a), int(b)) for a, b in zip(of, found[:12], strict=True)}) == 3
    assert found[12] == 3
    assert found[0] == 0
    assert clusters(returns[:1]).tolist() == [0]
    assert clusters(returns[:0]).tolist() == []


def test_copies_cost_nothing_and_independent_tries_all_count():
    """Fifty copies of one path are a single try; forty independent ones are forty."""
    print("seed 123")
    rng = np.random.default_rng(123)
    path = 0.0008 + 0.01 * rng.standard_normal(750)
    alone, copied = deflated_sharpe(path, path[None, :]), deflated_sharpe(path, np.tile(path, (50, 1)))
    assert (copied.clusters, copied.trials) == (1, 50)
    assert copied.threshold == alone.threshold == 0.0
    assert copied.probability == alone.probability
    many = deflated_sharpe(path, np.vstack([path, 0.01 * rng.standard_normal((39, 750))]))
    assert many.clusters == 40
    assert many.threshold > 0
    assert many.probability < alone.probability
    none = deflated_sharpe(path, np.zeros((0, 750)))
    assert (none.trials, none.probability) == (1, alone.probability)


def test_all_trials_at_once_are_each_by_itself():
    """Judging a table gives what judging its rows gives; an empty table gives nothing."""
    print("seed 125")
    trials = 0.01 * np.random.default_rng(125).standard_normal((7, 300)) + 0.0005
    assert deflated_sharpes(trials) == tuple(deflated_sharpe(row, trials) for row in trials)
    assert deflated_sharpes(np.zeros((0, 5))) == ()


def test_over_the_same_sessions_it_is_the_variance_of_the_ratios():
    """Plain formulas of the article: the ratios of eight independent tries vary by V, and V is at least 1/T."""
    print("seed 126")
    rng = np.random.default_rng(126)
    trials = 0.01 * rng.standard_normal((8, 400)) + np.linspace(-0.002, 0.002, 8)[:, None]
    ratios = [row.mean() / row.std(ddof=1) for row in trials]
    found = deflated_sharpes(trials)
    assert found[0].clusters == 8
    expected = best_of_luck(8, np.var(ratios, ddof=1)) * math.sqrt(252)
    assert [one.threshold for one in found] == pytest.approx([expected] * 8, rel=1e-12)
    assert np.var(ratios, ddof=1) > 1 / 400


def beyond_by_hand(ratios: list[float], sessions: list[int]) -> float:
    """The moment estimator of DerSimonian and Laird, in plain loops."""
    total = sum(sessions)
    mean = sum(t * r for t, r in zip(sessions, ratios, strict=True)) / total
    q = sum(t * (r - mean) ** 2 for t, r in zip(sessions, ratios, strict=True))
    return max(0.0, (q - (len(ratios) - 1)) / (total - sum(t * t for t in sessions) / total))


@pytest.mark.parametrize("luck", [0.002, 0.01])
def test_a_short_trial_is_one_try_more_and_counts_by_what_it_says(luck):
    """Five years, and a month: the long path keeps its own ratio and sessions, and is one of two tries.

    A month of a Sharpe ratio of three says nothing of how far tries lie apart; one of sixteen does."""
    print("seed 127")
    rng = np.random.default_rng(127)
    long = 0.0008 + 0.01 * rng.standard_normal(1250)
    short = np.full(1250, np.nan)
    short[-21:] = luck + 0.01 * rng.standard_normal(21)
    both = deflated_sharpes(np.vstack([long, short]))
    alone = deflated_sharpe(long, long[None, :])
    assert (both[0].sessions, both[1].sessions) == (1250, 21)
    assert (both[0].sharpe, both[0].error, both[0].clusters) == (alone.sharpe, alone.error, 2)
    ratios = [row.mean() / row.std(ddof=1) for row in (long, short[-21:])]
    beyond = beyond_by_hand(ratios, [1250, 21])
    assert (beyond > 0) == (luck == 0.01)
    assert both[0].threshold == pytest.approx(best_of_luck(2, 1 / 1250 + beyond) * math.sqrt(252))
    assert both[1].threshold == pytest.approx(best_of_luck(2, 1 / 21 + beyond) * math.sqrt(252))


def test_what_tries_differ_by_counts_alike_for_long_and_short_paths():
    """Two trials of 1,500 sessions with ratios of plus and minus 1.5, one of 60 with 3: luck would show 2.4 at most."""
    print("seed 129")
    rng = np.random.default_rng(129)
    trials = np.full((3, 1500), np.nan)
    for row, (length, yearly) in enumerate([(1500, 1.5), (1500, -1.5), (60, 3.0)]):
        path = rng.standard_normal(length)
        trials[row, :length] = 0.01 * ((path - path.mean()) / path.std(ddof=1) + yearly / math.sqrt(252))
    found = deflated_sharpes(trials)
    ratios = [yearly / math.sqrt(252) for yearly in (1.5, -1.5, 3.0)]
    beyond = beyond_by_hand(ratios, [1500, 1500, 60])
    for one, length in zip(found, (1500, 1500, 60), strict=True):
        assert one.threshold == pytest.approx(best_of_luck(3, 1 / length + beyond) * math.sqrt(252))
    assert found[2].threshold < 3.0


def test_trials_apart_are_two_tries_and_on_the_same_sessions_one():
    print("seed 130")
    long = 0.0008 + 0.01 * np.random.default_rng(130).standard_normal(1250)
    part = np.where(np.arange(1250) < 1229, np.nan, long)
    apart = np.full((2, 1250), np.nan)
    apart[0, :625], apart[1, 625:] = long[:625], long[:625]
    assert clusters(apart).tolist() == [0, 1]
    assert clusters(np.vstack([long, part])).tolist() == [0, 0]


def test_correlations_on_shared_sessions_are_numpys():
    print("seed 128")
    rng = np.random.default_rng(128)
    trials = 0.01 * rng.standard_normal((6, 300)) + 0.3 * rng.standard_normal(300)[None, :] * 0.01
    trials[rng.random(trials.shape) < 0.3] = np.nan
    found = _correlations(trials)
    for i in range(6):
        for j in range(6):
            both = np.isfinite(trials[i]) & np.isfinite(trials[j])
            assert found[i, j] == pytest.approx(np.corrcoef(trials[i, both], trials[j, both])[0, 1], abs=1e-12)


def test_a_search_without_skill_is_seldom_believed_and_skill_is():
    """The best of 30 worthless paths passes 95 % in at most one search of ten; undeflated it does in most."""
    print("seed 124")
    rng = np.random.default_rng(124)
    believed = naive = 0
    for _ in range(60):
        trials = 0.01 * rng.standard_normal((30, 500))
        best = trials[trials.mean(axis=1).argmax()]
        believed += deflated_sharpe(best, trials).probability > 0.95
        naive += deflated_sharpe(best, best[None, :]).probability > 0.95
    assert believed <= 6
    assert naive >= 40
    trials[0] += 0.0025
    assert deflated_sharpe(trials[0], trials).probability > 0.95


def test_paths_without_variance_have_no_probability_and_nan_is_refused():
    """Nothing moved, nothing is told; a path has no holes, and a trial has a session."""
    flat = deflated_sharpe(np.zeros(100), np.zeros((3, 100)))
    assert math.isnan(flat.probability)
    assert math.isnan(flat.sharpe)
    for returns, trials in (
        (np.array([np.nan]), np.zeros((1, 1))),
        (np.zeros(3), np.full((1, 3), np.nan)),
        (np.array([0.1, np.nan, 0.2]), np.zeros((1, 3))),
        (np.zeros(3), np.array([[0.0, np.inf, 0.0]])),
        (np.zeros(3), np.zeros(3)),
    ):
        with pytest.raises(InputRejected):
            deflated_sharpe(returns, trials)
