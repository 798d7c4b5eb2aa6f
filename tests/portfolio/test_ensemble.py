"""The walk-forward ensemble finds the optimum, keeps to the simplex, and believes the prior where the past says nothing.

Independent sources: scipy's SLSQP on the same objective (the absolute value split into two variables), a grid over the simplex,
and for two candidates the optimum by hand.
"""

import numpy as np
import pytest
from scipy.optimize import minimize

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from portfolio import ensemble, scaled
from portfolio.convex import Candidate, simplex_candidate
from portfolio.ensemble import EnsembleSettings, best_weights, ensemble_weights, worth
from portfolio.scaled import CLARABEL, PIQP

SEED = 4711
EVEN = np.array([0.5, 0.5])


def draw(rng, r, k):
    """Past scores as they come: means of some thousandths, a few hundredths from round to round, a common part."""
    means = rng.normal(0.004, 0.006, k)
    return means + 0.02 * rng.standard_normal((r, 1)) + 0.02 * rng.standard_normal((r, k))


def simplex_point(rng, k):
    return rng.dirichlet(np.ones(k))


def slsqp(mean, covariance, previous, settings):
    """Maximize over (w, up, down) with w = previous + up − down, where the objective is smooth."""
    k = mean.size

    def loss(z):
        w, up, down = z[:k], z[k : 2 * k], z[2 * k :]
        risk = settings.risk_penalty * w @ covariance @ w
        return -1e3 * (mean @ w - risk - settings.turnover_penalty / 2 * (up.sum() + down.sum()))

    rules = [
        {"type": "eq", "fun": lambda z: z[:k].sum() - 1},
        {"type": "eq", "fun": lambda z: z[:k] - previous - z[k : 2 * k] + z[2 * k :]},
    ]
    found = []
    for start in [previous, np.full(k, 1 / k), *np.eye(k)]:
        moved = start - previous
        z = np.concatenate([start, np.maximum(moved, 0), np.maximum(-moved, 0)])
        options = {"ftol": 1e-15, "maxiter": 1000}
        answer = minimize(loss, z, method="SLSQP", bounds=[(0, None)] * (3 * k), constraints=rules, options=options)
        w = np.maximum(answer.x[:k], 0)
        found.append(w / w.sum())
    return max(found, key=lambda w: worth(w, mean, covariance, previous, settings))


def test_the_optimum_is_that_of_an_independent_solver():
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    for case in range(40):
        k, r = int(rng.integers(2, 9)), int(rng.integers(5, 160))
        settings = EnsembleSettings(2, 500, float(rng.choice([0.0, 0.5, 2.0, 20.0])), float(rng.choice([0.0, 0.001, 0.01])))
        recent, previous = draw(rng, r, k), simplex_point(rng, k)
        mean, covariance = recent.mean(axis=0), np.cov(recent, rowvar=False)
        ours = best_weights(recent, previous, settings)
        assert ours is not None
        peer = slsqp(mean, covariance, previous, settings)
        gap = worth(peer, mean, covariance, previous, settings) - worth(ours, mean, covariance, previous, settings)
        assert gap <= 1e-9, f"case {case}: {ours} against {peer}"
        if settings.risk_penalty >= 2.0:
            assert np.abs(ours - peer).max() <= 2e-3, f"case {case}"


def test_no_point_of_a_grid_is_worth_more():
    rng = np.random.default_rng(SEED)
    recent, previous = draw(rng, 60, 3), np.array([0.2, 0.5, 0.3])
    settings = EnsembleSettings(risk_penalty=5.0, turnover_penalty=0.002)
    mean, covariance = recent.mean(axis=0), np.cov(recent, rowvar=False)
    best = worth(best_weights(recent, previous, settings), mean, covariance, previous, settings)
    steps = np.linspace(0, 1, 51)
    for a in steps:
        for b in steps[steps <= 1 - a + 1e-12]:
            point = np.array([a, b, max(1 - a - b, 0.0)])
            assert worth(point, mean, covariance, previous, settings) <= best + 1e-9


@pytest.mark.parametrize("gamma", [0.5, 3.0, 50.0])
@pytest.mark.parametrize("kappa", [0.0, 0.002, 1.0])
def test_two_candidates_by_hand(gamma, kappa):
    """a maximizes aΔ − γ(a²s₁ + 2a(1−a)s₁₂ + (1−a)²s₂) − κ|a − a₋|: a parabola with a kink at a₋, inside [0, 1]."""
    rng = np.random.default_rng(SEED)
    recent = draw(rng, 30, 2)
    before = 0.35
    (s1, s12), (_, s2) = np.cov(recent, rowvar=False)
    gain = recent[:, 0].mean() - recent[:, 1].mean()
    curve = 2 * gamma * (s1 + s2 - 2 * s12)
    top = [(gain + sign * kappa + 2 * gamma * (s2 - s12)) / curve for sign in (1, -1)]  # below and above the kink
    expected = min(max(min(top[0], before), top[1] if top[1] > before else -1), 1.0)
    expected = max(expected, 0.0)
    settings = EnsembleSettings(2, 500, gamma, kappa, prior_rounds=0.0)
    found = ensemble_weights(recent, EVEN, np.array([before, 1 - before]), settings)
    assert found.weights.tolist() == pytest.approx([expected, 1 - expected], abs=2e-6)


def test_the_prior_counts_for_its_rounds():
    past = np.tile([[0.03, 0.0], [0.01, 0.01]], (10, 1))
    prior = np.array([0.2, 0.8])
    free = EnsembleSettings(rounds_min=2, turnover_penalty=0.0, risk_penalty=0.0, prior_rounds=0.0)
    assert ensemble_weights(past, prior, prior, free).weights.tolist() == pytest.approx([1.0, 0.0], abs=1e-6)
    for rounds in (5.0, 20.0, 1e9):
        settings = EnsembleSettings(rounds_min=2, turnover_penalty=0.0, risk_penalty=0.0, prior_rounds=rounds)
        expected = (20 * np.array([1.0, 0.0]) + rounds * prior) / (20 + rounds)
        assert ensemble_weights(past, prior, prior, settings).weights.tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_a_dear_move_is_not_made():
    rng = np.random.default_rng(SEED)
    before = np.array([0.1, 0.6, 0.3])
    settings = EnsembleSettings(rounds_min=2, turnover_penalty=10.0, prior_rounds=0.0)
    assert np.abs(ensemble_weights(draw(rng, 60, 3), before, before, settings).weights - before).max() <= 1e-6


def test_only_the_newest_rounds_count():
    rng = np.random.default_rng(SEED)
    newest = draw(rng, 30, 3)
    older = np.vstack([draw(rng, 50, 3) + 1.0, np.full((5, 3), np.nan), newest])
    prior = np.full(3, 1 / 3)
    settings = EnsembleSettings(rounds_min=10, rounds_max=30)
    found, alone = ensemble_weights(older, prior, prior, settings), ensemble_weights(newest, prior, prior, settings)
    assert (found.rounds_used, found.weights.tolist()) == (30, alone.weights.tolist())


def poisoned(value):
    history = draw(np.random.default_rng(SEED), 30, 2)
    history[7, 1] = value
    return history


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        (np.zeros((0, 2)), "too_few_rounds"),
        (draw(np.random.default_rng(1), 25, 2), "too_few_rounds"),
        (poisoned(np.nan), "history_not_finite"),
        (poisoned(np.inf), "history_not_finite"),
        (np.zeros((30, 2)), "history_degenerate"),
        (np.tile([[0.01, 0.02]], (30, 1)), "history_degenerate"),
        (np.tile(np.linspace(-1, 1, 30)[:, None], (1, 2)), "history_degenerate"),
    ],
)
def test_a_past_that_says_nothing_leaves_the_prior_and_says_why(history, reason):
    prior = np.array([0.3, 0.7])
    found = ensemble_weights(history, prior, EVEN, EnsembleSettings(rounds_min=26))
    assert (found.weights.tolist(), found.rounds_used, found.reason) == (prior.tolist(), 0, reason)


def test_one_candidate_has_no_choice():
    found = ensemble_weights(np.zeros((100, 1)), np.ones(1), np.ones(1), EnsembleSettings())
    assert (found.weights.tolist(), found.reason) == ([1.0], "one_candidate")


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1e3])
def test_answers_stay_on_the_simplex_whatever_the_scale_and_rank(scale):
    rng = np.random.default_rng(SEED)
    for k, r in ((2, 2), (5, 3), (12, 40)):
        history = scale * draw(rng, r, k)
        history[:, 1] = history[:, 0]  # a clone: singular, and no unique answer
        prior = simplex_point(rng, k)
        found = ensemble_weights(history, prior, simplex_point(rng, k), EnsembleSettings(rounds_min=2))
        assert (found.weights >= 0).all()
        assert found.weights.sum() == pytest.approx(1.0, abs=1e-12)
        assert not found.weights.flags.writeable


def test_the_second_solver_is_asked_and_a_wrong_answer_is_not_taken(monkeypatch):
    rng = np.random.default_rng(SEED)
    history, prior = draw(rng, 40, 3), np.full(3, 1 / 3)
    settings = EnsembleSettings(rounds_min=2, prior_rounds=0.0)
    expected = ensemble_weights(history, prior, prior, settings).weights
    worst = np.eye(3)[int(np.argmin(history.mean(axis=0)))]
    asked = []

    def lying(*question):
        asked.append(question[-1])
        answers = {PIQP: Candidate(worst, "optimal"), CLARABEL: simplex_candidate(*question)}
        return answers[question[-1]]

    monkeypatch.setattr(ensemble, "simplex_candidate", lying)
    found = ensemble_weights(history, prior, prior, settings)
    assert asked == [PIQP, CLARABEL]
    assert np.abs(found.weights - expected).max() <= 1e-4
    for answer in (Candidate(None, "error"), Candidate(worst, "optimal"), Candidate(2 * worst, "optimal")):
        monkeypatch.setattr(ensemble, "simplex_candidate", lambda *question, answer=answer: answer)
        found = ensemble_weights(history, prior, prior, settings)
        assert (found.weights.tolist(), found.reason) == (prior.tolist(), "solver_failed")
    assert scaled.SOLVERS == (PIQP, CLARABEL)


@pytest.mark.parametrize("wrong", [[0.5, 0.6], [-0.1, 1.1], [np.nan, 1.0], [0.0, 0.0], [[0.5, 0.5]], [], [1.0]])
def test_weights_that_are_none_are_refused(wrong):
    history = np.zeros((3, 2))
    for prior, previous in ((wrong, EVEN), (EVEN, wrong)):
        with pytest.raises(InputRejected) as refusal:
            ensemble_weights(history, np.array(prior), np.array(previous), EnsembleSettings())
        assert refusal.value.code is Code.PROBLEM_INVALID
