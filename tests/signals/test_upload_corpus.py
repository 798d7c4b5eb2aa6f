"""Every file of the corpus gets its documented verdict and code.

Method: each case is judged as a whole (bytes, format, universe); expected verdicts are written down in the corpus by hand.
"""

import numpy as np
import pytest

from crowdalpha.errors import FINDINGS_SHOWN_MAX
from signals.parse import CLASSIC_FORMAT, SIGNALS_FORMAT
from signals.submission import Verdict, judge
from tests.corpus.uploads import (
    CLASSIC_IDS,
    CLEAN,
    SCORING,
    TICKERS,
    UNIVERSE,
    UPLOADS,
    Upload,
    rows,
    text,
    value_of,
    with_id,
    with_value,
)


def verdict_of(upload: Upload) -> Verdict:
    return judge(upload.make(), upload.fmt, upload.universe, SCORING)


@pytest.mark.parametrize("upload", UPLOADS, ids=lambda upload: upload.name)
def test_file_gets_its_documented_verdict(upload):
    verdict = verdict_of(upload)
    codes = {finding.code for finding in verdict.findings}
    assert verdict.accepted is (upload.verdict in "AN"), verdict.findings[:3]
    assert (verdict.signal is not None) is verdict.accepted
    if upload.verdict == "A":
        assert verdict.findings == ()
    if upload.verdict == "N":
        assert all(not finding.refuses for finding in verdict.findings)
    if upload.code is not None:
        assert upload.code in codes
    assert len(verdict.findings) <= FINDINGS_SHOWN_MAX <= max(verdict.findings_total, FINDINGS_SHOWN_MAX)
    assert all(len(finding.value or "") <= 64 for finding in verdict.findings)


def test_corpus_covers_each_number_once():
    numbers = {int(upload.name[:2]) for upload in UPLOADS}
    assert numbers == set(range(1, 91))
    assert len({upload.name for upload in UPLOADS}) == len(UPLOADS)


def test_every_finding_of_a_file_comes_at_once_with_its_row():
    lines = CLEAN.decode().splitlines()
    lines[3], lines[7], lines[11], lines[15] = "T002,nan", ",0.5", "T010,7", " T014,x"
    found = [(f.row, f.code.value) for f in judge("\n".join(lines).encode(), SIGNALS_FORMAT, UNIVERSE, SCORING).findings]
    assert found == [
        (4, "value_not_finite"),
        (8, "id_empty"),
        (12, "value_range"),
        (16, "id_space"),
        (16, "value_not_a_number"),
    ]


def test_findings_are_capped_and_counted_and_refusals_come_first():
    lines = [f"Z{i},0.{i:04d}" for i in range(1, 5000)] + ["T000,nan"]
    verdict = judge(text(lines), SIGNALS_FORMAT, UNIVERSE, SCORING)
    assert len(verdict.findings) == FINDINGS_SHOWN_MAX
    assert verdict.findings_total >= 5000
    assert verdict.findings[0].refuses
    assert "value_not_finite" in {f.code.value for f in verdict.findings}


@pytest.mark.parametrize(
    ("fmt", "header", "universe"), [(SIGNALS_FORMAT, "ticker,signal", TICKERS), (CLASSIC_FORMAT, "id,prediction", CLASSIC_IDS)]
)
def test_file_that_names_too_little_is_told_what_it_lacks(fmt, header, universe):
    sent = universe[:90]
    verdict = judge(text(rows(sent), header=header), fmt, universe, SCORING)
    assert not verdict.accepted
    assert verdict.findings[0].refuses
    named = [f.value for f in verdict.findings if f.code.value == "id_missing" and not f.refuses]
    assert named == list(universe[90:])
    enough = judge(text(rows(universe), header=header), fmt, universe, SCORING)
    assert (enough.accepted, enough.findings) == (True, ())


def test_missing_identifiers_crowd_out_no_refusal():
    lines = ["T000,nan", *rows(("T001", "T002"))]
    many = tuple(f"T{i:03d}" for i in range(500))
    verdict = judge(text(lines), SIGNALS_FORMAT, many, SCORING)
    assert [f.code.value for f in verdict.findings[:2]] == ["rows_too_few", "value_not_finite"]
    assert len(verdict.findings) == FINDINGS_SHOWN_MAX < verdict.findings_total


def test_signal_is_ranked_on_the_universe_with_gaps_in_the_middle():
    verdict = judge(CLEAN, SIGNALS_FORMAT, UNIVERSE, SCORING)
    assert verdict.signal is not None
    sent = {label: float(value_of(i)) for i, label in enumerate(TICKERS)}
    ordered = sorted(sent, key=sent.__getitem__)
    for at, label in enumerate(UNIVERSE):
        expected = (ordered.index(label) + 0.5) / len(ordered) if label in sent else 0.5
        assert verdict.signal.values[at] == pytest.approx(expected, abs=1e-15)
        assert verdict.signal.present[at] == (label in sent)
    assert verdict.coverage == len(TICKERS) / len(UNIVERSE)
    assert not verdict.signal.values.flags.writeable


def test_order_of_rows_changes_nothing():
    lines = CLEAN.decode().splitlines()
    shuffled = "\n".join([lines[0], *np.random.default_rng(3).permutation(lines[1:]).tolist()]).encode()
    first, second = (judge(data, SIGNALS_FORMAT, UNIVERSE, SCORING).signal for data in (CLEAN, shuffled))
    assert first is not None
    assert second is not None
    assert np.array_equal(first.values, second.values)


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (with_id(" T060"), "did you mean 'T060'"),
        (with_id("aapl"), "'AAPL'"),
        (text([], header="Ticker,Signal"), "differs in case"),
        (text(["A,0.5"], header="T1,0.5"), "header is missing"),
        (with_value('"0,5"'), "point"),
        (text([f"X{i},0.{i:03d}" for i in range(1, 150)]), "another round"),
    ],
)
def test_refusal_says_what_to_do(data, hint):
    verdict = judge(data, SIGNALS_FORMAT, UNIVERSE, SCORING)
    assert any(hint in finding.message for finding in verdict.findings), verdict.findings
