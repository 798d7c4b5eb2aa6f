"""What each job does: the step's name in front of the first colon, and the workflow that takes it.

Each function gets the platform and the occurrence's payload. A round is found by its tournament and its base session, because
its number is only given when it opens. Every workflow here may be run twice with one effect.

A step whose time has passed for good (an opening after the next session closed, a rebalance after newer prices came in) is
:class:`Missed`: nothing can be done about it, so it is recorded and the steps after it go on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected, Unavailable
from crowdalpha.ids import RoundKey, RoundState, Tournament
from service.context import Platform
from service.store import rounds
from service.store.records import RoundRecord

NOT_TO_BE_SENT = frozenset({Code.REBALANCE_BLOCKED, Code.REBALANCE_EXPIRED, Code.REBALANCE_STATE, Code.FUND_HALTED})
"""Trying again would change nothing, and would hold up the settlements behind it: an operator acts, or the open passes."""

Payload = Mapping[str, Any]
Job = Callable[[Platform, Payload], object]


@dataclass(frozen=True, slots=True)
class Missed:
    """A step that can no longer be taken, and why."""

    reason: str


def open_round(platform: Platform, payload: Payload) -> object:
    """Open the round of the payload's tournament that is based on its base session."""
    from service.workflows.open_round import open_round as workflow

    base = date.fromisoformat(payload["base_session"])
    try:
        return workflow(platform, _tournament(payload), base)
    except InputRejected as error:
        if error.code is not Code.DATE_INVALID:
            raise
        return Missed(error.message)


def close_round(platform: Platform, payload: Payload) -> object:
    """Close the payload's round."""
    from service.workflows.close_round import close_round as workflow

    return _with_round(platform, payload, workflow)


def score_round(platform: Platform, payload: Payload) -> object:
    """Score the payload's round on the returns known now; void one whose returns are overdue and still not known."""
    from service.workflows.score_round import score_round as workflow
    from service.workflows.void_round import void_if_overdue

    try:
        return _with_round(platform, payload, workflow)
    except Unavailable as error:
        found = _round(platform, _tournament(payload), date.fromisoformat(payload["base_session"]))
        if error.code is not Code.MARKET_COVERAGE or found is None or void_if_overdue(platform, found, error.message) is None:
            raise
        return Missed(f"Round {found.key} is void: {error.message}")


def resolve_round(platform: Platform, payload: Payload) -> object:
    """Resolve the payload's round."""
    from service.workflows.resolve_round import resolve_round as workflow

    return _with_round(platform, payload, workflow)


def rebalance(platform: Platform, payload: Payload) -> object:
    """Propose the fund's trades, once no round of the same week is open any more; approve and send what the limits allow.

    Raises
    ------
    Conflict
        ROUND_NOT_DUE while a round with the payload's base session still takes submissions.
    """
    from service.workflows.run_rebalance import run_rebalance

    base = date.fromisoformat(payload["base_session"])
    known = platform.desk.home_session(platform.desk.view(platform.clock.now()))
    if known > base:
        return Missed(f"The prices of {known} are known: the open that a book decided on {base} trades at has passed.")
    with platform.store.read() as connection:
        latest = [rounds.latest_round(connection, t) for t in Tournament]
    still_open = [str(r.key) for r in latest if r is not None and r.base_session == base and r.state is RoundState.OPEN]
    if still_open:
        raise Conflict(
            Code.ROUND_NOT_DUE, f"The fund decides once the week's rounds have closed; open: {', '.join(still_open)}."
        )
    try:
        return run_rebalance(platform, base)
    except Conflict as error:
        if error.code not in NOT_TO_BE_SENT:
            raise
        return Missed(error.message)


def settle_fund(platform: Platform, payload: Payload) -> object:
    """Mark the fund's book up to the payload's session; once a rebalance was filled, compare it with the broker's account."""
    from service.workflows.reconcile_fund import reconcile_fund
    from service.workflows.settle_fund import settle_fund as workflow

    settled = workflow(platform, date.fromisoformat(payload["session"]))
    if settled.filled:
        reconcile_fund(platform, "schedule")
    return settled


def keep_head(platform: Platform, payload: Payload) -> object:
    """Keep the ledger's head of the payload's session outside the database."""
    from service.workflows.keep_head import keep_head as workflow

    return workflow(platform, date.fromisoformat(payload["session"]))


def publish_bundles(platform: Platform, payload: Payload) -> object:
    """Publish the bundles of settled rounds that are due."""
    from service.workflows.publish_bundle import publish_bundles as workflow

    del payload
    return workflow(platform)


JOBS: dict[str, Job] = {
    "open_round": open_round,
    "close_round": close_round,
    "score_round": score_round,
    "resolve_round": resolve_round,
    "rebalance": rebalance,
    "settle_fund": settle_fund,
    "keep_head": keep_head,
    "publish_bundles": publish_bundles,
}


def job_of(name: str) -> Job:
    """Return what ``name`` does; raises InputRejected NOT_FOUND for a job that is not known here."""
    step = name.partition(":")[0]
    if step not in JOBS:
        raise InputRejected(Code.NOT_FOUND, f"There is no job '{step[:40]}'.")
    return JOBS[step]


def _tournament(payload: Payload) -> Tournament:
    return Tournament.from_label(payload["tournament"])


def _with_round(platform: Platform, payload: Payload, workflow: Callable[[Platform, RoundKey], object]) -> object:
    found = _round(platform, _tournament(payload), date.fromisoformat(payload["base_session"]))
    if found is None:
        return Missed(f"The {payload['tournament']} round of {payload['base_session']} was never opened.")
    if found.state is RoundState.VOID:
        return Missed(f"Round {found.key} is void.")
    return workflow(platform, found.key)


def _round(platform: Platform, tournament: Tournament, base: date) -> RoundRecord | None:
    with platform.store.read() as connection:
        return rounds.round_of_session(connection, tournament, base)
