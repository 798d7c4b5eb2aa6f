"""Nothing that the platform publishes knows what comes after its instant.

Method: everything after a cut becomes NaN, a million times itself, shuffled or nothing, and universe, exposures, neutralizers,
targets, classic tables, the files of the whole crowd, meta-model and fund are computed again by the platform's own code, on a
market desk that has computed nothing and on one that was asked for the altered future first. Every bit must be the same.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from market import Cache, LeakReport, PanelView, PointInTimePanel, SyntheticSpec, Universe, find_leaks, generate_market
from market.calendars import to_instant
from service.desk import MarketDesk
from service.vendors.ingested import panel_of_files
from tests.builders.corrections import corrected
from tests.leakage.published import Published, small_house

SEED = 23
SESSIONS = 440
CUT_ROWS = (356, 377, 396, 411, 438)


@cache
def market_of_sixty() -> PointInTimePanel:
    """Sixty assets over 440 sessions, with splits, halts, listings, delistings and corrections."""
    spec = SyntheticSpec(
        seed=SEED, n_assets=60, start=date(2015, 1, 2), end=date(2016, 9, 29), splits_per_year=0.5, halts_per_year=2.0,
        listing_share=0.1, delisting_share=0.1, countries=("US", "CA"),
    )  # fmt: skip
    return corrected(generate_market(spec), SEED, share=0.002)


def evenings(panel: PointInTimePanel, rows: Sequence[int]) -> list[datetime]:
    """The instants at which the sessions of ``rows`` were learnt, to the second."""
    return [to_instant(panel.known_at[row]) for row in rows]


def checked(published: Published, panel: PointInTimePanel, instants: Sequence[datetime], **options: int) -> LeakReport:
    print(f"seed {SEED}")
    report = find_leaks(published, panel, instants, rng=np.random.default_rng(SEED), **options)
    assert [str(leak) for leak in report.leaks] == []
    assert report.clean, str(report)
    return report


def test_the_market_is_the_one_that_is_told() -> None:
    assert market_of_sixty().close.shape == (SESSIONS, 60)


def test_nothing_published_knows_the_future() -> None:
    """Five cuts with up to two decisions each, four edits, a cold desk and a warm one."""
    panel = market_of_sixty()
    report = checked(Published(small_house()), panel, evenings(panel, CUT_ROWS))
    assert report.comparisons == (1 + 4 * 2) * 4 * 2


def test_every_part_of_what_is_published_was_compared() -> None:
    """Goal: the search is not blind for a part. Method: it finds a leak in each part when a cheat looks one session ahead."""
    published, panel = Published(small_house()), market_of_sixty()

    def a_session_ahead(seen: PointInTimePanel, instant: datetime) -> object:
        row = len(seen.as_of(instant).sessions)
        return published(seen, to_instant(seen.known_at[min(row, len(seen.known_at) - 1)]))

    report = find_leaks(a_session_ahead, panel, evenings(panel, (411,)), rng=np.random.default_rng(SEED))
    found = {leak.output.partition(".")[0].partition("[")[0] for leak in report.leaks}
    answer = published(panel, evenings(panel, (411,))[0])
    assert found == set(answer)


def test_a_desk_that_forgets_of_when_its_memory_is_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Goal: a warm desk is searched as well. Method: plant the fault that only a warm desk can have."""
    honest = MarketDesk.universe

    def of_any_evening(desk: MarketDesk, view: PanelView) -> Universe:
        return next(iter(desk._universes.values()), None) or honest(desk, view)

    monkeypatch.setattr(MarketDesk, "universe", of_any_evening)
    panel = market_of_sixty()
    report = find_leaks(Published(small_house()), panel, evenings(panel, (411,)), rng=np.random.default_rng(SEED))
    assert {leak.cache for leak in report.leaks} == {Cache.WARM}


@pytest.mark.soak
def test_fifty_cuts_of_the_synthetic_market() -> None:
    panel = market_of_sixty()
    rows = np.random.default_rng(SEED).choice(np.arange(345, SESSIONS - 1), 50, replace=False)
    checked(Published(small_house()), panel, evenings(panel, rows.tolist()))


@pytest.mark.soak
def test_fifty_cuts_of_real_prices(real_data: Path, tmp_path: Path) -> None:
    """The three hundred tickers with the most rows, cut at random evenings of two years."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(real_data / "us_daily.parquet")
    rows_of = Counter(table.column("ticker").cast(pa.string()).to_pylist())
    most = sorted(rows_of, key=lambda ticker: (-rows_of[ticker], ticker))[:300]
    few = table.filter(pc.is_in(table.column("ticker").cast(pa.string()), pa.array(most)))
    pq.write_table(few, tmp_path / "prices.parquet")
    settings = small_house({"universe.size": 250, "fund.risk_weeks": 26})
    panel = panel_of_files(settings, tmp_path / "prices.parquet", real_data / "equity_meta.csv.gz", date(2015, 6, 30))
    rows = np.random.default_rng(SEED).choice(np.arange(400, len(panel.sessions) - 1), 50, replace=False)
    instants = [at + timedelta(minutes=1) for at in evenings(panel, rows.tolist())]
    checked(Published(settings), panel, instants, decisions_per_cut=1)
