"""Codes, errors and ids keep their promises to scripts. Method: every member of each enumeration and tree is looked at."""

import re

import pytest

from crowdalpha import errors
from crowdalpha.codes import Code
from crowdalpha.errors import CrowdalphaError, Finding, InputRejected
from crowdalpha.ids import ROUND_ARROWS, RoundKey, RoundState, Tournament

EXIT_CODES = {"InputRejected": 2, "Conflict": 3, "Unavailable": 4, "NumericalFailure": 5, "InvariantBroken": 70}


def test_no_code_stands_twice() -> None:
    """A second member of the same value would become an alias of the first."""
    assert len(Code.__members__) == len(set(Code)) == len({code.meaning for code in Code})


@pytest.mark.parametrize("code", list(Code))
def test_a_code_is_its_name_and_means_one_sentence(code: Code) -> None:
    assert code.value == code.name.lower()
    assert re.fullmatch(r"[a-z][a-z0-9_]*", code.value)
    assert re.fullmatch(r"[A-Z0-9].*\.", code.meaning)
    assert len(code.meaning) <= 120


def test_the_tree_has_one_branch_for_each_who_must_act() -> None:
    children = {
        kind.__name__: kind.exit_code for kind in CrowdalphaError.__subclasses__() if kind.__module__ == errors.__name__
    }
    assert children == EXIT_CODES


def test_an_error_shows_its_sentence_and_its_code() -> None:
    error = InputRejected(Code.NAME_INVALID, "No.", [Finding(Code.NAME_INVALID, "No.", row=3, column="name")])
    assert str(error) == "No. [name_invalid]"
    assert error.findings[0].as_dict() == {
        "code": "name_invalid", "message": "No.", "row": 3, "column": "name", "value": None, "refuses": True,
    }  # fmt: skip


def test_tournaments_have_the_numbers_that_clients_send() -> None:
    assert {t.label: int(t) for t in Tournament} == {"classic": 8, "signals": 11}
    assert all(Tournament.from_label(t.label) is t for t in Tournament)
    with pytest.raises(KeyError):
        Tournament.from_label("crypto")


def test_a_round_is_named_by_tournament_and_number() -> None:
    assert str(RoundKey(Tournament.SIGNALS, 7)) == "signals-7"
    assert RoundKey(Tournament.CLASSIC, 9) < RoundKey(Tournament.SIGNALS, 1)


def test_the_arrows_of_a_round_are_these_eight() -> None:
    drawn = {(a.value, b.value) for a, targets in ROUND_ARROWS.items() for b in targets}
    assert set(ROUND_ARROWS) == set(RoundState)
    assert drawn == {
        ("scheduled", "open"), ("open", "closed"), ("closed", "scoring"), ("scoring", "resolved"),
        ("scheduled", "void"), ("open", "void"), ("closed", "void"), ("scoring", "void"),
    }  # fmt: skip
