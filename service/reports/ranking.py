"""How models and providers stand: reputation, return on stake, seasons. Exact fractions of published integers.

1. The *reputation* of a model in a kind of score is its mean over all rounds that were resolved in the year before; a round
   without a file on time counts 0. One good round does not make a reputation, and staying away in a bad year does not keep one.
2. The reputation of a provider is the mean over the same rounds of the stake-weighted mean of its models; a round without
   anything at risk counts 0.
3. The *return on stake* of a model is what its rounds paid less what they burned, over its mean stake at their closes.
4. A *season* is a calendar year of rounds. A provider stands in it by the mean of 2 over the season's rounds, if in
   :data:`ROUNDS_MIN` of them at least :data:`AT_RISK_MIN_ATOMS` were at risk.

Void rounds are no rounds here. Decision instant: whatever is summed was published when its round was resolved.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from crowdalpha.terms import ATOMS_PER_TOKEN

YEAR_DAYS = 365
YEAR_MIN, YEAR_MAX = 1900, 9998
"""Of a season. Whether it is over is asked of the first day of the next year, and no date is later than 9999."""

ROUNDS_MIN = 20
"""Five months of weekly rounds: less says more about luck than about the model."""
AT_RISK_MIN_ATOMS = ATOMS_PER_TOKEN
"""One token over all models of the provider."""

TITLES = ((1, "grandmaster"), (10, "master"), (100, "expert"))
"""The title that goes with a rank up to the number, among those who qualify; whoever is behind is a ``contributor``."""
TITLE_OF_THE_REST = "contributor"


@dataclass(frozen=True, slots=True)
class SettledLine:
    """What a resolved round published of one model that had a file on time.

    Attributes
    ----------
    round_id, model_id, provider_id : str
    scores_ppb : mapping of str to int or Fraction
        Final scores by kind, in ppb.
    stake_atoms, at_risk_atoms : int
        As frozen at the close; 0 without a stake.
    payout_atoms : int
        Negative for a burn.
    """

    round_id: str
    model_id: str
    provider_id: str
    scores_ppb: Mapping[str, int | Fraction]
    stake_atoms: int = 0
    at_risk_atoms: int = 0
    payout_atoms: int = 0


@dataclass(frozen=True, slots=True)
class SeasonStanding:
    """A provider in a season.

    Attributes
    ----------
    rank : int or None
        From 1, by score; equal scores share the lower number. None for those who do not qualify.
    title : str
        Empty without a rank.
    provider_id : str
    score_ppb : Fraction
    rounds_at_risk : int
        Rounds with enough at risk.
    """

    rank: int | None
    title: str
    provider_id: str
    score_ppb: Fraction
    rounds_at_risk: int


def reputations(rounds: Sequence[str], lines: Iterable[SettledLine], kind: str) -> dict[str, Fraction]:
    """Return the reputation of each model that had a file in one of ``rounds``, in ppb.

    Parameters
    ----------
    rounds : sequence of str
        All resolved rounds of the year, also those without the model.
    lines : iterable of SettledLine
        Of these rounds; others are left out.
    kind : str
        A kind of score; where a round did not score it, it counts 0.

    Examples
    --------
    >>> line = SettledLine("signals-1", "m", "p", {"corr": 30_000_000})
    >>> reputations(["signals-1", "signals-2"], [line], "corr")
    {'m': Fraction(15000000, 1)}
    """
    counted, sums = set(rounds), defaultdict[str, Fraction](Fraction)
    for line in lines:
        if line.round_id in counted:
            sums[line.model_id] += Fraction(line.scores_ppb.get(kind, 0))
    return {model: total / len(counted) for model, total in sorted(sums.items())}


def provider_reputations(rounds: Sequence[str], lines: Iterable[SettledLine], kind: str) -> dict[str, Fraction]:
    """Return the reputation of each provider with a file in one of ``rounds``, in ppb; see the module for the rule."""
    counted = set(rounds)
    by_round: dict[tuple[str, str], list[SettledLine]] = defaultdict(list)
    for line in lines:
        if line.round_id in counted:
            by_round[line.provider_id, line.round_id].append(line)
    sums = defaultdict[str, Fraction](Fraction)
    for (provider, _), own in by_round.items():
        sums[provider] += _weighted(own, kind)
    return {provider: total / len(counted) for provider, total in sorted(sums.items())}


def returns_on_stake(lines: Iterable[SettledLine]) -> dict[str, Fraction]:
    """Return, for each model that had anything at risk, what its rounds paid less what they burned, over its mean stake.

    Stakes overlap, so this is no return of a period: four weekly rounds in a row stand on the same stake, and each adds to it.

    Examples
    --------
    >>> line = SettledLine("signals-1", "m", "p", {}, stake_atoms=200, at_risk_atoms=100, payout_atoms=5)
    >>> returns_on_stake([line])
    {'m': Fraction(1, 40)}
    """
    own: dict[str, list[SettledLine]] = defaultdict(list)
    for line in lines:
        if line.at_risk_atoms:
            own[line.model_id].append(line)
    return {
        model: Fraction(sum(x.payout_atoms for x in found) * len(found), sum(x.stake_atoms for x in found))
        for model, found in sorted(own.items())
    }


def season(rounds: Sequence[str], lines: Sequence[SettledLine], kind: str) -> list[SeasonStanding]:
    """Return the standings of a season: those who qualify by rank, then the others by score.

    Parameters
    ----------
    rounds : sequence of str
        The season's resolved rounds.
    lines : sequence of SettledLine
        Of these rounds; others are left out.
    kind : str
        The kind of score by which the season is decided.
    """
    scores = provider_reputations(rounds, lines, kind)
    at_risk: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    counted = set(rounds)
    for line in lines:
        if line.round_id in counted:
            at_risk[line.provider_id][line.round_id] += line.at_risk_atoms
    enough = {p: sum(atoms >= AT_RISK_MIN_ATOMS for atoms in own.values()) for p, own in at_risk.items()}
    order = sorted(scores, key=lambda p: (-scores[p], p))
    qualified = [p for p in order if enough[p] >= ROUNDS_MIN]
    first: dict[Fraction, int] = {}
    for place, p in enumerate(qualified, 1):
        first.setdefault(scores[p], place)
    ranks = {p: first[scores[p]] for p in qualified}
    return [
        SeasonStanding(ranks.get(p), title_of(ranks.get(p)), p, scores[p], enough[p])
        for p in [*qualified, *(p for p in order if p not in ranks)]
    ]


def title_of(rank: int | None) -> str:
    """Return the title that goes with a rank; empty without one."""
    if rank is None:
        return ""
    return next((title for last, title in TITLES if rank <= last), TITLE_OF_THE_REST)


def _weighted(lines: Sequence[SettledLine], kind: str) -> Fraction:
    total = sum(line.at_risk_atoms for line in lines)
    if not total:
        return Fraction(0)
    return sum((line.at_risk_atoms * Fraction(line.scores_ppb.get(kind, 0)) for line in lines), Fraction(0)) / total
