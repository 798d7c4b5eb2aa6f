"""Goal: an alpha has the size of its information and no factor in it. Method: the formula on a model without factors, exposures
measured after projection, and the shrunk record by hand."""

import numpy as np
import pytest

from crowdalpha.errors import InputRejected
from portfolio.alpha import alpha_from_signal, shrunk_ic
from portfolio.riskmodel import RiskModel
from tests.builders.books import factor_columns


def model(n: int, seed: int = 1) -> RiskModel:
    rng = np.random.default_rng(seed)
    B, kinds = factor_columns(rng, n)
    return RiskModel(("f",) * len(kinds), kinds, B, np.eye(len(kinds)) * 1e-4, rng.uniform(1e-4, 9e-4, n))


def test_size_is_ic_times_volatility_times_score():
    """Without factors but the intercept and with equal risks, alpha = IC · σ · √h · z exactly."""
    n = 50
    flat = RiskModel(("market",), ("market",), np.ones((n, 1)), np.eye(1) * 1e-4, np.full(n, 4e-4))
    score = np.random.default_rng(2).standard_normal(n)
    z = (score - score.mean()) / score.std()
    np.testing.assert_allclose(alpha_from_signal(score, flat, 0.03, 20), 0.03 * 0.02 * np.sqrt(20) * z, atol=1e-15)


def test_no_factor_is_left():
    """Exposure of the alpha to every column is at most 1e-10 relative, dummies beside the intercept included."""
    risk = model(300)
    alpha = alpha_from_signal(np.random.default_rng(3).standard_normal(300) + risk.B[:, 12], risk, 0.02, 20)
    relative = np.abs(risk.B.T @ alpha) / (np.linalg.norm(risk.B, axis=0) * np.linalg.norm(alpha))
    assert relative.max() <= 1e-10


def test_scale_and_shift_of_the_score_do_not_matter():
    """A score times a million plus three bets the same."""
    risk, score = model(100), np.random.default_rng(4).standard_normal(100)
    np.testing.assert_allclose(
        alpha_from_signal(score, risk, 0.02, 20), alpha_from_signal(1e6 * score + 3, risk, 0.02, 20), rtol=1e-6, atol=1e-12
    )


@pytest.mark.parametrize("score", [np.zeros(40), np.full(40, 0.1), 1.0 + 1e-16 * np.arange(40)])
def test_a_constant_score_bets_nothing(score):
    """Constant, also when it is not exactly so in floating point: zeros, not noise blown up."""
    assert alpha_from_signal(score, model(40), 0.02, 20).tolist() == [0.0] * 40


@pytest.mark.parametrize("score", [np.full(40, np.nan), np.zeros(39)])
def test_a_score_that_does_not_fit_is_refused(score):
    """NaN or another length is refused."""
    with pytest.raises(InputRejected):
        alpha_from_signal(score, model(40), 0.02, 20)


def test_information_is_shrunk_and_never_negative():
    """Prior of 0.02 worth 10 rounds and 30 rounds of 0.06 make 0.05; a record of losses makes zero; NaN is refused."""
    assert shrunk_ic([0.06] * 30, 0.02, 10) == pytest.approx(0.05)
    assert shrunk_ic([], 0.02, 10) == 0.02
    assert shrunk_ic([-0.1] * 100, 0.02, 10) == 0.0
    assert shrunk_ic([], 0.02, 0) == 0.0
    with pytest.raises(InputRejected):
        shrunk_ic([float("nan")], 0.02, 10)
