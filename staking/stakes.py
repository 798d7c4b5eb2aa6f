"""What a round puts at risk of each stake, and the transfers by which stakes move before and at its close.

Rounds overlap: a weekly round of 20 sessions lives beside four others on the same stake. Each close therefore sets aside, in an
account of its own, the most that the round can burn. What is set aside twice does not exist, so no order of results can
bring a stake below zero.

For a model with ``free`` atoms in its stake account and ``held`` atoms in the reserves of open rounds, under the clip c:

1. stake = free + held (what the model owns, whichever account it lies in);
2. at risk = min(stake, floor(free / c)), or nothing if the stake is below the least stake of the terms;
3. reserved = ceil(at risk · c), which is at most ``free`` by step 2.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from crowdalpha.codes import Code
from crowdalpha.errors import InvariantBroken
from crowdalpha.terms import PPB, PayoutTerms
from staking.accounts import EXTERNAL, AccountId, provider_account, reserve_account, stake_account
from staking.ledger import LedgerEntry, Transfer


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
    """

    model_id: str
    stake_atoms: int
    free_atoms: int


@dataclass(frozen=True, slots=True)
class AtRisk:
    """What a round froze of one model at its close; the round pays and burns by these numbers, whatever comes later.

    Attributes
    ----------
    model_id : str
    stake_atoms : int
        Whole stake at the close: free balance plus what older open rounds held.
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
        amount = at_risk(one.stake_atoms, one.free_atoms, terms.clip_ppb)
        if one.stake_atoms < terms.stake_min_atoms:
            amount = 0
        frozen[one.model_id] = AtRisk(one.model_id, one.stake_atoms, amount, reservation(amount, terms.clip_ppb))
    return tuple(frozen[model] for model in sorted(frozen) if frozen[model].at_risk_atoms)


def _move(
    kind: str, transfer_id: str, giver: AccountId, taker: AccountId, amount_atoms: int, at: str, reference: str
) -> Transfer:
    entries = (LedgerEntry(giver, -amount_atoms), LedgerEntry(taker, amount_atoms))
    return Transfer(transfer_id, kind, at, entries, reference)


def deposit(transfer_id: str, provider_id: str, amount_atoms: int, at: str, reference: str = "") -> Transfer:
    """Return the transfer by which tokens come in from outside to a provider."""
    return _move("deposit", transfer_id, EXTERNAL, provider_account(provider_id), amount_atoms, at, reference)


def stake(transfer_id: str, provider_id: str, model_id: str, amount_atoms: int, at: str, reference: str = "") -> Transfer:
    """Return the transfer by which a provider puts free tokens behind a model; at risk from the next close on."""
    return _move("stake", transfer_id, provider_account(provider_id), stake_account(model_id), amount_atoms, at, reference)


def unstake(transfer_id: str, provider_id: str, model_id: str, amount_atoms: int, at: str, reference: str = "") -> Transfer:
    """Return the transfer by which a provider takes free stake back; what open rounds hold stays out of reach."""
    return _move("unstake", transfer_id, stake_account(model_id), provider_account(provider_id), amount_atoms, at, reference)


def reserve(round_id: str, frozen: Sequence[AtRisk], at: str) -> Transfer | None:
    """Return the one transfer that sets aside a round's reservations, or None when nothing is at risk."""
    entries: list[LedgerEntry] = []
    for line in frozen:
        entries.append(LedgerEntry(stake_account(line.model_id), -line.reserved_atoms))
        entries.append(LedgerEntry(reserve_account(round_id, line.model_id), line.reserved_atoms))
    return Transfer(f"{round_id}:reserve", "reserve", at, tuple(entries), round_id) if entries else None
