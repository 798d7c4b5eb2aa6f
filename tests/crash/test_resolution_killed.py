"""Resolve once: a resolution that is killed at a named point or a random instant, and run again, has the effect of one run.

Children resolve a round of sixty stakes and kill themselves with SIGKILL, on both databases. Then the round is resolved to the
end; resolution, ledger, balances and releases must be those of a run that nobody disturbed, byte by byte.
"""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.context import Platform
from service.faults import FAULT_POINTS, set_fault_hook
from service.home import Home
from service.store import ledger, resolutions, rounds, stakes
from service.workflows.resolve_round import resolve_round
from tests.builders.desks import kill_at
from tests.builders.stakers import round_key, scored_round, stakers_in, stakers_on
from tests.conftest import DATABASES, PostgresDatabases

KEY = round_key(1)
RANDOM_KILLS, RANDOM_KILLS_SOAK = 26, 100
"""On each database. With the named points there are 62 kills in the quick run, and 210 in the long one."""

WORKERS = 16
KILLED_WITHIN_SECONDS = 0.06
"""About what a resolution takes: a kill comes before, within or after its transaction."""


@dataclass(frozen=True)
class Copy:
    """A home of its own for one run, and the address of its database where that is not the home's file."""

    home: Home
    url: str
    drop: Callable[[], None] = lambda: None

    def platform(self) -> Platform:
        return stakers_in(self.home, self.url)

    def end(self) -> None:
        self.drop()
        shutil.rmtree(self.home.path)


@dataclass(frozen=True)
class Scored:
    """A home in which a round has its final scores and is not resolved, and as many copies of it as are asked for."""

    home: Home
    folder: Path
    databases: PostgresDatabases | None
    template: str

    def copy(self) -> Copy:
        """Copy the database and the keys; the files are shared, because a file's name is its hash."""
        path = self.folder / f"copy-{len(list(self.folder.iterdir()))}-{os.urandom(4).hex()}"
        path.mkdir()
        shutil.copy(self.home.path / "home.toml", path / "home.toml")
        shutil.copytree(self.home.keys, path / "keys")
        (path / "rounds").symlink_to(self.home.rounds)
        if self.databases is None:
            shutil.copy(self.home.database, path / "crowdalpha.db")
            return Copy(Home.open(path), "")
        databases, name = self.databases, self.databases.copy(self.template)
        return Copy(Home.open(path), databases.url(name), lambda: databases.drop(name))


@pytest.fixture(params=DATABASES, scope="module")
def scored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scored]:
    folder = tmp_path_factory.mktemp("crash")
    databases = request.getfixturevalue("postgres_databases") if request.param == "postgres" else None
    name = databases.migrated() if databases else ""
    platform = stakers_on(folder / "home", databases.url(name) if databases else "")
    assert scored_round(platform) == KEY
    platform.store.dispose()
    (folder / "copies").mkdir()
    yield Scored(platform.home, folder / "copies", databases, name)
    if databases:
        databases.drop(name)


@pytest.fixture
def copy(scored: Scored) -> Iterator[Copy]:
    made = scored.copy()
    yield made
    made.end()


def in_child(work: Callable[[], object]) -> int:
    """Run ``work`` in a fork and return its process id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def ended(child: int) -> int:
    """Wait for a child and return how it ended: 0, a code, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def resolve_with(copy: Copy, hook: Callable[[str], None] | None) -> None:
    set_fault_hook(hook)
    resolve_round(copy.platform(), KEY)


def effect(copy: Copy) -> dict[str, Any]:
    platform = copy.platform()
    with platform.store.read() as connection:
        record = rounds.round_by_key(connection, KEY)
        standing = resolutions.resolution_of_round(connection, KEY)
        models = [frozen.model_id for frozen in stakes.at_risk_of_round(connection, KEY)]
        found = {
            "resolution": standing,
            "bytes": platform.blobs.get(standing.sha256) if standing else b"",
            "lines": resolutions.lines_of_round(connection, KEY),
            "balances": ledger.balances(connection),
            "head": ledger.head(connection),
            "state": None if record is None else record.state,
            "releases": [stakes.releases_of_model(connection, model) for model in models],
            "problems": ledger.verify(connection),
        }
    platform.store.dispose()
    return found


@pytest.fixture(scope="module")
def undisturbed(scored: Scored) -> dict[str, Any]:
    copy = scored.copy()
    assert ended(in_child(lambda: resolve_with(copy, None))) == 0
    found = effect(copy)
    copy.end()
    assert found["resolution"] is not None
    assert found["problems"] == []
    assert sum(found["balances"].values()) == 0
    assert {release.state for own in found["releases"] for release in own} == {"released"}
    return found


def test_killed_at_every_fault_point_and_run_again_it_has_one_effect(copy: Copy, undisturbed: dict[str, Any]) -> None:
    for point in FAULT_POINTS:
        assert ended(in_child(lambda at=point: resolve_with(copy, kill_at(at)))) == -signal.SIGKILL, f"{point} was not reached"
        assert effect(copy)["resolution"] is None, f"killed at {point}, yet something was resolved"
    assert ended(in_child(lambda: resolve_with(copy, None))) == 0
    assert effect(copy) == undisturbed


def test_killed_at_random_instants_and_run_again_it_has_one_effect(scored: Scored, undisturbed: dict[str, Any]) -> None:
    kill_at_random_instants(scored, undisturbed, RANDOM_KILLS, seed=2026)


@pytest.mark.soak
def test_killed_at_two_hundred_random_instants_it_has_one_effect(scored: Scored, undisturbed: dict[str, Any]) -> None:
    kill_at_random_instants(scored, undisturbed, RANDOM_KILLS_SOAK, seed=2027)


def kill_at_random_instants(scored: Scored, undisturbed: dict[str, Any], kills: int, seed: int) -> None:
    """Resolve copies until ``kills`` runs were cut short at a random instant, each then run to the end."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    cut_short = 0
    while cut_short < kills:
        copy = scored.copy()
        seconds = float(rng.uniform(0.001, KILLED_WITHIN_SECONDS))

        def resolve_until_killed(own: Copy = copy, seconds: float = seconds) -> None:
            platform = own.platform()
            # From the first statement of the workflow on, not while the platform is put together.
            signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
            signal.setitimer(signal.ITIMER_REAL, seconds)
            resolve_round(platform, KEY)
            signal.setitimer(signal.ITIMER_REAL, 0)

        cut_short += ended(in_child(resolve_until_killed)) == -signal.SIGKILL
        assert ended(in_child(lambda own=copy: resolve_with(own, None))) == 0
        assert effect(copy) == undisturbed
        copy.end()


def test_resolved_twice_it_has_one_effect(copy: Copy, undisturbed: dict[str, Any]) -> None:
    platform = copy.platform()
    first = resolve_round(platform, KEY)
    assert resolve_round(platform, KEY) == first
    platform.store.dispose()
    assert effect(copy) == undisturbed


def test_raced_by_sixteen_processes_it_has_one_effect(copy: Copy, undisturbed: dict[str, Any]) -> None:
    children = [in_child(lambda: resolve_with(copy, None)) for _ in range(WORKERS)]
    assert [ended(child) for child in children] == [0] * WORKERS
    assert effect(copy) == undisturbed
