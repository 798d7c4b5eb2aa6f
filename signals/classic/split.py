"""Which eras are for training, which for validation, and the embargo between them.

An era's targets run over the sessions after it. A model that was fitted up to one era knows something of the returns until its
longest window ends, so an era that begins earlier cannot judge it.

1. Only eras whose longest window is known take part.
2. The first publication gives a share of them to training; that border stays, and later eras go to validation.
3. An era belongs to the embargo while it lies before the end of the last training era's longest window; there are at least as
   many as the window has weeks, so that the windows of the two parts do not even touch.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

WEEK_SESSIONS = 5


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
    Split(train=[0, 5, 10, 15, 20, 25, 30, 35, 40, 45], embargo=[50, 55, 60, 65, 70], validation=[75, 80, 85, 90, 95])
    """
    if not rows:
        return Split([], [], [])
    last = rows[max(int(train_share * len(rows)), 1) - 1] if train_last is None else train_last
    after = [r for r in rows if r > last]
    kept_apart = max(sum(r < last + window_sessions for r in after), math.ceil(window_sessions / WEEK_SESSIONS))
    return Split([r for r in rows if r <= last], after[:kept_apart], after[kept_apart:])
