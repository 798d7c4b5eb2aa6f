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
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import DateArray, FloatArray, IntArray
from market.calendars import to_date
from portfolio.alpha import shrunk_ic
from portfolio.book import BookState, Liquidity, TradingCosts, costs_of
from portfolio.ladder import Solution, solve
from portfolio.mandate import Mandate
from portfolio.simulate import BacktestResult, DayRecord, collect, step
from service.backtest.evenings import Evenings, Stretch
from service.backtest.sources import Moment, Opinion, Source
from service.backtest.spec import BacktestSpec, Fill
from service.decide import DecisionMarket, decision_problem
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
    beyond : dict
        Kinds of factors whose exposure lies outside its band, with the largest excess.
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
    beyond: dict[str, float]


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
    """

    sessions: DateArray
    result: BacktestResult
    decisions: tuple[WalkDecision, ...]
    market_returns: FloatArray
    factors: tuple[str, ...]
    factor_exposures: FloatArray
    silent: int


@dataclass(slots=True)
class _Pending:
    row: int
    target: FloatArray
    liquidity: Liquidity


@dataclass(slots=True)
class _Path:
    """The book on its way, and what is written down of each session."""

    book: BookState
    costs: TradingCosts
    fill: Fill
    next_row: int
    pending: _Pending | None = None
    members: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    loadings: tuple[tuple[str, ...], IntArray, FloatArray] | None = None
    sessions: list[np.datetime64] = field(default_factory=list)
    records: list[DayRecord] = field(default_factory=list)
    market: list[float] = field(default_factory=list)
    exposures: list[dict[str, float]] = field(default_factory=list)

    def carry(self, stretch: Stretch) -> None:
        """Carry the book through the sessions of ``stretch``, and fill what waits for one of them."""
        for at, row in enumerate(stretch.rows):
            self.next_row = row + 1
            due = self.pending if self.pending is not None and self.pending.row <= row else None
            if due is None and not self.records:
                continue  # nothing was ever asked for: the capital lies still
            first, second = stretch.overnight[at], stretch.intraday[at]
            gone = (stretch.gone_row >= 0) & (stretch.gone_row <= row)
            self.book, record = step(
                self.book,
                first,
                second,
                self.costs,
                target=None if due is None else due.target,
                halted=~stretch.traded[at],
                delisting=np.where(gone, stretch.gone_return, np.nan),
                liquidity=None if due is None else due.liquidity,
                fill=self.fill.value,
            )
            if due is not None:
                self.pending = None
            self._write_down(stretch.sessions[at], record, (1.0 + first) * (1.0 + second) - 1.0, stretch.traded[at])

    def _write_down(self, session: np.datetime64, record: DayRecord, total: FloatArray, traded: FloatArray) -> None:
        self.sessions.append(session)
        self.records.append(record)
        seen = self.members[traded[self.members] & np.isfinite(total[self.members])]
        self.market.append(float(total[seen].mean()) if seen.size else 0.0)
        if self.loadings is not None:
            names, positions, loadings = self.loadings
            held = self.book.weights[positions] @ loadings
            self.exposures.append(dict(zip(names, held.tolist(), strict=True)))


def walk(
    evenings: Evenings, source: Source, spec: BacktestSpec, progress: Progress | None = None, *, last_row: int | None = None
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

    Returns
    -------
    Walk

    Raises
    ------
    InputRejected
        ROWS_TOO_FEW when nothing is ever decided between the dates, or nothing that was decided is filled by their end.
    """
    progress = progress or Silent()
    panel = evenings.desk.panel
    end = _last_row(panel.sessions, spec.last) if last_row is None else last_row
    mandate = spec.acting_mandate
    moments = [
        m for m in source.moments(mandate.sessions_per_rebalance) if _inside(panel.sessions[m.row], spec) and m.row < end
    ]
    if not moments:
        raise InputRejected(
            Code.ROWS_TOO_FEW, "There is no date between the first and the last on which a book can be decided."
        )
    progress.start(len(moments), f"Walking {spec.source}")
    ids = np.asarray(panel.assets.asset_ids)
    path = _Path(BookState.opening(ids, mandate.aum), costs_of(mandate), spec.fill, moments[0].row + 1)
    decisions: list[WalkDecision] = []
    for moment in moments:
        path.carry(evenings.stretch(path.next_row, moment.instant))
        opinion = source.opinion(moment)
        if opinion is not None and path.book.equity > 0:
            ic = shrunk_ic(source.record(moment), mandate.information_coefficient, mandate.ic_prior_rounds)
            decisions.append(_decide(evenings, path, mandate, moment, opinion, ic))
        progress.advance(str(panel.sessions[moment.row]))
    path.carry(evenings.stretch(path.next_row, evenings.close_instant(end)))
    if not path.records:
        raise InputRejected(Code.ROWS_TOO_FEW, "Nothing that was decided between the dates is filled by their end.")
    return _finished(path, mandate.aum, decisions, len(moments) - len(decisions))


def _last_row(sessions: DateArray, last: date | None) -> int:
    return len(sessions) - 1 if last is None else int(np.searchsorted(sessions, np.datetime64(last, "D"), side="right")) - 1


def _inside(session: np.datetime64, spec: BacktestSpec) -> bool:
    day = to_date(session)
    return (spec.first is None or spec.first <= day) and (spec.last is None or day <= spec.last)


def _decide(evenings: Evenings, path: _Path, mandate: Mandate, moment: Moment, opinion: Opinion, ic: float) -> WalkDecision:
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
    path.pending = _Pending(row, target, evening.liquidity)
    path.members = evening.members
    path.loadings = market.model.factor_names, market.positions, market.model.B
    return _told(mandate, market, solution, w0, ic, (to_date(desk.panel.sessions[moment.row]), fill))


def _told(
    mandate: Mandate, market: DecisionMarket, solution: Solution, w0: FloatArray, ic: float, when: tuple[date, date]
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
        turnover=float(np.abs(solution.weights - w0).sum()),
        exposures=exposures,
        factors=model.factor_names,
        beyond=_beyond(mandate, model.factor_kinds, exposures),
    )


def _beyond(mandate: Mandate, kinds: Sequence[str], exposures: FloatArray) -> dict[str, float]:
    """Return the kinds of factors whose exposure lies outside the mandate's band, with the largest excess."""
    bands: dict[str, Any] = {name: getattr(mandate, f"{name}_band") for name in ("beta", "sector", "country", "style")}
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
    )
