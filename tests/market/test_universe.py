"""The universe is the most traded assets that the rule admits, from what was known; sizes, bounds, ranks and ties by hand."""

from dataclasses import fields, replace

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.universe import UniverseRule, select_universe, universe_hash
from tests.builders.panels import changed_after, hand_panel, small_panel, view_at

NAN = np.nan
RULE = UniverseRule(size=3, min_history_sessions=10, adv_window_sessions=5, stale_sessions_max=2, size_min=1)


def market(volumes, t=12, **fields):
    close = np.full((t, len(volumes)), 10.0)
    return hand_panel(close, volume=np.tile(np.array(volumes, dtype=float), (t, 1)), **fields)


def test_the_most_traded_are_members_in_the_order_of_their_ids():
    universe = select_universe(view_at(market([5, 1, 4, 2, 3])), RULE)
    assert universe.members.tolist() == [0, 2, 4]
    assert universe.asset_ids.tolist() == ["A000", "A002", "A004"]
    assert len(universe) == 3
    assert universe.hash == universe_hash(universe.as_of, universe.asset_ids, RULE)


def test_equal_volumes_are_ordered_by_id():
    assert select_universe(view_at(market([1, 2, 2, 2, 2])), RULE).members.tolist() == [1, 2, 3]


def test_the_young_the_stale_the_delisted_and_the_untraded_are_out():
    panel = market([9, 9, 9, 9, 1, 1], delistings={0: (11, -0.1)})
    close, volume = panel.close.copy(), panel.quotes.volume.copy()
    close[:4, 1] = NAN  # 8 sessions of history
    close[10:, 2] = NAN  # no trade in the last 2
    volume[7:10, 3] = 0.0  # traded on 2 of the last 5
    wrong = hand_panel(close, volume=volume, delistings={0: (11, -0.1)})
    assert select_universe(view_at(wrong), RULE).members.tolist() == [4, 5]
    # the evening before the delisting is known, the asset is a member
    assert 0 in select_universe(view_at(wrong, 10), RULE).members


def test_volume_before_the_window_does_not_count():
    panel = market([1, 2, 3, 4])
    volume = panel.quotes.volume.copy()
    volume[:7, 0] = 100.0
    assert select_universe(view_at(hand_panel(panel.close, volume=volume)), RULE).members.tolist() == [1, 2, 3]


def test_too_little_history_and_too_few_assets_are_refused():
    with pytest.raises(InputRejected) as caught:
        select_universe(view_at(market([1, 2, 3]), 8), RULE)
    assert caught.value.code is Code.HISTORY_TOO_SHORT
    with pytest.raises(InputRejected) as caught:
        select_universe(view_at(market([1, 2, 0])), UniverseRule(3, 10, 5, 2, size_min=3))
    assert caught.value.code is Code.UNIVERSE_TOO_SMALL


def test_nothing_after_the_decision_changes_it_and_the_hash_names_the_members():
    panel = small_panel(seed=5)
    print("seed 5")
    rule = UniverseRule(size=25)
    for row in (260, 300, 318):
        a = select_universe(view_at(panel, row), rule)
        b = select_universe(view_at(changed_after(panel, row), row), rule)
        assert a.members.tobytes() == b.members.tobytes()
        assert a.hash == b.hash
    hashes = {select_universe(view_at(panel, row), rule).hash for row in range(300, 305)}
    assert len(hashes) == 5


# --- bounds --------------------------------------------------------------------------------------------------------------


def bounded(**changes):
    return replace(RULE, **changes)


def raw(volumes=(5, 4, 3, 2, 1), **fields):
    """A market on a raw basis: five assets at 10, without splits."""
    t, n = 12, len(volumes)
    return market(volumes, splits=np.ones((t, n)), **fields)


def test_only_assets_of_the_rules_countries_are_eligible():
    panel = market([5, 4, 3, 2, 1], countries=["US", "GB", "JP", "GB", "US"])
    assert select_universe(view_at(panel), bounded(countries=("GB",))).members.tolist() == [1, 3]
    assert select_universe(view_at(panel), bounded(countries=("JP", "US"))).members.tolist() == [0, 2, 4]
    with pytest.raises(InputRejected) as caught:
        select_universe(view_at(panel), bounded(countries=("FR",)))
    assert caught.value.code is Code.UNIVERSE_TOO_SMALL


def test_the_least_dollar_volume_is_included():
    # at a price of 10 the third trades for 30
    assert select_universe(view_at(raw()), bounded(adv_min=30.0)).members.tolist() == [0, 1, 2]
    assert select_universe(view_at(raw()), bounded(adv_min=30.01)).members.tolist() == [0, 1]


def test_market_capitalization_lies_within_its_bounds_and_is_known():
    panel = raw(shares=[1.0, 2.0, 3.0, 4.0, NAN])  # capitalizations 10, 20, 30, 40, unknown
    view = view_at(panel)
    assert select_universe(view, bounded(market_cap_min=20.0)).members.tolist() == [1, 2, 3]
    assert select_universe(view, bounded(market_cap_max=20.0)).members.tolist() == [0, 1]
    assert select_universe(view, bounded(size=5)).members.tolist() == [0, 1, 2, 3, 4]


def test_the_last_price_lies_within_its_bounds():
    close = np.full((12, 5), 10.0)
    close[:, 1], close[:, 2] = 4.99, 5.0
    close[-1, 2] = NAN  # not traded today: the price of yesterday counts
    close[:-1, 3] = 3.0  # has risen to 10 today
    close[-1, 4] = 3.0  # has fallen today
    panel = hand_panel(close, volume=np.where(np.isnan(close), NAN, 1.0), splits=np.ones(close.shape))
    assert select_universe(view_at(panel), bounded(size=5, price_min=5.0)).members.tolist() == [0, 2, 3]
    assert select_universe(view_at(panel), bounded(size=5, price_max=5.0)).members.tolist() == [1, 2, 4]


@pytest.mark.parametrize(
    ("basis", "rule", "distorted"),
    [
        ("split_adjusted", {"price_min": 5.0}, True),
        ("total_return", {"price_max": 100.0}, True),
        ("raw", {"price_min": 5.0}, False),
        ("split_adjusted", {"market_cap_min": 1.0}, False),
        ("total_return", {"market_cap_min": 1.0}, True),
        ("split_adjusted", {"adv_min": 1.0}, False),
        ("total_return", {"adv_min": 1.0}, True),
        ("total_return", {}, False),
    ],
)
def test_bounds_on_levels_that_the_basis_distorts_are_refused_unless_flagged(basis, rule, distorted):
    panel = raw() if basis == "raw" else replace(market([5, 4, 3, 2, 1]), price_basis=basis)
    if distorted:
        with pytest.raises(InputRejected) as caught:
            select_universe(view_at(panel), bounded(**rule))
        assert caught.value.code is Code.PRICE_BASIS
    else:
        assert select_universe(view_at(panel), bounded(**rule)).flags == frozenset()
    allowed = select_universe(view_at(panel), bounded(**rule, allow_adjusted=True))
    assert allowed.flags == (frozenset({"adjusted_price_rule"}) if distorted else frozenset())


def test_a_rule_that_contradicts_itself_is_refused():
    for wrong in [{"hysteresis": 1.0}, {"hysteresis": -0.1}, {"price_min": 5.0, "price_max": 4.0}, {"market_cap_min": -1.0}]:
        with pytest.raises(InputRejected) as caught:
            bounded(**wrong)
        assert caught.value.code is Code.SETTING_INVALID


# --- entry and exit ------------------------------------------------------------------------------------------------------


def test_members_leave_late_and_others_enter_late_by_hand():
    # ten assets, size 5, h = 0.2: an asset enters up to rank 4 and leaves beyond rank 6
    rule = bounded(size=5, hysteresis=0.2)
    former = select_universe(view_at(market([10, 9, 8, 7, 6, 5, 4, 3, 2, 1])), rule)
    assert former.members.tolist() == [0, 1, 2, 3, 4]
    assert (former.churn, former.entered.tolist(), former.left.tolist()) == (None, [], [])
    # ranks now: asset 9 first, then 0, 1, 8, 2, 3, 4, …
    after = market([9.5, 9, 7, 6, 5, 4.5, 4, 3, 8, 10])
    now = select_universe(view_at(after), rule, former)
    # 9 and 8 enter at the ranks 1 and 4; 2 and 3 stay at the ranks 5 and 6; 4 leaves at the rank 7
    assert now.members.tolist() == [0, 1, 2, 3, 8, 9]
    assert now.entered.tolist() == ["A008", "A009"]
    assert now.left.tolist() == ["A004"]
    assert now.churn == 3 / 11
    # without a memory the first five are taken
    assert select_universe(view_at(after), rule).members.tolist() == [0, 1, 2, 8, 9]


def test_an_asset_at_the_edge_does_not_come_and_go():
    rule, plain = bounded(size=5, hysteresis=0.2), bounded(size=5)
    first, second = market([10, 9, 8, 7, 6, 5.9, 1]), market([10, 9, 8, 7, 5.9, 6, 1])
    calm = restless = select_universe(view_at(first), rule)
    moved = {"calm": 0.0, "restless": 0.0}
    for panel in [second, first] * 3:
        calm, restless = select_universe(view_at(panel), rule, calm), select_universe(view_at(panel), plain, restless)
        moved["calm"] += calm.churn
        moved["restless"] += restless.churn
    assert moved == {"calm": 0.0, "restless": pytest.approx(6 * 2 / 10)}


def test_a_member_that_is_no_longer_eligible_leaves_whatever_its_rank():
    rule = bounded(size=3, hysteresis=0.5)
    former = select_universe(view_at(market([5, 4, 3, 2, 1])), rule)
    gone = market([5, 4, 3, 2, 1], delistings={0: (11, -0.1)})
    now = select_universe(view_at(gone), rule, former)
    assert now.left.tolist() == ["A000"]
    assert now.members.tolist() == [1, 2]


def test_whole_numbers_of_decimal_settings_are_hit():
    # 1000 · (1 − 0.9) is 99.99999999999997 in binary fractions, and the 100th asset enters all the same
    volumes = np.arange(400, 0, -1.0)
    rule = bounded(size=1000, hysteresis=0.9)
    few = select_universe(view_at(market([*np.zeros(399), 1.0])), rule)
    assert len(select_universe(view_at(market(volumes)), rule, few)) == 100 + 1


# --- the hash ------------------------------------------------------------------------------------------------------------


def test_the_hash_covers_the_date_the_members_and_every_key_of_the_rule():
    universe = select_universe(view_at(raw()), RULE)
    other = {"countries": ("US",), "allow_adjusted": True, "market_cap_max": 1e12, "price_max": 1e6, "hysteresis": 0.1}
    hashes = {universe.hash}
    for key in fields(RULE):
        value = other[key.name] if key.name in other else getattr(RULE, key.name) + 1
        hashes.add(universe_hash(universe.as_of, universe.asset_ids, bounded(**{key.name: value})))
    hashes.add(universe_hash(universe.as_of, universe.asset_ids[:-1], RULE))
    hashes.add(select_universe(view_at(raw(), 10), RULE).hash)
    assert len(hashes) == 1 + len(fields(RULE)) + 2
    # a whole number for one with decimals is the same rule
    assert universe_hash(universe.as_of, universe.asset_ids, bounded(adv_min=0)) == universe.hash


def test_nothing_after_the_decision_changes_a_universe_with_a_memory():
    panel = small_panel(seed=6)
    print("seed 6")
    rule = UniverseRule(size=25, hysteresis=0.1, countries=("US",))
    for row in (270, 300, 318):
        former = select_universe(view_at(panel, row - 5), rule)
        a = select_universe(view_at(panel, row), rule, former)
        b = select_universe(view_at(changed_after(panel, row), row), rule, former)
        assert a.members.tobytes() == b.members.tobytes()
        assert (a.hash, a.churn, a.entered.tolist()) == (b.hash, b.churn, b.entered.tolist())
