"""Score a round on the returns known so far; on its last day the scores are final.

1. *load* the round's frozen files and the panel as known now.
2. *decide* day k (the last session known, at most the horizon), the forward returns over it, the neutral binned target,
   and every score kind of the round's terms; each score is quantized once, half-even, to parts per billion.
3. *commit* the day to the score book (a file), then the scores over the former day's (rows); a round that was ``closed``
   becomes ``scoring``.

Decision instant: the clock's. Day k uses closes s₀+lag … s₀+lag+k, all known then.
"""

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected, Unavailable
from crowdalpha.ids import RoundKey, RoundState, Tournament
from crowdalpha.terms import PPB, RoundTerms
from market.arrays import FloatArray
from market.panel import PanelView
from market.targets import coverage, forward_returns, neutral_target
from service.context import Platform
from service.frames import ClosedBook, RoundFrame, get_book, get_frame
from service.scorebook import DayScores
from service.store import rounds, scores
from service.store.records import RoundRecord, ScoreRecord
from service.vendors.files import parquet_bytes
from service.workflows.metareport import final_files
from signals.quantize import score_ppb
from signals.scores import score_kinds


def score_round(platform: Platform, key: RoundKey) -> int:
    """Score round ``key`` on the returns known now; return the day k that was scored.

    Raises
    ------
    InputRejected
        ROUND_UNKNOWN.
    Conflict
        ROUND_NOT_DUE before the first return is known; ROUND_STATE unless the round is closed or scoring.
    Unavailable
        MARKET_COVERAGE when too small a part of the universe has returns: the round is held.
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
        book = get_book(connection, platform.blobs, key)
    terms = RoundTerms.from_dict(record.terms)
    view = platform.desk.view(now)
    day = _day(view, record, terms)
    target = _target(platform, view, record, terms, frame, day)
    final = day == terms.scoring.horizon_sessions
    values = score_kinds(terms.scoring.kinds, book.predictions, target, book.raw, frame.exposures) if book.model_ids else {}
    platform.scorebook.put(view.last_session, DayScores(str(key), day, book.model_ids, values))
    rows = _score_rows(record, book, values, day, final=final)
    files = _final_files(platform, record, frame, book, target) if final else {}
    with platform.store.write() as connection:
        scores.put_scores(connection, rows)
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
    returns = forward_returns(view, members, record.base_session, day, terms.scoring.lag_sessions)
    share = coverage(returns)
    if share * PPB < terms.scoring.coverage_min_ppb:
        raise Unavailable(Code.MARKET_COVERAGE, f"Returns of only {share:.1%} of round {record.key}'s universe are known.")
    return neutral_target(returns, frame.exposures, terms.scoring.bin_shares_percent)


def _score_rows(
    record: RoundRecord, book: ClosedBook, values: dict[str, FloatArray], day: int, *, final: bool
) -> list[ScoreRecord]:
    return [
        ScoreRecord(record.key, model_id, kind, day, float(column[row]), score_ppb(float(column[row])), final)
        for kind, column in values.items()
        for row, model_id in enumerate(book.model_ids)
    ]


def _final_files(
    platform: Platform, record: RoundRecord, frame: RoundFrame, book: ClosedBook, target: FloatArray
) -> dict[str, str]:
    """Return what belongs to the final score: the target, what the meta-model was worth, the classic era with targets."""
    files = {"target": platform.blobs.put_array(target)} | final_files(platform, record.key, frame, book, target)
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
