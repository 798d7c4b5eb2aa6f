"""Goal: the curve is drawn where its numbers are, whatever the numbers. Method: hand-computed positions and hostile series."""

import math
from itertools import pairwise

import pytest

from service.web import write
from service.web.charts import BOTTOM, HEIGHT, LEFT, POINTS_MAX, RIGHT, TOP, WIDTH, drawdowns, line_chart, round_ticks


def points(piece: str) -> list[tuple[float, float]]:
    return [tuple(map(float, p.split(","))) for p in piece.split()]


def test_the_ends_of_a_line_stand_at_the_corners() -> None:
    chart = line_chart(["2016-01-04", "2016-01-05", "2016-01-06"], {"equity": [0.0, 5.0, 10.0]}, write.number)
    assert chart is not None
    assert points(chart.lines[0].pieces[0]) == [
        (LEFT, HEIGHT - BOTTOM),
        ((LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2),
        (WIDTH - RIGHT, TOP),
    ]
    assert [m.text for m in chart.up] == ["0", "2", "4", "6", "8", "10"]


@pytest.mark.parametrize("line", [[], [None, None], [math.nan, math.inf]])
def test_nothing_finite_gives_no_chart(line: list) -> None:
    assert line_chart([f"2016-01-0{i + 4}" for i in range(len(line))], {"equity": line}, write.number) is None


@pytest.mark.parametrize("line", [[1.0], [7.0, 7.0], [0.0, 0.0], [1e12, 1e12 + 1], [-3.0, -3.0], [1e-9, -1e-9]])
def test_a_flat_or_tiny_line_stays_inside_the_picture(line: list[float]) -> None:
    chart = line_chart([f"2016-01-0{i + 4}" for i in range(len(line))], {"equity": line}, write.number)
    assert chart is not None
    for x, y in points(chart.lines[0].pieces[0]):
        assert LEFT <= x <= WIDTH - RIGHT
        assert TOP <= y <= HEIGHT - BOTTOM


def test_a_gap_breaks_the_line() -> None:
    sessions = [f"2016-01-{d:02d}" for d in range(4, 9)]
    chart = line_chart(sessions, {"equity": [1.0, 2.0, math.nan, 3.0, 4.0]}, write.number)
    assert chart is not None
    assert [len(p.split()) for p in chart.lines[0].pieces] == [2, 2]


def test_a_long_history_is_thinned_and_keeps_its_end() -> None:
    days = [f"{1990 + i // 250}-{1 + (i % 250) // 21:02d}-{1 + i % 21:02d}" for i in range(9999)]
    chart = line_chart(days, {"equity": [float(i) for i in range(9999)]}, write.number)
    assert chart is not None
    drawn = points(chart.lines[0].pieces[0])
    assert len(drawn) <= POINTS_MAX + 1
    assert drawn[-1][0] == WIDTH - RIGHT
    assert len(chart.across) <= 14


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-0.3, 0.2), (9.9e7, 1.04e8), (1e-12, 3e-12), (-5.0, -1.0)])
def test_ticks_enclose_the_range_evenly(low: float, high: float) -> None:
    ticks = round_ticks(low, high)
    assert ticks[0] <= low
    assert ticks[-1] >= high
    steps = [b - a for a, b in pairwise(ticks)]
    assert max(steps) - min(steps) <= 1e-9 * max(abs(high), abs(low))
    assert 2 <= len(ticks) <= 9


def test_drawdown_is_measured_from_the_highest_value_so_far() -> None:
    assert drawdowns([100.0, 110.0, 99.0, math.nan, 121.0]) == [0.0, 0.0, pytest.approx(-0.1), None, 0.0]


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (write.score(-0.01), "−0.0100"),
        (write.score(None), "–"),
        (write.score(-0.00001), "0.0000"),
        (write.percent(-0.5), "−50.00 %"),
        (write.tokens("-0.129"), "−0.12"),
        (write.tokens("1000000"), "1,000,000.00"),
        (write.tokens(None), "–"),
        (write.instant("2016-01-08T22:30:00+01:00"), "2016-01-08 21:30"),
        (write.money(-1234.0), "−1,234"),
        (write.money(100_500_000.0), "100.50 M"),
    ],
)
def test_values_are_written_plainly(written: str, wanted: str) -> None:
    assert written == wanted
