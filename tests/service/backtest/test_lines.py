"""A walk's profit is split without a rest. Method: the plain backtest lives through the same targets, its positions are set
beside least squares made here; the parts of made-up models are known beforehand, a liquidation is made by hand."""

from dataclasses import dataclass
from datetime import date
from functools import cache

import numpy as np
import pytest

from market.arrays import FloatArray, StrArray
from market.calendars import to_instant
from portfolio.attribution import COST, Lines, session_of
from portfolio.book import BookState, TradingCosts
from portfolio.ownership import INHERITED
from portfolio.simulate import COST_KINDS, step
from service.backtest.lines import Owned, WalkedSession, WalkLines
from service.backtest.sources import HistorySource, Moment, Opinion
from service.backtest.spec import Fill
from service.backtest.walk import Walk, walk
from service.ownership import ScoreParts
from tests.builders.backtests import eventful_panel
from tests.service.backtest.test_walk import room, spec_of, targets_of, twin_of, walked

FACTORS = ("market", "sector", "country", "beta", "style")


@cache
def split(fill: Fill = Fill.OPEN) -> Walk:
    return walk(*room(), spec_of(fill=fill), with_lines=True)


def profit(found: Walk) -> FloatArray:
    return np.diff(np.concatenate([[found.result.initial_equity], found.result.equity]))


def column(lines: Lines, name: str, group: str) -> FloatArray:
    return lines.values[:, list(zip(lines.names, lines.groups, strict=True)).index((name, group))]


@pytest.mark.parametrize("fill", list(Fill))
def test_lines_sum_to_the_profit_of_every_session(fill: Fill) -> None:
    found = split(fill)
    assert found.by_factor is not None
    assert found.by_model is None, "one signal is one voice"
    np.testing.assert_allclose(found.by_factor.sums, profit(found), atol=1e-6)
    for kind in COST_KINDS:
        np.testing.assert_allclose(column(found.by_factor, kind, COST), -found.result.costs[kind], atol=1e-6)


def test_whoever_does_not_ask_gets_none_and_the_same_walk() -> None:
    assert walked().by_factor is None
    assert np.array_equal(walked().result.equity, split().result.equity)


def test_factors_earn_what_least_squares_explain_of_the_holdings() -> None:
    """How collinear factors share what they explain is a convention; what they explain together is not."""
    found, (evenings, source) = split(), room()
    panel = eventful_panel()
    view = panel.as_of(to_instant(panel.known_at[-1]))
    first = panel.index_of(found.decisions[0].fill_session)
    targets, twin = targets_of(found, first), twin_of(found, keep_weights=True)
    moments = {m.row: m for m in source.moments(5)}
    assert found.by_factor is not None
    of_factors = found.by_factor.values[:, [g in FACTORS for g in found.by_factor.groups]].sum(axis=1)
    looked_at = 0
    for decision in found.decisions[1:]:
        at = panel.index_of(decision.fill_session) + 1
        row = at - first
        if row >= len(found.sessions) or row in targets:
            continue
        positions = twin.weights[row - 1] * twin.equity[row - 1]
        moment = moments[panel.index_of(decision.session)]
        seen = np.union1d(source.opinion(moment).positions, np.flatnonzero(twin.weights[row - 2]))
        market = evenings.market(moment.instant, seen)
        gone = view.delisting_index[market.positions]
        kept = np.isin(market.positions, seen) & ((gone < 0) | (gone > at))
        B, moved = market.model.B[kept], np.nan_to_num(view.total_returns()[at, market.positions[kept]])
        fitted = B @ np.linalg.lstsq(B, moved, rcond=None)[0]
        assert of_factors[row] == pytest.approx(positions[market.positions[kept]] @ fitted, abs=1e-3), decision.session
        looked_at += 1
    assert looked_at > 5


@dataclass
class Choir:
    """A signal's history as two models say it: three tenths of each score are the second one's."""

    source: HistorySource

    def moments(self, sessions_between: int, first: date | None = None, last: date | None = None) -> list[Moment]:
        return self.source.moments(sessions_between, first, last)

    def opinion(self, moment: Moment) -> Opinion | None:
        return self.source.opinion(moment)

    def record(self, moment: Moment) -> list[float]:
        return self.source.record(moment)

    def parts(self, moment: Moment, asset_ids: StrArray) -> ScoreParts:
        said, score = self.source.opinion(moment), np.zeros(len(asset_ids))
        score[np.isin(asset_ids, np.asarray(eventful_panel().assets.asset_ids)[said.positions])] = said.score
        return ScoreParts(("first", "second"), ("signals", "classic"), np.outer([0.7, 0.3], score))


@pytest.mark.parametrize("fill", list(Fill))
def test_models_earn_by_their_part_of_the_score(fill: Fill) -> None:
    evenings, source = room()
    found = walk(evenings, Choir(source), spec_of(fill=fill), with_lines=True)
    assert np.array_equal(found.result.equity, split(fill).result.equity)
    lines = found.by_model
    assert lines is not None
    np.testing.assert_allclose(lines.sums, profit(found), atol=1e-6)
    first, second = column(lines, "first", "signals"), column(lines, "second", "classic")
    np.testing.assert_allclose(second, first * 3 / 7, atol=1e-5)
    assert np.count_nonzero(first) > 10
    assert INHERITED in lines.names


@pytest.mark.parametrize("fill", list(Fill))
def test_a_liquidation_is_nobodys(fill: Fill) -> None:
    """A short of all that there is doubles and a half; the book is closed, and owners end with nothing."""
    lines, costs = WalkLines(), TradingCosts()
    book, still = BookState(np.array(["A", "B"]), np.zeros(2), 100.0), np.zeros(2)
    target = np.array([-1.0, 0.0])
    owned = Owned(("bear",), ("signals",), np.vstack([target, still]))
    earned, bankrupt = [], []
    for night, wanted, whose in ((still, target, owned), (np.array([1.5, 0.0]), None, None), (still + 0.1, None, None)):
        after, day = step(book, night, still, costs, target=wanted, fill=fill.value)
        lines.add(WalkedSession(book, after, session_of(night, still), day, fill, None, wanted, whose))
        earned.append(day.net_pnl)
        bankrupt.append(day.bankrupt)
        book = after
    assert bankrupt == [False, True, True]
    assert not book.positions.any()
    assert lines.by_model is not None
    np.testing.assert_allclose(lines.by_model.sums, earned)
    np.testing.assert_allclose(column(lines.by_model, "bear", "signals"), [0.0, -150.0, 0.0])
