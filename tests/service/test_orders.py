"""Goal: orders are made of what was known: last prices, idle sessions, splits since; one decision has one set of ids.

Method: prices written out by hand, with a halt, a split and a name that never traded."""

from datetime import date

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from portfolio.sizing import size_orders
from service.decisions import Decision
from service.orders import (
    client_order_id,
    idle_sessions,
    last_prices,
    orders_csv,
    orders_of_decision,
    refuse_total_return,
    split_since,
)
from tests.builders.panels import hand_panel, view_at

NAN = np.nan
CLOSE = [[10.0, 20.0, NAN, 40.0], [11.0, NAN, NAN, 41.0], [5.6, NAN, NAN, 42.0], [5.7, NAN, NAN, 43.0]]
VOLUME = [[100, 100, NAN, 100], [100, NAN, NAN, 100], [100, NAN, NAN, 100], [100, NAN, NAN, 0]]
SPLITS = [[1, 1, 1, 1], [1, 1, 1, 1], [2, 1, 1, 1], [1, 1, 1, 1]]
EVERYTHING = np.arange(4)


def test_prices_are_the_last_closes_and_idle_sessions_count_since_then() -> None:
    view = view_at(hand_panel(CLOSE, volume=VOLUME))
    assert last_prices(view, EVERYTHING) == pytest.approx([5.7, 20.0, NAN, 43.0], nan_ok=True)
    assert idle_sessions(view, EVERYTHING).tolist() == [0, 3, 4, 1]
    assert last_prices(view, np.array([3, 0])).tolist() == pytest.approx([43.0, 5.7])


def test_splits_since_a_session_are_those_of_later_sessions() -> None:
    panel = hand_panel(CLOSE, volume=VOLUME, splits=SPLITS)
    view = view_at(panel)
    before, on = view.sessions[1], view.sessions[2]
    assert split_since(view, EVERYTHING, before).tolist() == [2.0, 1.0, 1.0, 1.0]
    assert split_since(view, EVERYTHING, on).tolist() == [1.0] * 4
    assert split_since(view_at(panel, 1), EVERYTHING, before).tolist() == [1.0] * 4
    assert split_since(view_at(hand_panel(CLOSE)), EVERYTHING, before).tolist() == [1.0] * 4


def a_decision() -> Decision:
    wanted, held = np.array([0.1, -0.1, 0.0, 0.0004]), np.array([0.0, 0.0, 0.05, 0.0])
    sizes = size_orders(wanted, held, 10_000.0, np.array([30.0, 7.0, NAN, 100.0]))
    return Decision(date(2016, 1, 8), date(2016, 1, 11), np.array(["a", "b", "c", "d"]), wanted, {}, sizes=sizes)


def test_the_same_decision_makes_the_same_orders_and_another_one_others() -> None:
    first, again = (orders_of_decision(a_decision(), "r1", whole=False) for _ in range(2))
    other = orders_of_decision(a_decision(), "r2", whole=False)
    assert first == again
    assert [(o.asset_id, o.shares) for o in first] == [("a", 33), ("b", -143), ("c", None), ("d", 0)]
    assert not {o.client_order_id for o in first} & {o.client_order_id for o in other}
    assert first[0].client_order_id == client_order_id("r1", "a")
    assert [o.asset_id for o in orders_of_decision(a_decision(), "r1", whole=True)] == ["a", "b"]


def test_a_file_holds_whole_shares_without_a_sign() -> None:
    orders = orders_of_decision(a_decision(), "r1", whole=False)
    lines = orders_csv(a_decision(), orders, ["A", "B", "C", "D"]).decode().splitlines()
    assert lines[0] == "client_order_id,asset_id,ticker,side,shares,price,value,weight,session"
    ids = [client_order_id("r1", name) for name in "ab"]
    assert lines[1:] == [
        f"{ids[0]},a,A,buy,33,30.000000,990.00,0.10000000,2016-01-11",
        f"{ids[1]},b,B,sell,143,7.000000,1001.00,-0.10000000,2016-01-11",
    ]


def test_prices_that_hold_dividends_are_refused() -> None:
    from dataclasses import replace

    view = view_at(hand_panel(CLOSE, volume=VOLUME))
    refuse_total_return(view)
    with pytest.raises(InputRejected) as caught:
        refuse_total_return(replace(view, price_basis="total_return"))
    assert caught.value.code is Code.PRICE_BASIS
