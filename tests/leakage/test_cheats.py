"""The leak detector finds every planted cheat and accuses no honest strategy.

Method: nine mistakes by which strategies come to know the future, each beside its honest twin, on a synthetic market with
splits, halts, delistings and corrections after every cut. Which edit catches which is compared with the table of the page.
"""

import re
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from market import Edit, LeakReport, PointInTimePanel, SyntheticSpec, find_leaks, generate_market
from market.calendars import to_date
from market.leakage import Strategy
from tests.builders.corrections import corrected
from tests.leakage.cheats import PAIRS, Pair, behind_the_view

SEED = 11
ROWS = (100, 117, 134, 151, 168)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "no-future.md"


@cache
def eventful_market() -> PointInTimePanel:
    """Sixty assets over a year, with many splits, halts, listings, delistings and corrections."""
    spec = SyntheticSpec(
        seed=SEED,
        n_assets=60,
        start=date(2015, 1, 2),
        end=date(2015, 12, 31),
        listing_share=0.1,
        delisting_share=0.3,
        splits_per_year=1.0,
        halts_per_year=4.0,
    )
    return corrected(generate_market(spec), SEED)


def during_sessions(panel: PointInTimePanel) -> list[datetime]:
    """An hour after the open: yesterday's prices are known, today's are not."""
    return [panel.calendar.open_at(to_date(panel.sessions[row])) + timedelta(hours=1) for row in ROWS]


@cache
def report_of(strategy: Strategy) -> LeakReport:
    print(f"seed {SEED}")
    panel = eventful_market()
    return find_leaks(strategy, panel, during_sessions(panel), rng=np.random.default_rng(SEED))


def test_every_cut_has_something_after_it_to_cheat_with() -> None:
    panel = eventful_market()
    splits = panel.quotes.splits
    assert splits is not None
    for row in ROWS:
        before, after = np.isfinite(panel.close[: row - 1]).any(axis=0), np.isfinite(panel.close[row:]).any(axis=0)
        halted = np.isnan(panel.close[row - 1]) & before & after
        split = (splits[row:] != 1.0).any()
        delisted = (panel.delisting_index >= row).any()
        assert halted.any() and split and delisted  # noqa: PT018 - one fact: the market is eventful


def test_there_are_nine_cheats() -> None:
    assert len({pair.cheat for pair in PAIRS}) == 9


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: p.cheat.__name__)
def test_a_planted_cheat_is_caught_at_every_cut(pair: Pair) -> None:
    report = report_of(pair.cheat)
    assert not report.clean
    assert {leak.cut for leak in report.leaks} == set(during_sessions(eventful_market()))


@pytest.mark.parametrize("pair", PAIRS, ids=lambda p: p.honest.__name__)
def test_an_honest_twin_is_not_accused(pair: Pair) -> None:
    report = report_of(pair.honest)
    assert report.leaks == ()
    assert report.clean, "and it does read the past"


def test_a_look_behind_the_view_is_caught() -> None:
    assert report_of(behind_the_view).leaks


def test_the_page_says_which_edit_catches_which_cheat() -> None:
    found = {}
    for pair in PAIRS:
        catching = {leak.edit for leak in report_of(pair.cheat).leaks}
        found[pair.cheat.__name__] = [edit in catching for edit in Edit]
    rows = re.findall(r"^\| `(\w+)` \|(.+)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    told = {name: [cell.strip() == "caught" for cell in cells.split("|")] for name, cells in rows if name in found}
    assert told == found
