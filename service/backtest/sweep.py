"""A sweep: all cells of a grid, each a trial of the home, in one table with deflated Sharpe ratios.

1. The grid becomes cells, and each cell its identity. A cell whose trial the home has is finished: so a sweep that was stopped
   goes on where it was, and a second one only adds what is new.
2. The others are worked on by the executor (:mod:`service.backtest.executors`).
3. The table has one line a cell, in the order of the grid. The deflated ratio counts all trials of the home on these prices,
   also those of earlier sweeps and single runs: who tries again has tried more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.backtest.executors import Executor, parts_of, run_parts, worker_count
from service.backtest.grid import Cell, read_grid
from service.backtest.trials import Trial
from service.context import Platform
from service.progress import Progress, Silent
from service.workflows.backtest import BacktestRoom

TOLD = ("annual_return", "annual_volatility", "sharpe", "sharpe_error", "gross_sharpe", "max_drawdown", "turnover", "beta")


@dataclass(frozen=True, slots=True)
class Sweep:
    """A finished sweep.

    Attributes
    ----------
    rows : tuple of dict
        One a cell: ``source``, what the grid varies, the figures, ``deflated_sharpe`` and ``trial``.
    computed, found : int
        Cells that this run worked on, and that it found finished.
    trials : int
        All trials of the home on these prices.
    """

    rows: tuple[dict[str, Any], ...]
    computed: int
    found: int
    trials: int


def run_sweep(
    platform: Platform,
    grid: Path,
    executor: Executor = Executor.SERIAL,
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Sweep:
    """Run the cells of a grid that are not finished, and return the table of all of them.

    Parameters
    ----------
    grid : Path
        See :mod:`service.backtest.grid`.
    executor : Executor
    scheduler : str, optional
        Address of a Dask scheduler.
    workers : int, optional
        Processes, or workers of a cluster on this machine.

    Raises
    ------
    InputRejected
        What the grid, a mandate or a history is refused for, before anything is run.
    Unavailable
        WORKERS_LOST, DEPENDENCY_MISSING; PRICES_MISSING when the home has no prices.
    """
    progress = progress or Silent()
    cells = read_grid(grid, platform.settings)
    progress.note("Reading the prices.")
    room = BacktestRoom(platform)
    identities = [room.identity(cell.spec) for cell in cells]
    due = {i: c for i, c in zip(identities, cells, strict=True) if room.trials.get(i) is None}
    progress.start(len(due), f"{len(due)} of {len(cells)} cells")
    if executor is Executor.SERIAL:
        for cell in due.values():
            room.run(cell.spec)
            progress.advance(_words(cell))
    elif due:
        watch = _Watch(room, due, progress)
        specs = [cell.spec for cell in due.values()]
        parts = parts_of(platform.home.path, platform.settings, specs, workers or worker_count())
        run_parts(executor, parts, watch, workers=workers, scheduler=scheduler)
        watch()
    return Sweep(
        tuple(_rows(room, cells, identities)), len(due), len(cells) - len(due), len(room.trials.on_data(room.data_sha256))
    )


class _Watch:
    """Advances the progress by the cells whose files have come."""

    def __init__(self, room: BacktestRoom, due: dict[str, Cell], progress: Progress) -> None:
        self.room, self.left, self.progress = room, dict(due), progress

    def __call__(self) -> None:
        for identity in [i for i in self.left if self.room.trials.get(i) is not None]:
            self.progress.advance(_words(self.left.pop(identity)))


def _words(cell: Cell) -> str:
    return " ".join([cell.spec.source, *(f"{name}={value}" for name, value in cell.varied.items() if name != "signals")])


def _rows(room: BacktestRoom, cells: Sequence[Cell], identities: Sequence[str]) -> list[dict[str, Any]]:
    found: list[Trial] = []
    for identity in identities:
        trial = room.trials.get(identity)
        if trial is not None:
            found.append(trial)
    deflated = room.trials.deflated(found)
    return [
        {
            "source": cell.spec.source,
            **{name: value for name, value in cell.varied.items() if name != "signals"},
            **{name: trial.figures[name] for name in TOLD},
            "deflated_sharpe": deflated[trial.id],
            "outside_bands": trial.figures["outside_bands"],
            "trial": trial.id[:12],
        }
        for cell, trial in zip(cells, found, strict=True)
    ]
