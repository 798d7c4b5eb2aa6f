"""Diagnose a signal's history against the home's prices: what its rounds would have scored, had it been sent. Stores nothing.

1. *load* the history (:mod:`signals.history`), refused with all findings before any price is read; then the panel.
2. *place* each date on the last session on or before it. Decision instant of an era: that session's close plus the vendor's
   delay, as the panel says. Universe, exposures and the example model come from the panel as known then.
3. *decide* per era, several eras at a time: the scores against the target of the tournament's terms, exposures, and the change
   since the era before; then the statistics over the eras (:mod:`signals.diagnostics`), for the signal and for the example
   model.

An era that cannot be measured (outside the panel, too early, too few names) is left out with a finding; one whose target is
not known yet has exposures and changes and no score. Nothing depends on the number of workers.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date as Date  # noqa: N812 - a field is called so
from functools import partial

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import Finding, InputRejected
from crowdalpha.terms import PPB, ScoringTerms
from market.arrays import FloatArray, IntArray
from market.calendars import to_date, to_instant
from market.exposures import YEAR_SESSIONS, compute_exposures
from market.panel import PanelView, PointInTimePanel
from market.ranks import tie_kept_rank
from market.targets import coverage, forward_returns, neutral_target
from market.universe import UniverseRule, select_universe
from service.context import Platform
from service.replay.season import Progress, Silent
from service.settings import Settings, load_terms
from signals.constancy import is_constant
from signals.diagnostics import (
    ERA_KINDS,
    EraChange,
    EraMeasure,
    ScoreSummary,
    filled_ranks,
    measure_change,
    measure_era,
    overlap_lags,
    summarize,
)
from signals.examplemodel import EXAMPLE_SIGNALS, example_model
from signals.findings import FindingList
from signals.history import History, read_history

NAMES_SHOWN = 20
WORKERS_MAX = 4
"""Beyond it the memory bus is busy, not the processors."""

ERAS_AHEAD = 8
"""Eras that a worker may be ahead of the statistics: it bounds the memory that waits."""


@dataclass(frozen=True, slots=True)
class EraLine:
    """One era of a history. A figure of the example model stands beside each of the signal's.

    Attributes
    ----------
    date, session : date
        As the file has it, and the session that it stands for.
    rows, covered, outside, unknown : int
        Rows of the date; those in the universe; those of assets that were not eligible then; those that the panel lacks.
    universe : int
        Assets that were eligible.
    scores, example_scores : mapping of kind to float
        Empty while the target's window is open, or where too few returns are known.
    exposure_max, exposure_max_factor : float, str
        The correlation with a factor that is largest in size, and that factor.
    with_example : float
        Correlation with the example model, both as Gaussianized ranks.
    churn, neutral_churn, turnover : float or None
        Against the era before; None for the first, and for churns of universes that differ too much.
    example_churn, example_neutral_churn, example_turnover : float or None
    """

    date: Date
    session: Date
    rows: int
    covered: int
    outside: int
    unknown: int
    universe: int
    scores: Mapping[str, float]
    example_scores: Mapping[str, float]
    exposure_max: float
    exposure_max_factor: str
    with_example: float
    churn: float | None = None
    neutral_churn: float | None = None
    turnover: float | None = None
    example_churn: float | None = None
    example_neutral_churn: float | None = None
    example_turnover: float | None = None


@dataclass(frozen=True, slots=True)
class KindSummary:
    """Statistics of one kind of score: of the signal, the example model, and their difference era by era."""

    signal: ScoreSummary
    example: ScoreSummary
    difference: ScoreSummary


@dataclass(frozen=True, slots=True)
class FactorLine:
    """Exposure to one factor over the eras that have it: mean and largest size, of signal and example model."""

    name: str
    eras: int
    mean: float
    largest: float
    example_mean: float
    example_largest: float


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is said of a history.

    Attributes
    ----------
    eras : tuple of EraLine
        Every era that was measured, by date.
    scores : mapping of kind to KindSummary
    factors : tuple of FactorLine
        The largest mean size first.
    exposure_max_mean, exposure_max_largest : float
        Mean over the eras, and largest, of the largest correlation with any factor.
    changes : mapping of name to float or None
        Means over the eras of churn, neutral churn and turnover; None without two eras to compare.
    coverage_mean, with_example_mean : float
    rows, dates, eras_scored : int
    step_sessions, horizon_sessions, lag_sessions, lags : int
        Sessions between eras (median); of the target; lags that the adjusted figures allow for.
    universe_size : int
        Most assets in an era, by the rule.
    findings : tuple of Finding
    findings_total : int
    flags : tuple of str
        What every report must say of the prices.
    source : str
    """

    eras: tuple[EraLine, ...]
    scores: Mapping[str, KindSummary]
    factors: tuple[FactorLine, ...]
    exposure_max_mean: float
    exposure_max_largest: float
    changes: Mapping[str, float | None]
    coverage_mean: float
    with_example_mean: float
    rows: int
    dates: int
    eras_scored: int
    step_sessions: int
    horizon_sessions: int
    lag_sessions: int
    lags: int
    universe_size: int
    findings: tuple[Finding, ...]
    findings_total: int
    flags: tuple[str, ...]
    source: str
    example: tuple[str, ...] = EXAMPLE_SIGNALS


def diagnose(
    platform: Platform,
    chunks: Iterable[bytes],
    universe_size: int | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
) -> Diagnosis:
    """Diagnose a history of the signals tournament.

    Parameters
    ----------
    chunks : iterable of bytes
        The file, cut anywhere.
    universe_size : int, optional
        Most assets of an era; by the settings' rule otherwise.
    progress : Progress, optional
    workers : int, optional
        Threads that measure eras; one a processor otherwise, at most four.

    Raises
    ------
    InputRejected
        With all findings, when one of them refuses the file or no era can be measured.
    Unavailable
        PRICES_MISSING when the home has no prices.
    """
    progress = progress or Silent()
    progress.note("Reading the history.")
    history = read_history(chunks)
    findings = FindingList()
    findings.include(history.findings, history.findings_total, refused=history.refused)
    _leave_if_refused(findings)
    progress.note(f"Reading prices for {history.rows:,} rows of {len(history):,} dates.")
    scorer = _scorer(platform.settings, platform.desk.panel, universe_size, history)
    eras = scorer.eras(findings)
    scorer.notice_unknown(findings)
    progress.start(len(eras), "Measuring eras")
    tally = _Tally()
    for measured in _measured(scorer, eras, workers or min(os.cpu_count() or 1, WORKERS_MAX)):
        if isinstance(measured, Finding):
            findings.notice(measured.code, measured.message, measured.row, measured.column, measured.value)
            progress.advance("")
            continue
        for remark in measured.remarks:
            findings.notice(remark.code, remark.message, remark.row)
        tally.add(measured)
        progress.advance(str(measured.date))
    if not tally.lines:
        findings.refuse(Code.ROWS_TOO_FEW, "No date of the history can be diagnosed.")
    _leave_if_refused(findings)
    return _diagnosis(scorer, tally, findings)


def _leave_if_refused(findings: FindingList) -> None:
    if findings.refused:
        shown = findings.shown()
        count = "one reason" if findings.total == 1 else f"{findings.total:,} reasons"
        raise InputRejected(shown[0].code, f"The history is refused for {count}.", shown)


@dataclass(frozen=True, slots=True)
class _Era:
    """Where an era stands: its place in the history and the panel's row of its session."""

    place: int
    row: int


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """An era as a worker leaves it; the change is computed when the era before is known."""

    date: Date
    session: Date
    rows: int
    covered: int
    outside: int
    unknown: int
    row: int
    names: tuple[str, ...]
    measure: EraMeasure
    remarks: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Scorer:
    """Everything that measuring an era needs; read by several threads and changed by none."""

    panel: PointInTimePanel
    outcome: PanelView
    rule: UniverseRule
    terms: ScoringTerms
    history: History
    positions: IntArray  # (labels,) places on the panel's asset axis, −1 for a label that the panel lacks

    def eras(self, findings: FindingList) -> list[_Era]:
        """Place the dates on sessions; a date that has none is a finding."""
        calendar, sessions = self.panel.calendar, self.panel.sessions
        latest = np.searchsorted(calendar.sessions, self.history.dates, side="right") - 1
        beyond = self.history.dates > np.datetime64(calendar.last_date, "D")
        wanted = calendar.sessions[latest.clip(min=0)]
        rows = np.searchsorted(sessions, wanted).clip(max=len(sessions) - 1)
        inside = (latest >= 0) & ~beyond & (sessions[rows] == wanted)
        early = rows + 1 < max(self.rule.min_history_sessions, YEAR_SESSIONS)
        found: list[_Era] = []
        for place, row in enumerate(rows.tolist()):
            day, line = self.history.dates[place], int(self.history.first_lines[place])
            if not inside[place]:
                message = f"The prices reach from {sessions[0]} to {sessions[-1]}; the date was left out."
                findings.notice(Code.DATE_OUTSIDE_PANEL, message, line, value=str(day))
            elif early[place]:
                message = f"Only {row + 1:,} sessions of prices precede the date; it was left out."
                findings.notice(Code.HISTORY_TOO_SHORT, message, line, value=str(day))
            elif found and found[-1].row == row:
                former = self.history.dates[found[-1].place]
                message = f"{former} and {day} stand for the same session, {sessions[row]}; the later one counts."
                findings.notice(Code.DATE_NOT_SESSION, message, line, value=str(day))
                found[-1] = _Era(place, row)
            else:
                found.append(_Era(place, row))
        return found

    def notice_unknown(self, findings: FindingList) -> None:
        """Name the first identifiers that the panel lacks."""
        unknown = np.flatnonzero(self.positions < 0)
        if unknown.size:
            named = _named([self.history.labels[i] for i in unknown[:NAMES_SHOWN].tolist()], unknown.size)
            findings.notice(Code.ID_UNKNOWN, f"Identifiers without prices, left out: {named}.")

    def measure(self, era: _Era) -> _Measured | Finding:
        """Measure one era; a finding where it cannot be."""
        line = int(self.history.first_lines[era.place])
        view = self.panel.as_of(to_instant(self.panel.known_at[era.row]))
        try:
            members = select_universe(view, self.rule).members
        except InputRejected as error:
            return Finding(error.code, error.message, line, refuses=False)
        codes, values = self.history.era(era.place)
        at = self.positions[codes]
        placed = np.full(len(self.panel.assets), np.nan)
        placed[at[at >= 0]] = values[at >= 0]
        own = placed[members]
        present = ~np.isnan(own)
        covered = int(present.sum())
        if covered < min(self.terms.ids_min, len(members)):
            return self._too_few(era, members, present, line)
        exposures = compute_exposures(view, members)
        example = example_model(view, members, exposures.values)
        remarks = []
        if is_constant(own[present]):
            remarks.append(Finding(Code.NO_VARIANCE, "All values of the date are equal: it scores 0.", line, refuses=False))
        target = self._target(view, members, exposures.values, era.row)
        if isinstance(target, Finding):
            remarks.append(target)
        ranks = np.stack([filled_ranks(own), tie_kept_rank(example)])
        known = None if isinstance(target, Finding) else target
        measure = measure_era(ranks, members, exposures.values, known, example)
        day, session = to_date(self.history.dates[era.place]), to_date(self.panel.sessions[era.row])
        unknown = int((at < 0).sum())
        outside = len(codes) - unknown - covered
        names = exposures.names
        return _Measured(day, session, len(codes), covered, outside, unknown, era.row, names, measure, tuple(remarks))

    def _target(self, view: PanelView, members: IntArray, exposures: FloatArray, row: int) -> FloatArray | Finding | None:
        """Return what came true after the era; None while it is open, a finding where too few returns are known."""
        terms = self.terms
        if row + terms.lag_sessions + terms.horizon_sessions >= len(self.outcome.sessions):
            return None
        returns = forward_returns(self.outcome, members, view.last_session, terms.horizon_sessions, terms.lag_sessions)
        share = coverage(returns)
        if share * PPB < terms.coverage_min_ppb:
            message = f"Returns after {view.last_session} are known for {share:.0%} of the universe; the date has no score."
            return Finding(Code.MARKET_COVERAGE, message, refuses=False)
        return neutral_target(returns, exposures, terms.bin_shares_percent)

    def _too_few(self, era: _Era, members: IntArray, present: np.ndarray, line: int) -> Finding:
        lacking = members[~present]
        named = _named(self.panel.assets.tickers[lacking[:NAMES_SHOWN]].tolist(), lacking.size)
        have = f"{int(present.sum()):,} of the {len(members):,} assets of the universe have a value"
        message = f"{have}, a round asks for {self.terms.ids_min:,}; the date was left out. Missing: {named}."
        return Finding(Code.COVERAGE_TOO_LOW, message, line, value=str(self.history.dates[era.place]), refuses=False)


def _named(names: list[str], count: int) -> str:
    return ", ".join(names) + (f" and {count - len(names):,} more" if count > len(names) else "")


def _scorer(settings: Settings, panel: PointInTimePanel, universe_size: int | None, history: History) -> _Scorer:
    rules = settings.universe
    rule = UniverseRule(
        universe_size or rules.size, rules.min_history_sessions, rules.adv_window_sessions, rules.stale_sessions_max
    )
    terms = load_terms(settings.tournaments.signals.terms, settings.config_dir).scoring
    outcome = panel.as_of(to_instant(panel.known_at[-1]))
    # Computed once, here, because the workers share them.
    outcome.total_returns()
    outcome.market_cap()
    outcome.dollar_volume()
    outcome.history_sessions()
    _ = outcome.traded
    place_of = {str(ticker): i for i, ticker in enumerate(panel.assets.tickers.tolist())}
    positions = np.array([place_of.get(label, -1) for label in history.labels], dtype=np.int64)
    return _Scorer(panel, outcome, rule, terms, history, positions)


def _measured(scorer: _Scorer, eras: list[_Era], workers: int) -> Iterator[_Measured | Finding]:
    """Measure the eras by several threads and yield them in order, a bounded number ahead."""
    ahead = workers * ERAS_AHEAD
    with ThreadPoolExecutor(workers) as pool:
        waiting = [pool.submit(scorer.measure, era) for era in eras[:ahead]]
        for place in range(len(eras)):
            yield waiting[place].result()
            waiting[place] = waiting[-1]  # what was yielded need not be kept
            if place + ahead < len(eras):
                waiting.append(pool.submit(scorer.measure, eras[place + ahead]))


class _Tally:
    """What is gathered over the eras, in their order."""

    def __init__(self) -> None:
        self.lines: list[EraLine] = []
        self.rows: list[int] = []
        self.factors: dict[str, list[FloatArray]] = {}
        self._before: EraMeasure | None = None

    def add(self, era: _Measured) -> None:
        """Take over one era."""
        measure = era.measure
        change = None if self._before is None else measure_change(self._before, measure)
        self._before = measure
        for name, pair in zip(era.names, measure.factors.T, strict=True):
            self.factors.setdefault(name, []).append(pair)
        largest = int(np.argmax(np.abs(measure.factors[0])))
        changes = _changes(change, "", 0) | _changes(change, "example_", 1)
        self.rows.append(era.row)
        self.lines.append(
            EraLine(
                date=era.date,
                session=era.session,
                rows=era.rows,
                covered=era.covered,
                outside=era.outside,
                unknown=era.unknown,
                universe=len(measure.members),
                scores={kind: float(measure.scores[kind][0]) for kind in measure.scores},
                example_scores={kind: float(measure.scores[kind][1]) for kind in measure.scores},
                exposure_max=float(measure.factors[0, largest]),
                exposure_max_factor=era.names[largest],
                with_example=float(measure.with_meta_model[0]),
                **changes,
            )
        )


def _changes(change: EraChange | None, prefix: str, model: int) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name in ("churn", "neutral_churn", "turnover"):
        values = None if change is None else getattr(change, name)
        found[prefix + name] = None if values is None else float(values[model])
    return found


def _diagnosis(scorer: _Scorer, tally: _Tally, findings: FindingList) -> Diagnosis:
    lines, terms = tally.lines, scorer.terms
    scored = [line for line in lines if line.scores]
    step = max(int(np.median(np.diff(tally.rows))), 1) if len(lines) > 1 else terms.horizon_sessions
    lags = overlap_lags(terms.horizon_sessions, terms.lag_sessions, step)
    peaks = np.abs([line.exposure_max for line in lines])
    return Diagnosis(
        eras=tuple(lines),
        scores={kind: _summary(scored, kind, lags) for kind in ERA_KINDS},
        factors=_factor_lines(tally.factors),
        exposure_max_mean=float(peaks.mean()),
        exposure_max_largest=float(peaks.max()),
        changes={name: _mean_change(lines, name) for name in CHANGES},
        coverage_mean=float(np.mean([line.covered / line.universe for line in lines])),
        with_example_mean=float(np.mean([line.with_example for line in lines])),
        rows=scorer.history.rows,
        dates=len(scorer.history),
        eras_scored=len(scored),
        step_sessions=step,
        horizon_sessions=terms.horizon_sessions,
        lag_sessions=terms.lag_sessions,
        lags=lags,
        universe_size=scorer.rule.size,
        findings=findings.shown(),
        findings_total=findings.total,
        flags=tuple(sorted(scorer.panel.flags)),
        source=scorer.panel.source,
    )


CHANGES = ("churn", "neutral_churn", "turnover", "example_churn", "example_neutral_churn", "example_turnover")


def _summary(scored: list[EraLine], kind: str, lags: int) -> KindSummary:
    own = np.array([line.scores[kind] for line in scored], dtype=np.float64)
    example = np.array([line.example_scores[kind] for line in scored], dtype=np.float64)
    return KindSummary(*map(partial(summarize, lags=lags), (own, example, own - example)))


def _factor_lines(factors: Mapping[str, list[FloatArray]]) -> tuple[FactorLine, ...]:
    lines = []
    for name, pairs in factors.items():
        values = np.array(pairs)
        mean, largest = values.mean(axis=0), np.abs(values).max(axis=0)
        lines.append(FactorLine(name, len(pairs), float(mean[0]), float(largest[0]), float(mean[1]), float(largest[1])))
    return tuple(sorted(lines, key=lambda line: (-abs(line.mean), line.name)))


def _mean_change(lines: list[EraLine], name: str) -> float | None:
    known = [value for line in lines if (value := getattr(line, name)) is not None]
    return float(np.mean(known)) if known else None
