"""Goal: the sheet says where profit came from, how exposures drifted and what size the fund bears, as it was handed in. Method:
a carried book with models; the page's cells are read with the standard library's parser and compared with sums made here."""

from dataclasses import replace

import numpy as np
import pytest

from crowdalpha.errors import InputRejected
from portfolio.attribution import COST, SPECIFIC, TRADING, Lines
from portfolio.charts import number, percent
from portfolio.ownership import INHERITED
from portfolio.performance import performance
from portfolio.sheetsections import (
    MODELS_SHOWN_MAX,
    NOT_DEFINED,
    SERIES_MAX,
    CapacityPoint,
    attribution_chart,
    attribution_table,
    capacity_table,
    reading_order,
)
from portfolio.tearsheet import render_tearsheet
from tests.builders.sheets import full_sheet
from tests.portfolio.test_tearsheet import Page

DAYS = np.arange("2020-01-01", "2030-01-01", dtype="datetime64[D]")


@pytest.fixture(scope="module")
def data():
    return full_sheet(120)


def test_the_whole_page_is_small_closed_and_self_contained(data):
    """With every section: every tag closes, nothing comes from elsewhere, and ten years stay under a megabyte."""
    text = render_tearsheet(data)
    page = Page(text)
    assert not {"script", "img", "link", "iframe", "object"} & set(page.tags)
    assert not {"src", "href"} & {name for name, _ in page.attributes}
    assert page.tags.count("svg") == 10
    assert "nan" not in text.lower().replace("finance", "")
    assert text == render_tearsheet(full_sheet(120))
    rng = np.random.default_rng(141)
    long = full_sheet(40)
    repeat = 63
    equity = 1e8 * np.cumprod(1 + 0.003 * rng.standard_normal(40 * repeat))
    profit = np.diff(np.concatenate([[1e8], equity]))

    def stretched(lines: Lines) -> Lines:
        values = rng.standard_normal((40 * repeat, len(lines.names))) * 1e4
        values[:, 0] += profit - values.sum(axis=1)
        return Lines(lines.names, lines.groups, values)

    series = {name: np.tile(v, repeat) for name, v in long.factor_exposures.items()}
    text = render_tearsheet(
        replace(
            long,
            sessions=DAYS[: 40 * repeat],
            equity=equity,
            gross_pnl=np.tile(long.gross_pnl, repeat),
            costs={kind: np.tile(v, repeat) for kind, v in long.costs.items()},
            turnover=np.full(40 * repeat, 0.3),
            exposures={name: np.tile(v, repeat) for name, v in long.exposures.items()},
            factor_exposures=series,
            market_returns=None,
            by_factor=stretched(long.by_factor),
            by_model=stretched(long.by_model),
        )
    )
    assert len(text.encode()) < 1_000_000


def test_tables_sum_to_the_profit_and_to_the_total_return(data):
    """The last row of both tables is the fund's profit and its total return; each group is the sum of its lines."""
    before = np.concatenate([[data.initial_equity], data.equity[:-1]])
    profit = data.equity[-1] - data.initial_equity
    total = performance(np.concatenate([[data.initial_equity], data.equity])).total_return
    for lines in (data.by_factor, data.by_model):
        table = attribution_table("t", "", lines, before)
        assert table.rows[-1] == ("All", number(profit, 0), percent(total, 2))
        assert len(table.heads) == len(set(lines.groups)) + 1
        spent = next(row for row in table.rows if row[0] == "Costs")
        assert spent[1] == number(-sum(float(v.sum()) for v in data.costs.values()), 0)
        assert table.rows[-1][0] in " ".join(Page(render_tearsheet(data)).words)


def test_models_stand_by_profit_and_the_small_ones_share_a_row(data):
    """Of 40 models of a tournament twenty have rows, the largest by size, in order of profit; one row sums the others."""
    rng = np.random.default_rng(142)
    values = rng.standard_normal((3, 41)) * 1e5
    names = (*(f"m{k}" for k in range(40)), "spread")
    lines = reading_order(Lines(names, (*["signals"] * 40, COST), values))
    table = attribution_table("t", "", lines, np.full(3, 1e8), MODELS_SHOWN_MAX)
    shown = [row for row in table.rows if row[0].startswith("m")]
    assert len(shown) == MODELS_SHOWN_MAX
    money = dict(zip(names, values.sum(axis=0), strict=True))
    largest = sorted(money, key=lambda name: -abs(money[name]) if name != "spread" else 0.0)[:MODELS_SHOWN_MAX]
    assert [row[0] for row in shown] == sorted(largest, key=lambda name: -money[name])
    rest = sum(money[name] for name in names[:40] if name not in largest)
    assert ("20 others", number(rest, 0)) in [row[:2] for row in table.rows]


def test_inherited_and_costs_come_after_the_tournaments(data):
    """Whoever was first in time, models are read first."""
    groups = list(dict.fromkeys(reading_order(data.by_model).groups))
    assert groups[-2:] == [INHERITED, COST]
    assert set(groups[:-2]) == {"signals", "classic"}
    turned = Lines(data.by_factor.names[::-1], data.by_factor.groups[::-1], data.by_factor.values[:, ::-1])
    read = list(dict.fromkeys(reading_order(turned).groups))
    assert read == ["market", "beta", "sector", "style", SPECIFIC, TRADING, COST]


def test_the_chart_ends_at_the_sums_and_keeps_the_largest(data):
    """The last value of each series is its line's profit over the first capital."""
    lines = data.by_factor.grouped()
    chart = attribution_chart("t", "", data.sessions, lines, data.initial_equity)
    assert len(chart.series) == min(SERIES_MAX, len(lines.names))
    total = sum(float(series.values[-1]) for series in chart.series)
    assert total == pytest.approx(data.equity[-1] / data.initial_equity - 1, abs=1e-9)
    many = attribution_chart("t", "n.", data.sessions, data.by_model, data.initial_equity)
    assert len(many.series) == SERIES_MAX
    assert f"The {SERIES_MAX} largest of {len(data.by_model.names)}." in many.note


def test_an_attribution_that_does_not_add_up_is_refused(data):
    """A line that misses the profit by a millionth of equity, or a session too few, would be a lie on paper."""
    off = data.by_model.values.copy()
    off[7, 0] += 2e-6 * data.initial_equity * 1.5
    with pytest.raises(InputRejected):
        render_tearsheet(replace(data, by_model=replace(data.by_model, values=off)))
    with pytest.raises(InputRejected):
        render_tearsheet(replace(data, by_factor=replace(data.by_factor, values=data.by_factor.values[1:])))


def test_drift_deflated_ratio_and_hit_rate_are_on_the_page(data):
    """Each exposure has a row with its quantile; findings are told in their own words; tiles carry the two figures."""
    words = " ".join(Page(render_tearsheet(data)).words)
    for line in data.drift.lines:
        assert line.name in words
        assert number(line.high, 3) in words
    for finding in data.drift.findings:
        assert finding.message in words
    assert f"{data.deflated.trials} tried" in words
    assert percent(data.deflated.probability) in words
    returns = np.diff(np.concatenate([[1e8], data.equity])) / np.concatenate([[1e8], data.equity[:-1]])
    assert percent(float((returns > 0).sum() / (returns != 0).sum())) in words


def test_capacity_by_hand():
    """Three sizes, three multiples: at twice the impact nothing is earned at 10 M, so that multiple is not defined anywhere."""
    points = [
        CapacityPoint(aum, multiple, 1.5, pnl, 0.8)
        for aum, pnls in ((1e7, (4e5, 2e5, -1.0)), (5e8, (9e6, 1e6, -5e6)), (5e9, (2e7, -3e7, 1e9)))
        for multiple, pnl in zip((0.5, 1.0, 2.0), pnls, strict=True)
    ]
    table = capacity_table(points)
    assert table.columns[:4] == ["Size", "Gross × ½", "Gross × 1", "Gross × 2"]
    assert table.rows[0] == ["10 M", "1.50", "1.50", NOT_DEFINED, "0.40 M", "0.20 M", NOT_DEFINED, "0.80", "0.80", NOT_DEFINED]
    assert table.rows[2][0] == "5 bn"
    assert table.rows[2][4:7] == ["20.00 M", "−30.00 M", NOT_DEFINED]
    assert "not defined" in table.note
    assert capacity_table([]) is None
    assert capacity_table(points[:2]).rows[0][1:] == ["1.50", "1.50", "0.40 M", "0.20 M", "0.80", "0.80"]
    # Without a backtest at 10 M or above, the smallest is asked.
    assert capacity_table([CapacityPoint(1e6, 1.0, 1.0, 1e5, 1.0)]).rows[0][1] == "1.00"
    assert capacity_table([CapacityPoint(1e6, 1.0, 1.0, -1e5, 1.0)]).rows[0][1] == NOT_DEFINED


def test_names_from_outside_are_escaped_in_every_section(data):
    """A model, a factor or a tournament may be called anything."""
    evil = "<script>alert(1)</script>"
    lines = Lines((evil, *data.by_model.names[1:]), (evil, *data.by_model.groups[1:]), data.by_model.values)
    factors = Lines((evil, *data.by_factor.names[1:]), data.by_factor.groups, data.by_factor.values)
    drift = replace(data.drift, lines=(replace(data.drift.lines[0], name=evil), *data.drift.lines[1:]))
    text = render_tearsheet(replace(data, by_model=lines, by_factor=factors, drift=drift))
    assert "<script" not in text
    assert "".join(Page(text).words).count(evil) >= 3


@pytest.mark.parametrize("sessions", [1, 2, 6])
def test_a_young_fund_has_all_sections_too(sessions):
    """A day after the first fill there is a page."""
    Page(render_tearsheet(full_sheet(sessions, models=2)))
