"""Nothing heavy is loaded before it is needed. Method: import in a fresh interpreter and look at ``sys.modules``."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("vectorbt", "numba", "cvxpy", "pandas", "scipy.stats", "yfinance", "web3", "dask", "matplotlib")
HELP_SECONDS_MAX = 0.5


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


def help_cpu_seconds() -> float:
    """Return the processor time of one ``crowdalpha --help``: it does not grow when other tests keep the machine busy."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = "import sys; sys.argv[0] = 'crowdalpha'; from service.cli import main; main()"
    subprocess.run([sys.executable, "-c", code, "--help"], cwd=ROOT, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def test_help_is_there_within_half_a_second() -> None:
    help_cpu_seconds()  # the first run may have to compile
    assert min(help_cpu_seconds() for _ in range(4)) <= HELP_SECONDS_MAX
