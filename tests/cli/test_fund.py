"""Goal: an operator takes each step of a rebalance on the command line, and is told in one sentence why one cannot be taken.

Method: a home whose third rebalance waits, long after its open by the clock of the machine; its rows are read back."""

import json
import shutil
from pathlib import Path

import pytest

from service.cli import run
from service.home import Home
from tests.builders.desks import play_to_sunday


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return play_to_sunday(tmp_path_factory.mktemp("cli") / "home").path


@pytest.fixture
def home(waiting: Path, tmp_path: Path) -> Path:
    shutil.copytree(waiting, tmp_path / "home")
    return Home.open(tmp_path / "home").path


def call(capsys: pytest.CaptureFixture[str], home: Path, *words: str) -> tuple[int, str, str]:
    code = run(["fund", *words, "--home", str(home)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_list_and_show(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    code, out, _ = call(capsys, home, "list", "--json")
    lines = json.loads(out)
    assert code == 0
    assert [line["state"] for line in lines] == ["proposed", "reconciled", "reconciled"]
    code, out, _ = call(capsys, home, "show", "--json")
    shown = json.loads(out)
    assert (code, shown["state"], shown["fill_session"]) == (0, "proposed", "2021-01-25")
    assert set(shown["rounding"]) == {"applied", "fractional", "whole"}
    for words in (["list"], ["show"]):
        code, out, _ = call(capsys, home, *words)
        assert code == 0
        assert "2021-01-22" in out
    assert call(capsys, home, "show", "--rebalance", "nosuch")[0] == 2


def test_reject_ends_it_and_approve_then_is_a_conflict(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    code, out, _ = call(capsys, home, "reject", "--by", "ann", "--why", "too large", "--json")
    assert (code, json.loads(out)["state"]) == (0, "rejected")
    code, out, err = call(capsys, home, "approve", "--by", "ann")
    assert (code, out) == (3, "")
    assert "[rebalance_state]" in err
    assert len(err.splitlines()) == 1


def test_nothing_is_approved_or_sent_after_its_open(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    code, _, err = call(capsys, home, "approve", "--by", "ann")
    assert (code, "[rebalance_expired]" in err) == (3, True)
    code, _, err = call(capsys, home, "send", "--by", "ann")
    assert (code, "[rebalance_state]" in err) == (3, True)
    assert run(["fund", "approve", "--home", str(home)]) == 2  # somebody has to decide


def test_orders_are_not_written_into_a_folder(capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere" / "orders.csv"):
        code, out, err = call(capsys, home, "orders", str(path))
        assert (code, out) == (2, "")
        assert "[output_path]" in err


def test_halt_and_resume(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    code, out, _ = call(capsys, home, "halt", "--by", "bob", "--why", "flash crash", "--json")
    assert code == 0
    assert json.loads(out)["orders"] == 0
    code, out, _ = call(capsys, home, "resume", "--by", "bob")
    assert (code, out) == (0, "The fund may send again.\n")


def test_reconcile_says_what_differs_by_its_exit_code(capsys: pytest.CaptureFixture[str], home: Path, tmp_path: Path) -> None:
    code, out, _ = call(capsys, home, "reconcile", "--by", "ann", "--json")
    assert (code, json.loads(out)["findings"]) == (0, [])
    statement = tmp_path / "statement.csv"
    statement.write_text("asset_id,value\ncash,1\n")
    code, out, _ = call(capsys, home, "reconcile", "--by", "ann", "--statement", str(statement), "--json")
    findings = json.loads(out)["findings"]
    assert code == 3
    assert len(findings) > 10
    assert {f["code"] for f in findings} == {"books_differ"}
    assert call(capsys, home, "reconcile", "--by", "ann", "--statement", str(tmp_path / "none.csv"))[0] == 2
