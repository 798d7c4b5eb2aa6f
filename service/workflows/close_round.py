"""Close a round: freeze who takes part, reserve what can be burned, build the meta-model, commit to the submission set.

1. *load* the selected submissions: per model the latest accepted one that was on time.
2. *decide*, inside the writing transaction so that no balance can move meanwhile: who is gated, what is at risk, the retention
   of each model against its previous submission, the two meta-model vectors, the state from which each day is scored, the
   Merkle root of the submission set.
3. *commit* the files, then the gated and the at-risk rows, the reservations in the ledger, and the state ``closed``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from crowdalpha.canonical import canonical_bytes
from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected
from crowdalpha.ids import RoundKey, RoundState
from crowdalpha.merkle import merkle_root
from crowdalpha.terms import ATOMS_PER_TOKEN, RoundTerms, ScoringTerms
from market.arrays import FloatArray
from service.bundles.contents import leaf_of
from service.context import Platform
from service.frames import ClosedBook, RoundFrame, get_features, get_frame, put_book, put_prepared
from service.store import audit, gated, rounds, scores, submissions
from service.store.records import RoundRecord, SubmissionRecord
from service.workflows.gates import barred_models, gated_records
from service.workflows.metareport import closing_files
from service.workflows.reservations import round_reservations
from service.workflows.retentions import round_retentions
from signals.metamodel import meta_model_of
from signals.prepared import PreparedRound, prepare_round
from staking import AtRisk


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
        values_of = partial(_vector, platform, selected)
        barred = barred_models(platform, connection, record, terms.payout, frame, tuple(selected), values_of)
        at_risk = round_reservations(connection, key, terms.payout, [m for m in selected if m not in barred], now)
        gated.add_gated(connection, gated_records(connection, key, terms.payout, tuple(selected), barred))
        kept = round_retentions(platform, connection, key, terms.payout, frame, tuple(selected), values_of)
        scores.put_retentions(connection, kept)
        features = get_features(connection, platform.blobs, key, frame) if "fnc" in terms.scoring.kinds else None
        book, prepared = _build_book(platform, terms.scoring, frame, selected, at_risk, features)
        files = put_book(platform.blobs, book) | put_prepared(platform.blobs, prepared)
        for name, sha in (files | closing_files(platform, connection, frame, book, prepared)).items():
            rounds.set_artifact(connection, key, name, sha)
        root = merkle_root([canonical_bytes(leaf_of(s)) for s in selected.values()])
        rounds.advance_round(connection, key, (RoundState.OPEN,), RoundState.CLOSED, closed_at=now, submissions_root=root)
        audit.record(connection, now, "schedule", "close_round", str(key), {"submissions": len(selected), "root": root})
        closed = rounds.round_by_key(connection, key)
    return closed if closed is not None else record


def _build_book(
    platform: Platform,
    scoring: ScoringTerms,
    frame: RoundFrame,
    selected: dict[str, SubmissionRecord],
    at_risk: dict[str, AtRisk],
    features: FloatArray | None,
) -> tuple[ClosedBook, PreparedRound]:
    predictions = np.empty((len(selected), len(frame.asset_ids)))
    for row, model_id in enumerate(selected):
        predictions[row] = _vector(platform, selected, model_id)
    at_risk_atoms = [at_risk[m].at_risk_atoms if m in at_risk else 0 for m in selected]
    threads = platform.settings.scoring.threads
    return prepare_book(scoring, frame, list(selected), predictions, at_risk_atoms, features, threads)


def prepare_book(
    scoring: ScoringTerms,
    frame: RoundFrame,
    model_ids: Sequence[str],
    predictions: FloatArray,
    at_risk_atoms: Sequence[int],
    features: FloatArray | None,
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
    features : (n, f) float64 or None
        What ``fnc`` takes out, where the terms score it.
    threads : int
        Nothing that is returned depends on it.
    """
    # Weights are ratios of stakes: float64 is enough here, because no amount is computed from them.
    weights = np.array([atoms / ATOMS_PER_TOKEN for atoms in at_risk_atoms])
    exposures, weights_v = scored_beside(scoring, frame)
    prepared = prepare_round(
        predictions, frame.asset_ids.tolist(), model_ids, exposures, features=features, sample_weights=weights_v,
        stakes=weights if "mpc" in scoring.kinds else None, workers=threads,
    )  # fmt: skip
    # The meta-model is made of the models' places, and then stands beside them as what contributions are measured against.
    meta = meta_model_of(prepared, weights, frame.exposures)
    sides = replace(prepared.sides, meta_model=meta.raw)
    return ClosedBook(tuple(model_ids), weights, meta.raw, meta.neutral), replace(prepared, sides=sides)


def scored_beside(scoring: ScoringTerms, frame: RoundFrame) -> tuple[FloatArray, FloatArray | None]:
    """Return the exposures, and the sample weights where a kind wants them, that a round's predictions are scored beside.

    N spans what the exposures and an intercept span: the neutral kinds are the same by either, weighted ones want N itself.
    """
    weighted = not {"alpha", "mpc"}.isdisjoint(scoring.kinds)
    return (frame.neutralizers, frame.weights_v) if weighted else (frame.exposures, None)


def _vector(platform: Platform, selected: Mapping[str, SubmissionRecord], model_id: str) -> FloatArray:
    return platform.blobs.get_array(str(selected[model_id].vector_sha))
