"""Amounts are read and written exactly. Method: hand-written pairs, round trips of drawn amounts, refusals by example."""

import random

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from staking import ATOMS_MAX, format_amount, parse_amount

PAIRS = [
    ("0", 0),
    ("1", 10**18),
    ("1.5", 15 * 10**17),
    ("0.000000000000000001", 1),
    ("9.223372036854775808", 2**63),
    ("123456.789", 123456789 * 10**15),
    ("1000000000", 10**27),
]

REFUSED = [
    "", " ", "1 ", " 1", "+1", "-1", ".5", "1.", "1e3", "1E3", "1,5", "1_000", "0x10", "NaN", "inf", "--1", "1.2.3",
    "0.0000000000000000001", "１", "٣", "1\n", "1\x00", "9" * 61, "9" * 5000,
]  # fmt: skip


@pytest.mark.parametrize(("text", "atoms"), PAIRS)
def test_text_and_atoms_name_the_same_amount(text: str, atoms: int) -> None:
    assert parse_amount(text) == atoms
    assert format_amount(atoms) == text


@pytest.mark.parametrize(("text", "atoms"), [("01.50", 15 * 10**17), ("0.0", 0), ("007", 7 * 10**18)])
def test_superfluous_zeros_change_nothing(text: str, atoms: int) -> None:
    assert parse_amount(text) == atoms


@pytest.mark.parametrize("text", REFUSED)
def test_text_that_could_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(InputRejected) as caught:
        parse_amount(text)
    assert caught.value.code is Code.AMOUNT_INVALID
    assert len(caught.value.message) < 250


@pytest.mark.parametrize("value", [1.5, 1, None, True, b"1"])
def test_only_text_is_an_amount(value: object) -> None:
    with pytest.raises(InputRejected):
        parse_amount(value)  # type: ignore[arg-type]


def test_negative_amounts_are_read_only_where_asked_for() -> None:
    assert parse_amount("-1.5", signed=True) == -15 * 10**17


def test_every_amount_survives_the_round_trip() -> None:
    seed = 1
    print(f"seed {seed}")
    rng = random.Random(seed)
    for atoms in [
        ATOMS_MAX,
        -ATOMS_MAX,
        *(rng.randint(-(10 ** rng.randint(1, 78)), 10 ** rng.randint(1, 77)) for _ in range(5000)),
    ]:
        assert parse_amount(format_amount(atoms), signed=True) == atoms
