"""Line charts as coordinates: what a template needs to draw one as inline SVG. Pure; it renders no markup itself.

1. The values of all lines share one scale, whose ticks are round numbers.
2. Sessions are equally spaced from the left edge to the right; the first session of each year (or month, in a short history)
   is marked.
3. A value that is not finite breaks its line. A history longer than the picture has room for is thinned, its end kept.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from service.web.write import tick

WIDTH, HEIGHT = 960, 320
LEFT, RIGHT, TOP, BOTTOM = 72, 16, 16, 32
POINTS_MAX = 1200
TICKS_WANTED = 5
MONTHS_SHOWN_UP_TO_SESSIONS = 380
MARKS_MAX = 14


@dataclass(frozen=True, slots=True)
class Mark:
    """A tick: where it stands on its axis, in user units, and what is written beside it."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its name, its unbroken pieces as SVG point lists, and its last value as text."""

    name: str
    pieces: tuple[str, ...]
    last: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn chart, in user units of a ``width`` by ``height`` view box."""

    lines: tuple[Line, ...]
    across: tuple[Mark, ...]
    up: tuple[Mark, ...]
    zero: float | None
    summary: str
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def line_chart(
    sessions: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    write: Callable[[float], str],
    height: int = HEIGHT,
) -> Chart | None:
    """Return the chart of ``series`` over ``sessions``, or None when there is nothing finite to draw.

    Parameters
    ----------
    sessions : sequence of str, length T
        ISO dates, ascending.
    series : mapping of name to sequence of float, length T
        Lines in drawing order; None, NaN and infinities break a line.
    write : callable
        How a value is written on the axis.
    height : int
        Height of the view box, in user units.
    """
    values = {name: [_finite(v) for v in line] for name, line in series.items()}
    known = [v for line in values.values() for v in line if v is not None]
    if not known or len(sessions) < 1:
        return None
    ticks = round_ticks(min(known), max(known))
    low, high = ticks[0], ticks[-1]
    bottom = height - BOTTOM

    def y(value: float) -> float:
        return round(bottom - (value - low) / (high - low) * (bottom - TOP), 1)

    def x(position: int) -> float:
        return round(LEFT + position / max(len(sessions) - 1, 1) * (WIDTH - RIGHT - LEFT), 1)

    kept = _thinned(len(sessions))
    lines = tuple(
        Line(name, _pieces([(x(i), line[i]) for i in kept], y), write(next((v for v in reversed(line) if v is not None), 0.0)))
        for name, line in values.items()
    )
    summary = "; ".join(f"{line.name} ends at {line.last}" for line in lines)
    return Chart(
        lines=lines,
        across=_calendar_marks(sessions, x),
        up=tuple(Mark(y(t), tick(write(t))) for t in ticks),
        zero=y(0.0) if low < 0 < high else None,
        summary=f"From {sessions[0]} to {sessions[-1]}: {summary}.",
        height=height,
        bottom=bottom,
    )


def round_ticks(low: float, high: float) -> list[float]:
    """Return ticks at multiples of 1, 2, 2.5 or 5 times a power of ten that enclose [low, high]; at least two.

    Examples
    --------
    >>> round_ticks(0.0, 10.0)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    span = high - low
    if span <= abs(high) * 1e-12:
        span = abs(high) * 0.02 or 1.0
        low, high = low - span / 2, high + span / 2
    raw = span / TICKS_WANTED
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [i * step for i in range(first, last + 1)]


def drawdowns(equity: Sequence[float | None]) -> list[float | None]:
    """Return the loss against the highest value so far, as a part of it: zero at a new high, negative below it."""
    highest = -math.inf
    found: list[float | None] = []
    for value in map(_finite, equity):
        if value is None or value <= 0:
            found.append(None)
            continue
        highest = max(highest, value)
        found.append(value / highest - 1.0)
    return found


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _thinned(count: int) -> list[int]:
    stride = -(-count // POINTS_MAX)
    kept = list(range(0, count, stride))
    return kept if kept[-1] == count - 1 else [*kept, count - 1]


def _pieces(points: Sequence[tuple[float, float | None]], y: Callable[[float], float]) -> tuple[str, ...]:
    pieces: list[list[str]] = [[]]
    for across, value in points:
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append(f"{across},{y(value)}")
    return tuple(" ".join(piece) for piece in pieces if piece)


def _calendar_marks(sessions: Sequence[str], x: Callable[[int], float]) -> tuple[Mark, ...]:
    days = [date.fromisoformat(s[:10]) for s in sessions]
    monthly = len(days) <= MONTHS_SHOWN_UP_TO_SESSIONS
    marks = [
        Mark(x(i), f"{days[i]:%b %Y}" if monthly else str(days[i].year))
        for i in range(1, len(days))
        if (days[i].year != days[i - 1].year if not monthly else days[i].month != days[i - 1].month)
    ]
    return tuple(marks[:: max(1, -(-len(marks) // MARKS_MAX))]) or (Mark(x(0), sessions[0]),)
