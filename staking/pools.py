"""One pool behind several models: a provider names weights, and each close lays the pool out anew by them.

What an open round has at risk of a model stays behind it until the round is settled, and what is on its way out stays too. So a
model comes down to its weight as rounds end; from the first close on it puts no more at risk than its weight says.

For the weights wₘ in ppb, with ownₘ = free + held − pending of a model and whole = pool + Σ own:

1. target = floor(wₘ · whole / 10⁹);
2. a model above its target gives the difference to the pool, at most its free atoms that are not pending, and no more than
   leaves it the most that one open round has at risk;
3. models below their targets take the difference from the pool; if it holds too little, each gets the same part of it.
"""

from collections.abc import Mapping, Sequence

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.terms import ATOMS_PER_TOKEN, PPB
from staking.accounts import pool_account, stake_account
from staking.amount import format_amount
from staking.ledger import LedgerEntry, Transfer
from staking.stakes import Candidate


def check_weights(weights_ppb: Mapping[str, int]) -> None:
    """Refuse weights, by model, that are not positive or sum to more than one; raises InputRejected ``POOL_WEIGHTS``."""
    for name, weight in weights_ppb.items():
        if not 0 < weight <= PPB:
            told = f"The weight of '{name[:40]}' is {_decimal(weight)}; a weight lies above 0 and is at most 1."
            raise InputRejected(Code.POOL_WEIGHTS, told)
    total = sum(weights_ppb.values())
    if total > PPB:
        raise InputRejected(Code.POOL_WEIGHTS, f"The weights of a pool sum to at most 1, not to {_decimal(total)}.")


def _decimal(weight_ppb: int) -> str:
    return format_amount(weight_ppb * (ATOMS_PER_TOKEN // PPB))


def targets(pool_atoms: int, models: Sequence[Candidate], weights_ppb: Mapping[str, int]) -> dict[str, int]:
    """Return what the weights give each model of the pool and all stakes together, in atoms; see :func:`layout`.

    Examples
    --------
    >>> targets(100, [Candidate("a", 0, 0), Candidate("b", 20, 20)], {"a": 500_000_000, "b": 250_000_000})
    {'a': 60, 'b': 30}
    """
    whole = pool_atoms + sum(one.own_atoms for one in models)
    return {one.model_id: weights_ppb[one.model_id] * whole // PPB for one in models}


def layout(pool_atoms: int, models: Sequence[Candidate], weights_ppb: Mapping[str, int]) -> dict[str, int]:
    """Return by how many atoms the stake account of each model changes; the pool takes the difference.

    Parameters
    ----------
    pool_atoms : int
        What lies in the pool's account.
    models : sequence of Candidate
        Every model that has a weight, once.
    weights_ppb : mapping of model id to int

    Examples
    --------
    >>> layout(100, [Candidate("a", 0, 0), Candidate("b", 20, 20)], {"a": 500_000_000, "b": 250_000_000})
    {'a': 60, 'b': 10}
    """
    parts = targets(pool_atoms, models, weights_ppb)
    wanted = {one.model_id: parts[one.model_id] - one.own_atoms for one in models}
    movable = {one.model_id: one.movable_atoms for one in models}
    given = {model: -min(-change, movable[model]) for model, change in wanted.items() if change < 0}
    there = pool_atoms - sum(given.values())
    missing = sum(change for change in wanted.values() if change > 0)
    part = min(there, missing)
    taken = {model: change * part // missing for model, change in wanted.items() if change > 0}
    return {model: change for model, change in sorted((given | taken).items()) if change}


def reweight(round_id: str, provider_id: str, changes: Mapping[str, int], at: str) -> Transfer | None:
    """Return the one transfer that lays a pool out anew before the close of a round, or None when it lies as it should."""
    entries = [LedgerEntry(stake_account(model), change) for model, change in changes.items()]
    rest = -sum(changes.values())
    if rest:
        entries.append(LedgerEntry(pool_account(provider_id), rest))
    return Transfer(f"{round_id}:reweight:{provider_id}", "reweight", at, tuple(entries), round_id) if entries else None


def split(amount_atoms: int, owned: Mapping[str, int]) -> dict[str, int]:
    """Return an amount split over models in proportion to what each owns, exactly; no part exceeds what its model owns.

    Parameters
    ----------
    amount_atoms : int
        At most the sum of ``owned``.
    owned : mapping of model id to int

    Examples
    --------
    >>> split(10, {"a": 20, "b": 10})
    {'a': 7, 'b': 3}
    """
    parts: dict[str, int] = {}
    left, below = amount_atoms, sum(owned.values())
    for model, atoms in sorted(owned.items()):
        # Each part is rounded up and what is left goes to the others, whose own shrinks in proportion.
        parts[model] = min(-(-left * atoms // below), atoms, left) if below else 0
        left, below = left - parts[model], below - atoms
    return {model: part for model, part in parts.items() if part}
