"""The providers' examples work as they are told. Method: run them as programs against a real server, on a random market."""

import csv
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from crowdalpha.ids import RoundKey, Tournament
from market.calendars import to_instant
from market.panel import PointInTimePanel
from service.clock import SimulatedClock
from service.context import Platform, build_platform
from service.home import Home
from service.idsource import SeededIds
from service.settings import load_settings
from service.store import submissions
from service.workflows.accounts import create_key, create_model, create_provider
from service.workflows.open_round import open_round
from service.workflows.publish import publish
from tests.builders.panels import small_panel, view_at
from tests.builders.treasuries import fill_treasury

ROOT = Path(__file__).resolve().parents[2]
SEED = 3
FRIDAY = 4


def last_friday(panel: PointInTimePanel) -> int:
    """Return the row of the panel's last session that ends a week."""
    weekdays = (panel.sessions.astype("datetime64[D]").astype(np.int64) + 3) % 7
    return int(np.flatnonzero(weekdays == FRIDAY)[-1])


def write_prices(panel: PointInTimePanel, until: int, path: Path) -> None:
    """Write what a provider could have bought that evening: adjusted closes up to the row ``until``."""
    index = view_at(panel, until).return_index()
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["ticker", "date", "adj_close"])
        for row in range(until + 1):
            for column, ticker in enumerate(panel.assets.tickers):
                if not np.isnan(index[row, column]):
                    writer.writerow([ticker, str(panel.sessions[row]), f"{index[row, column]:.4f}"])


@pytest.fixture(scope="module")
def market() -> PointInTimePanel:
    print(f"seed {SEED}")
    return small_panel(seed=SEED, n_assets=140)


@pytest.fixture(scope="module")
def platform(market: PointInTimePanel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform on a Friday evening, with one round open."""
    now = to_instant(market.known_at[last_friday(market)]) + timedelta(hours=1)
    home = Home.create(tmp_path_factory.mktemp("home") / "home")
    made = build_platform(home, load_settings(), SimulatedClock(now), SeededIds(SEED))
    made.desk.use(market)
    create_provider(made, "ada")
    create_model(made, "ada", "ada_momentum", Tournament.SIGNALS)
    create_model(made, "ada", "ada_ridge", Tournament.CLASSIC)
    assert publish(made).train > 0
    fill_treasury(made)
    for tournament in Tournament:
        open_round(made, tournament)
    yield made
    made.store.dispose()


@pytest.fixture(scope="module")
def server(platform: Platform) -> Iterator[str]:
    """Serve the platform on a free port of this machine."""
    import uvicorn

    from service.http.app import create_app

    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        running = uvicorn.Server(uvicorn.Config(create_app(platform), log_level="warning", lifespan="off"))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        running.should_exit = True
        thread.join(timeout=10)


def run_example(folder: Path, server: str, key: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "examples" / "first_signal.py"), "--server", server, "--model", "ada_momentum"]
    command += ["--prices", str(folder / "prices.csv"), "--receipt", str(folder / "receipt.json")]
    environment = {"CROWDALPHA_KEY": key, "HOME": str(folder)}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment, cwd=folder)


def test_the_first_signal_is_accepted_and_stands_in_the_round(
    market: PointInTimePanel, platform: Platform, server: str, tmp_path: Path
) -> None:
    write_prices(market, last_friday(market), tmp_path / "prices.csv")
    _, key = create_key(platform, "ada", ["submit"])
    done = run_example(tmp_path, server, key)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("Accepted for round signals-1 at ")
    with platform.store.read() as connection:
        (selected,) = submissions.selected_submissions(connection, RoundKey(Tournament.SIGNALS, 1)).values()
    assert selected.sha256 in (tmp_path / "receipt.json").read_text()


def test_a_wrong_key_is_told_in_a_sentence(market: PointInTimePanel, server: str, tmp_path: Path) -> None:
    write_prices(market, last_friday(market), tmp_path / "prices.csv")
    done = run_example(tmp_path, server, "nobody$nothing")
    assert done.returncode == 2
    assert "[key_invalid]" in done.stdout
    assert not (tmp_path / "receipt.json").exists()


def test_a_refused_file_shows_its_findings(market: PointInTimePanel, platform: Platform, server: str, tmp_path: Path) -> None:
    write_prices(market, last_friday(market), tmp_path / "prices.csv")
    few = (tmp_path / "prices.csv").read_text().splitlines()
    kept = [line for line in few if line.split(",")[0] in {"ticker", "A000", "A001", "A002"}]
    (tmp_path / "prices.csv").write_text("\n".join(kept))
    _, key = create_key(platform, "ada", ["submit"])
    done = run_example(tmp_path, server, key)
    assert done.returncode == 2
    assert "[rows_too_few]" in done.stdout


def test_the_classic_model_trains_on_the_history_and_is_accepted(platform: Platform, server: str, tmp_path: Path) -> None:
    _, key = create_key(platform, "ada", ["submit"])
    command = [sys.executable, str(ROOT / "examples" / "classic_model.py"), "--server", server, "--model", "ada_ridge"]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={"CROWDALPHA_KEY": key}, cwd=tmp_path
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "accepted for round classic-1" in done.stdout
    with platform.store.read() as connection:
        assert len(submissions.selected_submissions(connection, RoundKey(Tournament.CLASSIC, 1))) == 1
