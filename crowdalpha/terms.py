"""What a round pays by: copied into the round at its opening, immutable from then on. Integers only.

``RoundTerms`` = ``ScoringTerms`` (what is measured, over which sessions) + ``PayoutTerms`` (what the measure is worth). Rules
change between rounds, never inside one, so scores, multipliers, clips, thresholds and windows are data here and constants
nowhere. Ratios are parts per billion (ppb), amounts are atoms (10**18 to a token).
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from crowdalpha.canonical import canonical_hash
from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected

PPB = 1_000_000_000
ATOMS_PER_TOKEN = 10**18

PAYING_KINDS = ("corr", "mmc", "fnc", "neutral_corr", "neutral_mmc", "alpha", "mpc")
"""Score kinds that a round computes: its terms may publish each, and pay on it or not."""

_KEY = re.compile(r"[0-9a-f]{64}")

SESSIONS_MAX = 252
"""Sessions that lag and horizon may have together: a year. Calendars reach no further ahead with certainty."""

RETENTION_RULES = ("none", "neutral_churn")

_LATER = frozenset({"choices_ppb", "churn_max_ppb", "turnover_max_ppb"})
"""Fields of the payout terms that the first terms did not have."""


def _refuse(what: str) -> InputRejected:
    return InputRejected(Code.TERMS_INVALID, f"The terms are not usable: {what}.")


@dataclass(frozen=True, slots=True)
class ScoringTerms:
    """What a round measures.

    Attributes
    ----------
    kinds : tuple of str
        Score kinds that are computed and published, in this order.
    horizon_sessions, lag_sessions : int
        The return runs from the close of s₀ + lag to the close of s₀ + lag + horizon ("20D2L" is 20 and 2).
    bin_shares_percent : tuple of int
        Shares of the target's bins from the lowest up; they sum to 100.
    coverage_min_ppb : int
        Least part of the universe whose returns must be known before the round is scored, in ppb.
    ids_min : int
        Least number of valid identifiers in a file.
    """

    kinds: tuple[str, ...]
    horizon_sessions: int = 20
    lag_sessions: int = 2
    bin_shares_percent: tuple[int, ...] = (5, 20, 50, 20, 5)
    coverage_min_ppb: int = 800_000_000
    ids_min: int = 100

    def __post_init__(self) -> None:
        unknown = [k for k in self.kinds if k not in PAYING_KINDS]
        if unknown or not self.kinds:
            raise _refuse(f"unknown score kinds {unknown}" if unknown else "no score kind is named")
        if self.horizon_sessions < 1 or self.lag_sessions < 0:
            raise _refuse("the horizon is at least one session and the lag is not negative")
        if sum(self.bin_shares_percent) != 100 or min(self.bin_shares_percent) < 1:
            raise _refuse("the shares of the bins are positive and sum to 100")
        if not 0 < self.coverage_min_ppb <= PPB:
            raise _refuse("the least coverage lies between 0 and 1")

    def refuse_for_new(self) -> None:
        """Refuse what no new round may have; a round that an earlier version opened with it stays readable.

        Raises
        ------
        InputRejected
            TERMS_INVALID for a kind that is named twice, or a lag and a horizon of more than :data:`SESSIONS_MAX` sessions.
        """
        doubled = [kind for kind in self.kinds if self.kinds.count(kind) > 1]
        if doubled:
            raise _refuse(f"the score kind {doubled[0]} is named twice")
        if self.lag_sessions + self.horizon_sessions > SESSIONS_MAX:
            raise _refuse(f"lag and horizon have at most {SESSIONS_MAX} sessions together")


@dataclass(frozen=True, slots=True)
class PayoutTerms:
    """What a round's scores are worth.

    Attributes
    ----------
    multipliers_ppb : tuple of (str, int)
        For each paying kind the multiplier, in ppb.
    clip_ppb : int
        Largest part of an at-risk stake that is paid or burned, in ppb.
    stake_threshold_atoms : int or None
        Above this total at risk all payouts and burns shrink by threshold / total; None: they never do.
    budget_atoms : int
        Most that the treasury pays in the round; larger sums are scaled down, burns are not.
    retention : str
        ``none`` or ``neutral_churn``: by which rule a positive payout is reduced for churn.
    retention_threshold_ppb, retention_slope : int
        Churn up to which everything is retained, in ppb; steepness of the logistic fall beyond it.
    stake_min_atoms : int
        A smaller stake is not at risk.
    choices_ppb : tuple of (str, tuple of int)
        For each kind whose multiplier providers choose, the values that they may choose from, in ppb. Who chooses none of them
        has that of ``multipliers_ppb``, which is one of them.
    churn_max_ppb, turnover_max_ppb : int
        A model whose signal, or whose neutral weights, changed by so much since any of its files of the week before has nothing
        at risk, in ppb; 0: whatever changed.
    """

    multipliers_ppb: tuple[tuple[str, int], ...]
    clip_ppb: int
    stake_threshold_atoms: int | None
    budget_atoms: int
    retention: str = "none"
    retention_threshold_ppb: int = 200_000_000
    retention_slope: int = 10
    stake_min_atoms: int = 0
    choices_ppb: tuple[tuple[str, tuple[int, ...]], ...] = ()
    churn_max_ppb: int = 0
    turnover_max_ppb: int = 0

    def __post_init__(self) -> None:
        kinds = [k for k, _ in self.multipliers_ppb]
        if not kinds or len(set(kinds)) != len(kinds) or any(k not in PAYING_KINDS for k in kinds):
            raise _refuse("each paying kind is named once and is one that the platform computes")
        if not 0 < self.clip_ppb <= PPB:
            raise _refuse("the clip lies between 0 and 1")
        threshold = 1 if self.stake_threshold_atoms is None else self.stake_threshold_atoms
        if threshold <= 0 or self.budget_atoms < 0 or self.stake_min_atoms < 0:
            raise _refuse("threshold, budget and least stake are not negative, and the threshold is not zero")
        if self.retention not in RETENTION_RULES:
            raise _refuse(f"retention is one of {', '.join(RETENTION_RULES)}")
        if not 0 <= self.retention_threshold_ppb <= 2 * PPB or self.retention_slope < 0:
            raise _refuse("the retention threshold lies between 0 and 2 and the slope is not negative")
        if not 0 <= self.churn_max_ppb <= 2 * PPB or not 0 <= self.turnover_max_ppb <= PPB:
            raise _refuse("the largest churn lies between 0 and 2, the largest turnover between 0 and 1")
        self._check_choices()

    def _check_choices(self) -> None:
        defaults, offered = dict(self.multipliers_ppb), dict(self.choices_ppb)
        if len(offered) < len(self.choices_ppb) or any(defaults.get(kind) not in among for kind, among in offered.items()):
            raise _refuse("multipliers to choose from stand once a kind, and the kind's own multiplier is one of them")

    def refuse_for_new(self) -> None:
        """Refuse what no new round may have, a value to choose that stands twice; raises InputRejected TERMS_INVALID."""
        for kind, among in self.choices_ppb:
            if len(set(among)) < len(among):
                raise _refuse(f"each multiplier of {kind} to choose from stands once")

    def allowed_choice(self, wished_ppb: Mapping[str, int]) -> dict[str, int]:
        """Return of the multipliers that a provider wishes, by kind in ppb, those that these terms offer.

        Examples
        --------
        >>> terms = PayoutTerms((("corr", PPB), ("mmc", 0)), PPB, None, 0, choices_ppb=(("mmc", (0, 2 * PPB)),))
        >>> terms.allowed_choice({"corr": 5 * PPB, "mmc": 2 * PPB}), terms.allowed_choice({"mmc": 3 * PPB})
        ({'mmc': 2000000000}, {})
        """
        offered = dict(self.choices_ppb)
        return {kind: value for kind, value in sorted(wished_ppb.items()) if value in offered.get(kind, ())}

    def as_dict(self) -> dict[str, Any]:
        """Return the terms as plain values; what came later than the first terms is left out where it says nothing.

        So the hashes of rounds that opened before do not change.
        """
        return {name: value for name, value in asdict(self).items() if value or name not in _LATER}


@dataclass(frozen=True, slots=True)
class ProofTerms:
    """What a round will show of itself once it is settled, beyond the integers that are public anyway.

    Attributes
    ----------
    auditor_key : str
        X25519 public key, 64 hexadecimal digits, to which all files of the round are encrypted; empty for no auditor.
    reveal_after_days : int
        Days after the settlement from which on all files are public; 0 for never.
    """

    auditor_key: str = ""
    reveal_after_days: int = 0

    def __post_init__(self) -> None:
        if self.auditor_key and not _KEY.fullmatch(self.auditor_key):
            raise _refuse("the key of an auditor is 64 lower-case hexadecimal digits")
        if self.reveal_after_days < 0:
            raise _refuse("files are revealed after a number of days that is not negative")


NO_PROOF = ProofTerms()


@dataclass(frozen=True, slots=True)
class RoundTerms:
    """Everything that a round pays by, under the name of the preset it was copied from."""

    name: str
    scoring: ScoringTerms
    payout: PayoutTerms
    proof: ProofTerms = NO_PROOF

    def __post_init__(self) -> None:
        missing = [k for k, _ in self.payout.multipliers_ppb if k not in self.scoring.kinds]
        if missing:
            raise _refuse(f"pays on {missing} without scoring it")

    def as_dict(self) -> dict[str, Any]:
        """Return the terms as nested plain values: the form that is stored, hashed and published."""
        told = {"name": self.name, "scoring": asdict(self.scoring), "payout": self.payout.as_dict()}
        # Terms that promise nothing more keep the bytes, and the hash, that terms had before they could.
        return told if self.proof == NO_PROOF else told | {"proof": asdict(self.proof)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "RoundTerms":
        """Rebuild terms from :meth:`as_dict`; unknown or missing keys raise InputRejected."""
        try:
            scoring, payout, proof = dict(data["scoring"]), dict(data["payout"]), dict(data.get("proof", {}))
            _refuse_unknown(proof, ProofTerms)
            _refuse_unknown(scoring, ScoringTerms)
            _refuse_unknown(payout, PayoutTerms)
            scoring["kinds"] = tuple(scoring["kinds"])
            if "bin_shares_percent" in scoring:
                scoring["bin_shares_percent"] = tuple(scoring["bin_shares_percent"])
            payout["multipliers_ppb"] = tuple((str(k), int(v)) for k, v in payout["multipliers_ppb"])
            payout["choices_ppb"] = tuple((str(k), tuple(map(int, v))) for k, v in payout.get("choices_ppb", ()))
            return cls(str(data["name"]), ScoringTerms(**scoring), PayoutTerms(**payout), ProofTerms(**proof))
        except (KeyError, TypeError, ValueError) as error:
            raise _refuse(f"{type(error).__name__} at {error}") from error

    def refuse_for_new(self) -> None:
        """Refuse what no new round may have, though rounds that stand may; raises InputRejected TERMS_INVALID."""
        self.scoring.refuse_for_new()
        self.payout.refuse_for_new()

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical bytes of :meth:`as_dict`, in hexadecimal."""
        return canonical_hash(self.as_dict())


def _refuse_unknown(data: Mapping[str, Any], kind: type[ScoringTerms | PayoutTerms | ProofTerms]) -> None:
    unknown = sorted(set(data) - {f.name for f in fields(kind)})
    if unknown:
        raise _refuse(f"unknown keys {unknown}")
