"""A treasury that covers whatever rounds a test opens."""

from crowdalpha.terms import ATOMS_PER_TOKEN
from service.context import Platform
from service.workflows.treasury import deposit_treasury

PLENTY_TOKENS = 10**9


def fill_treasury(platform: Platform, tokens: int = PLENTY_TOKENS) -> None:
    """Deposit into the treasury as an operator does before the first round."""
    deposit_treasury(platform, tokens * ATOMS_PER_TOKEN)
