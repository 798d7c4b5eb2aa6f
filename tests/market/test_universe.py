"""The universe is the most traded assets with enough history, chosen from what was known; sizes and ties by hand."""

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
    assert universe.hash == universe_hash(universe.as_of, universe.asset_ids)


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
