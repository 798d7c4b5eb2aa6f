"""Pending payouts: what each stake of an open round would be paid if the round were resolved on today's scores.

The same exact function as the resolution's, on the day's published integers and what the close froze. It promises nothing:
every session of returns replaces the scores. Nothing is shown of a round that has not closed.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from crowdalpha.ids import RoundState
from crowdalpha.terms import RoundTerms
from service.context import Platform
from service.stakelines import stake_lines
from service.store import models, rounds, stakes
from service.store.records import RoundRecord
from service.workflows.accounts import model_named
from staking import budget_can_bind, format_amount, parse_amount, payout, payouts


def pending_payouts(platform: Platform, model_name: str | None = None) -> list[dict[str, Any]]:
    """Return one line a stake of every round that is being scored, oldest round first; only those of ``model_name`` if given.

    Raises
    ------
    InputRejected
        ``model_unknown``.
    """
    with platform.store.read() as connection:
        chosen = None if model_name is None else model_named(connection, model_name).id
        names = {m.id: m.name for m in models.list_models(connection)}
        found: list[dict[str, Any]] = []
        for record in rounds.list_rounds(connection, states=(RoundState.SCORING,)):
            found += _of_round(connection, record, names, chosen)
    return found


def pending_total(lines: Sequence[dict[str, Any]]) -> str:
    """Return the sum of pending payouts and burns, in tokens."""
    return format_amount(sum(parse_amount(line["pending_tokens"], signed=True) for line in lines))


def _of_round(connection: Connection, record: RoundRecord, names: dict[str, str], chosen: str | None) -> list[dict[str, Any]]:
    terms = RoundTerms.from_dict(record.terms)
    total = sum(a.at_risk_atoms for a in stakes.at_risk_of_round(connection, record.key))
    # A budget is shared by all stakes: where it may bind all are computed, whoever is asked for. A page waits for this.
    alone = chosen is not None and not budget_can_bind(total, terms.payout)
    known = stake_lines(connection, record.key, chosen if alone else None)
    if alone:
        amounts = [
            payout(x.at_risk_atoms, x.scores_ppb, x.retention_ppb, total, terms.payout, x.chosen_ppb) for x in known.lines
        ]
    else:
        amounts = [outcome.payout_atoms for outcome in payouts(known.lines, terms.payout)]
    return [
        {
            "round": str(record.key),
            "model": names[line.model_id],
            "day": known.day,
            "days": terms.scoring.horizon_sessions,
            "at_risk_tokens": format_amount(line.at_risk_atoms),
            "pending_tokens": format_amount(atoms),
            "final": known.final,
        }
        for line, atoms in zip(known.lines, amounts, strict=True)
        if chosen is None or line.model_id == chosen
    ]
