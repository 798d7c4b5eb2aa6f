"""What churn leaves of a round's positive payouts. The close records it, a check foretells it, both in this one way.

1. For each model find its previous file: what the last earlier round of the tournament that counted any of it counted.
2. Compare the two signals, each neutral to its own round's exposures (:func:`signals.churn.neutral_churns`).
3. A model without a file to compare counts as changed wholly, or a new name each week would keep what churn takes. Where
   nobody could have one, because the round before is of another universe or there is none, it counts as unchanged.
4. Bring the churn on the curve of the round's terms, and the retained part to parts per billion.

It stores nothing. Decision instant: the round's close; earlier rounds' files and exposures were frozen before.
"""

from collections.abc import Callable, Sequence

import numpy as np
from sqlalchemy import Connection

from crowdalpha.ids import RoundKey
from crowdalpha.terms import PPB, PayoutTerms
from market.arrays import FloatArray
from service.context import Platform
from service.frames import RoundFrame, get_frame
from service.store import submissions
from service.store.records import RetentionRecord, SubmissionRecord
from signals.churn import comparable, neutral_churns, retention
from signals.quantize import retention_ppb

NEUTRAL_CHURN = "neutral_churn"
"""The rule of the terms that asks for churn; under the other one everything is retained."""

CHURN_WITHOUT_FILE = 1.0
"""That of a signal which has nothing to do with the one before, as numerai-tools counts a missing history."""

ValuesOf = Callable[[str], FloatArray]


def round_retentions(
    platform: Platform,
    connection: Connection,
    key: RoundKey,
    payout: PayoutTerms,
    frame: RoundFrame,
    model_ids: Sequence[str],
    values_of: ValuesOf,
) -> list[RetentionRecord]:
    """Return what each model retains of a positive payout in round ``key``, in the order of ``model_ids``.

    Parameters
    ----------
    frame : RoundFrame
        Of round ``key``.
    values_of : callable
        Gives a model's signal in the round, (n,) ranks as :class:`signals.submission.Signal` holds them.
    """
    churns: dict[str, float] = {}
    without: float | None = None
    if payout.retention == NEUTRAL_CHURN:
        churns = former_churns(platform, connection, key, frame, model_ids, values_of)
        without = churn_without_file(platform, connection, key, frame)
    counted = {m: churns.get(m, without) for m in model_ids}
    return [RetentionRecord(key, m, churn, retained_ppb(churn, payout)) for m, churn in counted.items()]


def churn_without_file(platform: Platform, connection: Connection, key: RoundKey, frame: RoundFrame) -> float | None:
    """Return what a model counts as in round ``key`` that has no file to compare; None where no model could have one."""
    number = submissions.last_counted(connection, key)
    if number is None:
        return None
    before = get_frame(connection, platform.blobs, RoundKey(key.tournament, number))
    return CHURN_WITHOUT_FILE if comparable(frame.asset_ids.tolist(), before.asset_ids.tolist()) else None


def former_churns(
    platform: Platform,
    connection: Connection,
    key: RoundKey,
    frame: RoundFrame,
    model_ids: Sequence[str],
    values_of: ValuesOf,
) -> dict[str, float]:
    """Return each model's churn against its previous file; a model without usable history is left out."""
    by_round: dict[RoundKey, list[tuple[str, SubmissionRecord]]] = {}
    for model_id in model_ids:
        previous = submissions.previous_selected(connection, model_id, key)
        if previous is not None:
            by_round.setdefault(previous.round, []).append((model_id, previous))
    churns: dict[str, float] = {}
    for former_key, pairs in by_round.items():
        former = get_frame(connection, platform.blobs, former_key)
        values = neutral_churns(
            np.array([values_of(m) for m, _ in pairs]), frame.asset_ids.tolist(), frame.exposures,
            np.array([platform.blobs.get_array(str(p.vector_sha)) for _, p in pairs]),
            former.asset_ids.tolist(), former.exposures,
        )  # fmt: skip
        if values is not None:
            churns |= {m: float(v) for (m, _), v in zip(pairs, values, strict=True)}
    return churns


def retained_ppb(churn: float | None, payout: PayoutTerms) -> int:
    """Return what the terms leave of a positive payout after ``churn``, in ppb; everything where there is none."""
    if payout.retention != NEUTRAL_CHURN or churn is None:
        return PPB
    return retention_ppb(retention(churn, payout.retention_threshold_ppb / PPB, payout.retention_slope))
