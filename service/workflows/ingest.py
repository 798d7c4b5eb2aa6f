"""Ingest prices: judge files, keep them in the home, serve them from now on."""

from datetime import date
from pathlib import Path

from market.panel import PointInTimePanel
from service.context import Platform
from service.store import audit
from service.vendors.ingested import keep_batch, read_batch


def ingest(platform: Platform, prices: Path, meta: Path | None = None, last: date | None = None) -> PointInTimePanel:
    """Replace the home's panel by that of ``prices`` and ``meta``; a refused file changes nothing."""
    batch = read_batch(platform.settings, prices, meta, last)
    keep_batch(platform.home, batch)
    panel = batch.panel
    platform.desk.use(panel)
    with platform.store.write() as connection:
        now = platform.clock.now(connection)
        details = {"assets": len(panel.assets.asset_ids), "sessions": len(panel.sessions), "flags": sorted(panel.flags)}
        audit.record(connection, now, "operator", "ingest", panel.source, details)
    return panel
