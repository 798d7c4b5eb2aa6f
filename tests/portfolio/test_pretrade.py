"""Goal: each check finds what it is for, at its limit and not below, and says whether it blocks. Method: a clean sheet of three
names, changed in one place for each check; what is expected follows from the documented limits."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crowdalpha.codes import Code
from portfolio.pretrade import CHECKS, CheckLimits, OrderSheet, check_orders

LIMITS = CheckLimits(
    idle_sessions_max=5,
    price_jump_max=0.2,
    adv_share_max=0.1,
    gross_max=2.0,
    net_max=0.02,
    beta_max=0.05,
    blocking=frozenset(CHECKS),
)


def clean() -> OrderSheet:
    return OrderSheet(
        names=np.array(["A", "B", "C"]),
        held=np.array([0.0, 0.1, 0.2]),
        after=np.array([0.5, -0.5, 0.0]),
        values=np.array([500.0, -600.0, -200.0]),
        price_decided=np.array([10.0, 20.0, 30.0]),
        price_now=np.array([10.0, 20.0, 30.0]),
        split=np.ones(3),
        idle_sessions=np.zeros(3, dtype=np.int64),
        adv=np.full(3, 1e5),
        beta=np.array([1.0, 1.0, 1.2]),
        restricted=np.zeros(3, dtype=bool),
        no_short=np.zeros(3, dtype=bool),
    )


def changed(name: str, place: int, value: Any) -> OrderSheet:
    array = getattr(clean(), name).copy()
    array[place] = value
    return replace(clean(), **{name: array})


BY_NAME = [
    ("idle_sessions", 0, 5, 6, Code.PRICE_STALE),
    ("price_now", 1, 23.99, 24.01, Code.PRICE_JUMP),
    ("price_now", 1, 16.01, 15.99, Code.PRICE_JUMP),
    ("price_now", 2, 30.0, np.nan, Code.PRICE_STALE),
    ("adv", 1, 6_001.0, 5_999.0, Code.ORDER_OVER_ADV),
    ("adv", 0, 5_001.0, np.nan, Code.ORDER_OVER_ADV),
    ("adv", 0, 5_001.0, 0.0, Code.ORDER_OVER_ADV),
    ("restricted", 2, False, True, Code.ASSET_RESTRICTED),
    ("no_short", 1, False, True, Code.SHORT_FORBIDDEN),
]


@pytest.mark.parametrize(("name", "place", "good", "bad", "code"), BY_NAME)
def test_a_name_is_found_beyond_its_limit_only(name: str, place: int, good: Any, bad: Any, code: Code) -> None:
    assert check_orders(changed(name, place, good), LIMITS) == ()
    (finding,) = check_orders(changed(name, place, bad), LIMITS)
    assert (finding.code, finding.value, finding.refuses) == (code, "ABC"[place], True)
    (notice,) = check_orders(changed(name, place, bad), replace(LIMITS, blocking=frozenset(CHECKS) - {code}))
    assert (notice.code, notice.refuses) == (code, False)


def test_a_split_is_a_split_and_no_jump() -> None:
    sheet = replace(changed("split", 0, 4.0), price_now=np.array([2.5, 20.0, 30.0]))
    (finding,) = check_orders(sheet, LIMITS)
    assert (finding.code, finding.value) == (Code.SPLIT_BEFORE_FILL, "A")


def test_a_name_without_an_order_is_no_matter() -> None:
    sheet = replace(
        clean(),
        values=np.zeros(3),
        idle_sessions=np.full(3, 99),
        restricted=np.ones(3, dtype=bool),
        no_short=np.ones(3, dtype=bool),
        split=np.full(3, 2.0),
        adv=np.zeros(3),
    )
    assert check_orders(sheet, LIMITS) == ()


def test_a_forbidden_short_may_be_bought_back() -> None:
    sheet = replace(changed("no_short", 1, True), values=np.array([500.0, 100.0, -200.0]))
    assert check_orders(sheet, LIMITS) == ()


@pytest.mark.parametrize(
    ("after", "codes"),
    [
        ([1.01, -1.0, 0.0], {Code.GROSS_AFTER_FILL}),
        ([1.0, -0.97, 0.0], {Code.NET_AFTER_FILL}),
        ([0.5, -0.8, 0.3], {Code.BETA_AFTER_FILL}),
        ([0.51, -0.5, 0.0], set()),
    ],
)
def test_the_book_after_the_fill(after: list[float], codes: set[Code]) -> None:
    limits = replace(LIMITS, net_max=0.02, beta_max=0.05)
    found = check_orders(replace(clean(), after=np.array(after)), limits)
    assert {f.code for f in found} == codes


def test_a_sum_that_is_no_number_is_found() -> None:
    codes = {f.code for f in check_orders(replace(clean(), after=np.array([np.nan, 0.0, 0.0])), LIMITS)}
    assert codes == {Code.GROSS_AFTER_FILL, Code.NET_AFTER_FILL, Code.BETA_AFTER_FILL}


def test_net_and_beta_are_measured_from_their_targets() -> None:
    long_biased = replace(LIMITS, net_target=0.3, beta_target=0.4)
    sheet = replace(clean(), after=np.array([0.5, -0.4, 0.2]))
    assert {f.code for f in check_orders(sheet, LIMITS)} == {Code.NET_AFTER_FILL, Code.BETA_AFTER_FILL}
    assert {f.code for f in check_orders(sheet, replace(long_biased, beta_target=0.34))} == set()
    assert {f.code for f in check_orders(clean(), long_biased)} == {Code.NET_AFTER_FILL, Code.BETA_AFTER_FILL}
