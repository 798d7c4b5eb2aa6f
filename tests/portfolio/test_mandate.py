"""Goal: a mandate means what its keys say, and nothing unknown slips in. Method: every way of being wrong is tried; the shipped
file is read and must equal the defaults, so that the documentation in it is true."""

import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from portfolio.mandate import RELAXABLE, Mandate, mandate_from_mapping

SHIPPED = Path(__file__).parents[2] / "config" / "mandates" / "market-neutral.toml"


def test_shipped_mandate_names_every_key_and_equals_the_defaults():
    """The file in config/mandates states each attribute once, with the value that the code would take anyway."""
    data = tomllib.loads(SHIPPED.read_text())
    assert set(data) == {field.name for field in fields(Mandate)}
    assert mandate_from_mapping(data) == Mandate("market-neutral")


def test_every_key_of_the_shipped_file_has_a_comment():
    """A comment stands above each key, or above the group of keys that it explains."""
    commented = False
    for line in SHIPPED.read_text().splitlines():
        if line.startswith("#"):
            commented = True
        elif not line.strip():
            commented = False
        else:
            assert commented, line


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gross", 2.0),
        ("gross_max", "2"),
        ("gross_max", True),
        ("gross_max", -1.0),
        ("gross_max", 0),
        ("gross_max", float("nan")),
        ("turnover_max", float("inf")),
        ("aum", 0),
        ("sessions_per_rebalance", 0),
        ("sessions_per_rebalance", 5.0),
        ("position_max", 3.0),
        ("information_coefficient", 1.5),
        ("relaxation", ["position"]),
        ("relaxation", ["turnover", "turnover"]),
        ("relaxation", "turnover"),
        ("relaxation", [1]),
        ("name", ""),
        ("name", 7),
    ],
)
def test_a_wrong_key_or_value_is_named(key, value):
    """Each wrong entry is refused with the stable code and the name of the key."""
    with pytest.raises(InputRejected) as caught:
        mandate_from_mapping({"name": "m", key: value}, source="fund.toml")
    assert caught.value.code == Code.MANDATE_INVALID
    assert caught.value.findings[0].column == key


def test_all_findings_come_at_once_with_the_source():
    """A missing name and two unknown keys are three findings in one refusal that names the file."""
    with pytest.raises(InputRejected, match=r"fund\.toml") as caught:
        mandate_from_mapping({"a": 1, "b": 2}, source="fund.toml")
    assert {f.column for f in caught.value.findings} == {"a", "b", "name"}


def test_derived_quantities():
    """Neutrality follows from the net band; costs are spread over the holding period and never over less than they are."""
    assert Mandate("m").dollar_neutral
    assert not Mandate("m", net_band=0.1).dollar_neutral
    assert Mandate("m").cost_amortization == 0.25
    assert Mandate("m", holding_period_sessions=2).cost_amortization == 1.0
    assert not {"position", "dollar", "beta"} & set(RELAXABLE)
