"""The market desk: the price panel of a home, and what the workflows compute from it at a decision instant.

It is not a second door to data: everything comes from ``panel.as_of(instant)``. Results are remembered by how much was known
(:meth:`~market.panel.PointInTimePanel.knowledge_at`), because views that know as much hold the same bytes; so a warm desk
answers exactly as a cold one.

Where the rule of the universe has a hysteresis, the universe of an evening follows from that of the week end before, and so
back to the first week end of the panel that has one. The desk walks this way once, a choice a week, whatever it is asked first.
"""

from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, Unavailable
from market.arrays import DateArray, FloatArray, IntArray
from market.calendars import to_date, to_instant

if TYPE_CHECKING:
    from market.calendars import SessionCalendar
    from market.exposures import Exposures
    from market.panel import PanelView, PointInTimePanel
    from market.universe import Universe, UniverseRule
    from portfolio.factorreturns import FactorPeriod
    from portfolio.riskmodel import RiskParameters
    from service.home import Home
    from service.settings import Settings
    from service.settings.sections import RiskSettings, UniverseSettings

MONDAY_OFFSET_DAYS = 3
"""1970-01-01 was a Thursday; with three days added, whole weeks begin on Mondays, as ISO weeks do."""

REACH_MARGIN_DAYS = 21
"""Longer than any gap between sessions and than the week that a base session has to be known in."""

Knowledge = tuple[int, int, int, int]
"""How many rows, revisions, delistings and words about assets were known."""


def reach_days(sessions: int) -> int:
    """Return a number of calendar days in which every exchange has ``sessions`` sessions.

    Of seven days five are sessions, save for holidays: two days a session and a margin are more than enough.
    """
    return 2 * sessions + REACH_MARGIN_DAYS


@dataclass(slots=True)
class MarketDesk:
    """The panel of a home and its memory of universes, exposures and sample weights."""

    home: "Home"
    settings: "Settings"
    _panel: "PointInTimePanel | None" = None
    _universes: "dict[Knowledge, Universe]" = field(default_factory=dict)
    _exposures: "dict[tuple[Knowledge, bytes], Exposures]" = field(default_factory=dict)
    _evenings: "dict[Knowledge, tuple[IntArray, Exposures]]" = field(default_factory=dict)
    _weights: dict[tuple[Knowledge, bytes], FloatArray] = field(default_factory=dict)

    @property
    def panel(self) -> "PointInTimePanel":
        """The whole panel; only its ``as_of`` may be used for anything that decides."""
        if self._panel is None:
            from service.vendors.ingested import load_panel

            self._panel = load_panel(self.home, self.settings)
        return self._panel

    def use(self, panel: "PointInTimePanel") -> None:
        """Serve ``panel`` from now on and forget what was computed from the former one."""
        self._panel = panel
        self._universes.clear()
        self._exposures.clear()
        self._evenings.clear()
        self._weights.clear()

    def exchanges(self) -> tuple[str, ...]:
        """Return the exchanges that the home's assets trade on; none while it has no prices. No price is read for it."""
        if self._panel is not None:
            return self._panel.exchange_names
        from service.vendors.ingested import ingested_exchanges

        return ingested_exchanges(self.home)

    def calendar(self, instant: datetime, sessions: int = 0) -> "SessionCalendar":
        """Return the calendar of the panel's exchanges; it has ``sessions`` sessions of each after ``instant``.

        Prices that ended long ago must not look like an exchange that closed: the calendar goes on without them.

        Raises
        ------
        InputRejected
            CALENDAR_END where an exchange has not announced its sessions as far.
        """
        calendar = self.panel.calendar
        needed = instant.date() + timedelta(days=reach_days(sessions))
        return calendar if calendar.last_date >= needed else _reaching(calendar.exchanges, calendar.first_date, needed)

    def home_calendar(self, instant: datetime, sessions: int = 0) -> "SessionCalendar":
        """Return the sessions of the settings' exchange, by which rounds open and close; reach as for :meth:`calendar`."""
        home, calendar = self.settings.market.calendar, self.calendar(instant, sessions)
        if home in calendar.exchanges:
            return calendar.of(home)
        return _reaching((home,), calendar.first_date, calendar.last_date)

    def home_session(self, view: "PanelView") -> date:
        """Return the last session of the settings' exchange that ``view`` knows; of any, where no asset trades there."""
        home = self.settings.market.calendar
        if home not in view.exchange_names:
            return view.last_session
        own = view.trading[:, view.exchange_names.index(home)]
        return to_date(view.sessions[own][-1]) if own.any() else view.last_session

    def view(self, instant: datetime) -> "PanelView":
        """Return the panel as known at ``instant``."""
        return self.panel.as_of(instant)

    def universe(self, view: "PanelView") -> "Universe":
        """Return the assets eligible at ``view.instant`` under the settings' rule."""
        from market.universe import select_universe

        key = self.panel.knowledge_at(view.instant)
        if key not in self._universes:
            rule = universe_rule(self.settings.universe)
            former = self._former(view, rule) if rule.hysteresis > 0 else None
            self._universes[key] = select_universe(view, rule, former)
        return self._universes[key]

    def _former(self, view: "PanelView", rule: "UniverseRule") -> "Universe | None":
        """Return the universe of the last week end before the week of ``view``: walked from the first week end that has one."""
        from market.universe import select_universe

        this_week = np.flatnonzero(weeks_of(view.sessions) == weeks_of(view.sessions[-1:]))
        ends = week_end_rows(view.sessions[: this_week[0]], rule.min_history_sessions - 1)
        instants = [to_instant(self.panel.known_at[row]) for row in ends]
        keys = [self.panel.knowledge_at(instant) for instant in instants]
        known = max((place for place, key in enumerate(keys) if key in self._universes), default=-1)
        former = self._universes[keys[known]] if known >= 0 else None
        for instant, key in zip(instants[known + 1 :], keys[known + 1 :], strict=True):
            try:
                former = select_universe(self.panel.as_of(instant), rule, former)
            except InputRejected as error:
                if error.code is not Code.UNIVERSE_TOO_SMALL:
                    raise
                continue  # too few were eligible that week: who was a member before still counts as one
            self._universes[key] = former
        return former

    def exposures(self, view: "PanelView", members: IntArray) -> "Exposures":
        """Return the exposures of ``members`` as known at ``view.instant``."""
        from market.exposures import compute_exposures

        key = (self.panel.knowledge_at(view.instant), members.tobytes())
        if key not in self._exposures:
            self._exposures[key] = compute_exposures(view, members)
        return self._exposures[key]

    def positions_of(self, asset_ids: "np.ndarray") -> IntArray:
        """Return where ``asset_ids`` stand on the panel's asset axis; raises Unavailable when one is gone."""
        known = np.asarray(self.panel.assets.asset_ids)
        order = np.argsort(known, kind="stable")
        places = np.searchsorted(known, asset_ids, sorter=order).clip(max=len(known) - 1)
        positions: IntArray = order[places].astype(np.int64)
        if not np.array_equal(known[positions], asset_ids):
            raise Unavailable(Code.MARKET_COVERAGE, "The price panel no longer holds every asset that is in use.")
        return positions

    def factor_periods(self, view: "PanelView", names: tuple[str, ...], weeks: int) -> "list[FactorPeriod]":
        """Return the last ``weeks`` weeks of returns, each with the exposures and regression weights known before it began.

        Decision instant: ``view.instant``. Week j runs from the session after one week's last session to the next week's
        last session; its exposures are those known the evening before it began. Columns follow ``names``; a sector that did
        not exist then is a column of zeros.
        """
        from portfolio.factorreturns import FactorPeriod

        liquidity = self.settings.fund.risk.regression_weights == "liquidity"
        returns = view.total_returns()
        ends = week_end_rows(view.sessions, self.settings.universe.min_history_sessions, weeks + 1)
        periods = []
        for begin, end in pairwise(ends):
            instant = to_instant(self.panel.known_at[begin])
            members, exposures = self.evening(instant)
            loadings = np.zeros((returns.shape[1], len(names)))
            at = [(column, exposures.names.index(name)) for column, name in enumerate(names) if name in exposures.names]
            columns, places = np.array(at, dtype=np.int64).reshape(-1, 2).T
            loadings[members[:, None], columns] = exposures.values[:, places]
            inside = np.zeros(returns.shape[1], dtype=bool)
            inside[members] = True
            weights = None
            if liquidity:
                weights = np.zeros(returns.shape[1])
                weights[members] = self._sample_weights(instant, members)
            periods.append(FactorPeriod(returns[begin + 1 : end + 1], loadings, inside, weights))
        return periods

    def evening(self, instant: datetime) -> "tuple[IntArray, Exposures]":
        """Return the universe's members and their exposures as known at ``instant``, without a view where they are remembered.

        A view of the past has prices of its own where they were corrected since: two years of week ends would make a hundred.
        """
        key = self.panel.knowledge_at(instant)
        if key not in self._evenings:
            view = self.view(instant)
            members = self.universe(view).members
            self._evenings[key] = members, self.exposures(view, members)
        return self._evenings[key]

    def _sample_weights(self, instant: datetime, members: IntArray) -> FloatArray:
        from market.neutralizers import sample_weights

        key = (self.panel.knowledge_at(instant), members.tobytes())
        if key not in self._weights:
            self._weights[key] = sample_weights(self.view(instant), members)
        return self._weights[key]


def universe_rule(settings: "UniverseSettings") -> "UniverseRule":
    """Return the rule that the table ``universe`` of the settings states; an upper bound of 0 is none."""
    from market.universe import UniverseRule

    return UniverseRule(
        size=settings.size,
        min_history_sessions=settings.min_history_sessions,
        adv_window_sessions=settings.adv_window_sessions,
        stale_sessions_max=settings.stale_sessions_max,
        countries=tuple(settings.countries.split()),
        adv_min=settings.adv_min,
        market_cap_min=settings.market_cap_min,
        market_cap_max=settings.market_cap_max or float("inf"),
        price_min=settings.price_min,
        price_max=settings.price_max or float("inf"),
        hysteresis=settings.hysteresis,
        allow_adjusted=settings.adjusted_levels == "flag",
    )


def risk_parameters(settings: "RiskSettings") -> "RiskParameters":
    """Return the parameters of the risk model that the table ``fund.risk`` of the settings states."""
    from portfolio.riskmodel import RiskParameters

    return RiskParameters(**{key: value for key, value in asdict(settings).items() if key != "regression_weights"})


def week_end_rows(sessions: DateArray, first_row: int, count: int | None = None) -> list[int]:
    """Return the rows of the last ``count`` week ends, or of all, at or after ``first_row``; the last row counts as one."""
    weeks = weeks_of(sessions)
    ends = np.flatnonzero(np.append(weeks[1:] != weeks[:-1], True)) if len(sessions) else np.array([], dtype=np.int64)
    return [int(r) for r in ends if r >= first_row][-(count or len(ends)) :]


def weeks_of(sessions: DateArray) -> IntArray:
    """Return a number for the ISO week of each session; the numbers of later weeks are higher."""
    weeks: IntArray = (sessions.astype("datetime64[D]").astype(np.int64) + MONDAY_OFFSET_DAYS) // 7
    return weeks


def _reaching(exchanges: tuple[str, ...], first: date, last: date) -> "SessionCalendar":
    from market.calendars import joint_calendar, session_calendar

    calendars = [session_calendar(exchange, first, last) for exchange in exchanges]
    return calendars[0] if len(calendars) == 1 else joint_calendar(calendars)
