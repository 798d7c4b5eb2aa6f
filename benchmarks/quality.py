"""The quality gate over a price file, ``python -m benchmarks.quality --prices FILE``: what is set aside, and in what time.

The file has the columns ticker, date, open, close, volume and, where there is one, adj_close; its rows are taken as a backfill,
known an hour after the close of their session. Nothing is compared here: the figures of docs/data-quality.md are made with it.
"""

import argparse
import json
from collections.abc import Sequence
from datetime import timedelta
from time import process_time
from typing import Any

from benchmarks.harness import duration

EXCHANGE = "XNYS"
AHEAD_DAYS = 30


def read(path: str) -> tuple[Any, Any, Any]:
    """Return a price file as a batch, the market that was known before it (nothing), and adj_close or None."""
    import numpy as np
    import pyarrow.parquet as pq

    from market.batch import EventRows, PriceBatch, PriceRows
    from market.calendars import session_calendar, to_date
    from market.quality import KnownMarket

    file = pq.read_table(path)
    days = file.column("date").to_numpy().astype("datetime64[D]")
    first, last = to_date(days.min()), to_date(days.max())
    calendar = session_calendar(EXCHANGE, first - timedelta(days=AHEAD_DAYS), last + timedelta(days=AHEAD_DAYS))
    at = np.minimum(np.searchsorted(calendar.sessions, days), len(calendar.sessions) - 1)
    known_at = (calendar.closes[at] + np.timedelta64(60, "m")).astype("datetime64[us]")

    def numbers(name: str) -> Any:
        column = file.column(name) if name in file.column_names else None
        return np.full(len(days), np.nan) if column is None else column.to_numpy().astype(np.float64)

    tickers = np.asarray(file.column("ticker").cast("string").to_pylist(), dtype=np.str_)
    columns = {name: numbers(name) for name in ("open", "high", "low", "close", "volume")}
    row = np.arange(1, len(days) + 1)
    prices = PriceRows(row=row, tickers=tickers, dates=days, currencies=np.full(len(days), ""), known_at=known_at, **columns)
    batch = PriceBatch("parquet", "split_adjusted", known_at.max() + np.timedelta64(1, "D"), prices, EventRows.empty())
    adjusted = numbers("adj_close") if "adj_close" in file.column_names else None
    return batch, KnownMarket({EXCHANGE: calendar}, EXCHANGE), adjusted


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table in Markdown."""
    print()
    for row in (head, ["---"] * len(head), *rows):
        print(f"| {' | '.join(row)} |")
    print()


def main(arguments: Sequence[str] | None = None) -> None:
    """Judge a file and print the table, or with ``--json`` the whole report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prices", required=True, help="a Parquet file of daily prices")
    parser.add_argument("--findings", type=int, default=1000, help="how many findings the report lists")
    parser.add_argument("--json", action="store_true", help="print the report with its findings")
    options = parser.parse_args(arguments)
    from market.quality import judge_batch

    batch, known, adjusted = read(options.prices)
    begun = process_time()
    judgement = judge_batch(batch, known, adjusted=adjusted)
    took = process_time() - begun
    report = judgement.report(options.findings)
    if options.json:
        print(json.dumps(report, indent=1))
        return
    rows = report["rows"]
    print(
        f"{rows['all']:,} rows judged in {duration(took)} of one processor"
        + (f"; refused: {report['refused']}" if report["refused"] else "")
    )
    print_table(("rows", "count", "share"), [(name, f"{n:,}", f"{n / max(rows['all'], 1):.4%}") for name, n in rows.items()])
    counts = [(f"`{fault}`", word, f"{n:,}") for word, kinds in report["counts"].items() for fault, n in kinds.items()]
    print_table(("fault", "severity", "findings"), counts)
    print(f"{len(report['inferred_splits'])} splits inferred from breaks that settled")


if __name__ == "__main__":
    main()
