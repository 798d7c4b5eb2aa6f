"""Behind the gate: a batch is judged once, what is used and what is set aside are both kept, and a release is a later word.

Method: a small market in one batch, in weekly batches, and with faults in it. The independent source of what must be kept is
the clean market itself, and the gate's own judgement of the whole.
"""

from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.batch import PriceBatch, join_rows
from market.calendars import to_instant
from market.panel import PointInTimePanel
from market.synthetic import SyntheticSpec, generate_market
from service.keptmarket import KeptMarket, content_id, quarantined_rows
from service.pricepanel import stored_panel
from service.pricerows import events_of, price_rows_of
from service.pricestore import Dataset, PriceStore
from service.settings import load_settings
from service.vendors.ingested import panel_rules
from tests.builders.vendor import batch_of

PRICES = ("open", "high", "low", "close")
SPEC = SyntheticSpec(seed=5, n_assets=30, start=date(2016, 1, 4), end=date(2016, 12, 30), splits_per_year=0.3)
ABOUT = Dataset("synthetic", "synthetic", "XNYS", "US", "USD", "raw", 60)


@pytest.fixture(scope="module")
def market() -> PointInTimePanel:
    print(f"seed {SPEC.seed}")
    return generate_market(SPEC)


@pytest.fixture
def kept(tmp_path: Path) -> KeptMarket:
    return KeptMarket(PriceStore(tmp_path / "market", sync=False), ABOUT)


def weeks(batch: PriceBatch, first: int = 120) -> list[PriceBatch]:
    """The batch in parts: its first sessions, then a week each."""
    days = np.unique(batch.prices.dates)
    edges = [days[0], *days[first::5], days[-1] + 1]
    return [
        replace(
            batch,
            prices=batch.prices.take((batch.prices.dates >= a) & (batch.prices.dates < b)),
            events=batch.events.take((batch.events.dates >= a) & (batch.events.dates < b)),
        )
        for a, b in pairwise(edges)
    ]


def same_views(one: PointInTimePanel, other: PointInTimePanel, rows: tuple[int, ...]) -> None:
    for row in rows:
        a, b = (panel.as_of(to_instant(panel.known_at[row])) for panel in (one, other))
        for name, array in a.quotes.arrays().items():
            if name not in {"high", "low"}:
                np.testing.assert_array_equal(array, b.quotes.arrays()[name], err_msg=f"{name} at {row}")
        np.testing.assert_array_equal(a.delisting_index, b.delisting_index)


def test_a_clean_market_comes_back_as_it_was(kept: KeptMarket, market: PointInTimePanel) -> None:
    kept.keep(batch_of(market))
    panel = stored_panel(kept.store)
    assert panel.assets.asset_ids.tolist() == market.assets.asset_ids.tolist()
    np.testing.assert_array_equal(panel.sessions, market.sessions)
    same_views(panel, market, (60, 130, 200, len(market.sessions) - 1))
    returns = [p.as_of(to_instant(p.known_at[-1])).total_returns() for p in (panel, market)]
    np.testing.assert_allclose(returns[0], returns[1], atol=1e-12)
    rows, _ = quarantined_rows(kept.store, ABOUT.name)
    assert len(rows) == 0


def test_week_by_week_comes_to_the_same_as_at_once(kept: KeptMarket, market: PointInTimePanel, tmp_path: Path) -> None:
    once = KeptMarket(PriceStore(tmp_path / "once", sync=False), ABOUT)
    once.keep(batch_of(market))
    for part in weeks(batch_of(market)):
        kept.keep(part)
    assert len(kept.judgements) > 20
    same_views(stored_panel(kept.store), stored_panel(once.store), (130, 200, len(market.sessions) - 1))


def test_the_same_batch_again_is_not_judged_again(kept: KeptMarket, market: PointInTimePanel) -> None:
    kept.keep(batch_of(market))
    manifest = (kept.store.folder / "market.json").read_bytes()
    kept.keep(replace(batch_of(market), fetched_at=np.datetime64("2030-01-01")))
    assert len(kept.judgements) == 1
    assert (kept.store.folder / "market.json").read_bytes() == manifest


def test_a_wrong_price_is_set_aside_and_named_and_nothing_else_changes(kept: KeptMarket, market: PointInTimePanel) -> None:
    batch = batch_of(market)
    at = 4_000
    close = batch.prices.close.copy()
    close[at] *= 100
    high = np.maximum(batch.prices.high, close * 1.001)
    kept.keep(replace(batch, prices=replace(batch.prices, close=close, high=high)))
    rows, faults = quarantined_rows(kept.store, ABOUT.name)
    assert (rows.tickers.tolist(), rows.dates.tolist()) == ([batch.prices.tickers[at]], [batch.prices.dates[at].astype(object)])
    assert faults.tolist() == ["scale_error"]
    assert rows.close[0] == close[at]
    used = price_rows_of(kept.store, ABOUT.name)
    assert len(used) == len(batch.prices) - 1
    panel = stored_panel(kept.store)
    row = panel.index_of(batch.prices.dates[at].astype(object))
    asset = panel.assets.tickers.tolist().index(batch.prices.tickers[at])
    assert np.isnan(panel.quotes.close[row, asset])


def test_a_doubtful_price_of_an_earlier_batch_comes_free_when_a_later_one_confirms_it(
    kept: KeptMarket, market: PointInTimePanel
) -> None:
    batch = batch_of(market)
    ticker = str(market.assets.tickers[np.flatnonzero(np.isfinite(market.close).all(axis=0))[0]])
    day = market.sessions[152]
    mine = (batch.prices.tickers == ticker) & (batch.prices.dates >= day)
    moved = {
        n: np.where(mine, getattr(batch.prices, n) * 1.55, getattr(batch.prices, n)) for n in ("open", "high", "low", "close")
    }
    quiet = replace(batch, prices=replace(batch.prices, **moved))

    def part(since: np.datetime64, until: np.datetime64) -> PriceBatch:
        rows, told = ((x.dates >= since) & (x.dates <= until) for x in (quiet.prices, quiet.events))
        return replace(quiet, prices=quiet.prices.take(rows), events=quiet.events.take(told))

    kept.keep(part(market.sessions[0], day))
    rows, _ = quarantined_rows(kept.store, ABOUT.name)
    assert (rows.tickers.tolist(), rows.dates.tolist()) == ([ticker], [day.astype(object)])
    before = stored_panel(kept.store)
    asset = before.assets.tickers.tolist().index(ticker)
    assert np.isnan(before.quotes.close[152, asset])
    for later in market.sessions[153:172]:
        kept.keep(part(later, later))
    panel = stored_panel(kept.store)
    freed = price_rows_of(kept.store, ABOUT.name)
    word = freed.take((freed.tickers == ticker) & (freed.dates == day))
    assert len(word) == 1, "the row came free once"
    assert word.known_at[0] > panel.known_at[152]
    assert np.isnan(panel.as_of(to_instant(panel.known_at[152])).close[152, asset])
    later = panel.as_of(to_instant(panel.known_at[-1]))
    assert later.close[152, asset] == pytest.approx(float(word.close[0]))


def test_a_batch_that_is_worse_than_the_rules_allow_leaves_nothing(kept: KeptMarket, market: PointInTimePanel) -> None:
    batch = batch_of(market)
    close = batch.prices.close.copy()
    close[::5] = -1.0
    with pytest.raises(InputRejected) as refused:
        kept.keep(replace(batch, prices=replace(batch.prices, close=close)))
    assert refused.value.code is Code.PRICES_REFUSED
    assert refused.value.findings
    assert kept.store.manifest()["datasets"] == {}


def test_a_split_that_nobody_announced_is_told_and_flagged(kept: KeptMarket, market: PointInTimePanel) -> None:
    batch = batch_of(market)
    ticker = str(market.assets.tickers[np.flatnonzero(np.isfinite(market.close).all(axis=0))[1]])
    day = market.sessions[150]
    after = (batch.prices.tickers == ticker) & (batch.prices.dates >= day)
    halved = {
        n: np.where(after, getattr(batch.prices, n) / 2, getattr(batch.prices, n)) for n in ("open", "high", "low", "close")
    }
    prices = replace(batch.prices, **halved, volume=np.where(after, batch.prices.volume * 2, batch.prices.volume))
    kept.keep(replace(batch, prices=prices, events=batch.events.take(batch.events.tickers != ticker)))
    told = events_of(kept.store, ABOUT.name)
    inferred = told.take(told.reasons == "inferred")
    assert inferred.tickers.tolist() == [ticker]
    assert inferred.values[0] == pytest.approx(2.0, rel=0.05), "the market's own move is in it"
    panel = stored_panel(kept.store)
    assert "splits_inferred" in panel.flags
    asset = panel.assets.tickers.tolist().index(ticker)
    total = panel.as_of(to_instant(panel.known_at[-1])).total_returns()[:, asset]
    assert np.nanmax(np.abs(total[140:165])) < 0.3, "the break is no return"


def test_what_a_delisting_paid_is_assumed_by_the_settings_where_the_source_does_not_say(
    kept: KeptMarket, market: PointInTimePanel
) -> None:
    batch = batch_of(market)
    gone = np.flatnonzero(batch.events.kinds == "delisting")
    values, reasons = batch.events.values.copy(), batch.events.reasons.copy().astype("U16")
    values[gone], reasons[gone] = np.nan, "performance"
    reasons[gone[0]] = "merger"
    kept.keep(replace(batch, events=replace(batch.events, values=values, reasons=reasons)))
    settings = load_settings(env={}).with_overrides({"market.delisting_performance_return": "-0.55"})
    panel = stored_panel(kept.store, panel_rules(settings))
    place = panel.assets.tickers.tolist().index(batch.events.tickers[gone[0]])
    found = panel.delisting_return[panel.delisting_index >= 0]
    assert panel.delisting_return[place] == 0.0
    assert sorted(found.tolist()) == [-0.55] * (len(gone) - 1) + [0.0]
    assert "delisting_return_assumed" in panel.flags
    assert "delisting_return_assumed" in kept.store.manifest()["datasets"][ABOUT.name]["flags"]


def test_what_a_batch_says_has_one_hash_whenever_it_was_fetched(market: PointInTimePanel) -> None:
    batch = batch_of(market)
    assert content_id(batch) == content_id(replace(batch, fetched_at=np.datetime64("2031-01-01")))
    other = replace(batch.prices, close=np.where(np.arange(len(batch.prices)) == 7, 1.0, batch.prices.close))
    assert content_id(batch) != content_id(replace(batch, prices=other))
    assert content_id(batch) != content_id(replace(batch, price_basis="split_adjusted"))
    assert content_id(replace(batch, prices=join_rows([batch.prices]))) == content_id(batch)
