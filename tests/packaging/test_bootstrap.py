"""The set-up says in one sentence what a machine lacks. Method: run it with a search path of stand-in programs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHELL = "/bin/sh"

GOOD_PYTHON = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'
OLD_PYTHON = '#!/bin/sh\ncase "$2" in *print*) echo 3.6; exit 0;; esac\nexit 1\n'
WITHOUT_VENV = f'#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexec "{sys.executable}" "$@"\n'
DEAD_LAUNCHER = "#!/bin/sh\necho 'version not installed' >&2\nexit 127\n"


def machine(folder: Path, **programs: str) -> dict[str, str]:
    """Return the environment of a machine that has these programs and what a shell script needs."""
    for name in ("dirname",):
        (folder / name).symlink_to(f"/usr/bin/{name}")
    for name, text in {"git": "#!/bin/sh\n", "make": "#!/bin/sh\n", **programs}.items():
        if text:
            path = folder / name.replace("_", ".")
            path.write_text(text)
            path.chmod(0o755)
    return {"PATH": str(folder), "HOME": str(folder)}


def bootstrap(environment: dict[str, str], lock: str = "no-such-lock") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SHELL, str(ROOT / "scripts" / "bootstrap.sh"), lock],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("programs", "sentence"),
    [
        ({}, "Missing: Python 3.11, 3.12 or 3.13 (found: none)"),
        ({"python3": OLD_PYTHON}, "python3 is Python 3.6"),
        ({"python3": WITHOUT_VENV}, "apt install python3-venv"),
        ({"python3_11": DEAD_LAUNCHER}, "Missing: Python 3.11, 3.12 or 3.13 (found: none)"),
        ({"python3": GOOD_PYTHON, "git": ""}, "Missing: git"),
        ({"python3": GOOD_PYTHON, "make": ""}, "Missing: make"),
    ],
    ids=["no-python", "old-python", "no-venv", "dead-launcher", "no-git", "no-make"],
)
def test_what_is_missing_is_named_without_a_traceback(tmp_path: Path, programs: dict[str, str], sentence: str) -> None:
    done = bootstrap(machine(tmp_path, **programs))
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_fitting_interpreter_is_found_behind_one_that_does_not_fit(tmp_path: Path) -> None:
    done = bootstrap(machine(tmp_path, python3_11=DEAD_LAUNCHER, python3_12=WITHOUT_VENV, python3=GOOD_PYTHON))
    # The stand-in lock name makes the script stop right after it has found its interpreter.
    assert done.stderr.startswith("Usage: bootstrap.py")


def test_a_stamp_that_fits_makes_the_second_run_a_glance(tmp_path: Path) -> None:
    """Goal: nothing is installed twice. Method: a folder with a finished stamp, and a pip that would fail."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "requirements").mkdir()
    for name in ("scripts/bootstrap.py", "requirements/run.lock", "requirements/dev.lock", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\ncase "$1" in -c) exit 0;; esac\nexit 9\n')
    python.chmod(0o755)
    script = [sys.executable, str(tmp_path / "scripts" / "bootstrap.py")]
    stamp = "import bootstrap as b, json; b.STAMP.write_text(json.dumps(b.stamp_for('dev')))"
    environment = {"PATH": os.getenv("PATH", ""), "HOME": str(tmp_path), "PYTHONPATH": str(tmp_path / "scripts")}
    subprocess.run([sys.executable, "-c", stamp], check=True, env=environment)
    for lock in ("run", "dev"):
        done = subprocess.run([*script, lock], capture_output=True, text=True, check=False, env=environment)
        assert (done.returncode, done.stdout) == (0, "")
    (tmp_path / "requirements" / "dev.lock").write_text("changed==1\n")
    done = subprocess.run([*script, "run"], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert "requirements/dev.lock" in done.stdout, "an environment that holds dev stays one"
