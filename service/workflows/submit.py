"""Take a file: judge it, keep it, sign a receipt. Every door that takes a file comes through here.

1. *load* the model, the round that the file is for, and the round's frozen labels.
2. *decide* with :func:`signals.submission.judge`: all findings at once, nothing written for a refused file but its verdict.
3. *commit* the bytes and the vector as files, then, in one transaction that also reads the clock, the row and its receipt.

A file is on time when it is committed before ``closes_at`` by the database's clock; exactly at ``closes_at`` is late. A late
file is kept and marked, has no stake and no weight. The same bytes for the same round again return the first receipt.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from crowdalpha.canonical import sha256_hex
from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, Finding, InputRejected
from crowdalpha.ids import RoundKey, RoundState, Tournament
from crowdalpha.terms import RoundTerms
from service.context import Platform
from service.frames import get_frame
from service.receipts import Receipt, sign_receipt
from service.store import models, rounds, submissions
from service.store.records import ModelRecord, RoundRecord, SubmissionRecord
from signals.parse import CLASSIC_FORMAT, SIGNALS_FORMAT, FileFormat
from signals.submission import Verdict, judge

TAKING = (RoundState.OPEN, RoundState.CLOSED, RoundState.SCORING)
"""States in which a file is kept; it is on time in the first only."""


@dataclass(frozen=True, slots=True)
class SubmitOutcome:
    """What became of a file.

    Attributes
    ----------
    accepted : bool
        False when a finding refuses the file; then nothing but the verdict was recorded.
    late : bool
        True when the file came at or after the round's close.
    findings : tuple of Finding
    receipt : Receipt or None
        The signed proof; None for a refused file.
    submission : SubmissionRecord
    """

    accepted: bool
    late: bool
    findings: tuple[Finding, ...]
    receipt: Receipt | None
    submission: SubmissionRecord


def submit(
    platform: Platform,
    model_name: str,
    data: bytes,
    filename: str,
    round_key: RoundKey | None = None,
    provider_id: str | None = None,
) -> SubmitOutcome:
    """Submit ``data`` for ``model_name`` to ``round_key``, or to the tournament's latest round.

    Parameters
    ----------
    data : bytes
        The file as received.
    filename : str
        As the sender calls it; kept for display only, never used as a path.
    provider_id : str, optional
        When given, the model must belong to this provider; a foreign model is as unknown as an absent one.

    Raises
    ------
    InputRejected
        MODEL_UNKNOWN, ROUND_UNKNOWN.
    Conflict
        ROUND_NOT_OPEN when the round takes no files any more.
    """
    with platform.store.read() as connection:
        model = _model(connection, model_name, provider_id)
        record = _round(connection, model.tournament, round_key)
        frame = get_frame(connection, platform.blobs, record.key)
    verdict = _judge(model.tournament, data, frame.labels, record)
    vector_sha: str | None = None
    if verdict.accepted and verdict.signal is not None:
        platform.blobs.put(data)
        vector_sha = platform.blobs.put_array(verdict.signal.values)
    with platform.store.write() as connection:
        return _commit(platform, connection, model, record.key, data, filename[:255], verdict, vector_sha)


def check(platform: Platform, tournament: Tournament, data: bytes) -> Verdict:
    """Return the verdict that ``data`` would get for the tournament's latest round; nothing is stored."""
    with platform.store.read() as connection:
        record = _round(connection, tournament, None)
        frame = get_frame(connection, platform.blobs, record.key)
    return _judge(tournament, data, frame.labels, record)


def file_format(tournament: Tournament) -> FileFormat:
    """Return the format that files of ``tournament`` have."""
    return SIGNALS_FORMAT if tournament is Tournament.SIGNALS else CLASSIC_FORMAT


def _judge(tournament: Tournament, data: bytes, labels: tuple[str, ...], record: RoundRecord) -> Verdict:
    return judge(data, file_format(tournament), labels, RoundTerms.from_dict(record.terms).scoring)


def _commit(
    platform: Platform,
    connection: Connection,
    model: ModelRecord,
    key: RoundKey,
    data: bytes,
    filename: str,
    verdict: Verdict,
    vector_sha: str | None,
) -> SubmitOutcome:
    record = _round(connection, model.tournament, key)
    received_at = platform.clock.now(connection)
    on_time = record.state is RoundState.OPEN and received_at < record.closes_at
    findings = list(verdict.findings)
    if verdict.accepted and not on_time:
        findings.append(Finding(Code.SUBMISSION_LATE, Code.SUBMISSION_LATE.meaning, refuses=False))
    submission_id = platform.ids.new()
    sha = sha256_hex(data)
    receipt = None
    if verdict.accepted:
        receipt = sign_receipt(
            platform.signer,
            submission_id=submission_id,
            round_key=str(key),
            model_id=model.id,
            sha256=sha,
            received_at=received_at,
            on_time=on_time,
        )
    stored = submissions.add_submission(
        connection,
        SubmissionRecord(
            id=submission_id,
            round=key,
            model_id=model.id,
            sha256=sha,
            filename=filename,
            received_at=received_at,
            on_time=on_time,
            accepted=verdict.accepted,
            findings=[f.as_dict() for f in findings],
            vector_sha=vector_sha,
            receipt=None if receipt is None else receipt.as_dict(),
        ),
    )
    if stored.id != submission_id and stored.receipt is not None:
        receipt = Receipt.from_dict(_plain(stored.receipt))
    return SubmitOutcome(verdict.accepted, verdict.accepted and not stored.on_time, tuple(findings), receipt, stored)


def _model(connection: Connection, name: str, provider_id: str | None) -> ModelRecord:
    model = models.model_by_name(connection, name)
    if model is None or (provider_id is not None and model.provider_id != provider_id):
        raise InputRejected(Code.MODEL_UNKNOWN, f"There is no model '{name[:40]}'.")
    return model


def _round(connection: Connection, tournament: Tournament, key: RoundKey | None) -> RoundRecord:
    if key is not None and key.tournament is not tournament:
        raise InputRejected(Code.ROUND_UNKNOWN, f"Round {key} is of another tournament than the model.")
    record = rounds.latest_round(connection, tournament) if key is None else rounds.round_by_key(connection, key)
    if record is None:
        raise InputRejected(Code.ROUND_UNKNOWN, f"There is no round {key or 'of ' + tournament.label}.")
    if record.state not in TAKING:
        raise Conflict(Code.ROUND_NOT_OPEN, f"Round {record.key} is {record.state.value} and takes no files.")
    return record


def _plain(receipt: Any) -> dict[str, Any]:
    return dict(receipt)
