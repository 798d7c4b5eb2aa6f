"""No atom is lost or made. Method: drawn lives of a whole platform, act by act against a plain reference ledger, 0 atoms off.

Each life is one transaction that is rolled back at its end, so that no act waits for a disk; a last one is committed and its
chain verified. The acts are the workflows that the doors call.
"""

import random
from collections.abc import Callable
from datetime import timedelta
from fractions import Fraction
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from crowdalpha.errors import Conflict, CrowdalphaError
from crowdalpha.ids import Tournament
from crowdalpha.terms import PPB, PayoutTerms
from service.context import Platform
from service.store import ledger, stakes
from service.store.engine import Store
from service.workflows import accounts, pools
from service.workflows import stakes as workflow
from service.workflows.correct_ledger import approve, propose
from tests.builders.money import payout_terms
from tests.builders.reference import Reference, earnings
from tests.builders.stakers import close, inside, rolled_back, round_key, settle_round, stakers_on

LIVES, SOAK_LIVES, ACTS = 500, 5_000, 100
"""On each database, in parts: no part comes near the time limit of a test, also on a machine of half the speed."""

LOOK_EVERY_ACTS = 20
AMOUNTS = (0, 1, 2, 10**18 - 1, 10**18, 2**63 - 1, 2**63, 10**27)
OPEN_MAX = 6
"""Rounds that overlap in a life; :mod:`tests.staking.test_resolution` has as many as 64."""


class Life:
    """One platform with two providers and four models, and the reference beside it."""

    def __init__(self, platform: Platform, connection: Connection, rng: random.Random) -> None:
        self.platform, self.connection, self.rng = platform, connection, rng
        self.terms: PayoutTerms = payout_terms(
            {"corr": PPB},
            rng.choice([1, 50_000_000, 333_333_333, PPB]),
            threshold_tokens=rng.choice([1, 10**6]),
            budget_tokens=rng.choice([0, 1, 10**9]),
        )
        self.clip = Fraction(self.terms.clip_ppb, PPB)
        self.providers = {name: accounts.create_provider(platform, name).id for name in ("ada", "bob")}
        owners = {"ada_one": "ada", "ada_two": "ada", "ada_three": "ada", "bob_one": "bob"}
        self.models = {
            name: accounts.create_model(platform, owner, name, Tournament.SIGNALS).id for name, owner in owners.items()
        }
        self.reference = Reference({self.models[name]: self.providers[owner] for name, owner in owners.items()})
        self.rounds, self.made, self.refused = 0, 0, 0

    def act(self) -> None:
        """Do one drawn act on both."""
        clock: Any = self.platform.clock
        clock.advance_to(clock.now() + timedelta(seconds=1))
        name, weight = zip(*WEIGHTS.items(), strict=True)
        getattr(self, self.rng.choices(name, weight)[0])()

    def attempt(self, allowed: bool, call: Callable[..., object], *arguments: object) -> None:
        try:
            call(self.platform, *arguments)
            done = True
        except CrowdalphaError:
            done = False
        assert done == allowed, f"{call.__name__}{arguments} was {'done' if done else 'refused'}"
        self.made += done
        self.refused += not done

    def amount(self, *there: int) -> int:
        """Return an edge, or something near what there is."""
        return self.rng.choice([*AMOUNTS, *there, *there, *(x + 1 for x in there), *(self.rng.randint(0, x) for x in there)])

    def provider(self) -> tuple[str, str]:
        return self.rng.choice(list(self.providers.items()))

    def model(self) -> tuple[str, str]:
        return self.rng.choice(list(self.models.items()))

    def wallet(self, provider: str) -> int:
        return self.reference.atoms[f"provider:{provider}"]

    def deposit(self) -> None:
        name, key = self.provider()
        amount = self.amount()
        self.attempt(self.reference.move("external", f"provider:{key}", amount), accounts.deposit_tokens, name, amount)

    def withdraw(self) -> None:
        name, key = self.provider()
        amount = self.amount(self.wallet(key))
        self.attempt(self.reference.move(f"provider:{key}", "external", amount), accounts.withdraw_tokens, name, amount)

    def increase(self) -> None:
        name, key = self.model()
        amount = self.amount(self.wallet(self.reference.owner[key]))
        self.attempt(self.reference.increase(key, amount), workflow.increase, name, amount)

    def decrease(self) -> None:
        name, key = self.model()
        amount = self.amount(self.reference.own(key))
        self.attempt(self.reference.decrease(key, amount), workflow.decrease, name, amount)

    def cancel(self) -> None:
        name, key = self.model()
        self.attempt(self.reference.cancel(key), workflow.cancel, name)

    def mode(self) -> None:
        name, key = self.model()
        amount = self.rng.choice([None, None, self.amount(self.reference.own(key))])
        mode = "compound" if amount is None else "fixed"
        self.attempt(self.reference.set_fixed(key, amount), workflow.set_mode, name, mode, amount)

    def pool_set(self) -> None:
        name, key = self.provider()
        own = [model for model, owner in self.reference.owner.items() if owner == key]
        chosen = self.rng.sample(own, self.rng.randint(0, len(own)))
        weights = {model: self.rng.choice([1, 250_000_000, 333_333_333, 400_000_000]) for model in chosen}
        names = {model: known for known, model in self.models.items()}
        allowed = self.reference.set_pool(key, {model: Fraction(ppb, PPB) for model, ppb in weights.items()})
        self.attempt(allowed, pools.set_pool, name, {names[model]: ppb for model, ppb in weights.items()})

    def pool_increase(self) -> None:
        name, key = self.provider()
        amount = self.amount(self.wallet(key))
        self.attempt(self.reference.increase_pool(key, amount), pools.increase_pool, name, amount)

    def pool_decrease(self) -> None:
        name, key = self.provider()
        models = self.reference.pools.get(key, {})
        amount = self.amount(self.reference.atoms[f"pool:{key}"] + sum(map(self.reference.own, models)))
        self.attempt(self.reference.decrease_pool(key, amount), pools.decrease_pool, name, amount)

    def correct(self) -> None:
        last = ledger.head(self.connection).sequence
        if not last:
            return
        people = [f"provider:{key}" for key in self.providers.values()]
        staked = [f"stake:{key}" for key in self.models.values()]
        giver, taker = self.rng.sample([*people, *staked, "burned", "treasury", "external"], 2)
        amount = self.amount(max(self.reference.atoms[giver], 0)) or 1
        try:
            proposal = propose(self.platform, str(self.rng.randint(1, last)), "drawn", "ann", [(giver, taker, amount)])
        except Conflict:
            return  # by chance the whole of a transfer once more
        self.attempt(self.reference.move(giver, taker, amount), approve, proposal.id, "ben")

    def close(self) -> None:
        if len(self.reference.frozen) == OPEN_MAX:
            return self.resolve()
        self.rounds += 1
        sent = sorted(self.rng.sample(list(self.models.values()), self.rng.randint(1, 4)))
        self.reference.close(str(round_key(self.rounds)), sent, self.clip)
        close(self.connection, self.rounds, self.terms, sent)
        self.made += 1
        return None

    def resolve(self) -> None:
        self.settle(void=False)

    def void(self) -> None:
        self.settle(void=True)

    def settle(self, *, void: bool) -> None:
        if not self.reference.frozen:
            return
        name = self.rng.choice(sorted(self.reference.frozen))
        scores = {m: self.rng.choice([-PPB, -1, 0, 1, PPB, self.rng.randint(-(10**8), 10**8)]) for m in self.models.values()}
        exact = {model: Fraction(ppb, PPB) for model, ppb in scores.items()}
        risks = self.reference.frozen[name]
        earned = earnings(risks, exact, self.clip, self.terms.stake_threshold_atoms, self.terms.budget_atoms)
        self.reference.settle(name, {} if void else earned)
        settle_round(self.platform, self.connection, int(name.split("-")[1]), self.terms, None if void else scores)
        self.made += 1

    def look(self) -> None:
        """Compare every balance, and everything that is on its way out."""
        found = ledger.balances(self.connection)
        expected = self.reference.atoms
        assert {k: v for k, v in found.items() if v} == {k: v for k, v in expected.items() if v}
        assert sum(found.values()) == 0
        assert all(v >= 0 for k, v in found.items() if k not in {"external", "treasury"})
        waiting = stakes.pending_releases(self.connection)
        left = [(one.model_id, one.amount_atoms - one.burned_atoms, frozenset(one.rounds)) for one in waiting]
        # Two models of a pool are asked at the same instant: only the order within a model has a meaning.
        assert sorted(left, key=itemgetter(0)) == sorted(self.reference.pending, key=itemgetter(0))


WEIGHTS = {
    "deposit": 4,
    "withdraw": 2,
    "increase": 5,
    "decrease": 4,
    "cancel": 1,
    "mode": 2,
    "pool_set": 2,
    "pool_increase": 2,
    "pool_decrease": 2,
    "close": 6,
    "resolve": 4,
    "void": 1,
    "correct": 1,
}
"""Acts, and how often each is drawn."""


def live(platform: Platform, connection: Connection, seed: int) -> Life:
    """Live one life; a failure tells its seed and how far it came."""
    life = Life(inside(platform, connection), connection, random.Random(seed))
    for done in range(1, ACTS + 1):
        try:
            life.act()
            if done % LOOK_EVERY_ACTS == 0 or done == ACTS:
                life.look()
        except Exception as error:
            raise AssertionError(f"life of seed {seed}, act {done}") from error
    return life


def live_many(store: Store, path: Path, seed: int, lives: int) -> None:
    print(f"seeds {seed} to {seed + lives - 1}")
    platform = stakers_on(path / "home", store.url)
    made = refused = 0
    for one in range(seed, seed + lives):
        with rolled_back(platform.store) as connection:
            life = live(platform, connection, one)
        made, refused = made + life.made, refused + life.refused
    assert made > lives * ACTS // 3
    assert refused > lives
    with platform.store.write() as connection:
        live(platform, connection, seed)
    with platform.store.read() as connection:
        assert ledger.verify(connection) == []


@pytest.mark.parametrize("part", range(10))
def test_no_atom_is_off_over_drawn_lives(store: Store, tmp_path: Path, part: int) -> None:
    live_many(store, tmp_path, 600_000 + part * LIVES // 10, LIVES // 10)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(20))
def test_no_atom_is_off_over_a_million_acts(store: Store, tmp_path: Path, part: int) -> None:
    live_many(store, tmp_path, 1_000_000 + part * SOAK_LIVES // 20, SOAK_LIVES // 20)
