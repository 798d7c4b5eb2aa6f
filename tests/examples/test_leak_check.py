"""The operator's leak check works as its page tells. Method: run it as a program, on an honest strategy and on a wrong one."""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

from market.synthetic import SyntheticSpec, generate_market
from service.home import Home
from service.vendors.ingested import keep_synthetic

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "leak_check.py"

OWN = """
def decide(view):
    return {"bought": view.assets.asset_ids[view.dollar_volume()[-1].argsort()[-5:]]}


def noise(view):
    return 1.0
"""


def check(*options: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.getenv("PATH", ""), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(EXAMPLE), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment, cwd=ROOT)


def test_an_honest_strategy_is_clean() -> None:
    done = check()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("No trace of the future: 72 answers at 5 cuts are bit-identical")


def test_a_shift_with_the_wrong_sign_is_told_with_its_places() -> None:
    done = check("--strategy", f"{EXAMPLE}:lagged_the_wrong_way", "--whole-panel")
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout.startswith("It knows the future: ")
    assert "  the answer[0], decided at " in done.stdout
    assert " more.\n" in done.stdout


def test_a_strategy_of_ones_own_is_checked_on_the_prices_of_a_home(tmp_path: Path) -> None:
    spec = SyntheticSpec(seed=2, n_assets=20, start=date(2015, 1, 2), end=date(2015, 4, 30))
    home = Home.create(tmp_path / "home")
    keep_synthetic(home, spec, generate_market(spec))
    (tmp_path / "mine.py").write_text(OWN)
    done = check("--strategy", f"{tmp_path / 'mine.py'}:decide", "--home", str(home.path), "--cuts", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("No trace of the future: 40 answers at 3 cuts")
    deaf = check("--strategy", f"{tmp_path / 'mine.py'}:noise", "--home", str(home.path))
    assert deaf.returncode == 2
    assert deaf.stdout.startswith("Nothing can be said")


def test_a_missing_file_is_told_in_a_sentence() -> None:
    done = check("--strategy", "nowhere.py:decide")
    assert done.returncode == 1
    assert "There is no Python file 'nowhere.py'" in done.stderr
