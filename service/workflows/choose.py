"""Choose a model's multipliers among those that the terms offer. A round freezes the choice at its close.

Decision instant: the clock's; rounds that closed before keep what they froze. The terms asked are those that the settings name
for the model's tournament. A round under other terms takes of a choice what its own terms offer, else its own multiplier.
"""

from collections.abc import Mapping
from dataclasses import replace

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.ids import Tournament
from crowdalpha.terms import PPB, RoundTerms
from service.context import Platform
from service.settings import load_terms
from service.store import audit, stakes
from service.store.records import StakePlan
from service.workflows.accounts import model_named
from service.workflows.overdue import refuse_while_closing
from staking import STAKE_MODES


def choose(platform: Platform, model_name: str, chosen_ppb: Mapping[str, int]) -> RoundTerms:
    """Keep ``chosen_ppb``, multipliers in ppb by kind, as the choice for a model; an empty one forgets what was chosen.

    Returns
    -------
    RoundTerms
        Those in force for the model's tournament, which offer the choice.

    Raises
    ------
    InputRejected
        MODEL_UNKNOWN; CHOICE_INVALID for a multiplier that the terms in force do not offer, naming those that they do.
    Conflict
        ROUND_CLOSING.
    """
    with platform.store.write() as connection:
        model = model_named(connection, model_name)
        terms = terms_in_force(platform, model.tournament)
        refuse_unoffered(terms, chosen_ppb)
        now = platform.clock.now(connection)
        refuse_while_closing(connection, now)
        before = stakes.plans_of(connection, [model.id]).get(model.id) or StakePlan(model.id, STAKE_MODES[0], None, now)
        stakes.put_plan(connection, replace(before, chosen_ppb=dict(chosen_ppb) or None, changed_at=now))
        audit.record(connection, now, model.provider_id, "choose_multipliers", model.id, {"chosen_ppb": dict(chosen_ppb)})
    return terms


def terms_in_force(platform: Platform, tournament: Tournament) -> RoundTerms:
    """Return the terms under which the next round of ``tournament`` would open."""
    return load_terms(getattr(platform.settings.tournaments, tournament.label).terms, platform.settings.config_dir)


def refuse_unoffered(terms: RoundTerms, chosen_ppb: Mapping[str, int]) -> None:
    """Refuse a choice that ``terms`` do not offer; raises InputRejected CHOICE_INVALID."""
    if terms.payout.allowed_choice(chosen_ppb) == dict(chosen_ppb):
        return
    offered = "; ".join(f"{kind}: {', '.join(f'{m / PPB:g}' for m in among)}" for kind, among in terms.payout.choices_ppb)
    told = f"offer {offered}" if offered else "offer no choice of multipliers"
    raise InputRejected(Code.CHOICE_INVALID, f"The terms {terms.name} {told}.")
