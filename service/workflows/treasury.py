"""The operator's purse: what comes in, and whether it covers the budgets of the rounds that may still pay.

A round opens only if the treasury, with the credit that the settings give it, covers the budgets of all rounds that are not
settled and its own. So no promise is made that the purse could not keep.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected
from crowdalpha.ids import UNSETTLED
from crowdalpha.terms import RoundTerms
from service.clock import instant_text
from service.context import Platform
from service.named import refuse_nobody
from service.settings import Settings
from service.store import audit, ledger, rounds
from service.store.records import RoundRecord
from staking import TREASURY, format_amount, parse_amount, treasury_deposit


@dataclass(frozen=True, slots=True)
class TreasuryState:
    """What the treasury holds, what it may owe beyond that, and what the budgets of unsettled rounds have promised."""

    balance_atoms: int
    credit_atoms: int
    promised_atoms: int

    @property
    def free_atoms(self) -> int:
        """What is left for the budgets of further rounds; negative where more was promised than there is."""
        return self.balance_atoms + self.credit_atoms - self.promised_atoms


def deposit_treasury(platform: Platform, atoms: int, by: str = "operator") -> TreasuryState:
    """Put ``atoms`` from outside into the treasury; raises InputRejected AMOUNT_INVALID unless they are positive.

    REQUEST_INVALID is for nobody's name.
    """
    refuse_nobody(by)
    if atoms <= 0:
        raise InputRejected(Code.AMOUNT_INVALID, "What is deposited is a positive amount.")
    with platform.store.write() as connection:
        now = platform.clock.now(connection)
        ledger.post(connection, [treasury_deposit(platform.ids.new(), atoms, instant_text(now), by)])
        audit.record(connection, now, by, "deposit_treasury", TREASURY, {"atoms": str(atoms)})
        return state_of(connection, platform.settings)


def treasury_state(platform: Platform) -> TreasuryState:
    """Return how the treasury stands now."""
    with platform.store.read() as connection:
        return state_of(connection, platform.settings)


def state_of(connection: Connection, settings: Settings) -> TreasuryState:
    """Return how the treasury stands in the snapshot of ``connection``."""
    promised = sum(_budgets(rounds.list_rounds(connection, states=UNSETTLED)))
    return TreasuryState(ledger.balance(connection, TREASURY), parse_amount(settings.treasury.credit_tokens), promised)


def require_budget(connection: Connection, settings: Settings, terms: RoundTerms) -> None:
    """Refuse a round that the treasury cannot cover; raises Conflict TREASURY_TOO_LOW."""
    free, budget = state_of(connection, settings).free_atoms, terms.payout.budget_atoms
    if free < budget:
        raise Conflict(
            Code.TREASURY_TOO_LOW,
            f"The treasury has {format_amount(max(free, 0))} tokens beyond the budgets of unsettled rounds, "
            f"and the round's budget is {format_amount(budget)}.",
        )


def _budgets(records: Iterable[RoundRecord]) -> Iterable[int]:
    return (RoundTerms.from_dict(record.terms).payout.budget_atoms for record in records)
