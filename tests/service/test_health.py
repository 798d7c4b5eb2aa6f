"""Goal: a platform that is not well says so. Method: an event that nobody claims, and a crooked ledger."""

from datetime import timedelta
from pathlib import Path

import pytest

from service import queries
from service.store import ledger, occurrences
from service.store.records import PlannedOccurrence
from tests.builders.platforms import NOW, Served, serve_small


@pytest.fixture
def served(tmp_path: Path):
    made = serve_small(tmp_path / "home")
    yield made
    made.platform.store.dispose()


def test_an_event_that_nobody_claims_for_a_minute_turns_health_red(served: Served) -> None:
    platform, clock = served.platform, served.clock
    with platform.store.write() as connection:
        occurrences.plan(connection, [PlannedOccurrence("open_round:signals:2016-01-15", NOW, {})])
    assert queries.health(platform)["status"] == "ok"
    clock.advance_to(NOW + timedelta(seconds=61))
    late = queries.health(platform)
    assert (late["status"], late["overdue"]) == ("late", 1)


def test_a_ledger_off_zero_is_broken(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "balances", lambda connection: {"external": -2, "treasury": 1})
    assert queries.health(served.platform)["status"] == "broken"
