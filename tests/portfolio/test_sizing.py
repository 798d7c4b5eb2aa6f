"""Goal: orders lead to the target, whole shares and the minimum leave exactly the error that is told. Method: cases by hand,
and random books whose error is computed again from shares, prices and loadings with plain loops."""

import math

import numpy as np
import pytest

from portfolio.sizing import rounding_error, size_orders


def test_a_case_by_hand() -> None:
    wanted = np.array([0.10, -0.10, 0.0, 0.0, 0.001, 0.05])
    held = np.array([0.00, -0.02, 0.03, 0.0, 0.0, 0.05])
    prices = np.array([30.0, 7.0, 11.0, 5.0, 1.0, np.nan])
    sizes = size_orders(wanted, held, 10_000.0, prices, trade_min=20.0)
    assert sizes.traded.tolist() == [True, True, True, False, False, False]
    assert sizes.small.tolist() == [False, False, False, False, True, True]
    # 1,000 / 30, −800 / 7, −300 / 11
    assert sizes.shares[:3].tolist() == [33.0, -114.0, -27.0]
    assert sizes.reached(whole=False).tolist() == [0.10, -0.10, 0.0, 0.0, 0.0, 0.05]
    assert sizes.reached(whole=True) == pytest.approx([0.099, -0.0998, 0.0003, 0.0, 0.0, 0.05])


def test_a_position_is_closed_however_small_and_a_withheld_name_is_left() -> None:
    wanted, held = np.array([0.0, 0.0]), np.array([0.0001, 0.0001])
    sizes = size_orders(wanted, held, 1_000.0, np.array([0.01, 0.01]), trade_min=50.0, withheld=np.array([False, True]))
    assert sizes.traded.tolist() == [True, False]
    assert sizes.reached(whole=True) == pytest.approx([0.0, 0.0001])


@pytest.mark.parametrize("seed", range(5))
def test_the_error_is_that_of_the_shares(seed: int) -> None:
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    n, k, equity = 80, 4, 1_000_000.0
    wanted = rng.normal(0, 0.01, n) * (rng.random(n) < 0.6)
    held = rng.normal(0, 0.01, n) * (rng.random(n) < 0.6)
    prices = np.exp(rng.normal(3, 1.5, n))
    prices[rng.random(n) < 0.05] = np.nan
    loadings = rng.standard_normal((n, k))
    names = tuple("abcd")
    sizes = size_orders(wanted, held, equity, prices, trade_min=500.0)
    told = rounding_error(sizes, loadings, names, whole=True)
    errors, net, total, orders = dict.fromkeys(names, 0.0), 0.0, 0.0, 0
    for i in range(n):
        trade = (wanted[i] - held[i]) * equity
        after = held[i]
        if (abs(trade) >= 500.0 or wanted[i] == 0) and not np.isnan(prices[i]):
            # What closes a position is never more than there is of it.
            count = math.trunc(trade / prices[i]) if wanted[i] == 0 else round(trade / prices[i])
            after += count * prices[i] / equity
            orders += count != 0
        off = after - wanted[i]
        net, total = net + off, total + abs(off)
        for place, name in enumerate(names):
            errors[name] += loadings[i, place] * off
    assert told["orders"] == orders
    assert told["net_error"] == pytest.approx(net, abs=1e-15)
    assert told["weight_error"] == pytest.approx(total, abs=1e-15)
    assert told["exposure_errors"] == pytest.approx(errors, abs=1e-15)
    assert told["exposure_error_max"] == pytest.approx(max(map(abs, errors.values())), abs=1e-15)


def test_without_rounding_and_minimum_there_is_no_error() -> None:
    wanted, held = np.array([0.3, -0.3, 0.0]), np.array([0.1, 0.0, 0.2])
    told = rounding_error(size_orders(wanted, held, 1e6, np.full(3, np.nan)), np.ones((3, 1)), ("market",), whole=False)
    assert (told["orders"], told["weight_error"], told["exposure_error_max"]) == (3, 0.0, 0.0)
