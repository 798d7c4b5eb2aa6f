"""Small seasons for tests: a synthetic market of 160 stocks, a dozen weeks, the whole crowd, in a few seconds."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from market.panel import PointInTimePanel
from market.synthetic import SyntheticSpec, generate_market
from service.clock import SimulatedClock
from service.context import Platform, build_platform
from service.home import Home
from service.idsource import SeededIds
from service.replay.crowd import roster
from service.replay.report import Summary
from service.replay.run import play
from service.settings import Settings, load_settings

FIRST = date(2021, 1, 4)
LAST = date(2021, 3, 31)
HISTORY_FROM = date(2019, 3, 1)
N_ASSETS = 160


def small_settings(overrides: Mapping[str, Any] | None = None) -> Settings:
    """Settings of a small season: a universe of 130, a risk model of 40 weeks."""
    return load_settings().with_overrides({"universe.size": 130, "fund.risk_weeks": 40, **(overrides or {})})


@cache
def small_panel(seed: int = 7) -> PointInTimePanel:
    """A synthetic market of 160 stocks over two years."""
    return generate_market(SyntheticSpec(seed=seed, n_assets=N_ASSETS, start=HISTORY_FROM, end=LAST))


def play_small(
    path: Path,
    panel: PointInTimePanel | None = None,
    last: date = LAST,
    seed: int = 7,
    overrides: Mapping[str, Any] | None = None,
    first: date = FIRST,
) -> tuple[Home, Summary]:
    """Play the small season in a fresh home at ``path``."""
    home = Home.create(path)
    panel = panel or small_panel()
    # Without the oracle: everybody here is honest, so that no file can depend on the future.
    members = roster(panel.source, seed)
    return home, play(home, small_settings(overrides), panel, first, last, seed, members=members)


@contextmanager
def after_small(
    path: Path, overrides: Mapping[str, Any] | None = None, ids: str | None = None, last: date = LAST
) -> Iterator[Platform]:
    """Play the small season at ``path``, and give its platform three hours after the last close, with the panel in memory.

    ``ids`` seeds the ids of what is made from then on.
    """
    home, _ = play_small(path, last=last, overrides=overrides)
    clock = SimulatedClock(small_panel().calendar.close_at(last) + timedelta(hours=3))
    seeded = None if ids is None else SeededIds(ids)
    made = build_platform(home, small_settings(overrides), clock, seeded, durable=False)
    made.desk.use(small_panel())
    try:
        yield made
    finally:
        made.store.dispose()
