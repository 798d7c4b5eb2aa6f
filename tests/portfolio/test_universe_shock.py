"""Goal: 30 % of a book's names leave overnight, and the book stays neutral. Method: a full book is made by weekly
decisions; its names then lose their membership, stop trading, are delisted, or all of it at once. Limits are added up here."""

from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pytest

from portfolio.alpha import alpha_from_signal
from portfolio.build import build_problem
from portfolio.ladder import HELD, Solution, solve
from portfolio.mandate import Mandate
from portfolio.problem import RebalanceProblem
from portfolio.riskmodel import RiskModel
from tests.builders.books import market_model

SEED, NAMES, WEEKS = 83, 220, 4
MANDATE = Mandate("shock", position_max=0.02, impact_coefficient=0.5)
EQUITY = 1e8
SHARE = 0.30
EXACT = 1e-8


@dataclass
class Fund:
    """A book that is decided on week by week; prices stand still between the weeks."""

    rng: np.random.Generator
    model: RiskModel
    adv: np.ndarray
    weights: np.ndarray = field(default_factory=lambda: np.zeros(NAMES))

    def decide(self, **masks: np.ndarray) -> tuple[RebalanceProblem, Solution]:
        """Decide on a fresh score; ``masks`` are those of ``build_problem``."""
        alpha = alpha_from_signal(self.rng.standard_normal(NAMES), self.model, 0.05, 20)
        problem = build_problem(
            MANDATE, self.model, alpha, self.weights, alpha_horizon_sessions=20, equity=EQUITY, adv_dollars=self.adv, **masks
        )
        solution = solve(problem)
        return problem, solution


@cache
def grown() -> Fund:
    rng = np.random.default_rng(SEED)
    fund = Fund(rng, market_model(rng, NAMES), rng.uniform(2e7, 5e8, NAMES))
    for _ in range(WEEKS):
        _, solution = fund.decide()
        fund.weights = solution.weights
    assert np.abs(fund.weights).sum() > 1.5
    return fund


def full_book() -> Fund:
    """A copy of the grown book, so that every test begins from the same."""
    print(f"seed {SEED}")
    return deepcopy(grown())


def leaving_names(fund: Fund) -> np.ndarray:
    """Draw 30 % of the held names, longs and shorts alike, as a mask."""
    held = np.flatnonzero(np.abs(fund.weights) > 1e-6)
    chosen = np.zeros(NAMES, dtype=bool)
    chosen[fund.rng.choice(held, round(SHARE * len(held)), replace=False)] = True
    return chosen


def assert_neutral(fund: Fund, solution: Solution) -> None:
    """Dollar and beta exactly, sectors and styles inside their bands; nothing but turnover may have given way."""
    w = solution.weights
    assert np.isfinite(w).all()
    assert abs(w.sum()) <= EXACT
    for kind, loading in zip(fund.model.factor_kinds, fund.model.B.T, strict=True):
        lean = abs(sum(x * b for x, b in zip(w.tolist(), loading.tolist(), strict=True)))
        band = {"market": np.inf, "beta": 0.0, "sector": MANDATE.sector_band, "style": MANDATE.style_band}[kind]
        assert lean <= band + EXACT, kind
    assert np.abs(w).sum() <= MANDATE.gross_max + EXACT
    assert set(solution.violations) <= {"turnover"}


def test_names_that_lose_their_membership_only_shrink() -> None:
    """None grows or turns, week after week, and the book stays neutral and at work in the others."""
    fund = full_book()
    leaving, begun = leaving_names(fund), fund.weights
    for _ in range(4):
        before = fund.weights
        problem, solution = fund.decide(leaving=leaving)
        assert solution.status != HELD
        assert_neutral(fund, solution)
        assert (np.abs(solution.weights[leaving]) <= np.abs(before[leaving]) + EXACT).all()
        assert (solution.weights[leaving] * before[leaving] >= -EXACT).all()
        assert not problem.frozen.any()
        fund.weights = solution.weights
    assert np.abs(fund.weights[leaving]).sum() < np.abs(begun[leaving]).sum()
    assert np.abs(fund.weights).sum() > 1.0


def test_names_that_stop_trading_stay_to_the_bit_and_are_listed() -> None:
    """The others make up for them; when they trade again they are names like any other."""
    fund = full_book()
    frozen, weights = leaving_names(fund), fund.weights
    for _ in range(2):
        problem, solution = fund.decide(frozen=frozen)
        assert solution.status != HELD
        assert_neutral(fund, solution)
        np.testing.assert_array_equal(solution.weights[frozen], weights[frozen])
        np.testing.assert_array_equal(problem.frozen, frozen)
        fund.weights = solution.weights
    problem, solution = fund.decide()
    assert not problem.frozen.any()
    assert (solution.weights[frozen] != weights[frozen]).mean() > 0.5


def test_names_that_are_delisted_are_closed_and_the_rest_is_neutral() -> None:
    fund = full_book()
    dead = leaving_names(fund)
    problem, solution = fund.decide(dead=dead)
    assert solution.status != HELD
    assert_neutral(fund, solution)
    assert not solution.weights[dead].any()
    assert not problem.frozen.any()


@pytest.mark.parametrize("side", ["longs", "shorts"])
def test_all_at_once_and_all_on_one_side(side: str) -> None:
    """A third each leaves, stops trading and is delisted, and all of them were longs, or shorts: the book leans at once."""
    fund = full_book()
    sign = 1.0 if side == "longs" else -1.0
    order = np.argsort(-sign * fund.weights)
    lost = order[: round(SHARE * np.count_nonzero(np.abs(fund.weights) > 1e-6))]
    masks = {}
    for place, kind in enumerate(("leaving", "frozen", "dead")):
        masks[kind] = np.zeros(NAMES, dtype=bool)
        masks[kind][lost[place::3]] = True
    assert abs(fund.weights[~masks["dead"]].sum()) > 0.1
    before = fund.weights
    problem, solution = fund.decide(**masks)
    assert solution.status != HELD
    assert_neutral(fund, solution)
    assert not solution.weights[masks["dead"]].any()
    np.testing.assert_array_equal(solution.weights[masks["frozen"]], before[masks["frozen"]])
    np.testing.assert_array_equal(problem.frozen, masks["frozen"] & (before != 0))
    assert (np.abs(solution.weights[masks["leaving"]]) <= np.abs(before[masks["leaving"]]) + EXACT).all()


def test_what_nobody_can_make_neutral_is_held_and_told() -> None:
    """All but three names stop trading on a book that leans: what trades cannot bring it back, so it stays."""
    fund = full_book()
    fund.weights = np.where(np.arange(NAMES) < 3, 0.0, fund.weights)
    fund.weights[5] += 0.3
    problem, solution = fund.decide(frozen=np.arange(NAMES) >= 3)
    assert solution.status == HELD
    np.testing.assert_array_equal(solution.weights, fund.weights)
    assert solution.rungs[-1].reason
    np.testing.assert_array_equal(problem.frozen, (np.arange(NAMES) >= 3) & (fund.weights != 0))
