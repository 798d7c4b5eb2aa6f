"""Choose a model's multipliers among those that terms offer. A round freezes the choice at its close.

Decision instant: the clock's; rounds that closed before keep what they froze. The terms asked are those of the open rounds of
the model's tournament and those that the settings name for the next one. Of a choice each round takes what its own terms offer,
and else its own multiplier.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.ids import RoundKey, RoundState, Tournament
from crowdalpha.terms import PPB, RoundTerms
from service.context import Platform
from service.settings import load_terms
from service.store import audit, rounds, stakes
from service.store.records import StakePlan
from service.workflows.accounts import model_named
from service.workflows.overdue import refuse_while_closing
from staking import STAKE_MODES


@dataclass(frozen=True, slots=True)
class Offers:
    """The terms that a choice counts under: of each open round, and of those that open from now on."""

    open_rounds: tuple[tuple[RoundKey, RoundTerms], ...]
    in_force: RoundTerms


def choose(platform: Platform, model_name: str, chosen_ppb: Mapping[str, int]) -> Offers:
    """Keep ``chosen_ppb``, multipliers in ppb by kind, as the choice for a model; an empty one forgets what was chosen.

    Returns
    -------
    Offers
        For the model's tournament; each multiplier that is chosen is offered by one of them at least.

    Raises
    ------
    InputRejected
        MODEL_UNKNOWN; CHOICE_INVALID for a multiplier that none of the terms offer, naming those that they do.
    Conflict
        ROUND_CLOSING.
    """
    with platform.store.write() as connection:
        model = model_named(connection, model_name)
        still_open = rounds.list_rounds(connection, model.tournament, (RoundState.OPEN,))
        of_rounds = tuple((record.key, RoundTerms.from_dict(record.terms)) for record in still_open)
        offers = Offers(of_rounds, terms_in_force(platform, model.tournament))
        refuse_unoffered([offers.in_force, *(terms for _, terms in of_rounds)], chosen_ppb)
        now = platform.clock.now(connection)
        refuse_while_closing(connection, now)
        before = stakes.plans_of(connection, [model.id]).get(model.id) or StakePlan(model.id, STAKE_MODES[0], None, now)
        stakes.put_plan(connection, replace(before, chosen_ppb=dict(chosen_ppb) or None, changed_at=now))
        audit.record(connection, now, model.provider_id, "choose_multipliers", model.id, {"chosen_ppb": dict(chosen_ppb)})
    return offers


def terms_in_force(platform: Platform, tournament: Tournament) -> RoundTerms:
    """Return the terms under which the next round of ``tournament`` would open."""
    return load_terms(getattr(platform.settings.tournaments, tournament.label).terms, platform.settings.config_dir)


def refuse_unoffered(asked: Iterable[RoundTerms], chosen_ppb: Mapping[str, int]) -> None:
    """Refuse a multiplier that none of the terms ``asked`` offer; raises InputRejected CHOICE_INVALID, naming what they do."""
    distinct = {terms.hash: terms for terms in asked}.values()
    offered = {kind for terms in distinct for kind in terms.payout.allowed_choice(chosen_ppb)}
    if offered == set(chosen_ppb):
        return
    told = "; ".join(f"the terms {terms.name} {_offer(terms)}" for terms in distinct) or "there is no round that could offer it"
    raise InputRejected(Code.CHOICE_INVALID, f"{told[0].upper()}{told[1:]}.")


def _offer(terms: RoundTerms) -> str:
    offered = "; ".join(f"{kind}: {', '.join(f'{m / PPB:g}' for m in among)}" for kind, among in terms.payout.choices_ppb)
    return f"offer {offered}" if offered else "offer no choice of multipliers"
