"""A ten-year weekly history of 5,000 stocks, diagnosed by the whole command: seconds and peak memory, and where the time goes.

    python -m benchmarks.diagnose

It has no peer: nothing that a provider can run does this. Three figures:

1. The command, in a process of its own, on a home that holds twelve years of daily prices of the stocks (14 million rows): the
   reading of prices and history, universes, exposures, targets, scores, churn, summary and page. Prices and history are made
   outside the clock.
2. The exposures alone, those of all dates at once beside those of one date after the other (our own two ways; values apart by
   rounding).
3. The same reading and measuring, step by step, on one thread.

``--stocks`` and ``--weeks`` make it smaller.
"""

import argparse
import json
import shutil
import sys
import tempfile
from datetime import date, timedelta
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from benchmarks.harness import SEED, Outcome, contend, repeat, run_command, show, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from market.panel import PointInTimePanel

STOCKS, WEEKS, STEP = 5_000, 520, 5
FIRST = date(2005, 1, 3)
LEAD_SESSIONS = 260
"""Sessions before the first era: a year for the exposures."""

TRAIL_SESSIONS = 25
"""Sessions after the last one, so that its target is known."""

EXPOSURE_DATES = 26
"""Dates of the second figure: half a year is enough to see what a date costs."""

REPEATS = 3


def make_home(folder: Path, stocks: int, weeks: int) -> tuple[Path, Path]:
    """Make a home with prices, and a history beside it; return both."""
    import numpy as np
    import pyarrow as pa

    from market.calendars import session_calendar
    from service.context import init_home
    from service.home import Home
    from service.settings import load_settings
    from service.vendors.files import parquet_bytes
    from service.vendors.ingested import FileBatch, end_of, ingest_file, market_store

    rng = np.random.default_rng(SEED)
    count = LEAD_SESSIONS + STEP * weeks + TRAIL_SESSIONS
    sessions = session_calendar("XNYS", FIRST, FIRST + timedelta(days=int(count * 1.5) + 30)).sessions[:count]
    market = rng.normal(3e-4, 0.01, count)[:, None]
    returns = market * rng.uniform(0.5, 1.5, stocks) + rng.uniform(0.01, 0.03, stocks) * rng.standard_normal((count, stocks))
    close = np.maximum(np.round(50.0 * np.exp(np.cumsum(returns - 2e-4, axis=0)), 4), 1e-4)
    volume = np.round(np.exp(rng.normal(13.0, 1.0, stocks) + 0.5 * rng.standard_normal((count, stocks))))
    tickers = np.array([f"T{i:05d}" for i in range(stocks)])
    codes = np.tile(np.arange(stocks, dtype=np.int32), count)
    prices = {"ticker": pa.DictionaryArray.from_arrays(codes, tickers), "date": pa.array(np.repeat(sessions, stocks))}
    prices |= {name: close.ravel() for name in ("open", "close", "adj_close")} | {"volume": volume.ravel()}
    meta = {
        "ticker": tickers,
        "sector": [f"Sector {i % 11}" for i in range(stocks)],
        "listing_country": ["US"] * stocks,
        "shares_out_approx": np.exp(rng.normal(18.0, 1.0, stocks)),
    }
    (folder / "prices.parquet").write_bytes(parquet_bytes(pa.table(prices)))
    (folder / "meta.parquet").write_bytes(parquet_bytes(pa.table(meta)))
    history = folder / "history.csv"
    with history.open("w") as file:
        file.write("date,ticker,signal\n")
        for row in range(LEAD_SESSIONS, count - TRAIL_SESSIONS, STEP):
            ranks = (rng.permutation(stocks) + 0.5) / stocks
            day = str(sessions[row])
            file.writelines(f"{day},{ticker},{rank:.6f}\n" for ticker, rank in zip(tickers, ranks.tolist(), strict=True))
    init_home(folder / "home")
    store = market_store(Home.open(folder / "home"))
    last = sessions[-1].astype(object)
    ingest_file(store, load_settings(), FileBatch(folder / "prices.parquet", folder / "meta.parquet"), end_of(last))
    return folder / "home", history


def load(home: str) -> "PointInTimePanel":
    """Return the home's panel with what is derived from it."""
    from market.calendars import to_instant
    from service.home import Home
    from service.settings import load_settings
    from service.vendors.ingested import load_panel

    panel = load_panel(Home.open(Path(home)), load_settings())
    view = panel.as_of(to_instant(panel.known_at[-1]))
    for compute in (view.total_returns, view.dollar_volume, view.market_cap, view.history_sessions):
        compute()
    return panel


def exposures(home: str, stocks: int, together: bool, repeats: int) -> dict[str, Any]:
    """Compute the exposures of half a year of weekly dates, together or one after the other."""
    import numpy as np

    from market.calendars import to_instant
    from market.exposure_history import exposure_history
    from market.exposures import compute_exposures
    from market.universe import UniverseRule, select_members

    panel = load(home)
    views = [panel.as_of(to_instant(panel.known_at[LEAD_SESSIONS + STEP * week])) for week in range(EXPOSURE_DATES)]
    members = [select_members(view, UniverseRule(size=stocks)) for view in views]

    def alone() -> list[Any]:
        return [compute_exposures(view, m) for view, m in zip(views, members, strict=True)]

    def at_once() -> list[Any]:
        return list(exposure_history(panel, [view.last_session for view in views], members))

    found, result = repeat(at_once if together else alone, repeats)
    apart = max(float(np.abs(a.values - b.values).max()) for a, b in zip(result, alone(), strict=True))
    return found | {"apart": apart}


def steps(home: str, history: str, stocks: int) -> dict[str, Any]:
    """Go through the command's steps on one thread; return the seconds of each."""
    from service.context import open_platform
    from service.diagnosispage import render_diagnosis
    from service.settings import load_settings
    from service.workflows.diagnose import diagnose, read_file

    seconds: dict[str, float] = {}

    def timed(name: str, call: "Callable[[], Any]") -> Any:
        begin = perf_counter()
        result = call()
        seconds[name] = perf_counter() - begin
        return result

    settings = load_settings().with_overrides({"universe.size": stocks})
    timed("reading the history", lambda: read_file(Path(history)))
    panel = timed("reading prices", lambda: load(home))
    with open_platform(Path(home), settings) as platform:
        platform.desk.use(panel)
        found = timed("reading the history again, and measuring", lambda: diagnose(platform, Path(history), workers=1))
    timed("page", lambda: render_diagnosis(found))
    return {"wall": [sum(seconds.values())], "cpu": [sum(seconds.values())], "seconds": seconds}


def main(arguments: list[str] | None = None) -> None:
    """Print the command's table, then the exposures', then the steps."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diagnose")
    parser.add_argument("--stocks", type=int, default=STOCKS)
    parser.add_argument("--weeks", type=int, default=WEEKS)
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="crowdalpha-diagnose-"))
    try:
        # In a process of its own: this one stays small, so that its memory is no floor under the command's.
        made = contend("data", "diagnose", "make", folder=str(folder), stocks=options.stocks, weeks=options.weeks).found
        _show(made["home"], made["history"], options.stocks, options.weeks)
    finally:
        shutil.rmtree(folder)


def make(folder: str, stocks: int, weeks: int) -> dict[str, Any]:
    """Make the data, as a contender without a time."""
    home, history = make_home(Path(folder), stocks, weeks)
    return {"wall": [0.0], "cpu": [0.0], "home": str(home), "history": str(history)}


def _show(home: str, history: str, stocks: int, weeks: int) -> None:
    crowdalpha = Path(sys.executable).parent / "crowdalpha"
    command: list[str | Path] = ["env", f"CROWDALPHA_UNIVERSE__SIZE={stocks}", crowdalpha, "diagnose", history]
    command += ["--home", home, "--json"]
    runs = [run_command(command) for _ in range(REPEATS)]
    said = json.loads(runs[-1][3])
    outcome = Outcome("crowdalpha diagnose", tuple(r[0] for r in runs), tuple(r[1] for r in runs), max(r[2] for r in runs))
    megabytes = Path(history).stat().st_size / 1e6
    size = f"{said['rows']:,} rows ({megabytes:.0f} MB), {said['scored']:,} of {weeks:,} eras scored."
    show("A history of ten years", "python -m benchmarks.diagnose", table([outcome]), packages=("pyarrow",), notes=[size])
    both = [
        contend(name, "diagnose", "exposures", home=home, stocks=stocks, together=together, repeats=REPEATS)
        for name, together in (("exposure_history", True), ("compute_exposures, date by date", False))
    ]
    notes = [f"{EXPOSURE_DATES} dates × {stocks:,} stocks; values at most {both[0].found['apart']:.0e} apart."]
    show("Exposures of many dates", "python -m benchmarks.diagnose", table(both), notes=notes)
    seconds = contend("steps", "diagnose", "steps", home=home, history=history, stocks=stocks).found["seconds"]
    body = "\n".join(["| step, on one thread | seconds |", "|---|---|", *(f"| {k} | {v:.1f} |" for k, v in seconds.items())])
    show("Where the time goes", "python -m benchmarks.diagnose", body)


if __name__ == "__main__":
    main()
