"""Have several backtests of a home finished: those whose trials it has are left alone, the others are worked on.

It is what sweeps and capacity share. Which backtests, and what is made of them, is theirs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, Unavailable
from service.backtest.executors import Executor, Refusals, parts_of, run_each, run_parts, worker_count
from service.backtest.spec import BacktestSpec
from service.backtest.trials import Trial
from service.progress import Progress
from service.workflows.backtest import BacktestRoom


@dataclass(frozen=True, slots=True)
class Workers:
    """Where backtests are worked on.

    Attributes
    ----------
    executor : Executor
    scheduler : str or None
        Address of a Dask scheduler; None makes a cluster on this machine.
    count : int or None
        Processes, or workers of a cluster on this machine; one a processor otherwise.
    """

    executor: Executor = Executor.SERIAL
    scheduler: str | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """The trial of each backtest, in their order, and how many were computed now."""

    trials: tuple[Trial, ...]
    computed: int


def finish(room: BacktestRoom, named: Sequence[tuple[str, BacktestSpec]], workers: Workers, progress: Progress) -> Finished:
    """Return the trials of backtests, after having run those that the home lacks.

    Parameters
    ----------
    named : sequence of (str, BacktestSpec)
        Each with the words that the progress shows when it is finished. Equal backtests are run once.

    Raises
    ------
    InputRejected
        As :func:`service.workflows.backtest.run_backtest`, with the words of the first backtest that was refused; the others
        are finished by then.
    Unavailable
        As :func:`service.backtest.executors.run_parts`.
    """
    progress.note("Reading the prices.")
    identities = [room.identity(spec) for _, spec in named]
    due = {i: cell for i, cell in zip(identities, named, strict=True) if room.trials.get(i) is None}
    progress.start(len(due), f"{len(due)} of {len(named)} backtests")
    watch = _Watch(room, {identity: words for identity, (words, _) in due.items()}, progress)
    specs = [spec for _, spec in due.values()]
    refusals: Refusals = {}
    if workers.executor is Executor.SERIAL:
        refusals = run_each(room, specs, watch)
    elif due:
        count = workers.count or worker_count()
        parts = parts_of(room.platform.home.path, room.platform.settings, specs, count)
        refusals = run_parts(workers.executor, parts, watch, workers=count, scheduler=workers.scheduler)
        watch()
    for identity, (words, _) in due.items():
        if identity in refusals:
            raise _refused(words, len(refusals), len(named), refusals[identity])
    return Finished(tuple(_trial(room, identity) for identity in identities), len(due))


def _refused(words: str, refused: int, of: int, why: InputRejected) -> InputRejected:
    others = f" So were {refused - 1} more of {of}." if refused > 1 else ""
    return InputRejected(
        why.code, f"{words} was refused: {why.message}{others} What was not refused is finished.", why.findings
    )


class _Watch:
    """Advances the progress by the trials whose files have come."""

    def __init__(self, room: BacktestRoom, due: dict[str, str], progress: Progress) -> None:
        self.room, self.left, self.progress = room, dict(due), progress

    def __call__(self) -> None:
        for identity in [i for i in self.left if self.room.trials.get(i) is not None]:
            self.progress.advance(self.left.pop(identity))


def _trial(room: BacktestRoom, identity: str) -> Trial:
    trial = room.trials.get(identity)
    if trial is None:
        told = "A worker reported a backtest as finished whose trial is not in this home: do the workers see the same folder?"
        raise Unavailable(Code.WORKERS_LOST, told)
    return trial
