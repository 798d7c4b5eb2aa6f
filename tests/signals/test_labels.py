"""Identifiers of other schemes are judged by what a round froze of them. Method: files and verdicts by hand."""

import pytest

from crowdalpha.codes import Code
from crowdalpha.terms import ScoringTerms
from signals.labels import LabelScheme
from signals.parse import SIGNALS_FORMAT
from signals.submission import Verdict, judge

UNIVERSE = ["AAA", "BBB", "CCC"]
SEDOL = LabelScheme(
    members={"0000001": 0, "0000002": 1, "0000003": 2, "0000033": 2, "abc": 1},
    outside=frozenset({"0000009"}),
    expired=frozenset({"0000007"}),
    ambiguous=frozenset({"0000008"}),
)
SCORING = ScoringTerms(kinds=("corr",), ids_min=2)


def verdict_on(*rows: str, column: str = "sedol") -> Verdict:
    data = "\n".join([f"{column},signal", *rows]) + "\n"
    return judge(data.encode(), SIGNALS_FORMAT, UNIVERSE, SCORING, {"sedol": SEDOL})


def test_labels_of_the_scheme_place_values_like_the_universes_own() -> None:
    found = verdict_on("0000003,0.9", "0000001,0.1", "0000002,0.4")
    own = verdict_on("CCC,0.9", "AAA,0.1", "BBB,0.4", column="ticker")
    assert found.accepted
    assert found.findings == own.findings == ()
    assert found.signal is not None
    assert own.signal is not None
    assert found.signal.values.tolist() == own.signal.values.tolist()
    assert found.coverage == own.coverage == 1.0


@pytest.mark.parametrize(
    ("label", "code"),
    [
        ("0000009", Code.ID_UNKNOWN),
        ("0000007", Code.LABEL_EXPIRED),
        ("0000008", Code.LABEL_AMBIGUOUS),
        ("0000006", Code.LABEL_UNKNOWN),
        ("CCC", Code.LABEL_UNKNOWN),
    ],
)
def test_what_names_no_asset_is_dropped_with_its_reason(label: str, code: Code) -> None:
    found = verdict_on("0000001,0.1", f"{label},0.7", "0000002,0.4")
    assert found.accepted
    assert [(f.code, f.row, f.value) for f in found.findings] == [(code, 3, label)]
    assert found.signal is not None
    assert found.signal.present.tolist() == [True, True, False]


def test_two_labels_of_one_asset_refuse_the_file() -> None:
    found = verdict_on("0000001,0.1", "0000003,0.7", "0000002,0.3", "0000033,0.7")
    assert not found.accepted
    assert [(f.code, f.row, f.value) for f in found.findings] == [(Code.ID_DUPLICATE, 5, "0000033")]
    assert "'0000003' on row 3" in found.findings[0].message


def test_a_label_in_another_case_is_refused_as_mistyped() -> None:
    found = verdict_on("0000001,0.1", "ABC,0.7", "0000003,0.3")
    assert [(f.code, f.row) for f in found.findings] == [(Code.ID_UNKNOWN, 3)]
    assert not found.accepted


def test_what_is_missing_is_told_in_the_words_of_the_file() -> None:
    found = verdict_on("0000001,0.1")
    assert [f.value for f in found.findings if f.code is Code.ID_MISSING] == ["0000002", "0000003"]


def test_a_column_that_the_round_froze_nothing_for_takes_the_universes_labels() -> None:
    found = verdict_on("AAA,0.1", "BBB,0.3", column="bloomberg_ticker")
    assert found.accepted
    assert found.findings == ()


def test_a_scheme_comes_back_from_its_plain_form() -> None:
    assert LabelScheme.from_plain(SEDOL.plain()) == SEDOL
