"""Goal: the momentum provider is momentum. Method: its weekly quintile spread on real prices against the published factor."""

import csv
import gzip
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np

from crowdalpha.ids import RoundKey, Tournament
from market.calendars import session_calendar
from market.panel import PointInTimePanel
from market.pivot import build_panel
from market.ranks import quantile_bins
from market.universe import UniverseRule, select_universe
from service.replay.crowd import roster
from service.replay.uploads import signals_uploads
from service.vendors.files import read_meta, read_prices

FIRST, LAST = date(2014, 1, 3), date(2016, 12, 30)
WEEK_SESSIONS = 5
CORRELATION_MIN = 0.9


def published_momentum(path: Path) -> dict[str, float]:
    with gzip.open(path, "rt") as file:
        return {row["date"]: float(row["mom"]) for row in csv.DictReader(file) if row["mom"]}


def weekly_file(panel: PointInTimePanel, row: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of a round's universe and what the momentum provider's file says of each."""
    known = datetime.fromtimestamp(int(panel.known_at[row].astype("datetime64[s]").astype(int)), tz=UTC)
    view = panel.as_of(known)
    members = select_universe(view, UniverseRule(size=1000)).members
    labels = panel.assets.asset_ids[members].tolist()
    provider = [m for m in roster("parquet", 0) if m.model_name == "momentum"]
    data = signals_uploads(provider, view, members, labels, RoundKey(Tournament.SIGNALS, number), 0)[0].data
    rows = dict(line.split(",") for line in data.decode().splitlines()[1:])
    assert rows.keys() <= set(labels)
    return members, np.array([float(rows.get(label, "nan")) for label in labels])


def test_the_momentum_providers_spread_follows_the_published_factor(real_data: Path) -> None:
    """The independent source is the daily momentum factor of Kenneth French's data library."""
    panel = build_panel(
        read_prices(real_data / "us_daily.parquet", LAST),
        read_meta(real_data / "equity_meta.csv.gz"),
        session_calendar("XNYS", date(2011, 1, 3), LAST),
    )
    returns = panel.as_of(datetime(2017, 1, 1, tzinfo=UTC)).total_returns()
    factor = published_momentum(real_data / "ff_us_daily.csv.gz")
    ours: list[float] = []
    theirs: list[float] = []
    for number, row in enumerate(range(panel.index_of(FIRST), len(panel.sessions) - 1, WEEK_SESSIONS), start=1):
        members, values = weekly_file(panel, row, number)
        quintile = quantile_bins(values, 5)
        held = slice(row + 1, row + 1 + WEEK_SESSIONS)
        week = np.nan_to_num(returns[held][:, members])
        ours += (week[:, quintile == 4].mean(axis=1) - week[:, quintile == 0].mean(axis=1)).tolist()
        theirs += [factor[str(session)] for session in panel.sessions[held]]
    correlation = float(np.corrcoef(ours, theirs)[0, 1])
    print(f"{len(ours)} sessions, correlation {correlation:.3f}")
    assert len(ours) > 700
    assert correlation >= CORRELATION_MIN
