"""The synthetic market is the same for the same seed, holds each feature that it promises, and consists of prices that agree
with each other. Its claims (volatilities, tails, edges) are measured from its prices, not read from its parameters."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.calendars import to_instant
from market.exposures import compute_exposures
from market.panel import NOT_DELISTED
from market.pivot import build_panel, to_tables
from market.projection import residualize
from market.ranks import gaussianize, tie_kept_rank
from market.synthetic import SECTORS, SyntheticSpec, generate_market, oracle_scores
from market.targets import forward_returns
from market.universe import UniverseRule, select_universe
from tests.builders.panels import changed_after, small_panel, view_at

NAN = np.nan
SPEC = SyntheticSpec(seed=21)
SMALL = SyntheticSpec(seed=22, n_assets=30, start=date(2015, 1, 2), end=date(2016, 6, 30))


@pytest.fixture(scope="module")
def panel():
    print(f"seed {SPEC.seed}")
    return generate_market(SPEC)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others():
    hashes = [generate_market(s).content_hash() for s in (SMALL, SMALL, replace(SMALL, seed=23))]
    assert hashes[0] == hashes[1] != hashes[2]


def test_global_randomness_is_neither_used_nor_moved():
    np.random.seed(1)  # noqa: NPY002 - the state that must not matter
    first = generate_market(SMALL).content_hash()
    state = np.random.get_state()[1].tolist()  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    assert generate_market(SMALL).content_hash() == first
    np.random.seed(1)  # noqa: NPY002
    assert np.random.get_state()[1].tolist() == state  # noqa: NPY002


def test_it_says_what_it_is(panel):
    assert panel.source == "synthetic"
    assert "synthetic" in panel.flags
    assert "survivors_only" not in panel.flags
    assert panel.price_basis == "raw"
    assert set(panel.assets.sectors) <= set(SECTORS)
    assert len(set(panel.assets.sectors)) == len(SECTORS)
    assert panel.first_session == date(2015, 1, 2)
    assert panel.last_session == date(2017, 12, 29)
    assert panel.calendar.last_date > date(2018, 12, 31)


def test_listings_delistings_splits_and_halts_are_there(panel):
    priced = np.isfinite(panel.close)
    gone = panel.delisting_index != NOT_DELISTED
    assert (~priced[0]).sum() == panel.notes["listings"] == 21
    assert gone.sum() == panel.notes["delistings"] == 13
    assert ((panel.delisting_return[gone] >= -1) & (panel.delisting_return[gone] <= 0.3)).all()
    assert (panel.delisting_return[gone] < 0).any()
    assert (panel.delisting_return[gone] > 0).any()
    for asset in np.flatnonzero(gone):
        row = panel.delisting_index[asset]
        assert not priced[row:, asset].any()
        assert priced[row - 1, asset]
    assert priced[-1, ~gone].all()
    assert panel.notes["splits"] == (panel.quotes.splits != 1).sum() > 20
    assert panel.notes["halted_cells"] > 100
    begun = np.maximum.accumulate(priced, axis=0)
    halted = begun & ~priced & ((np.arange(len(panel.sessions))[:, None] < panel.delisting_index) | ~gone)
    assert halted.sum() == panel.notes["halted_cells"]


def test_raw_prices_adjusted_prices_splits_and_dividends_agree(panel):
    close, splits = panel.close, panel.quotes.splits
    split = (splits[1:] != 1) & np.isfinite(close[1:]) & np.isfinite(close[:-1])
    raw = close[1:] / close[:-1] * splits[1:]
    total = 1.0 + view_at(panel).total_returns()[1:]
    paid = 1.0 - raw / total  # the part of the total return that left as a dividend
    both = np.isfinite(paid)
    stated = panel.quotes.dividends[1:] * splits[1:] / close[:-1] / total
    np.testing.assert_allclose(paid[both], stated[both], atol=1e-12)
    assert split.sum() > 20
    assert np.abs(np.log(close[1:] / close[:-1]))[split].mean() > 0.5  # raw prices do jump
    assert np.abs(view_at(panel).total_returns()[1:])[split].mean() < 0.05  # total returns do not
    quarterly = both & (paid > 0.002)
    assert 0.4 * 4 * 3 * 0.6 * 260 < quarterly.sum() < 4 * 3 * 0.7 * 260
    assert paid[quarterly].max() < 0.012
    assert np.abs(paid[both & ~quarterly]).max() < 1e-12


def test_market_value_is_continuous_over_splits(panel):
    cap = view_at(panel).market_cap()
    change = np.abs(np.diff(np.log(cap), axis=0))
    split = panel.quotes.splits[1:] != 1
    assert np.nanmedian(change[split]) < 0.05


def test_opens_lie_between_closes_with_a_night_and_a_day(panel):
    view = view_at(panel)
    night, day = view.overnight_returns(), view.intraday_returns()
    assert 0.25 < np.nanstd(night) / np.nanstd(day) < 1.2
    assert np.nanstd(day) < 1.2 * np.nanstd(view.total_returns())


def test_volatility_tails_and_volumes_look_like_a_market(panel):
    returns = view_at(panel).total_returns()[1:]
    market = np.nanmean(returns, axis=1)
    assert 0.11 < market.std() * np.sqrt(252) < 0.21
    specific = returns - market[:, None]
    yearly = np.nanstd(specific, axis=0) * np.sqrt(252)
    assert 0.22 < np.median(yearly) < 0.48
    scaled = specific / np.nanstd(specific, axis=0)
    assert np.nanmean(scaled**4) > 4.5  # a normal sample has 3
    assert np.nanmin(returns) > -1
    volume = np.log(view_at(panel).dollar_volume()[:, np.isfinite(panel.close).all(axis=0)])
    centred = volume - volume.mean(axis=0)
    persistence = (centred[1:] * centred[:-1]).sum() / (centred**2).sum()
    assert persistence > 0.5
    large = np.abs(specific[:, np.isfinite(panel.close).all(axis=0)])
    assert np.corrcoef(large.ravel(), centred[1:].ravel())[0, 1] > 0.1  # more is traded when more happens


def test_returns_within_a_sector_move_together(panel):
    returns = np.nan_to_num(view_at(panel).total_returns()[1:])
    rest = residualize(returns.T, returns.mean(axis=1))
    pair = np.corrcoef(rest)
    same = panel.assets.sectors[:, None] == panel.assets.sectors
    off = ~np.eye(len(same), dtype=bool)
    assert pair[same & off].mean() > pair[~same].mean() + 0.02


def test_a_view_of_it_knows_no_future(panel):
    for row in (300, 500):
        a, b = view_at(panel, row), view_at(changed_after(panel, row), row)
        assert a.market_cap().tobytes() == b.market_cap().tobytes()
        ua, ub = (select_universe(v, UniverseRule(size=200)) for v in (a, b))
        assert ua.hash == ub.hash
        assert compute_exposures(a, ua.members).values.tobytes() == compute_exposures(b, ub.members).values.tobytes()


def test_it_goes_to_long_tables_and_back(panel):
    prices, meta = to_tables(panel)
    again = build_panel(prices, meta, panel.calendar, SPEC.vendor_delay_minutes, panel.source, panel.price_basis)
    known = replace(again, flags=panel.flags, assets=replace(again.assets, currencies=panel.assets.currencies))
    assert known.content_hash() == panel.content_hash()


def test_several_countries_get_factors_and_dummies():
    view = view_at(generate_market(replace(SMALL, countries=("DE", "US"))))
    members = select_universe(view, UniverseRule(size=20, size_min=10)).members
    assert "country:DE" in compute_exposures(view, members).names
    assert sorted(set(view.assets.countries)) == ["DE", "US"]


def information(make, seeds, spec, step=20):
    """Mean rank correlation of a signal with the returns of the 20 sessions after it, with its standard error."""
    found = []
    for seed in seeds:
        market = generate_market(replace(spec, seed=seed))
        everything = view_at(market)
        for row in range(254, len(market.sessions) - 23, step):
            view = view_at(market, row)
            members = select_universe(view, UniverseRule(size=200)).members
            truth = forward_returns(everything, members, view.last_session, 20, 2)
            known = ~np.isnan(truth)
            score = make(market, view, members)[known]
            found.append(np.corrcoef(tie_kept_rank(score), tie_kept_rank(truth[known]))[0, 1])
    return np.mean(found), np.std(found) / np.sqrt(len(found))


def known_edge(market, view, members):
    """Momentum, low volatility, volume trend and night drift as any provider can compute them, added up by rank."""
    exposures = compute_exposures(view, members)
    dollars = np.log(np.maximum(view.dollar_volume()[-252:, members], 1.0))
    night = np.nan_to_num(view.overnight_returns()[-21:, members]).mean(axis=0)
    day = np.nan_to_num(view.intraday_returns()[-21:, members]).mean(axis=0)
    trend = dollars[-21:].mean(axis=0) - dollars.mean(axis=0)
    parts = [exposures.style("momentum"), -exposures.style("volatility"), trend, night - day]
    return sum(gaussianize(tie_kept_rank(p)) for p in parts)


def test_an_honest_strategy_has_a_true_but_modest_edge_that_the_scale_turns_off():
    seeds, long = range(100, 106), replace(SPEC, start=date(2013, 1, 2))
    print(f"seeds {list(seeds)}")
    with_edge, error = information(known_edge, seeds, long)
    assert with_edge > 3 * error
    assert with_edge < 0.12
    without, error = information(known_edge, seeds, replace(long, information_coefficient=0.0))
    assert abs(without) < 3 * error


def test_the_oracle_knows_the_future_through_its_noise_and_only_here():
    rng = np.random.default_rng(25)
    print("seed 25")
    mean, error = information(lambda m, v, k: oracle_scores(m, v.last_session, k, rng), [0, 1], SPEC)
    assert abs(mean - 1 / np.sqrt(65)) < 3 * error
    market = generate_market(SMALL)
    members = np.arange(30)
    late = oracle_scores(market, market.last_session, members, rng)
    assert np.isfinite(late).all()
    assert np.isfinite(oracle_scores(market, market.sessions[-10].item(), members, rng)).all()
    same = [oracle_scores(market, market.sessions[300].item(), members, np.random.default_rng(1)) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    with pytest.raises(InputRejected) as caught:
        oracle_scores(small_panel(), date(2014, 6, 2), members, rng)
    assert caught.value.code is Code.REQUEST_INVALID


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("seed", -1, Code.SETTING_INVALID),
        ("n_assets", 3, Code.SETTING_INVALID),
        ("countries", (), Code.SETTING_INVALID),
        ("tail_degrees", 2.0, Code.SETTING_INVALID),
        ("listing_share", 0.95, Code.SETTING_INVALID),
        ("specific_volatility_min", 0.9, Code.SETTING_INVALID),
        ("end", date(2014, 1, 1), Code.DATE_INVALID),
    ],
)
def test_a_market_that_cannot_be_is_refused(field, value, code):
    with pytest.raises(InputRejected) as caught:
        replace(SMALL, **{field: value})
    assert caught.value.code is code


def test_a_time_without_a_session_is_refused():
    with pytest.raises(InputRejected) as caught:
        generate_market(replace(SMALL, start=date(2016, 1, 2), end=date(2016, 1, 3)))
    assert caught.value.code is Code.DATE_INVALID


def test_features_can_be_turned_off():
    plain = replace(SMALL, listing_share=0, delisting_share=0, splits_per_year=0, halts_per_year=0, payer_share=0)
    market = generate_market(plain)
    assert not any(market.notes.values())
    assert np.isfinite(market.close).all()
    np.testing.assert_allclose(view_at(market).return_index() / market.close, 1.0, atol=1e-12)


def test_every_view_of_it_serves_from_its_first_session_on():
    market = generate_market(SMALL)
    assert len(market.as_of(to_instant(market.known_at[0])).sessions) == 1
