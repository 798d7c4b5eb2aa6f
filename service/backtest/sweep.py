"""A sweep: all cells of a grid, each a trial of the home, in one table with deflated Sharpe ratios.

1. The grid becomes cells, and each cell its identity. A cell whose trial the home has is finished: so a sweep that was stopped
   goes on where it was, and a second one only adds what is new.
2. The others are worked on (:mod:`service.backtest.finish`).
3. The table has one line a cell, in the order of the grid. The deflated ratio counts all trials of the home on these prices,
   also those of earlier sweeps and single runs: who tries again has tried more.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.backtest.finish import Workers, finish
from service.backtest.grid import Cell, read_grid
from service.backtest.trials import probability
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


def run_sweep(platform: Platform, grid: Path, workers: Workers | None = None, progress: Progress | None = None) -> Sweep:
    """Run the cells of a grid that are not finished, and return the table of all of them.

    Parameters
    ----------
    grid : Path
        See :mod:`service.backtest.grid`.
    workers : Workers, optional
        This process alone otherwise.
    progress : Progress, optional

    Raises
    ------
    InputRejected
        What the grid, a mandate or a history is refused for, before anything is run.
    Unavailable
        WORKERS_LOST, DEPENDENCY_MISSING; PRICES_MISSING when the home has no prices.
    """
    cells = read_grid(grid, platform.settings)
    room = BacktestRoom(platform)
    done = finish(room, [(_words(cell), cell.spec) for cell in cells], workers or Workers(), progress or Silent())
    deflated = room.trials.deflated(done.trials)
    rows = tuple(
        {
            "source": cell.spec.source,
            **{name: value for name, value in cell.varied.items() if name != "signals"},
            **{name: trial.figures[name] for name in TOLD},
            "deflated_sharpe": probability(deflated[trial.id]),
            "outside_bands": trial.figures["outside_bands"],
            "trial": trial.id[:12],
        }
        for cell, trial in zip(cells, done.trials, strict=True)
    )
    return Sweep(rows, done.computed, len(cells) - done.computed, len(room.trials.everything()))


def _words(cell: Cell) -> str:
    return " ".join([cell.spec.source, *(f"{name}={value}" for name, value in cell.varied.items() if name != "signals")])
