"""A progress bar that a long workflow can be handed. On a terminal it is a bar; elsewhere it is a line now and then.

The workflow knows three calls: ``start(total, text)``, ``advance(text)`` and ``note(text)``. It does not know who listens.
"""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

PLAIN_LINES_MAX = 20
"""Where there is no terminal, the bar's texts become at most so many lines."""


class ConsoleProgress:
    """Progress on standard error, so that standard output holds results only. Use it in a ``with`` block."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._task: TaskID | None = None
        self._total = 0
        self._done = 0
        self._bar = Progress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=self._console,
            disable=not self._console.is_terminal,
        )

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()

    def start(self, total: int, text: str) -> None:
        """Begin a stretch of ``total`` steps; a stretch that was begun before is over."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._total, self._done = max(total, 0), 0
        self._task = self._bar.add_task(text, total=total)
        if not self._console.is_terminal:
            self.note(text)

    def advance(self, text: str = "") -> None:
        """Count one step; ``text`` says what is being done now, an empty one leaves what stands."""
        self._done += 1
        if self._task is not None:
            self._bar.update(self._task, advance=1, description=text or None)
        step = max(1, -(-self._total // PLAIN_LINES_MAX))
        if text and not self._console.is_terminal and self._done % step == 0:
            self.note(f"{self._done}/{self._total} {text}")

    def note(self, text: str) -> None:
        """Print a line that stays."""
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)
