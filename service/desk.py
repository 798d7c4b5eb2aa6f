"""The market desk: the price panel of a home, and what the workflows compute from it at a decision instant.

It is not a second door to data: everything comes from ``panel.as_of(instant)``. Results are remembered by the last session
that was visible, because a view with the same last session holds the same bytes; so a warm desk answers exactly as a cold one.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import Unavailable
from market.arrays import DateArray, IntArray
from market.calendars import to_instant

if TYPE_CHECKING:
    from market.calendars import SessionCalendar
    from market.exposures import Exposures
    from market.panel import PanelView, PointInTimePanel
    from market.universe import Universe, UniverseRule
    from portfolio.riskmodel import FactorPeriod
    from service.home import Home
    from service.settings import Settings
    from service.settings.sections import UniverseSettings

MONDAY_OFFSET_DAYS = 3
"""1970-01-01 was a Thursday; with three days added, whole weeks begin on Mondays, as ISO weeks do."""

ROUND_REACH_DAYS = 60
"""A round resolves 22 sessions after it opens: a month and a half at the most, holidays included."""


@dataclass(slots=True)
class MarketDesk:
    """The panel of a home and its memory of universes and exposures."""

    home: "Home"
    settings: "Settings"
    _panel: "PointInTimePanel | None" = None
    _universes: "dict[str, Universe]" = field(default_factory=dict)
    _exposures: "dict[tuple[str, bytes], Exposures]" = field(default_factory=dict)

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

    def calendar(self, instant: datetime) -> "SessionCalendar":
        """Return the exchange's sessions, reaching beyond what a round opened at ``instant`` needs.

        Prices that ended long ago must not look like an exchange that closed: the calendar goes on without them.
        """
        calendar = self.panel.calendar
        needed = instant.date() + timedelta(days=ROUND_REACH_DAYS)
        if calendar.last_date >= needed:
            return calendar
        from market.calendars import session_calendar

        return session_calendar(self.settings.market.calendar, calendar.first_date, needed)

    def view(self, instant: datetime) -> "PanelView":
        """Return the panel as known at ``instant``."""
        return self.panel.as_of(instant)

    def universe(self, view: "PanelView") -> "Universe":
        """Return the assets eligible at ``view.instant`` under the settings' rule."""
        from market.universe import select_universe

        key = str(view.last_session)
        if key not in self._universes:
            self._universes[key] = select_universe(view, universe_rule(self.settings.universe))
        return self._universes[key]

    def exposures(self, view: "PanelView", members: IntArray) -> "Exposures":
        """Return the exposures of ``members`` as known at ``view.instant``."""
        from market.exposures import compute_exposures

        key = (str(view.last_session), members.tobytes())
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
        """Return the last ``weeks`` weeks of returns, each with the exposures known before it began.

        Decision instant: ``view.instant``. Week j runs from the session after one week's last session to the next week's
        last session; its exposures are those known the evening before it began. Columns follow ``names``; a sector that did
        not exist then is a column of zeros.
        """
        from portfolio.riskmodel import FactorPeriod

        returns = view.total_returns()
        ends = week_end_rows(view.sessions, self.settings.universe.min_history_sessions, weeks + 1)
        periods = []
        for begin, end in pairwise(ends):
            past = self.panel.as_of(to_instant(self.panel.known_at[begin]))
            members = self.universe(past).members
            exposures = self.exposures(past, members)
            loadings = np.zeros((returns.shape[1], len(names)))
            for column, name in enumerate(names):
                if name in exposures.names:
                    loadings[members, column] = exposures.values[:, exposures.names.index(name)]
            inside = np.zeros(returns.shape[1], dtype=bool)
            inside[members] = True
            periods.append(FactorPeriod(returns[begin + 1 : end + 1], loadings, inside))
        return periods


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


def week_end_rows(sessions: DateArray, first_row: int, count: int) -> list[int]:
    """Return the rows of the last ``count`` week ends at or after ``first_row``; the last row counts as one."""
    weeks = (sessions.astype("datetime64[D]").astype(np.int64) + MONDAY_OFFSET_DAYS) // 7
    ends = np.flatnonzero(np.append(weeks[1:] != weeks[:-1], True)) if len(sessions) else np.array([], dtype=np.int64)
    return [int(r) for r in ends if r >= first_row][-count:]
