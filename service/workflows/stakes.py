"""Stake changes: tokens move between a provider's wallet and a model's stake account.

What rounds have reserved is not in the stake account, so it can be neither withdrawn nor staked twice.
"""

from collections.abc import Callable

from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.clock import instant_text
from service.context import Platform
from service.store import ledger, stakes
from service.workflows.accounts import model_named
from staking import Transfer, stake, stake_account, unstake


def increase(platform: Platform, model_name: str, atoms: int) -> int:
    """Move ``atoms`` from the provider's wallet onto the model; at risk from the next close on. Return the free stake."""
    return _change(platform, model_name, atoms, stake)


def decrease(platform: Platform, model_name: str, atoms: int) -> int:
    """Move ``atoms`` of the model's unreserved stake back to the wallet at once. Return the free stake that is left."""
    return _change(platform, model_name, atoms, unstake)


def _change(platform: Platform, model_name: str, atoms: int, transfer: Callable[..., Transfer]) -> int:
    if atoms <= 0:
        raise InputRejected(Code.AMOUNT_INVALID, "A stake changes by a positive amount.")
    with platform.store.write() as connection:
        model = model_named(connection, model_name)
        at = instant_text(platform.clock.now(connection))
        ledger.post(connection, [transfer(platform.ids.new(), model.provider_id, model.id, atoms, at, model_name)])
        return ledger.balance(connection, stake_account(model.id))


def held_atoms(connection: Connection, model_id: str) -> int:
    """Return what open rounds hold of the model, in atoms."""
    return sum(r.reserved_atoms for r in stakes.open_reservations(connection, model_id))
