"""On real prices every book lies inside its mandate's bands, and what it earns is not the market's. Method: plain signals are
walked under the default mandate; exposures of each decided book are computed here, from the panel as known on its evening."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from market.calendars import to_instant
from market.exposures import compute_exposures
from portfolio.mandate import Mandate
from portfolio.performance import beta_with_error
from service.backtest.evenings import Evenings
from service.backtest.sources import HistorySource
from service.backtest.spec import BacktestSpec, named_mandate
from service.backtest.walk import Walk, walk
from service.settings import load_settings
from service.vendors.ingested import panel_of_files
from signals.findings import FindingList
from signals.history import read_history
from tests.builders.backtests import desk_on, history_csv, momentum_of, reversal_of

pytestmark = pytest.mark.real_data

SIGNALS = {"momentum": momentum_of, "reversal": reversal_of}
BAND_ROUNDING = 1e-8
"""What the verification outside the solver lets pass; see portfolio/verify.py."""
BETA_MAX = 0.10
GROSS_MIN = 0.3
"""A book of cash has no beta either."""


@dataclass(frozen=True)
class Case:
    """Which prices are walked: the ``tickers`` most traded until ``history_to``, decided on from ``first`` to ``last``."""

    tickers: int
    universe: int
    first: date
    last: date
    overrides: tuple[tuple[str, object], ...] = ()


QUICK = Case(320, 250, date(2013, 1, 4), date(2013, 12, 31), (("fund.risk_weeks", 40),))
LONG = Case(2500, 500, date(2013, 1, 4), date(2018, 7, 18))


def cut(real_data: Path, case: Case, folder: Path) -> Path:
    """Write the prices of the tickers that were traded most, in dollars, before the first decision."""
    table = pq.read_table(real_data / "us_daily.parquet", filters=[("date", "<=", case.last)])
    table = table.set_column(0, "ticker", table["ticker"].cast(pa.string()))
    before = table.filter(pc.less(table["date"], pa.scalar(case.first)))
    dollars = pc.multiply(before["close"], before["volume"].cast(pa.float64()))
    traded = pa.table({"ticker": before["ticker"], "dollars": dollars}).group_by("ticker").aggregate([("dollars", "sum")])
    most = traded.sort_by([("dollars_sum", "descending")])["ticker"][: case.tickers]
    pq.write_table(table.filter(pc.is_in(table["ticker"], most)), folder / "prices.parquet")
    return folder / "prices.parquet"


@dataclass(frozen=True)
class Found:
    """The walks of a case by signal, and what they were made on."""

    evenings: Evenings
    mandate: Mandate
    walks: dict[str, Walk]


def walks_of(real_data: Path, case: Case, folder: Path) -> Found:
    """Walk each signal; its record begins with its first decision, so that no bad year before makes the book one of cash."""
    settings = load_settings(env={}).with_overrides({"universe.size": case.universe, **dict(case.overrides)})
    prices = cut(real_data, case, folder)
    desk = desk_on(panel_of_files(settings, prices, real_data / "equity_meta.csv.gz", case.last), settings)
    evenings, mandate = Evenings(desk, 20, 2), named_mandate(settings)
    first_row = int(np.searchsorted(desk.panel.sessions, np.datetime64(case.first, "D")))
    walks = {}
    for name, signal in SIGNALS.items():
        history = read_history([history_csv(desk, signal, first_row)])
        walks[name] = walk(evenings, HistorySource(evenings, history, FindingList()), BacktestSpec(mandate))
    return Found(evenings, mandate, walks)


def judge_books(found: Found, name: str) -> None:
    """Add up each book's exposures name by name, and hold them to the mandate and to what the walk wrote down."""
    panel, mandate = found.evenings.desk.panel, found.mandate
    band = mandate.factor_bands
    widest = dict.fromkeys(band, 0.0)
    before = np.array([], dtype=np.int64)
    for decision in found.walks[name].decisions:
        view = panel.as_of(to_instant(panel.known_at[panel.index_of(decision.session)]))
        # Standardized together are the evening's assets and whatever else was held, also what this decision sells.
        held, before = np.union1d(before, decision.positions), decision.positions
        assets = np.union1d(found.evenings.evening(view.instant).market.positions, held)
        exposures = compute_exposures(view, assets)
        rows = np.searchsorted(assets, decision.positions)
        told = dict(zip(decision.factors, decision.exposures, strict=True))
        for column, (factor, kind) in enumerate(zip(exposures.names, exposures.kinds, strict=True)):
            lean = float((decision.weights * exposures.values[rows, column]).sum())
            assert abs(lean) <= band[kind] + BAND_ROUNDING, (decision.session, factor, lean)
            assert lean == pytest.approx(told[factor], abs=1e-12), (decision.session, factor)
            widest[kind] = max(widest[kind], abs(lean))
        assert abs(decision.weights.sum()) <= 1e-9
        assert np.abs(decision.weights).sum() <= mandate.gross_max + 1e-9
        assert decision.beyond == {}
    print(name, {kind: round(value, 6) for kind, value in widest.items()})
    # Bands that no book comes near would be kept by any book.
    assert widest["style"] > 0.9 * mandate.style_band


def judge_beta(found: Found, name: str) -> None:
    """Set the returns after costs beside the market's: the slope by its definition, the error by Newey and West."""
    walked = found.walks[name]
    market, earned = walked.market_returns, walked.result.net_returns
    slope = float(np.cov(earned, market)[0, 1] / market.var(ddof=1))
    error = beta_with_error(earned, market).error
    gross = float(np.mean(walked.result.long_exposure - walked.result.short_exposure))
    print(f"{name}: ex-post beta {slope:+.4f} ± {error:.4f} over {len(market)} sessions, mean gross {gross:.2f}")
    assert gross > GROSS_MIN
    assert error < BETA_MAX / 2
    assert abs(slope) <= BETA_MAX


@pytest.fixture(scope="module")
def year(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Found:
    return walks_of(real_data, QUICK, tmp_path_factory.mktemp("year"))


@pytest.mark.parametrize("name", SIGNALS)
def test_every_book_of_a_year_lies_inside_its_bands(year: Found, name: str) -> None:
    assert len(year.walks[name].decisions) >= 50
    judge_books(year, name)


@pytest.mark.parametrize("name", SIGNALS)
def test_what_a_year_earned_is_not_the_markets(year: Found, name: str) -> None:
    judge_beta(year, name)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_five_and_a_half_years_of_five_hundred_stocks(real_data: Path, tmp_path: Path) -> None:
    found = walks_of(real_data, LONG, tmp_path)
    for name in SIGNALS:
        assert len(found.walks[name].decisions) >= 280
        judge_books(found, name)
        judge_beta(found, name)
