"""Run a backtest: the fund's decisions walked forward over the home's prices, kept as a trial.

1. *load* the prices, the signal's history (refused with all findings) or the closed rounds of the home; with synthetic deaths,
   the panel on which they happened.
2. *decide* by :func:`service.backtest.walk.walk`, which names the decision instants.
3. *commit* the trial's files. A trial of the same identity is not walked again, unless its walk is wanted.

Nothing of the fund itself is read or changed: neither its book nor its decisions.
"""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from crowdalpha import __version__
from crowdalpha.codes import Code
from crowdalpha.errors import Finding, InputRejected
from market.deaths import with_deaths
from service.backtest.evenings import Evenings
from service.backtest.outcome import decision_lines, figures, series
from service.backtest.sources import HistorySource, MetaModelSource, Source, meta_models_sha256
from service.backtest.spec import PERCENT, BacktestSpec, settings_hash, trial_id
from service.backtest.trials import Trial, Trials
from service.backtest.walk import Walk, walk
from service.context import Platform
from service.desk import MarketDesk
from service.progress import Progress
from service.settings import load_terms
from service.workflows.diagnose import read_file
from signals.findings import FindingList
from signals.history import History


@dataclass(frozen=True, slots=True, eq=False)
class Backtest:
    """A backtest that was run.

    Attributes
    ----------
    trial : Trial
    walk : Walk
    flags : frozenset of str
        Of the panel that was walked on.
    findings : tuple of Finding
        What is to be said of the signal's dates.
    """

    trial: Trial
    walk: Walk
    flags: frozenset[str]
    findings: tuple[Finding, ...]


@dataclass(slots=True)
class BacktestRoom:
    """The prices, histories and evenings that several backtests of a home share; each is computed once.

    What it remembers changes no number: a backtest in a room that has seen twenty others is the same as in a fresh one.
    """

    platform: Platform
    _data_sha256: str = ""
    _histories: dict[Path, tuple[History, str]] = field(default_factory=dict)
    _evenings: dict[tuple[float, int], Evenings] = field(default_factory=dict)
    _sources: dict[tuple[Path, float, int], tuple[HistorySource, FindingList]] = field(default_factory=dict)

    @property
    def trials(self) -> Trials:
        """The trials of the home."""
        return Trials(self.platform.home)

    @property
    def data_sha256(self) -> str:
        """Hash of the home's panel, without deaths."""
        if not self._data_sha256:
            self._data_sha256 = self.platform.desk.panel.content_hash()
        return self._data_sha256

    def identity(self, spec: BacktestSpec) -> str:
        """Return the identity of a backtest."""
        return trial_id(spec, self.platform.settings, self.data_sha256, self._signal_sha256(spec))

    def hashes(self, spec: BacktestSpec) -> dict[str, str]:
        """Return the hashes of what a backtest rests on."""
        return {
            "settings": settings_hash(self.platform.settings),
            "data": self.data_sha256,
            "signal": self._signal_sha256(spec),
        }

    def run(self, spec: BacktestSpec, progress: Progress | None = None, *, with_lines: bool = False) -> Backtest:
        """Walk and keep the trial; see :func:`run_backtest` and, for who earned what, :func:`service.backtest.walk.walk`."""
        evenings = self._evenings_of(spec)
        source, findings = self._source(spec, evenings)
        try:
            walked = walk(evenings, source, spec, progress, with_lines=with_lines)
        except InputRejected as refused:
            # What was noticed of the signal on the way is why nothing came of it.
            raise InputRejected(refused.code, refused.message, [*refused.findings, *findings.shown()]) from refused
        flags = evenings.desk.panel.flags
        told = {
            "spec": spec.plain(),
            "hashes": self.hashes(spec),
            "version": __version__,
            "flags": sorted(flags),
            "figures": figures(walked),
            "decisions": decision_lines(walked),
        }
        trial = self.trials.put(self.identity(spec), told, series(walked))
        return Backtest(trial, walked, flags, findings.shown())

    def _evenings_of(self, spec: BacktestSpec) -> Evenings:
        key = (spec.deaths_percent, spec.seed if spec.deaths_percent else 0)
        if key not in self._evenings:
            settings, desk = self.platform.settings, self.platform.desk
            terms = load_terms(settings.tournaments.signals.terms, settings.config_dir).scoring
            if spec.deaths_percent:
                loss = float(settings.market.delisting_performance_return)
                rng = np.random.default_rng(spec.seed)
                dying = MarketDesk(self.platform.home, settings)
                dying.use(with_deaths(desk.panel, spec.deaths_percent * PERCENT, rng, loss))
                desk = dying
            self._evenings[key] = Evenings(desk, terms.horizon_sessions, terms.lag_sessions)
        return self._evenings[key]

    def _history(self, path: Path) -> tuple[History, str]:
        if path not in self._histories:
            history = read_file(path)
            if history.refused:
                shown = history.findings
                raise InputRejected(shown[0].code, f"The history is refused: {shown[0].message}", list(shown))
            self._histories[path] = history, hashlib.sha256(path.read_bytes()).hexdigest()
        return self._histories[path]

    def _signal_sha256(self, spec: BacktestSpec) -> str:
        if spec.signal is not None:
            return self._history(spec.signal)[1]
        return meta_models_sha256(self.platform)

    def _source(self, spec: BacktestSpec, evenings: Evenings) -> tuple[Source, FindingList]:
        if spec.signal is None:
            source = MetaModelSource(self.platform, evenings)
            if not source.moments(spec.mandate.sessions_per_rebalance):
                raise InputRejected(
                    Code.ROUND_STATE, "No round of this home has closed yet: name the file of a signal's history."
                )
            return source, FindingList()
        key = (spec.signal, spec.deaths_percent, spec.seed)
        if key not in self._sources:
            findings = FindingList()
            self._sources[key] = HistorySource(evenings, self._history(spec.signal)[0], findings), findings
        return self._sources[key]


def run_backtest(platform: Platform, spec: BacktestSpec, progress: Progress | None = None) -> Backtest:
    """Run one backtest and keep it as a trial of the home.

    Parameters
    ----------
    platform : Platform
        Its clock is not asked: a backtest sees all prices of the home, each from its own instant on.
    spec : BacktestSpec
    progress : Progress, optional

    Raises
    ------
    InputRejected
        With all findings for a history that is refused; ROUND_STATE for a home without closed rounds when there is no history;
        ROWS_TOO_FEW when nothing can be decided between the dates.
    Unavailable
        PRICES_MISSING when the home has no prices.
    """
    return BacktestRoom(platform).run(spec, progress)
