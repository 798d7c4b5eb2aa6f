"""One platform, two databases: a season on PostgreSQL comes to the same summary as on SQLite, to the byte."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from service.store import ledger
from service.store.engine import Store
from tests.builders.seasons import play_small

LAST = date(2021, 2, 12)
"""Late enough for the first round of each tournament to resolve."""


@pytest.mark.postgres
def test_a_season_comes_to_the_same_on_postgresql(postgres_databases: Any, tmp_path: Path) -> None:
    name = postgres_databases.empty()
    url = postgres_databases.url(name)
    try:
        _, here = play_small(tmp_path / "sqlite", last=LAST)
        _, there = play_small(tmp_path / "postgres", last=LAST, overrides={"database.url": url})
        assert here.data["rounds"]["signals"]["resolved"] == 1
        assert there.paths["summary"].read_bytes() == here.paths["summary"].read_bytes()
        store = Store(url)
        with store.read() as connection:
            assert ledger.verify(connection) == []
        store.dispose()
    finally:
        postgres_databases.drop(name)
