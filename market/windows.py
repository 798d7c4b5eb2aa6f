"""Where a round's window begins and ends for each asset: rows of the joint axis, counted in its own exchange's sessions.

Not here: the returns over the window (:mod:`market.targets`). Decision instant: the round's close; sessions are known ahead, so
a window can be told before a price of it is.

1. s₀ of an exchange is its last session whose close precedes the round's close. A round that closes at noon UTC on a Monday has
   s₀ on that Monday in Tokyo and on the Friday before in New York.
2. The window runs from the close of the exchange's session s₀ + lag to that of s₀ + lag + horizon: both are counted in its own
   sessions, so a holiday week of Tokyo takes no day from Tokyo's window.
3. Rows of the axis on which an exchange is closed lie between the two without a price there: their return is 0.
4. Day k of a round is known when every exchange has had k sessions after its s₀ + lag; the round can be resolved when the
   latest of the end rows is known.
"""

from datetime import date

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, InvariantBroken
from market.arrays import BoolArray, DateArray, IntArray
from market.calendars import SessionCalendar


def windows(
    calendar: SessionCalendar,
    exchange_index: IntArray,
    base: date | DateArray,
    horizon: int,
    lag: int,
    *,
    axis_start: date | None = None,
) -> tuple[IntArray, IntArray]:
    """Return the first and the last row of each asset's window.

    Parameters
    ----------
    calendar : SessionCalendar
        Of E exchanges, or of one.
    exchange_index : (n,) int64
        Column of each asset's exchange in ``calendar.trading``, from :meth:`~market.calendars.SessionCalendar.columns`; a panel
        may order its exchanges otherwise.
    base : date, or (E,) datetime64[D]
        s₀ of each exchange, from :meth:`~market.calendars.SessionCalendar.own_last_closed_before`. A single date stands for
        each exchange's last session on or before it.
    horizon, lag : int
        Own sessions; the window is (s₀ + lag, s₀ + lag + horizon].
    axis_start : date, optional
        First session of the axis on which rows are counted, such as a panel's; by default the calendar's first. The axis has
        each later session of the calendar.

    Returns
    -------
    start_rows, end_rows : (n,) int64
        Rows of the closes that the return runs from and to.

    Raises
    ------
    InputRejected
        ``setting_invalid`` for a negative lag or a horizon below 1; ``calendar_end`` when an asset's window, or its s₀, lies
        outside the calendar; ``date_outside_panel`` when its s₀ lies before the axis.
    InvariantBroken
        When an index names no exchange.

    Examples
    --------
    >>> days = np.arange("2015-06-01", "2015-06-06", dtype="datetime64[D]")
    >>> calendar = SessionCalendar("XNYS", days, days.astype("datetime64[s]"), days.astype("datetime64[s]") + 60)
    >>> windows(calendar, np.array([0]), date(2015, 6, 1), horizon=2, lag=1)
    (array([1]), array([3]))
    """
    check_window(horizon, lag)
    trading, index = calendar.trading, np.asarray(exchange_index, dtype=np.int64)
    count = trading.shape[1]
    if ((index < 0) | (index >= count)).any():
        raise InvariantBroken(Code.INTERNAL, f"An asset's exchange is none of the {count} of the calendar.")
    bases = _bases(base, count)
    shift = 0 if axis_start is None else int(np.searchsorted(calendar.sessions, np.datetime64(axis_start, "D")))
    start, end = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    for e in np.unique(index):
        rows = np.flatnonzero(trading[:, e])
        at = int(np.searchsorted(calendar.sessions[rows], bases[e], side="right")) - 1
        if at < 0 or at + lag + horizon >= rows.shape[0]:
            window = f"{lag} + {horizon} sessions after {bases[e]}"
            raise InputRejected(
                Code.CALENDAR_END, f"The {calendar.exchanges[e]} sessions of a window, {window}, are not known."
            )
        if rows[at] < shift:
            raise InputRejected(Code.DATE_OUTSIDE_PANEL, f"{calendar.sessions[rows[at]]} lies before the first known session.")
        start[e], end[e] = rows[at + lag] - shift, rows[at + lag + horizon] - shift
    return start[index], end[index]


def days_known(calendar: SessionCalendar, exchange_index: IntArray, base: date | DateArray, lag: int, last: date) -> int:
    """Return how many sessions after s₀ + lag every exchange has had by ``last``: the day k that a round can be scored on.

    Parameters
    ----------
    calendar, exchange_index, base, lag
        As for :func:`windows`; an exchange of no asset does not count.
    last : date
        Last session that is known, of any exchange; the decision instant is when it was learnt.

    Returns
    -------
    int
        The fewest of any exchange; 0 or less where one has had none.
    """
    trading, known = calendar.trading, calendar.sessions <= np.datetime64(last, "D")
    bases = _bases(base, trading.shape[1])
    after = [int((trading[:, e] & known & (calendar.sessions > bases[e])).sum()) for e in np.unique(exchange_index)]
    return min(after, default=0) - lag


def last_base_row(trading: BoolArray, horizon: int, lag: int) -> int:
    """Return the last row that can be the base of a window which ends on every exchange inside the rows; -1 for none.

    Parameters
    ----------
    trading : (T, E) bool
        Which exchange trades on which row, such as a view's.
    horizon, lag : int
        As for :func:`windows`.

    Examples
    --------
    >>> last_base_row(np.ones((10, 1), dtype=bool), horizon=5, lag=2)
    2
    """
    check_window(horizon, lag)
    # A base may lie as late as the row before the first of the last lag + horizon own sessions.
    own = [np.flatnonzero(column) for column in trading.T]
    return min((int(rows[-lag - horizon]) - 1 if rows.shape[0] > lag + horizon else -1) for rows in own)


def rows_spanned(trading: BoolArray, sessions: int) -> int:
    """Return the most rows that a stretch of so many own sessions of any exchange spans; on a single exchange, as many.

    Parameters
    ----------
    trading : (T, E) bool
        Which exchange trades on which row, such as a view's.
    sessions : int

    Examples
    --------
    >>> rows_spanned(np.array([[True, True], [True, False], [True, True], [True, True]]), 2)
    3
    """
    own = [np.flatnonzero(column) for column in trading.T]
    return max((int((rows[sessions:] - rows[:-sessions]).max()) for rows in own if rows.shape[0] > sessions), default=sessions)


def _bases(base: date | DateArray, count: int) -> DateArray:
    return np.full(count, base, dtype="datetime64[D]") if isinstance(base, date) else np.asarray(base).astype("datetime64[D]")


def check_window(horizon: int, lag: int) -> None:
    """Refuse a window that does not exist: InputRejected ``setting_invalid`` for a negative lag or a horizon below 1."""
    if horizon < 1 or lag < 0:
        raise InputRejected(Code.SETTING_INVALID, f"A window of {horizon} sessions after {lag} does not exist.")
