"""Named instants at which a crash test stops the process; in production each is a call that does nothing.

A test sets the hook in a child process: it kills itself when the named point is reached, so that crashes aim at every step of
a workflow and not only at random instants.
"""

from collections.abc import Callable
from typing import Final

FAULT_POINTS: Final = (
    "resolve.decided",
    "resolve.blob_written",
    "resolve.row_written",
    "resolve.transfers_posted",
    "resolve.before_commit",
)

SENDING_FAULT_POINTS: Final = (
    "send.recorded",
    "send.before_placing",
    "send.placed",
    "send.confirmed",
)

_hook: list[Callable[[str], None]] = []


def fault_point(name: str) -> None:
    """Mark the instant ``name``; runs the hook of a crash test when there is one."""
    for hook in _hook:
        hook(name)


def set_fault_hook(hook: Callable[[str], None] | None) -> None:
    """Run ``hook`` at every fault point from now on; None removes it. For tests only."""
    _hook.clear()
    if hook is not None:
        _hook.append(hook)
