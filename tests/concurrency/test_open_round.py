"""A session has one round a tournament, however many open it at once. Goal: one round, one budget, one answer for everybody.

Method: platforms of one home with connections of their own, each held back behind its first look until all of them had it, on
both databases.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier

import pytest

from crowdalpha.ids import RoundKey, Tournament
from service.clock import SimulatedClock
from service.context import Platform, build_platform
from service.home import Home
from service.idsource import SeededIds
from service.store import audit, rounds
from service.workflows import open_round as module
from service.workflows.treasury import deposit_treasury, treasury_state
from tests.builders.seasons import small_panel, small_settings

AT = datetime(2021, 1, 8, 23, 30, tzinfo=UTC)
OPENERS = 4


@pytest.fixture
def platforms(empty_database_url: str, tmp_path: Path) -> Iterator[list[Platform]]:
    settings, home, panel = small_settings({"database.url": empty_database_url}), Home.create(tmp_path / "home"), small_panel()
    made = [build_platform(home, settings, SimulatedClock(AT), SeededIds("race")) for _ in range(OPENERS)]
    for platform in made:
        platform.desk.use(panel)
    yield made
    for platform in made:
        platform.store.dispose()


@pytest.mark.parametrize("tournament", Tournament)
def test_many_that_open_at_once_open_one_round(
    platforms: list[Platform], monkeypatch: pytest.MonkeyPatch, tournament: Tournament
) -> None:
    budget = 20_000 * 10**18
    deposit_treasury(platforms[0], OPENERS * budget)
    everybody_has_looked, freeze = Barrier(OPENERS, timeout=60), module.freeze

    def freeze_later(*given: object) -> object:
        everybody_has_looked.wait()
        return freeze(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "freeze", freeze_later)
    with ThreadPoolExecutor(OPENERS) as pool:
        answers = list(pool.map(lambda platform: module.open_round(platform, tournament), platforms))
    assert {record.key for record in answers} == {RoundKey(tournament, 1)}
    assert treasury_state(platforms[0]).promised_atoms == budget
    with platforms[0].store.read() as connection:
        assert [record.key for record in rounds.list_rounds(connection)] == [RoundKey(tournament, 1)]
        assert [line.what for line in audit.list_audit(connection, str(RoundKey(tournament, 1)))] == ["open_round"]
