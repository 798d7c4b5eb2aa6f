"""Slow strategies keep their payouts: momentum and low volatility on real prices, every week of the year from July 2015,
the fall of August in it.

Method: the replay's two strategies on weekly universes of 1,000 names; churn against the week before, each neutral to its own
exposures, and what the weekly terms leave of a positive payout. A strategy that forgets everything each week is the contrast.
"""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from crowdalpha.terms import PPB
from market.calendars import to_instant
from market.ranks import tie_kept_rank
from service.desk import MarketDesk, week_end_rows
from service.replay.providers.low_volatility import low_volatility
from service.replay.providers.momentum import momentum
from service.replay.providers.window import StrategyInput, round_window
from service.settings import load_settings, load_terms
from service.vendors.ingested import panel_of_files
from service.workflows.retentions import retained_ppb
from signals.churn import neutral_churns

pytestmark = pytest.mark.real_data

FIRST, LAST, SEED = np.datetime64("2015-07-01"), np.datetime64("2016-06-30"), 3
NAMES = ("momentum", "low_volatility", "forgetful")


def test_on_weekly_rounds_momentum_and_low_volatility_keep_at_least_half_of_a_positive_payout(real_data: Path) -> None:
    print(f"seed {SEED}")
    settings, payout, rng = load_settings(), load_terms("signals-weekly").payout, np.random.default_rng(SEED)
    panel = panel_of_files(settings, real_data / "us_daily.parquet", real_data / "equity_meta.csv.gz", date(2017, 3, 1))
    desk = MarketDesk(home=None, settings=settings)  # type: ignore[arg-type]
    desk.use(panel)
    kept: list[list[float]] = []
    before = None
    for row in week_end_rows(panel.sessions, 252, 10_000):
        if not FIRST <= panel.sessions[row] <= LAST:
            continue
        view = panel.as_of(to_instant(panel.known_at[row]))
        universe = desk.universe(view)
        data = StrategyInput(view, universe.members, round_window(view, universe.members), rng)
        ranks = tie_kept_rank(np.stack([momentum(data), low_volatility(data), rng.normal(size=len(universe.members))]))
        now = ranks, universe.asset_ids.tolist(), desk.exposures(view, universe.members).values
        if before is not None:
            churns = neutral_churns(*now, *before)
            assert churns is not None
            kept.append([retained_ppb(float(churn), payout) / PPB for churn in churns])
        before = now
    least, mean = np.min(kept, axis=0), np.mean(kept, axis=0)
    print({name: f"{low:.4f} {middle:.4f}" for name, low, middle in zip(NAMES, least, mean, strict=True)})
    assert len(kept) > 50
    assert (least[:2] >= 0.5).all()
    assert (mean[:2] > 0.95).all()
    assert mean[2] < 0.01
