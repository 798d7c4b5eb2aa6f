"""Goal: a fund that trades whole shares holds whole shares, and its money is what a broker's statement would say.

Method: a season on a market with dividends and splits, its orders in shares; from the fills, the raw prices, dividends and
splits of the panel a ledger of shares and cash is kept in a plain loop, and compared with the fund's book and its days."""

import shutil
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from market.calendars import to_instant
from market.panel import PointInTimePanel
from market.quotes import FIELDS
from market.revisions import Revisions
from portfolio.book import BookState
from service.attribution import read_lines
from service.book import PAPER_KEY, ShareCount, find_book, read_book, read_shares
from service.home import Home
from service.store import fund, orders
from service.workflows.rebalance import _revalued
from service.workflows.reconcile_fund import reconcile_fund
from service.workflows.settle_fund import settle_fund
from tests.builders.desks import FILL_SESSION, desk_at, play_to_sunday
from tests.builders.seasons import LAST, after_small, small_panel, small_settings

WHOLE = {"fund.orders.shares": "whole"}


def test_a_season_in_whole_shares_is_that_of_a_ledger_of_shares(tmp_path: Path) -> None:
    panel = small_panel()
    view = panel.as_of(panel.calendar.close_at(LAST).replace(hour=23))
    with after_small(tmp_path / "home", WHOLE) as platform:
        with platform.store.read() as connection:
            book, through = read_book(connection, platform)
            counted = read_shares(connection, platform)
            paper = find_book(connection, platform, PAPER_KEY)
            days = fund.fund_days(connection)
            lines = read_lines(connection, platform)
            fills = defaultdict(list)
            for record in fund.list_rebalances(connection):
                for order in orders.orders_of(connection, record.id):
                    if order.state in {"filled", "partial"}:
                        fills[record.fill_session].append(order)
        assert through == LAST
        assert reconcile_fund(platform, "ann").findings == ()
        positions_of = platform.desk.positions_of
    place = {str(asset): int(i) for asset, i in zip(book.asset_ids, positions_of(book.asset_ids), strict=True)}
    everything = np.asarray(panel.assets.asset_ids)
    at = {str(asset): i for i, asset in enumerate(everything)}
    shares, cash = defaultdict(float), small_settings().fund.initial_capital
    paid = closed_out = 0.0
    for day in days:
        row = view.index_of(day.session)
        for asset in [a for a, n in shares.items() if n]:
            i = at[asset]
            grown = shares[asset] * view.splits[row, i]
            whole = float(np.trunc(grown + np.sign(grown) * 1e-6))
            dividend = np.nan_to_num(view.dividends[row, i])
            cash += (grown - whole) / view.splits[row, i] * view.share_prices(row - 1)[i] + whole * dividend
            paid += abs(whole * dividend)
            shares[asset] = whole
            if view.delisting_index[i] == row:
                cash += whole * view.share_prices(row - 1)[i] * (1.0 + view.delisting_return[i])
                shares[asset] = 0.0
        for order in fills[day.session]:
            opened = view.open[row, at[order.asset_id]]
            traded = round(order.fill.value / opened)
            assert order.fill.value == pytest.approx(traded * opened, rel=1e-9)
            assert traded == order.shares
            closed_out += shares[order.asset_id] != 0 and shares[order.asset_id] + traded == 0
            shares[order.asset_id] += traded
            cash -= traded * opened
        cash -= sum(day.costs.values())
        prices = view.share_prices(row)
        worth = sum(n * prices[at[asset]] for asset, n in shares.items() if n)
        assert day.equity == pytest.approx(cash + worth, rel=1e-9)
    held = {asset: n for asset, n in shares.items() if n}
    assert paid > 0
    assert closed_out > 20
    assert held == {asset: one.shares for asset, one in counted.items()}
    assert all(n == round(n) for n in held.values())
    close = view.share_prices(view.index_of(LAST))
    assert book.positions == pytest.approx(np.array([held[str(a)] * close[place[str(a)]] for a in book.asset_ids]), rel=1e-9)
    assert book.cash == pytest.approx(cash, rel=1e-9)
    assert paper is not None
    assert paper[0].positions == pytest.approx(book.positions, rel=1e-9)
    # Who earned what sums to what was earned, dividends among it.
    before = np.array([small_settings().fund.initial_capital, *[day.equity for day in days[:-1]]])
    earned = np.array([day.equity for day in days]) - before
    for split in (lines.by_factor, lines.by_model):
        assert np.abs(split.sums - earned).max() <= 1e-9 * before.max()


SPLIT_ON, TOLD_ON, LATER = date(2021, 1, 26), date(2021, 1, 29), date(2021, 2, 2)


@dataclass(frozen=True)
class Told:
    """A market in which one asset splits, or is delisted, on a Tuesday: as told in time, and as told three sessions late."""

    timely: PointInTimePanel
    late: PointInTimePanel


def with_split(place: int, factor: float) -> Told:
    """From the split on, more shares at a lower price. Late: neither rows nor split are known before the third session."""
    panel = small_panel()
    row, known = panel.index_of(SPLIT_ON), panel.index_of(TOLD_ON)
    quotes = panel.quotes
    truth = {name: array.copy() for name, array in quotes.arrays().items()}
    for name in ("open", "close", "high", "low", "volume"):
        if name in truth:
            truth[name][row:, place] *= factor if name == "volume" else 1.0 / factor
    truth["splits"][row, place] *= factor
    blind = {name: array.copy() for name, array in truth.items()}
    cells = []
    for name in ("open", "close", "high", "low", "volume"):
        if name in blind:
            blind[name][row:known, place] = np.nan
            cells += [(FIELDS.index(name), r, truth[name][r, place]) for r in range(row, known)]
    blind["splits"][row, place] = quotes.splits[row, place]
    cells.append((FIELDS.index("splits"), row, truth["splits"][row, place]))
    fields, rows, values = zip(*cells, strict=True)
    when = np.full(len(cells), panel.known_at[known]).astype("datetime64[us]")
    revisions = Revisions(when, np.array(fields), np.array(rows), np.full(len(cells), place), np.array(values))
    return Told(
        replace(panel, quotes=replace(quotes, **truth)), replace(panel, quotes=replace(quotes, **blind), revisions=revisions)
    )


def with_delisting(place: int, loss: float) -> Told:
    """Nothing trades from the Tuesday on; what holders got is told then, or on the Friday."""
    panel = small_panel()
    row, known = panel.index_of(SPLIT_ON), panel.index_of(TOLD_ON)
    gone = {name: array.copy() for name, array in panel.quotes.arrays().items()}
    for name in ("open", "close", "high", "low", "volume"):
        if name in gone:
            gone[name][row:, place] = np.nan
    index, got = panel.delisting_index.copy(), panel.delisting_return.copy()
    index[place], got[place] = row, loss
    rows = np.where(index >= 0, index, 0)
    told = panel.known_at[rows].astype("datetime64[us]") if panel.delisting_known_at is None else panel.delisting_known_at
    made = replace(panel, quotes=replace(panel.quotes, **gone), delisting_index=index, delisting_return=got)
    at = [told.copy(), told.copy()]
    at[0][place], at[1][place] = (panel.known_at[r].astype("datetime64[us]") for r in (row, known))
    return Told(*(replace(made, delisting_known_at=known_at) for known_at in at))


def settled_on(
    home: Home, panel: PointInTimePanel, overrides: dict[str, str], path: Path
) -> tuple[BookState, dict[str, ShareCount]]:
    """Settle a copy of the home session by session, as the schedule does, and return its book and shares on ``LATER``."""
    shutil.copytree(home.path, path)
    for row in range(panel.index_of(FILL_SESSION), panel.index_of(LATER) + 1):
        platform = desk_at(Home.open(path), to_instant(panel.known_at[row]) + timedelta(minutes=1), overrides)
        platform.desk.use(panel)
        settle_fund(platform)
        with platform.store.read() as connection:
            book, through = read_book(connection, platform)
            shares = read_shares(connection, platform)
        platform.store.dispose()
    assert through == LATER
    return book, shares


@pytest.fixture(scope="module", params=["whole", "fractional"])
def sunday(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, dict[str, str], int]:
    """A home of a fund, its settings, and the place of its largest long on the panel's axis."""
    overrides = {"fund.orders.shares": request.param}
    home = play_to_sunday(tmp_path_factory.mktemp(request.param) / "home", overrides)
    platform = desk_at(home, overrides=overrides)
    with platform.store.read() as connection:
        book, _ = read_book(connection, platform)
    largest = book.asset_ids[[int(np.argmax(book.positions))]]
    place = int(platform.desk.positions_of(largest)[0])
    platform.store.dispose()
    return home, overrides, place


@pytest.mark.parametrize("factor", [2.0, 0.1, 1.5])
def test_a_split_that_is_told_late_changes_the_shares_as_one_told_in_time(sunday, tmp_path: Path, factor: float) -> None:
    home, overrides, place = sunday
    if overrides["fund.orders.shares"] != "whole":
        return  # a book in money books nothing of a session that was settled before it was told
    told = with_split(place, factor)
    asset = str(small_panel().assets.asset_ids[place])
    books = [settled_on(home, panel, overrides, tmp_path / str(i)) for i, panel in enumerate((told.timely, told.late))]
    positions = [float(book.positions[book.asset_ids == asset][0]) for book, _ in books]
    # What a split leaves of a share is paid at the price before it, and late at the price before the telling.
    room = 1e-9 if factor == 2.0 else 1e-3
    assert positions[1] == pytest.approx(positions[0], rel=room)
    assert books[1][0].equity == pytest.approx(books[0][0].equity, rel=1e-6)
    counts = [shares[asset].shares for _, shares in books]
    assert counts[0] == counts[1] == round(counts[0])


def test_a_delisting_that_is_told_late_closes_the_position_then(sunday, tmp_path: Path) -> None:
    home, overrides, place = sunday
    told = with_delisting(place, -0.5)
    asset = str(small_panel().assets.asset_ids[place])
    books = [settled_on(home, panel, overrides, tmp_path / str(i))[0] for i, panel in enumerate((told.timely, told.late))]
    assert not any(asset in book.asset_ids[book.positions != 0] for book in books)
    assert books[1].equity == pytest.approx(books[0].equity, rel=1e-6)
    assert books[1].cash == pytest.approx(books[0].cash, rel=1e-6)


def test_a_fund_that_changes_to_whole_shares_gets_its_parts_of_shares_in_cash(tmp_path: Path) -> None:
    home = play_to_sunday(tmp_path / "home")
    before = desk_at(home)
    with before.store.read() as connection:
        held, _ = read_book(connection, before)
    before.store.dispose()
    book, shares = settled_on(home, small_panel(), WHOLE, tmp_path / "whole")
    assert len(shares) == np.count_nonzero(book.positions)
    assert all(one.shares == round(one.shares) for one in shares.values())
    same, _ = settled_on(home, small_panel(), {}, tmp_path / "fractional")
    assert book.equity == pytest.approx(same.equity, rel=1e-4)
    assert book.cash != same.cash
    assert held.equity > 0


def test_a_book_in_shares_is_worth_its_shares_at_the_prices_of_the_decision(sunday, tmp_path: Path) -> None:
    """After the settlement of a Monday a split becomes known on the Tuesday: twice the shares at half the price."""
    home, overrides, place = sunday
    if overrides["fund.orders.shares"] != "whole":
        return
    panel = with_split(place, 2.0).timely
    shutil.copytree(home.path, tmp_path / "home")
    at = to_instant(panel.known_at[panel.index_of(FILL_SESSION)]) + timedelta(minutes=1)
    platform = desk_at(Home.open(tmp_path / "home"), at, overrides)
    platform.desk.use(panel)
    settle_fund(platform)
    with platform.store.read() as connection:
        book, _ = read_book(connection, platform)
        shares = read_shares(connection, platform)
    view = panel.as_of(to_instant(panel.known_at[panel.index_of(SPLIT_ON)]))
    found = _revalued(platform, view, book, shares)
    positions = platform.desk.positions_of(book.asset_ids)
    moved = book.positions * (1.0 + view.total_returns()[-1, positions] - view.paid_out(-1)[positions])
    assert found.positions == pytest.approx(moved, rel=1e-9)
    platform.store.dispose()
