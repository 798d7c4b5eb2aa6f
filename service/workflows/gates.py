"""Gates of the terms: which models have nothing at risk although they have a stake. The close records it, a check foretells it.

1. The files that a model is compared with are those that rounds of the week before counted: of its last five such rounds, those
   that closed in the ten days before this close (a week, and what a holiday may move a weekly close by).
2. Its churn is the largest change of ranks against any of them, its turnover that of neutral weights
   (:func:`signals.churn.churns_and_turnovers`), both to parts per billion.
3. Who has no such file, churns or turns over as much as the terms' bound or more, or has less than their least stake, is gated.

It stores nothing. Decision instant: the round's close; earlier rounds' files, neutralizers and weights were frozen before.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import numpy as np
from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.ids import RoundKey
from crowdalpha.terms import ATOMS_PER_TOKEN, PayoutTerms
from service.context import Platform
from service.frames import RoundFrame, get_frame
from service.store import rounds, stakes, submissions
from service.store.records import GatedRecord, RoundRecord, SubmissionRecord
from service.workflows.retentions import ValuesOf
from service.workflows.stakes import candidates
from signals.churn import RoundSignal, churns_and_turnovers
from signals.quantize import score_ppb

ROUNDS_BEFORE = 5
"""A week of daily rounds."""

DAYS_BEFORE = timedelta(days=10)
"""A week, and three days: a weekly round that closes a day or two late still finds the one before."""

MODELS_A_BLOCK = 256
"""Some ten megabytes a matrix for five thousand assets."""

Moved = tuple[float, float]
"""Largest churn and largest turnover of a model."""

Gate = tuple[Code, float | None]
"""The gate that a model meets, and the figure that it met there."""


def compares(payout: PayoutTerms) -> bool:
    """Return whether the terms have a gate that looks at a model's earlier files."""
    return payout.churn_max_ppb > 0 or payout.turnover_max_ppb > 0


def largest_moves(
    platform: Platform,
    connection: Connection,
    record: RoundRecord,
    frame: RoundFrame,
    model_ids: Sequence[str],
    values_of: ValuesOf,
) -> dict[str, Moved]:
    """Return each model's largest churn and turnover since the week before; a model without a file then is left out.

    Parameters
    ----------
    record, frame : RoundRecord, RoundFrame
        The round that the models' signals are for, and what it froze.
    values_of : callable
        Gives a model's signal in the round, (n,) ranks as :class:`signals.submission.Signal` holds them.
    """
    by_round: dict[RoundKey, list[SubmissionRecord]] = {}
    for model_id in model_ids:
        for former in submissions.earlier_selected(connection, model_id, record.key, ROUNDS_BEFORE):
            by_round.setdefault(former.round, []).append(former)
    found: dict[str, Moved] = {}
    for key, sent in by_round.items():
        before = rounds.round_by_key(connection, key)
        if before is None or before.closes_at < record.closes_at - DAYS_BEFORE:
            continue
        earlier = get_frame(connection, platform.blobs, key)
        for start in range(0, len(sent), MODELS_A_BLOCK):
            part = sent[start : start + MODELS_A_BLOCK]
            now = _signals(frame, [values_of(s.model_id) for s in part])
            moved = churns_and_turnovers(now, _signals(earlier, [platform.blobs.get_array(str(s.vector_sha)) for s in part]))
            if moved is None:
                continue
            for submission, churn, turnover in zip(part, *moved, strict=True):
                churn_before, turnover_before = found.get(submission.model_id, (0.0, 0.0))
                found[submission.model_id] = max(churn_before, float(churn)), max(turnover_before, float(turnover))
    return found


def gate_of(moved: Moved | None, payout: PayoutTerms) -> Gate | None:
    """Return the gate that a model meets by its churn or turnover, and the figure that it met there; None where it passes.

    Examples
    --------
    >>> terms = PayoutTerms((("alpha", 10**9),), 10**9, None, 0, churn_max_ppb=150_000_000)
    >>> gate_of((0.15, 0.9), terms), gate_of((0.149, 0.9), terms), gate_of(None, terms)
    ((<Code.GATE_CHURN: 'gate_churn'>, 0.15), None, (<Code.GATE_HISTORY: 'gate_history'>, None))
    """
    if not compares(payout):
        return None
    if moved is None:
        return Code.GATE_HISTORY, None
    churn, turnover = moved
    if payout.churn_max_ppb and score_ppb(churn) >= payout.churn_max_ppb:
        return Code.GATE_CHURN, churn
    if payout.turnover_max_ppb and score_ppb(turnover) >= payout.turnover_max_ppb:
        return Code.GATE_TURNOVER, turnover
    return None


def barred_models(
    platform: Platform,
    connection: Connection,
    record: RoundRecord,
    payout: PayoutTerms,
    frame: RoundFrame,
    model_ids: Sequence[str],
    values_of: ValuesOf,
) -> dict[str, Gate]:
    """Return whom a gate on churn or turnover keeps out, of those that have a stake or may get one at this close."""
    if not compares(payout):
        return {}
    pooled = {m for pool in stakes.pools(connection) for m in pool.weights_ppb}
    standing = candidates(connection, model_ids)
    staked = [m for m, one in standing.items() if one.own_atoms or one.fixed_atoms is not None or m in pooled]
    moved = largest_moves(platform, connection, record, frame, staked, values_of)
    gates = {m: gate_of(moved.get(m), payout) for m in staked}
    return {m: gate for m, gate in gates.items() if gate is not None}


def gated_records(
    connection: Connection, key: RoundKey, payout: PayoutTerms, model_ids: Sequence[str], barred: Mapping[str, Gate]
) -> list[GatedRecord]:
    """Return what the close records: who is barred, or below the least stake, of those with a stake or a fixed amount."""
    found = []
    for model_id, one in candidates(connection, model_ids).items():
        if not one.own_atoms and one.fixed_atoms is None:
            continue
        gate = barred.get(model_id)
        if gate is None and one.counted_atoms < payout.stake_min_atoms:
            gate = Code.GATE_STAKE, one.counted_atoms / ATOMS_PER_TOKEN
        if gate is not None:
            found.append(GatedRecord(key, model_id, *gate))
    return found


def _signals(frame: RoundFrame, ranks: Sequence[np.ndarray]) -> RoundSignal:
    return RoundSignal(frame.asset_ids.tolist(), np.array(ranks), frame.neutralizers, frame.weights_v)
