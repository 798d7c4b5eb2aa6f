"""The walk: a source's decisions, one after the other, each filled at the next session and lived through to the one after.

It is not the simulation of a session (:mod:`portfolio.simulate`) nor the decision on a book (:mod:`service.decide`): it is the
order of time between them.

1. At a moment of the source the book is carried to the evening, with the sessions since as known on that evening.
2. The score, the holdings and the record of scores that were known become a target, by the mandate.
3. The target waits for the next session: it is filled at its open, or at its close where the spec says so.
4. After the last moment the book is carried to the end.

Decision instant: each moment's own; nothing in a target was learnt after it. The equity of a session is known when the session
is, or later where the next evening is later, never earlier.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import BoolArray, DateArray, FloatArray, IntArray
from market.calendars import to_date
from portfolio.alpha import shrunk_ic
from portfolio.attribution import Lines, session_of
from portfolio.book import BookState, Liquidity, TradingCosts, costs_of
from portfolio.ladder import Solution, solve
from portfolio.mandate import Mandate
from portfolio.problem import RebalanceProblem
from portfolio.simulate import BacktestResult, DayRecord, collect, step
from service.backtest.evenings import Evenings, Stretch
from service.backtest.lines import Loadings, Owned, WalkedSession, WalkLines
from service.backtest.sources import Moment, Opinion, Source
from service.backtest.spec import BacktestSpec, Fill
from service.decide import DecisionMarket, decision_problem
from service.ownership import owned_weights
from service.progress import Progress, Silent

BAND_TOLERANCE = 1e-8
"""Excess over a band that is still rounding, as in :mod:`portfolio.verify`."""


@dataclass(frozen=True, slots=True, eq=False)
class WalkDecision:
    """One decision of a walk.

    Attributes
    ----------
    session, fill_session : date
        After whose close it was made; in which it is filled.
    positions, weights : (h,)
        Places on the panel's axis and target weights, of what is to be held.
    status : str
        Of the solution.
    broken : dict
        Limits that gave way, with the excess.
    ic : float
        Information coefficient that was acted on.
    turnover : float
        Σ|w − w0| that is asked for.
    exposures : (k,) float64
        B'w of the target, before any trade.
    factors, kinds : tuple of str, length k
        Their names, and the kind of each.
    beyond : dict
        Kinds of factors whose exposure lies outside its band, with the largest excess.
    frozen : (f,) int64
        Places of the holdings that could not be changed.
    """

    session: date
    fill_session: date
    positions: IntArray
    weights: FloatArray
    status: str
    broken: dict[str, float]
    ic: float
    turnover: float
    exposures: FloatArray
    factors: tuple[str, ...]
    kinds: tuple[str, ...]
    beyond: dict[str, float]
    frozen: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """What came of a walk over T sessions.

    Attributes
    ----------
    sessions : (T,) datetime64[D]
        From the first fill on.
    result : BacktestResult
    decisions : tuple of WalkDecision
    market_returns : (T,) float64
        Mean return of the universe of the decision before.
    factors : tuple of str
    factor_exposures : (T, k) float64
        Of the book at each close, by the exposures of its decision; NaN for a factor that did not exist then.
    silent : int
        Moments at which the source said too little to act on; the book stayed.
    by_factor, by_model : Lines or None
        Who earned what, (T, …) each, where that was asked for; by model where the source speaks for several.
    """

    sessions: DateArray
    result: BacktestResult
    decisions: tuple[WalkDecision, ...]
    market_returns: FloatArray
    factors: tuple[str, ...]
    factor_exposures: FloatArray
    silent: int
    by_factor: Lines | None = None
    by_model: Lines | None = None


@dataclass(slots=True)
class _Pending:
    row: int
    target: FloatArray
    liquidity: Liquidity
    owned: Owned | None = None


@dataclass(slots=True)
class _Path:
    """The book on its way, and what is written down of each session."""

    book: BookState
    costs: TradingCosts
    fill: Fill
    next_row: int
    pending: list[_Pending] = field(default_factory=list)
    members: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    loadings: Loadings | None = None
    lines: WalkLines | None = None
    sessions: list[np.datetime64] = field(default_factory=list)
    records: list[DayRecord] = field(default_factory=list)
    market: list[float] = field(default_factory=list)
    exposures: list[dict[str, float]] = field(default_factory=list)

    def carry(self, stretch: Stretch) -> None:
        """Carry the book through the sessions of ``stretch``, and fill what waits for one of them."""
        for at, row in enumerate(stretch.rows):
            self.next_row = row + 1
            waiting = [one for one in self.pending if one.row <= row]
            due = waiting[-1] if waiting else None
            if due is None and not self.records:
                continue  # nothing was ever asked for: the capital lies still
            first, second = stretch.overnight[at], stretch.intraday[at]
            gone = (stretch.gone_row >= 0) & (stretch.gone_row <= row)
            before, delisting = self.book, np.where(gone, stretch.gone_return, np.nan)
            target, owned = (None, None) if due is None else (due.target, due.owned)
            self.book, record = step(
                before,
                first,
                second,
                self.costs,
                target=target,
                halted=~stretch.traded[at],
                delisting=delisting,
                liquidity=None if due is None else due.liquidity,
                fill=self.fill.value,
            )
            self.pending = [one for one in self.pending if one.row > row]
            if self.lines is not None:
                returns = session_of(first, second, delisting)
                self.lines.add(WalkedSession(before, self.book, returns, record, self.fill, self.loadings, target, owned))
            self._write_down(stretch.sessions[at], record, (1.0 + first) * (1.0 + second) - 1.0, stretch.traded[at])

    def _write_down(self, session: np.datetime64, record: DayRecord, total: FloatArray, traded: FloatArray) -> None:
        self.sessions.append(session)
        self.records.append(record)
        seen = self.members[traded[self.members] & np.isfinite(total[self.members])]
        self.market.append(float(total[seen].mean()) if seen.size else 0.0)
        if self.loadings is not None:
            held = self.book.weights[self.loadings.positions] @ self.loadings.values
            self.exposures.append(dict(zip(self.loadings.names, held.tolist(), strict=True)))


def walk(
    evenings: Evenings,
    source: Source,
    spec: BacktestSpec,
    progress: Progress | None = None,
    *,
    last_row: int | None = None,
    with_lines: bool = False,
) -> Walk:
    """Walk a source's decisions forward.

    Parameters
    ----------
    evenings : Evenings
    source : Source
    spec : BacktestSpec
        Its signal is not read: ``source`` is it. Its deaths are not made: the panel of ``evenings`` has them.
    progress : Progress, optional
    last_row : int, optional
        Last row of the panel that may be looked at; that of ``spec.last``, or the panel's last one, otherwise.
    with_lines : bool
        Whether who earned what is worked out, which changes no other number.

    Returns
    -------
    Walk

    Raises
    ------
    InputRejected
        ROWS_TOO_FEW when no date lies between the first and the last, too little is said on all of them to decide anything, or
        nothing that was decided is filled by their end.
    """
    progress = progress or Silent()
    panel = evenings.desk.panel
    end = _last_row(panel.sessions, spec.last) if last_row is None else last_row
    mandate = spec.acting_mandate
    spaced = source.moments(mandate.sessions_per_rebalance, spec.first, spec.last)
    moments = _waited(evenings, [m for m in spaced if m.row < end], mandate.decision_minutes_after_close)
    if not moments:
        raise InputRejected(
            Code.ROWS_TOO_FEW, "There is no date between the first and the last on which a book can be decided."
        )
    progress.start(len(moments), f"Walking {spec.source}")
    ids = np.asarray(panel.assets.asset_ids)
    path = _Path(BookState.opening(ids, mandate.aum), costs_of(mandate), spec.fill, moments[0].row + 1)
    path.lines = WalkLines() if with_lines else None
    decisions: list[WalkDecision] = []
    for moment in moments:
        path.carry(evenings.stretch(path.next_row, moment.instant))
        opinion = source.opinion(moment)
        if opinion is not None and path.book.equity > 0:
            ic = shrunk_ic(source.record(moment), mandate.information_coefficient, mandate.ic_prior_rounds)
            decisions.append(_decide(evenings, path, mandate, source, moment, opinion, ic))
        progress.advance(str(panel.sessions[moment.row]))
    if not decisions:
        raise InputRejected(Code.ROWS_TOO_FEW, f"On no date was enough said to decide a book; dates asked: {len(moments)}.")
    path.carry(evenings.stretch(path.next_row, evenings.close_instant(end)))
    if not path.records:
        raise InputRejected(Code.ROWS_TOO_FEW, "Nothing that was decided between the dates is filled by their end.")
    return _finished(path, mandate.aum, decisions, len(moments) - len(decisions))


def _last_row(sessions: DateArray, last: date | None) -> int:
    return len(sessions) - 1 if last is None else int(np.searchsorted(sessions, np.datetime64(last, "D"), side="right")) - 1


def _waited(evenings: Evenings, moments: list[Moment], minutes: int) -> list[Moment]:
    """Return the moments no earlier than ``minutes`` after their session's close.

    One at which a later session is known by then decides nothing, as a live fund would not any more.
    """
    if minutes == 0:
        return moments
    panel, found = evenings.desk.panel, []
    for moment in moments:
        session, calendar = to_date(panel.sessions[moment.row]), evenings.desk.home_calendar(moment.instant)
        if not calendar.sessions_between(session, session):
            # A session of other exchanges alone: the fund's own keeps a holiday, and its last close is longer ago.
            found.append(moment)
            continue
        close = calendar.close_at(session)
        waited = replace(moment, instant=max(moment.instant, close + timedelta(minutes=minutes)))
        if panel.knowledge_at(waited.instant)[0] == moment.row + 1:
            found.append(waited)
    return found


def _decide(
    evenings: Evenings, path: _Path, mandate: Mandate, source: Source, moment: Moment, opinion: Opinion, ic: float
) -> WalkDecision:
    """Decide a book on the path's holdings, let it wait for its session, and return what was decided."""
    desk, evening = evenings.desk, evenings.evening(moment.instant)
    held = np.flatnonzero(path.book.positions)
    whole = evenings.market(moment.instant, np.union1d(opinion.positions, held))
    market = whole.cut(np.isin(whole.positions, opinion.positions) | np.isin(whole.positions, held))
    inside = np.isin(market.positions, opinion.positions)
    score = np.zeros(len(market.positions))
    score[inside] = opinion.score[np.isin(opinion.positions, market.positions)]
    w0 = path.book.weights[market.positions]
    problem = decision_problem(
        mandate,
        market,
        score,
        w0,
        equity=path.book.equity,
        ic=ic,
        in_universe=inside,
        horizon_sessions=evenings.horizon_sessions,
    )
    solution = solve(problem)
    fill = desk.calendar(moment.instant).next_open_after(moment.instant)
    row = int(np.searchsorted(desk.panel.sessions, np.datetime64(fill, "D")))
    target = np.zeros(len(desk.panel.assets))
    target[market.positions] = solution.weights
    owned = (
        None
        if path.lines is None
        else _owned(evenings, source, moment, market, problem, solution, inside, ic, mandate.sessions_per_rebalance)
    )
    path.pending.append(_Pending(row, target, evening.liquidity, owned))
    path.members = evening.members
    path.loadings = Loadings(market.model.factor_names, market.model.factor_kinds, market.positions, market.model.B)
    when = to_date(desk.panel.sessions[moment.row]), fill
    return _told(mandate, market, solution, problem, ic, when)


def _owned(
    evenings: Evenings,
    source: Source,
    moment: Moment,
    market: DecisionMarket,
    problem: RebalanceProblem,
    solution: Solution,
    inside: BoolArray,
    ic: float,
    period_sessions: int,
) -> Owned | None:
    """Return what each model owns of the decided book; None for a source of one voice."""
    assets = evenings.desk.panel.assets
    split = source.parts(moment, np.asarray(assets.asset_ids)[market.positions])
    if split is None:
        return None
    weights = np.zeros((len(split.names) + 1, len(assets)))
    weights[:, market.positions] = owned_weights(
        split,
        market.model,
        problem,
        solution,
        ic=ic,
        horizon_sessions=evenings.horizon_sessions,
        period_sessions=period_sessions,
        leaving=~inside,
    )
    return Owned(split.names, split.tournaments, weights)


def _told(
    mandate: Mandate, market: DecisionMarket, solution: Solution, problem: RebalanceProblem, ic: float, when: tuple[date, date]
) -> WalkDecision:
    kept = np.flatnonzero(solution.weights)
    model = market.model
    exposures: FloatArray = model.B.T @ solution.weights
    return WalkDecision(
        session=when[0],
        fill_session=when[1],
        positions=market.positions[kept],
        weights=solution.weights[kept],
        status=solution.status,
        broken=dict(solution.violations),
        ic=ic,
        turnover=float(np.abs(solution.weights - problem.w0).sum()),
        exposures=exposures,
        factors=model.factor_names,
        kinds=model.factor_kinds,
        beyond=_beyond(mandate, model.factor_kinds, exposures),
        frozen=market.positions[problem.frozen],
    )


def _beyond(mandate: Mandate, kinds: Sequence[str], exposures: FloatArray) -> dict[str, float]:
    """Return the kinds of factors whose exposure lies outside the mandate's band, with the largest excess."""
    bands = mandate.factor_bands
    found: dict[str, float] = {}
    for kind, value in zip(kinds, exposures.tolist(), strict=True):
        excess = abs(value - (mandate.beta_target if kind == "beta" else 0.0)) - bands.get(kind, np.inf)
        if excess > BAND_TOLERANCE:
            found[kind] = max(excess, found.get(kind, 0.0))
    return found


def _finished(path: _Path, capital: float, decisions: list[WalkDecision], silent: int) -> Walk:
    names = tuple(dict.fromkeys(name for told in path.exposures for name in told))
    drifted = np.array([[told.get(name, np.nan) for name in names] for told in path.exposures], dtype=np.float64)
    return Walk(
        sessions=np.array(path.sessions, dtype="datetime64[D]"),
        result=collect(capital, path.records, final=path.book),
        decisions=tuple(decisions),
        market_returns=np.array(path.market, dtype=np.float64),
        factors=names,
        factor_exposures=drifted.reshape(len(path.records), len(names)),
        silent=silent,
        by_factor=None if path.lines is None else path.lines.by_factor,
        by_model=None if path.lines is None else path.lines.by_model,
    )
