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


@pytest.mark.parametrize("fill", ["open", "close"])
@pytest.mark.parametrize("seed", range(5100, 5125))
def test_engines_agree_on_random_paths(seed, fill, second_engine):
    """On 50 random long-short histories with spreads, gross 1 to 4, all that is reported agrees to 1e-9 relative."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    sessions, n = int(rng.integers(30, 150)), int(rng.integers(8, 60))
    overnight, intraday = random_paths(rng, sessions, n)
    overnight, intraday = overnight / 3, intraday / 3
    targets = random_targets(rng, sessions, n, float(rng.uniform(1, 4)))
    costs = TradingCosts(half_spread=rng.uniform(0, 2e-3, n))
    ours = backtest(overnight, intraday, targets, costs, initial=1e6, keep_weights=True, fill=fill)
    theirs = second_engine(overnight, intraday, targets, costs, initial=1e6, keep_weights=True, fill=fill)
    print(f"relative difference {np.abs(ours.equity / theirs.equity - 1).max():.1e}")
    np.testing.assert_allclose(ours.equity, theirs.equity, rtol=1e-9)
    np.testing.assert_allclose(ours.turnover, theirs.turnover, atol=1e-9)
    np.testing.assert_allclose(ours.weights, theirs.weights, atol=1e-9)
    np.testing.assert_allclose(ours.total_costs, theirs.total_costs, atol=1e-9 * 1e6)
    np.testing.assert_allclose(ours.gross_pnl, theirs.gross_pnl, atol=1e-8 * 1e6)
    np.testing.assert_allclose(ours.long_exposure, theirs.long_exposure, atol=1e-9)
    np.testing.assert_allclose(ours.short_exposure, theirs.short_exposure, atol=1e-9)


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


def plain_call(overnight, intraday, targets, **changed):
    """Run vectorbt as one would without knowing it, on prices made from returns; return its equity at each close."""
    import pandas as pd
    import vectorbt

    close = np.cumprod((1 + overnight) * (1 + intraday), axis=0)
    opened = np.concatenate([np.ones((1, close.shape[1])), close[:-1]]) * (1 + overnight)
    size = np.full(close.shape, np.nan)
    for row, target in targets.items():
        size[row] = target
    given = {"cash_sharing": True, "group_by": True, "price": pd.DataFrame(opened), "init_cash": 1e6, "engine": "rust"}
    given = {name: value for name, value in {**given, **changed}.items() if value is not None}
    size_type = given.pop("size_type", "targetpercent")
    portfolio = vectorbt.Portfolio.from_orders(pd.DataFrame(close), pd.DataFrame(size), size_type=size_type, freq="1D", **given)
    value = portfolio.value()
    return value.to_numpy() if value.ndim == 1 else value.sum(axis=1).to_numpy()


def long_short_case(gross: float):
    """A book of 20 names, half of it short, with fills each week."""
    rng = np.random.default_rng(53)
    overnight, intraday = random_paths(rng, 60, 20)
    overnight, intraday = overnight / 3, intraday / 3
    targets = {}
    for row in range(0, 60, 5):
        w = rng.standard_normal(20)
        w -= w.mean()
        targets[row] = gross * w / np.abs(w).sum()
    return overnight, intraday, targets


TRAPS = {
    "cash of shorts is locked": (2.0, {"lock_cash": True}, 1e-2),
    "each name has cash of its own": (2.0, {"group_by": None, "cash_sharing": None, "init_cash": 1e6 / 20}, 1e-2),
    "purchases before sales are filled in part": (6.0, {}, 1e-4),
    "targets are valued at the close before": (2.0, {"val_price": -np.inf}, 1e-4),
    "targets are filled at the close by default": (2.0, {"price": None}, 1e-4),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_of_vectorbt_is_stepped_around(trap, second_engine):
    """Called so, vectorbt is off by far more than 1e-9, in silence; the adapter and the twin agree on the same case."""
    gross, changed, least = TRAPS[trap]
    overnight, intraday, targets = long_short_case(gross)
    ours = backtest(overnight, intraday, targets, TradingCosts(), initial=1e6)
    theirs = second_engine(overnight, intraday, targets, TradingCosts(), initial=1e6)
    np.testing.assert_allclose(ours.equity, theirs.equity, rtol=1e-9)
    assert np.abs(plain_call(overnight, intraday, targets, **changed) / ours.equity - 1).max() > least


def test_the_default_order_is_kept_while_cash_suffices(second_engine, monkeypatch):
    """At gross 1 no sequence is given, at gross 6 one is; never the automatic one, whose time is quadratic in the names."""
    from vectorbt import Portfolio

    sequences, engines = [], []
    original = Portfolio.from_orders

    def spy(*arguments, **options):
        sequences.append(options["call_seq"])
        engines.append(options["engine"])
        return original(*arguments, **options)

    monkeypatch.setattr(Portfolio, "from_orders", spy)
    for gross in (1.0, 6.0):
        second_engine(*long_short_case(gross), TradingCosts(half_spread=1e-3))
    assert sequences[0] is None
    assert isinstance(sequences[1], np.ndarray)
    assert engines == ["rust", "rust"]


def test_an_account_below_zero_is_refused_where_vectorbt_carries_on(second_engine):
    """A short that rises eightfold: vectorbt reports -600 of 100 and trades no more; the adapter refuses."""
    night, day, targets = np.zeros((3, 1)), np.array([[0.0], [7.0], [0.0]]), {0: np.array([-1.0])}
    assert plain_call(night, day, targets, init_cash=100.0).tolist() == pytest.approx([100.0, -600.0, -600.0])
    with pytest.raises(InputRejected, match="without equity") as caught:
        second_engine(night, day, targets, TradingCosts(), initial=100.0)
    assert caught.value.code == Code.BACKTEST_NOT_EXPRESSIBLE


def test_a_price_that_stops_is_refused_where_vectorbt_keeps_it_for_ever(second_engine):
    """The position of a vanished name stays at its last price and is never closed; the adapter refuses missing returns."""
    night, day = np.zeros((4, 2)), np.zeros((4, 2))
    night[2:, 0] = day[2:, 0] = np.nan
    targets = {0: np.array([0.5, 0.5]), 3: np.array([0.0, 1.0])}
    assert plain_call(night, day, targets).tolist() == pytest.approx([1e6] * 4)
    with pytest.raises(InputRejected, match="missing returns") as caught:
        second_engine(night, day, targets, TradingCosts())
    assert caught.value.code == Code.BACKTEST_NOT_EXPRESSIBLE


def test_the_lag_is_that_of_the_caller(second_engine):
    """A fill at the open takes nothing from its own session's close or later: the trades of row 5 stay when those change."""
    overnight, intraday, targets = long_short_case(2.0)
    later = intraday.copy()
    later[5:] = 0.01
    both = [second_engine(overnight, day, targets, TradingCosts(half_spread=1e-3)) for day in (intraday, later)]
    np.testing.assert_allclose(both[0].turnover[:6], both[1].turnover[:6], rtol=1e-12)
    assert abs(both[0].equity[5] / both[1].equity[5] - 1) > 1e-4
