"""The tear sheet's sections on where profit came from, on drift and on capacity: figures become charts and tables here.

It computes nothing but sums: attribution, drift and capacity are handed in. What the page is made of, and in which order, is in
:mod:`portfolio.tearsheet`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import DateArray, FloatArray
from portfolio.attribution import COST, SPECIFIC, TRADING, Lines, carino_linked
from portfolio.charts import Chart, Series, number, percent
from portfolio.drift import DriftReport
from portfolio.ownership import INHERITED
from portfolio.page import Table, render_remarks, render_table
from portfolio.problem import FACTOR_KINDS

SERIES_MAX = 8
"""Lines that can still be told apart in one chart."""
MODELS_SHOWN_MAX = 20
"""Models with a row of their own: those that earned or lost most. The others are summed in one row."""
SUM_ERROR_MAX = 1e-6
"""Part of equity by which lines may miss the session's profit: far above rounding, far below any line worth reading."""
CAPACITY_BASE = 1e7
"""Assets under management at which net profit must be positive for a capacity to be spoken of."""
NOT_DEFINED = "not defined"

GROUP_WORDS = {
    "market": "Market",
    "beta": "Beta",
    "sector": "Sectors",
    "country": "Countries",
    "style": "Styles",
    SPECIFIC: "Specific",
    TRADING: "Trading after fills",
    COST: "Costs",
    INHERITED: "Limits and inherited",
}


@dataclass(frozen=True, slots=True)
class CapacityPoint:
    """One backtest of a capacity study, re-optimized at its size.

    Attributes
    ----------
    aum : float
        Assets under management, in the fund's currency.
    impact_multiple : float
        What the impact coefficient was multiplied with.
    gross : float
        Gross exposure actually reached, mean over the sessions, as a part of equity.
    net_pnl : float
        Profit after costs, a year.
    sharpe : float
        Of the returns after costs, by the year.
    """

    aum: float
    impact_multiple: float
    gross: float
    net_pnl: float
    sharpe: float


def check_lines(lines: Lines, profit: FloatArray, equity_before: FloatArray) -> None:
    """Refuse an attribution that does not add up.

    Raises
    ------
    InputRejected
        PROBLEM_INVALID when there is not one row for each session, or a row misses the session's profit.
    """
    fits = lines.values.shape[0] == profit.shape[0]
    if not fits or (np.abs(lines.sums - profit) > SUM_ERROR_MAX * np.abs(equity_before)).any():
        raise InputRejected(Code.PROBLEM_INVALID, "The lines of an attribution sum to the profit of each session.")


def attribution_chart(title: str, note: str, at: DateArray, lines: Lines, start: float, *, wide: bool = False) -> Chart:
    """Return the cumulated profit of each line as parts of the first capital; the largest, when there are many."""
    paths = np.cumsum(lines.values, axis=0) / start
    size = np.abs(paths).max(axis=0, initial=0.0)
    shown = sorted(np.argsort(-size, kind="stable")[:SERIES_MAX].tolist())
    names = [GROUP_WORDS.get(lines.names[j], lines.names[j]) for j in shown]
    if len(shown) < len(lines.names):
        note = f"{note} The {len(shown)} largest of {len(lines.names)}."
    series = [Series(name, paths[:, j]) for name, j in zip(names, shown, strict=True)]
    return Chart(title, note, at, series, form=_fine, wide=wide)


def _fine(value: float) -> str:
    return percent(value, 2)


def reading_order(lines: Lines) -> Lines:
    """Return the lines as they are read: factors or tournaments, then what none of them explains, then costs."""
    tail = (SPECIFIC, TRADING, INHERITED, COST)
    rank = {group: place for place, group in enumerate(FACTOR_KINDS)} | {group: 100 + k for k, group in enumerate(tail)}
    order = sorted(range(len(lines.names)), key=lambda j: rank.get(lines.groups[j], len(FACTOR_KINDS)))
    return Lines(tuple(lines.names[j] for j in order), tuple(lines.groups[j] for j in order), lines.values[:, order])


def before_costs(lines: Lines) -> Lines:
    """Return the lines without the kinds of cost."""
    keep = [j for j, group in enumerate(lines.groups) if group != COST]
    return Lines(tuple(lines.names[j] for j in keep), tuple(lines.groups[j] for j in keep), lines.values[:, keep])


def attribution_table(title: str, note: str, lines: Lines, equity_before: FloatArray, shown_max: int | None = None) -> Table:
    """Return a table with a row for each group, the group's lines below it, and the sum.

    Parameters
    ----------
    lines : Lines
        Over the sessions; all lines of one split.
    equity_before : (T,) float64
        Equity at the start of each session, for the linking.
    shown_max : int, optional
        Lines of a group that get a row, those that made or lost most; the others share one, and all stand by their profit.
    """
    money, linked = lines.values.sum(axis=0), carino_linked(lines.values, equity_before)
    rows: list[tuple[str, str, str]] = []
    heads: list[int] = []
    for group in dict.fromkeys(lines.groups):
        members = np.flatnonzero([g == group for g in lines.groups])
        heads.append(len(rows))
        rows.append(_row(GROUP_WORDS.get(group, group), money[members], linked[members]))
        if members.size > 1 or lines.names[members[0]] != group:
            rows += _members(lines, money, linked, members, shown_max)
    heads.append(len(rows))
    rows.append(_row("All", money, linked))
    return Table(title, ("", "Earned", "Return"), rows, note, heads=heads)


def _members(
    lines: Lines, money: FloatArray, linked: FloatArray, members: np.ndarray, shown_max: int | None
) -> list[tuple[str, str, str]]:
    """Return the rows of a group's lines: in their order, or by their profit when only so many are shown."""
    if shown_max is None or lines.groups[members[0]] == COST:
        return [_row(lines.names[j], money[[j]], linked[[j]]) for j in members]
    largest = members[np.argsort(-np.abs(money[members]), kind="stable")]
    shown, rest = largest[:shown_max], largest[shown_max:]
    rows = [_row(lines.names[j], money[[j]], linked[[j]]) for j in shown[np.argsort(-money[shown], kind="stable")]]
    return [*rows, _row(f"{rest.size} others", money[rest], linked[rest])] if rest.size else rows


def _row(name: str, money: FloatArray, linked: FloatArray) -> tuple[str, str, str]:
    return name, number(float(money.sum()), 0), percent(float(linked.sum()), 2)


def drift_section(report: DriftReport) -> str:
    """Return the table of drifts with what was found; nothing without exposures."""
    if not report.lines:
        return ""
    rows = [
        (
            line.name,
            _band(line.band),
            _band(line.drift_band),
            number(line.typical, 3),
            number(line.high, 3),
            number(line.largest, 3),
            str(line.past),
        )
        for line in report.lines
    ]
    columns = ("Exposure", "Band", "Drift band", "Median drift", "99 % drift", "Largest", "Closes past")
    note = (
        "How far exposures moved between a decision's fill and the closes up to the next one. "
        "A decision keeps the band; a close past the drift band is a finding."
    )
    table = Table("Drift between decisions", columns, rows, note)
    return render_table(table, before=render_remarks([finding.message for finding in report.findings]))


def _band(value: float) -> str:
    return number(value, 3)


def capacity_table(points: Sequence[CapacityPoint]) -> Table | None:
    """Return gross, net profit and Sharpe ratio by size, for each multiple of the impact; None without points.

    Where a capacity is not :func:`defined`, the multiple's cells say so.
    """
    if not points:
        return None
    multiples = sorted({p.impact_multiple for p in points})
    found = {(p.aum, p.impact_multiple): p for p in points}
    earns = {m: defined([(p.aum, p.net_pnl) for p in points if p.impact_multiple == m]) for m in multiples}
    rows = []
    for aum in sorted({p.aum for p in points}):
        cells = [_aum(aum)]
        for figure in ("gross", "net_pnl", "sharpe"):
            cells += [_capacity_cell(found.get((aum, m)), figure, earns[m]) for m in multiples]
        rows.append(cells)
    words = ["× ½" if m == 0.5 else f"× {m:g}" for m in multiples]
    columns = ["Size", *(f"{name} {w}" for name in ("Gross", "Net a year", "Sharpe") for w in words)]
    note = "The book is optimized again at each size; × is what the impact coefficient was multiplied with."
    if not all(earns.values()):
        note += f" Where net profit at {_aum(CAPACITY_BASE)} is not positive, capacity is not defined."
    return Table("Capacity", columns, rows, note)


def defined(tried: Sequence[tuple[float, float]]) -> bool:
    """Say whether there is anything whose capacity could be told: whether a fund of ten million earns.

    Parameters
    ----------
    tried : sequence of (float, float)
        Size of the fund and its net profit. The smallest size of at least :data:`CAPACITY_BASE` is asked; where all are
        smaller, the smallest.

    Examples
    --------
    >>> defined([(1e6, -1.0), (1e7, 5.0), (1e8, -9.0)]), defined([(1e6, 1.0), (3e7, -5.0)])
    (True, False)
    """
    base = [one for one in tried if one[0] >= CAPACITY_BASE] or list(tried)
    return bool(base) and min(base)[1] > 0


def _capacity_cell(point: CapacityPoint | None, figure: str, earns: bool) -> str:
    if not earns:
        return NOT_DEFINED
    if point is None:
        return "–"
    value: float = getattr(point, figure)
    return f"{number(value / 1e6)} M" if figure == "net_pnl" else number(value)


def _aum(money: float) -> str:
    """Return an amount in millions or billions, as capacity is spoken of."""
    if abs(money) >= 1e9:
        return f"{number(money / 1e9, 2).rstrip('0').rstrip('.')} bn"
    return f"{number(money / 1e6, 2).rstrip('0').rstrip('.')} M"
