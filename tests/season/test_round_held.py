"""A round whose prices were set aside is held, not scored, and is scored once they are there. Method: the prices of one session
of a small season go through the quality gate with a third of them spoiled; the panel keeps what the gate accepted."""

from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import Unavailable
from crowdalpha.ids import RoundKey, Tournament
from market.quality import Fault, KnownMarket, QualityRules, judge_batch
from service.clock import SimulatedClock
from service.context import build_platform
from service.home import Home
from service.idsource import SeededIds
from service.replay.crowd import roster
from service.replay.run import play
from service.workflows.score_round import score_round
from tests.builders.seasons import FIRST, small_panel, small_settings
from tests.builders.vendor import batch_of

KEY = RoundKey(Tournament.SIGNALS, 1)
SESSION = np.datetime64("2021-01-22")
EVENING = datetime(2021, 1, 22, 23, 0, tzinfo=UTC)
DAY_BEFORE = date(2021, 1, 21)
SPOILED_SHARE = 1 / 3


def accepted_panel():
    """The season's panel without what the gate set aside of a session that a vendor gave in pence."""
    panel = small_panel()
    batch = batch_of(panel)
    prices = batch.prices
    spoiled = (prices.dates == SESSION) & (np.random.default_rng(3).random(len(prices)) < SPOILED_SHARE)
    factor = np.where(spoiled, 100.0, 1.0)
    columns = {name: getattr(prices, name) * factor for name in ("open", "high", "low", "close")}
    known = KnownMarket({"XNYS": panel.calendar}, "XNYS")
    judgement = judge_batch(replace(batch, prices=replace(prices, **columns)), known, QualityRules())
    assert judgement.counts()[Fault.SCALE_ERROR] == spoiled.sum()
    assert not judgement.accepted[spoiled].any()
    aside = judgement.quarantined
    rows = np.searchsorted(panel.sessions, prices.dates[aside])
    assets = np.searchsorted(panel.assets.tickers, prices.tickers[aside])
    quotes = panel.quotes
    empty = {}
    for name in ("open", "close", "volume"):
        column = getattr(quotes, name).copy()
        column[rows, assets] = np.nan
        empty[name] = column
    return replace(panel, quotes=replace(quotes, **empty))


def test_a_round_is_held_while_its_prices_are_set_aside(tmp_path):
    home = Home.create(tmp_path / "home")
    play(home, small_settings(), small_panel(), FIRST, DAY_BEFORE, seed=7, members=roster("synthetic", 7))
    platform = build_platform(home, small_settings(), SimulatedClock(EVENING), SeededIds(5))
    platform.desk.use(accepted_panel())
    with pytest.raises(Unavailable) as held:
        score_round(platform, KEY)
    assert held.value.code is Code.MARKET_COVERAGE
    platform.desk.use(small_panel())
    assert score_round(platform, KEY) > 1
    platform.store.dispose()
