"""Stake on its way back to the wallet while rounds that it backs are open: burned with the rest, earning nothing.

It is not a move of money: until its rounds are settled, what is pending lies where it lay, in stake account and reserves.

1. A request names the rounds, closed and not settled, that the model's stake backs.
2. A close counts neither stake nor free balance that is pending (:func:`staking.stakes.close_stakes`).
3. A burn of a named round takes its share: ceil(burn · pending / (free + held)), all before the burn; and, should the pending
   still exceed what is left of the stake, the excess of the newest requests that name the round.
4. When the last named round is settled, what is left goes to the wallet by a transfer of fixed id, ``release:<request>``.

By step 2 no later round holds what is pending, and by step 3 never more is pending than there is: step 4 always finds it free.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from crowdalpha.codes import Code
from crowdalpha.errors import InvariantBroken
from staking.ledger import Transfer
from staking.stakes import unstake


@dataclass(frozen=True, slots=True)
class PendingRelease:
    """A request that waits for rounds.

    Attributes
    ----------
    id, model_id : str
    amount_atoms : int
        What was asked for.
    burned_atoms : int
        What burns have taken of it since.
    rounds : tuple of str
        The rounds that it waits for, settled ones included, such as ``signals-7``.
    """

    id: str
    model_id: str
    amount_atoms: int
    burned_atoms: int
    rounds: tuple[str, ...]

    @property
    def left_atoms(self) -> int:
        """What is still to be released."""
        return self.amount_atoms - self.burned_atoms


def shared_burn(
    pending: Sequence[PendingRelease], round_id: str, burned_atoms: int, stake_atoms: int
) -> tuple[PendingRelease, ...]:
    """Return a model's pending releases after a burn of ``round_id``.

    Parameters
    ----------
    pending : sequence of PendingRelease
        All of the model, the oldest first.
    burned_atoms : int
        What the round burns of the model, as a positive number.
    stake_atoms : int
        The whole stake before the burn: free and held by every open round, this one included.

    Raises
    ------
    InvariantBroken
        ``LEDGER_BROKEN`` if more is burned than there is.

    Examples
    --------
    >>> one = PendingRelease("r", "m", 50, 0, ("signals-1",))
    >>> shared_burn([one], "signals-1", 5, 101)[0].left_atoms
    47
    """
    if not 0 <= burned_atoms <= stake_atoms:
        raise InvariantBroken(Code.LEDGER_BROKEN, f"A burn of {burned_atoms} of a stake of {stake_atoms} atoms cannot be.")
    after = [_less(one, -(-burned_atoms * one.left_atoms // (stake_atoms or 1)), round_id) for one in pending]
    excess = sum(one.left_atoms for one in after) - (stake_atoms - burned_atoms)
    for place in reversed(range(len(after))):
        if excess > 0:
            before = after[place].left_atoms
            after[place] = _less(after[place], excess, round_id)
            excess -= before - after[place].left_atoms
    return tuple(after)


def _less(one: PendingRelease, atoms: int, round_id: str) -> PendingRelease:
    if round_id not in one.rounds:
        return one
    return replace(one, burned_atoms=one.burned_atoms + min(atoms, one.left_atoms))


def release(one: PendingRelease, provider_id: str, free_atoms: int, at: str) -> Transfer | None:
    """Return the transfer that ends a request, or None when burns have left nothing of it.

    Parameters
    ----------
    free_atoms : int
        Balance of the model's stake account. More than that is never moved: a correction may have taken what was pending.
    """
    amount = min(one.left_atoms, free_atoms)
    return unstake(f"release:{one.id}", provider_id, one.model_id, amount, at, one.id) if amount else None
