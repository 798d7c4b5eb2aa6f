"""A provider's pool: one stake behind several models, laid out by weights at every close (:mod:`staking.pools`).

What the provider adds lies in the pool until the next close; what it takes away comes from there first, then from its models in
proportion to their stakes, by releases that wait for the rounds that each model backs.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected
from service.clock import instant_text
from service.context import Platform
from service.store import audit, ledger, models, stakes
from service.store.records import ModelRecord, ProviderRecord, StakePool
from service.workflows.accounts import provider_named
from service.workflows.overdue import refuse_while_closing
from service.workflows.stakes import candidates, check_positive, release_part
from staking import Candidate, check_weights, format_amount, pool_account, split, stake_pool, unstake_pool


@dataclass(frozen=True, slots=True)
class PoolState:
    """How a pool stands: what lies on no model, and each model with its weight in ppb and its stake."""

    idle_atoms: int
    models: tuple[tuple[ModelRecord, int, Candidate], ...]


def set_pool(platform: Platform, provider_name: str, weights_ppb: Mapping[str, int]) -> PoolState:
    """Set the weights of a provider's pool, which there is from then on. No weight dissolves it: each stake is its model's own.

    Parameters
    ----------
    weights_ppb : mapping of model name to int
        Above 0, sum at most 10⁹. A model that loses its weight keeps its stake as one of its own.

    Raises
    ------
    InputRejected
        PROVIDER_UNKNOWN; POOL_WEIGHTS for weights that are not such, or a model of somebody else.
    Conflict
        STAKE_POOLED for a model whose stake is fixed: a pool compounds; ROUND_CLOSING.
    """
    check_weights(weights_ppb)
    with platform.store.write() as connection:
        provider = provider_named(connection, provider_name)
        now = platform.clock.now(connection)
        refuse_while_closing(connection, now)
        by_id = _own_models(connection, provider, weights_ppb)
        if by_id:
            stakes.put_pool(connection, StakePool(provider.id, by_id, now))
        else:
            _dissolve(platform, connection, provider)
        details = {"weights_ppb": dict(sorted(weights_ppb.items()))}
        audit.record(connection, now, provider_name, "set_stake_pool", provider.id, details)
        return _state(connection, provider.id, by_id)


def increase_pool(platform: Platform, provider_name: str, atoms: int) -> PoolState:
    """Move ``atoms`` from the wallet into the pool; the next close places them. Raises like :func:`decrease_pool`."""
    check_positive(atoms)
    with platform.store.write() as connection:
        provider = provider_named(connection, provider_name)
        pool = _pool(connection, provider)
        now = platform.clock.now(connection)
        refuse_while_closing(connection, now)
        at = instant_text(now)
        ledger.post(connection, [stake_pool(platform.ids.new(), provider.id, atoms, at, provider_name)])
        return _state(connection, provider.id, pool.weights_ppb)


def decrease_pool(platform: Platform, provider_name: str, atoms: int) -> PoolState:
    """Release ``atoms`` of the pool: what lies on no model at once, the rest from its models in proportion to their stakes.

    Raises
    ------
    InputRejected
        PROVIDER_UNKNOWN, AMOUNT_INVALID.
    Conflict
        POOL_UNKNOWN; BALANCE_TOO_LOW; ROUND_CLOSING.
    """
    check_positive(atoms)
    with platform.store.write() as connection:
        provider = provider_named(connection, provider_name)
        pool = _pool(connection, provider)
        now = platform.clock.now(connection)
        refuse_while_closing(connection, now)
        state = _state(connection, provider.id, pool.weights_ppb)
        owned = {model.id: one.own_atoms for model, _, one in state.models}
        whole = state.idle_atoms + sum(owned.values())
        if atoms > whole:
            have, want = format_amount(whole), format_amount(atoms)
            raise Conflict(Code.BALANCE_TOO_LOW, f"The pool of '{provider_name}' holds {have} tokens to release, not {want}.")
        idle = min(atoms, state.idle_atoms)
        if idle:
            at = instant_text(now)
            ledger.post(connection, [unstake_pool(platform.ids.new(), provider.id, idle, at, provider_name)])
        parts = split(atoms - idle, owned)
        for model, _, _ in state.models:
            if parts.get(model.id):
                release_part(platform, connection, model, parts[model.id])
        return _state(connection, provider.id, pool.weights_ppb)


def pool_state(platform: Platform, provider_name: str) -> PoolState:
    """Return how a provider's pool stands; raises InputRejected PROVIDER_UNKNOWN, Conflict POOL_UNKNOWN."""
    with platform.store.read() as connection:
        provider = provider_named(connection, provider_name)
        return _state(connection, provider.id, _pool(connection, provider).weights_ppb)


def _pool(connection: Connection, provider: ProviderRecord) -> StakePool:
    found = stakes.pools(connection, provider.id)
    if not found:
        raise Conflict(Code.POOL_UNKNOWN, f"'{provider.name}' has no pool: set its weights first.")
    return found[0]


def _own_models(connection: Connection, provider: ProviderRecord, weights_ppb: Mapping[str, int]) -> dict[str, int]:
    own = {model.name: model.id for model in models.models_of_provider(connection, provider.id)}
    foreign = sorted(set(weights_ppb) - set(own))
    if foreign:
        raise InputRejected(Code.POOL_WEIGHTS, f"'{foreign[0][:40]}' is no model of '{provider.name}'.")
    by_id = {own[name]: weight for name, weight in weights_ppb.items()}
    for name in sorted(weights_ppb):
        plan = stakes.plans_of(connection, [own[name]]).get(own[name])
        if plan is not None and plan.fixed_atoms is not None:
            raise Conflict(Code.STAKE_POOLED, f"The stake of '{name}' is fixed, and a pool compounds: set its mode first.")
    return by_id


def _dissolve(platform: Platform, connection: Connection, provider: ProviderRecord) -> None:
    idle = ledger.balance(connection, pool_account(provider.id))
    if idle:
        at = instant_text(platform.clock.now(connection))
        ledger.post(connection, [unstake_pool(platform.ids.new(), provider.id, idle, at, provider.name)])
    stakes.remove_pool(connection, provider.id)


def _state(connection: Connection, provider_id: str, weights_ppb: Mapping[str, int]) -> PoolState:
    standing = candidates(connection, list(weights_ppb))
    own = [model for model in models.models_of_provider(connection, provider_id) if model.id in weights_ppb]
    idle = ledger.balance(connection, pool_account(provider_id))
    return PoolState(idle, tuple((model, weights_ppb[model.id], standing[model.id]) for model in own))
