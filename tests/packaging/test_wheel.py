"""The wheel holds all that runs. Method: build it, unpack it elsewhere, and run it from there, away from the repository."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("crowdalpha", "market", "signals", "portfolio", "staking", "service")
DEFAULTS = "service/settings/defaults"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with the backend of the lock, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(folder), str(ROOT)]
    subprocess.run([sys.executable, "-m", "pip", *command], check=True, timeout=120)
    (built,) = folder.glob("crowdalpha-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the wheel into a folder of its own; what it depends on comes from the environment of the tests."""
    folder = tmp_path_factory.mktemp("site")
    command = ["install", "--quiet", "--no-deps", "--no-index", "--target", str(folder), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *command], check=True, timeout=120)
    return folder


def run(installed: Path, cwd: Path, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run Python with the unpacked wheel in front of everything else and nothing of the caller's settings."""
    environment = {
        "PATH": os.getenv("PATH", ""),
        "HOME": str(cwd),
        "PYTHONPATH": str(installed),
        "NUMBA_CACHE_DIR": os.getenv("NUMBA_CACHE_DIR", str(cwd / "numba")),
    }
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=cwd, env=environment, timeout=timeout, check=False
    )


def files_of(folder: Path) -> set[str]:
    """Return every file that belongs to a package, as the wheel would name it."""
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(ROOT).as_posix() for path in found}


def test_the_wheel_holds_every_file_of_every_package(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = set().union(*(files_of(ROOT / package) for package in PACKAGES))
    assert sorted(wanted - names) == []


def test_the_wheel_holds_the_defaults_of_all_settings(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    for path in (ROOT / "config").rglob("*.toml"):
        inside = f"{DEFAULTS}/{path.relative_to(ROOT / 'config').as_posix()}"
        assert archive.read(inside) == path.read_bytes()


def test_the_wheel_puts_nothing_else_at_the_top(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert top == set(PACKAGES)
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_settings_load_from_inside_the_wheel(installed: Path, tmp_path: Path) -> None:
    code = "from pathlib import Path; import service.settings as s; s.load_settings(); print(Path(s.__file__).parent)"
    done = run(installed, tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(installed)


def test_the_command_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, str(installed / "bin" / "crowdalpha"), "--version")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("crowdalpha ")


def test_the_demo_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    home = tmp_path / "demo"
    done = run(installed, tmp_path, str(installed / "bin" / "crowdalpha"), "demo", "--home", str(home), timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (home / "reports" / "summary.json").stat().st_size > 0
    assert (home / "reports" / "tearsheet.html").stat().st_size > 0
