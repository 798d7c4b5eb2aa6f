"""A plain reference of all that happens to money: one dictionary of balances, and the rules in fractions.

It knows accounts by name and nothing of transfers, seals, rows or ppb. Each act says whether it is allowed, and does it if so.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor


@dataclass
class Reference:
    """Balances by account, and what providers have said: ``owner`` by model, pools by provider, fixed amounts by model."""

    owner: dict[str, str]
    atoms: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    fixed: dict[str, int] = field(default_factory=dict)
    pools: dict[str, dict[str, Fraction]] = field(default_factory=dict)
    pending: list[tuple[str, int, frozenset[str]]] = field(default_factory=list)
    frozen: dict[str, dict[str, tuple[int, bool]]] = field(default_factory=dict)

    def move(self, giver: str, taker: str, amount: int) -> bool:
        """Move a positive amount if the giver has it; the outside world and the treasury always have."""
        if amount <= 0 or (giver not in {"external", "treasury"} and self.atoms[giver] < amount):
            return False
        self.atoms[giver] -= amount
        self.atoms[taker] += amount
        return True

    def free(self, model: str) -> int:
        """Return what no round holds of a stake."""
        return self.atoms[f"stake:{model}"]

    def whole(self, model: str) -> int:
        """Return a stake, free and held."""
        return self.free(model) + sum(self.atoms[f"reserve:{name}:{model}"] for name in self.frozen)

    def own(self, model: str) -> int:
        """Return a stake without what is on its way out."""
        return max(0, self.whole(model) - self.leaving(model))

    def backing(self, model: str) -> int:
        """Return the most that one open round has at risk of a model."""
        return max((risks[model][0] for risks in self.frozen.values() if model in risks), default=0)

    def leaving(self, model: str) -> int:
        """Return what of a stake is on its way out."""
        return sum(left for whose, left, _ in self.pending if whose == model)

    def pooled(self, model: str) -> bool:
        """Say whether a pool stands behind the model."""
        return model in self.pools.get(self.owner[model], {})

    def increase(self, model: str, amount: int) -> bool:
        """Stake."""
        return not self.pooled(model) and self.move(f"provider:{self.owner[model]}", f"stake:{model}", amount)

    def decrease(self, model: str, amount: int) -> bool:
        """Release, at once or later."""
        return not self.pooled(model) and self.release(model, amount)

    def release(self, model: str, amount: int) -> bool:
        """Release what may belong to a pool."""
        if not 0 < amount <= self.own(model):
            return False
        backed = frozenset(name for name, risks in self.frozen.items() if model in risks)
        if not backed:
            return self.move(f"stake:{model}", f"provider:{self.owner[model]}", amount)
        self.pending.append((model, amount, backed))
        return True

    def cancel(self, model: str) -> bool:
        """Take all back that is on its way out."""
        before = len(self.pending)
        self.pending = [one for one in self.pending if one[0] != model]
        return len(self.pending) < before

    def set_fixed(self, model: str, amount: int | None) -> bool:
        """Fix a stake at an amount, or let it compound."""
        if self.pooled(model) or (amount is not None and amount <= 0):
            return False
        self.fixed.pop(model, None)
        if amount is not None:
            self.fixed[model] = amount
        return True

    def set_pool(self, provider: str, weights: dict[str, Fraction]) -> bool:
        """Set a pool's weights, or dissolve it."""
        if sum(weights.values()) > 1 or any(model in self.fixed for model in weights):
            return False
        self.pools[provider] = weights
        if not weights:
            del self.pools[provider]
            self.move(f"pool:{provider}", f"provider:{provider}", self.atoms[f"pool:{provider}"])
        return True

    def increase_pool(self, provider: str, amount: int) -> bool:
        """Put tokens into a pool."""
        return provider in self.pools and self.move(f"provider:{provider}", f"pool:{provider}", amount)

    def decrease_pool(self, provider: str, amount: int) -> bool:
        """Release from a pool: first what is idle, then each model's part of what is left, rounded up."""
        models = sorted(self.pools.get(provider, {}))
        idle = self.atoms[f"pool:{provider}"]
        if provider not in self.pools or not 0 < amount <= idle + sum(map(self.own, models)):
            return False
        self.move(f"pool:{provider}", f"provider:{provider}", min(idle, amount))
        left, own = amount - min(idle, amount), {model: self.own(model) for model in models}
        for place, model in enumerate(models):
            below = sum(own[other] for other in models[place:])
            part = ceil(Fraction(left * own[model], below)) if below else 0
            left -= part
            self.release(model, part)
        return True

    def close(self, name: str, models: Sequence[str], clip: Fraction) -> None:
        """Lay pools out, fill fixed stakes, set aside what the round can burn."""
        shares: dict[str, int] = {}
        for provider in sorted(self.pools):
            shares |= self.lay_out(provider)
        for model in sorted(set(models) & set(self.fixed)):
            wallet = f"provider:{self.owner[model]}"
            self.move(wallet, f"stake:{model}", min(self.atoms[wallet], self.fixed[model] - self.own(model)))
        risks = {}
        for model in models:
            spare = max(0, self.free(model) - self.leaving(model))
            own = self.own(model)
            risk = min(own, floor(spare / clip), self.fixed.get(model, own), shares.get(model, own))
            if risk:
                risks[model] = (risk, model in self.fixed)
        self.frozen[name] = risks
        for model, (risk, _) in risks.items():
            self.move(f"stake:{model}", f"reserve:{name}:{model}", ceil(risk * clip))

    def lay_out(self, provider: str) -> dict[str, int]:
        """Bring each model of a pool to its part, as far as free atoms behind no round reach; return the parts."""
        weights, pool = self.pools[provider], f"pool:{provider}"
        whole = self.atoms[pool] + sum(map(self.own, weights))
        parts = {model: floor(weight * whole) for model, weight in weights.items()}
        lacks = {model: part - self.own(model) for model, part in parts.items()}
        for model, lack in lacks.items():
            spare = max(0, min(self.free(model) - self.leaving(model), self.own(model) - self.backing(model)))
            self.move(f"stake:{model}", pool, min(-lack, spare))
        wanted = sum(lack for lack in lacks.values() if lack > 0)
        part = min(Fraction(1), Fraction(self.atoms[pool], wanted)) if wanted else Fraction(0)
        for model, lack in lacks.items():
            self.move(pool, f"stake:{model}", floor(lack * part))
        return parts

    def settle(self, name: str, earned: Mapping[str, int]) -> None:
        """Pay, burn and give back; then let go what had waited. Nothing earned is what a void round brings."""
        risks = self.frozen[name]
        for model, (_, to_wallet) in risks.items():
            payout, held = earned.get(model, 0), f"reserve:{name}:{model}"
            whole = self.whole(model)
            self.burn_pending(name, model, max(-payout, 0), whole)
            self.move(held, "burned", -payout)
            self.move(held, f"stake:{model}", self.atoms[held])
            self.move("treasury", f"provider:{self.owner[model]}" if to_wallet else f"stake:{model}", payout)
        del self.frozen[name]
        still = [one for one in self.pending if name not in one[2] or any(other in self.frozen for other in one[2])]
        for model, left, _ in [one for one in self.pending if one not in still]:
            self.move(f"stake:{model}", f"provider:{self.owner[model]}", min(left, self.free(model)))
        self.pending = still

    def burn_pending(self, name: str, model: str, burned: int, whole: int) -> None:
        """Let what is on its way out bear its share of a burn, and never be more than is left."""
        mine = [place for place, one in enumerate(self.pending) if one[0] == model and name in one[2]]
        for place in mine:
            self.lessen(place, ceil(Fraction(burned * self.pending[place][1], whole)) if whole else 0)
        for place in reversed(mine):
            self.lessen(place, max(0, self.leaving(model) - (whole - burned)))

    def lessen(self, place: int, amount: int) -> None:
        """Take from one that is on its way out."""
        model, left, rounds = self.pending[place]
        self.pending[place] = (model, left - min(left, amount), rounds)


def earnings(
    risks: Mapping[str, tuple[int, bool]], scores: Mapping[str, Fraction], clip: Fraction, threshold: int, budget: int
) -> dict[str, int]:
    """Return what a round pays or burns, in fractions until the floor."""
    factor = min(Fraction(1), Fraction(threshold, sum(risk for risk, _ in risks.values()) or 1))
    rates = {model: min(max(factor * scores[model], -clip), clip) for model in risks}
    earned = {model: floor(risk * rates[model]) for model, (risk, _) in risks.items()}
    promised = sum(value for value in earned.values() if value > 0)
    scale = min(Fraction(1), Fraction(budget, promised)) if promised else Fraction(1)
    return {model: floor(value * scale) if value > 0 else value for model, value in earned.items()}
