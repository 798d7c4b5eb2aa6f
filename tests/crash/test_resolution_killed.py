"""Resolve once: a resolution that is killed at any named point, and run again, has the effect of one undisturbed run.

A child process resolves a round and kills itself with SIGKILL at a fault point. After a kill at every point the round is
resolved to the end; resolution, ledger and balances must be those of a run that nobody disturbed.
"""

import os
import shutil
import signal
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crowdalpha.ids import RoundKey, Tournament
from service.clock import SimulatedClock
from service.context import Platform, build_platform
from service.faults import FAULT_POINTS, set_fault_hook
from service.home import Home
from service.idsource import SeededIds
from service.replay.crowd import roster
from service.replay.run import play
from service.store import ledger, resolutions, rounds
from service.workflows.resolve_round import resolve_round
from service.workflows.score_round import score_round
from tests.builders.seasons import FIRST, small_panel, small_settings

KEY = RoundKey(Tournament.SIGNALS, 1)
DAY_BEFORE = date(2021, 2, 9)
RESOLVES = datetime(2021, 2, 11, 23, 0, tzinfo=UTC)
RANDOM_KILLS = 10


def platform_on(home: Home, url: str = "") -> Platform:
    settings = small_settings({"database.url": url} if url else {})
    platform = build_platform(home, settings, SimulatedClock(RESOLVES), SeededIds(99))
    platform.desk.use(small_panel())
    return platform


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which round 1 has its final scores and is not resolved."""
    path = tmp_path_factory.mktemp("crash") / "home"
    home = Home.create(path)
    play(home, small_settings(), small_panel(), FIRST, DAY_BEFORE, seed=7, members=roster("synthetic", 7))
    platform = platform_on(home)
    assert score_round(platform, KEY) == 20
    platform.store.dispose()
    return path


@pytest.fixture
def home(scored: Path, tmp_path: Path) -> Home:
    shutil.copytree(scored, tmp_path / "home")
    return Home.open(tmp_path / "home")


def resolve_in_child(home: Home, hook: Any) -> int:
    """Resolve in a forked child with ``hook`` at the fault points; return the signal that ended it, 0 for none."""
    child = os.fork()
    if child == 0:
        try:
            set_fault_hook(hook)
            resolve_round(platform_on(home), KEY)
        finally:
            os._exit(0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status := os.waitpid(child, 0)[1]) else 0


def effect(home: Home) -> dict[str, Any]:
    platform = platform_on(home)
    with platform.store.read() as connection:
        record = rounds.round_by_key(connection, KEY)
        found = {
            "resolution": resolutions.resolution_of_round(connection, KEY),
            "lines": resolutions.lines_of_round(connection, KEY),
            "balances": ledger.balances(connection),
            "head": ledger.head(connection),
            "state": None if record is None else record.state,
            "problems": ledger.verify(connection),
        }
    platform.store.dispose()
    return found


@pytest.fixture(scope="module")
def undisturbed(scored: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("calm") / "home"
    shutil.copytree(scored, path)
    platform = platform_on(Home.open(path))
    resolve_round(platform, KEY)
    platform.store.dispose()
    found = effect(Home.open(path))
    assert found["resolution"] is not None
    assert found["problems"] == []
    assert sum(found["balances"].values()) == 0
    return found


def kill_at(point: str) -> Any:
    def hook(name: str) -> None:
        if name == point:
            os.kill(os.getpid(), signal.SIGKILL)

    return hook


def test_killed_at_every_fault_point_and_run_again_it_has_one_effect(home: Home, undisturbed: dict[str, Any]) -> None:
    for point in FAULT_POINTS:
        assert resolve_in_child(home, kill_at(point)) == signal.SIGKILL, f"{point} was not reached"
        assert effect(home)["resolution"] is None, f"killed at {point}, yet something was resolved"
    assert resolve_in_child(home, None) == 0
    assert effect(home) == undisturbed


def test_killed_at_random_instants_and_run_again_it_has_one_effect(
    home: Home, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    kill_at_random_instants(home, undisturbed, tmp_path, RANDOM_KILLS, seed=2026)


@pytest.mark.soak
def test_killed_at_two_hundred_random_instants_it_has_one_effect(
    home: Home, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    kill_at_random_instants(home, undisturbed, tmp_path, 200, seed=2027)


def kill_at_random_instants(home: Home, undisturbed: dict[str, Any], folder: Path, kills: int, seed: int) -> None:
    """Resolve ``kills`` copies of ``home``, each killed once at a random instant and then run to the end."""
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    cut_short = 0
    for number in range(kills):
        copy = light_copy(home, folder / f"copy-{number}")
        child = os.fork()
        if child == 0:
            try:
                signal.setitimer(signal.ITIMER_REAL, float(rng.uniform(0.002, 0.04)))
                signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
                resolve_round(platform_on(copy), KEY)
            finally:
                os._exit(0)
        cut_short += os.WIFSIGNALED(os.waitpid(child, 0)[1])
        rng.random()  # the child's draw, so that the next copy is killed at another instant
        assert resolve_in_child(copy, None) == 0
        assert effect(copy) == undisturbed
        shutil.rmtree(copy.path)
    assert cut_short > 0


def light_copy(home: Home, path: Path) -> Home:
    """Copy a home's database and keys; its files are shared, because a file's name is its hash."""
    path.mkdir()
    for name in ("home.toml", "crowdalpha.db"):
        shutil.copy(home.path / name, path / name)
    shutil.copytree(home.keys, path / "keys")
    (path / "rounds").symlink_to(home.rounds)
    return Home.open(path)


def test_resolved_twice_it_has_one_effect(home: Home, undisturbed: dict[str, Any]) -> None:
    platform = platform_on(home)
    first = resolve_round(platform, KEY)
    assert resolve_round(platform, KEY) == first
    platform.store.dispose()
    assert effect(home) == undisturbed


def test_raced_by_eight_processes_it_has_one_effect(home: Home, undisturbed: dict[str, Any]) -> None:
    children = []
    for _ in range(8):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                resolve_round(platform_on(home), KEY)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children] == [0] * 8
    assert effect(home) == undisturbed
