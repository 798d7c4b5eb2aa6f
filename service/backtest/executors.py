"""Where the cells of a sweep are worked on: here, in processes of this machine, or on a Dask cluster.

A worker gets the path of the home, the settings and a few cells; it opens the home itself and keeps the trials there. So the
workers of a cluster need the same folder. They return nothing but refusals: which cells are finished is told by the files. No
number depends on where a cell was worked on.

Cells that share a panel are kept together, since a worker computes a panel's evenings once; there are at least as many parts as
workers. A part whose worker died is begun again, and what it had finished is not.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, Unavailable
from service.backtest.spec import BacktestSpec
from service.settings import Settings

POLL_SECONDS = 0.5
Part = tuple[Path, Settings, tuple[BacktestSpec, ...]]
Watch = Callable[[], None]
"""Called now and then while the parts are worked on."""
Refusals = dict[str, InputRejected]
"""Why a backtest could not be run, by its identity."""


class Executor(StrEnum):
    """Where the cells are worked on."""

    SERIAL = "serial"
    PROCESSES = "processes"
    DASK = "dask"


def parts_of(home: Path, settings: Settings, specs: Sequence[BacktestSpec], workers: int) -> list[Part]:
    """Return the specs in parts: each of one panel, at least one for each of ``workers`` if there are as many specs."""
    panels: dict[tuple[float, int], list[BacktestSpec]] = {}
    for spec in specs:
        panels.setdefault((spec.deaths_percent, spec.seed if spec.deaths_percent else 0), []).append(spec)
    each = max(1, -(-workers // max(1, len(panels))))
    found: list[Part] = []
    for alike in panels.values():
        size = -(-len(alike) // each)
        found += [(home, settings, tuple(alike[at : at + size])) for at in range(0, len(alike), size)]
    return found


def work(part: Part) -> Refusals:
    """Run the cells of a part that are not finished, in a room that this process keeps, and return those that were refused."""
    home, settings, specs = part
    return run_each(_room(home, settings), specs)


def run_each(room: Any, specs: Sequence[BacktestSpec], watch: Watch | None = None) -> Refusals:
    """Run the specs that are not finished, one after the other, in a :class:`service.workflows.backtest.BacktestRoom`."""
    refusals: Refusals = {}
    for spec in specs:
        identity = room.identity(spec)
        if room.trials.get(identity) is None:
            try:
                room.run(spec)
            except InputRejected as refused:
                refusals[identity] = refused
        if watch is not None:
            watch()
    return refusals


@lru_cache(maxsize=1)
def _room(home: Path, settings: Settings) -> Any:
    """Return this process's room on a home; it stays open until the process ends."""
    from service.context import build_platform
    from service.home import Home
    from service.workflows.backtest import BacktestRoom

    return BacktestRoom(build_platform(Home.open(home), settings))


def run_parts(
    executor: Executor, parts: Sequence[Part], watch: Watch, *, workers: int | None = None, scheduler: str | None = None
) -> Refusals:
    """Work on the parts, on processes or on Dask, and return what was refused.

    Parameters
    ----------
    executor : Executor
        Not ``serial``: that is the caller's own loop.
    workers : int, optional
        Processes; one a processor otherwise.
    scheduler : str, optional
        Address of a running Dask scheduler; without it a cluster on this machine is made for the time.

    Raises
    ------
    Unavailable
        DEPENDENCY_MISSING without Dask; WORKERS_LOST when a worker died, or the scheduler does not answer. What was finished
        stays, and a second run goes on from there.
    """
    if executor is Executor.PROCESSES:
        return _on_processes(parts, watch, workers or worker_count())
    return _on_dask(parts, watch, workers or worker_count(), scheduler)


def worker_count() -> int:
    """Return how many workers this machine has processors for."""
    return os.cpu_count() or 1


def _on_processes(parts: Sequence[Part], watch: Watch, workers: int) -> Refusals:
    import multiprocessing
    from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
    from concurrent.futures.process import BrokenProcessPool

    # Spawned, not forked: a copy of a process with threads and open databases is not a fresh one.
    context = multiprocessing.get_context("spawn")
    refusals: Refusals = {}
    with ProcessPoolExecutor(min(workers, len(parts)), mp_context=context) as pool:
        waiting = {pool.submit(work, part) for part in parts}
        try:
            while waiting:
                done, waiting = wait(waiting, POLL_SECONDS, FIRST_EXCEPTION)
                watch()
                for future in done:
                    refusals |= future.result()
        except BrokenProcessPool as error:
            raise _lost("a process of the sweep") from error
        finally:
            for future in waiting:
                future.cancel()
    return refusals


def _on_dask(parts: Sequence[Part], watch: Watch, workers: int, scheduler: str | None) -> Refusals:
    try:
        dask: Any = import_module("dask.distributed")
    except ImportError as error:
        told = "The executor 'dask' needs the optional packages: install crowdalpha[cluster]."
        raise Unavailable(Code.DEPENDENCY_MISSING, told) from error
    refusals: Refusals = {}
    with _client(dask.Client, workers, scheduler) as client:
        waiting = [client.submit(work, part, pure=False) for part in parts]
        try:
            while waiting:
                with suppress(TimeoutError):  # how long a part takes is nobody's promise
                    dask.wait(waiting, timeout=POLL_SECONDS)
                watch()
                for future in [f for f in waiting if f.done()]:
                    refusals |= future.result()
                    waiting.remove(future)
        except dask.KilledWorker as error:
            raise _lost("the same part of the sweep on several workers") from error
    return refusals


@contextmanager
def _client(client: Any, workers: int, scheduler: str | None) -> Iterator[Any]:
    """Yield a client of the scheduler, or of a cluster of this machine that ends with the block."""
    try:
        if scheduler is None:
            opened = client(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None)
        else:
            opened = client(scheduler, timeout="10s")
    except (OSError, TimeoutError, ValueError) as error:
        if isinstance(error, ValueError):
            raise InputRejected(Code.REQUEST_INVALID, f"'{scheduler}' is no address of a Dask scheduler.") from error
        raise Unavailable(Code.WORKERS_LOST, f"The Dask scheduler at {scheduler} does not answer.") from error
    with opened:
        yield opened


def _lost(what: str) -> Unavailable:
    return Unavailable(Code.WORKERS_LOST, f"A worker died: {what}. Finished cells are kept; run the sweep again to go on.")
