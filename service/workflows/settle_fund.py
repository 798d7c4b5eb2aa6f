"""Settle the fund: carry its book through every session that is known and not settled yet.

1. *load* the book, the decisions that were sent, the panel as known now. What was not sent by its open expires: the book stays.
2. *decide*, session by session, with :func:`portfolio.simulate.step`: the broker tells what it filled of a decision's orders
   at the open of their session, and the book goes to the weights that were reached; what was not filled stays as it is;
   delisted names are closed by the event's return. A book in whole shares is carried by its shares and their prices, and gets
   dividends in cash (:mod:`portfolio.wholeshares`).
3. *commit* the sessions, the book, the fills, who earned what (:mod:`service.attribution`) and the filled decisions in one
   transaction.

Decision instant: the clock's; each session uses its own returns, known after its close. Settling again adds only new sessions.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict
from market.arrays import BoolArray, FloatArray, IntArray, StrArray
from market.panel import PanelView
from portfolio.attribution import session_of
from portfolio.book import BookState, costs_of
from portfolio.lifecycle import TRADED, RebalanceState, RebalanceStep, may
from portfolio.mandate import Mandate
from portfolio.paperfills import OpenMarket
from portfolio.simulate import DayRecord, step
from portfolio.wholeshares import ShareSession, share_session, shares_of
from service.attribution import BookedSession, SessionLines
from service.book import ShareCount, counted_now, put_book, read_book, read_shares
from service.broker import Broker, PaperBroker, SessionMarket
from service.context import Platform
from service.decisions import Decision, load_fund_mandate, loadings_of, read_decision
from service.liquidity import liquidity_before
from service.orders import WHOLE, refuse_total_return
from service.store import audit, fund, orders
from service.store.records import FillRecord, FundDayRecord, RebalanceRecord


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a settlement did: the sessions it added, the decisions it filled, and those that expired."""

    sessions: tuple[date, ...]
    filled: tuple[str, ...]
    expired: tuple[str, ...] = ()


def settle_fund(platform: Platform, through: date | None = None, broker: Broker | None = None) -> Settlement:
    """Carry the book through all known sessions up to ``through``, or up to the last one known.

    Nothing happens before the first decision that was sent: a fund that never traded has no sessions. The broker that is
    asked for fills is the paper broker by default.
    """
    now = platform.clock.now()
    view = platform.desk.view(now)
    with platform.store.write() as connection:
        book, settled = read_book(connection, platform)
        shares = read_shares(connection, platform) if platform.settings.fund.orders.shares == WHOLE else None
        expired = _expire(connection, now, view, fund.list_rebalances(connection))
        decisions = _followed(fund.list_rebalances(connection))
        rows = _rows(view, settled, decisions, through)
        if not rows:
            return Settlement((), (), expired)
        lines = SessionLines(platform, connection, book)
        mandate = load_fund_mandate(platform)
        if shares is not None:
            refuse_total_return(view)
        carry = _Carry(platform, connection, view, mandate, decisions, broker or PaperBroker(platform), lines, shares)
        days = []
        for row in rows:
            book, day = carry.session(book, row)
            days.append(day)
        fund.put_fund_days(connection, days)
        for record in carry.filled:
            fund.advance_rebalance(connection, record.id, RebalanceStep.FILL)
            states = Counter(o.state for o in orders.orders_of(connection, record.id))
            audit.record(connection, now, "schedule", "fill_rebalance", record.id, {"orders": dict(states)})
        put_book(connection, platform, book, days[-1].session, shares=carry.shares)
        carry.lines.put(connection, days[-1].session)
    return Settlement(tuple(d.session for d in days), tuple(r.id for r in carry.filled), expired)


def refuse_behind(platform: Platform, view: PanelView) -> None:
    """Raise Conflict BOOK_BEHIND when a session of ``view`` has not been settled, after the first decision that was sent."""
    with platform.store.read() as connection:
        _, settled = read_book(connection, platform)
        rows = _rows(view, settled, _followed(fund.list_rebalances(connection)), None)
    if rows:
        since = "before its first session" if settled is None else f"as of {settled}"
        message = f"The fund's book stands {since}, and prices are known up to {view.last_session}: run `fund settle` first."
        raise Conflict(Code.BOOK_BEHIND, message)


def _followed(decisions: list[RebalanceRecord]) -> list[RebalanceRecord]:
    """Return the decisions that the book follows, or will at their open."""
    return [d for d in decisions if d.state in TRADED | {RebalanceState.SENT}]


def _expire(connection: Connection, now: datetime, view: PanelView, decisions: list[RebalanceRecord]) -> tuple[str, ...]:
    """End the decisions that were not sent by the open that they were for."""
    found = []
    for record in decisions:
        passed = record.fill_session is not None and record.fill_session <= view.last_session
        if record.expires_at is not None:
            passed = record.expires_at <= now
        if passed and may(RebalanceStep.EXPIRE, RebalanceState(record.state)):
            fund.advance_rebalance(connection, record.id, RebalanceStep.EXPIRE)
            audit.record(connection, now, "schedule", "expire_rebalance", record.id, {"state": record.state})
            found.append(record.id)
    return tuple(found)


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
    """Carries a book over the panel's sessions and remembers the exposures of the latest decision.

    ``shares`` by asset id, of a book in whole shares; None for one in money. An asset that is held and not among them, because
    the book was one in money before, holds what its position is worth: whole shares of it, and the rest in cash.
    """

    def __init__(
        self,
        platform: Platform,
        connection: Connection,
        view: PanelView,
        mandate: Mandate,
        decisions: list[RebalanceRecord],
        broker: Broker,
        lines: SessionLines,
        shares: dict[str, ShareCount] | None = None,
    ) -> None:
        self.platform, self.connection, self.view = platform, connection, view
        self.broker, self.lines, self.costs = broker, lines, costs_of(mandate)
        self.shares = shares
        self.by_fill = {d.fill_session: d for d in decisions if d.state == RebalanceState.SENT}
        self.filled: list[RebalanceRecord] = []
        past = [d for d in decisions if d.state in TRADED]
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
        before = book.reindexed(asset_ids)
        market = self._market(row, before, None if record is None else record.as_of)
        fills = self.broker.fills(self.connection, SessionMarket(session, asset_ids, market, self.costs))
        target, halted = None, market.halted
        if record is not None:
            target, filled = self._reached(record, asset_ids, fills)
            halted = halted | ~filled
        after, day = step(
            before,
            market.overnight,
            market.intraday,
            self.costs,
            target=target,
            halted=halted,
            delisting=market.delisting,
            liquidity=None if target is None else market.liquidity,
            paid=market.paid,
        )
        self._count(after, row)
        returns = session_of(market.overnight, market.intraday, market.delisting, market.paid)
        decision = None if record is None else self.latest
        self.lines.add(BookedSession(session, before, after, returns, day, exposed, decision, target))
        return after, FundDayRecord(session, day.equity, day.gross_pnl, day.costs, self._exposures(after, day, row))

    def _reached(
        self, record: RebalanceRecord, asset_ids: StrArray, fills: Mapping[str, tuple[str, FillRecord]]
    ) -> tuple[FloatArray, BoolArray]:
        """Keep the fills with the decision's orders; return the weights (n,) that were reached, and where any was filled."""
        weights, filled = np.zeros(len(asset_ids)), np.zeros(len(asset_ids), dtype=bool)
        mine = {o.client_order_id: o.asset_id for o in orders.orders_of(self.connection, record.id)}
        told = {order_id: outcome for order_id, outcome in fills.items() if order_id in mine}
        for order_id, (state, fill) in told.items():
            if state != "unfilled":
                place = int(np.searchsorted(asset_ids, mine[order_id]))
                weights[place], filled[place] = fill.weight, True
        orders.put_fills(self.connection, told)
        # What never reached the broker, because the sending was cut short, is over with this open.
        orders.set_order_state(self.connection, sorted(mine), "cancelled")
        return weights, filled

    def _market(self, row: int, before: BookState, decided_on: date | None) -> OpenMarket:
        """Return what the open of the session at ``row`` is to the book's assets, and what was known of them before."""
        positions = self.platform.desk.positions_of(before.asset_ids)
        window = self.platform.settings.universe.adv_window_sessions
        overnight, paid = self.view.overnight_returns()[row, positions], None
        if self.shares is not None:
            moved = self._share_session(row, before, positions, self.shares)
            overnight, paid = moved.overnight, moved.paid
        return OpenMarket(
            overnight=overnight,
            paid=paid,
            intraday=self.view.intraday_returns()[row, positions],
            halted=~self.view.traded[row, positions],
            delisting=self._delisting(row, positions),
            liquidity=liquidity_before(self.view, row, window, positions),
            prices=self._open_prices(row, positions),
            split=self._split(row, positions, decided_on),
        )

    def _share_session(self, row: int, before: BookState, positions: IntArray, known: Mapping[str, ShareCount]) -> ShareSession:
        prices = self.view.share_prices(row - 1)[positions]
        shares = counted_now(known, before.asset_ids, self.view.shares_grown(row - 1)[positions])
        shares = np.where(np.isnan(shares), shares_of(before.positions, prices, np.zeros(len(positions))), shares)
        splits = self.view.splits
        return share_session(
            before.positions,
            np.where(before.positions != 0, shares, 0.0),
            prices,
            np.ones(len(positions)) if splits is None else splits[row, positions],
            self.view.total_returns()[row, positions],
            self.view.intraday_returns()[row, positions],
            self.view.paid_out(row)[positions],
        )

    def _count(self, after: BookState, row: int) -> None:
        """Count the shares at the close of the session, of a book in shares."""
        if self.shares is None:
            return
        positions = self.platform.desk.positions_of(after.asset_ids)
        grown = self.view.shares_grown(row)[positions]
        before = np.nan_to_num(counted_now(self.shares, after.asset_ids, grown))
        counted = shares_of(after.positions, self.view.share_prices(row)[positions], before)
        self.shares = {
            str(asset): ShareCount(float(n), float(g)) for asset, n, g in zip(after.asset_ids, counted, grown, strict=True) if n
        }

    def _open_prices(self, row: int, positions: IntArray) -> FloatArray:
        """Return opens in the currency of the fund: the close's value, less the move since the open. NaN without a trade."""
        volume = self.view.volume[row, positions]
        with np.errstate(divide="ignore", invalid="ignore"):
            close = np.where(volume > 0, self.view.dollar_volume()[row, positions] / volume, np.nan)
            opened: FloatArray = close / (1.0 + self.view.intraday_returns()[row, positions])
        return opened

    def _split(self, row: int, positions: IntArray, decided_on: date | None) -> FloatArray:
        if decided_on is None or self.view.splits is None:
            return np.ones(len(positions))
        since = (self.view.sessions > np.datetime64(decided_on, "D")) & (np.arange(len(self.view.sessions)) <= row)
        grown: FloatArray = np.prod(self.view.splits[since][:, positions], axis=0)
        return grown

    def _delisting(self, row: int, positions: IntArray) -> FloatArray:
        # One that is learnt after its own session closes what is held of it in the next.
        gone = (self.view.delisting_index[positions] >= 0) & (self.view.delisting_index[positions] <= row)
        return np.where(gone, self.view.delisting_return[positions], np.nan)

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
        loadings = loadings_of(self.platform, self.latest.evidence)
        weights = np.zeros(len(self.latest.asset_ids))
        known = np.isin(book.asset_ids, self.latest.asset_ids)
        weights[np.searchsorted(self.latest.asset_ids, book.asset_ids[known])] = book.weights[known]
        return found | {f"factor:{n}": float(v) for n, v in zip(loadings.names, weights @ loadings.values, strict=True)}

    def _market_return(self, row: int) -> float:
        """Return the mean return of the assets that traded on this session and the one before."""
        both = self.view.traded[row] & self.view.traded[row - 1]
        returns = self.view.total_returns()[row, both]
        return float(returns.mean()) if returns.size else 0.0
