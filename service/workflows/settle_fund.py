"""Settle the fund: carry its book through every session that is known and not settled yet.

1. *load* the book, the decisions that wait for their fill, the panel as known now.
2. *decide*, session by session, with :func:`portfolio.simulate.step`: a decision is filled at the open of its fill session, and
   at no other; delisted names are closed by the event's return; halted names stay.
3. *commit* the sessions, the book, who earned what (:mod:`service.attribution`) and the filled decisions in one transaction.

Decision instant: the clock's; each session uses its own returns, known after its close. Settling again adds only new sessions.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from market.arrays import FloatArray, IntArray
from market.panel import PanelView
from portfolio.attribution import session_of
from portfolio.book import BookState, Liquidity, costs_of
from portfolio.mandate import Mandate
from portfolio.simulate import DayRecord, step
from service.attribution import BookedSession, SessionLines
from service.book import put_book, read_book
from service.context import Platform
from service.store import fund
from service.store.records import FundDayRecord, RebalanceRecord
from service.workflows.rebalance import Decision, load_fund_mandate, read_decision

SIGMA_SESSIONS = 63
"""Sessions over which the volatility in the impact cost is measured: one quarter."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a settlement did: the sessions it added, and the decisions it filled."""

    sessions: tuple[date, ...]
    filled: tuple[str, ...]


def settle_fund(platform: Platform, through: date | None = None) -> Settlement:
    """Carry the book through all known sessions up to ``through``, or up to the last one known.

    Nothing happens before the first decision: a fund without a mandate to trade has no sessions.
    """
    now = platform.clock.now()
    view = platform.desk.view(now)
    with platform.store.write() as connection:
        book, settled = read_book(connection, platform)
        decisions = fund.list_rebalances(connection)
        rows = _rows(view, settled, decisions, through)
        if not rows:
            return Settlement((), ())
        carry = _Carry(platform, view, load_fund_mandate(platform), decisions, SessionLines(platform, connection, book))
        days = []
        for row in rows:
            book, day = carry.session(book, row)
            days.append(day)
        fund.put_fund_days(connection, days)
        for record in carry.filled:
            fund.advance_rebalance(connection, record.id, ("approved",), "filled")
        put_book(connection, platform, book, days[-1].session)
        carry.lines.put(connection, days[-1].session)
    return Settlement(tuple(d.session for d in days), tuple(r.id for r in carry.filled))


def _rows(view: PanelView, settled: date | None, decisions: list[RebalanceRecord], through: date | None) -> range:
    """Return the rows of the sessions to settle: after the last settled one, or from the first fill on."""
    fills = [d.fill_session for d in decisions if d.fill_session is not None]
    if settled is None and not fills:
        return range(0)
    first = int(np.searchsorted(view.sessions, np.datetime64(min(fills) if settled is None else settled, "D")))
    last = len(view.sessions)
    if through is not None:
        last = int(np.searchsorted(view.sessions, np.datetime64(through, "D"), side="right"))
    return range(first if settled is None else first + 1, last)


class _Carry:
    """Carries a book over the panel's sessions and remembers the exposures of the latest decision."""

    def __init__(
        self,
        platform: Platform,
        view: PanelView,
        mandate: Mandate,
        decisions: list[RebalanceRecord],
        lines: SessionLines,
    ) -> None:
        self.platform, self.view, self.mandate, self.lines = platform, view, mandate, lines
        self.costs = costs_of(mandate)
        self.by_fill = {d.fill_session: d for d in decisions}
        self.filled: list[RebalanceRecord] = []
        past = [d for d in decisions if d.state == "filled"]
        self.latest: Decision | None = read_decision(platform, past[-1]) if past else None

    def session(self, book: BookState, row: int) -> tuple[BookState, FundDayRecord]:
        """Carry ``book`` through the session at ``row`` of the view."""
        session: date = self.view.sessions[row].astype("datetime64[D]").item()
        record, exposed = self.by_fill.get(session), self.latest
        if record is not None:
            self.latest = read_decision(self.platform, record)
            self.filled.append(record)
        held = book.asset_ids[book.positions != 0]
        wanted = self.latest.asset_ids if record is not None and self.latest is not None else held
        asset_ids = np.union1d(held, wanted)
        positions = self.platform.desk.positions_of(asset_ids)
        target = None
        if record is not None and self.latest is not None:
            target = np.zeros(len(asset_ids))
            target[np.searchsorted(asset_ids, self.latest.asset_ids)] = self.latest.weights
        before, delisting = book.reindexed(asset_ids), self._delisting(row, positions)
        overnight, intraday = (r[row, positions] for r in (self.view.overnight_returns(), self.view.intraday_returns()))
        after, day = step(
            before,
            overnight,
            intraday,
            self.costs,
            target=target,
            halted=~self.view.traded[row, positions],
            delisting=delisting,
            liquidity=None if target is None else self._liquidity(row, positions),
        )
        returns, filled = session_of(overnight, intraday, delisting), None if record is None else self.latest
        self.lines.add(BookedSession(session, before, after, returns, day, exposed, filled, target))
        return after, FundDayRecord(session, day.equity, day.gross_pnl, day.costs, self._exposures(after, day, row))

    def _delisting(self, row: int, positions: IntArray) -> FloatArray:
        gone = self.view.delisting_index[positions] == row
        return np.where(gone, self.view.delisting_return[positions], np.nan)

    def _liquidity(self, row: int, positions: IntArray) -> Liquidity:
        """Return volume and volatility as known before the session at ``row``."""
        window = self.platform.settings.universe.adv_window_sessions
        volume = np.nan_to_num(self.view.dollar_volume()[max(row - window, 0) : row, positions])
        returns = self.view.total_returns()[max(row - SIGMA_SESSIONS, 0) : row, positions]
        return Liquidity(np.median(volume, axis=0), np.nan_to_num(returns).std(axis=0))

    def _exposures(self, book: BookState, day: DayRecord, row: int) -> dict[str, float]:
        """Return what the report needs of a close: net, gross, turnover, the market's return, drifted factor exposures."""
        equity = day.equity
        found = {
            "net": (day.long_value + day.short_value) / equity,
            "gross": (day.long_value - day.short_value) / equity,
            "turnover": day.traded / day.equity_open,
            "market_return": self._market_return(row),
        }
        if self.latest is None:
            return found
        names: dict[str, Any] = self.latest.evidence["exposures"]
        loadings = self.platform.blobs.get_array(self.latest.evidence["exposures_sha256"])
        weights = np.zeros(len(self.latest.asset_ids))
        known = np.isin(book.asset_ids, self.latest.asset_ids)
        weights[np.searchsorted(self.latest.asset_ids, book.asset_ids[known])] = book.weights[known]
        return found | {f"factor:{n}": float(v) for n, v in zip(names, weights @ loadings, strict=True)}

    def _market_return(self, row: int) -> float:
        """Return the mean return of the assets that traded on this session and the one before."""
        both = self.view.traded[row] & self.view.traded[row - 1]
        returns = self.view.total_returns()[row, both]
        return float(returns.mean()) if returns.size else 0.0
