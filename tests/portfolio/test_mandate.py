"""Goal: a mandate means what its keys say, and nothing unknown slips in. Method: every way of being wrong is tried; the shipped
files are read, and the default one must equal the defaults, so that the documentation in it is true."""

import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from portfolio.contradictions import LIMIT_KEYS, RELAXABLE
from portfolio.mandate import Mandate, mandate_from_mapping
from service.settings import lines_of, load_mandate

CONFIG = Path(__file__).parents[2] / "config" / "mandates"
SHIPPED = CONFIG / "market-neutral.toml"


def test_shipped_mandate_names_every_key_and_equals_the_defaults():
    """The file in config/mandates states each attribute once, with the value that the code would take anyway."""
    data = tomllib.loads(SHIPPED.read_text())
    assert set(data) == {field.name for field in fields(Mandate)}
    assert mandate_from_mapping(data) == Mandate("market-neutral")


@pytest.mark.parametrize("path", sorted(CONFIG.glob("*.toml")), ids=lambda path: path.stem)
def test_every_key_of_a_shipped_file_has_a_comment(path):
    """A comment stands above each key, or above the group of keys that it explains; the name is that of the file."""
    commented = False
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            commented = True
        elif not line.strip():
            commented = False
        elif not line.startswith("["):
            assert commented, line
    assert mandate_from_mapping(tomllib.loads(path.read_text())).name == path.stem


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
        ("turnover_max", 0.0),
        ("short_max", float("nan")),
        ("short_max", float("inf")),
        ("short_max", -0.1),
        ("net_target", float("inf")),
        ("aum", 0),
        ("sessions_per_rebalance", 0),
        ("sessions_per_rebalance", 5.0),
        ("decision_minutes_after_close", -1),
        ("position_max", 3.0),
        ("information_coefficient", 1.5),
        ("relaxation", ["dollar"]),
        ("relaxation", ["turnover", "turnover"]),
        ("relaxation", "turnover"),
        ("relaxation", [1]),
        ("fill", "noon"),
        ("fill", 1),
        ("name", ""),
        ("name", 7),
        ("hard", 1.0),
        ("hard", [1, 2]),
        ("gross_max", 10**400),
        ("sessions_per_rebalance", 10**400),
        ("hard", {"gross_max": 10**400}),
    ],
)
def test_a_wrong_key_or_value_is_named(key, value):
    """Each wrong entry is refused with the stable code and the name of the key."""
    with pytest.raises(InputRejected) as caught:
        mandate_from_mapping({"name": "m", key: value}, source="fund.toml")
    assert caught.value.code == Code.MANDATE_INVALID
    assert caught.value.findings[0].column.partition(".")[0] == key


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("relaxation", ["turnover", 5], "a list of texts"),
        ("hard", [1, 2], "a table"),
        ("gross_max", "3", "a number"),
        ("sessions_per_rebalance", 2.5, "a whole number"),
        ("fill", 1, "a text"),
        ("gross_max", 10**400, "at most 18 digits"),
    ],
)
def test_what_a_value_must_be_is_said_in_words_of_toml(key, value, words):
    with pytest.raises(InputRejected, match=f"{key} is .*{words}"):
        mandate_from_mapping({"name": "m", key: value})


CONTRADICTIONS = {
    "gross below net": ('name = "m"\n\ngross_max = 1.0\nnet_target = 1.2', "gross_max", 3),
    "gross below net, gross left out": ('name = "m"\nnet_target = 2.5', "gross_max", 2),
    "gross below the band of net": ('name = "m"\nnet_band = 0.5\ngross_max = 0.4', "gross_max", 3),
    "net short beyond the shorts": ('name = "m"\nnet_target = -0.5\nshort_max = 0.2', "short_max", 3),
    "beta without zero in a neutral book": ('name = "m"\n# lean\nbeta_target = 0.2\nbeta_band = 0.1', "beta_target", 3),
    "no shorts and no net long": ('name = "m"\nshort_max = 0.0', "short_max", 2),
    "no shorts and a net band that reaches zero": (
        'name = "m"\nnet_target = -0.1\nnet_band = 0.1\nshort_max = 0.0',
        "short_max",
        4,
    ),
    "net long and no sector": ('name = "m"\nnet_target = 1.0\nnet_band = 0.1\nsector_band = 0.0', "sector_band", 4),
    "aversion and target": ('name = "m"\nvolatility_target = 0.1\nrisk_aversion = 2', "risk_aversion", 3),
    "cap above gross": ('name = "m"\nposition_max = 0.5\ngross_max = 0.4', "position_max", 2),
    "soft beyond hard": ('name = "m"\n[hard]\nturnover_max = 0.5', "hard.turnover_max", 3),
    "hard figure of no limit": ('name = "m"\n[hard]\naum = 1.0', "hard.aum", 3),
    "hard figure of the wrong kind": ('name = "m"\n[hard]\nstyle_band = 0.1\ngross_max = "3"', "hard.gross_max", 4),
    "negative hard figure": ('name = "m"\n[hard]\nstyle_band = -0.1', "hard.style_band", 3),
    "hard without a place in the order": ('name = "m"\n[hard]\nnet_band = 0.1', "hard.net_band", 3),
    "a place without a hard figure": ('name = "m"\nrelaxation = [\n  "turnover",\n  "beta",\n]', "relaxation", 2),
    "hard volatility without a target": ('name = "m"\n[hard]\nvolatility_target = 0.1', "hard.volatility_target", 3),
    "unknown key": ('name = "m"\ngross_maximum = 1.0', "gross_maximum", 2),
    "no name": ("gross_max = 1.0", "name", None),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_contradiction_is_told_with_key_and_line(case, tmp_path):
    """Figures that cannot be meant together are refused, and the sentence has the line of the file that one would change."""
    text, key, line = CONTRADICTIONS[case]
    path = tmp_path / "fund.toml"
    path.write_text(text)
    with pytest.raises(InputRejected, match=r"fund\.toml") as caught:
        mandate_from_mapping(tomllib.loads(text), str(path), lines_of(str(path)))
    assert caught.value.code == Code.MANDATE_INVALID
    assert [(f.column, f.row) for f in caught.value.findings] == [(key, line)]
    assert (f", line {line}," in caught.value.message) == (line is not None)


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path):
    folder = tmp_path / "mandates"
    folder.mkdir()
    (folder / "mine.toml").write_bytes(b'\xef\xbb\xbfname = "m"\ngross_max = "much"\n')
    values, source = load_mandate("mine", tmp_path)
    with pytest.raises(InputRejected, match="line 2"):
        mandate_from_mapping(values, source, lines_of(source))


def test_lines_are_those_of_the_file(tmp_path):
    """Each key's line is found as a person would: comments, blank lines, tables, long values are passed over."""
    path = tmp_path / "x.toml"
    path.write_text(
        '# head\na = 1\n\n# about b\nb = [\n  1, # one\n  2,\n]\n"c" = """x\nd = 3\n"""\n[hard] # table\nz = 1\ny.x = 2\n'
    )
    assert lines_of(str(path)) == {"a": 2, "b": 5, "c": 9, "hard": 12, "hard.z": 13, "hard.y.x": 14}


def test_all_findings_come_at_once_with_the_source():
    """A missing name and two unknown keys are three findings in one refusal that names the file."""
    with pytest.raises(InputRejected, match=r"fund\.toml") as caught:
        mandate_from_mapping({"a": 1, "b": 2}, source="fund.toml")
    assert {f.column for f in caught.value.findings} == {"a", "b", "name"}


def test_a_misspelt_key_is_told_the_nearest():
    """One letter off gives the key that was meant."""
    with pytest.raises(InputRejected, match="did you mean 'turnover_max'"):
        mandate_from_mapping({"name": "m", "turnover_mx": 1.0})


def test_derived_quantities():
    """Neutrality follows from net; costs are spread over the holding period and never over less than they are."""
    assert Mandate("m").dollar_neutral
    assert not Mandate("m", net_band=0.1).dollar_neutral
    assert not Mandate("m", net_target=0.1).dollar_neutral
    assert Mandate("m").cost_amortization == 0.25
    assert Mandate("m", holding_period_sessions=2).cost_amortization == 1.0
    assert not {"position", "net", "beta", "short"} & set(RELAXABLE)


def test_room_is_what_lies_between_the_two_figures():
    """A hard figure gives its limit room; equal figures give none; limits without one are not told."""
    hard = {"turnover_max": 0.8, "style_band": 0.05, "position_max": 0.02}
    mandate = Mandate("m", relaxation=("position", "turnover"), hard=hard)
    assert mandate.room() == {"turnover": pytest.approx(0.2), "style": 0.0}
    assert mandate.hard_figure("position_max") == 0.02
    assert mandate.hard_figure("adv_participation_max") == mandate.adv_participation_max
    assert all(hasattr(mandate, key) for keys in LIMIT_KEYS.values() for key in keys)
