"""The operator's example works as it is told. Method: run it as a program, on a home with a small synthetic market, twice."""

import os
import subprocess
import sys
from pathlib import Path

from tests.builders.backtests import backtest_home

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {"CROWDALPHA_UNIVERSE__SIZE": "45", "CROWDALPHA_FUND__RISK_WEEKS": "12", "PYTHONPATH": str(ROOT)}


def run_example(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "examples" / "operator_sweep.py"), "--home", str(folder / "home"), *arguments]
    path = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if not (Path(p) / "crowdalpha").exists())
    environment = {**os.environ, **SETTINGS, "PATH": path}
    return subprocess.run(command, capture_output=True, text=True, timeout=580, check=False, env=environment, cwd=folder)


def test_a_sweep_is_run_and_its_table_told(tmp_path: Path) -> None:
    room = backtest_home(tmp_path)
    room.platform.store.dispose()
    asked = ("--from", "2016-05-20", "--set", "position_max=0.15", str(room.momentum))
    done = run_example(tmp_path, *asked)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert all(line.startswith("momentum") for line in lines)
    assert lines[-1].startswith("momentum: at best a Sharpe ratio of ")
    assert len(list((tmp_path / "home" / "reports" / "backtests").glob("*.json"))) == 4
    assert run_example(tmp_path, *asked).stdout == done.stdout


def test_a_key_that_no_mandate_has_is_told(tmp_path: Path) -> None:
    room = backtest_home(tmp_path)
    room.platform.store.dispose()
    done = run_example(tmp_path, "--set", "leverage=2", str(room.momentum))
    assert done.returncode == 2
    assert "[mandate_invalid]" in done.stderr
