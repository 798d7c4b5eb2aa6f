"""The tear sheet: what a fund did, on one self-contained HTML page with inline SVG and CSS, and no script.

It shows what it is given and decides nothing. On top stand the reservations that its data call for (a synthetic market,
survivors only, …), because a figure without them would say more than is known. It prints well, reads on a phone, follows the
light or dark scheme of the reader, and is equal byte for byte for equal data: no clock, no version, no path is in it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import DateArray, FloatArray
from portfolio.attribution import Lines
from portfolio.charts import Chart, Series, number, percent
from portfolio.drift import DriftReport
from portfolio.mandate import SESSIONS_PER_YEAR
from portfolio.page import Table, render_banners, render_charts, render_page, render_table, render_tiles
from portfolio.performance import (
    Performance,
    beta_with_error,
    drawdowns,
    monthly_returns,
    performance,
    rolling_sharpe,
    session_returns,
)
from portfolio.sheetsections import (
    MODELS_SHOWN_MAX,
    CapacityPoint,
    attribution_chart,
    attribution_table,
    before_costs,
    capacity_table,
    check_lines,
    drift_section,
    reading_order,
)
from portfolio.trials import DeflatedSharpe

ROLLING_WINDOW = 126
"""Sessions of the rolling Sharpe ratio: half a year; shorter histories use a third of what there is."""
FACTORS_SHOWN_MAX = 8
"""Lines that can still be told apart; the factors with the largest exposures are shown."""
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
HEAT_FULL = 0.03
"""Monthly return at which a cell has its full colour."""

FOOTER = (
    "<footer><p>Returns are of sessions, and a year has 252. Ratios carry one standard error. Before costs means the profit of "
    "the same trades, had they been free.</p></footer>"
)


@dataclass(frozen=True, slots=True)
class TearSheetData:
    """What a tear sheet is made of.

    Attributes
    ----------
    title, subtitle : str
        Heading, and one line below it (mandate, universe, seed).
    sessions : (T,) datetime64[D]
        Ascending.
    initial_equity : float
        Capital before the first session, positive.
    equity, gross_pnl : (T,) float64
        Equity after costs at each close; profit before costs.
    costs : mapping of kind to (T,) float64
        What each session paid, in money.
    turnover : (T,) float64
        Σ|trade| / equity.
    exposures : mapping of name to (T,) float64
        ``gross`` and ``net`` at the close, fractions of equity, and any other sum of weights.
    factor_exposures : mapping of name to (T,) float64
        B'w at the close for each factor.
    market_returns : (T,) float64 or None
        For the beta of the result.
    flags : sequence of str
        Of the data; see :data:`FLAG_TEXTS`. An unknown flag is shown as it is.
    tables : sequence of Table
        Further sections: rounds, stakes, decisions.
    by_factor, by_model : Lines or None
        Who earned what, one row for each session; see :mod:`portfolio.attribution` and :mod:`portfolio.ownership`. Each sums to
        the session's profit after costs.
    drift : DriftReport or None
        Of exposures between decisions.
    deflated : DeflatedSharpe or None
        The Sharpe ratio beside all that was tried on this history.
    capacity : sequence of CapacityPoint
        Backtests at several sizes and multiples of the impact.
    """

    title: str
    sessions: DateArray
    initial_equity: float
    equity: FloatArray
    gross_pnl: FloatArray
    costs: Mapping[str, FloatArray]
    turnover: FloatArray
    subtitle: str = ""
    exposures: Mapping[str, FloatArray] = field(default_factory=dict)
    factor_exposures: Mapping[str, FloatArray] = field(default_factory=dict)
    market_returns: FloatArray | None = None
    flags: Sequence[str] = ()
    tables: Sequence[Table] = ()
    by_factor: Lines | None = None
    by_model: Lines | None = None
    drift: DriftReport | None = None
    deflated: DeflatedSharpe | None = None
    capacity: Sequence[CapacityPoint] = ()


@dataclass(frozen=True, slots=True)
class _Figures:
    """Everything that several sections need, computed once."""

    path: FloatArray
    gross_path: FloatArray
    net: Performance
    gross: Performance
    returns: FloatArray
    total_costs: FloatArray


def render_tearsheet(data: TearSheetData) -> str:
    """Render the page.

    Parameters
    ----------
    data : TearSheetData

    Returns
    -------
    str
        A whole HTML document, well under a megabyte.

    Raises
    ------
    InputRejected
        PROBLEM_INVALID when the arrays do not have one value for each session, or an attribution does not sum to the profit.
    """
    _check(data)
    figures = _figures(data)
    sections = [
        _header(data),
        render_banners(data.flags),
        _tiles(data, figures),
        render_charts(_charts(data, figures)),
        _sources(data, figures),
        _months(data, figures),
        _statistics(data, figures),
        drift_section(data.drift) if data.drift is not None else "",
        *(render_table(table) for table in (capacity_table(data.capacity),) if table is not None),
        *(render_table(table) for table in data.tables),
        FOOTER,
    ]
    return render_page(data.title, sections)


def _check(data: TearSheetData) -> None:
    shape = data.sessions.shape
    arrays = [data.equity, data.gross_pnl, data.turnover, *data.costs.values()]
    arrays += [*data.exposures.values(), *data.factor_exposures.values()]
    if data.market_returns is not None:
        arrays.append(data.market_returns)
    if len(shape) != 1 or any(array.shape != shape for array in arrays):
        raise InputRejected(Code.PROBLEM_INVALID, "A tear sheet needs one value of each series for each session.")
    path = np.concatenate([[data.initial_equity], data.equity])
    for lines in (data.by_factor, data.by_model):
        if lines is not None:
            check_lines(lines, np.diff(path), path[:-1])


def _figures(data: TearSheetData) -> _Figures:
    path = np.concatenate([[data.initial_equity], data.equity])
    gross_path = data.initial_equity + np.concatenate([[0.0], np.cumsum(data.gross_pnl)])
    total = np.zeros(data.sessions.shape)
    for values in data.costs.values():
        total = total + values
    return _Figures(path, gross_path, performance(path), performance(gross_path), session_returns(path), total)


def _header(data: TearSheetData) -> str:
    period = (
        f"{data.sessions[0]} to {data.sessions[-1]}, {data.sessions.size} sessions" if data.sessions.size else "no sessions"
    )
    subtitle = f"<p>{escape(data.subtitle)}</p>" if data.subtitle else ""
    return f'<header><h1>{escape(data.title)}</h1>{subtitle}<p class="period">{period}</p></header>'


def _tiles(data: TearSheetData, f: _Figures) -> str:
    years = max(data.sessions.size / SESSIONS_PER_YEAR, 1e-9)
    mean_equity = float(f.path.mean())
    tiles = [
        ("After costs", percent(f.net.total_return), f"{percent(f.net.annual_return)} a year"),
        (
            "Before costs",
            percent(f.gross.total_return),
            f"{percent(f.total_costs.sum() / mean_equity / years)} costs a year",
        ),
        ("Volatility", percent(f.net.annual_volatility), "a year"),
        ("Sharpe ratio", number(f.net.sharpe), f"± {number(f.net.sharpe_error)}{_deflated(data)}"),
        ("Drawdown", percent(f.net.max_drawdown), f"longest {f.net.drawdown_sessions_max} sessions"),
        ("Hit rate", percent(f.net.hit_rate), "of sessions that moved"),
        ("Turnover", f"{number(data.turnover.sum() / years, 1)} ×", "of equity a year"),
    ]
    if data.market_returns is not None:
        beta = beta_with_error(f.returns, data.market_returns)
        tiles.append(("Market beta", number(beta.beta, 3), f"± {number(beta.error, 3)}"))
    return render_tiles(tiles)


def _deflated(data: TearSheetData) -> str:
    return "" if data.deflated is None else f", deflated {percent(data.deflated.probability)}"


def _charts(data: TearSheetData, f: _Figures) -> list[Chart]:
    at, start = data.sessions, data.initial_equity
    window = min(ROLLING_WINDOW, max(2, at.size // 3))
    charts = [
        Chart(
            "Equity",
            "Result since the start, after and before costs.",
            at,
            [Series("after costs", f.path[1:] / start - 1), Series("before costs", f.gross_path[1:] / start - 1)],
            wide=True,
        ),
        Chart(
            "Drawdown", "Fall from the highest equity so far.", at, [Series("at the end", drawdowns(f.path)[1:])], kind="area"
        ),
        Chart(
            "Rolling Sharpe ratio",
            f"Of the last {window} sessions, after costs, by the year.",
            at,
            [Series("Sharpe ratio", rolling_sharpe(f.returns, window))],
            form=number,
        ),
    ]
    if data.exposures:
        series = [Series(name, values) for name, values in data.exposures.items()]
        charts.append(Chart("Capital at work", "Sums of weights at each close, as parts of equity.", at, series))
    if data.factor_exposures:
        charts.append(_factor_chart(data))
    charts.append(
        Chart("Turnover", "Bought plus sold as a part of equity.", at, [Series("traded", data.turnover)], kind="bars")
    )
    spent = [Series(kind, np.cumsum(values) / start) for kind, values in data.costs.items() if np.any(values != 0)]
    charts.append(Chart("Costs", "Paid since the start, as parts of the first capital.", at, spent, form=_small_percent))
    return charts


def _sources(data: TearSheetData, f: _Figures) -> str:
    """Return where the profit came from: a chart and a table for each split that is there."""
    charts, tables = [], []
    at, start, before = data.sessions, data.initial_equity, f.path[:-1]
    if data.by_factor is not None:
        note = "Cumulated, as parts of the first capital; on the holdings at the start of each session. They sum to the result."
        lines = reading_order(data.by_factor)
        charts.append(attribution_chart("Profit by source", note, at, lines.grouped(), start, wide=True))
        note = "Money, and parts of the total return linked over time by Carino's logarithms."
        tables.append(attribution_table("Profit by factor", note, lines, before))
    if data.by_model is not None:
        note = "Before costs, cumulated, as parts of the first capital, by what models had the fund hold."
        lines = reading_order(data.by_model)
        earned = before_costs(lines)
        charts.append(attribution_chart("Profit by tournament", note, at, earned.grouped(), start))
        charts.append(attribution_chart("Profit by model", note, at, earned, start))
        note = (
            "A model owns the part of the book that its alpha made at the decision. What limits or earlier decisions made of "
            "the book is nobody's."
        )
        tables.append(attribution_table("Profit by model", note, lines, before, MODELS_SHOWN_MAX))
    if not charts:
        return ""
    return f'{render_charts(charts)}<div class="pair">{"".join(render_table(table) for table in tables)}</div>'


def _small_percent(value: float) -> str:
    return percent(value, 2)


def _factor_chart(data: TearSheetData) -> Chart:
    size = {name: float(np.nanmax(np.abs(v), initial=0.0)) for name, v in data.factor_exposures.items()}
    shown = sorted(size, key=lambda name: (-size[name], name))[:FACTORS_SHOWN_MAX]
    note = "Σ exposure × weight at each close, drift between rebalances included."
    if len(shown) < len(size):
        note = f"{note} The {len(shown)} largest of {len(size)}."
    series = [Series(name, data.factor_exposures[name]) for name in shown]
    return Chart("Factor exposures", note, data.sessions, series, form=_three)


def _three(value: float) -> str:
    return number(value, 3)


def _months(data: TearSheetData, f: _Figures) -> str:
    found = monthly_returns(data.sessions, f.path)
    years = sorted({year for year, _ in found})
    rows = []
    for year in years:
        cells, growth = [], 1.0
        for month in range(1, 13):
            value = found.get((year, month))
            if value is None:
                cells.append("<td></td>")
                continue
            growth *= 1.0 + value
            cells.append(_heat(value))
        rows.append(f'<tr><th scope="row">{year}</th>{"".join(cells)}<td class="year">{percent(growth - 1)}</td></tr>')
    head = "".join(f'<th scope="col">{name}</th>' for name in ("", *MONTHS, "Year"))
    return (
        "<section><h2>Months</h2><p>Returns after costs; the first and the last month may be parts.</p>"
        '<div class="scroll" tabindex="0">'
        f'<table class="months"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div></section>'
    )


def _heat(value: float) -> str:
    """Return a table cell tinted in five steps by sign and size."""
    if not np.isfinite(value):
        return "<td>–</td>"
    step = min(5, int(np.ceil(5 * abs(value) / HEAT_FULL)))
    kind = "up" if value > 0 else "down"
    return f'<td class="{kind}{step}">{percent(value)}</td>' if step else f"<td>{percent(value)}</td>"


def _statistics(data: TearSheetData, f: _Figures) -> str:
    rows: list[tuple[str, str, str]] = []
    for name, attribute, form in (
        ("Total return", "total_return", percent),
        ("Return a year", "annual_return", percent),
        ("Volatility a year", "annual_volatility", percent),
        ("Sharpe ratio", "sharpe", number),
        ("Its standard error", "sharpe_error", number),
        ("Largest drawdown", "max_drawdown", percent),
        ("Best session", "best", _small_percent),
        ("Worst session", "worst", _small_percent),
        ("Sessions above zero", "positive_share", percent),
        ("Hit rate of those that moved", "hit_rate", percent),
        ("Sortino ratio", "sortino", number),
        ("Calmar ratio", "calmar", number),
        ("5 % worst session", "value_at_risk", _small_percent),
        ("Mean of the 5 % worst", "expected_shortfall", _small_percent),
        ("Skewness", "skewness", number),
        ("Kurtosis", "kurtosis", number),
    ):
        net, gross = form(getattr(f.net, attribute)), form(getattr(f.gross, attribute))
        rows.append((name, net, gross))
    note = ""
    if data.deflated is not None:
        d = data.deflated
        rows.append(("Best ratio that luck would show", number(d.threshold), "–"))
        rows.append(("Deflated Sharpe ratio", percent(d.probability), "–"))
        note = f"{d.trials} tried on this history, {d.clusters} of their own: luck would show the best of these."
        note += f" The ratio rests on the path's own {d.sessions} sessions."
    result = Table("Statistics", ("", "After costs", "Before costs"), rows, note)
    spent = [
        (kind, number(float(v.sum()), 0), percent(float(v.sum()) / data.initial_equity, 2)) for kind, v in data.costs.items()
    ]
    total = float(f.total_costs.sum())
    spent.append(("all", number(total, 0), percent(total / data.initial_equity, 2)))
    costs = Table(
        "Costs by kind", ("", "Paid", "Of first capital"), spent, "Interest earned on cash counts as a negative cost."
    )
    return f'<div class="pair">{render_table(result)}{render_table(costs)}</div>'
