"""A home to backtest in: the synthetic market of sixty assets, and histories of signals as a user would write them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

import numpy as np

from market.calendars import to_instant
from market.panel import PanelView, PointInTimePanel
from market.ranks import tie_kept_rank
from market.synthetic import SyntheticSpec, generate_market
from service.context import Platform, build_platform
from service.desk import MarketDesk, week_end_rows
from service.home import Home
from service.replay.providers.momentum import momentum_at
from service.settings import Settings, load_settings
from service.vendors.ingested import keep_synthetic

SPEC = SyntheticSpec(
    seed=23, n_assets=60, start=date(2015, 1, 2), end=date(2016, 6, 30), splits_per_year=0.5, halts_per_year=2.0,
    listing_share=0.1, delisting_share=0.1,
)  # fmt: skip
FIRST_ROW = 265
WIDE = {"position_max": 0.15}
"""With forty-five names a book needs wider caps than with a thousand."""


def small_settings() -> Settings:
    """Settings under which sixty assets have a universe, and a risk model of twelve weeks."""
    return load_settings(env={}).with_overrides({"universe.size": 45, "fund.risk_weeks": 12})


@cache
def eventful_panel() -> PointInTimePanel:
    """The market of :data:`SPEC`."""
    return generate_market(SPEC)


def desk_on(panel: PointInTimePanel, settings: Settings | None = None) -> MarketDesk:
    """A desk that serves ``panel`` and belongs to no home."""
    desk = MarketDesk(Home(Path("nowhere")), settings or small_settings())
    desk.use(panel)
    return desk


def momentum_of(view: PanelView, members: np.ndarray) -> np.ndarray:
    return momentum_at(view, members)


def reversal_of(view: PanelView, members: np.ndarray) -> np.ndarray:
    return -np.nan_to_num(view.total_returns()[-21:, members]).sum(axis=0)


def history_csv(
    desk: MarketDesk,
    signal: Callable[[PanelView, np.ndarray], np.ndarray] = momentum_of,
    first_row: int = FIRST_ROW,
    last_row: int | None = None,
) -> bytes:
    """A weekly history of a signal, each date as known on its evening; the last row counts as a week's end."""
    lines = ["date,ticker,signal"]
    known = desk.panel.sessions[: None if last_row is None else last_row + 1]
    for row in week_end_rows(known, first_row):
        view = desk.view(to_instant(desk.panel.known_at[row]))
        members = desk.universe(view).members
        ranks = tie_kept_rank(signal(view, members))
        tickers = view.assets.tickers[members]
        lines += [f"{desk.panel.sessions[row]},{t},{v:.6f}" for t, v in zip(tickers, ranks, strict=True)]
    return ("\n".join(lines) + "\n").encode()


@dataclass(frozen=True)
class Room:
    """An open platform in a home with prices, and the files of two signals beside it."""

    platform: Platform
    momentum: Path
    reversal: Path


def backtest_home(path: Path) -> Room:
    """Make a home with the eventful market at ``path/home`` and write both histories into ``path``."""
    home = Home.create(path / "home")
    keep_synthetic(home, SPEC, eventful_panel())
    platform = build_platform(home, small_settings())
    platform.desk.use(eventful_panel())
    for name, signal in (("momentum", momentum_of), ("reversal", reversal_of)):
        (path / f"{name}.csv").write_bytes(history_csv(platform.desk, signal))
    return Room(platform, path / "momentum.csv", path / "reversal.csv")
