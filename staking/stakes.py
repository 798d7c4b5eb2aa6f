"""What a round puts at risk of each stake, and the transfers by which stakes move before and at its close.

Rounds overlap: a weekly round of 20 sessions lives beside four others on the same stake. Each close therefore sets aside, in an
account of its own, the most that the round can burn. What is set aside twice does not exist, so no order of results can
bring a stake below zero.

For a model with ``free`` atoms in its stake account, ``held`` atoms in the reserves of open rounds and ``pending`` atoms on
their way out (:mod:`staking.releases`), under the clip c:

1. a stake of mode ``fixed`` that is below its amount is topped up from the wallet, as far as that reaches;
2. stake = free + held − pending (what stays the model's, whichever account it lies in), and at most the fixed amount, or the
   part that a pool's weights give the model;
3. at risk = min(stake, floor((free − pending) / c)), or nothing if the stake is below the least stake of the terms;
4. reserved = ceil(at risk · c), which is at most ``free − pending`` by step 3.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from crowdalpha.codes import Code
from crowdalpha.errors import InvariantBroken
from crowdalpha.terms import PPB, PayoutTerms
from staking.accounts import EXTERNAL, TREASURY, AccountId, pool_account, provider_account, reserve_account, stake_account
from staking.ledger import LedgerEntry, Transfer

STAKE_MODES = ("compound", "fixed")
"""``compound``: payouts go to the stake. ``fixed``: a constant amount is at risk, and payouts go to the provider's wallet."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model with a valid, timely submission, and what it owns at the close.

    Attributes
    ----------
    model_id : str
    stake_atoms : int
        The whole stake: the balance of ``stake:<model>`` plus that of every ``reserve:<round>:<model>`` of a round that has
        not resolved.
    free_atoms : int
        The balance of ``stake:<model>`` alone.
    pending_atoms : int
        What of both is on its way back to the wallet; it may exceed ``free_atoms`` until rounds give back what they hold.
    fixed_atoms : int or None
        The constant amount of a stake of mode ``fixed``; None for one that compounds.
    backing_atoms : int
        The most that one open round has at risk of the model: so much of the stake must stay behind it.
    share_atoms : int or None
        What a pool's weights give the model; what it owns beyond that only waits to be moved. None without a pool.
    """

    model_id: str
    stake_atoms: int
    free_atoms: int
    pending_atoms: int = 0
    fixed_atoms: int | None = None
    backing_atoms: int = 0
    share_atoms: int | None = None

    @property
    def own_atoms(self) -> int:
        """The stake without what is on its way out."""
        return max(self.stake_atoms - self.pending_atoms, 0)

    @property
    def counted_atoms(self) -> int:
        """What a close may count of the stake: all that stays, or the fixed amount or the pool's share if that is less."""
        limits = [limit for limit in (self.fixed_atoms, self.share_atoms) if limit is not None]
        return min([self.own_atoms, *limits])

    @property
    def movable_atoms(self) -> int:
        """What a pool may take of the stake: neither held nor pending, and not what an open round pays and burns on."""
        return max(min(self.free_atoms - self.pending_atoms, self.own_atoms - self.backing_atoms), 0)


@dataclass(frozen=True, slots=True)
class AtRisk:
    """What a round froze of one model at its close; the round pays and burns by these numbers, whatever comes later.

    Attributes
    ----------
    model_id : str
    stake_atoms : int
        Stake at the close: free balance plus what older open rounds held, without what was on its way out.
    at_risk_atoms : int
        The base of payout and burn.
    reserved_atoms : int
        What was moved to the round's reserve: the most that it can burn.
    """

    model_id: str
    stake_atoms: int
    at_risk_atoms: int
    reserved_atoms: int


def at_risk(stake_atoms: int, free_atoms: int, clip_ppb: int) -> int:
    """Return min(stake, floor(free · 10⁹ / clip)), in atoms.

    Parameters
    ----------
    stake_atoms, free_atoms : int
        The whole stake and the part of it that no open round holds, in atoms, not negative.
    clip_ppb : int
        Largest part of the at-risk amount that a round can burn, in ppb; 1 to 10⁹.

    Examples
    --------
    >>> at_risk(1000, 40, 50_000_000)
    800
    """
    if not 0 <= free_atoms <= stake_atoms or not 0 < clip_ppb <= PPB:
        raise InvariantBroken(
            Code.LEDGER_BROKEN, f"A stake of {stake_atoms} with {free_atoms} free under a clip of {clip_ppb} ppb cannot be."
        )
    return min(stake_atoms, free_atoms * PPB // clip_ppb)


def reservation(at_risk_atoms: int, clip_ppb: int) -> int:
    """Return ceil(at risk · clip / 10⁹): the most that a round can burn, in atoms.

    Examples
    --------
    >>> reservation(801, 50_000_000)
    41
    """
    return -(-at_risk_atoms * clip_ppb // PPB)


def close_stakes(candidates: Iterable[Candidate], terms: PayoutTerms) -> tuple[AtRisk, ...]:
    """Freeze what a closing round puts at risk.

    Parameters
    ----------
    candidates : iterable of Candidate
        Each model once, as of the close; in any order.
    terms : PayoutTerms
        The round's own.

    Returns
    -------
    tuple of AtRisk
        Sorted by model id; models with nothing at risk are left out.
    """
    frozen: dict[str, AtRisk] = {}
    for one in candidates:
        if one.model_id in frozen:
            raise InvariantBroken(Code.LEDGER_BROKEN, f"Model {one.model_id} stands twice in one close.")
        free = max(one.free_atoms - one.pending_atoms, 0)
        amount = min(at_risk(one.own_atoms, free, terms.clip_ppb), one.counted_atoms)
        if one.counted_atoms < terms.stake_min_atoms:
            amount = 0
        frozen[one.model_id] = AtRisk(one.model_id, one.own_atoms, amount, reservation(amount, terms.clip_ppb))
    return tuple(frozen[model] for model in sorted(frozen) if frozen[model].at_risk_atoms)


def top_ups(fixed: Mapping[str, Sequence[Candidate]], wallets: Mapping[str, int]) -> dict[str, int]:
    """Return what fixed stakes below their amount get from the wallets of their providers, in atoms by model id.

    Parameters
    ----------
    fixed : mapping of provider id to sequence of Candidate
        Those with a fixed amount. A wallet that cannot fill all goes to them by model id, in turn.
    wallets : mapping of provider id to int
        Atoms in each wallet.
    """
    found: dict[str, int] = {}
    for provider_id, owned in fixed.items():
        left = wallets.get(provider_id, 0)
        for one in sorted(owned, key=lambda candidate: candidate.model_id):
            amount = min(left, max((one.fixed_atoms or 0) - one.own_atoms, 0))
            if amount:
                found[one.model_id] = amount
                left -= amount
    return found


def top_up(round_id: str, amounts: Mapping[str, int], owners: Mapping[str, str], at: str) -> Transfer | None:
    """Return the one transfer by which wallets fill fixed stakes before a close, or None when there is nothing to move.

    Parameters
    ----------
    amounts : mapping of model id to int
        As :func:`top_ups` gives them, in atoms.
    owners : mapping of model id to provider id
    """
    given: dict[str, int] = {}
    for model_id, amount in amounts.items():
        given[owners[model_id]] = given.get(owners[model_id], 0) + amount
    entries = [LedgerEntry(provider_account(provider), -amount) for provider, amount in given.items()]
    entries += [LedgerEntry(stake_account(model), amount) for model, amount in amounts.items()]
    return Transfer(f"{round_id}:top-up", "stake", at, tuple(entries), round_id) if entries else None


def _move(
    kind: str, transfer_id: str, giver: AccountId, taker: AccountId, amount_atoms: int, at: str, reference: str
) -> Transfer:
    entries = (LedgerEntry(giver, -amount_atoms), LedgerEntry(taker, amount_atoms))
    return Transfer(transfer_id, kind, at, entries, reference)


def deposit(transfer_id: str, provider_id: str, amount_atoms: int, at: str, reference: str = "") -> Transfer:
    """Return the transfer by which tokens come in from outside to a provider."""
    return _move("deposit", transfer_id, EXTERNAL, provider_account(provider_id), amount_atoms, at, reference)


def treasury_deposit(transfer_id: str, amount_atoms: int, at: str, reference: str = "") -> Transfer:
    """Return the transfer by which the operator puts tokens from outside into the treasury."""
    return _move("deposit", transfer_id, EXTERNAL, TREASURY, amount_atoms, at, reference)


def withdraw(transfer_id: str, provider_id: str, amount_atoms: int, at: str, reference: str = "") -> Transfer:
    """Return the transfer by which a provider takes tokens of the wallet out of the platform."""
    return _move("withdraw", transfer_id, provider_account(provider_id), EXTERNAL, amount_atoms, at, reference)


def stake(transfer_id: str, provider_id: str, model_id: str, amount_atoms: int, at: str, reference: str = "") -> Transfer:
    """Return the transfer by which a provider puts free tokens behind a model; at risk from the next close on."""
    return _move("stake", transfer_id, provider_account(provider_id), stake_account(model_id), amount_atoms, at, reference)


def unstake(transfer_id: str, provider_id: str, model_id: str, amount_atoms: int, at: str, reference: str = "") -> Transfer:
    """Return the transfer by which a provider takes free stake back; what open rounds hold stays out of reach."""
    return _move("unstake", transfer_id, stake_account(model_id), provider_account(provider_id), amount_atoms, at, reference)


def stake_pool(transfer_id: str, provider_id: str, amount_atoms: int, at: str, reference: str = "") -> Transfer:
    """Return the transfer by which a provider puts free tokens into the pool; its weights place them at the next close."""
    return _move("stake", transfer_id, provider_account(provider_id), pool_account(provider_id), amount_atoms, at, reference)


def unstake_pool(transfer_id: str, provider_id: str, amount_atoms: int, at: str, reference: str = "") -> Transfer:
    """Return the transfer by which a provider takes back what the pool has put on no model."""
    return _move("unstake", transfer_id, pool_account(provider_id), provider_account(provider_id), amount_atoms, at, reference)


def reserve(round_id: str, frozen: Sequence[AtRisk], at: str) -> Transfer | None:
    """Return the one transfer that sets aside a round's reservations, or None when nothing is at risk."""
    entries: list[LedgerEntry] = []
    for line in frozen:
        entries.append(LedgerEntry(stake_account(line.model_id), -line.reserved_atoms))
        entries.append(LedgerEntry(reserve_account(round_id, line.model_id), line.reserved_atoms))
    return Transfer(f"{round_id}:reserve", "reserve", at, tuple(entries), round_id) if entries else None
