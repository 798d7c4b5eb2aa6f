"""A fund without the shell: a score every week through risk model, optimizer and twin; no files and no database."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from market.arrays import FloatArray
from market.calendars import to_instant
from market.panel import PointInTimePanel
from market.projection import residualize
from portfolio.alpha import alpha_from_signal
from portfolio.book import BookState, Liquidity, costs_of
from portfolio.build import build_problem
from portfolio.ladder import solve
from portfolio.mandate import Mandate
from portfolio.riskmodel import RiskModel, estimate_risk_model
from portfolio.simulate import DayRecord, step
from service.desk import MarketDesk, week_end_rows
from tests.builders.seasons import small_settings

CAPITAL = 10_000_000.0


@dataclass(frozen=True, slots=True)
class Week:
    """What is the same for every fund in one week: the universe, its exposures and risk model, volumes."""

    row: int
    members: np.ndarray
    exposures: FloatArray
    model: RiskModel
    adv: FloatArray
    sigma: FloatArray


def weeks_of(panel: PointInTimePanel, count: int) -> list[Week]:
    """Return the last ``count`` whole weeks of the panel that have another week after them."""
    desk = MarketDesk(home=None, settings=small_settings())  # type: ignore[arg-type]
    desk.use(panel)
    found = []
    for row in week_end_rows(panel.sessions, 300, count + 1)[:-1]:
        view = panel.as_of(to_instant(panel.known_at[row]))
        members = desk.universe(view).members
        exposures = desk.exposures(view, members)
        periods = desk.factor_periods(view, exposures.names, 40)
        model = estimate_risk_model(periods, exposures.values, members, exposures.names, exposures.kinds)
        adv = np.median(view.dollar_volume()[-63:, members], axis=0)
        sigma = np.nan_to_num(view.total_returns()[-63:, members]).std(axis=0)
        found.append(Week(row, members, exposures.values, model, adv, sigma))
    return found


def run_fund(
    panel: PointInTimePanel, weeks: Sequence[Week], mandate: Mandate, score: Callable[[Week], FloatArray]
) -> list[DayRecord]:
    """Trade ``score`` every week at the next session's open; return one record a session."""
    everything = np.asarray(panel.assets.asset_ids)
    view = panel.as_of(to_instant(panel.known_at[-1]))
    overnight, intraday, traded = view.overnight_returns(), view.intraday_returns(), view.traded
    book = BookState.opening(everything, CAPITAL)
    costs = costs_of(mandate)
    days: list[DayRecord] = []
    ends = [w.row for w in weeks[1:]] + [len(panel.sessions) - 1]
    for week, end in zip(weeks, ends, strict=True):
        inside = np.zeros(len(everything), dtype=bool)
        inside[week.members] = True
        # A name that left the universe is sold at the open: the harness keeps to the universe's own risk model.
        neutral = residualize(score(week), week.exposures)
        problem = build_problem(
            mandate,
            week.model,
            alpha_from_signal(neutral, week.model, mandate.information_coefficient, 20),
            book.weights[week.members],
            alpha_horizon_sessions=20,
            equity=book.equity,
            adv_dollars=week.adv,
        )
        target = np.zeros(len(everything))
        target[week.members] = solve(problem).weights
        adv, sigma = np.full(len(everything), 1e9), np.full(len(everything), 0.02)
        adv[week.members], sigma[week.members] = week.adv, week.sigma
        for row in range(week.row + 1, end + 1):
            gone = panel.delisting_index == row
            book, day = step(
                book, overnight[row], intraday[row], costs,
                target=target if row == week.row + 1 else None,
                halted=~traded[row],
                delisting=np.where(gone, panel.delisting_return, np.nan),
                liquidity=Liquidity(adv, sigma),
            )  # fmt: skip
            days.append(day)
    return days
