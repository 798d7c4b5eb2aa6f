"""The once-only settlement of a round: what every stake is paid or burned, and the transfers that book it.

Pure and repeatable: the same lines and terms give the same bytes, and the transfers have fixed ids, so a run that was killed
and started again books nothing twice. Whether a round may resolve now is not decided here.

1. Payouts and burns come from :func:`staking.payout.payouts`.
2. ``<round>:burn`` moves each burn from the round's reserve to ``burned``.
3. ``<round>:release`` moves the rest of each reserve back to the model's stake.
4. ``<round>:payout`` moves payouts from the treasury to the models' stakes, where they compound, or to the wallet of a provider
   whose stake was fixed at the close.

A void round has step 3 only: everything goes back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from crowdalpha.canonical import Plain, canonical_bytes, canonical_hash, sha256_hex
from crowdalpha.codes import Code
from crowdalpha.errors import InvariantBroken
from crowdalpha.terms import PayoutTerms
from staking.accounts import BURNED, TREASURY, provider_account, reserve_account, stake_account
from staking.ledger import LedgerEntry, Transfer
from staking.payout import StakeLine, payouts
from staking.stakes import reservation

RESOLUTION_FORMAT = 1


@dataclass(frozen=True, slots=True)
class ResolutionLine:
    """One model's settlement with every number that led to it, integers only.

    Attributes
    ----------
    model_id : str
    at_risk_atoms, reserved_atoms : int
        Frozen at the close.
    scores_ppb : tuple of (str, int)
        Published scores, sorted by kind.
    retention_ppb : int
        Part of a positive payout that is kept.
    before_budget_atoms, payout_atoms : int
        Payout before and after scaling to the budget; negative is a burn.
    wallet_of : str
        Id of the provider whose wallet a payout goes to; empty where it goes to the stake.
    chosen_ppb : mapping of str to int
        Multipliers that the provider chose, in ppb.
    """

    model_id: str
    at_risk_atoms: int
    reserved_atoms: int
    scores_ppb: tuple[tuple[str, int], ...]
    retention_ppb: int
    before_budget_atoms: int
    payout_atoms: int
    wallet_of: str = ""
    chosen_ppb: Mapping[str, int] = field(default_factory=dict)

    @property
    def paid_atoms(self) -> int:
        """What the treasury pays: the positive part of the payout."""
        return max(self.payout_atoms, 0)

    @property
    def burned_atoms(self) -> int:
        """What is burned, as a positive number."""
        return max(-self.payout_atoms, 0)

    @property
    def released_atoms(self) -> int:
        """What goes back from the reserve to the stake."""
        return self.reserved_atoms - self.burned_atoms

    def as_plain(self) -> dict[str, Plain]:
        """Return the line as plain values; atoms are decimal text, because they do not fit the integers of every language.

        ``wallet_of`` is left out where it is empty, ``chosen_ppb`` where nothing was chosen.
        """
        chosen: dict[str, Plain] = {"chosen_ppb": dict(self.chosen_ppb)} if self.chosen_ppb else {}
        plain: dict[str, Plain] = chosen | {
            "model_id": self.model_id,
            "at_risk_atoms": str(self.at_risk_atoms),
            "reserved_atoms": str(self.reserved_atoms),
            "scores_ppb": dict(self.scores_ppb),
            "retention_ppb": self.retention_ppb,
            "before_budget_atoms": str(self.before_budget_atoms),
            "payout_atoms": str(self.payout_atoms),
        }
        return plain | {"wallet_of": self.wallet_of} if self.wallet_of else plain


@dataclass(frozen=True, slots=True)
class Resolution:
    """The settlement of a round.

    Attributes
    ----------
    round_id : str
        Such as ``signals-7``.
    outcome : str
        ``resolved`` or ``void``.
    terms_hash : str
        SHA-256 of the canonical bytes of the payout terms.
    lines : tuple of ResolutionLine
        Sorted by model id.
    transfers : tuple of Transfer
        What is to be booked, in this order; those without entries are left out.
    """

    round_id: str
    outcome: str
    terms_hash: str
    lines: tuple[ResolutionLine, ...]
    transfers: tuple[Transfer, ...]

    @property
    def total_at_risk_atoms(self) -> int:
        """Total at risk in the round."""
        return sum(line.at_risk_atoms for line in self.lines)

    @property
    def total_payout_atoms(self) -> int:
        """Total that the treasury pays."""
        return sum(line.paid_atoms for line in self.lines)

    @property
    def total_burn_atoms(self) -> int:
        """Total that is burned, as a positive number."""
        return sum(line.burned_atoms for line in self.lines)

    @property
    def total_released_atoms(self) -> int:
        """Total that goes back from the round's reserves to the stakes."""
        return sum(line.released_atoms for line in self.lines)

    def canonical(self) -> bytes:
        """Return the frozen bytes of inputs and outcome.

        The instant of the booking is not part of them, so that a round resolved late after a crash has the bytes of one
        resolved in time.
        """
        return canonical_bytes(
            {
                "format": RESOLUTION_FORMAT,
                "round": self.round_id,
                "outcome": self.outcome,
                "terms": self.terms_hash,
                "lines": [line.as_plain() for line in self.lines],
                "total_at_risk_atoms": str(self.total_at_risk_atoms),
                "total_payout_atoms": str(self.total_payout_atoms),
                "total_burn_atoms": str(self.total_burn_atoms),
                "total_released_atoms": str(self.total_released_atoms),
            }
        )

    @property
    def hash(self) -> str:
        """SHA-256 of :meth:`canonical`, hexadecimal."""
        return sha256_hex(self.canonical())


def resolve(
    round_id: str, lines: Sequence[StakeLine], terms: PayoutTerms, at: str, wallets: Mapping[str, str] | None = None
) -> Resolution:
    """Settle a round by its terms.

    Parameters
    ----------
    round_id : str
        Name of the round.
    lines : sequence of StakeLine
        Every stake at risk, in any order.
    terms : PayoutTerms
        The terms copied into the round at its opening.
    at : str
        When it is booked, ISO 8601 text as in :class:`staking.ledger.Transfer`; it stands in the transfers only.
    wallets : mapping of model id to provider id, optional
        Models whose payouts go to their provider's wallet, as the close froze it.

    Returns
    -------
    Resolution
        For every line: released + burned = reserved.

    Raises
    ------
    InvariantBroken
        ``LEDGER_BROKEN`` if a model stands twice or a reservation is not that of its at-risk amount.
    InputRejected
        ``PAYOUT_INPUT`` as :func:`staking.payout.payout`.
    """
    ordered = _ordered(lines, terms)
    outcomes = payouts(ordered, terms)
    settled = tuple(
        _settle(line, outcome.before_budget_atoms, outcome.payout_atoms, (wallets or {}).get(line.model_id, ""))
        for line, outcome in zip(ordered, outcomes, strict=True)
    )
    return Resolution(round_id, "resolved", _terms_hash(terms), settled, _transfers(round_id, settled, at))


def void(round_id: str, lines: Sequence[StakeLine], terms: PayoutTerms, at: str) -> Resolution:
    """Settle a round that cannot be scored: every reservation goes back, nothing is paid or burned.

    Parameters and errors are those of :func:`resolve`; scores may be empty.
    """
    settled = tuple(_settle(line, 0, 0) for line in _ordered(lines, terms))
    return Resolution(round_id, "void", _terms_hash(terms), settled, _transfers(round_id, settled, at))


def _terms_hash(terms: PayoutTerms) -> str:
    return canonical_hash(terms.as_dict())


def _ordered(lines: Sequence[StakeLine], terms: PayoutTerms) -> list[StakeLine]:
    ordered = sorted(lines, key=lambda line: line.model_id)
    for before, after in pairwise(ordered):
        if before.model_id == after.model_id:
            raise InvariantBroken(Code.LEDGER_BROKEN, f"Model {after.model_id} stands twice in one round.")
    for line in ordered:
        if line.reserved_atoms != reservation(line.at_risk_atoms, terms.clip_ppb):
            raise InvariantBroken(
                Code.LEDGER_BROKEN, f"Model {line.model_id} has {line.reserved_atoms} atoms reserved for {line.at_risk_atoms}."
            )
    return ordered


def _settle(line: StakeLine, before_budget_atoms: int, payout_atoms: int, wallet_of: str = "") -> ResolutionLine:
    scores = tuple(sorted(line.scores_ppb.items()))
    return ResolutionLine(
        line.model_id,
        line.at_risk_atoms,
        line.reserved_atoms,
        scores,
        line.retention_ppb,
        before_budget_atoms,
        payout_atoms,
        wallet_of,
        line.chosen_ppb,
    )


def _transfers(round_id: str, lines: Sequence[ResolutionLine], at: str) -> tuple[Transfer, ...]:
    burn: list[LedgerEntry] = []
    release: list[LedgerEntry] = []
    paid: dict[str, int] = {}
    for line in lines:
        held, own = reserve_account(round_id, line.model_id), stake_account(line.model_id)
        if line.burned_atoms:
            burn.append(LedgerEntry(held, -line.burned_atoms))
        if line.released_atoms:
            release += [LedgerEntry(held, -line.released_atoms), LedgerEntry(own, line.released_atoms)]
        if line.paid_atoms:
            taker = provider_account(line.wallet_of) if line.wallet_of else own
            paid[taker] = paid.get(taker, 0) + line.paid_atoms
    if burn:
        burn.append(LedgerEntry(BURNED, -sum(entry.amount_atoms for entry in burn)))
    pay = [LedgerEntry(account, atoms) for account, atoms in paid.items()]
    if pay:
        pay.append(LedgerEntry(TREASURY, -sum(paid.values())))
    kinds = (("burn", burn), ("release", release), ("payout", pay))
    return tuple(Transfer(f"{round_id}:{kind}", kind, at, tuple(entries), round_id) for kind, entries in kinds if entries)
