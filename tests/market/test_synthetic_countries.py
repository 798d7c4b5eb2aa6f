"""A synthetic market of five countries keeps each exchange's own sessions, hours and currency.

Method: two years with two Easters, four changes of the clocks on two continents, half days, and the holiday weeks of Tokyo and
Hong Kong. Sessions of New York, London and Tokyo are compared with tests/answers/sessions.csv, which the exchanges published;
returns in the fund's currency and round windows are recomputed from single prices and single calendars."""

import csv
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.calendars import session_calendar, to_instant
from market.countries import venue_of
from market.exposures import compute_exposures
from market.projection import residualize
from market.synthetic import SyntheticSpec, generate_market, oracle_scores
from market.targets import neutral_target, window_returns
from market.universe import UniverseRule, select_universe
from market.windows import windows
from tests.builders.panels import changed_after, view_at

COUNTRIES = ("US", "GB", "JP", "DE", "HK")
SPEC = SyntheticSpec(seed=33, n_assets=150, countries=COUNTRIES, start=date(2015, 1, 2), end=date(2016, 12, 29))
RULE = UniverseRule(size=120)
ANSWERS = Path(__file__).resolve().parents[1] / "answers" / "sessions.csv"


@pytest.fixture(scope="module")
def panel():
    print(f"seed {SPEC.seed}")
    return generate_market(SPEC)


def published(exchange: str) -> list[date]:
    with ANSWERS.open(encoding="utf-8") as file:
        days = [date.fromisoformat(row["session"]) for row in csv.DictReader(file) if row["exchange"] == exchange]
    return [day for day in days if SPEC.start <= day <= SPEC.end]


def sessions_of(exchange: str) -> list[date]:
    """From the calendar of the one exchange alone."""
    return [day.item() for day in session_calendar(exchange, SPEC.start, SPEC.end).sessions]


def test_each_asset_has_prices_on_the_sessions_of_its_exchange_and_on_no_other(panel):
    priced = np.isfinite(panel.close)
    for country in COUNTRIES:
        venue = venue_of(country)
        mine = panel.assets.countries == country
        assert set(panel.assets.exchanges[mine]) == {venue.exchange}
        assert set(panel.assets.currencies[mine]) == {venue.currency}
        traded = [day.item() for day in panel.sessions[priced[:, mine].any(axis=1)]]
        assert traded == sessions_of(venue.exchange)
        if venue.exchange in {"XNYS", "XLON", "XTKS"}:
            assert traded == published(venue.exchange)
    assert panel.sessions.tolist() == sorted({day for c in COUNTRIES for day in sessions_of(venue_of(c).exchange)})


@pytest.mark.parametrize(
    ("day", "known"),
    [
        ("2015-01-02", "2015-01-02T22:00"),  # Tokyo is still closed; New York closes last
        ("2015-11-27", "2015-11-27T19:00"),  # half day in New York after Thanksgiving
        ("2015-12-24", "2015-12-24T19:00"),  # half days in New York, London and Hong Kong
        ("2016-03-11", "2016-03-11T22:00"),  # the last close before New York's clocks change
        ("2016-03-14", "2016-03-14T21:00"),  # London's have not changed yet
        ("2016-03-25", "2016-03-25T07:00"),  # Good Friday: Tokyo alone trades, to 15:00 there
        ("2016-03-28", "2016-03-28T21:00"),  # Easter Monday: London, Frankfurt and Hong Kong are closed
        ("2016-07-04", "2016-07-04T16:30"),  # Independence Day: London and Frankfurt close last, in summer time
        ("2016-12-26", "2016-12-26T07:00"),  # Tokyo alone
    ],
)
def test_a_date_is_known_an_hour_after_the_last_close_on_it(panel, day, known):
    row = panel.index_of(date.fromisoformat(day))
    assert to_instant(panel.known_at[row]) == datetime.fromisoformat(known).replace(tzinfo=UTC)


def test_returns_volumes_and_capitalizations_are_in_the_funds_currency(panel):
    view, fx = view_at(panel), panel.fx
    assert (fx[:, panel.assets.currencies == "USD"] == 1.0).all()
    assert [len(np.unique(fx[:, panel.assets.currencies == c], axis=1).T) for c in ("GBP", "JPY", "EUR", "HKD")] == [1] * 4
    yearly = np.diff(np.log(fx[:, panel.assets.currencies != "USD"]), axis=0).std(axis=0) * np.sqrt(252)
    assert ((yearly > 0.06) & (yearly < 0.10)).all()
    for asset in range(0, 150, 7):
        own = np.flatnonzero(np.isfinite(panel.close[:, asset]))
        for before, now in pairwise(own[::29]):
            between = slice(before + 1, now + 1)
            growth = np.prod(1.0 + view.total_returns()[between, asset])
            price = panel.close[own[(own >= before) & (own <= now)], asset]
            rows = own[(own > before) & (own <= now)]
            paid, split = panel.quotes.dividends[rows, asset], panel.quotes.splits[rows, asset]
            local = np.prod((price[1:] + paid) * split / price[:-1])
            assert growth == pytest.approx(local * fx[now, asset] / fx[before, asset], abs=1e-12)
        row = own[100]
        assert view.dollar_volume()[row, asset] == panel.close[row, asset] * panel.quotes.volume[row, asset] * fx[row, asset]
    level = {c: np.median(view.market_cap()[-1, panel.assets.countries == c]) for c in COUNTRIES}
    assert max(level.values()) < 5 * min(level.values())  # yen or pounds, it is the same kind of company


def test_stocks_of_a_country_move_together_and_have_dummies(panel):
    view = view_at(panel)
    returns = np.nan_to_num(view.total_returns()[1:])
    weekly = np.add.reduceat(returns, np.arange(0, len(returns), 5), axis=0)  # dates on which only some trade lie inside
    pair = np.corrcoef(residualize(weekly.T, weekly.mean(axis=1)))
    same = panel.assets.countries[:, None] == panel.assets.countries
    assert pair[same & ~np.eye(150, dtype=bool)].mean() > pair[~same].mean() + 0.02
    exposures = compute_exposures(view, select_universe(view, RULE).members)
    assert {f"country:{c}" for c in COUNTRIES} <= set(exposures.names)


CLOSES_AT = [
    datetime(2016, 2, 5, 23, 0, tzinfo=UTC),  # Lunar New Year in Hong Kong; both clocks change inside the window
    datetime(2016, 3, 26, 0, 0, tzinfo=UTC),  # Good Friday: Tokyo's s₀ is that day, the others' the day before
    datetime(2016, 4, 25, 3, 0, tzinfo=UTC),  # before Golden Week, in Tokyo's and Hong Kong's Monday
    datetime(2016, 10, 21, 23, 0, tzinfo=UTC),  # Europe's clocks change a week before New York's
]


@pytest.mark.parametrize("closes_at", CLOSES_AT)
def test_windows_and_neutral_targets_of_a_round(panel, closes_at):
    calendar, view = panel.calendar, view_at(panel)
    members = select_universe(panel.as_of(closes_at), RULE).members
    exchanges = panel.assets.exchanges[members]
    base = calendar.own_last_closed_before(closes_at)
    rows = windows(calendar, calendar.columns(exchanges), base, 20, 2, axis_start=panel.first_session)
    returns = window_returns(view, members, *rows)
    for i, exchange in enumerate(exchanges.tolist()):
        single = session_calendar(exchange, SPEC.start, SPEC.end)
        closed = [
            day.item() for day, close in zip(single.sessions, single.closes, strict=True) if to_instant(close) < closes_at
        ]
        own = sessions_of(exchange)
        first, last = (own[len(closed) - 1 + steps] for steps in (2, 22))
        assert (panel.sessions[rows[0][i]].item(), panel.sessions[rows[1][i]].item()) == (first, last)
        inside = slice(panel.index_of(first) + 1, panel.index_of(last) + 1)
        if panel.delisting_index[members[i]] < 0:
            expected = np.prod(1.0 + view.total_returns()[inside, members[i]]) - 1.0
            assert returns[i] == pytest.approx(expected, abs=1e-13)
    exposures = compute_exposures(panel.as_of(closes_at), members)
    known = ~np.isnan(returns)
    residual = residualize(returns[known], exposures.values[known])
    countries = panel.assets.countries[members][known]
    for country in COUNTRIES:
        assert abs(residual[countries == country].mean()) <= 1e-10
        assert abs(returns[known][countries == country].mean() - returns[known].mean()) > 1e-4  # which it was not before
    target = neutral_target(returns, exposures)
    assert np.unique(target[known]).tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_a_view_of_it_knows_no_future(panel):
    for day in (date(2016, 2, 9), date(2016, 3, 25), date(2016, 5, 4)):  # dates on which some exchange is closed
        row = panel.index_of(day)
        a, b = view_at(panel, row), view_at(changed_after(panel, row), row)
        ua, ub = (select_universe(v, RULE) for v in (a, b))
        assert ua.hash == ub.hash
        assert compute_exposures(a, ua.members).values.tobytes() == compute_exposures(b, ub.members).values.tobytes()


def test_a_holiday_week_leaves_no_country_out(panel):
    """Tokyo had no session from 3 to 5 May 2016, Hong Kong none from 8 to 10 February: none of their stocks is stale."""
    for before, after in ((date(2016, 5, 2), date(2016, 5, 5)), (date(2016, 2, 5), date(2016, 2, 10))):
        rule = UniverseRule(size=150, stale_sessions_max=2)
        first, then = (select_universe(view_at(panel, panel.index_of(day)), rule) for day in (before, after))
        count = [{c: int((panel.assets.countries[u.members] == c).sum()) for c in COUNTRIES} for u in (first, then)]
        assert all(abs(count[0][c] - count[1][c]) <= 2 for c in COUNTRIES)
        assert min(count[1].values()) > 15


def test_the_oracle_sees_through_holidays(panel):
    members = np.arange(150)
    truth = oracle_scores(panel, date(2016, 4, 28), members, np.random.default_rng(1), noise=0.0)
    calendar = panel.calendar
    rows = windows(calendar, calendar.columns(panel.assets.exchanges), date(2016, 4, 28), 20, 2, axis_start=panel.first_session)
    known = np.nan_to_num(window_returns(view_at(panel), members, *rows))
    assert (np.argsort(truth, kind="stable") == np.argsort(known, kind="stable")).sum() > 140  # the largest are cut
    assert np.isfinite(oracle_scores(panel, panel.last_session - timedelta(days=3), members, np.random.default_rng(1))).all()


def test_one_country_keeps_its_own_sessions_and_currency():
    lone = generate_market(SyntheticSpec(seed=3, n_assets=12, countries=("JP",), start=date(2015, 4, 1), end=date(2015, 6, 30)))
    assert lone.calendar.exchange == "XTKS"
    assert date(2015, 5, 4) not in lone.sessions.tolist()
    assert set(lone.assets.currencies) == {"JPY"}
    assert lone.fx is not None
    home = generate_market(SyntheticSpec(seed=3, n_assets=12, start=date(2015, 4, 1), end=date(2015, 6, 30)))
    assert (home.calendar.exchange, home.fx) == ("XNYS", None)


def test_a_country_without_a_known_exchange_is_refused():
    with pytest.raises(InputRejected) as caught:
        generate_market(SyntheticSpec(n_assets=12, countries=("US", "GR")))
    assert caught.value.code is Code.COUNTRY_UNKNOWN


def test_the_same_seed_gives_the_same_bytes(panel):
    assert generate_market(SPEC).content_hash() == panel.content_hash()
