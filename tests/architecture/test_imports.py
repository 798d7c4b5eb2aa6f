"""Nothing heavy is loaded before it is needed. Method: import in a fresh interpreter and look at ``sys.modules``."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("vectorbt", "numba", "cvxpy", "pandas", "scipy.stats", "yfinance", "web3", "dask", "matplotlib")


def loaded_after(statement: str) -> set[str]:
    """Return the heavy modules that a fresh interpreter holds after ``statement``."""
    code = f"{statement}\nimport sys, json\nprint(json.dumps(sorted(set({HEAVY!r}) & set(sys.modules))))"
    environment = {"PATH": os.getenv("PATH", ""), "PYTHONPATH": str(ROOT), "HOME": os.getenv("HOME", "/")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, cwd=ROOT)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("package", ["crowdalpha", "market", "signals", "portfolio", "staking", "service"])
def test_a_package_is_imported_without_heavy_libraries(package: str) -> None:
    assert loaded_after(f"import {package}") == set()


def test_the_command_line_is_imported_without_heavy_libraries() -> None:
    assert loaded_after("import service.cli") == set()


def test_the_money_is_computed_without_numpy() -> None:
    code = "import staking, sys; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_help_is_shown_without_heavy_libraries() -> None:
    code = "import sys; sys.argv = ['crowdalpha', '--help']; from service.cli import main\ntry: main()\nexcept SystemExit: pass"
    assert loaded_after(code) == set()
