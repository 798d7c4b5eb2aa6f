"""No atom is lost or made. Method: a stateful model test against a reference ledger that knows owners and fractions only."""

from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from crowdalpha.errors import Conflict
from crowdalpha.terms import PPB
from staking import (
    Candidate,
    LedgerRecord,
    Resolution,
    StakeLine,
    Transfer,
    append,
    apply,
    close_stakes,
    deposit,
    replay,
    reserve,
    reserve_account,
    resolve,
    stake,
    stake_account,
    unstake,
    verify_chain,
    void,
)
from tests.builders.money import AT, payout_terms

AMOUNTS = st.sampled_from([1, 2, 10**18 - 1, 10**18, 2**63 - 1, 2**63, 10**27]) | st.integers(1, 10**22)
SCORES = st.sampled_from([-PPB, -1, 0, 1, PPB]) | st.integers(-(10**8), 10**8)
MODELS = ("m1", "m2", "m3")
PICK = st.integers(0, 10**6)


class Money(RuleBasedStateMachine):
    """Providers deposit, stake and unstake; rounds close, resolve and are voided, in any order."""

    @initialize(clip=st.sampled_from([1, 50_000_000, 333_333_333, PPB]), budget=st.sampled_from([0, 10, 10**9]))
    def begin(self, clip: int, budget: int) -> None:
        self.terms = payout_terms({"corr": PPB}, clip, threshold_tokens=50, budget_tokens=budget)
        self.balances: dict[str, int] = {}
        self.records: list[LedgerRecord] = []
        self.open: dict[str, list[StakeLine]] = {}
        self.count = 0
        # The reference: what each owner has, and nothing of accounts, transfers or integers of ppb.
        self.wallet = 0
        self.free = dict.fromkeys(MODELS, 0)
        self.held: dict[tuple[str, str], int] = {}
        self.risk: dict[tuple[str, str], int] = {}
        self.outside = self.paid = self.burned = 0

    def book(self, transfer: Transfer) -> None:
        self.balances = apply(self.balances, transfer)
        self.records.append(append(self.records[-1] if self.records else None, transfer))

    def try_to_move(self, make: Callable[..., Transfer], owned: int, amount: int, *whom: str) -> bool:
        self.count += 1
        transfer = make(f"t{self.count}", *whom, amount, AT)
        if amount <= owned:
            self.book(transfer)
            return True
        try:
            apply(self.balances, transfer)
        except Conflict:
            return False
        raise AssertionError("more was moved than there was")

    @rule(amount=AMOUNTS)
    def deposit(self, amount: int) -> None:
        self.count += 1
        self.book(deposit(f"t{self.count}", "p", amount, AT))
        self.wallet += amount
        self.outside += amount

    @rule(model=st.sampled_from(MODELS), amount=AMOUNTS)
    def stake(self, model: str, amount: int) -> None:
        if self.try_to_move(stake, self.wallet, amount, "p", model):
            self.wallet -= amount
            self.free[model] += amount

    @rule(model=st.sampled_from(MODELS), amount=AMOUNTS)
    def unstake(self, model: str, amount: int) -> None:
        if self.try_to_move(unstake, self.free[model], amount, "p", model):
            self.free[model] -= amount
            self.wallet += amount

    @rule()
    def close(self) -> None:
        self.count += 1
        name = f"signals-{self.count}"
        stakes = {m: self.free[m] + sum(v for (_, owner), v in self.held.items() if owner == m) for m in MODELS}
        frozen = close_stakes([Candidate(m, stakes[m], self.free[m]) for m in MODELS], self.terms)
        aside = reserve(name, frozen, AT)
        if aside is not None:
            self.book(aside)
        self.open[name] = [StakeLine(f.model_id, f.at_risk_atoms, f.reserved_atoms, {}) for f in frozen]
        clip = Fraction(self.terms.clip_ppb, PPB)
        for model in MODELS:
            risk = min(stakes[model], floor(self.free[model] / clip))
            if risk:
                self.risk[name, model] = risk
                self.held[name, model] = ceil(risk * clip)
                self.free[model] -= self.held[name, model]

    @rule(pick=PICK, scores=st.tuples(*[SCORES] * len(MODELS)), retention=st.integers(0, PPB))
    def resolve(self, pick: int, scores: tuple[int, ...], retention: int) -> None:
        if not self.open:
            return
        name = sorted(self.open)[pick % len(self.open)]
        by_model = dict(zip(MODELS, scores, strict=True))
        lines = [
            StakeLine(x.model_id, x.at_risk_atoms, x.reserved_atoms, {"corr": by_model[x.model_id]}, retention)
            for x in self.open.pop(name)
        ]
        self.settle(resolve(name, lines, self.terms, AT))
        clip = Fraction(self.terms.clip_ppb, PPB)
        mine = {model: risk for (owner, model), risk in self.risk.items() if owner == name}
        factor = min(Fraction(1), Fraction(self.terms.stake_threshold_atoms, sum(mine.values()) or 1))
        rates = {m: min(max(factor * Fraction(by_model[m], PPB), -clip), clip) for m in mine}
        earned = {m: floor(mine[m] * rates[m] * (Fraction(retention, PPB) if rates[m] > 0 else 1)) for m in mine}
        promised = sum(v for v in earned.values() if v > 0)
        scale = min(Fraction(1), Fraction(self.terms.budget_atoms, promised)) if promised else Fraction(1)
        self.finish(name, {m: floor(v * scale) if v > 0 else v for m, v in earned.items()})

    @rule(pick=PICK)
    def void(self, pick: int) -> None:
        if self.open:
            name = sorted(self.open)[pick % len(self.open)]
            self.settle(void(name, self.open.pop(name), self.terms, AT))
            self.finish(name, {})

    def settle(self, resolution: Resolution) -> None:
        for transfer in resolution.transfers:
            self.book(transfer)

    def finish(self, name: str, payouts: dict[str, int]) -> None:
        for model in MODELS:
            payout = payouts.get(model, 0)
            self.free[model] += self.held.pop((name, model), 0) + payout
            self.risk.pop((name, model), None)
            self.paid += max(payout, 0)
            self.burned += max(-payout, 0)

    @invariant()
    def every_balance_is_that_of_the_reference(self) -> None:
        if not hasattr(self, "balances"):
            return
        expected = {"provider:p": self.wallet, "external": -self.outside, "treasury": -self.paid, "burned": self.burned}
        expected |= {stake_account(m): atoms for m, atoms in self.free.items()}
        expected |= {reserve_account(name, m): atoms for (name, m), atoms in self.held.items()}
        assert {k: v for k, v in self.balances.items() if v} == {k: v for k, v in expected.items() if v}
        assert sum(self.balances.values()) == 0
        assert all(v >= 0 for k, v in self.balances.items() if k not in {"external", "treasury"})

    def teardown(self) -> None:
        if getattr(self, "records", None):
            assert verify_chain(self.records) == []
            assert replay(record.transfer for record in self.records) == self.balances


Money.TestCase.settings = settings(
    max_examples=100, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
TestMoney = Money.TestCase
