"""Goal: a path at which nothing can be written is told before the work, with exit code 2 and nothing left behind.

Method: every command that writes a file where the user says is given a folder, a file in a folder that is not there, and, for
what fails only in the writing, a disk that is full."""

import errno
from pathlib import Path

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service import outputs
from service.cli import run
from service.outputs import refuse_output, write_output
from tests.builders.platforms import serve_small

COMMANDS = {
    "rebalance": ["rebalance", "--as-of", "2016-01-08", "--orders"],
    "backtest": ["backtest", "run", "--html"],
    "diagnose": ["diagnose", "signal.csv", "--html"],
    "round bundle": ["round", "bundle", "1"],
    "data check": ["data", "check", "--html"],
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("outputs") / "home"
    serve_small(path).platform.store.dispose()
    return path


@pytest.mark.parametrize("command", list(COMMANDS))
@pytest.mark.parametrize("where", ["folder", "nowhere/at/all.html"])
def test_a_path_that_takes_no_file_is_refused_before_the_work(
    home: Path, tmp_path: Path, command: str, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    assert run([*COMMANDS[command], str(tmp_path / where), "--home", str(home)]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "output_path" in told
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder"]


@pytest.mark.parametrize("command", [["backtest", "run", "--signal"], ["diagnose"]])
def test_what_is_read_is_not_written_over(
    home: Path, tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    signal = tmp_path / "signal.csv"
    signal.write_text("ticker,date,signal\nA,2016-01-08,0.5\n")
    (tmp_path / "link.csv").symlink_to(signal)
    for page in (signal, tmp_path / ".." / tmp_path.name / "signal.csv", tmp_path / "link.csv"):
        assert run([*command, str(signal), "--html", str(page), "--home", str(home)]) == 2
        assert "output_path" in capsys.readouterr().err
    assert signal.read_text().startswith("ticker,date")


def test_a_key_is_not_written_into_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["key", "auditor", str(tmp_path / "nowhere" / "key")]) == 2
    assert "output_path" in capsys.readouterr().err


def test_a_disk_that_is_full_is_told_and_what_stood_there_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "page.html"
    path.write_text("before")

    def full(*_: object, **__: object) -> bool:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(outputs, "write_file", full)
    with pytest.raises(InputRejected, match="No space left on device") as caught:
        write_output(path, b"after")
    assert caught.value.code is Code.OUTPUT_PATH
    assert path.read_text() == "before"


def test_no_path_and_a_good_one_pass(tmp_path: Path) -> None:
    refuse_output(None)
    write_output(tmp_path / "a.csv", b"x")
    assert (tmp_path / "a.csv").read_bytes() == b"x"
