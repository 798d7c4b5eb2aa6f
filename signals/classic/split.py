"""Which eras are for training, which for validation, and the embargo between them.

An era's targets run over the sessions after it. A model that was fitted up to one era knows something of the returns until its
longest window ends, so an era that begins earlier cannot judge it.

1. Only eras whose longest window is known take part.
2. The first publication gives a share of them to training; that border stays, and later eras go to validation.
3. An era belongs to the embargo while it lies before the end of the last training era's longest window.
"""

from collections.abc import Sequence
from typing import NamedTuple


class Split(NamedTuple):
    """Rows of a panel that end weeks, each list ascending."""

    train: list[int]
    embargo: list[int]
    validation: list[int]


def split_eras(rows: Sequence[int], window_sessions: int, train_share: float, train_last: int | None = None) -> Split:
    """Part the eras in time.

    Parameters
    ----------
    rows : sequence of int
        Ascending rows of the panel; every return in their windows is known.
    window_sessions : int
        Lag and longest horizon: an era's last return is that of row + window_sessions.
    train_share : float
        Part of the rows that trains, in (0, 1]; at least one row.
    train_last : int, optional
        Last training row of the publication that this one continues; the share then decides nothing.

    Examples
    --------
    >>> split_eras(range(0, 100, 5), 22, 0.5)
    Split(train=[0, 5, 10, 15, 20, 25, 30, 35, 40, 45], embargo=[50, 55, 60, 65], validation=[70, 75, 80, 85, 90, 95])
    """
    if not rows:
        return Split([], [], [])
    last = rows[max(int(train_share * len(rows)), 1) - 1] if train_last is None else train_last
    free = last + window_sessions
    return Split(
        [r for r in rows if r <= last], [r for r in rows if last < r < free], [r for r in rows if r > last and r >= free]
    )
