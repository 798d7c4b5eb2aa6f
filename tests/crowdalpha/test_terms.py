"""Terms survive storage whole and refuse nonsense. Method: round trips through JSON, one wrong field at a time."""

import dataclasses
import json
from typing import Any

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.terms import PPB, PayoutTerms, RoundTerms, ScoringTerms

SCORING: dict[str, Any] = {"kinds": ("corr", "mmc", "neutral_corr")}
PAYOUT: dict[str, Any] = {
    "multipliers_ppb": (("corr", 750_000_000), ("mmc", -1)),
    "clip_ppb": 50_000_000,
    "stake_threshold_atoms": 72_000 * 10**18,
    "budget_atoms": 10**40,
}


def terms() -> RoundTerms:
    return RoundTerms("preset", ScoringTerms(**SCORING), PayoutTerms(**PAYOUT, retention="neutral_churn", stake_min_atoms=3))


def test_terms_survive_the_way_through_json() -> None:
    stored = json.dumps(terms().as_dict())
    assert RoundTerms.from_dict(json.loads(stored)) == terms()
    assert RoundTerms.from_dict(json.loads(stored)).hash == terms().hash


def test_any_change_changes_the_hash() -> None:
    base = terms()
    others = [
        dataclasses.replace(base, name="other"),
        dataclasses.replace(base, scoring=dataclasses.replace(base.scoring, ids_min=99)),
        dataclasses.replace(base, payout=dataclasses.replace(base.payout, clip_ppb=50_000_001)),
        dataclasses.replace(base, payout=dataclasses.replace(base.payout, multipliers_ppb=(("corr", 750_000_000),))),
    ]
    assert len({base.hash, *(other.hash for other in others)}) == 5


def test_terms_cannot_be_changed_in_place() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        terms().payout.clip_ppb = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "wrong",
    [
        {"kinds": ()},
        {"kinds": ("corr", "tc")},
        {"horizon_sessions": 0},
        {"lag_sessions": -1},
        {"bin_shares_percent": (50, 49)},
        {"bin_shares_percent": (100, 0)},
        {"coverage_min_ppb": 0},
        {"coverage_min_ppb": PPB + 1},
    ],
    ids=str,
)
def test_scoring_terms_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputRejected) as caught:
        ScoringTerms(**(SCORING | wrong))
    assert caught.value.code is Code.TERMS_INVALID


@pytest.mark.parametrize(
    "wrong",
    [
        {"multipliers_ppb": ()},
        {"multipliers_ppb": (("tc", PPB),)},
        {"multipliers_ppb": (("corr", 1), ("corr", 2))},
        {"clip_ppb": 0},
        {"clip_ppb": PPB + 1},
        {"stake_threshold_atoms": 0},
        {"budget_atoms": -1},
        {"stake_min_atoms": -1},
        {"retention": "always"},
        {"retention_threshold_ppb": -1},
        {"retention_threshold_ppb": 2 * PPB + 1},
        {"retention_slope": -1},
    ],
    ids=str,
)
def test_payout_terms_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputRejected) as caught:
        PayoutTerms(**(PAYOUT | wrong))
    assert caught.value.code is Code.TERMS_INVALID


def test_alpha_may_be_published_and_never_paid_on() -> None:
    published = RoundTerms("x", ScoringTerms(("corr", "mmc", "alpha")), PayoutTerms(**PAYOUT))
    assert RoundTerms.from_dict(json.loads(json.dumps(published.as_dict()))).scoring.kinds == ("corr", "mmc", "alpha")
    with pytest.raises(InputRejected) as caught:
        PayoutTerms(**(PAYOUT | {"multipliers_ppb": (("alpha", PPB),)}))
    assert caught.value.code is Code.TERMS_INVALID


def test_terms_pay_only_on_what_they_score() -> None:
    with pytest.raises(InputRejected):
        RoundTerms("x", ScoringTerms(("corr",)), PayoutTerms(**PAYOUT))


@pytest.mark.parametrize("path", [("name",), ("scoring",), ("payout",), ("scoring", "kinds"), ("payout", "clip_ppb")])
def test_stored_terms_with_a_part_missing_are_refused(path: tuple[str, ...]) -> None:
    data = terms().as_dict()
    place = data
    for name in path[:-1]:
        place = place[name]
    del place[path[-1]]
    with pytest.raises(InputRejected):
        RoundTerms.from_dict(data)


@pytest.mark.parametrize("part", ["scoring", "payout"])
def test_stored_terms_with_an_unknown_key_are_refused(part: str) -> None:
    data = terms().as_dict()
    data[part]["bonus"] = 1
    with pytest.raises(InputRejected, match="bonus"):
        RoundTerms.from_dict(data)
