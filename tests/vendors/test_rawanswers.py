"""Goal: raw answers outlive the process that fetched them.

Method: write, open the folder anew, compare bytes; damage a file.
"""

import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.vendors.rawanswers import RawAnswer, RawAnswers, open_run

AT = datetime(2018, 7, 18, 22, 0, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize("ticker", ["AAPL", "BRK-B", "^GSPC", "EURUSD=X", "VOD.L", "A~B", "../../etc", "a b", "Ä"])
def test_an_answer_comes_back_byte_for_byte_from_a_folder_opened_anew(tmp_path: Path, ticker: str) -> None:
    answer = RawAnswer(ticker, AT, 404, b'{"chart": \xc3\xa4 }\n')
    RawAnswers(tmp_path / "a").keep(answer)
    assert RawAnswers(tmp_path / "a").find(ticker) == answer
    assert RawAnswers(tmp_path / "a").find("OTHER") is None
    assert [p.parent.name for p in tmp_path.rglob("*.gz")] == ["a"]


def test_the_newest_answer_is_found_and_the_former_stays(tmp_path: Path) -> None:
    answers = RawAnswers(tmp_path)
    for hours in (0, 30, 5):
        answers.keep(RawAnswer("AAPL", AT + timedelta(hours=hours), 200, str(hours).encode()))
    found = RawAnswers(tmp_path).find("AAPL")
    assert found is not None
    assert found.body == b"30"
    assert len(list(tmp_path.glob("*.gz"))) == 3


def test_a_damaged_or_half_written_file_is_no_answer(tmp_path: Path) -> None:
    answers = RawAnswers(tmp_path)
    answers.keep(RawAnswer("AAPL", AT, 200, b"x" * 1000))
    path = next(tmp_path.glob("*.gz"))
    for damage in (gzip.compress(b"x" * 1000)[:-9], b"no gzip", b""):
        path.write_bytes(damage)
        assert RawAnswers(tmp_path).find("AAPL") is None


def test_a_run_goes_on_until_it_is_finished(tmp_path: Path) -> None:
    asked = {"tickers": ["A", "B"], "first": "2018-01-02"}
    run = open_run(tmp_path, asked, AT)
    run.mark_done(2, {"rows": 7})
    again = open_run(tmp_path, asked, AT + timedelta(days=3))
    assert again.folder == run.folder
    assert again.done() == {2: {"rows": 7}}
    other = open_run(tmp_path, {**asked, "first": "2017-01-03"}, AT)
    assert other.folder != run.folder
    assert other.done() == {}
    again.finish()
    fresh = open_run(tmp_path, asked, AT)
    assert fresh.folder not in {run.folder, other.folder}
    assert fresh.done() == {}
