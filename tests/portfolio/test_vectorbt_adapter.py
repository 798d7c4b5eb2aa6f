"""Goal: two engines, one equity. Method: the NumPy twin against vectorbt, an independent code base that works on prices and
shares, on random paths; what vectorbt cannot express is refused by name."""

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from portfolio.book import BookState, Liquidity, TradingCosts
from portfolio.simulate import backtest
from tests.builders.books import random_paths


@pytest.fixture(scope="module")
def second_engine():
    """Return the adapter with vectorbt loaded, which takes seconds, once for the module."""
    import vectorbt  # noqa: F401

    from portfolio.vectorbt_adapter import backtest_vectorbt

    return backtest_vectorbt


def random_targets(rng: np.random.Generator, sessions: int, n: int, gross: float) -> dict[int, np.ndarray]:
    targets = {}
    for row in range(int(rng.integers(0, 4)), sessions, int(rng.integers(1, 8))):
        w = rng.standard_normal(n) * (rng.random(n) < 0.7)
        w -= w.mean()
        targets[row] = gross * w / np.abs(w).sum()
    return targets


def test_engines_agree_on_random_paths(second_engine):
    """On 24 random long-short histories with spreads, gross 1 to 4, equity and turnover agree to 1e-9 relative."""
    print("seed 51")
    rng = np.random.default_rng(51)
    worst = 0.0
    for _ in range(24):
        sessions, n = int(rng.integers(30, 150)), int(rng.integers(2, 60))
        overnight, intraday = random_paths(rng, sessions, n)
        overnight, intraday = overnight / 3, intraday / 3
        targets = random_targets(rng, sessions, n, float(rng.uniform(1, 4)))
        costs = TradingCosts(half_spread=rng.uniform(0, 2e-3, n))
        ours = backtest(overnight, intraday, targets, costs, initial=1e6, keep_weights=True)
        theirs = second_engine(overnight, intraday, targets, costs, initial=1e6, keep_weights=True)
        worst = max(worst, float(np.abs(ours.equity / theirs.equity - 1).max()))
        np.testing.assert_allclose(ours.equity, theirs.equity, rtol=1e-9)
        np.testing.assert_allclose(ours.turnover, theirs.turnover, atol=1e-9)
        np.testing.assert_allclose(ours.weights, theirs.weights, atol=1e-9)
        np.testing.assert_allclose(ours.total_costs, theirs.total_costs, atol=1e-9 * 1e6)
        np.testing.assert_allclose(ours.gross_pnl, theirs.gross_pnl, atol=1e-8 * 1e6)
    print(f"worst relative difference {worst:.1e}")


@pytest.mark.parametrize("capital", [1.0, 1e10])
def test_the_engines_agree_whatever_the_capital(capital, second_engine):
    """A thousand small positions of a capital of 1 are below what vectorbt trades at all, were it run with that capital."""
    rng = np.random.default_rng(52)
    overnight, intraday = random_paths(rng, 200, 1000)
    targets = random_targets(rng, 200, 1000, 2.0)
    ours = backtest(overnight / 3, intraday / 3, targets, TradingCosts(half_spread=5e-4), initial=capital)
    theirs = second_engine(overnight / 3, intraday / 3, targets, TradingCosts(half_spread=5e-4), initial=capital)
    np.testing.assert_allclose(ours.equity, theirs.equity, rtol=1e-10)


REFUSED = {
    "a fee on shorts": {"costs": TradingCosts(borrow_per_year=0.01)},
    "interest on cash": {"costs": TradingCosts(cash_per_year=0.01)},
    "price impact": {"costs": TradingCosts(impact_coefficient=0.1)},
    "halts": {"traded": np.zeros((4, 2), bool)},
    "delistings": {"delisting_rows": np.array([1, -1]), "delisting_returns": np.zeros(2)},
    "starts with positions": {"initial": BookState(np.array(["a", "b"]), np.ones(2), 1.0)},
    "missing returns": {"overnight": np.full((4, 2), np.nan)},
    "a price of zero": {"overnight": np.full((4, 2), -1.0)},
    "price impact of given volumes": {"liquidity": {0: Liquidity(np.ones(2), np.ones(2))}},
    "want of cash": {"targets": {0: np.array([1.0, 0.5])}},
    "without equity": {"targets": {0: np.array([0.0, -1.0])}, "intraday": np.full((4, 2), 4.0)},
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_expressed_is_refused(what, second_engine):
    """Each friction that vectorbt would silently leave out is refused with the stable code."""
    given = {
        "overnight": np.zeros((4, 2)),
        "intraday": np.zeros((4, 2)),
        "targets": {0: np.array([0.5, -0.5])},
        "costs": TradingCosts(),
        **REFUSED[what],
    }
    with pytest.raises(InputRejected) as caught:
        second_engine(**given)
    assert caught.value.code == Code.BACKTEST_NOT_EXPRESSIBLE
    assert what.split(" of given")[0] in str(caught.value)
