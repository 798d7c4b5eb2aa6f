"""The search says what leaks and where, and says so when it could not have found anything.

Method: strategies of a line each, on a market of random walks, whose one peculiarity is known; the planted cheats are in
``tests/leakage``.
"""

from datetime import datetime
from functools import cache

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.calendars import to_instant
from market.edits import Edit
from market.leakage import Cache, LeakReport, Strategy, find_leaks, of_view
from market.panel import PanelView, PointInTimePanel
from tests.builders.panels import small_panel

SEED = 6
ROWS = (40, 50, 60)


@cache
def market() -> PointInTimePanel:
    return small_panel(seed=SEED, n_assets=12, n_sessions=90)


def instants(rows: tuple[int, ...] = ROWS) -> list[datetime]:
    return [to_instant(market().known_at[row]) for row in rows]


def search(strategy: Strategy, rows: tuple[int, ...] = ROWS, **options: object) -> LeakReport:
    print(f"seed {SEED}")
    return find_leaks(strategy, market(), instants(rows), rng=np.random.default_rng(SEED), **options)  # type: ignore[arg-type]


def week(view: PanelView) -> np.ndarray:
    return view.total_returns()[-5:].sum(axis=0)


def tomorrow(panel: PointInTimePanel, instant: datetime) -> dict[str, np.ndarray]:
    """Asset 7 at tomorrow's price, all others as they are known."""
    row = len(panel.as_of(instant).sessions)
    signal = panel.close[row - 1].copy()
    signal[7] = panel.close[row, 7]
    return {"assets": panel.assets.asset_ids, "signal": signal}


def test_a_leak_is_told_with_edit_cut_output_and_place() -> None:
    report = search(tomorrow, rows=(50,), edits=(Edit.SCALE,), caches=(Cache.COLD,))
    (leak,) = report.leaks
    (at,) = instants((50,))
    price = market().close[51, 7]
    assert (leak.edit, leak.cut, leak.instant, leak.cache) == (Edit.SCALE, at, at, Cache.COLD)
    assert (leak.output, leak.position, leak.before, leak.after) == ("signal", (7,), str(price), str(price * 1e6))
    assert str(leak).startswith("signal[7], decided at 2014-03-17 21:00Z, was ")
    assert str(report).startswith("It knows the future: 1 change in 1 answer at 1 cut. First: signal[7], ")
    assert not report.clean


def test_a_strategy_that_falls_off_the_end_of_a_truncated_panel_leaks() -> None:
    report = search(tomorrow, rows=(50,), edits=(Edit.TRUNCATE,), caches=(Cache.COLD,))
    assert [leak.after.partition(":")[0] for leak in report.leaks] == ["IndexError"]


def test_an_honest_strategy_is_clean_and_everything_was_tried() -> None:
    report = search(of_view(week), decisions_per_cut=3)
    assert report.clean
    assert (report.cuts, report.comparisons) == (3, (1 + 2 + 3) * 4 * 2)
    assert str(report).startswith("No trace of the future: 48 answers at 3 cuts are bit-identical")


def test_a_refusal_is_an_answer_like_any_other() -> None:
    def late_starter(view: PanelView) -> np.ndarray:
        if len(view.sessions) < 55:
            raise InputRejected(Code.HISTORY_TOO_SHORT, "It needs 55 sessions.")
        return week(view)

    assert search(of_view(late_starter)).clean


def test_a_fault_on_the_panel_as_it_is_comes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        search(of_view(lambda view: 1 // 0))


def test_what_is_kept_between_questions_is_found_with_a_warm_cache_only() -> None:
    class Highest:
        """Divides by the highest price it ever saw, in whichever question."""

        def __init__(self) -> None:
            self.highest: tuple[object, float] = (None, 0.0)

        def __call__(self, panel: PointInTimePanel, instant: datetime) -> np.ndarray:
            view = panel.as_of(instant)
            seen = self.highest[1] if self.highest[0] is panel else 0.0
            self.highest = (panel, max(seen, float(np.nanmax(view.close))))
            return view.close[-1] / self.highest[1]

    report = search(Highest(), edits=(Edit.SCALE,))
    assert {leak.cache for leak in report.leaks} == {Cache.WARM}


def test_randomness_of_its_own_is_told_from_a_leak() -> None:
    rng = np.random.default_rng(SEED)
    with pytest.raises(InputRejected) as refused:
        search(of_view(lambda view: rng.random(3)))
    assert refused.value.code is Code.STRATEGY_UNSTEADY
    seeded = search(of_view(lambda view: week(view) + np.random.default_rng(len(view.sessions)).random(12)))
    assert seeded.clean


def test_an_answer_from_memory_is_deaf_and_not_clean() -> None:
    """A cheat that remembers its answers by date shows nothing when the future changes, nor when the past does."""
    remembered: dict[datetime, object] = {}

    def cheat(panel: PointInTimePanel, instant: datetime) -> object:
        if instant not in remembered:
            remembered[instant] = tomorrow(panel, instant)
        return remembered[instant]

    report = search(cheat)
    assert report.leaks == ()
    assert report.deaf
    assert not report.clean
    assert str(report).startswith("Nothing can be said")


def test_a_search_without_instants_or_past_the_end_is_refused() -> None:
    for rows, options in (((), {}), ((50,), {"decisions_per_cut": 0}), ((89,), {})):
        with pytest.raises(InputRejected):
            search(of_view(week), rows=rows, **options)
