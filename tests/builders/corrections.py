"""Panels whose vendor changes its mind: closes that are said anew some sessions later."""

from dataclasses import replace

import numpy as np

from market.panel import PointInTimePanel
from market.quotes import FIELDS
from market.revisions import Revisions


def corrected(panel: PointInTimePanel, seed: int, share: float = 0.2, after_sessions: int = 10) -> PointInTimePanel:
    """The panel with a ``share`` of its closes said anew ``after_sessions`` later, up to two percent off."""
    rng = np.random.default_rng(seed)
    rows, assets = np.nonzero((rng.random(panel.close.shape) < share) & np.isfinite(panel.close))
    kept = rows < len(panel.sessions) - after_sessions
    rows, assets = rows[kept], assets[kept]
    later = Revisions(
        known_at=panel.known_at[rows + after_sessions].astype("datetime64[us]"),
        field_index=np.full(len(rows), FIELDS.index("close")),
        rows=rows,
        assets=assets,
        values=panel.close[rows, assets] * rng.uniform(0.98, 1.02, len(rows)),
    )
    return replace(panel, revisions=later)
