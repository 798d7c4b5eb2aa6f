"""The lock files install the same thing everywhere. Method: read them as text; pip itself checks the hashes."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("run", "dev")


def lock_text(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.lock").read_text()


def versions(name: str) -> dict[str, set[str]]:
    """Return package → versions; a package has two where the interpreter decides."""
    found: dict[str, set[str]] = {}
    for match in re.finditer(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", lock_text(name), re.MULTILINE):
        found.setdefault(match[1].lower(), set()).add(match[2])
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_no_address(name: str) -> None:
    assert "://" not in lock_text(name)
    assert not re.search(r"^--?(index-url|extra-index-url|find-links|i|f)\b", lock_text(name), re.MULTILINE)


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_package_has_a_version_and_a_hash(name: str) -> None:
    blocks = re.split(r"\n(?=\S)", lock_text(name).strip())
    without = [b.split()[0] for b in blocks if not b.startswith("#") and ("==" not in b or "--hash=sha256:" not in b)]
    assert without == []


def test_the_development_lock_holds_the_runtime_lock_at_the_same_versions() -> None:
    run, dev = versions("run"), versions("dev")
    assert {name: dev.get(name) for name in run} == run


def test_the_build_backend_is_locked_so_that_the_project_installs_without_isolation() -> None:
    assert {"hatchling", "editables"} <= versions("run").keys()


def test_the_oracle_of_the_scores_is_never_a_runtime_dependency() -> None:
    assert "numerai-tools" in versions("dev")
    assert "numerai-tools" not in versions("run")
