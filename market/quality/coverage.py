"""How much of the market a batch covers: by session, by ticker, and of a universe. Nothing here sets a row aside.

A row that was set aside, or that nobody traded at, is not covered: the panel then has no price there, the target's return is
unknown, and a round with too few returns is held.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from market.arrays import BoolArray, DateArray, FloatArray, IntArray, StrArray, readonly
from market.batch import PriceRows
from market.quality.cells import NO_SESSION, Placed
from market.quality.faults import VERDICTS, Fault, Found, Severity, VerdictArray, of_batch, of_prices
from market.quality.known import KnownMarket, StateArray, places_of
from market.quality.rules import QualityRules


@dataclass(frozen=True, slots=True, eq=False)
class SessionCoverage:
    """Rows of each session of each exchange, all (s,), sorted by date and exchange.

    ``expected`` counts the tickers that were asked for or had a row within the last sessions; ``accepted`` (or known already),
    ``unused`` (no trade) and ``quarantined`` count rows.
    """

    exchanges: StrArray
    dates: DateArray
    expected: IntArray
    accepted: IntArray
    unused: IntArray
    quarantined: IntArray

    @property
    def share(self) -> FloatArray:
        """Accepted part of what was expected; 1 where nothing was."""
        return np.where(self.expected > 0, self.accepted / np.maximum(self.expected, 1), 1.0)


class Idle(NamedTuple):
    """Findings about sessions without trade, and the run of them that each ticker ends with (n,)."""

    found: list[Found]
    runs: IntArray


def gaps(prices: PriceRows, placed: Placed, rows: IntArray, since: IntArray) -> list[Found]:
    """Return rows before which sessions are missing: ``rows`` (m,) positions, ``since`` (m,) the session before each, or −1."""
    missing = placed.session[rows] - since - 1
    hit = (since >= 0) & (missing > 0)
    if not hit.any():
        return []
    return [of_prices(prices, Fault.GAP, rows[hit], "date", missing[hit].astype(np.float64))]


def idle_weeks(prices: PriceRows, placed: Placed, rows: IntArray, idle: BoolArray, state: StateArray, week: int) -> Idle:
    """Return rows at which a ticker has had no trade for another whole week of sessions.

    Parameters
    ----------
    rows : (m,) int64
        Positions of all rows on sessions, sorted by ticker and date.
    idle : (m,) bool
        Rows without trade.
    state : (n,) records
        ``idle`` counts the sessions without trade before.
    week : int
        Sessions.
    """
    runs = state["idle"].astype(np.int64)
    if rows.size == 0:
        return Idle([], runs)
    code = placed.code[rows]
    head = np.concatenate([[True], code[1:] != code[:-1]])
    at = np.arange(rows.size)
    begin = np.maximum.accumulate(np.where(head, at, 0))
    busy = np.maximum.accumulate(np.where(~idle, at, -1))
    run = np.where(busy >= begin, at - busy, at - begin + 1 + runs[code])
    tail = np.concatenate([head[1:], [True]])
    runs[code[tail]] = run[tail]
    hit = idle & (run > 0) & (run % week == 0)
    found = [of_prices(prices, Fault.ZERO_VOLUME_WEEK, rows[hit], "volume", run[hit].astype(np.float64))] if hit.any() else []
    return Idle(found, runs)


def session_coverage(
    placed: Placed, verdicts: VerdictArray, known: KnownMarket, state: StateArray, ended: DateArray,
    rules: QualityRules,
) -> SessionCoverage:  # fmt: skip
    """Count the rows of each session.

    Parameters
    ----------
    placed : Placed
        The batch's rows.
    verdicts : (r,) int8
    known : KnownMarket
    state : (n,) records
        The trail before the batch.
    ended : (n,) datetime64[D]
        First day without a listing; NaT for none.
    rules : QualityRules
    """
    asked = places_of(np.unique(known.expected), placed.tickers)
    unheard = int((~asked[1]).sum())
    wanted = np.zeros(placed.tickers.shape[0], dtype=np.bool_)
    wanted[asked[0][asked[1]]] = True
    tables = []
    exchange = placed.exchange
    for at, name in enumerate(placed.exchanges):
        rows = np.flatnonzero((exchange == at) & (placed.session != NO_SESSION))
        if rows.size == 0:
            continue
        calendar = known.calendars[name].sessions
        begin, size = int(placed.session[rows].min()), int(np.ptp(placed.session[rows])) + 1
        place = placed.session[rows] - begin
        counts = [np.bincount(place[verdicts[rows] == kind], minlength=size) for kind in VERDICTS]
        expected = _expected(
            placed, rows, place, size, calendar, begin, state, ended, wanted & (placed.exchange_of == at), rules
        )
        expected += unheard if name == known.exchange else 0
        kept = counts[0] + counts[1] + counts[2] > 0
        kept |= expected > 0
        days = calendar[begin : begin + size]
        tables.append((np.full(int(kept.sum()), name), days[kept], expected[kept], *(c[kept] for c in counts)))
    if not tables:
        nothing = np.empty(0, dtype=np.int64)
        return SessionCoverage(np.empty(0, np.str_), np.empty(0, "datetime64[D]"), nothing, nothing, nothing, nothing)
    columns = [np.concatenate(parts) for parts in zip(*tables, strict=True)]
    order = np.lexsort((columns[0], columns[1]))
    return SessionCoverage(*(readonly(column[order]) for column in columns))


def _expected(
    placed: Placed, rows: IntArray, place: IntArray, size: int, calendar: DateArray, begin: int, state: StateArray,
    ended: DateArray, wanted: BoolArray, rules: QualityRules,
) -> IntArray:  # fmt: skip
    """Tickers (size,) expected on each session: each row makes its ticker expected for some sessions, a delisting ends that."""
    code, reach = placed.code[rows], rules.live_gap_sessions
    seen = np.searchsorted(calendar, state["seen"]) - begin
    heard = np.flatnonzero(~np.isnat(state["seen"]) & (placed.exchange_of == placed.exchange_of[code[0]]))
    code, place = np.concatenate([code, heard]), np.concatenate([place, seen[heard]])
    if ((code[1:] < code[:-1]) | (code[1:] == code[:-1]) & (place[1:] < place[:-1])).any():
        order = np.lexsort((place, code))
        code, place = code[order], place[order]
    stop = np.full(placed.tickers.shape[0], size, dtype=np.int64)
    gone = ~np.isnat(ended)
    stop[gone] = np.searchsorted(calendar, ended[gone]) - begin
    until = np.minimum(place + reach + 1, stop[code])
    same = code[1:] == code[:-1]
    until[:-1][same] = np.minimum(until[:-1][same], place[1:][same])
    # who was asked for is expected always, and not counted twice
    always = wanted[code]
    begins, ends = np.clip(place[~always], 0, size), np.clip(until[~always], 0, size)
    ends = np.maximum(begins, ends)
    change = np.bincount(begins, minlength=size + 1) - np.bincount(ends, minlength=size + 1)
    lasting = np.bincount(np.clip(stop[wanted], 0, size), minlength=size + 1)
    return np.asarray(np.cumsum(change)[:size] + int(wanted.sum()) - np.cumsum(lasting)[:size], dtype=np.int64)


def thin_sessions(coverage: SessionCoverage, rules: QualityRules) -> list[Found]:
    """Return a finding for each session of which too small a part is covered."""
    share = coverage.share
    return [
        of_batch(Fault.TICKERS_MISSING, day=coverage.dates[at], column=str(coverage.exchanges[at]), value=float(share[at]))
        for at in np.flatnonzero(share < rules.coverage_share_min).tolist()
    ]


def unanswered(placed: Placed, known: KnownMarket, rules: QualityRules) -> list[Found]:
    """Return the finding that too few of the tickers that were asked for have a row; it refuses the batch."""
    asked = np.unique(known.expected)
    if asked.shape[0] == 0:
        return []
    share = float(places_of(asked, placed.tickers)[1].mean())
    if share >= rules.answered_share_min:
        return []
    return [of_batch(Fault.TICKERS_MISSING, column="tickers", value=share, severity=Severity.REFUSE)]


def stale_tickers(placed: Placed, known: KnownMarket, state: StateArray, ended: DateArray, rules: QualityRules) -> list[Found]:
    """Return tickers whose last row is sessions behind what should be there.

    ``state`` (n,) is the trail after the batch. Without an instant of judging, the batch's own last session is what should be
    there. Silence is never read as a delisting: only an event ends a listing.
    """
    found = []
    for at, name in enumerate(placed.exchanges):
        calendar = known.calendars[name]
        mine = (placed.exchange_of == at) & ~np.isnat(state["seen"])
        if not mine.any():
            continue
        seen = np.searchsorted(calendar.sessions, state["seen"])
        newest = int(seen[mine].max())
        if known.judged_at is not None:
            newest = int(np.searchsorted(calendar.closes, known.judged_at, side="left")) - 1
        behind = newest - seen
        gone = ~np.isnat(ended)
        late = mine & (behind >= rules.stale_sessions) & ~(gone & (ended > state["seen"]))
        for ticker in np.flatnonzero(late).tolist():
            day = state["seen"][ticker]
            name_of = str(placed.tickers[ticker])
            found.append(of_batch(Fault.STALE_ANSWER, ticker=name_of, day=day, column="sessions", value=float(behind[ticker])))
    return found
