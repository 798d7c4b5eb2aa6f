"""Diagnose a signal's history against the home's prices: what its rounds would have scored, had it been sent. Stores nothing.

1. *load* the history (:mod:`signals.history`), refused with all findings before any price is read; then the panel, and the
   meta-models of resolved rounds as far as they are public.
2. *place* each date on the last session on or before it. Decision instant of an era: that at which its session's close was
   learnt (the close plus the vendor's delay). Universe, exposures and the example model come from the panel as known then,
   as they would for a round with that base session.
3. *decide* per era the scores against the target of the tournament's terms, the exposures, and the change since the era before;
   then the statistics over the eras (:mod:`signals.diagnostics`), for the signal and for the example model.

A date that cannot be measured (outside the prices, too early, too few identifiers) is left out with a finding; an era whose
target is not known yet is pending: it has exposures and changes and no score. Several eras are worked on at a time; nothing
depends on how many.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import Finding, InputRejected
from crowdalpha.ids import Tournament
from crowdalpha.terms import PPB, RoundTerms
from market.arrays import FloatArray, IntArray
from market.calendars import to_date, to_instant
from market.exposure_history import BLOCK_DATES, exposure_history
from market.exposures import YEAR_SESSIONS, Exposures
from market.panel import PanelView, PointInTimePanel
from market.ranks import tie_kept_rank
from market.targets import coverage, forward_returns, neutral_target
from market.universe import UniverseRule, select_members
from service.context import Platform
from service.diagnosis import (
    AGAINST_EXAMPLE,
    Diagnosis,
    EraLine,
    EraState,
    MeasuredEra,
    SignalEra,
    change_summary,
    factor_lines,
    score_summaries,
    step_and_lags,
)
from service.metamodels import published_raw_vectors
from service.replay.providers.momentum import momentum_at
from service.replay.season import Progress, Silent
from service.settings import load_terms
from signals.churn import retention
from signals.constancy import is_constant
from signals.diagnostics import EraChange, EraMeasure, era_scores, filled_ranks, measure_change, measure_era
from signals.findings import FindingList
from signals.history import History, read_history, read_history_table
from signals.prepared import OVERLAP_MIN
from signals.scores import score_kinds
from signals.sides import NEEDS

NAMES_SHOWN = 20
WORKERS_MAX = 4
"""Beyond it the memory bus is busy, not the processors."""

CHUNK_BYTES = 1024 * 1024
PARQUET_MAGIC = b"PAR1"
ERAS_A_BLOCK = BLOCK_DATES - 1
"""The era before a block is measured with it, so that blocks need not wait for each other."""

SCORE_RESOLUTION = 1e-12
"""A smaller score is rounding: nothing is published beyond parts per billion."""


def diagnose(platform: Platform, path: Path, progress: Progress | None = None, workers: int | None = None) -> Diagnosis:
    """Diagnose a history of the signals tournament.

    Parameters
    ----------
    path : Path
        CSV or Parquet: dates, identifiers, values.
    progress : Progress, optional
    workers : int, optional
        Threads; one a processor otherwise, at most four.

    Raises
    ------
    InputRejected
        With all findings, when one of them refuses the file or no date can be measured; REQUEST_INVALID for a file that
        cannot be read.
    Unavailable
        PRICES_MISSING when the home has no prices.
    """
    progress = progress or Silent()
    progress.note("Reading the history.")
    history = read_file(path)
    findings = FindingList()
    findings.include(history.findings, history.findings_total, refused=history.refused)
    _leave_if_refused(findings)
    progress.note(f"Reading prices for {history.rows:,} rows of {len(history):,} dates.")
    scorer = _scorer(platform, history)
    scorer.notice_unknown(findings)
    with ThreadPoolExecutor(workers or min(os.cpu_count() or 1, WORKERS_MAX)) as pool:
        opened = _without_findings(pool.map(scorer.open, scorer.placed(findings)), findings)
        blocks = [slice(begin, begin + ERAS_A_BLOCK) for begin in range(0, len(opened), ERAS_A_BLOCK)]
        progress.start(len(opened), "Measuring eras")
        eras: list[MeasuredEra] = []
        for found in pool.map(lambda block: scorer.measure(opened, block), blocks):
            for era, remarks in found:
                _notice_all(remarks, findings)
                eras.append(era)
                progress.advance(str(era.line.date))
    if not eras:
        findings.refuse(Code.ROWS_TOO_FEW, "No date of the history can be diagnosed.")
    _leave_if_refused(findings)
    return _diagnosis(path.name, scorer, eras, findings)


def read_file(path: Path) -> History:
    """Return the history in a file, with its findings; raises InputRejected ``request_invalid`` when it cannot be opened."""
    try:
        with path.open("rb") as file:
            if file.read(len(PARQUET_MAGIC)) != PARQUET_MAGIC:
                file.seek(0)
                return read_history(iter(lambda: file.read(CHUNK_BYTES), b""))
            return _read_parquet(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputRejected(Code.REQUEST_INVALID, f"The file '{path.name}' cannot be read: {reason}.") from error


def _read_parquet(path: Path) -> History:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return read_history_table(pq.ParquetFile(path).read())
    except pa.ArrowException as error:
        raise InputRejected(Code.FILE_NOT_TEXT, f"'{path.name}' begins like Parquet and cannot be read as such.") from error


def _leave_if_refused(findings: FindingList) -> None:
    if findings.refused:
        shown = findings.shown()
        count = "one reason" if findings.total == 1 else f"{findings.total:,} reasons"
        raise InputRejected(shown[0].code, f"The history is refused for {count}.", shown)


def _notice_all(remarks: Iterable[Finding], findings: FindingList) -> None:
    for remark in remarks:
        findings.notice(remark.code, remark.message, remark.row, remark.column, remark.value)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an era stands: its place in the history and the panel's row of its session."""

    place: int
    row: int


@dataclass(frozen=True, slots=True, eq=False)
class _Opened:
    """An era whose universe is chosen and whose values (n,) stand on it, NaN for a gap."""

    at: _Place
    members: IntArray
    values: FloatArray
    unknown: int
    rows: int

    @property
    def covered(self) -> int:
        return int(np.sum(~np.isnan(self.values)))


def _without_findings(results: Iterator[_Opened | Finding], findings: FindingList) -> list[_Opened]:
    opened = []
    for result in results:
        if isinstance(result, Finding):
            _notice_all([result], findings)
        else:
            opened.append(result)
    return opened


@dataclass(frozen=True, slots=True, eq=False)
class _Scorer:
    """Everything that measuring an era needs; read by several threads and changed by none."""

    panel: PointInTimePanel
    outcome: PanelView
    rule: UniverseRule
    terms: RoundTerms
    history: History
    positions: IntArray  # (labels,) places on the panel's asset axis, −1 for a label that the panel lacks
    meta_models: dict[date, FloatArray] = field(default_factory=dict)  # on the panel's asset axis, NaN where there is none

    def placed(self, findings: FindingList) -> list[_Place]:
        """Place the dates on sessions; a date that has none is a finding."""
        calendar, sessions, dates = self.panel.calendar, self.panel.sessions, self.history.dates
        latest = np.searchsorted(calendar.sessions, dates, side="right") - 1
        wanted = calendar.sessions[latest.clip(min=0)]
        rows = np.searchsorted(sessions, wanted).clip(max=len(sessions) - 1)
        inside = (latest >= 0) & (dates <= np.datetime64(calendar.last_date, "D")) & (sessions[rows] == wanted)
        early = rows + 1 < max(self.rule.min_history_sessions, YEAR_SESSIONS)
        found: list[_Place] = []
        for place, row in enumerate(rows.tolist()):
            day, line = str(dates[place]), int(self.history.first_lines[place])
            if not inside[place]:
                message = f"The prices reach from {sessions[0]} to {sessions[-1]}; the date was left out."
                findings.notice(Code.DATE_OUTSIDE_PANEL, message, line, value=day)
                continue
            if early[place]:
                message = f"Only {row + 1:,} sessions of prices lead up to the date; it was left out."
                findings.notice(Code.HISTORY_TOO_SHORT, message, line, value=day)
                continue
            if found and found[-1].row == row:
                former = dates[found[-1].place]
                message = f"{former} and {day} stand for the same session, {sessions[row]}; the later one counts."
                findings.notice(Code.DATE_NOT_SESSION, message, line, value=day)
                found.pop()
            elif sessions[row] != dates[place]:
                message = f"The date is no session; it stands for the last one before, {sessions[row]}."
                findings.notice(Code.DATE_NOT_SESSION, message, line, value=day)
            found.append(_Place(place, row))
        return found

    def notice_unknown(self, findings: FindingList) -> None:
        """Name the first identifiers that the panel lacks."""
        unknown = np.flatnonzero(self.positions < 0)
        if unknown.size:
            named = _named([self.history.labels[i] for i in unknown[:NAMES_SHOWN].tolist()], unknown.size)
            findings.notice(Code.ID_UNKNOWN, f"Identifiers without prices, left out: {named}.")

    def view(self, row: int) -> PanelView:
        return self.panel.as_of(to_instant(self.panel.known_at[row]))

    def open(self, at: _Place) -> _Opened | Finding:
        """Choose the era's universe and put its values on it; a finding where it cannot be measured."""
        line = int(self.history.first_lines[at.place])
        try:
            members = select_members(self.view(at.row), self.rule)
        except InputRejected as error:
            return Finding(error.code, error.message, line, refuses=False)
        codes, values = self.history.era(at.place)
        where = self.positions[codes]
        placed = np.full(len(self.panel.assets), np.nan)
        placed[where[where >= 0]] = values[where >= 0]
        opened = _Opened(at, members, placed[members], int((where < 0).sum()), len(codes))
        wanted = min(self.terms.scoring.ids_min, len(members))
        if opened.covered >= wanted:
            return opened
        lacking = members[np.isnan(opened.values)]
        named = _named(self.panel.assets.tickers[lacking[:NAMES_SHOWN]].tolist(), lacking.size)
        have = f"{opened.covered:,} of the {len(members):,} assets of the universe have a value"
        message = f"{have}, at least {wanted:,} are needed; the date was left out. Missing: {named}."
        return Finding(Code.COVERAGE_TOO_LOW, message, line, value=str(self.history.dates[at.place]), refuses=False)

    def measure(self, opened: Sequence[_Opened], block: slice) -> list[tuple[MeasuredEra, list[Finding]]]:
        """Measure the eras of a block, which are compared with each other and with the one before the block."""
        eras = opened[max(block.start - 1, 0) : block.stop]
        sessions = [to_date(self.panel.sessions[era.at.row]) for era in eras]
        found: list[tuple[MeasuredEra, list[Finding]]] = []
        before: EraMeasure | None = None
        for era, exposures in zip(eras, exposure_history(self.panel, sessions, [era.members for era in eras]), strict=True):
            measured, before, remarks = self._era(era, exposures, before)
            found.append((measured, remarks))
        return found[min(block.start, 1) :]

    def _era(
        self, era: _Opened, exposures: Exposures, before: EraMeasure | None
    ) -> tuple[MeasuredEra, EraMeasure, list[Finding]]:
        line, remarks = int(self.history.first_lines[era.at.place]), []
        if is_constant(era.values[~np.isnan(era.values)]):
            told = "All values of the date are equal: it scores 0."
            remarks.append(Finding(Code.NO_VARIANCE, told, line, refuses=False))
        example = momentum_at(self.view(era.at.row), era.members)
        ranks = np.stack([filled_ranks(era.values), tie_kept_rank(example)])
        measure = measure_era(ranks, era.members, exposures.values)
        changes = [None, None] if before is None else measure_change(before, measure)
        state, target = self._target(era, exposures, measure.basis)
        if state is EraState.HELD:
            told = "Returns of too small a part of the universe are known; the date has no score."
            remarks.append(Finding(Code.MARKET_COVERAGE, told, line, refuses=False))
        session = to_date(self.panel.sessions[era.at.row])
        scores = [{}, {}] if target is None else self._scores(session, era.members, ranks, target, exposures)
        signal, of_example = (self._signal_era(scores[i], exposures.names, measure.factors[i], changes[i]) for i in range(2))
        covered = era.covered
        eraline = EraLine(
            date=to_date(self.history.dates[era.at.place]), session=session, state=state, rows=era.rows, covered=covered,
            outside=era.rows - era.unknown - covered, unknown=era.unknown, universe=len(era.members),
            coverage=covered / len(era.members), signal=signal, example=of_example,
        )  # fmt: skip
        return MeasuredEra(eraline, era.at.row, exposures.names, measure.factors), measure, remarks

    def _target(self, era: _Opened, exposures: Exposures, basis: FloatArray) -> tuple[EraState, FloatArray | None]:
        """Return what came true after the era, if it is known."""
        terms = self.terms.scoring
        if era.at.row + terms.lag_sessions + terms.horizon_sessions >= len(self.outcome.sessions):
            return EraState.PENDING, None
        session = to_date(self.panel.sessions[era.at.row])
        returns = forward_returns(self.outcome, era.members, session, terms.horizon_sessions, terms.lag_sessions)
        if coverage(returns) * PPB < terms.coverage_min_ppb:
            return EraState.HELD, None
        return EraState.SCORED, neutral_target(returns, exposures, terms.bin_shares_percent, basis)

    def _scores(
        self, session: date, members: IntArray, ranks: FloatArray, target: FloatArray, exposures: Exposures
    ) -> list[dict[str, float]]:
        """Return the scores of signal and example: the terms' kinds, and what the signal adds to the example."""
        meta = self.meta_models.get(session)
        meta = None if meta is None else meta[members]
        if meta is not None and np.mean(~np.isnan(meta) & ~np.isnan(target)) < OVERLAP_MIN:
            meta = None
        alone = [k for k in self.terms.scoring.kinds if "meta_model" not in NEEDS[k]]
        found = era_scores((*alone, AGAINST_EXAMPLE), ranks, target, exposures.values, ranks[1])
        if meta is not None:
            beside = [k for k in self.terms.scoring.kinds if k not in alone]
            found |= score_kinds(beside, ranks, target, meta, exposures.values)
        scores = [{kind: _score(found[kind][i]) for kind in found} for i in range(2)]
        scores[1][AGAINST_EXAMPLE] = 0.0
        return scores

    def _signal_era(
        self, scores: dict[str, float], names: tuple[str, ...], factors: FloatArray, change: EraChange | None
    ) -> SignalEra:
        largest = int(np.argmax(np.abs(factors)))
        payout = self.terms.payout
        kept = None
        if change is not None and payout.retention == "neutral_churn":
            kept = retention(change.neutral_churn, payout.retention_threshold_ppb / PPB, payout.retention_slope)
        elif change is not None:
            kept = 1.0
        return SignalEra(
            scores=scores,
            exposure_max=float(factors[largest]),
            exposure_max_factor=names[largest],
            churn=None if change is None else change.churn,
            neutral_churn=None if change is None else change.neutral_churn,
            retention=kept,
            turnover=None if change is None else change.turnover,
        )


def _score(value: Any) -> float:
    return float(value) if abs(value) >= SCORE_RESOLUTION else 0.0


def _named(names: list[str], count: int) -> str:
    return ", ".join(names) + (f" and {count - len(names):,} more" if count > len(names) else "")


def _scorer(platform: Platform, history: History) -> _Scorer:
    settings, panel = platform.settings, platform.desk.panel
    rules = settings.universe
    rule = UniverseRule(rules.size, rules.min_history_sessions, rules.adv_window_sessions, rules.stale_sessions_max)
    terms = load_terms(settings.tournaments.signals.terms, settings.config_dir)
    outcome = panel.as_of(to_instant(panel.known_at[-1]))
    # Computed once, here, because the workers share them.
    outcome.total_returns()
    outcome.market_cap()
    outcome.dollar_volume()
    outcome.history_sessions()
    _ = outcome.traded
    place_of = {str(ticker): i for i, ticker in enumerate(panel.assets.tickers.tolist())}
    positions = np.array([place_of.get(label, -1) for label in history.labels], dtype=np.int64)
    published = published_raw_vectors(platform, Tournament.SIGNALS, {to_date(s) for s in panel.sessions})
    asset_of = {str(asset): i for i, asset in enumerate(panel.assets.asset_ids.tolist())} if published else {}
    meta_models = {}
    for session, (asset_ids, vector) in published.items():
        meta_models[session] = np.full(len(panel.assets), np.nan)
        for asset, value in zip(asset_ids.tolist(), vector.tolist(), strict=True):
            if asset in asset_of:
                meta_models[session][asset_of[asset]] = value
    return _Scorer(panel, outcome, rule, terms, history, positions, meta_models)


def _diagnosis(file: str, scorer: _Scorer, eras: list[MeasuredEra], findings: FindingList) -> Diagnosis:
    lines = [era.line for era in eras]
    terms = scorer.terms.scoring
    step, lags = step_and_lags(eras, terms)
    states = [line.state for line in lines]
    return Diagnosis(
        file=file,
        rows=scorer.history.rows,
        dates=len(scorer.history),
        eras=tuple(lines),
        scores=score_summaries(lines, lags),
        factors=factor_lines(eras),
        signal_change=change_summary([line.signal for line in lines]),
        example_change=change_summary([line.example for line in lines]),
        coverage_mean=float(np.mean([line.coverage for line in lines])),
        scored=states.count(EraState.SCORED),
        pending=states.count(EraState.PENDING),
        held=states.count(EraState.HELD),
        left_out=len(scorer.history) - len(lines),
        step_sessions=step,
        horizon_sessions=terms.horizon_sessions,
        lag_sessions=terms.lag_sessions,
        lags=lags,
        findings=findings.shown(),
        findings_total=findings.total,
        flags=tuple(sorted(scorer.panel.flags)),
        source=scorer.panel.source,
    )
