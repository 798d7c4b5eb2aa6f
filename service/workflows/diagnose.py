"""Diagnose a signal's history against the home's prices: what its rounds would have scored, had it been sent. Stores nothing.

1. *load* the history (:mod:`signals.history`), refused with all findings before any price is read; then the panel, and the
   meta-models of resolved rounds as far as they are public.
2. *decide* per era the scores, exposures and changes (:mod:`service.erascorer` names the decision instant), as they would
   be of a round with that base session; then the statistics over the eras (:mod:`service.diagnosis`), for the signal and for
   the example model.

A date that cannot be measured (outside the prices, too early, too few identifiers) is left out with a finding; an era whose
target is not known yet is pending: it has exposures and changes and no score. Several eras are worked on at a time; nothing
depends on how many.
"""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import Finding, InputRejected
from crowdalpha.ids import Tournament
from market.calendars import to_date, to_instant
from market.universe import UniverseRule
from service.context import Platform
from service.diagnosis import (
    Diagnosis,
    EraState,
    MeasuredEra,
    change_summary,
    factor_lines,
    score_summaries,
    step_and_lags,
)
from service.erascorer import ERAS_A_BLOCK, EraScorer, OpenedEra
from service.historylabels import HistoryLabels
from service.metamodels import published_raw_vectors
from service.progress import Progress, Silent
from service.settings import load_terms
from signals.findings import FindingList
from signals.history import History, read_history, read_history_table

WORKERS_MAX = 4
"""Beyond it the memory bus is busy, not the processors."""

CHUNK_BYTES = 1024 * 1024
PARQUET_MAGIC = b"PAR1"


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
        raise InputRejected(Code.REQUEST_INVALID, f"The file '{path}' cannot be read: {reason}.") from error


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


def _without_findings(results: Iterator[OpenedEra | Finding], findings: FindingList) -> list[OpenedEra]:
    opened = []
    for result in results:
        if isinstance(result, Finding):
            _notice_all([result], findings)
        else:
            opened.append(result)
    return opened


def _scorer(platform: Platform, history: History) -> EraScorer:
    settings, panel = platform.settings, platform.desk.panel
    rules = settings.universe
    rule = UniverseRule(rules.size, rules.min_history_sessions, rules.adv_window_sessions, rules.stale_sessions_max)
    terms = load_terms(settings.tournaments.signals.terms, settings.config_dir)
    # The last word on every session; an instant has whole seconds.
    words = np.append(panel.known_at, panel.revisions.known_at.astype("datetime64[s]") + np.timedelta64(1, "s"))
    outcome = panel.as_of(to_instant(words.max()))
    # Computed once, here, because the workers share them.
    outcome.total_returns()
    outcome.market_cap()
    outcome.dollar_volume()
    outcome.return_index()
    outcome.history_sessions()
    _ = outcome.traded
    labels = HistoryLabels.of(history.labels, outcome.assets)
    published = published_raw_vectors(platform, Tournament.SIGNALS, {to_date(s) for s in panel.sessions})
    asset_of = {str(asset): i for i, asset in enumerate(panel.assets.asset_ids.tolist())} if published else {}
    meta_models = {}
    for session, (asset_ids, vector) in published.items():
        meta_models[session] = np.full(len(panel.assets), np.nan)
        for asset, value in zip(asset_ids.tolist(), vector.tolist(), strict=True):
            if asset in asset_of:
                meta_models[session][asset_of[asset]] = value
    return EraScorer(panel, outcome, rule, terms, history, labels, meta_models)


def _diagnosis(file: str, scorer: EraScorer, eras: list[MeasuredEra], findings: FindingList) -> Diagnosis:
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
