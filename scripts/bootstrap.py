"""Makes ``.venv`` from a hashed lock file and puts the project into it. Standard library only.

It is not a package manager: pip does the work, this script says what happens and remembers what was done.

1. A stamp in ``.venv`` names the lock, its hash, the project's metadata and this folder. If all still fit, stop here.
2. Without a working ``.venv``, make one with the interpreter that runs this script.
3. Install the lock with ``--require-hashes``; ``run`` is satisfied by an environment that holds ``dev``.
4. Install the project itself in editable form, without dependencies and with the build backend from the lock.
5. Write the stamp last, so that an interrupted installation starts again.

``lock`` writes both lock files anew with uv, from an environment of its own.
"""

# A script of its own, outside the packages: it prints, runs fixed commands and passes the environment on.
# ruff: noqa: S603, T201, TID251

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "crowdalpha-stamp.json"
LOG = VENV / "install.log"
LOCKS = {name: ROOT / "requirements" / f"{name}.lock" for name in ("run", "dev")}

HEARTBEAT_SECONDS = 15
"""A line at least this often while pip is silent, so that nobody takes a download for a hang."""

TAIL_LINES = 25
"""So much of pip's own output is shown when it fails."""

UV_VERSION = "0.13.9"
"""Another version may order or mark the same resolution differently."""

COMPILE = (
    "--universal",
    "--python-version",
    "3.11",
    "--generate-hashes",
    "--no-header",
    "--no-annotate",
    "--no-emit-index-url",
)


class SetupFailed(Exception):
    """The set-up cannot go on; the text says what to do."""


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def environment() -> dict[str, str]:
    """Return the environment for pip: nothing from outside may reach into the new one."""
    kept = {
        k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_PREFIX"}
    }
    return {**kept, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "VIRTUAL_ENV": str(VENV)}


def stamp_for(lock: str) -> dict[str, str]:
    """Return what the stamp says once ``lock`` is installed."""
    return {
        "lock": lock,
        "lock_sha256": file_hash(LOCKS[lock]),
        "project_sha256": file_hash(ROOT / "pyproject.toml"),
        "folder": str(ROOT),
    }


def stamp_found() -> dict[str, str]:
    """Return the stamp of ``.venv``, empty if there is none that can be read."""
    try:
        found = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def works(python: Path) -> bool:
    """Say whether an interpreter answers with a version that fits and has pip."""
    probe = "import sys, pip; sys.exit(not ((3, 11) <= sys.version_info[:2] < (3, 14)))"
    try:
        return subprocess.run([str(python), "-c", probe], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def make_venv(folder: Path) -> Path:
    """Make a virtual environment unless a working one stands, and return its interpreter."""
    python = folder / "bin" / "python"
    if works(python):
        return python
    print(f"Making {folder.name} with Python {sys.version.split()[0]} …", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(folder)], capture_output=True, text=True, check=False, env=environment()
    )
    if done.returncode != 0 or not works(python):
        detail = (done.stdout + done.stderr).strip().splitlines()
        raise SetupFailed(
            "Python could not make a virtual environment. On Debian or Ubuntu: apt install python3-venv\n"
            + "\n".join(detail[-5:])
        )
    return python


def follow(stream: object, seen: dict[str, int], log: object) -> None:
    """Copy pip's lines to the log and count those that tell of progress."""
    for line in stream:  # type: ignore[attr-defined]
        log.write(line)  # type: ignore[attr-defined]
        if line.startswith("Collecting "):
            seen["found"] += 1
        elif line.startswith("Installing collected packages"):
            seen["installing"] = 1


def run_quietly(what: str, command: list[str], progress: Callable[[dict[str, int]], str]) -> None:
    """Run a command with its output in the log, one line at its start, one each heartbeat, one at its end."""
    started = time.monotonic()
    print(f"{what} …", flush=True)
    seen = {"found": 0, "installing": 0}
    with LOG.open("a") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment()
        )
        reader = threading.Thread(target=follow, args=(process.stdout, seen, log), daemon=True)
        reader.start()
        while True:
            try:
                code = process.wait(timeout=HEARTBEAT_SECONDS)
                break
            except subprocess.TimeoutExpired:
                print(f"  {time.monotonic() - started:4.0f} s  {progress(seen)}", flush=True)
        reader.join()
    if code != 0:
        raise SetupFailed(f"{what}: pip failed.\n{tail()}\nThe whole output is in {LOG.relative_to(ROOT)}.")
    print(f"  {time.monotonic() - started:4.0f} s  done", flush=True)


def tail() -> str:
    """Return the end of the log without the warnings that do not matter."""
    lines = [
        line
        for line in LOG.read_text().splitlines()
        if line.strip() and not line.startswith(("WARNING: Location", "Looking in"))
    ]
    return "\n".join(lines[-TAIL_LINES:])


def packages_in(lock: Path) -> int:
    """Count the packages that a lock file names."""
    return sum(1 for line in lock.read_text().splitlines() if "==" in line and not line.startswith((" ", "#")))


def install_packages(python: Path, lock: str) -> None:
    """Install the packages of a lock file; each file's hash is checked by pip."""
    total = packages_in(LOCKS[lock])

    def progress(seen: dict[str, int]) -> str:
        return "putting them in place" if seen["installing"] else f"{seen['found']} of about {total} fetched"

    command = [str(python), "-m", "pip", "install", "--require-hashes", "--progress-bar", "off", "-r", str(LOCKS[lock])]
    run_quietly(f"Installing {total} packages from requirements/{lock}.lock (some minutes the first time)", command, progress)


def install_project(python: Path) -> None:
    """Put the project itself into the environment, in editable form."""
    command = [str(python), "-m", "pip", "install", "--no-deps", "--no-build-isolation", "-e", "."]
    run_quietly("Installing crowdalpha itself", command, lambda _: "building")


def install(wanted: str) -> None:
    """Bring ``.venv`` to the state that ``wanted`` (run or dev) asks for."""
    found = stamp_found()
    lock = "dev" if found.get("lock") == "dev" else wanted
    if found == stamp_for(lock) and works(VENV / "bin" / "python"):
        return
    STAMP.unlink(missing_ok=True)
    python = make_venv(VENV)
    LOG.write_text("")
    install_packages(python, lock)
    install_project(python)
    STAMP.write_text(json.dumps(stamp_for(lock), indent=1) + "\n")


def write_locks() -> None:
    """Resolve both lock files anew; ``dev`` is held to the versions of ``run``."""
    uv = shutil.which("uv")
    if uv is None:
        scratch = ROOT / "build" / "lock-venv"
        scratch.parent.mkdir(exist_ok=True)
        python = make_venv(scratch)
        command = [str(python), "-m", "pip", "install", f"uv=={UV_VERSION}"]
        subprocess.run(command, check=True, env=environment(), capture_output=True)
        uv = str(python.parent / "uv")
    run, dev = (str(LOCKS[name].relative_to(ROOT)) for name in ("run", "dev"))
    shared = [uv, "pip", "compile", "pyproject.toml", *COMPILE, "--quiet"]
    subprocess.run([*shared, "--group", "build", "-o", run], cwd=ROOT, check=True)
    subprocess.run(
        [*shared, "--group", "build", "--group", "dev", "--extra", "postgres", "-c", run, "-o", dev], cwd=ROOT, check=True
    )


def main(arguments: list[str]) -> int:
    """Run one of ``run``, ``dev`` and ``lock``; returns the exit code."""
    wanted = arguments[0] if arguments else "run"
    try:
        if wanted == "lock":
            write_locks()
        elif wanted in LOCKS:
            install(wanted)
        else:
            raise SetupFailed("Usage: bootstrap.py run|dev|lock")
    except SetupFailed as failure:
        print(failure, file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as failure:
        print(f"A command failed: {' '.join(failure.cmd[:4])} … (exit {failure.returncode})", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on where it stopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
