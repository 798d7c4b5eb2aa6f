"""Score a round on the returns known so far; on its last day the scores are final.

1. *load* what the close prepared, as memory maps, and the panel as known now.
2. *decide* day k (the last session known, at most the horizon), the forward returns over it, the neutral binned target,
   and every score kind of the round's terms; each score is quantized once, half-even, to parts per billion.
3. *commit* the day to the score book (a file), then the scores over the former day's (rows); a round that was ``closed``
   becomes ``scoring``.

Decision instant: the clock's. Day k uses closes s₀+lag … s₀+lag+k, all known then.
"""

from collections.abc import Mapping

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected, InvariantBroken, Unavailable
from crowdalpha.ids import RoundKey, RoundState, Tournament
from crowdalpha.terms import PPB, RoundTerms
from market.arrays import FloatArray
from market.panel import PanelView
from market.targets import coverage, forward_returns, neutral_target, priced_share
from service.context import Platform
from service.frames import RoundFrame, get_frame, get_prepared
from service.scorebook import DayScores
from service.store import rounds, scores
from service.store.records import RoundRecord
from service.vendors.files import parquet_bytes
from service.workflows.metareport import final_files
from signals.prepared import score_prepared
from signals.quantize import scores_ppb


def score_round(platform: Platform, key: RoundKey) -> int:
    """Score round ``key`` on the returns known now; return the day k that was scored.

    Raises
    ------
    InputRejected
        ROUND_UNKNOWN.
    Conflict
        ROUND_NOT_DUE before the first return is known; ROUND_STATE unless the round is closed or scoring.
    Unavailable
        MARKET_COVERAGE when too small a part of the universe has returns, or prices at the window's ends: the round is held.
    """
    now = platform.clock.now()
    with platform.store.read() as connection:
        record = rounds.round_by_key(connection, key)
        if record is None:
            raise InputRejected(Code.ROUND_UNKNOWN, f"There is no round {key}.")
        if record.state is RoundState.RESOLVED:
            return RoundTerms.from_dict(record.terms).scoring.horizon_sessions
        if record.state not in {RoundState.CLOSED, RoundState.SCORING}:
            raise Conflict(Code.ROUND_STATE, f"Round {key} is {record.state.value}: there is nothing to score.")
        frame = get_frame(connection, platform.blobs, key)
        prepared = get_prepared(connection, platform.blobs, key)
    terms = RoundTerms.from_dict(record.terms)
    view = platform.desk.view(now)
    if not np.array_equal(prepared.asset_ids, frame.asset_ids):
        raise InvariantBroken(Code.BLOB_BROKEN, f"Round {key} was prepared on other assets than it opened with.")
    day = _day(view, record, terms)
    target = _target(platform, view, record, terms, frame, day)
    final = day == terms.scoring.horizon_sessions
    threads = platform.settings.scoring.threads
    # Whether enough of the target is known was judged by the round's own terms.
    values = score_prepared(prepared, target, terms.scoring.kinds, overlap_min=0.0, workers=threads)
    found = DayScores(str(key), day, prepared.model_ids.tolist(), values)
    platform.scorebook.put(view.last_session, found)
    files = _final_files(platform, record, frame, target) if final else {}
    with platform.store.write() as connection:
        scores.put_day(connection, key, day, found.model_ids, in_ppb(values), final=final)
        for name, sha in files.items():
            rounds.set_artifact(connection, key, name, sha)
        if record.state is RoundState.CLOSED:
            rounds.advance_round(connection, key, (RoundState.CLOSED,), RoundState.SCORING)
    return day


def _day(view: PanelView, record: RoundRecord, terms: RoundTerms) -> int:
    known = len(view.sessions) - 1 - view.index_of(record.base_session) - terms.scoring.lag_sessions
    if known < 1:
        raise Conflict(Code.ROUND_NOT_DUE, f"No return of round {record.key} is known yet.")
    return min(known, terms.scoring.horizon_sessions)


def _target(
    platform: Platform, view: PanelView, record: RoundRecord, terms: RoundTerms, frame: RoundFrame, day: int
) -> FloatArray:
    members = platform.desk.positions_of(frame.asset_ids)
    window = (view, members, record.base_session, day, terms.scoring.lag_sessions)
    returns = forward_returns(*window)
    share = min(coverage(returns), priced_share(*window))
    if share * PPB < terms.scoring.coverage_min_ppb:
        raise Unavailable(Code.MARKET_COVERAGE, f"Prices of only {share:.1%} of round {record.key}'s universe are known.")
    return neutral_target(returns, frame.exposures, terms.scoring.bin_shares_percent)


def in_ppb(values: Mapping[str, FloatArray]) -> dict[str, tuple[list[float], list[int]]]:
    """Return each kind's scores as they are and as what may pay, for :func:`service.store.scores.put_day`."""
    return {kind: (column.tolist(), scores_ppb(column)) for kind, column in values.items()}


def _final_files(platform: Platform, record: RoundRecord, frame: RoundFrame, target: FloatArray) -> dict[str, str]:
    """Return what belongs to the final score: the target, what the meta-model was worth, the classic era with targets."""
    files = {"target": platform.blobs.put_array(target)} | final_files(platform, record.key, frame, target)
    if record.key.tournament is Tournament.CLASSIC:
        files["era"] = platform.blobs.put(_era_with_target(platform, record, frame, target))
    return files


def _era_with_target(platform: Platform, record: RoundRecord, frame: RoundFrame, target: FloatArray) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with platform.store.read() as connection:
        live = platform.blobs.get(rounds.artifacts(connection, record.key)["live"])
    table = pq.read_table(pa.BufferReader(live))
    by_label = dict(zip(frame.labels, target.tolist(), strict=True))
    values = [by_label[str(i)] for i in table.column("id").to_pylist()]
    if "target" in table.column_names:
        table = table.drop_columns(["target"])
    return parquet_bytes(table.append_column("target", pa.array(values, type=pa.float64())))
