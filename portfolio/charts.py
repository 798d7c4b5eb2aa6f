"""Line, area and bar charts as HTML with inline SVG: shapes stretch with the page, text does not.

Not here: which charts a report has (:mod:`portfolio.tearsheet`). A chart is a plot of fixed height and any width: the SVG is
stretched without keeping its proportions, strokes keep theirs, and axis labels are ordinary text placed beside it by percent.
There is no script and no colour here: series are told apart by a class (``s0`` …) that the style of the page colours for light
and dark, and by their names with the last value in the legend. Equal data give equal bytes.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from market.arrays import DateArray, FloatArray, IntArray

WIDTH, HEIGHT = 1000.0, 300.0
POINTS_MAX = 480
"""Points drawn of a series: about two to a pixel of a narrow column; beyond it each bucket keeps its lowest and highest."""
TICKS_WANTED = 4
HEADROOM = 0.04

Format = Callable[[float], str]


def percent(value: float, digits: int = 1) -> str:
    """Return ``value`` as a percentage with a true minus sign; a dash for NaN."""
    return f"{number(100 * value, digits)} %" if np.isfinite(value) else "–"


def number(value: float, digits: int = 2) -> str:
    """Return ``value`` with ``digits`` decimals, grouped, with a true minus sign; a dash for NaN."""
    if not np.isfinite(value):
        return "–"
    # Adding zero turns the negative zero of a rounded small loss into zero.
    return f"{round(value, digits) + 0.0:,.{digits}f}".replace("-", "−")


@dataclass(frozen=True, slots=True)
class Series:
    """One line: a name for the legend and values (T,) float64, NaN where there is none."""

    name: str
    values: FloatArray


@dataclass(frozen=True, slots=True)
class Chart:
    """What one figure shows.

    Attributes
    ----------
    title, note : str
        Heading, and a sentence on what is drawn.
    sessions : (T,) datetime64[D]
    series : sequence of Series
    form : callable
        How values are written on the axis and in the legend.
    kind : str
        ``line``, ``area`` (down or up from zero, first series only) or ``bars`` (first series only).
    zero : bool
        Whether zero is always on the axis.
    wide : bool
        Whether the figure takes the whole width of the page.
    """

    title: str
    note: str
    sessions: DateArray
    series: Sequence[Series]
    form: Format = percent
    kind: str = "line"
    zero: bool = True
    wide: bool = False


def ticks(low: float, high: float) -> list[float]:
    """Return about four round values inside [low, high]: multiples of 1, 2, 2.5 or 5 times a power of ten."""
    span = high - low
    if not np.isfinite(span) or span <= 0:
        return [low]
    rough = span / TICKS_WANTED
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * m for m in (1.0, 2.0, 2.5, 5.0, 10.0) if power * m >= rough * 0.999)
    first, last = int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9))
    return [i * step for i in range(first, last + 1)]


def tick_labels(levels: Sequence[float], form: Format) -> list[str]:
    """Return the levels as text, without decimals that are zero on all of them."""
    labels = [form(level) for level in levels]
    while all(re.search(r"\.\d*0(?!\d)", label) for label in labels):
        labels = [re.sub(r"\.0(?!\d)|(\.\d*)0(?!\d)", lambda m: m[1] or "", label) for label in labels]
    return labels


def date_ticks(sessions: DateArray) -> list[tuple[float, str]]:
    """Return places in [0, 1] and labels of year starts, or of months when the history is short; at most seven."""
    months = sessions.astype("datetime64[M]").astype(np.int64)
    starts = np.flatnonzero(np.append(True, months[1:] != months[:-1])) if months.size else np.zeros(0, dtype=np.int64)
    years = [int(i) for i in starts if months[i] % 12 == 0]
    yearly = len(years) > 1
    chosen = years if yearly else [int(i) for i in starts]
    stride = max(1, -(-len(chosen) // 7))
    places = []
    for i in chosen[::stride]:
        year, month = divmod(int(months[i]), 12)
        label = str(1970 + year) if yearly else f"{1970 + year}-{month + 1:02d}"
        places.append((i / max(1, sessions.size - 1), label))
    # A label at the very end would leave the plot.
    return [(place, label) for place, label in places if place <= 0.95]


def _kept(values: FloatArray) -> IntArray:
    """Return positions of the points that are drawn: all, or the extremes of each bucket; NaN apart."""
    known = np.flatnonzero(np.isfinite(values))
    if known.size <= POINTS_MAX:
        return known.astype(np.int64)
    keep = {int(known[0]), int(known[-1])}
    for bucket in np.array_split(known, POINTS_MAX // 2):
        keep |= {int(bucket[np.argmin(values[bucket])]), int(bucket[np.argmax(values[bucket])])}
    return np.array(sorted(keep), dtype=np.int64)


def _range(chart: Chart) -> tuple[float, float]:
    known = [s.values[np.isfinite(s.values)] for s in chart.series]
    merged = np.concatenate(known) if known else np.zeros(0)
    if merged.size == 0:
        return -1.0, 1.0
    low, high = float(merged.min()), float(merged.max())
    if chart.zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        pad = abs(high) * HEADROOM or 1.0
        return low - pad, high + pad
    pad = (high - low) * HEADROOM
    return (low if chart.zero and low == 0.0 else low - pad), (high if chart.zero and high == 0.0 else high + pad)


def _text(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


class _Plane:
    """Maps positions and values to the SVG's coordinates."""

    def __init__(self, count: int, low: float, high: float) -> None:
        self.count, self.low, self.span = max(1, count - 1), low, high - low

    def x(self, i: float) -> float:
        return WIDTH * i / self.count

    def y(self, value: float) -> float:
        return HEIGHT * (1.0 - (value - self.low) / self.span)

    def points(self, values: FloatArray) -> str:
        kept = _kept(values)
        return " ".join(f"{_text(self.x(int(i)))},{_text(self.y(float(values[i])))}" for i in kept)


def _shapes(chart: Chart, plane: _Plane) -> list[str]:
    if chart.kind == "bars":
        values, out = chart.series[0].values, []
        base = plane.y(0.0)
        for i in np.flatnonzero(np.nan_to_num(values) != 0.0):
            x = _text(plane.x(int(i)))
            out.append(f'<line class="bar s0" x1="{x}" x2="{x}" y1="{_text(base)}" y2="{_text(plane.y(float(values[i])))}"/>')
        return out
    shapes: list[str] = []
    for k, series in enumerate(chart.series):
        points = plane.points(series.values)
        if not points:
            continue
        if chart.kind == "area" and k == 0:
            first, last = points.split(" ")[0].split(",")[0], points.split(" ")[-1].split(",")[0]
            floor = _text(plane.y(0.0))
            shapes.append(f'<polygon class="fill s{k}" points="{first},{floor} {points} {last},{floor}"/>')
        shapes.append(f'<polyline class="line s{k}" points="{points}"/>')
    # The first series is the subject: it is drawn last, over the others.
    return shapes[::-1] if chart.kind == "line" else shapes


def _legend(chart: Chart) -> str:
    if chart.kind == "bars":
        return ""
    items = []
    for k, series in enumerate(chart.series):
        known = series.values[np.isfinite(series.values)]
        value = f" <b>{escape(chart.form(float(known[-1])))}</b>" if known.size else ""
        items.append(f'<li class="s{k}"><i></i>{escape(series.name)}{value}</li>')
    return f'<ul class="legend">{"".join(items)}</ul>' if items else ""


def render_chart(chart: Chart) -> str:
    """Return the figure as HTML.

    Parameters
    ----------
    chart : Chart

    Returns
    -------
    str
        One ``<figure>`` with heading, legend, plot and axis labels; a chart without data says so.
    """
    low, high = _range(chart)
    plane = _Plane(chart.sessions.size, low, high)
    known = any(np.isfinite(s.values).any() for s in chart.series)
    if not known:
        body = '<p class="none">No data yet.</p>'
    else:
        levels = ticks(low, high)
        grid = "".join(
            f'<line class="{"axis" if level == 0.0 else "grid"}" x1="0" x2="{WIDTH:g}" y1="{_text(y)}" y2="{_text(y)}"/>'
            for level in levels
            for y in (plane.y(level),)
        )
        left = "".join(
            f'<span style="top:{_text(100 * plane.y(level) / HEIGHT)}%">{escape(label)}</span>'
            for level, label in zip(levels, tick_labels(levels, chart.form), strict=True)
        )
        below = "".join(
            f'<span style="left:{_text(100 * place)}%">{escape(label)}</span>' for place, label in date_ticks(chart.sessions)
        )
        svg = (
            f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" preserveAspectRatio="none" role="img" aria-label="{escape(chart.title)}">'
            f"{grid}{''.join(_shapes(chart, plane))}</svg>"
        )
        body = f'<div class="plot"><div class="y">{left}</div>{svg}<div class="x">{below}</div></div>'
    wide = ' class="wide"' if chart.wide else ""
    note = f"<p>{escape(chart.note)}</p>" if chart.note else ""
    return f"<figure{wide}><figcaption><h3>{escape(chart.title)}</h3>{note}{_legend(chart)}</figcaption>{body}</figure>"
