"""A served platform for the HTTP tests: made anew for each test that writes, shared by those that only read."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.http.app import create_app
from tests.builders.platforms import Served, serve_small


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = serve_small(tmp_path / "home")
    yield made
    made.platform.store.dispose()


@pytest.fixture
def client(served: Served) -> TestClient:
    return TestClient(create_app(served.platform), raise_server_exceptions=False)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = serve_small(tmp_path_factory.mktemp("served") / "home")
    yield made
    made.platform.store.dispose()


@pytest.fixture(scope="session")
def reader(shared: Served) -> TestClient:
    return TestClient(create_app(shared.platform), raise_server_exceptions=False)
