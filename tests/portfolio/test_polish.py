"""Goal: a polished book is exact and close to what the solver said. Method: answers spoiled as by a loose solver; sums measured
again here."""

from dataclasses import replace

import numpy as np
import pytest

from portfolio.convex import candidate
from portfolio.polish import DUST, polish
from portfolio.verify import excesses, verify, violations
from tests.builders.books import random_problem


@pytest.mark.parametrize("error", [1e-9, 1e-7, 1e-5])
def test_noise_of_a_solver_is_removed(error):
    """Answers with noise of 1e-9 to 1e-5 come back to equalities and caps within 1e-12, having moved about as much."""
    print("seed 101")
    rng = np.random.default_rng(101)
    for _ in range(20):
        p = random_problem(rng, 60, drifted=False)
        answer = candidate(p, "PIQP").weights
        polished = polish(p, answer + error * rng.standard_normal(p.n))
        w = polished.weights
        assert abs(w.sum()) <= 1e-12
        assert np.abs(p.B[:, p.exposure_rows("beta")].T @ w).max() <= 1e-11
        assert (w <= p.position_upper).all()
        assert (w >= p.position_lower).all()
        assert polished.move <= 30 * error + 2 * DUST


def test_dust_is_swept_up():
    """Weights and trades below a hundred-millionth disappear, so that a book has names, not noise."""
    p = random_problem(np.random.default_rng(102), 60)
    p = replace(p, turnover_max=5.0)
    w = polish(p, candidate(p, "PIQP").weights).weights
    assert not ((np.abs(w) > 0) & (np.abs(w) < DUST / 2)).any()
    assert np.count_nonzero(w) < p.n


def test_a_holding_that_is_dust_is_closed():
    """A drifted remnant of 5e-9 that the solver wants at zero leaves at exactly zero, and a pinned one stays."""
    p = random_problem(np.random.default_rng(105), 20, drifted=False)
    w0 = p.w0.copy()
    w0[:2] = 5e-9
    lower, upper = p.position_lower.copy(), p.position_upper.copy()
    lower[1] = upper[1] = 5e-9
    answer = np.where(np.arange(20) < 2, 1e-10, 0.01 * (-1.0) ** np.arange(20))
    w = polish(replace(p, w0=w0, position_lower=lower, position_upper=upper), answer).weights
    assert w[0] == 0.0
    assert w[1] == 5e-9


def test_impossible_equalities_are_left_to_verification():
    """Names that may only be long cannot be neutral: polishing ends, and verification says which limit is broken."""
    p = random_problem(np.random.default_rng(103), 10, drifted=False)
    p = replace(p, position_lower=np.full(10, 0.01))
    polished = polish(p, np.full(10, 0.015))
    assert np.isfinite(polished.weights).all()
    assert "net" in violations(p, polished.weights)


def test_verification_names_each_limit_and_its_excess():
    """A book that breaks one limit at a time is refused for that limit, by the amount, and passes where it is relaxed."""
    p = random_problem(np.random.default_rng(104), 4, sectors=2, styles=1, drifted=False)
    wide = np.full(len(p.factor_kinds), np.inf)
    p = replace(p, exposure_lower=-wide, exposure_upper=wide, position_lower=np.full(4, -1.0), position_upper=np.full(4, 1.0))
    w = np.array([0.6, -0.6, 0.5, -0.5])
    assert verify(replace(p, gross_max=2.2, turnover_max=2.2), w)
    assert violations(replace(p, gross_max=2.0, turnover_max=2.2), w) == {"gross": pytest.approx(0.2)}
    assert violations(replace(p, gross_max=2.2, turnover_max=1.0), w) == {"turnover": pytest.approx(1.2)}
    assert verify(replace(p, gross_max=2.2, turnover_max=1.0), w, frozenset({"turnover"}))
    capped = replace(p, gross_max=2.2, turnover_max=2.2, position_upper=np.full(4, 0.55))
    assert violations(capped, w) == {"position": pytest.approx(0.05)}
    assert violations(replace(p, gross_max=2.2, turnover_max=2.2), w + 1e-8)["net"] == pytest.approx(4e-8)
    assert all(np.isinf(v) for v in excesses(p, np.full(4, np.nan)).values())
