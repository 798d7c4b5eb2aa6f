"""Take a file: judge it, keep it, sign a receipt. Every door that takes a file comes through here.

1. *load* the model, the round that the file is for, and the labels that it froze.
2. *decide* with :func:`signals.submission.judge`: all findings at once, nothing written for a refused file but its verdict.
3. *commit* the bytes and the vector as files, then, in one transaction that also reads the clock, the row and its receipt.

A file is on time when it is committed before ``closes_at`` by the database's clock; exactly at ``closes_at`` is late. A late
file is kept and marked, has no stake and no weight. The same bytes for the same round again return the first receipt.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from crowdalpha.canonical import sha256_hex
from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, Finding, InputRejected
from crowdalpha.ids import UNSETTLED, RoundKey, RoundState, Tournament
from crowdalpha.terms import RoundTerms
from service.context import Platform
from service.frames import get_labels, get_schemes
from service.receipts import Receipt, sign_receipt
from service.store import models, rounds, submissions
from service.store.records import ModelRecord, RoundRecord, SubmissionRecord
from signals.labels import LabelScheme
from signals.parse import CLASSIC_FORMAT, SIGNALS_FORMAT, FileFormat
from signals.submission import Verdict, judge

TAKING = UNSETTLED
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
        model = model_of(connection, model_name, provider_id)
        record = round_taking(connection, model.tournament, round_key)
        labels = get_labels(connection, platform.blobs, record.key)
        schemes = get_schemes(connection, platform.blobs, record.key)
    verdict = judge_for(record, data, labels, schemes)
    vector_sha: str | None = None
    if verdict.accepted and verdict.signal is not None:
        platform.blobs.put(data)
        vector_sha = platform.blobs.put_array(verdict.signal.values)
    with platform.store.write() as connection:
        return _commit(platform, connection, model, record.key, data, filename[:255], verdict, vector_sha)


def file_format(tournament: Tournament) -> FileFormat:
    """Return the format that files of ``tournament`` have."""
    return SIGNALS_FORMAT if tournament is Tournament.SIGNALS else CLASSIC_FORMAT


def judge_for(record: RoundRecord, data: bytes, labels: tuple[str, ...], schemes: Mapping[str, LabelScheme]) -> Verdict:
    """Return the verdict on ``data`` as a file for a round with these labels, and these schemes of others."""
    return judge(data, file_format(record.key.tournament), labels, RoundTerms.from_dict(record.terms).scoring, schemes)


def is_on_time(record: RoundRecord, at: datetime) -> bool:
    """Say whether a file that is committed at the instant ``at`` is on time; exactly at the close it is late."""
    return record.state is RoundState.OPEN and at < record.closes_at


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
    record = round_taking(connection, model.tournament, key)
    received_at = platform.clock.now(connection)
    on_time = is_on_time(record, received_at)
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
    if stored.on_time:  # the file was sent before, in time: it counts, whenever it is sent again
        findings = [f for f in findings if f.code is not Code.SUBMISSION_LATE]
    if stored.id != submission_id and stored.receipt is not None:
        receipt = Receipt.from_dict(_plain(stored.receipt))
    return SubmitOutcome(verdict.accepted, verdict.accepted and not stored.on_time, tuple(findings), receipt, stored)


def model_of(connection: Connection, name: str, provider_id: str | None) -> ModelRecord:
    """Return the model of that name; raises InputRejected MODEL_UNKNOWN, also where it is not of the provider given."""
    model = models.model_by_name(connection, name)
    if model is None or (provider_id is not None and model.provider_id != provider_id):
        raise InputRejected(Code.MODEL_UNKNOWN, f"There is no model '{name[:40]}'.")
    return model


def round_taking(connection: Connection, tournament: Tournament, key: RoundKey | None) -> RoundRecord:
    """Return round ``key`` of the tournament, or its latest; it takes files.

    Raises
    ------
    InputRejected
        ROUND_UNKNOWN.
    Conflict
        ROUND_NOT_OPEN when the round takes no files any more.
    """
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
