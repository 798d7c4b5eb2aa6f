"""A sweep gives the same numbers wherever it runs, and keeps what it has finished. Method: one grid in three homes by three
executors, compared byte by byte; trials are taken away and counted again; a worker of a real Dask cluster is killed."""

import importlib.util
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, Unavailable
from service.backtest.executors import Executor, parts_of, run_parts
from service.backtest.finish import Workers
from service.backtest.grid import read_grid
from service.backtest.sweep import run_sweep
from service.context import Platform, build_platform
from service.home import Home
from service.workflows.backtest import BacktestRoom
from tests.builders.backtests import Room, backtest_home, eventful_panel, small_settings

GRID = """
signals = ["momentum.csv", "reversal.csv"]
costs = [true, false]
to = 2016-02-26

[mandate]
position_max = [0.15]
"""
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    room = backtest_home(tmp_path_factory.mktemp("sweep"))
    grid = room.momentum.parent / "grid.toml"
    grid.write_text(GRID)
    run_sweep(room.platform, grid)
    yield room
    room.platform.store.dispose()


@pytest.fixture
def fresh(serial: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """A home with the same prices and no trial; what it starts imports from here."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    shutil.copytree(serial.platform.home.path, tmp_path / "home", ignore=shutil.ignore_patterns("backtests"))
    platform = build_platform(Home.open(tmp_path / "home"), small_settings())
    platform.desk.use(eventful_panel())
    yield platform
    platform.store.dispose()


def grid_of(room: Room) -> Path:
    return room.momentum.parent / "grid.toml"


def trial_bytes(platform: Platform) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (platform.home.reports / "backtests").iterdir()}


def test_the_table_has_a_line_a_cell_in_the_grids_order(serial: Room) -> None:
    found = run_sweep(serial.platform, grid_of(serial))
    assert [(row["source"], row["costs"]) for row in found.rows] == [
        ("momentum", True), ("momentum", False), ("reversal", True), ("reversal", False),
    ]  # fmt: skip
    assert all(0.0 <= row["deflated_sharpe"] <= 1.0 for row in found.rows)
    assert found.trials == 4


def test_a_sweep_that_is_run_again_computes_what_is_missing(serial: Room) -> None:
    before = trial_bytes(serial.platform)
    lost = min(before).partition(".")[0]
    (serial.platform.home.reports / "backtests" / f"{lost}.json").unlink()
    found = run_sweep(serial.platform, grid_of(serial))
    assert (found.computed, found.found) == (1, 3)
    assert trial_bytes(serial.platform) == before


def test_processes_give_the_same_bytes(serial: Room, fresh: Platform) -> None:
    found = run_sweep(fresh, grid_of(serial), Workers(Executor.PROCESSES, count=2))
    assert found.computed == 4
    assert trial_bytes(fresh) == trial_bytes(serial.platform)


def test_a_worker_that_dies_is_told_and_what_was_finished_stays(
    serial: Room, fresh: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = BacktestRoom(fresh)
    specs = [cell.spec for cell in read_grid(grid_of(serial), fresh.settings)]
    parts = parts_of(fresh.home.path, fresh.settings, specs, 1)

    def kill_after_the_first() -> None:
        if room.trials.everything():
            for child in _children():
                os.kill(child, signal.SIGKILL)

    with pytest.raises(Unavailable) as lost:
        run_parts(Executor.PROCESSES, parts, kill_after_the_first, workers=1)
    assert lost.value.code.value == "workers_lost"
    assert 1 <= len(room.trials.everything()) < 4
    assert run_sweep(fresh, grid_of(serial)).found >= 1
    assert trial_bytes(fresh) == trial_bytes(serial.platform)


@pytest.mark.parametrize("workers", [Workers(), Workers(Executor.PROCESSES, count=2), Workers(Executor.DASK, count=2)])
def test_a_signal_that_is_refused_hinders_no_other(serial: Room, fresh: Platform, tmp_path: Path, workers: Workers) -> None:
    if workers.executor is Executor.DASK:
        pytest.importorskip("distributed", reason="Dask is not installed: the extra `cluster` has it")
    strange = tmp_path / "strange.csv"
    strange.write_text("date,ticker,signal\n2016-02-05,NOPE,0.4\n2016-02-12,NOPE,0.6\n")
    grid = tmp_path / "grid.toml"
    grid.write_text(f"signals = ['{strange}', '{serial.momentum}']\ncosts = [true, false]\nto = 2016-02-26")
    with pytest.raises(InputRejected) as refused:
        run_sweep(fresh, grid, workers)
    assert refused.value.code is Code.ROWS_TOO_FEW
    assert refused.value.message.startswith("strange costs=True was refused: On no date was enough said")
    assert "So were 1 more of 4." in refused.value.message
    assert "NOPE" in refused.value.findings[0].message
    room = BacktestRoom(fresh)
    assert len(room.trials.everything()) == 2


def _children() -> list[int]:
    """Processes that this one has started as workers of a pool; the pool's own watcher of resources is none."""
    import multiprocessing

    return [child.pid for child in multiprocessing.active_children() if child.pid is not None]


@pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="Dask is not installed: the extra `cluster` has it")
def test_dask_gives_the_same_bytes_though_a_worker_is_killed(serial: Room, fresh: Platform) -> None:
    """A real cluster of two workers behind a scheduler's address; one is killed once the first trial has come."""
    from distributed import Client, LocalCluster

    room, killed = BacktestRoom(fresh), []
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        with Client(cluster) as client:
            pids = list(client.run(os.getpid).values())
        specs = [cell.spec for cell in read_grid(grid_of(serial), fresh.settings)]

        def watch() -> None:
            if not killed and room.trials.everything():
                os.kill(pids[0], signal.SIGKILL)
                killed.append(pids[0])

        parts = parts_of(fresh.home.path, fresh.settings, specs, 2)
        run_parts(Executor.DASK, parts, watch, scheduler=cluster.scheduler_address)
        found = run_sweep(fresh, grid_of(serial), Workers(Executor.DASK, cluster.scheduler_address))
    assert killed, "a worker was killed in the middle"
    assert found.computed == 0
    assert trial_bytes(fresh) == trial_bytes(serial.platform)


@pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="Dask is not installed: the extra `cluster` has it")
def test_a_scheduler_that_is_not_there_is_told(serial: Room, fresh: Platform) -> None:
    with pytest.raises((Unavailable, InputRejected)):
        run_sweep(fresh, grid_of(serial), Workers(Executor.DASK, "nonsense://here"))


def test_without_dask_the_executor_is_refused_by_name(serial: Room, fresh: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    import service.backtest.executors as executors

    def absent(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(executors, "import_module", absent)
    with pytest.raises(Unavailable) as refused:
        run_sweep(fresh, grid_of(serial), Workers(Executor.DASK))
    assert refused.value.code.value == "dependency_missing"


def test_parts_keep_a_panel_together_and_feed_every_worker(serial: Room, tmp_path: Path) -> None:
    grid = tmp_path / "grid.toml"
    grid.write_text(GRID + "risk_aversion = [1.0, 2.0]\n")
    grid.write_text(grid.read_text().replace("to = ", "deaths_percent = [0.0, 2.0]\nto = "))
    specs = [cell.spec for cell in read_grid(grid, small_settings())]
    assert len(specs) == 16
    for workers, parts in ((1, 2), (2, 2), (4, 4), (64, 16)):
        found = parts_of(tmp_path, small_settings(), specs, workers)
        assert len(found) == parts
        assert all(len({spec.deaths_percent for spec in part[2]}) == 1 for part in found)
        assert sorted(map(id, specs)) == sorted(id(spec) for part in found for spec in part[2])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("signal = ['a.csv']", "setting_unknown"),
        ("signals = 'a.csv'", "setting_invalid"),
        ("signals = []", "setting_invalid"),
        ("costs = [1]", "setting_invalid"),
        ("deaths_percent = [true]", "setting_invalid"),
        ("fills = ['noon']", "setting_invalid"),
        ("mandate = 3", "setting_invalid"),
        ("from = 'yesterday'", "date_invalid"),
        ("[mandate]\nleverage = [2.0]", "mandate_invalid"),
        (f"seeds = {list(range(101))}\ndeaths_percent = {[i / 2 for i in range(100)]}", "setting_invalid"),
        ("signals = [", "request_invalid"),
    ],
)  # fmt: skip
def test_a_grid_that_is_none_is_refused(tmp_path: Path, text: str, code: str) -> None:
    path = tmp_path / "grid.toml"
    path.write_text(text)
    with pytest.raises(InputRejected) as refused:
        read_grid(path, small_settings())
    assert refused.value.code.value == code


def test_a_grid_names_its_files_beside_it_and_the_meta_model_by_its_word(tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    path.write_text("signals = ['a.csv', 'meta-model']\nfrom = 2016-01-04")
    cells = read_grid(path, small_settings())
    assert [cell.spec.signal for cell in cells] == [tmp_path / "a.csv", None]
    assert {str(cell.spec.first) for cell in cells} == {"2016-01-04"}
