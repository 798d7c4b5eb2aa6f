"""The payout: an exact integer function of published integers. Anybody can compute it again, in any language.

With a the atoms at risk, A their total over the round, m and s the multipliers and scores, c the clip and k the retention:

1. v = Σ mᵢ·sᵢ, where a provider may have chosen some mᵢ among those that the terms offer
2. f = min(1, threshold / A); 1 under terms without a threshold
3. p = min(c, max(−c, f·v))
4. p = p·k where p > 0 (a burn is never softened)
5. payout = ⌊a·p⌋; a negative payout is a burn

All of it is one fraction of integers with a single floor towards −∞ at the end, so rounding favours the treasury.
If the positive payouts of a round exceed its budget, each becomes ⌊payout · budget / sum⌋; burns stay as they are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.terms import PPB, PayoutTerms


def _refuse(what: str) -> InputRejected:
    return InputRejected(Code.PAYOUT_INPUT, f"No payout can be computed: {what}.")


@dataclass(frozen=True, slots=True)
class StakeLine:
    """What a round knows of one model when it pays.

    Attributes
    ----------
    model_id : str
    at_risk_atoms, reserved_atoms : int
        As frozen at the close.
    scores_ppb : mapping of str to int
        Published score of every kind, in ppb.
    retention_ppb : int
        Part of a positive payout that is kept, 0 to 10⁹.
    chosen_ppb : mapping of str to int
        Multipliers that the provider chose, as frozen at the close, in ppb.
    """

    model_id: str
    at_risk_atoms: int
    reserved_atoms: int
    scores_ppb: Mapping[str, int]
    retention_ppb: int = PPB
    chosen_ppb: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PayoutLine:
    """The outcome for one stake line: the payout before and after the budget, in atoms; negative is a burn."""

    model_id: str
    before_budget_atoms: int
    payout_atoms: int


def _check(at_risk_atoms: int, scores_ppb: Mapping[str, int], retention_ppb: int, total: int, terms: PayoutTerms) -> None:
    paying = [kind for kind, _ in terms.multipliers_ppb]
    missing = [kind for kind in paying if kind not in scores_ppb]
    if missing:
        raise _refuse(f"the scores lack {', '.join(missing)}")
    numbers = [at_risk_atoms, retention_ppb, total, *(scores_ppb[kind] for kind in paying)]
    if any(type(number) is not int for number in numbers):
        raise _refuse("every number must be an integer, and a float or a truth value is none")
    if not 0 <= at_risk_atoms <= total:
        raise _refuse(f"{at_risk_atoms} atoms at risk do not lie between zero and the round's total of {total}")
    if not 0 <= retention_ppb <= PPB:
        raise _refuse(f"a retention of {retention_ppb} ppb does not lie between 0 and 1")


def _checked_choice(chosen_ppb: Mapping[str, int] | None, terms: PayoutTerms) -> dict[str, int]:
    if not chosen_ppb:
        return {}
    choice = terms.allowed_choice(chosen_ppb)
    if len(choice) < len(chosen_ppb) or any(type(multiplier) is not int for multiplier in choice.values()):
        raise _refuse(f"the terms do not offer the multipliers {dict(chosen_ppb)}")
    return choice


def payout(
    at_risk_atoms: int,
    scores_ppb: Mapping[str, int],
    retention_ppb: int,
    total_at_risk_atoms: int,
    terms: PayoutTerms,
    chosen_ppb: Mapping[str, int] | None = None,
) -> int:
    """Return the payout of one stake before the round's budget, in atoms; negative is a burn.

    Parameters
    ----------
    at_risk_atoms : int
        What the round froze of the stake, in atoms.
    scores_ppb : mapping of str to int
        At least every kind that the terms pay on, in ppb; others are ignored.
    retention_ppb : int
        Part of a positive payout that is kept, in ppb; 10⁹ for all of it.
    total_at_risk_atoms : int
        Sum over the round's stakes, this one included, in atoms.
    terms : PayoutTerms
        The round's own.
    chosen_ppb : mapping of str to int, optional
        Multipliers that the provider chose, in ppb; of other kinds they are those of the terms.

    Returns
    -------
    int
        ⌊a · retained(clip(f·v))⌋; never beyond ±⌈a · clip⌉.

    Raises
    ------
    InputRejected
        ``PAYOUT_INPUT`` if a score is missing, a number is no integer, one is out of its range, or a choice is not offered.

    Examples
    --------
    >>> terms = PayoutTerms((("corr", 750_000_000), ("mmc", 2_250_000_000)), 50_000_000, 10**24, 10**24)
    >>> payout(1000, {"corr": 30_000_000, "mmc": 4_000_000}, 10**9, 5000, terms)
    31
    >>> payout(1000, {"corr": -30_000_000, "mmc": -4_000_000}, 10**9, 5000, terms)
    -32
    """
    _check(at_risk_atoms, scores_ppb, retention_ppb, total_at_risk_atoms, terms)
    multipliers = dict(terms.multipliers_ppb) | _checked_choice(chosen_ppb, terms)
    numerator = sum(multiplier * scores_ppb[kind] for kind, multiplier in multipliers.items())
    denominator = PPB * PPB
    if terms.stake_threshold_atoms is not None and total_at_risk_atoms > terms.stake_threshold_atoms:
        numerator *= terms.stake_threshold_atoms
        denominator *= total_at_risk_atoms
    if abs(numerator) * PPB > terms.clip_ppb * denominator:
        numerator, denominator = (terms.clip_ppb if numerator > 0 else -terms.clip_ppb), PPB
    if numerator > 0:
        numerator *= retention_ppb
        denominator *= PPB
    return at_risk_atoms * numerator // denominator


def budget_can_bind(total_at_risk_atoms: int, terms: PayoutTerms) -> bool:
    """Say whether a round could promise more than its budget; it never pays more than the clip of all that is at risk.

    Where it cannot, each payout stands by itself, and nobody else's scores are needed for it.

    Examples
    --------
    >>> terms = PayoutTerms((("corr", 10**9),), 50_000_000, None, 5)
    >>> budget_can_bind(100, terms), budget_can_bind(101, terms)
    (False, True)
    """
    return total_at_risk_atoms * terms.clip_ppb > terms.budget_atoms * PPB


def payouts(lines: Sequence[StakeLine], terms: PayoutTerms) -> tuple[PayoutLine, ...]:
    """Return the outcome of every stake of a round, scaled to the budget, in the order given.

    Parameters
    ----------
    lines : sequence of StakeLine
        All stakes at risk in the round; their sum is the total of the payout factor.
    terms : PayoutTerms
        The round's own.

    Returns
    -------
    tuple of PayoutLine
        The positive payouts sum to at most ``terms.budget_atoms``.
    """
    total = sum(line.at_risk_atoms for line in lines)
    before = [payout(line.at_risk_atoms, line.scores_ppb, line.retention_ppb, total, terms, line.chosen_ppb) for line in lines]
    promised = sum(amount for amount in before if amount > 0)
    if promised > terms.budget_atoms:
        after = [amount * terms.budget_atoms // promised if amount > 0 else amount for amount in before]
    else:
        after = before
    return tuple(PayoutLine(line.model_id, b, a) for line, b, a in zip(lines, before, after, strict=True))
