"""Goal: the fund lives through a night in which 30 % of its names leave. Method: a walk on a market of 260 names; from one
night on names of the book are out of the universe, do not trade, or are delisted. What was decided is added up here."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cache

import numpy as np

from market.arrays import BoolArray, FloatArray, IntArray
from market.calendars import to_instant
from market.panel import PanelView, PointInTimePanel
from market.synthetic import SyntheticSpec, generate_market
from market.universe import Universe
from portfolio.ladder import HELD
from service.backtest.evenings import Evenings
from service.backtest.sources import Moment, Opinion
from service.backtest.spec import BacktestSpec, named_mandate
from service.backtest.walk import Walk, WalkDecision, walk
from service.desk import MarketDesk, week_end_rows
from service.home import Home
from service.settings import Settings, load_settings
from tests.builders.backtests import desk_on
from tests.builders.panels import without_quotes

SPEC = SyntheticSpec(
    seed=31, n_assets=260, start=date(2015, 1, 2), end=date(2016, 6, 30), delisting_share=0.0, halts_per_year=0.0
)
FIRST_ROW, WEEKS_BEFORE, WEEKS_AFTER, HALT_SESSIONS = 270, 5, 4, 10
SHARE = 0.30
EXACT = 1e-8


def settings() -> Settings:
    return load_settings(env={}).with_overrides({"universe.size": 200, "fund.risk_weeks": 12})


@cache
def calm_panel() -> PointInTimePanel:
    return generate_market(SPEC)


@dataclass
class Steady:
    """A source that thinks of each asset the same every week, and speaks of the universe of the evening."""

    evenings: Evenings

    def moments(self, sessions_between: int, first: date | None = None, last: date | None = None) -> list[Moment]:
        rows = week_end_rows(self.evenings.desk.panel.sessions, FIRST_ROW)[: WEEKS_BEFORE + WEEKS_AFTER]
        return [Moment(row, self.evenings.close_instant(row), place) for place, row in enumerate(rows)]

    def opinion(self, moment: Moment) -> Opinion:
        members = self.evenings.evening(moment.instant).members
        likes: FloatArray = np.random.default_rng(5).standard_normal(len(self.evenings.desk.panel.assets))
        return Opinion(members, likes[members])

    def record(self, moment: Moment) -> list[float]:
        return []


class ExpellingDesk(MarketDesk):
    """A desk whose universe has lost some members from an instant on."""

    expelled: IntArray
    since: datetime

    def universe(self, view: PanelView) -> Universe:
        found = super().universe(view)
        if view.instant < self.since:
            return found
        kept = ~np.isin(found.members, self.expelled)
        return replace(found, members=found.members[kept], asset_ids=found.asset_ids[kept])


def walked_on(desk: MarketDesk) -> Walk:
    evenings = Evenings(desk, 20, 2)
    rows = week_end_rows(desk.panel.sessions, FIRST_ROW)
    spec = BacktestSpec(named_mandate(desk.settings, changes={"position_max": 0.03}))
    return walk(evenings, Steady(evenings), spec, last_row=rows[WEEKS_BEFORE + WEEKS_AFTER])


@cache
def night() -> tuple[int, IntArray]:
    """The row of the evening before which everything was calm, and 30 % of the names that the book held then."""
    decision = walked_on(desk_on(calm_panel(), settings())).decisions[WEEKS_BEFORE - 1]
    held = decision.positions[np.abs(decision.weights) > 1e-6]
    lost = np.random.default_rng(7).choice(held, round(SHARE * len(held)), replace=False)
    of_all = np.abs(decision.weights).sum()
    weights = weights_of(decision, lost)
    assert min((weights > 0).sum(), (weights < 0).sum()) >= 5
    assert np.abs(weights).sum() >= 0.2 * of_all >= 0.2
    return calm_panel().index_of(decision.session), np.sort(lost)


def assert_neutral(decision: WalkDecision) -> None:
    """Dollars and beta exactly, sectors and styles inside their bands; nothing but turnover may have given way."""
    bands = named_mandate(settings()).factor_bands
    assert decision.status != HELD
    assert abs(decision.weights.sum()) <= EXACT
    for kind, lean in zip(decision.kinds, decision.exposures.tolist(), strict=True):
        assert abs(lean) <= bands.get(kind, np.inf) + EXACT, (decision.session, kind)
    assert set(decision.broken) <= {"turnover"}


def weights_of(decision: WalkDecision, assets: IntArray) -> FloatArray:
    whole = np.zeros(SPEC.n_assets)
    whole[decision.positions] = decision.weights
    found: FloatArray = whole[assets]
    return found


def is_after(walked: Walk, row: int) -> list[WalkDecision]:
    after = [d for d in walked.decisions if calm_panel().index_of(d.session) > row]
    assert len(after) == WEEKS_AFTER
    return after


def test_members_that_are_expelled_shrink_and_are_spoken_of_no_more() -> None:
    row, lost = night()
    desk = ExpellingDesk(Home(desk_on(calm_panel()).home.path), settings())
    desk.use(calm_panel())
    desk.expelled, desk.since = lost, to_instant(calm_panel().known_at[row + 1])
    walked = walked_on(desk)
    assert not walked.result.bankrupt
    before = walked.decisions[WEEKS_BEFORE - 1]
    size = np.abs(weights_of(before, lost)).sum()
    for decision in is_after(walked, row):
        assert_neutral(decision)
        assert (weights_of(decision, lost) * weights_of(before, lost) >= -EXACT).all()
        assert np.abs(weights_of(decision, lost)).sum() < size
        assert decision.frozen.size == 0
        size = np.abs(weights_of(decision, lost)).sum()


def test_names_that_stop_trading_overnight_stay_and_are_listed() -> None:
    """Two weeks without a trade: their dollars do not move, and each decision lists them; then they are traded again."""
    row, lost = night()
    # The book of that evening is filled at the next session's open: the halt begins after it.
    halt = slice(row + 2, row + 2 + HALT_SESSIONS)
    walked = walked_on(desk_on(replace(calm_panel(), quotes=without_quotes(calm_panel(), halt, lost)), settings()))
    halted, free = [], []
    for decision in is_after(walked, row):
        assert_neutral(decision)
        (halted if halt.start <= calm_panel().index_of(decision.session) < halt.stop else free).append(decision)
    assert len(halted) == 2
    for decision in halted:
        np.testing.assert_array_equal(np.sort(decision.frozen), lost)
    equity = [walked.result.equity[np.flatnonzero(walked.sessions == np.datetime64(d.session))[0]] for d in halted]
    dollars = [weights_of(d, lost) * e for d, e in zip(halted, equity, strict=True)]
    np.testing.assert_allclose(dollars[1], dollars[0], rtol=1e-9)
    assert free[-1].frozen.size == 0
    assert (weights_of(free[-1], lost) != weights_of(halted[-1], lost)).mean() > 0.5


def test_names_that_are_delisted_overnight_are_closed_by_the_event() -> None:
    """Each of them at its delisting return, in the next session; the book after it is neutral without them."""
    row, lost = night()
    quotes = without_quotes(calm_panel(), slice(row + 2, None), lost)
    gone: BoolArray = np.isin(np.arange(SPEC.n_assets), lost)
    dying = replace(
        calm_panel(),
        quotes=quotes,
        delisting_index=np.where(gone, row + 2, calm_panel().delisting_index),
        delisting_return=np.where(gone, -0.3, calm_panel().delisting_return),
    )
    walked = walked_on(desk_on(dying, settings()))
    assert len(walked.result.forced_closes) == len(lost)
    assert np.isfinite(walked.result.equity).all()
    for decision in is_after(walked, row):
        assert_neutral(decision)
        assert not np.isin(decision.positions, lost).any()
        assert decision.frozen.size == 0
