"""The two long commands: ``demo`` (a season on the synthetic market) and ``replay`` (the same on real history).

Both make a fresh home, put a panel into it, play a season and write ``reports/summary.json`` and ``reports/tearsheet.html``. A
replay reads no row after its last date, so nothing it does can depend on one.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected
from market.panel import PointInTimePanel
from service.atomic import write_file
from service.clock import SimulatedClock
from service.context import build_platform
from service.home import Home
from service.idsource import SeededIds
from service.progress import Progress, Silent
from service.replay.crowd import Member, roster
from service.replay.report import Summary, write_reports
from service.replay.season import play_season
from service.settings import Settings, load_settings
from service.vendors.ingested import FileBatch, end_of, ingest_file, keep_synthetic, load_panel, market_store

AFTER_LAST_CLOSE = timedelta(minutes=105)
"""After the last close: its prices are known, its book is settled, its scores are in, and no new round has opened."""

FOLDER_MODE = 0o755
"""As ``mkdir`` would make it; a temporary folder is private by default."""
LAST_DATE_SLACK_DAYS = 7
"""A last date on a weekend or holiday is fine; one long after the prices end is a mistake."""
HISTORY_MARGIN_SESSIONS = 30
"""Beyond a year of history: enough weeks for a first risk model."""

DEMO_FIRST = date(2021, 1, 4)
DEMO_LAST = date(2021, 12, 31)
DEMO_HISTORY_FROM = date(2018, 7, 2)
DEMO_ASSETS = 260
DEMO_UNIVERSE = 200


def run_demo(home: Path, seed: int = 0, progress: Progress | None = None) -> Summary:
    """Play a season on the synthetic market of ``seed`` in a fresh home.

    Raises
    ------
    Conflict
        HOME_IN_USE when ``home`` is not fresh.
    """
    from market.synthetic import SyntheticSpec, generate_market

    settings = load_settings().with_overrides({"universe.size": DEMO_UNIVERSE})
    progress = progress or Silent()
    _refuse_in_use(home)
    progress.note(f"Generating a synthetic market of {DEMO_ASSETS} stocks from seed {seed}.")
    spec = SyntheticSpec(seed=seed, n_assets=DEMO_ASSETS, start=DEMO_HISTORY_FROM, end=DEMO_LAST)
    panel = generate_market(spec)
    with _unfinished(home) as folder:
        keep_synthetic(folder, spec, panel)
        summary = play(folder, settings, panel, DEMO_FIRST, panel.last_session, seed, progress)
    return _moved(summary, home)


def run_replay(
    home: Path,
    prices: Path,
    meta: Path | None,
    first: date,
    last: date,
    seed: int = 0,
    universe: int | None = None,
    progress: Progress | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Summary:
    """Play the rounds of [first, last] on the prices of a file, in a fresh home.

    Parameters
    ----------
    home : Path
        A folder that is not there yet, or empty.
    prices, meta : Path
        Long price table (``ticker, date, open, close, adj_close, volume``) and metadata; no row after ``last`` is read.
    first, last : date
        First and last day of the season; there must be a year of prices before ``first``.
    universe : int, optional
        Number of assets a round; the setting otherwise.
    overrides : mapping, optional
        Further settings by dotted name.

    Raises
    ------
    InputRejected
        DATE_INVALID, DATE_OUTSIDE_PANEL, HISTORY_TOO_SHORT, and what the files are refused for.
    Unavailable, Conflict
        PRICES_MISSING; HOME_IN_USE.
    """
    if first > last:
        raise InputRejected(Code.DATE_INVALID, f"The first date, {first}, is after the last, {last}.")
    changes = dict(overrides or {}) | ({"universe.size": universe} if universe else {})
    settings = load_settings().with_overrides(changes)
    progress = progress or Silent()
    _refuse_in_use(home)
    progress.note(f"Reading {prices.name} up to {last}.")
    with _unfinished(home) as folder:
        ingest_file(market_store(folder, sync=False), settings, FileBatch(prices, meta, last=last), end_of(last))
        panel = load_panel(folder, settings)
        _check_dates(settings, panel, first, last)
        summary = play(folder, settings, panel, first, panel.last_session, seed, progress)
    return _moved(summary, home)


def _refuse_in_use(home: Path) -> None:
    if not Home.is_fresh(home):
        raise Conflict(Code.HOME_IN_USE, f"{home} is not empty: a season needs a new or empty folder.")


@contextmanager
def _unfinished(home: Path) -> Iterator[Home]:
    """Make the home beside its place under another name; it gets its name when the season is whole, or is removed."""
    home.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{home.name}.unfinished-", dir=home.parent))
    try:
        draft.chmod(FOLDER_MODE)
        yield Home.create(draft)
        if home.exists():
            home.rmdir()
        draft.rename(home)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _moved(summary: Summary, home: Path) -> Summary:
    return Summary(summary.data, {name: home / "reports" / path.name for name, path in summary.paths.items()})


def _check_dates(settings: Settings, panel: PointInTimePanel, first: date, last: date) -> None:
    if last > panel.last_session + timedelta(days=LAST_DATE_SLACK_DAYS) or first > panel.last_session:
        raise InputRejected(Code.DATE_OUTSIDE_PANEL, f"The prices end on {panel.last_session}, before {last}.")
    before = int((panel.sessions < np.datetime64(first, "D")).sum())
    needed = settings.universe.min_history_sessions + HISTORY_MARGIN_SESSIONS
    if before < needed:
        raise InputRejected(
            Code.HISTORY_TOO_SHORT, f"There are {before} sessions of prices before {first}; a season needs {needed}."
        )


def seed_classic_ids(home: Home, seed: int) -> None:
    """Make a fresh home's classic ids, and with them the order of its rows, a function of the seed; for no live home."""
    write_file(home.keys / "classic.key", hashlib.sha256(f"season {seed}".encode()).digest(), mode=0o600)


def play(
    home: Home,
    settings: Settings,
    panel: PointInTimePanel,
    first: date,
    last_session: date,
    seed: int,
    progress: Progress | None = None,
    members: tuple[Member, ...] | None = None,
) -> Summary:
    """Play the season from ``first`` to the settlement of ``last_session`` on ``panel`` in the fresh ``home``.

    Parameters
    ----------
    panel : PointInTimePanel
        May reach beyond ``last_session``; nothing later is looked at, but by the oracle of a synthetic market.
    members : tuple of Member, optional
        The crowd; by default the roster that fits the panel.
    """
    seed_classic_ids(home, seed)
    calendar = panel.calendar
    begins = datetime.combine(first, time.min, tzinfo=UTC)
    ends = calendar.close_at(last_session) + AFTER_LAST_CLOSE
    platform = build_platform(home, settings, SimulatedClock(begins), SeededIds(seed), durable=False)
    try:
        with home.lock():
            platform.desk.use(panel)
            crowd = roster(panel.source, seed, panel) if members is None else members
            verdicts = play_season(platform, crowd, begins, ends, seed, progress or Silent())
            return write_reports(platform, verdicts, seed)
    finally:
        platform.store.dispose()
