"""The life of a stake: every state crossed with every act, on both databases. What each leads to was worked out by hand.

Amounts are atoms. A stake of 1,000 that backs a round under a clip of 5 % has 950 free and 50 held; its provider has 100 more.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, CrowdalphaError
from crowdalpha.ids import RoundState, Tournament
from crowdalpha.terms import PPB
from service.context import Platform
from service.settings import load_terms
from service.store import audit, ledger, rounds, stakes
from service.store.engine import Store
from service.workflows import accounts, correct_ledger, pools
from service.workflows import stakes as workflow
from service.workflows.reservations import round_reservations
from service.workflows.void_round import void_round
from tests.builders.money import payout_terms
from tests.builders.stakers import close, inside, rolled_back, round_key, settle_round, stakers_on
from tests.builders.store_rows import T0, round_record

TERMS = payout_terms({"corr": PPB}, budget_tokens=1)
STATES = ("empty", "free", "backing", "leaving", "gone", "pooled", "pooled_backing")

Outcome = tuple[int, int, int, int] | Code
"""Free, held, pending, wallet afterwards; or the code of the refusal."""


def reach(platform: Platform, state: str) -> str:
    """Bring a fresh platform to ``state`` and return the model's id."""
    accounts.create_provider(platform, "ada", 1_100)
    staked = 0 if state == "empty" else 1_000
    model = accounts.create_model(platform, "ada", "ada_one", Tournament.SIGNALS, staked)
    if state.startswith("pooled"):
        pools.set_pool(platform, "ada", {"ada_one": PPB})
    if state in {"backing", "leaving", "gone", "pooled_backing"}:
        with platform.store.write() as connection:
            close(connection, 1, TERMS, [model.id])
    if state in {"leaving", "gone"}:
        workflow.decrease(platform, "ada_one", 400 if state == "leaving" else 1_000)
    return model.id


def settled(score_ppb: int | None) -> Callable[[Platform, str], object]:
    def act(platform: Platform, model_id: str) -> object:
        with platform.store.write() as connection:
            scores = None if score_ppb is None else {model_id: score_ppb}
            return settle_round(platform, connection, 1, TERMS, scores)

    return act


def closed(platform: Platform, model_id: str) -> object:
    with platform.store.write() as connection:
        return close(connection, 2, TERMS, [model_id])


ACTS: dict[str, Callable[[Platform, str], object]] = {
    "increase": lambda p, _: workflow.increase(p, "ada_one", 100),
    "increase beyond the wallet": lambda p, _: workflow.increase(p, "ada_one", 1_101),
    "increase by nothing": lambda p, _: workflow.increase(p, "ada_one", 0),
    "decrease": lambda p, _: workflow.decrease(p, "ada_one", 400),
    "decrease by all": lambda p, _: workflow.decrease(p, "ada_one", 1_000),
    "decrease beyond": lambda p, _: workflow.decrease(p, "ada_one", 1_001),
    "decrease by less than nothing": lambda p, _: workflow.decrease(p, "ada_one", -1),
    "cancel": lambda p, _: workflow.cancel(p, "ada_one"),
    "fix": lambda p, _: workflow.set_mode(p, "ada_one", "fixed", 5),
    "withdraw": lambda p, _: accounts.withdraw_tokens(p, "ada", 100),
    "withdraw beyond the wallet": lambda p, _: accounts.withdraw_tokens(p, "ada", 1_101),
    "deposit": lambda p, _: accounts.deposit_tokens(p, "ada", 7),
    "increase the pool": lambda p, _: pools.increase_pool(p, "ada", 100),
    "decrease the pool": lambda p, _: pools.decrease_pool(p, "ada", 400),
    "decrease the pool beyond": lambda p, _: pools.decrease_pool(p, "ada", 1_001),
    "dissolve the pool": lambda p, _: pools.set_pool(p, "ada", {}),
    "close another": closed,
    "burn": settled(-PPB),
    "pay": settled(PPB),
    "void": settled(None),
}

LOW, NONE, POOLED, NO_POOL = Code.BALANCE_TOO_LOW, Code.RELEASE_UNKNOWN, Code.STAKE_POOLED, Code.POOL_UNKNOWN
BAD = Code.AMOUNT_INVALID

# One row an act, one column a state, in the order of STATES; None where there is no round to be settled.
TABLE: dict[str, tuple[Outcome | None, ...]] = {
    "increase": (
        (100, 0, 0, 1_000),
        (1_100, 0, 0, 0),
        (1_050, 50, 0, 0),
        (1_050, 50, 400, 0),
        (1_050, 50, 1_000, 0),
        POOLED,
        POOLED,
    ),
    "increase beyond the wallet": (LOW, LOW, LOW, LOW, LOW, POOLED, POOLED),
    "increase by nothing": (BAD,) * 7,
    "decrease": (LOW, (600, 0, 0, 500), (950, 50, 400, 100), (950, 50, 800, 100), LOW, POOLED, POOLED),
    "decrease by all": (LOW, (0, 0, 0, 1_100), (950, 50, 1_000, 100), LOW, LOW, POOLED, POOLED),
    "decrease beyond": (LOW, LOW, LOW, LOW, LOW, POOLED, POOLED),
    "decrease by less than nothing": (BAD,) * 7,
    "cancel": (NONE, NONE, NONE, (950, 50, 0, 100), (950, 50, 0, 100), NONE, NONE),
    "fix": (
        (0, 0, 0, 1_100),
        (1_000, 0, 0, 100),
        (950, 50, 0, 100),
        (950, 50, 400, 100),
        (950, 50, 1_000, 100),
        POOLED,
        POOLED,
    ),
    "withdraw": (
        (0, 0, 0, 1_000),
        (1_000, 0, 0, 0),
        (950, 50, 0, 0),
        (950, 50, 400, 0),
        (950, 50, 1_000, 0),
        (1_000, 0, 0, 0),
        (950, 50, 0, 0),
    ),
    "withdraw beyond the wallet": (LOW,) * 7,
    "deposit": (
        (0, 0, 0, 1_107),
        (1_000, 0, 0, 107),
        (950, 50, 0, 107),
        (950, 50, 400, 107),
        (950, 50, 1_000, 107),
        (1_000, 0, 0, 107),
        (950, 50, 0, 107),
    ),
    "increase the pool": (NO_POOL, NO_POOL, NO_POOL, NO_POOL, NO_POOL, (1_000, 0, 0, 0), (950, 50, 0, 0)),
    "decrease the pool": (NO_POOL, NO_POOL, NO_POOL, NO_POOL, NO_POOL, (600, 0, 0, 500), (950, 50, 400, 100)),
    "decrease the pool beyond": (NO_POOL, NO_POOL, NO_POOL, NO_POOL, NO_POOL, LOW, LOW),
    "dissolve the pool": (
        (0, 0, 0, 1_100),
        (1_000, 0, 0, 100),
        (950, 50, 0, 100),
        (950, 50, 400, 100),
        (950, 50, 1_000, 100),
        (1_000, 0, 0, 100),
        (950, 50, 0, 100),
    ),
    # A second round counts what stays, 1,000 or 600 or nothing, and sets aside a twentieth of it.
    "close another": (
        (0, 0, 0, 1_100),
        (950, 50, 0, 100),
        (900, 100, 0, 100),
        (920, 80, 400, 100),
        (950, 50, 1_000, 100),
        (950, 50, 0, 100),
        (900, 100, 0, 100),
    ),
    # 50 of 1,000 burn: 20 of the 400 on their way, or all 50 of the 1,000.
    "burn": (None, None, (950, 0, 0, 100), (570, 0, 0, 480), (0, 0, 0, 1_050), None, (950, 0, 0, 100)),
    # What is on its way earns nothing: the 50 that are paid stay.
    "pay": (None, None, (1_050, 0, 0, 100), (650, 0, 0, 500), (50, 0, 0, 1_100), None, (1_050, 0, 0, 100)),
    "void": (None, None, (1_000, 0, 0, 100), (600, 0, 0, 500), (0, 0, 0, 1_100), None, (1_000, 0, 0, 100)),
}


def standing(platform: Platform, model_id: str) -> tuple[int, int, int, int]:
    with platform.store.read() as connection:
        one = workflow.candidates(connection, [model_id])[model_id]
        wallets = ledger.balances(connection, "provider:")
        assert ledger.verify(connection) == []
    return one.free_atoms, one.stake_atoms - one.free_atoms, one.pending_atoms, sum(wallets.values())


def test_every_act_meets_every_state(store: Store, tmp_path: Path) -> None:
    assert set(TABLE) == set(ACTS)
    platform = stakers_on(tmp_path / "home", store.url)
    met = 0
    for act, outcomes in TABLE.items():
        for state, expected in zip(STATES, outcomes, strict=True):
            if expected is None:
                continue
            check(platform, state, act, expected)
            met += 1
    assert met == len(ACTS) * len(STATES) - 9


def check(platform: Platform, state: str, act: str, expected: Outcome) -> None:
    with rolled_back(platform.store) as connection:
        here = inside(platform, connection)
        assert outcome(here, act, reach(here, state)) == expected, f"{act} in {state}"


def outcome(platform: Platform, act: str, model_id: str) -> Outcome:
    """Do the act and return what it led to; one that is refused must change nothing."""
    before = standing(platform, model_id)
    try:
        ACTS[act](platform, model_id)
        return standing(platform, model_id)
    except CrowdalphaError as error:
        assert standing(platform, model_id) == before, f"{act} was refused and yet changed something"
        return error.code


OF_THE_PROVIDER = tuple(act for act in ACTS if act not in {"close another", "burn", "pay", "void"})
LIKE_BEFORE = frozenset({"deposit", "withdraw", "withdraw beyond the wallet"})
"""Acts on a wallet that no fixed stake is filled from: no close counts them."""


def test_between_a_rounds_closing_instant_and_its_close_nothing_that_it_counts_changes(store: Store, tmp_path: Path) -> None:
    """A close of six days late would otherwise count what was staked when the market had moved."""
    platform, met = stakers_on(tmp_path / "home", store.url), 0
    overdue = replace(round_record(9), closes_at=T0)
    for act in OF_THE_PROVIDER:
        for state, without in zip(STATES, TABLE[act], strict=True):
            with rolled_back(platform.store) as connection:
                here = inside(platform, connection)
                model_id = reach(here, state)
                rounds.add_round(connection, overdue)
                found = outcome(here, act, model_id)
            met += found is Code.ROUND_CLOSING
            if act in LIKE_BEFORE or isinstance(without, Code):
                assert found in {without, Code.ROUND_CLOSING}, f"{act} in {state}"
            else:
                assert found is Code.ROUND_CLOSING, f"{act} in {state}"
    assert met > 40


def test_nobody_moves_what_a_due_close_counts_by_a_correction_or_by_voiding_another_round(platform: Platform) -> None:
    """Two people, or an operator with a round that is open still, could otherwise decide with what the market has shown."""
    accounts.create_provider(platform, "ada", 1_100)
    model = accounts.create_model(platform, "ada", "ada_one", Tournament.SIGNALS, 1_000)
    terms = load_terms("signals-weekly").as_dict()
    with platform.store.write() as connection:
        rounds.add_round(connection, replace(round_record(1, state=RoundState.SCORING), terms=terms))
        round_reservations(connection, round_key(1), TERMS, [model.id], T0)
    moves = [("stake:ada_one", "provider:ada", 99)], [("burned", "pool:ada", 1)]
    waiting = [correct_ledger.propose(platform, "1", "a slip", "ann", given).id for given in moves]
    with platform.store.write() as connection:
        rounds.add_round(connection, replace(round_record(9), closes_at=T0, terms=terms))
    for correction in waiting:
        with pytest.raises(Conflict) as caught:
            correct_ledger.approve(platform, correction, "ben")
        assert caught.value.code is Code.ROUND_CLOSING
    before = standing(platform, model.id)
    with pytest.raises(Conflict) as caught:
        void_round(platform, round_key(1), "the vendor lost the prices")
    assert caught.value.code is Code.ROUND_CLOSING
    assert standing(platform, model.id) == before == (950, 50, 0, 100)
    # Voiding the one that is due holds nothing of anybody, and ends it.
    void_round(platform, round_key(9), "the exchange was closed")
    void_round(platform, round_key(1), "the vendor lost the prices")
    assert standing(platform, model.id) == (1_000, 0, 0, 100)
    assert correct_ledger.approve(platform, waiting[0], "ben").transfer.kind == "correction"


def test_a_wallet_that_fills_a_fixed_stake_stands_still_while_a_close_is_due(platform: Platform) -> None:
    accounts.create_provider(platform, "ada", 100)
    accounts.create_model(platform, "ada", "ada_one", Tournament.SIGNALS, 100)
    workflow.set_mode(platform, "ada_one", "fixed", 600)
    with platform.store.write() as connection:
        rounds.add_round(connection, replace(round_record(9), closes_at=T0))
    for act in (
        lambda: accounts.deposit_tokens(platform, "ada", 500),
        lambda: accounts.withdraw_tokens(platform, "ada", 1),
        lambda: accounts.create_model(platform, "ada", "ada_two", Tournament.SIGNALS, 1),
    ):
        with pytest.raises(Conflict) as caught:
            act()
        assert caught.value.code is Code.ROUND_CLOSING
    with platform.store.write() as connection:
        rounds.advance_round(connection, round_key(9), (RoundState.OPEN,), RoundState.VOID)
    assert accounts.deposit_tokens(platform, "ada", 500) == 500


@pytest.fixture
def platform(store: Store, tmp_path: Path) -> Platform:
    return stakers_on(tmp_path / "home", store.url)


def test_a_fixed_stake_is_topped_up_at_the_close_and_paid_to_the_wallet(platform: Platform) -> None:
    accounts.create_provider(platform, "ada", 1_100)
    model = accounts.create_model(platform, "ada", "ada_one", Tournament.SIGNALS, 100)
    workflow.set_mode(platform, "ada_one", "fixed", 600)
    with platform.store.write() as connection:
        close(connection, 1, TERMS, [model.id])
        frozen = stakes.at_risk_of_round(connection, round_key(1))
    assert [(f.stake_atoms, f.at_risk_atoms, f.reserved_atoms, f.pays_wallet) for f in frozen] == [(600, 600, 30, True)]
    assert standing(platform, model.id) == (570, 30, 0, 500)
    # The mode of the close decides, whatever is said afterwards.
    workflow.set_mode(platform, "ada_one", "compound")
    with platform.store.write() as connection:
        settle_round(platform, connection, 1, TERMS, {model.id: PPB})
        close(connection, 2, TERMS, [model.id])
        settle_round(platform, connection, 2, TERMS, {model.id: PPB})
    assert standing(platform, model.id) == (630, 0, 0, 530)


def test_a_fixed_stake_that_grew_puts_no_more_at_risk_and_one_whose_wallet_is_empty_less(platform: Platform) -> None:
    accounts.create_provider(platform, "ada", 1_000)
    model = accounts.create_model(platform, "ada", "ada_one", Tournament.SIGNALS, 1_000)
    workflow.set_mode(platform, "ada_one", "fixed", 600)
    with platform.store.write() as connection:
        close(connection, 1, TERMS, [model.id])
    workflow.set_mode(platform, "ada_one", "fixed", 5_000)
    with platform.store.write() as connection:
        close(connection, 2, TERMS, [model.id])
        first, second = (stakes.at_risk_of_round(connection, round_key(number))[0] for number in (1, 2))
    assert (first.at_risk_atoms, second.at_risk_atoms) == (600, 1_000)
    assert standing(platform, model.id) == (920, 80, 0, 0)


@pytest.mark.parametrize(
    ("mode", "atoms", "code"),
    [
        ("fixed", None, Code.AMOUNT_INVALID),
        ("fixed", 0, Code.AMOUNT_INVALID),
        ("compound", 5, Code.AMOUNT_INVALID),
        ("rolling", None, Code.REQUEST_INVALID),
    ],
)
def test_a_mode_that_makes_no_sense_is_refused(platform: Platform, mode: str, atoms: int | None, code: Code) -> None:
    reach(platform, "free")
    with pytest.raises(CrowdalphaError) as caught:
        workflow.set_mode(platform, "ada_one", mode, atoms)
    assert caught.value.code is code


def test_a_pool_is_laid_out_at_each_close_and_takes_nothing_that_a_round_stands_on(platform: Platform) -> None:
    accounts.create_provider(platform, "ada", 2_000)
    ids = [accounts.create_model(platform, "ada", name, Tournament.SIGNALS).id for name in ("ada_one", "ada_two")]
    pools.set_pool(platform, "ada", {"ada_one": 3 * PPB // 4, "ada_two": PPB // 4})
    pools.increase_pool(platform, "ada", 1_000)
    with platform.store.write() as connection:
        close(connection, 1, TERMS, ids[:1])
    # Both have their parts, and only the one that sent a file has something at risk: 750, of which a twentieth is 38.
    assert [standing(platform, model)[:2] for model in ids] == [(712, 38), (250, 0)]
    pools.set_pool(platform, "ada", {"ada_one": PPB // 100, "ada_two": PPB // 2})
    with platform.store.write() as connection:
        close(connection, 2, TERMS, ids)
    state = pools.pool_state(platform, "ada")
    # 10 of the 1,000 are wanted on the first, but round 1 pays and burns on its 750: they stay, and 10 are put at risk anew.
    assert [(one.stake_atoms, one.free_atoms) for _, _, one in state.models] == [(750, 711), (250, 237)]
    assert state.idle_atoms == 0
    with platform.store.read() as connection:
        at_risk = {a.model_id: a.at_risk_atoms for a in stakes.at_risk_of_round(connection, round_key(2))}
    assert at_risk == dict(zip(ids, (10, 250), strict=True))
    # Nothing of it can be taken out while the rounds are open.
    state = pools.decrease_pool(platform, "ada", 900)
    assert [one.pending_atoms for _, _, one in state.models] == [675, 225]
    assert standing(platform, ids[0])[3] == 1_000
    assert sum(workflow.cancel(platform, name) for name in ("ada_one", "ada_two")) == 900
    with platform.store.write() as connection:
        settle_round(platform, connection, 1, TERMS, None)
        close(connection, 3, TERMS, ids)
    state = pools.pool_state(platform, "ada")
    # Of the first all but the 10 of round 2 may go; the second is brought to its 500, and the rest lies idle.
    assert [one.stake_atoms for _, _, one in state.models] == [10, 500]
    assert state.idle_atoms == 490
    with platform.store.read() as connection:
        kinds = [(r.transfer.id.split(":")[1], r.transfer.kind) for r in ledger.history(connection, limit=2)]
    assert kinds == [("reserve", "reserve"), ("reweight", "reweight")]


def test_a_pool_releases_from_its_models_in_proportion_once_nothing_is_idle(platform: Platform) -> None:
    accounts.create_provider(platform, "ada", 1_000)
    ids = [accounts.create_model(platform, "ada", name, Tournament.SIGNALS).id for name in ("ada_one", "ada_two")]
    pools.set_pool(platform, "ada", {"ada_one": PPB // 2, "ada_two": PPB // 4})
    pools.increase_pool(platform, "ada", 1_000)
    with platform.store.write() as connection:
        close(connection, 1, TERMS, ids)
    state = pools.decrease_pool(platform, "ada", 550)
    assert state.idle_atoms == 0
    assert [one.pending_atoms for _, _, one in state.models] == [200, 100]
    with platform.store.write() as connection:
        settle_round(platform, connection, 1, TERMS, None)
    assert [standing(platform, model) for model in ids] == [(300, 0, 0, 550), (150, 0, 0, 550)]


def test_a_pool_takes_only_its_providers_models_and_no_fixed_stake(platform: Platform) -> None:
    reach(platform, "free")
    accounts.create_provider(platform, "bob")
    for provider, weights, code in (
        ("bob", {"ada_one": PPB}, Code.POOL_WEIGHTS),
        ("ada", {"ada_one": PPB + 1}, Code.POOL_WEIGHTS),
        ("eve", {}, Code.PROVIDER_UNKNOWN),
    ):
        with pytest.raises(CrowdalphaError) as caught:
            pools.set_pool(platform, provider, weights)
        assert caught.value.code is code
    workflow.set_mode(platform, "ada_one", "fixed", 5)
    with pytest.raises(CrowdalphaError) as caught:
        pools.set_pool(platform, "ada", {"ada_one": PPB})
    assert caught.value.code is Code.STAKE_POOLED


def test_what_is_asked_for_twice_waits_for_its_own_rounds(platform: Platform) -> None:
    model_id = reach(platform, "leaving")
    with platform.store.write() as connection:
        close(connection, 2, TERMS, [model_id])
    workflow.decrease(platform, "ada_one", 300)
    with platform.store.write() as connection:
        settle_round(platform, connection, 1, TERMS, None)
        assert {r.amount_atoms: r.state for r in stakes.releases_of_model(connection, model_id)} == {
            400: "released",
            300: "pending",
        }
    assert standing(platform, model_id) == (570, 30, 300, 500)
    with platform.store.write() as connection:
        # 30 of the 600 burn, and with them half of what they were of the 300.
        settle_round(platform, connection, 2, TERMS, {model_id: -PPB})
        last = next(r for r in stakes.releases_of_model(connection, model_id) if r.amount_atoms == 300)
        lines = [line.what for line in audit.list_audit(connection, model_id)]
    assert (last.state, last.amount_atoms, last.burned_atoms) == ("released", 300, 15)
    assert standing(platform, model_id) == (285, 0, 0, 785)
    assert lines.count("request_release") == 2
