"""Stake changes: tokens move between a provider's wallet and a model's stake account, at once or when rounds let go.

What rounds have reserved is not in the stake account, so it can be neither withdrawn nor staked twice. Stake that backs rounds
is released when the last of those rounds is settled: it can still burn, and no new round counts it (:mod:`staking.releases`).
"""

from collections.abc import Collection
from dataclasses import replace

from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected
from service.clock import instant_text
from service.context import Platform
from service.store import audit, ledger, stakes
from service.store.records import ModelRecord, StakePlan, StakeRelease
from service.workflows.accounts import model_named
from service.workflows.overdue import refuse_while_closing
from staking import STAKE_MODES, Candidate, format_amount, stake, stake_account, unstake

COMPOUND, FIXED = STAKE_MODES


def increase(platform: Platform, model_name: str, atoms: int) -> Candidate:
    """Move ``atoms`` from the provider's wallet onto the model; at risk from the next close on. Return how the stake stands.

    Raises
    ------
    InputRejected
        MODEL_UNKNOWN, AMOUNT_INVALID.
    Conflict
        BALANCE_TOO_LOW when the wallet does not hold that much; STAKE_POOLED; ROUND_CLOSING.
    """
    check_positive(atoms)
    with platform.store.write() as connection:
        model = _single(connection, model_name)
        now = platform.clock.now(connection)
        refuse_while_closing(connection, now)
        at = instant_text(now)
        ledger.post(connection, [stake(platform.ids.new(), model.provider_id, model.id, atoms, at, model_name)])
        return candidates(connection, [model.id])[model.id]


def decrease(platform: Platform, model_name: str, atoms: int) -> Candidate:
    """Release ``atoms`` of the model's stake: at once, or once the rounds that it backs now are settled.

    Raises
    ------
    InputRejected
        MODEL_UNKNOWN, AMOUNT_INVALID.
    Conflict
        BALANCE_TOO_LOW when less than that is left of the stake; STAKE_POOLED; ROUND_CLOSING.
    """
    check_positive(atoms)
    with platform.store.write() as connection:
        model = _single(connection, model_name)
        refuse_while_closing(connection, platform.clock.now(connection))
        release_part(platform, connection, model, atoms)
        return candidates(connection, [model.id])[model.id]


def cancel(platform: Platform, model_name: str) -> int:
    """Take back every pending release of the model: from the next close on it is at risk again. Return the atoms.

    Raises
    ------
    InputRejected
        MODEL_UNKNOWN.
    Conflict
        RELEASE_UNKNOWN when nothing is pending; ROUND_CLOSING.
    """
    with platform.store.write() as connection:
        model = model_named(connection, model_name)
        pending = stakes.pending_releases(connection, [model.id])
        if not pending:
            raise Conflict(Code.RELEASE_UNKNOWN, f"No part of the stake of '{model_name}' is on its way back.")
        now = platform.clock.now(connection)
        refuse_while_closing(connection, now)
        for one in pending:
            stakes.end_release(connection, one.id, "cancelled", now)
        atoms = sum(one.amount_atoms - one.burned_atoms for one in pending)
        audit.record(connection, now, model.provider_id, "cancel_release", model.id, {"atoms": str(atoms)})
    return atoms


def set_mode(platform: Platform, model_name: str, mode: str, fixed_atoms: int | None = None) -> StakePlan:
    """Say how the model's stake is kept from the next close on; what open rounds have frozen stays.

    Parameters
    ----------
    mode : str
        ``compound`` or ``fixed``.
    fixed_atoms : int, optional
        The constant amount of mode ``fixed``, above 0; none with ``compound``.

    Raises
    ------
    InputRejected
        MODEL_UNKNOWN; REQUEST_INVALID for another mode; AMOUNT_INVALID for an amount that is missing or too much.
    Conflict
        STAKE_POOLED: a pool compounds; ROUND_CLOSING.
    """
    if mode not in STAKE_MODES:
        raise InputRejected(Code.REQUEST_INVALID, f"A stake's mode is {' or '.join(STAKE_MODES)}, not '{mode[:40]}'.")
    if (mode == FIXED) != (fixed_atoms is not None) or (fixed_atoms is not None and fixed_atoms <= 0):
        raise InputRejected(Code.AMOUNT_INVALID, "The mode 'fixed' needs a positive amount, and 'compound' takes none.")
    with platform.store.write() as connection:
        model = _single(connection, model_name)
        now = platform.clock.now(connection)
        refuse_while_closing(connection, now)
        before = stakes.plans_of(connection, [model.id]).get(model.id) or StakePlan(model.id, mode, None, now)
        plan = replace(before, mode=mode, fixed_atoms=fixed_atoms, changed_at=now)
        stakes.put_plan(connection, plan)
        details = {"mode": mode, "fixed_atoms": None if fixed_atoms is None else str(fixed_atoms)}
        audit.record(connection, now, model.provider_id, "set_stake_mode", model.id, details)
    return plan


def release_part(platform: Platform, connection: Connection, model: ModelRecord, atoms: int) -> None:
    """Release ``atoms`` of a model's stake, at once where no closed round waits on it; raises as :func:`decrease`."""
    one = candidates(connection, [model.id])[model.id]
    if atoms > one.own_atoms:
        have, want = format_amount(one.own_atoms), format_amount(atoms)
        raise Conflict(Code.BALANCE_TOO_LOW, f"Of the stake of '{model.name}' {have} tokens are left to release, not {want}.")
    now = platform.clock.now(connection)
    backed = stakes.open_reservations(connection, [model.id])
    if not backed:
        transfer = unstake(platform.ids.new(), model.provider_id, model.id, atoms, instant_text(now), model.name)
        ledger.post(connection, [transfer])
        return
    names = tuple(str(record.round) for record in backed)
    request = StakeRelease(platform.ids.new(), model.id, now, atoms, 0, names)
    stakes.add_release(connection, request)
    details = {"atoms": str(atoms), "rounds": list(names)}
    audit.record(connection, now, model.provider_id, "request_release", model.id, details)


def candidates(connection: Connection, model_ids: Collection[str]) -> dict[str, Candidate]:
    """Return how the stakes of models stand now: whole, free, pending, backing, and the amount of those that are fixed."""
    held, backing = dict.fromkeys(model_ids, 0), dict.fromkeys(model_ids, 0)
    for record in stakes.open_reservations(connection, model_ids):
        held[record.model_id] += record.reserved_atoms
        backing[record.model_id] = max(backing[record.model_id], record.at_risk_atoms)
    pending = dict.fromkeys(model_ids, 0)
    for one in stakes.pending_releases(connection, model_ids):
        pending[one.model_id] += one.amount_atoms - one.burned_atoms
    free = ledger.balances_of(connection, [stake_account(model) for model in model_ids])
    fixed = {model: plan.fixed_atoms for model, plan in stakes.plans_of(connection, model_ids).items()}
    found = {}
    for model in model_ids:
        own = free.get(stake_account(model), 0)
        found[model] = Candidate(model, own + held[model], own, pending[model], fixed.get(model), backing[model])
    return found


def check_positive(atoms: int) -> None:
    """Refuse an amount that moves nothing; raises InputRejected AMOUNT_INVALID."""
    if atoms <= 0:
        raise InputRejected(Code.AMOUNT_INVALID, "A stake changes by a positive amount.")


def _single(connection: Connection, model_name: str) -> ModelRecord:
    model = model_named(connection, model_name)
    if any(model.id in pool.weights_ppb for pool in stakes.pools(connection, model.provider_id)):
        raise Conflict(
            Code.STAKE_POOLED, f"'{model_name}' belongs to its provider's pool: change the pool, or take the model out of it."
        )
    return model
