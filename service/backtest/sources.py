"""Where a walk's scores come from: the history of a signal, or the meta-models of the home's rounds.

A source names the moments at which it speaks, says at a moment what it thinks of which assets, and tells the record on which
its information coefficient rests: scores of earlier moments whose target was known by then. It knows no book and no mandate.

- A *history* speaks on the evenings of its dates. What it says is what the fund would have got of a meta-model made of this
  signal alone: its ranks on the universe (gaps in the middle), Gaussianized, less their exposures.
- The *meta-models* speak when the rounds of a session have closed: the blend that a rebalance would have listened to.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

import numpy as np
from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.ids import RoundState
from market.arrays import DateArray, FloatArray, IntArray, StrArray
from market.calendars import to_date
from service.backtest.evenings import Evenings
from service.context import Platform
from service.desk import universe_rule
from service.historylabels import HistoryLabels
from service.ownership import ScoreParts, score_parts
from service.settings import load_terms
from service.store import rounds
from service.store.records import RoundRecord
from service.workflows.blend import FundView, fund_view, record_of_scores
from signals.constancy import is_constant
from signals.contribution import vector_score
from signals.diagnostics import filled_ranks
from signals.findings import FindingList
from signals.history import History
from signals.metamodel import build_meta_model

CLOSED = (RoundState.CLOSED, RoundState.SCORING, RoundState.RESOLVED)
WEEK_SESSIONS = 5
EPOCH = np.datetime64("1970-01-01", "D")
COVERAGE_MIN = 0.5
"""A history that names less than half of the universe on a date has no say on it: the rest would be guessed."""

TARGET_KNOWN_MIN = 0.8
"""Part of the universe whose target a score needs, as in :data:`signals.prepared.OVERLAP_MIN`."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a source speaks: the row of its session, the decision instant, and its place among the source's own."""

    row: int
    instant: datetime
    place: int


@dataclass(frozen=True, slots=True, eq=False)
class Opinion:
    """A score (n,), higher is better, of the assets at ``positions`` (n,), ascending places on the panel's axis."""

    positions: IntArray
    score: FloatArray


class Source(Protocol):
    """What a walk listens to."""

    def moments(self, sessions_between: int, first: date | None = None, last: date | None = None) -> list[Moment]:
        """Return the moments from the first date to the last, no closer than a mandate's rebalances lie apart.

        The first of them is the first that there is between the two: what lies before does not move it.
        """

    def opinion(self, moment: Moment) -> Opinion | None:
        """Return what is said at the moment; None where too little is said to act on."""

    def record(self, moment: Moment) -> list[float]:
        """Return the scores of earlier moments whose target was known at this one, oldest first."""

    def parts(self, moment: Moment, asset_ids: StrArray) -> ScoreParts | None:
        """Return the moment's opinion split over models, on sorted assets that hold its own; None for a single voice."""


def spaced(moments: Sequence[Moment], sessions: DateArray, sessions_between: int) -> list[Moment]:
    """Return the first moment, and each that lies far enough after the one kept before it.

    Parameters
    ----------
    moments : sequence of Moment
        Ascending.
    sessions : (T,) datetime64[D]
        Of the panel's rows.
    sessions_between : int
        Whole weeks are counted in weekdays, where a session takes the place of holidays beside it, so that a holiday does not
        make a weekly signal miss a week; else rows are counted.
    """
    first = last = np.arange(len(sessions))
    if sessions_between % WEEK_SESSIONS == 0:
        day = np.timedelta64(1, "D")
        # The weekdays that a session stands for: from the one after the former session to the one before the next.
        first = np.busday_count(EPOCH, np.append(sessions[:1], sessions[:-1] + day))
        last = np.busday_count(EPOCH, np.append(sessions[1:], sessions[-1:] + day)) - 1
    kept: list[Moment] = []
    for moment in moments:
        if not kept or last[moment.row] - first[kept[-1].row] >= sessions_between:
            kept.append(moment)
    return kept


def between(
    moments: Sequence[Moment], sessions: DateArray, first: date | None, last: date | None
) -> tuple[list[Moment], list[Moment]]:
    """Return the moments before the first date, and those from it to the last, both included; None for no bound."""
    days = [to_date(sessions[moment.row]) for moment in moments]
    earlier = [m for m, day in zip(moments, days, strict=True) if first is not None and day < first]
    inside = [
        m for m, day in zip(moments, days, strict=True) if (first is None or day >= first) and (last is None or day <= last)
    ]
    return earlier, inside


class HistorySource:
    """A signal's history on the panel of ``evenings``.

    Parameters
    ----------
    history : History
        Read without a finding that refuses it.
    findings : FindingList
        Dates that are no sessions of the panel, or too early, are noted here.
    """

    def __init__(self, evenings: Evenings, history: History, findings: FindingList) -> None:
        from service.erascorer import EraScorer

        desk = evenings.desk
        panel, settings = desk.panel, desk.settings
        outcome = desk.view(evenings.close_instant(len(panel.sessions) - 1))
        terms = load_terms(settings.tournaments.signals.terms, settings.config_dir)
        labels = HistoryLabels.of(history.labels, outcome.assets)
        scorer = EraScorer(panel, outcome, universe_rule(settings.universe), terms, history, labels)
        scorer.notice_unknown(findings)
        self.evenings, self.history, self.labels, self.findings = evenings, history, labels, findings
        self._moments = [Moment(at.row, evenings.close_instant(at.row), at.place) for at in scorer.placed(findings)]
        self._spaced: list[Moment] = []
        self._noticed: set[int] = set()
        self._scores: list[tuple[int, float | None]] = []

    def moments(self, sessions_between: int, first: date | None = None, last: date | None = None) -> list[Moment]:
        """Return the evenings of the dates; the record goes back to before the first."""
        sessions = self.evenings.desk.panel.sessions
        earlier, inside = between(self._moments, sessions, first, last)
        before, chosen = (spaced(part, sessions, sessions_between) for part in (earlier, inside))
        if [*before, *chosen] != self._spaced:
            self._spaced, self._scores = [*before, *chosen], []
        return chosen

    def opinion(self, moment: Moment) -> Opinion | None:
        """Return the neutral score on the universe of the evening."""
        members = self.evenings.members(moment.row)
        values = self._values(moment, members)
        covered = float(np.mean(~np.isnan(values)))
        if covered < COVERAGE_MIN or is_constant(values[~np.isnan(values)]):
            if moment.place in self._noticed:
                return None
            self._noticed.add(moment.place)
            said = f"{covered:.0%} of the universe has a value, or all are equal: the date decides nothing."
            line, day = int(self.history.first_lines[moment.place]), str(self.history.dates[moment.place])
            self.findings.notice(Code.COVERAGE_TOO_LOW, said, line, value=day)
            return None
        exposures = self.evenings.exposures(moment.row).values
        return Opinion(members, build_meta_model(filled_ranks(values)[None, :], np.ones(1), exposures).neutral)

    def record(self, moment: Moment) -> list[float]:
        """Return the ``corr`` of the scores of the evenings before whose targets were known.

        Each is measured once, at the first moment at which its target was known, as a round resolves once.
        """
        last = self.evenings.last_scored_row(moment.instant)
        for known_at in self._spaced:
            if known_at.row > moment.row:
                break
            due = self.evenings.last_scored_row(known_at.instant)
            for earlier in self._spaced[len(self._scores) :]:
                if earlier.row > due:
                    break
                self._scores.append((earlier.row, self._score(earlier, known_at)))
        return [score for row, score in self._scores if row <= last and score is not None]

    def parts(self, moment: Moment, asset_ids: StrArray) -> ScoreParts | None:  # noqa: ARG002 - as every source
        """Return None: one signal is one voice."""
        return None

    def _values(self, moment: Moment, members: IntArray) -> FloatArray:
        """Return the history's values of the date on the universe, NaN for a gap."""
        panel = self.evenings.desk.panel
        codes, values = self.history.era(moment.place)
        assets = self.evenings.assets_at(moment.instant)
        where = self.labels.on(assets, members, codes.astype(np.int64))
        placed = np.full(len(panel.assets), np.nan)
        placed[where[where >= 0]] = values[where >= 0]
        return placed[members]

    def _score(self, moment: Moment, known_at: Moment) -> float | None:
        opinion = self.opinion(moment)
        if opinion is None:
            return None
        target = self.evenings.target(moment.row, known_at.instant)
        return vector_score(opinion.score, target) if np.mean(~np.isnan(target)) >= TARGET_KNOWN_MIN else None


class MetaModelSource:
    """The fund's view of the home's rounds, session by session."""

    def __init__(self, platform: Platform, evenings: Evenings) -> None:
        self.platform, self.evenings = platform, evenings
        self._said: tuple[int, FundView] | None = None
        by_session: dict[date, list[RoundRecord]] = {}
        with platform.store.read() as connection:
            for record in rounds.list_rounds(connection, None, CLOSED):
                by_session.setdefault(record.base_session, []).append(record)
        self._rounds: list[tuple[date, list[RoundRecord]]] = sorted(by_session.items())

    def moments(self, sessions_between: int, first: date | None = None, last: date | None = None) -> list[Moment]:
        """Return the instants at which the last round of each session had closed."""
        panel = self.evenings.desk.panel
        found = []
        for place, (session, records) in enumerate(self._rounds):
            instant = max(record.closes_at for record in records)
            row = panel.index_of(session)
            if panel.knowledge_at(instant)[0] == row + 1:
                found.append(Moment(row, instant, place))
        return spaced(between(found, panel.sessions, first, last)[1], panel.sessions, sessions_between)

    def opinion(self, moment: Moment) -> Opinion | None:
        """Return the blend, as a rebalance at that instant would have listened to it."""
        with self.platform.store.read() as connection:
            says = self._view(connection, moment)
        positions = self.evenings.desk.positions_of(says.asset_ids)
        order = np.argsort(positions)
        return Opinion(positions[order], says.score[order])

    def record(self, moment: Moment) -> list[float]:
        """Return the scores of the rounds that had resolved."""
        with self.platform.store.read() as connection:
            return record_of_scores(self.platform, connection, moment.instant)

    def parts(self, moment: Moment, asset_ids: StrArray) -> ScoreParts | None:
        """Return what each model said, as :mod:`service.ownership` splits the fund's own decisions."""
        with self.platform.store.read() as connection:
            says, sources = self._view(connection, moment), self._rounds[moment.place][1]
            return score_parts(self.platform, connection, sources, says.evidence["weights"], says.asset_ids, asset_ids)

    def _view(self, connection: Connection, moment: Moment) -> FundView:
        """Return the blend of a moment; the last one asked for is remembered, since its parts follow its score."""
        if self._said is None or self._said[0] != moment.place:
            sources = self._rounds[moment.place][1]
            self._said = moment.place, fund_view(self.platform, connection, sources, moment.instant)
        return self._said[1]


def meta_models_sha256(platform: Platform) -> str:
    """Return a hash over the closed rounds of the home and their files: what a walk of the meta-models rests on."""
    with platform.store.read() as connection:
        closed = rounds.list_rounds(connection, None, CLOSED)
        told = [(str(record.key), sorted(rounds.artifacts(connection, record.key).items())) for record in closed]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
