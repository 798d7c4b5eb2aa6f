"""The stakes of a closed round with what is known of them: what a resolution pays by, and what pending payouts foretell."""

from dataclasses import dataclass

from sqlalchemy import Connection

from crowdalpha.ids import RoundKey
from crowdalpha.terms import PPB
from service.store import scores, stakes
from staking import StakeLine


@dataclass(frozen=True, slots=True)
class StakeLines:
    """What a round knows of its stakes now.

    Attributes
    ----------
    lines : tuple of StakeLine
        By model id, those whose scores are known.
    unscored : tuple of str
        Models at risk without a score yet.
    day : int
        Sessions of return in the scores; 0 while there are none.
    final : bool
        Whether they stay as they are.
    """

    lines: tuple[StakeLine, ...]
    unscored: tuple[str, ...]
    day: int
    final: bool


def stake_lines(connection: Connection, key: RoundKey, model_id: str | None = None) -> StakeLines:
    """Return the stakes of round ``key``, or of one model in it, with last scores, retentions and what the close froze."""
    if model_id is None:
        kept = {r.model_id: r.retention_ppb for r in scores.retentions_of_round(connection, key)}
    else:
        kept = {r.model_id: r.retention_ppb for r in scores.retentions_of_model(connection, model_id) if r.round == key}
    by_model, day, final = scores.scores_by_model(connection, key, model_id)
    at_risk = stakes.at_risk_of_round(connection, key)
    if model_id is not None:
        at_risk = [a for a in at_risk if a.model_id == model_id]
    lines = tuple(
        StakeLine(
            a.model_id, a.at_risk_atoms, a.reserved_atoms, by_model[a.model_id], kept.get(a.model_id, PPB), a.chosen_ppb or {}
        )
        for a in at_risk
        if a.model_id in by_model
    )
    unscored = tuple(a.model_id for a in at_risk if a.model_id not in by_model)
    return StakeLines(lines, unscored, day, final)
