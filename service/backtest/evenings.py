"""What the evenings of a walk know, remembered across walks: several signals on one panel share all that no signal is in.

It decides nothing. Everything comes from the desk, hence from ``panel.as_of``, and what is remembered is a function of the
panel and its key alone: a walk gives the same numbers alone as after twenty others.

1. The assets of an evening are the universe, who was in it at one of the last week ends of a quarter (a holding that leaves it
   may need weeks to be sold), and whoever a caller names beside them.
2. Their exposures and risk model are those of a rebalance on these assets (:mod:`service.decide`).
3. The sessions since the evening before are told as known on this evening: a correction that came later is not in them.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from market.arrays import BoolArray, DateArray, FloatArray, IntArray
from market.calendars import to_date, to_instant
from market.exposures import Exposures
from market.panel import AssetTable
from market.targets import forward_returns, neutral_target
from market.windows import last_base_row
from portfolio.book import Liquidity
from service.decide import DecisionMarket, decision_market
from service.desk import MarketDesk, week_end_rows
from service.liquidity import liquidity_before

QUARTER_WEEKS = 13


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """The sessions from one evening to the next, as known on the later one, over the panel's n assets.

    Attributes
    ----------
    rows : range
        Of the panel.
    overnight, intraday : (t, n) float64
    traded : (t, n) bool
    gone_row : (n,) int64
        Row of the delisting, -1 for none.
    gone_return : (n,) float64
    """

    rows: range
    sessions: DateArray
    overnight: FloatArray
    intraday: FloatArray
    traded: BoolArray
    gone_row: IntArray
    gone_return: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Evening:
    """What is known on a decision's evening, whoever decides.

    Attributes
    ----------
    instant : datetime
    row : int
        The panel's last row that was known.
    members : (m,) int64
        The universe.
    liquidity : Liquidity
        Over all n assets of the panel, for the fill that follows.
    market : DecisionMarket
        Of the evening's assets; see the module.
    """

    instant: datetime
    row: int
    members: IntArray
    liquidity: Liquidity
    market: DecisionMarket


class Evenings:
    """The evenings of one panel.

    Parameters
    ----------
    desk : MarketDesk
        Serves the panel; it must go on serving the same one.
    horizon_sessions, lag_sessions : int
        Of the target that a signal's record is measured against.
    """

    def __init__(self, desk: MarketDesk, horizon_sessions: int, lag_sessions: int) -> None:
        self.desk = desk
        self.horizon_sessions, self.lag_sessions = horizon_sessions, lag_sessions
        self._evenings: dict[datetime, Evening] = {}
        self._stretches: dict[tuple[int, datetime], Stretch] = {}
        self._targets: dict[tuple[int, tuple[int, ...]], FloatArray] = {}
        self._tables: dict[datetime, AssetTable] = {}

    def close_instant(self, row: int) -> datetime:
        """Return when the session of ``row`` was learnt."""
        return to_instant(self.desk.panel.known_at[row])

    def evening(self, instant: datetime) -> Evening:
        """Return what is known at ``instant`` for the evening's own assets."""
        if instant not in self._evenings:
            view = self.desk.view(instant)
            members = self.desk.universe(view).members
            minimum = self.desk.settings.universe.min_history_sessions
            ends = week_end_rows(view.sessions, minimum, QUARTER_WEEKS)[:-1]
            assets = np.unique(np.concatenate([members, *(self.members(row) for row in ends)]))
            window = self.desk.settings.universe.adv_window_sessions
            self._evenings[instant] = Evening(
                instant=instant,
                row=len(view.sessions) - 1,
                members=members,
                liquidity=liquidity_before(view, len(view.sessions), window),
                market=decision_market(self.desk, view, assets),
            )
        return self._evenings[instant]

    def market(self, instant: datetime, needed: IntArray) -> DecisionMarket:
        """Return the market of the evening's assets; with those of ``needed`` (any order) that are not among them."""
        known = self.evening(instant).market
        lacking = np.setdiff1d(needed, known.positions)
        if lacking.size == 0:
            return known
        return decision_market(self.desk, self.desk.view(instant), np.union1d(known.positions, lacking))

    def members(self, row: int) -> IntArray:
        """Return the universe of the evening of ``row``."""
        return self.desk.evening(self.close_instant(row))[0]

    def assets_at(self, instant: datetime) -> AssetTable:
        """Return the table of assets as known at ``instant``."""
        if instant not in self._tables:
            self._tables[instant] = self.desk.view(instant).assets
        return self._tables[instant]

    def exposures(self, row: int) -> Exposures:
        """Return the exposures of :meth:`members`."""
        return self.desk.evening(self.close_instant(row))[1]

    def stretch(self, first_row: int, instant: datetime) -> Stretch:
        """Return the sessions from ``first_row`` to the last one known at ``instant``."""
        key = first_row, instant
        if key not in self._stretches:
            view = self.desk.view(instant)
            at = slice(first_row, len(view.sessions))
            self._stretches[key] = Stretch(
                rows=range(first_row, len(view.sessions)),
                sessions=view.sessions[at],
                overnight=view.overnight_returns()[at].copy(),
                intraday=view.intraday_returns()[at].copy(),
                traded=view.traded[at].copy(),
                gone_row=view.delisting_index,
                gone_return=view.delisting_return,
            )
        return self._stretches[key]

    def last_scored_row(self, instant: datetime) -> int:
        """Return the last row whose target is known at ``instant``; -1 for none."""
        return last_base_row(self._trading(self.desk.panel.knowledge_at(instant)[0]), self.horizon_sessions, self.lag_sessions)

    def target(self, row: int, instant: datetime) -> FloatArray:
        """Return the neutral target of the universe of ``row`` as known at ``instant``, by which it is known."""
        # What is known of its sessions changes with corrections and with delistings learnt late, not with later sessions.
        key = row, self.desk.panel.knowledge_at(instant)[1:]
        if key not in self._targets:
            base = to_date(self.desk.panel.sessions[row])
            returns = forward_returns(
                self.desk.view(instant), self.members(row), base, self.horizon_sessions, self.lag_sessions
            )
            self._targets[key] = neutral_target(returns, self.exposures(row))
        return self._targets[key]

    def _trading(self, rows: int) -> BoolArray:
        """Return which exchange trades on which of the first rows, (rows, exchanges): the calendar is known ahead."""
        trading = self.desk.panel.trading
        return np.ones((rows, 1), dtype=np.bool_) if trading is None else trading[:rows]
