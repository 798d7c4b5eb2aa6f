"""``crowdalpha backtest`` from its doors. Method: run the commands in process on a home with a small synthetic market."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.cli.app import run
from tests.builders.backtests import Room, backtest_home


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    made = backtest_home(tmp_path_factory.mktemp("cli"))
    yield made
    made.platform.store.dispose()


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROWDALPHA_UNIVERSE__SIZE", "45")
    monkeypatch.setenv("CROWDALPHA_FUND__RISK_WEEKS", "12")


def ask(room: Room, *words: str) -> int:
    return run(["backtest", *words, "--home", str(room.platform.home.path)])


def test_a_run_prints_its_figures_and_writes_its_sheet(room: Room, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("run", "--signal", str(room.momentum), "--from", "2016-05-27", "--html", str(tmp_path / "sheet.html"))
    assert ask(room, *words, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["decisions"] == 5
    assert told["flags"] == ["synthetic"]
    assert "Backtest of momentum" in (tmp_path / "sheet.html").read_text()
    assert ask(room, *words, "--no-costs", "--fill", "close", "--deaths", "2", "--seed", "3") == 0
    assert "deflated" in capsys.readouterr().out


def test_a_sweep_prints_a_table(room: Room, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid = tmp_path / "grid.toml"
    grid.write_text(f"signals = ['{room.momentum}']\nfrom = 2016-06-10\ncosts = [true, false]")
    assert ask(room, "sweep", str(grid)) == 0
    assert "2 cells, 2 new" in capsys.readouterr().out


def test_capacity_prints_its_verdict(room: Room, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("capacity", "--signal", str(room.momentum), "--from", "2016-06-17", "--aum", "1e7", "--aum", "5e9")
    assert ask(room, *words) == 0
    assert "capacity by impact" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("run", "--fill", "noon"), "request_invalid"),
        (("run", "--from", "yesterday"), "date_invalid"),
        (("run", "--from", "2016-02-01", "--to", "2016-01-01"), "date_invalid"),
        (("run", "--mandate", "nobody"), "setting_unknown"),
        (("run", "--html", "/nowhere/at/all.html"), "output_path"),
        (("run", "--deaths", "100"), "setting_invalid"),
        (("run",), "round_state"),
        (("sweep", "none.toml"), "request_invalid"),
        (("sweep", "none.toml", "--executor", "moon"), "request_invalid"),
        (("sweep", "none.toml", "--scheduler", "tcp://127.0.0.1:1"), "request_invalid"),
        (("capacity", "--aum", "5", "--aum", "1"), "request_invalid"),
    ],
)
def test_what_cannot_be_run_is_one_sentence_with_a_code(
    room: Room, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: str
) -> None:
    assert ask(room, *words) == 2
    assert f"[{code}]" in capsys.readouterr().err


def test_a_history_in_tickers_that_nobody_knows_is_told_so(
    room: Room, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strange = tmp_path / "strange.csv"
    strange.write_text(
        "date,ticker,signal\n2016-06-10,NOPE,0.4\n2016-06-10,ALSO,0.6\n2016-06-17,NOPE,0.5\n2016-06-17,ALSO,0.1\n"
    )
    for words in (("run",), ("capacity", "--aum", "1e7")):
        assert ask(room, *words, "--signal", str(strange)) == 2
        told = capsys.readouterr().err
        assert "On no date was enough said" in told
        assert "[rows_too_few]" in told
        assert "NOPE" in told
        assert told.count("coverage_too_low") == 2
    grid = tmp_path / "grid.toml"
    grid.write_text(f"signals = ['{strange}']")
    assert ask(room, "sweep", str(grid)) == 2
    assert "NOPE" in capsys.readouterr().err
