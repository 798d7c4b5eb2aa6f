"""Eras of a history, measured one by one: universe, exposures, example model, target and scores, each as known when it was due.

It is not the workflow: which file, which prices and which meta-models is decided there (:mod:`service.workflows.diagnose`), and
what the eras come to in all is :mod:`service.diagnosis`. A scorer is read by several threads and changed by none.

1. Each date is *placed* on the last session on or before it. Decision instant of an era: that at which its session's close was
   learnt (the close plus the vendor's delay).
2. An era is *opened*: its universe is chosen from what was known then, and its values are put on it.
3. Eras are *measured* in blocks, which share the work on exposures, each block with the era before it, for the change. Only the
   target looks further: at the panel as it is known in the end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import Finding, InputRejected
from crowdalpha.terms import PPB, RoundTerms
from market.arrays import FloatArray, IntArray
from market.calendars import to_date, to_instant
from market.exposure_history import BLOCK_DATES, exposure_history
from market.exposures import YEAR_SESSIONS, Exposures
from market.neutralizers import neutralizers_of, sample_weights
from market.panel import PanelView, PointInTimePanel
from market.ranks import tie_kept_rank
from market.targets import coverage, forward_returns, neutral_target
from market.universe import UniverseRule, select_members
from market.windows import last_base_row
from service.diagnosis import AGAINST_EXAMPLE, EraLine, EraState, MeasuredEra, SignalEra
from service.historylabels import HistoryLabels, meaningless
from service.replay.providers.momentum import momentum_at
from service.workflows.retentions import retained_ppb
from signals.constancy import is_constant
from signals.diagnostics import EraChange, EraMeasure, era_scores, filled_ranks, measure_change, measure_era
from signals.findings import FindingList
from signals.history import History
from signals.portfolio_scores import alpha
from signals.prepared import OVERLAP_MIN
from signals.scores import score_kinds
from signals.sides import NEEDS

NAMES_SHOWN = 20
ERAS_A_BLOCK = BLOCK_DATES - 1
"""The era before a block is measured with it, so that blocks need not wait for each other."""

SCORE_RESOLUTION = 1e-12
"""A smaller score is rounding: nothing is published beyond parts per billion."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an era stands: its place in the history and the panel's row of its session."""

    place: int
    row: int


@dataclass(frozen=True, slots=True, eq=False)
class OpenedEra:
    """An era whose universe is chosen and whose values (n,) stand on it, NaN for a gap."""

    at: Place
    members: IntArray
    values: FloatArray
    unknown: int
    rows: int

    @property
    def covered(self) -> int:
        """Number of assets of the universe that have a value."""
        return int(np.sum(~np.isnan(self.values)))


@dataclass(frozen=True, slots=True, eq=False)
class EraScorer:
    """Everything that measuring an era needs.

    Attributes
    ----------
    panel : PointInTimePanel
    outcome : PanelView
        The panel as known in the end, for targets alone.
    rule : UniverseRule
    terms : RoundTerms
        Of the tournament, as they are now.
    history : History
    labels : HistoryLabels
        What the history's identifiers mean.
    meta_models : mapping of date to (assets,) float64
        By session, on the panel's asset axis; NaN where there is none.
    """

    panel: PointInTimePanel
    outcome: PanelView
    rule: UniverseRule
    terms: RoundTerms
    history: History
    labels: HistoryLabels
    meta_models: dict[date, FloatArray] = field(default_factory=dict)

    def placed(self, findings: FindingList) -> list[Place]:
        """Place the dates on sessions; a date that has none is a finding."""
        calendar, sessions, dates = self.panel.calendar, self.panel.sessions, self.history.dates
        latest = np.searchsorted(calendar.sessions, dates, side="right") - 1
        wanted = calendar.sessions[latest.clip(min=0)]
        rows = np.searchsorted(sessions, wanted).clip(max=len(sessions) - 1)
        inside = (latest >= 0) & (dates <= np.datetime64(calendar.last_date, "D")) & (sessions[rows] == wanted)
        early = rows + 1 < max(self.rule.min_history_sessions, YEAR_SESSIONS)
        found: list[Place] = []
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
            found.append(Place(place, row))
        return found

    def notice_unknown(self, findings: FindingList) -> None:
        """Name the first identifiers that no asset of the panel ever has, and those that several datasets share."""
        known = {*self.panel.assets.tickers.tolist(), *self.outcome.assets.tickers.tolist(), *self.panel.words.ever("tickers")}
        unknown, shared = meaningless(self.history.labels, known)
        if shared:
            named = _named(list(shared)[:NAMES_SHOWN], len(shared))
            meant = ", ".join(next(iter(shared.values())))
            message = f"Identifiers of more than one asset, left out: {named}. Say which is meant, as in {meant}."
            findings.notice(Code.LABEL_AMBIGUOUS, message)
        if unknown:
            named = _named(unknown[:NAMES_SHOWN], len(unknown))
            findings.notice(Code.ID_UNKNOWN, f"Identifiers without prices, left out: {named}.")

    def view(self, row: int) -> PanelView:
        """Return the panel as known on the evening of a row."""
        return self.panel.as_of(to_instant(self.panel.known_at[row]))

    def open(self, at: Place) -> OpenedEra | Finding:
        """Choose the era's universe and put its values on it; a finding where it cannot be measured."""
        line = int(self.history.first_lines[at.place])
        view = self.view(at.row)
        try:
            members = select_members(view, self.rule)
        except InputRejected as error:
            return Finding(error.code, error.message, line, refuses=False)
        codes, values = self.history.era(at.place)
        where = self.labels.on(view.assets, members, codes.astype(np.int64))
        placed = np.full(len(self.panel.assets), np.nan)
        placed[where[where >= 0]] = values[where >= 0]
        opened = OpenedEra(at, members, placed[members], int((where < 0).sum()), len(codes))
        wanted = min(self.terms.scoring.ids_min, len(members))
        if opened.covered >= wanted:
            return opened
        lacking = members[np.isnan(opened.values)]
        named = _named(view.assets.tickers[lacking[:NAMES_SHOWN]].tolist(), lacking.size)
        have = f"{opened.covered:,} of the {len(members):,} assets of the universe have a value"
        message = f"{have}, at least {wanted:,} are needed; the date was left out. Missing: {named}."
        return Finding(Code.COVERAGE_TOO_LOW, message, line, value=str(self.history.dates[at.place]), refuses=False)

    def measure(self, opened: Sequence[OpenedEra], block: slice) -> list[tuple[MeasuredEra, list[Finding]]]:
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
        self, era: OpenedEra, exposures: Exposures, before: EraMeasure | None
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
        scores = [{}, {}] if target is None else self._scores(era, measure, target, exposures)
        signal, of_example = (self._signal_era(scores[i], exposures.names, measure.factors[i], changes[i]) for i in range(2))
        covered = era.covered
        eraline = EraLine(
            date=to_date(self.history.dates[era.at.place]), session=session, state=state, rows=era.rows, covered=covered,
            outside=era.rows - era.unknown - covered, unknown=era.unknown, universe=len(era.members),
            coverage=covered / len(era.members), signal=signal, example=of_example,
        )  # fmt: skip
        return MeasuredEra(eraline, era.at.row, exposures.names, measure.factors), measure, remarks

    def _target(self, era: OpenedEra, exposures: Exposures, basis: FloatArray) -> tuple[EraState, FloatArray | None]:
        """Return what came true after the era, if it is known."""
        terms = self.terms.scoring
        if era.at.row > last_base_row(self.outcome.trading, terms.horizon_sessions, terms.lag_sessions):
            return EraState.PENDING, None
        session = to_date(self.panel.sessions[era.at.row])
        returns = forward_returns(self.outcome, era.members, session, terms.horizon_sessions, terms.lag_sessions)
        if coverage(returns) * PPB < terms.coverage_min_ppb:
            return EraState.HELD, None
        return EraState.SCORED, neutral_target(returns, exposures, terms.bin_shares_percent, basis)

    def _scores(self, era: OpenedEra, measure: EraMeasure, target: FloatArray, exposures: Exposures) -> list[dict[str, float]]:
        """Return the scores of signal and example: the terms' kinds, and what the signal adds to the example.

        ``mpc`` is not among them: nobody had a stake in a history.
        """
        meta = self.meta_models.get(to_date(self.panel.sessions[era.at.row]))
        meta = None if meta is None else meta[measure.members]
        if meta is not None and np.mean(~np.isnan(meta) & ~np.isnan(target)) < OVERLAP_MIN:
            meta = None
        kinds, ranks = self.terms.scoring.kinds, measure.ranks
        alone = [k for k in kinds if {"meta_model", "sample_weights", "features"}.isdisjoint(NEEDS[k])]
        found = era_scores((*alone, AGAINST_EXAMPLE), ranks, target, exposures.values, ranks[1], measure.basis)
        if meta is not None:
            beside = [k for k in kinds if "meta_model" in NEEDS[k]]
            found |= score_kinds(beside, ranks, target, meta, exposures.values)
        if "fnc" in kinds:
            found |= score_kinds(("fnc",), ranks, target, features=exposures.values)
        if "alpha" in kinds:
            weights_v = sample_weights(self.view(era.at.row), era.members)
            found["alpha"] = alpha(ranks, neutralizers_of(exposures.values, weights_v), weights_v, target)
        scores = [{kind: _score(found[kind][i]) for kind in found} for i in range(2)]
        scores[1][AGAINST_EXAMPLE] = 0.0
        return scores

    def _signal_era(
        self, scores: dict[str, float], names: tuple[str, ...], factors: FloatArray, change: EraChange | None
    ) -> SignalEra:
        largest = int(np.argmax(np.abs(factors)))
        kept = None if change is None else retained_ppb(change.neutral_churn, self.terms.payout) / PPB
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
