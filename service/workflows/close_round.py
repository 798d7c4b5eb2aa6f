"""Close a round: freeze who takes part, reserve what can be burned, build the meta-model, commit to the submission set.

1. *load* the selected submissions: per model the latest accepted one that was on time.
2. *decide*, inside the writing transaction so that no balance can move meanwhile: what is at risk, the retention of each
   model against its previous submission, the two meta-model vectors, the state from which each day is scored, the Merkle
   root of the submission set.
3. *commit* the files, then the at-risk rows, the reservations in the ledger, and the state ``closed``.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np
from sqlalchemy import Connection

from crowdalpha.canonical import canonical_bytes
from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected
from crowdalpha.ids import RoundKey, RoundState
from crowdalpha.merkle import merkle_root
from crowdalpha.terms import ATOMS_PER_TOKEN, RoundTerms, ScoringTerms
from market.arrays import FloatArray
from service.bundles.contents import leaf_of
from service.clock import instant_text
from service.context import Platform
from service.frames import ClosedBook, RoundFrame, get_frame, put_book, put_prepared
from service.store import audit, ledger, rounds, scores, stakes, submissions
from service.store.records import AtRiskRecord, RoundRecord, SubmissionRecord
from service.workflows.metareport import closing_files
from service.workflows.retentions import round_retentions
from service.workflows.stakes import held_atoms
from signals.metamodel import meta_model_of
from signals.prepared import PreparedRound, prepare_round
from staking import AtRisk, Candidate, close_stakes, reserve, stake_account


def close_round(platform: Platform, key: RoundKey) -> RoundRecord:
    """Close round ``key``; the decision instant is its ``closes_at``. A round closed before is returned as it stands.

    Raises
    ------
    InputRejected
        ROUND_UNKNOWN.
    Conflict
        ROUND_NOT_DUE before ``closes_at``; ROUND_STATE for a void round.
    """
    with platform.store.write() as connection:
        record = rounds.round_by_key(connection, key)
        if record is None:
            raise InputRejected(Code.ROUND_UNKNOWN, f"There is no round {key}.")
        if record.state in {RoundState.CLOSED, RoundState.SCORING, RoundState.RESOLVED}:
            return record
        now = platform.clock.now(connection)
        if now < record.closes_at:
            raise Conflict(Code.ROUND_NOT_DUE, f"Round {key} closes at {record.closes_at:%Y-%m-%d %H:%M} UTC.")
        terms = RoundTerms.from_dict(record.terms)
        frame = get_frame(connection, platform.blobs, key)
        selected = dict(sorted(submissions.selected_submissions(connection, key).items()))
        at_risk = _reserve(connection, record, terms, list(selected), now)
        kept = round_retentions(
            platform, connection, key, terms.payout, frame, tuple(selected), lambda m: _vector(platform, selected[m])
        )
        scores.put_retentions(connection, kept)
        book, prepared = _build_book(platform, terms.scoring, frame, selected, at_risk)
        files = put_book(platform.blobs, book) | put_prepared(platform.blobs, prepared)
        for name, sha in (files | closing_files(platform, connection, frame, book, prepared)).items():
            rounds.set_artifact(connection, key, name, sha)
        root = merkle_root([canonical_bytes(leaf_of(s)) for s in selected.values()])
        rounds.advance_round(connection, key, (RoundState.OPEN,), RoundState.CLOSED, closed_at=now, submissions_root=root)
        audit.record(connection, now, "schedule", "close_round", str(key), {"submissions": len(selected), "root": root})
        closed = rounds.round_by_key(connection, key)
    return closed if closed is not None else record


def _reserve(
    connection: Connection, record: RoundRecord, terms: RoundTerms, model_ids: list[str], now: datetime
) -> dict[str, AtRisk]:
    candidates = []
    for model_id in model_ids:
        free = ledger.balance(connection, stake_account(model_id))
        candidates.append(Candidate(model_id, free + held_atoms(connection, model_id), free))
    frozen = close_stakes(candidates, terms.payout)
    transfer = reserve(str(record.key), frozen, instant_text(now))
    if transfer is not None:
        ledger.post(connection, [transfer])
    rows = [AtRiskRecord(record.key, a.model_id, a.stake_atoms, a.at_risk_atoms, a.reserved_atoms) for a in frozen]
    stakes.add_at_risk(connection, rows)
    return {a.model_id: a for a in frozen}


def _build_book(
    platform: Platform,
    scoring: ScoringTerms,
    frame: RoundFrame,
    selected: dict[str, SubmissionRecord],
    at_risk: dict[str, AtRisk],
) -> tuple[ClosedBook, PreparedRound]:
    predictions = np.empty((len(selected), len(frame.asset_ids)))
    for row, submission in enumerate(selected.values()):
        predictions[row] = _vector(platform, submission)
    at_risk_atoms = [at_risk[m].at_risk_atoms if m in at_risk else 0 for m in selected]
    return prepare_book(scoring, frame, list(selected), predictions, at_risk_atoms, platform.settings.scoring.threads)


def prepare_book(
    scoring: ScoringTerms,
    frame: RoundFrame,
    model_ids: Sequence[str],
    predictions: FloatArray,
    at_risk_atoms: Sequence[int],
    threads: int = 1,
) -> tuple[ClosedBook, PreparedRound]:
    """Return the meta-model and what daily scores start from: all of it a function of what was frozen and sent.

    Parameters
    ----------
    model_ids : sequence of str, length m
        Sorted.
    predictions : (m, n) float64
        Ranks as :class:`signals.submission.Signal` holds them, on the frame's assets.
    at_risk_atoms : sequence of int, length m
        Zero for a model without stake.
    threads : int
        Nothing that is returned depends on it.
    """
    # Weights are ratios of stakes: float64 is enough here, because no amount is computed from them.
    weights = np.array([atoms / ATOMS_PER_TOKEN for atoms in at_risk_atoms])
    exposures, weights_v = scored_beside(scoring, frame)
    prepared = prepare_round(
        predictions, frame.asset_ids.tolist(), model_ids, exposures, sample_weights=weights_v, workers=threads
    )
    # The meta-model is made of the models' places, and then stands beside them as what contributions are measured against.
    meta = meta_model_of(prepared, weights, frame.exposures)
    sides = replace(prepared.sides, meta_model=meta.raw)
    return ClosedBook(tuple(model_ids), weights, meta.raw, meta.neutral), replace(prepared, sides=sides)


def scored_beside(scoring: ScoringTerms, frame: RoundFrame) -> tuple[FloatArray, FloatArray | None]:
    """Return the exposures, and the sample weights where a kind wants them, that a round's predictions are scored beside.

    N spans what the exposures and an intercept span: the neutral kinds are the same by either, ``alpha`` wants N itself.
    """
    return (frame.neutralizers, frame.weights_v) if "alpha" in scoring.kinds else (frame.exposures, None)


def _vector(platform: Platform, submission: SubmissionRecord) -> FloatArray:
    return platform.blobs.get_array(str(submission.vector_sha))
