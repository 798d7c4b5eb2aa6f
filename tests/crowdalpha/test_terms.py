"""Terms survive storage whole and refuse nonsense. Method: round trips through JSON, one wrong field at a time."""

import dataclasses
import json
from typing import Any

import pytest

from crowdalpha.canonical import canonical_hash
from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.terms import PAYING_KINDS, PPB, PayoutTerms, RoundTerms, ScoringTerms
from service.settings import load_terms

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
        {"churn_max_ppb": -1},
        {"churn_max_ppb": 2 * PPB + 1},
        {"turnover_max_ppb": -1},
        {"turnover_max_ppb": PPB + 1},
        {"choices_ppb": (("mmc", (0, 1)),)},  # the terms' own is not among them
        {"choices_ppb": (("fnc", (0, 1)),)},
        {"choices_ppb": (("mmc", (-1,)), ("mmc", (-1, 1)))},
    ],
    ids=str,
)
def test_payout_terms_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputRejected) as caught:
        PayoutTerms(**(PAYOUT | wrong))
    assert caught.value.code is Code.TERMS_INVALID


@pytest.mark.parametrize(
    ("scoring", "payout", "hint"),
    [
        ({"kinds": ("corr", "corr", "mmc")}, {}, "corr is named twice"),
        ({"horizon_sessions": 250, "lag_sessions": 3}, {}, "252 sessions"),
        ({"horizon_sessions": 100_000_000}, {}, "252 sessions"),
        ({"lag_sessions": 999_999_999_999_999_999}, {}, "252 sessions"),
        ({}, {"choices_ppb": (("mmc", (-1, 2, 2)),)}, "multiplier of mmc"),
    ],
    ids=str,
)
def test_what_no_new_round_may_have_is_refused_and_stays_readable(
    scoring: dict[str, Any], payout: dict[str, Any], hint: str
) -> None:
    """A round that has it would otherwise keep a home from listing, voiding and opening any other."""
    old = RoundTerms("x", ScoringTerms(**(SCORING | scoring)), PayoutTerms(**(PAYOUT | payout)))
    assert RoundTerms.from_dict(json.loads(json.dumps(old.as_dict()))) == old
    with pytest.raises(InputRejected, match=hint) as caught:
        old.refuse_for_new()
    assert caught.value.code is Code.TERMS_INVALID


def test_a_new_round_may_run_over_a_year_of_sessions() -> None:
    RoundTerms("x", ScoringTerms(("corr", "mmc"), 250, 2), PayoutTerms(**PAYOUT)).refuse_for_new()


@pytest.mark.parametrize("kind", PAYING_KINDS)
def test_every_kind_may_be_paid_on_where_it_is_scored(kind: str) -> None:
    paying = RoundTerms("x", ScoringTerms((kind,)), PayoutTerms(**(PAYOUT | {"multipliers_ppb": ((kind, PPB),)})))
    assert RoundTerms.from_dict(json.loads(json.dumps(paying.as_dict()))) == paying


def test_terms_without_choices_and_gates_keep_the_hash_of_before_there_were_any() -> None:
    """The hashes are those that the weekly presets had when payout terms had eight fields."""
    first = {
        "classic-weekly": "9e7c4de2fbe2a795b4b9ef867f28f299bbc7b57649ffb04745aa7e4958333506",
        "signals-weekly": "b28b5d9d58e167cde9e803d9eca041f1b88d5bf1be1767ea201698c14ff85a6c",
    }
    assert {name: load_terms(name).hash for name in first} == first
    assert (
        canonical_hash(load_terms("signals-weekly").payout.as_dict())
        == "79ee58e86dde3eb639f01bfc4dc861804cf9fa511f84d798a4923dea21e71c51"
    )


def test_terms_with_choices_gates_and_no_threshold_survive_the_way_through_json() -> None:
    later = dataclasses.replace(
        terms().payout, choices_ppb=(("mmc", (-1, PPB)),), churn_max_ppb=1, turnover_max_ppb=2, stake_threshold_atoms=None
    )
    whole = RoundTerms("later", ScoringTerms(**SCORING), later)
    assert RoundTerms.from_dict(json.loads(json.dumps(whole.as_dict()))) == whole
    assert whole.hash != terms().hash


def test_of_a_wish_only_what_is_offered_is_allowed() -> None:
    offering = PayoutTerms(**PAYOUT, choices_ppb=(("mmc", (-1, 0, 2)),))
    assert offering.allowed_choice({"mmc": 2, "corr": 750_000_000, "fnc": 0}) == {"mmc": 2}
    assert offering.allowed_choice({"mmc": 1}) == {}
    assert offering.allowed_choice({}) == {}


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
