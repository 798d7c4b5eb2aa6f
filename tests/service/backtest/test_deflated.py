"""The deflated Sharpe ratio is that of its source. Method: the numerical example of Bailey and López de Prado (2014), section
"A numerical example": five years of 250 sessions, a Sharpe ratio of 2.5 a year, skewness −3, kurtosis 10, variance ½ a year."""

import math

import numpy as np
import pytest

from service.backtest.deflated import deflated_sharpes, effective_trials, expected_best, probabilistic_sharpe

DAILY = 2.5 / math.sqrt(250)
SPREAD = math.sqrt(0.5 / 250)


def test_the_papers_example_of_a_hundred_trials() -> None:
    best = expected_best(SPREAD, 100)
    assert best == pytest.approx(0.1132, abs=5e-5)
    assert probabilistic_sharpe(DAILY, best, 1_250, -3.0, 10.0) == pytest.approx(0.9004, abs=5e-5)


def test_the_papers_example_of_forty_six_trials() -> None:
    assert probabilistic_sharpe(DAILY, expected_best(SPREAD, 46), 1_250, -3.0, 10.0) == pytest.approx(0.9505, abs=5e-5)


def test_equal_trials_count_once_and_strangers_each() -> None:
    rng = np.random.default_rng(3)
    one = rng.standard_normal(4_000)
    assert effective_trials(np.vstack([one] * 5)) == pytest.approx(1.0)
    assert effective_trials(rng.standard_normal((5, 4_000))) == pytest.approx(5.0, rel=0.01)


def test_a_second_trial_of_its_own_makes_the_first_less_believable() -> None:
    rng = np.random.default_rng(4)
    good = 0.01 * rng.standard_normal(750) + 0.0008
    alone = deflated_sharpes(good[None, :])[0]
    with_others = deflated_sharpes(np.vstack([good, 0.01 * rng.standard_normal((9, 750))]))[0]
    assert with_others < alone


def test_a_path_without_variance_has_none() -> None:
    assert np.isnan(deflated_sharpes(np.zeros((1, 50)))[0])
