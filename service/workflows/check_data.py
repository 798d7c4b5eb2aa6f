"""What the quality gate said of a home's market data, and what a person says back.

:func:`data_report` adds up the reports that were kept with each batch; it judges nothing again. :func:`clear_row` frees a row
that the gate holds back and that a person found right: it becomes a later word, known from now on.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np

from crowdalpha.canonical import sha256_hex
from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.batch import EventRows
from market.calendars import to_datetime64
from service.context import Platform
from service.keptmarket import quarantined_rows
from service.pricestore import Dataset, PriceStore
from service.store import audit
from service.vendors.ingested import clear_rows, market_store

FINDINGS_SHOWN = 500
THIN_SESSIONS_SHOWN = 10


def data_report(platform: Platform) -> dict[str, Any]:
    """Return, as plain JSON values, what is kept in the home and what was found wrong with it.

    Returns
    -------
    dict
        ``datasets``: one entry each with ``about``, ``flags``, ``batches``, ``rows``, ``events``, ``findings`` (counts by
        severity and fault), ``inferred_splits``, ``thinnest_sessions`` and ``listed``, the findings one by one; ``panel``: what
        is served from all of them.

    Raises
    ------
    Unavailable
        ``prices_missing`` when nothing was ingested.
    """
    store = market_store(platform.home)
    panel = platform.desk.panel
    kept = store.manifest()["datasets"]
    return {
        "datasets": {name: _dataset(store, name, kept[name]) for name in sorted(kept)},
        "panel": {
            "assets": len(panel.assets),
            "sessions": len(panel.sessions),
            "first": str(panel.sessions[0]),
            "last": str(panel.sessions[-1]),
            "exchanges": list(panel.exchange_names),
            "revisions": len(panel.revisions),
            "price_basis": panel.price_basis,
            "source": panel.source,
            "flags": sorted(panel.flags),
        },
    }


def clear_row(platform: Platform, ticker: str, day: date, why: str) -> int:
    """Free the rows that stand in quarantine for ``ticker`` from ``day`` on; return how many there were.

    They count as known from now on, not from their own instants; the gate sees no jump there in batches to come.

    Raises
    ------
    InputRejected
        ``not_found`` when nothing stands there.
    """
    store = market_store(platform.home)
    now = platform.clock.now()
    freed = 0
    for name, entry in store.manifest()["datasets"].items():
        rows, _ = quarantined_rows(store, name)
        rows = rows.take((rows.tickers == ticker) & (rows.dates >= np.datetime64(day, "D")))
        rows = rows.take(np.isfinite(rows.close) & (rows.close > 0))
        if not len(rows):
            continue
        known = np.full(len(rows), to_datetime64(now))
        batch_id = sha256_hex(f"cleared|{name}|{ticker}|{day}|{rows.dates.tobytes().hex()}".encode())
        store.append(Dataset(**entry["about"]), replace(rows, known_at=known), EventRows.empty(), batch_id=batch_id)
        freed += len(rows)
    if not freed:
        raise InputRejected(Code.NOT_FOUND, f"No row of {ticker[:40]} from {day} on is held back.")
    clear_rows(store.folder, [(ticker, day.isoformat())])
    with platform.store.write() as connection:
        details = {"ticker": ticker, "from": day.isoformat(), "rows": freed, "why": why}
        audit.record(connection, platform.clock.now(connection), "operator", "clear_row", ticker, details)
    return freed


def _dataset(store: PriceStore, name: str, entry: dict[str, Any]) -> dict[str, Any]:
    reports = [json.loads(data) for data in store.bytes_of(name, "reports")]
    listed = [finding for report in reports for finding in report["findings"]]
    thin = [session for report in reports for session in report["thinnest_sessions"]]
    return {
        "about": entry["about"],
        "flags": entry["flags"],
        "batches": len(entry["batches"]),
        "rows": _added(report["rows"] for report in reports),
        "events": _added(report["events"] for report in reports),
        "findings": {
            severity: _added(report["counts"][severity] for report in reports)
            for severity in (reports[0]["counts"] if reports else ())
        },
        "inferred_splits": [split for report in reports for split in report["inferred_splits"]],
        "thinnest_sessions": sorted(thin, key=lambda s: (s["share"], s["date"]))[:THIN_SESSIONS_SHOWN],
        "listed": listed[:FINDINGS_SHOWN],
    }


def _added(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(total)
