"""The classic data set says what prices said, hides what it is about, and can be mapped back with the secret.

Independent sources: the features are recomputed asset by asset with pandas from the adjusted prices; ids with the standard
library's HMAC; bins by counting.
"""

import hashlib
import hmac
from datetime import date

import numpy as np
import pandas as pd
import pytest

from crowdalpha.errors import InvariantBroken
from market.panel import PointInTimePanel
from signals.classic.dataset import feature_names, ids_to_positions, live_era, obfuscation, to_members, to_table
from signals.classic.features import FEATURES, raw_features
from signals.classic.series import REACH, SERIES
from tests.builders.panels import hand_panel

SECRET = b"a secret of tests, long enough"
SEED = 52


def walk(n: int = 60, t: int = 330, seed: int = SEED) -> PointInTimePanel:
    """Prices with a common market, gaps in trading, late listings and uneven volume."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    returns = 0.01 * rng.normal(size=(t, 1)) * rng.uniform(0.5, 1.5, n) + 0.02 * rng.normal(size=(t, n))
    close = 50 * np.exp(np.cumsum(returns, axis=0))
    open_ = close * np.exp(0.005 * rng.normal(size=(t, n)))
    volume = np.exp(rng.normal(12, 1, size=(t, n)))
    gaps = rng.random((t, n)) < 0.01
    gaps[: t // 2 + 100, 0] = True  # listed late: too young for a year's features
    close[gaps], open_[gaps], volume[gaps] = np.nan, np.nan, np.nan
    return hand_panel(close, open_=open_, volume=volume)


def end_of(panel: PointInTimePanel, row: int = -1):
    return panel.as_of(pd.Timestamp(panel.known_at[row]).tz_localize("UTC").to_pydatetime())


def index_of(panel: PointInTimePanel) -> np.ndarray:
    return end_of(panel).return_index()


def by_pandas(panel: PointInTimePanel, asset: int, market: pd.Series) -> dict[str, float]:
    """A selection of features of one asset, from its own adjusted prices."""
    price = pd.Series(index_of(panel)[:, asset]).ffill()
    r = price.pct_change()
    log = np.log(price)
    dollars = pd.Series(panel.close[:, asset] * panel.quotes.volume[:, asset]).fillna(0.0)
    beta = np.cov(r.tail(252), market.tail(252), ddof=0)[0, 1] / market.tail(252).var(ddof=0)
    impact = (r.abs() / dollars.where(dollars > 0)).tail(21)
    return {
        "momentum_5": log.iloc[-1] - log.iloc[-6],
        "momentum_252_less_21": log.iloc[-22] - log.iloc[-253],
        "volatility_63": r.tail(63).std(ddof=0),
        "skew_63": ((r.tail(63) - r.tail(63).mean()) ** 3).mean() / r.tail(63).std(ddof=0) ** 3,
        "below_high_252": log.iloc[-1] - log.tail(252).max(),
        "range_position_63": (log.iloc[-1] - log.tail(63).min()) / (log.tail(63).max() - log.tail(63).min()),
        "trend_50": log.iloc[-1] - log.tail(50).mean(),
        "dollars_21": np.log(dollars.tail(21).mean()),
        "dollars_5_to_63": np.log(dollars.tail(5).mean() / dollars.tail(63).mean()),
        "illiquidity_21": impact.mean(),
        "beta_252": beta,
        "up_share_63": (r.tail(63) > 0).mean(),
        "own_momentum_252_less_21": r.iloc[-252:-21].sum() - beta * market.iloc[-252:-21].sum(),
    }


def test_features_equal_their_definition_asset_by_asset():
    panel = walk()
    members = np.arange(1, 60)
    names, values = raw_features(end_of(panel), members)
    market = pd.DataFrame(index_of(panel)[:, 1:]).ffill().pct_change().fillna(0.0).mean(axis=1)
    for i, asset in enumerate(members.tolist()):
        for name, expected in by_pandas(panel, asset, market).items():
            assert values[i, names.index(name)] == pytest.approx(expected, rel=1e-9, abs=1e-12), name


def weekly_by_pandas(panel: PointInTimePanel, asset: int, market: pd.Series) -> pd.DataFrame:
    """Each quantity at 52 weekly points, oldest first, by rolling over the asset's own series."""
    view = end_of(panel)
    price = pd.Series(index_of(panel)[:, asset]).ffill()
    r, log = price.pct_change(), np.log(price)
    steps = log.diff()
    dollars = pd.Series(panel.close[:, asset] * panel.quotes.volume[:, asset]).fillna(0.0)
    impact = (r.abs() / dollars.where(dollars > 0)).rolling(20, min_periods=1)
    highest, lowest = log.rolling(60).max(), log.rolling(60).min()
    beta = r.rolling(60).cov(market, ddof=0) / market.rolling(60).var(ddof=0)
    daily = {
        "momentum_20": log.diff(20),
        "momentum_60": log.diff(60),
        "volatility_20": r.rolling(20).std(ddof=0),
        "volatility_60": r.rolling(60).std(ddof=0),
        "downside_60": np.sqrt((r.clip(upper=0) ** 2).rolling(60).mean()),
        "up_share_60": (r > 0).astype(float).rolling(60).mean(),
        "strength_15": steps.clip(lower=0).rolling(15).sum() / steps.abs().rolling(15).sum(),
        "trend_50": log - log.rolling(50).mean(),
        "below_high_60": log - highest,
        "range_position_60": (log - lowest) / (highest - lowest),
        "dollars_20": np.log(dollars.rolling(20).mean()),
        "dollars_5_to_60": np.log(dollars.rolling(5).mean() / dollars.rolling(60).mean()),
        "unsteady_volume_60": dollars.rolling(60).std(ddof=0) / dollars.rolling(60).mean(),
        "illiquidity_20": impact.sum() / impact.count(),
        "overnight_20": pd.Series(view.overnight_returns()[:, asset]).rolling(20).sum(),
        "intraday_20": pd.Series(view.intraday_returns()[:, asset]).rolling(20).sum(),
        "beta_60": beta,
        "own_volatility_60": np.sqrt(r.rolling(60).var(ddof=0) - beta**2 * market.rolling(60).var(ddof=0)),
    }
    return pd.DataFrame(daily).iloc[-1 - 5 * 51 :: 5]


def test_variants_equal_their_definition_asset_by_asset():
    panel = walk(t=380)
    members = np.arange(1, 60)
    names, values = raw_features(end_of(panel), members)
    market = pd.DataFrame(index_of(panel)[:, 1:]).ffill().pct_change().fillna(0.0).mean(axis=1)
    for i, asset in enumerate(members.tolist()[:12]):
        weekly = weekly_by_pandas(panel, asset, market)
        assert set(weekly) == set(SERIES)
        assert len(weekly) == 52
        place = (weekly.iloc[-1] - weekly.mean()) / weekly.std(ddof=0)
        change = weekly.iloc[-1] - weekly.iloc[-5]
        for name in SERIES:
            found = values[i, [names.index(f"{name}_own_year"), names.index(f"{name}_change_20")]]
            assert found == pytest.approx([place[name], change[name]], rel=1e-7, abs=1e-10), name


def test_a_variant_waits_for_half_a_year_of_whole_windows():
    """Of 26 weekly windows of twelve weeks, the first begins 37 weeks before the last session: 185 sessions with returns."""
    panel = walk(t=400)
    for sessions, known in ((184, False), (185, True)):
        close = np.array(panel.close)
        close[: len(close) - sessions - 1, 0] = np.nan  # the first price has no return
        close[len(close) - sessions - 1 :, 0] = np.linspace(10, 20, sessions + 1) ** 2
        other = hand_panel(close, open_=panel.quotes.open, volume=panel.quotes.volume)
        names, values = raw_features(end_of(other), np.arange(60))
        assert np.isfinite(values[0, names.index("momentum_60_own_year")]) == known
        assert np.isfinite(values[0, names.index("momentum_60_change_20")])


def test_what_never_moved_has_no_place_in_its_past():
    panel = walk(t=400)
    close = np.array(panel.close)
    close[:, 0] = 7.0
    names, values = raw_features(end_of(hand_panel(close, volume=panel.quotes.volume)), np.arange(60))
    for name in ("momentum_20", "volatility_60", "range_position_60", "overnight_20"):
        assert np.isnan(values[0, names.index(f"{name}_own_year")]), name
    assert values[0, names.index("volatility_60_change_20")] == 0.0


def test_members_are_cut_in_blocks_that_nothing_shows(monkeypatch):
    panel = walk(t=400)
    whole = raw_features(end_of(panel), np.arange(60))[1]
    monkeypatch.setattr("signals.classic.series.MEMBERS_AT_ONCE", 7)
    assert np.array_equal(raw_features(end_of(panel), np.arange(60))[1], whole, equal_nan=True)


def test_nothing_before_the_reach_is_read():
    panel = walk(t=400)
    close, open_, volume = (np.array(x) for x in (panel.close, panel.quotes.open, panel.quotes.volume))
    for array in (close, open_, volume):
        array[: 400 - REACH - 1] *= np.random.default_rng(1).uniform(0.5, 2.0, (400 - REACH - 1, 60))
    other = hand_panel(close, open_=open_, volume=volume)
    members = np.arange(1, 60)
    first, second = (raw_features(end_of(p), members)[1] for p in (panel, other))
    assert np.allclose(first, second, rtol=1e-9, atol=1e-12, equal_nan=True)


def test_there_are_enough_features_and_all_differ():
    names, values = raw_features(end_of(walk(n=200)), np.arange(1, 200))
    assert len(names) == len(set(names)) == len(FEATURES) + 2 * len(SERIES)
    assert len(FEATURES) >= 30
    assert len(SERIES) >= 15
    assert np.isfinite(values).all()
    ranks = pd.DataFrame(values).rank().corr().to_numpy()
    assert np.max(np.abs(ranks - np.eye(len(names)))) < 0.9999


def test_young_asset_lacks_only_the_long_features():
    names, values = raw_features(end_of(walk()), np.arange(60))
    known = dict(zip(names, np.isfinite(values[0]).tolist(), strict=True))
    assert not known["momentum_252"]
    assert known["momentum_21"]


def test_short_history_gives_gaps_and_no_error():
    panel = walk(t=40)
    names, values = raw_features(end_of(panel), np.arange(1, 20))
    assert np.isnan(values[:, names.index("momentum_63")]).all()
    assert np.isfinite(values[:, names.index("momentum_21")]).all()
    era = live_era(end_of(panel), np.arange(1, 20), SECRET, "e")
    assert set(np.unique(era.features)) <= {0, 1, 2, 3, 4}


def test_features_do_not_see_past_their_instant():
    panel = walk()
    changed = walk()
    future = np.array(changed.close)
    future[301:] = np.where(np.isnan(future[301:]), np.nan, future[301:] * 1e6)
    other = hand_panel(future, open_=np.array(changed.quotes.open), volume=np.array(changed.quotes.volume))
    members = np.arange(1, 60)
    first, second = (live_era(end_of(p, 300), members, SECRET, "e") for p in (panel, other))
    assert first.ids == second.ids
    assert np.array_equal(first.features, second.features)
    shorter = hand_panel(panel.close[:301], open_=panel.quotes.open[:301], volume=panel.quotes.volume[:301])
    assert np.array_equal(live_era(end_of(shorter), members, SECRET, "e").features, first.features)


def test_bins_are_of_equal_size_and_gaps_stand_in_the_middle():
    panel = walk()
    era = live_era(end_of(panel), np.arange(60), SECRET, "e")
    assert era.features.dtype == np.int8
    names, raw = raw_features(end_of(panel), np.arange(60))
    published = feature_names(SECRET, names)
    for j, name in enumerate(era.feature_names):
        values = raw[:, published.index(name)][era.positions]
        known = np.isfinite(values)
        assert (era.features[~known, j] == 2).all()
        order = np.argsort(values[known])
        assert (np.diff(era.features[known, j][order]) >= 0).all()
        if len(np.unique(values[known])) == known.sum():
            counts = np.bincount(era.features[known, j], minlength=5)
            assert counts.max() - counts.min() <= 1


def test_ids_are_keyed_hashes_without_a_link_between_eras():
    assets = [f"A{i:03d}" for i in range(500)]
    eras = [obfuscation(SECRET, str(date(2016, 1, day)), assets) for day in range(1, 11)]
    assert len({label for era in eras for label in era}) == 5000
    expected = "n" + hmac.new(SECRET, b"id|2016-01-01|A007", hashlib.sha256).hexdigest()[:14]
    assert eras[0][7] == expected
    orders = [np.argsort(era) for era in eras]
    spearman = np.corrcoef([np.argsort(order) for order in orders])
    assert np.max(np.abs(spearman - np.eye(10))) < 0.2
    assert not set(eras[0]) & set(obfuscation(SECRET + b"!", "2016-01-01", assets))


def test_rows_are_sorted_by_id_and_columns_by_published_name():
    era = live_era(end_of(walk()), np.arange(60), SECRET, "e")
    assert list(era.ids) == sorted(era.ids)
    assert list(era.feature_names) == sorted(era.feature_names)
    assert sorted(era.positions.tolist()) == list(range(60))


def test_feature_names_are_stable_unique_and_say_nothing():
    internal = tuple(FEATURES)
    published = feature_names(SECRET, internal)
    assert len(set(published)) == len(internal)
    assert feature_names(SECRET, (*internal, "a", "b"))[: len(internal)] == published
    assert feature_names(SECRET + b"!", internal) != published
    many = feature_names(SECRET, [f"f{i}" for i in range(2000)])
    assert len(set(many)) == 2000
    assert all(name.startswith("feature_") and len(name.split("_")) == 3 for name in many)
    words = {word for name in internal for word in name.split("_")}
    assert not any(set(name.split("_")[1:]) & words for name in published)


def test_ids_map_back_with_the_secret_alone():
    panel = walk()
    members = np.arange(5, 55)
    era = live_era(end_of(panel), members, SECRET, "e7")
    assets = panel.assets.asset_ids[members].tolist()
    places = ids_to_positions(SECRET, "e7", assets, era.ids)
    assert np.array_equal(places, era.positions)
    assert (ids_to_positions(SECRET, "e8", assets, era.ids) == -1).all()
    values = np.arange(50.0)
    back = era.on_members(values)
    assert all(back[era.positions[i]] == i for i in range(50))
    assert np.array_equal(to_members(np.array([values, -values]), era.positions), [back, -back])


def test_table_holds_what_was_promised():
    panel = walk()
    era = live_era(end_of(panel), np.arange(60), SECRET, "2015-04-24")
    target = np.where(np.arange(60) == 3, np.nan, (np.arange(60) % 5) / 4)
    table = to_table(era, target)
    assert table.column_names == ["era", "id", *era.feature_names, "target"]
    frame = table.to_pandas()
    assert set(frame["era"]) == {"2015-04-24"}
    assert frame["id"].tolist() == list(era.ids)
    assert np.array_equal(frame[list(era.feature_names)].to_numpy(), era.features)
    assert all(str(table.schema.field(name).type) == "int8" for name in era.feature_names)
    assert np.array_equal(frame["target"].to_numpy(), target[era.positions].astype(np.float32), equal_nan=True)
    assert table["target"].null_count == 1
    assert "target" not in to_table(era).column_names


def test_short_secret_is_a_bug():
    with pytest.raises(InvariantBroken):
        obfuscation(b"short", "e", ["A"])
