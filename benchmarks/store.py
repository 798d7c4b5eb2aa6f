"""The store of market data at 5,000 stocks × 20 years with 1 % revisions: open it and serve what was known of the last year.

1. Ours opens the home's store and takes a view of the last 252 sessions, at an instant at which half of the last year's
   revisions were known.
2. The peer is pandas on the same files: read the same years, keep what was known, take the last word of each cell, pivot.

The files are made outside the clock, as a vendor's batches of a year each.
"""

import argparse
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.harness import SCRATCH, SEED, Outcome, contend, repeat, show, table

ASSETS, FIRST_YEAR, YEARS, REVISED = 5_000, 1998, 20, 0.01
WINDOW = 252


def make(folder: str, assets: int, years: int) -> dict[str, Any]:
    """Fill a store with years of prices, one batch each, and revisions that were learnt up to forty sessions later."""
    import numpy as np

    from market.batch import EventRows, PriceRows
    from market.calendars import session_calendar
    from service.pricestore import Dataset, PriceStore

    rng = np.random.default_rng(SEED)
    store = PriceStore(Path(folder) / "market", sync=False)
    dataset = Dataset("us", "parquet", "XNYS", "US", "USD", "split_adjusted", 60)
    calendar = session_calendar("XNYS", date(FIRST_YEAR, 1, 1), date(FIRST_YEAR + years, 12, 31))
    names = np.array([f"T{i:05d}" for i in range(assets)])
    price = rng.uniform(5, 200, assets)
    for year in range(FIRST_YEAR, FIRST_YEAR + years):
        at = np.flatnonzero(calendar.sessions.astype("datetime64[Y]").astype(int) + 1970 == year)
        close = np.round(price * np.exp(np.cumsum(rng.normal(0, 0.02, (len(at), assets)), axis=0)), 4)
        price = close[-1]
        row, asset = np.divmod(np.arange(close.size), assets)
        late = rng.random(close.size) < REVISED
        row, asset = np.concatenate([row, row[late]]), np.concatenate([asset, asset[late]])
        known = calendar.closes[at[row]].astype("datetime64[us]") + np.timedelta64(60, "m")
        known[close.size :] += (rng.integers(1, 40, int(late.sum())) * 86_400_000_000).astype("timedelta64[us]")
        values = np.concatenate([close.reshape(-1), np.round(close.reshape(-1)[late] * 1.01, 4)])
        none = np.full(len(row), np.nan)
        rows = PriceRows(
            np.arange(len(row)) + 1, names[asset], calendar.sessions[at[row]], np.round(values * 0.999, 4), none, none, values,
            np.rint(rng.uniform(1e4, 1e6, len(row))), np.full(len(row), "USD"), known,
        )  # fmt: skip
        store.append(dataset, rows, EventRows.empty(), batch_id=str(year), flags=["assumed"])
    return {"wall": [0.0], "cpu": [0.0]}


def ours(folder: str, last_year: int) -> dict[str, Any]:
    """Open the store and serve the window."""
    from market.calendars import to_instant
    from service.pricepanel import stored_panel
    from service.pricestore import PriceStore

    def serve() -> Any:
        panel = stored_panel(PriceStore(Path(folder) / "market"), first=date(last_year - 1, 11, 20))
        view = panel.as_of(to_instant(panel.known_at[-20]))
        return view.close[-WINDOW:], view.quotes.volume[-WINDOW:], view.quotes.open[-WINDOW:]

    seconds, (close, volume, _) = repeat(serve)
    return {**seconds, "sum": float(close.sum()), "volume": float(volume.sum()), "shape": list(close.shape)}


def by_pandas(folder: str, last_year: int) -> dict[str, Any]:
    """Do the same with pandas."""
    import pandas as pd

    from market.calendars import session_calendar, to_instant

    calendar = session_calendar("XNYS", date(last_year, 1, 1), date(last_year, 12, 31))
    instant = to_instant(calendar.closes[-20]) + pd.Timedelta(minutes=60)

    def serve() -> Any:
        files = [p for y in (last_year - 1, last_year) for p in (Path(folder) / "market/us/prices" / str(y)).glob("*.parquet")]
        rows = pd.concat([pd.read_parquet(path) for path in files])
        rows = rows[rows["known_at"] <= instant.replace(tzinfo=None)].sort_values("known_at", kind="stable")
        rows = rows.drop_duplicates(["as_of", "asset"], keep="last")
        wide = rows.pivot(index="as_of", columns="asset", values=["open", "close", "volume"])
        return wide.iloc[-WINDOW:]

    seconds, wide = repeat(serve)
    found = {"sum": float(wide["close"].sum().sum()), "volume": float(wide["volume"].sum().sum())}
    return {**seconds, **found, "shape": list(wide["close"].shape)}


def _agree(mine: Outcome, peer: Outcome) -> str:
    if peer is mine:
        return ""
    return f"{max(abs(mine.found[k] / peer.found[k] - 1) for k in ('sum', 'volume')):.1e}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--assets", type=int, default=ASSETS)
    parser.add_argument("--years", type=int, default=YEARS)
    options = parser.parse_args(arguments)
    last = FIRST_YEAR + options.years - 1
    SCRATCH.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=SCRATCH) as folder:
        contend("", "store", "make", folder=folder, assets=options.assets, years=options.years)
        mine = contend("crowdalpha, store and view", "store", "ours", folder=folder, last_year=last)
        peer = contend("pandas on the same files", "store", "by_pandas", folder=folder, last_year=last)
    body = table([mine, peer], {"difference of the sums": lambda o: _agree(mine, o)})
    size = f"{options.assets:,} stocks × {options.years} years, {REVISED:.0%} revisions"
    show(f"Open a store of {size}, serve {WINDOW} sessions", "python -m benchmarks.store", body, packages=("pandas", "pyarrow"))


if __name__ == "__main__":
    main()
