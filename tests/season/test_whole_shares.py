"""Goal: a fund that trades whole shares holds whole shares, and its money is what a broker's statement would say.

Method: a season on a market with dividends and splits, its orders in shares; from the fills, the raw prices, dividends and
splits of the panel a ledger of shares and cash is kept in a plain loop, and compared with the fund's book and its days."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from service.attribution import read_lines
from service.book import PAPER_KEY, find_book, read_book, read_shares
from service.store import fund, orders
from service.workflows.reconcile_fund import reconcile_fund
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
    assert held == counted
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
    assert json.dumps(counted, allow_nan=False)
