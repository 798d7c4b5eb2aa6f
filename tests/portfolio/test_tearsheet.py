"""Goal: one page that anyone can open anywhere and that says what the data say. Method: rendered pages are parsed with the
standard library's HTML parser; figures are looked up in the text and in the drawn points."""

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from crowdalpha.errors import InputRejected
from portfolio.book import Liquidity, TradingCosts
from portfolio.charts import POINTS_MAX, Chart, Series, date_ticks, number, percent, render_chart, tick_labels, ticks
from portfolio.page import FLAG_TEXTS, Table
from portfolio.simulate import backtest
from portfolio.tearsheet import TearSheetData, render_tearsheet
from tests.builders.books import random_paths

VOID = {"meta", "line", "polyline", "polygon", "i"}


class Page(HTMLParser):
    """Collects tags, attributes and text, and checks that what opens also closes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)


def sheet(sessions: int = 300, **changes) -> TearSheetData:
    rng = np.random.default_rng(71)
    n = 20
    overnight, intraday = random_paths(rng, sessions, n)
    targets, liquidity = {}, {}
    for row in range(0, sessions, 5):
        w = rng.standard_normal(n)
        w -= w.mean()
        targets[row], liquidity[row] = 2 * w / np.abs(w).sum(), Liquidity(np.full(n, 1e8), np.full(n, 0.02))
    costs = TradingCosts(0.0005, 0.5, 0.005)
    result = backtest(overnight, intraday, targets, costs, initial=1e6, liquidity=liquidity)
    days = np.arange("2014-01-02", "2030-01-01", dtype="datetime64[D]")
    data = TearSheetData(
        title="A fund",
        sessions=days[np.is_busday(days)][:sessions],
        initial_equity=1e6,
        equity=result.equity,
        gross_pnl=result.gross_pnl,
        costs=result.costs,
        turnover=result.turnover,
        exposures={"gross": result.long_exposure - result.short_exposure, "net": result.long_exposure + result.short_exposure},
        factor_exposures={f"factor{i}": 0.01 * (i + 1) * rng.standard_normal(sessions) for i in range(11)},
        market_returns=0.01 * rng.standard_normal(sessions),
    )
    return replace(data, **changes)


def test_page_is_whole_and_self_contained():
    """Every tag closes; there is no script and no address of anything elsewhere."""
    text = render_tearsheet(sheet())
    page = Page(text)
    assert "script" not in page.tags
    assert not {"img", "link", "iframe", "object"} & set(page.tags)
    assert not {"src", "href", "xlink:href"} & {name for name, _ in page.attributes}
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert "url(" not in text
    assert "http" not in text
    assert page.tags.count("svg") == 7
    assert "prefers-color-scheme:dark" in text


def test_equal_data_give_equal_bytes():
    """Two renderings of separately built equal data are the same text."""
    assert render_tearsheet(sheet()) == render_tearsheet(sheet())


def test_fifteen_years_stay_under_a_megabyte():
    """A long history is thinned, not dropped: the page stays small and the extremes stay on it."""
    text = render_tearsheet(sheet(3780))
    assert len(text.encode()) < 1_000_000
    values = np.sin(np.arange(10_000) / 300.0)
    values[7_777] = 5.0
    drawn = render_chart(Chart("t", "", np.arange(10_000).astype("datetime64[D]"), [Series("s", values)]))
    points = drawn.split('points="')[1].split('"')[0].split(" ")
    assert len(points) <= POINTS_MAX + 2
    assert "777.8" in [point.split(",")[0] for point in points]


def test_headline_figures_are_those_of_the_path():
    """Total return and every month's return stand on the page as computed here from the equity."""
    data = sheet()
    text = render_tearsheet(data)
    assert percent(data.equity[-1] / 1e6 - 1) in text
    months = data.sessions.astype("datetime64[M]")
    first = data.equity[months == months[0]][-1] / 1e6 - 1
    assert percent(first) in text
    assert number(sum(v.sum() for v in data.costs.values()), 0) in text


def test_flags_stand_on_top_with_the_grave_ones_first():
    """Each known flag has its sentence before any figure; an unknown flag is shown, not swallowed."""
    text = render_tearsheet(sheet(flags=("assumed", "synthetic", "a_new_flag")))
    words = " ".join(Page(text).words)
    for flag in ("assumed", "synthetic"):
        assert FLAG_TEXTS[flag].split(". ")[0] in words
    assert words.index("Synthetic market") < words.index("Assumed publication") < words.index("After costs")
    assert "a_new_flag" in words


def test_text_from_outside_is_escaped():
    """A model may be called anything: markup in a title, a factor or a table cell stays text."""
    evil = "<script>alert(1)</script>&\"'"
    data = sheet(
        title=evil,
        subtitle=evil,
        flags=(evil,),
        factor_exposures={evil: np.zeros(300)},
        tables=(Table(evil, (evil,), ((evil,),), evil),),
    )
    text = render_tearsheet(data)
    assert "<script" not in text
    assert "".join(Page(text).words).count(evil) >= 6


@pytest.mark.parametrize("sessions", [0, 1, 2, 7])
def test_a_young_fund_has_a_page_too(sessions):
    """No session yet, or a handful, give a page with dashes and not an error."""
    text = render_tearsheet(sheet(sessions))
    Page(text)
    assert "nan" not in text.lower().replace("finance", "")


def test_series_of_another_length_are_refused():
    """A cost without a value for each session is the caller's mistake."""
    with pytest.raises(InputRejected):
        render_tearsheet(sheet(costs={"spread": np.zeros(3)}))


def test_ticks_are_round_and_inside():
    """Two to seven multiples of a round step for any range over 24 orders of magnitude."""
    rng = np.random.default_rng(72)
    for _ in range(500):
        low = float(rng.standard_normal() * 10.0 ** rng.integers(-12, 12))
        high = low + float(rng.random() + 0.1) * max(abs(low), 1e-12)
        found = ticks(low, high)
        slack = 1e-6 * (high - low)
        assert 1 <= len(found) <= 7
        assert all(low - slack <= t <= high + slack for t in found)
    assert tick_labels([0.0, 0.1, 0.2], percent) == ["0 %", "10 %", "20 %"]
    assert tick_labels([0.0, 2.5, 5.0], number) == ["0.0", "2.5", "5.0"]
    assert tick_labels([1000.0, 2000.0], number) == ["1,000", "2,000"]


def test_date_ticks_are_years_or_months():
    """Three years are marked by year, two months by month; never more than seven labels."""
    days = np.arange("2014-03-03", "2017-03-03", dtype="datetime64[D]")
    assert [label for _, label in date_ticks(days)] == ["2015", "2016", "2017"]
    assert [label for _, label in date_ticks(days[:70])] == ["2014-03", "2014-04", "2014-05"]
    assert len(date_ticks(np.arange("1990-01-01", "2024-01-01", dtype="datetime64[D]"))) <= 7


def test_numbers_have_a_true_minus_and_no_negative_zero():
    """Losses carry the minus sign of typography; a rounded-away loss is zero."""
    assert percent(-0.1234) == "−12.3 %"
    assert percent(-0.00001) == "0.0 %"
    assert number(-1234.567) == "−1,234.57"
    assert number(float("nan")) == "–"
