"""Goal: ``data publish`` says what came of it, and hands its options on. Method: on an empty home, and with a publication that
is recorded instead of made; what it makes is tested in ``tests/service/test_publish.py``."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.cli.app import run
from service.context import init_home
from service.workflows import publish as workflow
from service.workflows.publish import Published

MADE = Published(30, 12, 20, "2016-09-30", "0123456789abcdef", changed=True)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    calls: list[tuple[Any, ...]] = []

    def recorded(platform: Any, weeks: int | None, progress: Any, *, rebuild: bool) -> Published:
        progress.start(2, "eras")
        calls.append((weeks, rebuild))
        return MADE

    monkeypatch.setattr(workflow, "publish", recorded)
    monkeypatch.setenv("CROWDALPHA_HOME", str(tmp_path / "home"))
    init_home(tmp_path / "home")
    return calls


def test_its_figures_come_as_json(asked: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "publish", "--weeks", "80", "--rebuild", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "train": 30, "embargo": 12, "validation": 20, "live": "2016-09-30", "release": "0123456789abcdef", "changed": True,
    }  # fmt: skip
    assert asked == [(80, True)]


def test_without_options_the_settings_decide(asked: list[tuple[Any, ...]], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "publish"]) == 0
    shown = capsys.readouterr().out
    assert "embargo" in shown
    assert "12" in shown
    assert asked == [(None, False)]


def test_a_home_without_prices_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    init_home(tmp_path / "home")
    assert run(["data", "publish", "--home", str(tmp_path / "home")]) == 4
    assert "[prices_missing]" in capsys.readouterr().err
