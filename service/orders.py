"""Orders of a decision: as rows that are sent, and as a file for a broker who takes files.

The client's order id is made from the rebalance and the asset, so that the same decision makes the same orders whenever and
however often it is asked. A file always holds whole shares; a name whose trade rounds to none is not in it.
"""

import csv
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import FloatArray, IntArray, StrArray
from market.panel import PanelView
from service.context import Platform
from service.decisions import Decision
from service.outputs import refuse_output, write_output
from service.store.records import OrderRecord

ORDER_ID_DIGITS = 24
"""Hexadecimal digits of an order's id: unique by 96 bits, and short enough for what brokers take."""

PRICE_SESSIONS = 252
"""A name without a close in a year has no price that an order could be sized by."""

TOTAL_RETURN = "total_return"
WHOLE = "whole"
"""Value of ``fund.orders.shares`` under which whole shares are traded."""

COLUMNS = ("client_order_id", "asset_id", "ticker", "side", "shares", "price", "value", "weight", "session")


def client_order_id(rebalance_id: str, asset_id: str) -> str:
    """Return the id of the one order that a rebalance has for an asset."""
    return hashlib.sha256(f"{rebalance_id}/{asset_id}".encode()).hexdigest()[:ORDER_ID_DIGITS]


def orders_of_decision(decision: Decision, rebalance_id: str, *, whole: bool) -> list[OrderRecord]:
    """Return the orders of a decision, sorted by asset; where whole shares are traded, those over none are left out."""
    sizes = decision.sizes
    if sizes is None:
        return []
    return [
        OrderRecord(
            client_order_id=client_order_id(rebalance_id, str(decision.asset_ids[i])),
            rebalance_id=rebalance_id,
            asset_id=str(decision.asset_ids[i]),
            weight=float(sizes.wanted[i]),
            value=float(sizes.values[i]),
            shares=None if np.isnan(sizes.shares[i]) else int(sizes.shares[i]),
            price=None if np.isnan(sizes.prices[i]) else float(sizes.prices[i]),
        )
        for i in np.flatnonzero(sizes.traded_whole if whole else sizes.traded)
    ]


def orders_csv(decision: Decision, orders: Sequence[OrderRecord], tickers: Sequence[str]) -> bytes:
    """Return orders in whole shares as CSV: columns :data:`COLUMNS`, one line an order, shares and value without a sign.

    ``side`` is ``buy`` or ``sell``; ``weight`` is what the position is to become; ``session`` the one at whose open the order
    is good. ``tickers`` stand in the order of ``orders``.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for order, ticker in zip(orders, tickers, strict=True):
        if not order.shares or order.price is None:
            continue
        side = "buy" if order.shares > 0 else "sell"
        shares, value = abs(order.shares), abs(order.shares) * order.price
        price, weight = f"{order.price:.6f}", f"{order.weight:.8f}"
        session = decision.fill_session.isoformat()
        row = (order.client_order_id, order.asset_id, ticker, side, shares, price, f"{value:.2f}", weight, session)
        writer.writerow(row)
    return out.getvalue().encode()


def write_orders(platform: Platform, decision: Decision, path: Path) -> int:
    """Write a decision's orders in whole shares into a CSV file, and return how many there are.

    A decision that is not kept has no id; its orders are named as of a rebalance ``dry-run``.

    Raises
    ------
    InputRejected
        PRICE_BASIS where prices hold dividends; OUTPUT_PATH where the file cannot be written.
    """
    refuse_output(path)
    view = platform.desk.view(platform.clock.now())
    refuse_total_return(view)
    rebalance_id = "dry-run" if decision.record is None else decision.record.id
    orders = orders_of_decision(decision, rebalance_id, whole=True)
    tickers = tickers_of(platform, view, np.array([o.asset_id for o in orders], dtype=np.str_))
    write_output(path, orders_csv(decision, orders, tickers))
    return len(orders)


def refuse_total_return(view: PanelView) -> None:
    """Raise InputRejected PRICE_BASIS where prices hold dividends: no number of shares can be told from them."""
    if view.price_basis == TOTAL_RETURN:
        raise InputRejected(Code.PRICE_BASIS, "Orders in shares need prices that are not adjusted for dividends.")


def tickers_of(platform: Platform, view: PanelView, asset_ids: StrArray) -> list[str]:
    """Return the tickers by which ``asset_ids`` were known at the view's instant."""
    return [str(t) for t in np.asarray(view.assets.tickers)[platform.desk.positions_of(asset_ids)]]


def last_prices(view: PanelView, positions: IntArray) -> FloatArray:
    """Return the price of a share of each asset, in the currency of the fund; NaN without a price within a year.

    Decision instant: the view's. It is the last close, carried over later splits, at the last session's exchange rate.
    """
    known = np.isfinite(view.close[-PRICE_SESSIONS:, positions]).any(axis=0)
    return np.where(known, view.share_prices(-1)[positions], np.nan)


def idle_sessions(view: PanelView, positions: IntArray) -> IntArray:
    """Return how many sessions of its exchange each asset has gone without a trade; a year at most."""
    traded = view.traded[-PRICE_SESSIONS:, positions]
    own = view.trading[-PRICE_SESSIONS:, view.exchange_index[positions]]
    since = np.where(traded.any(axis=0), traded.shape[0] - 1 - traded[::-1].argmax(axis=0), -1)
    later = own & (np.arange(traded.shape[0])[:, None] > since)
    count: IntArray = later.sum(axis=0)
    return count


def split_since(view: PanelView, positions: IntArray, after: np.datetime64) -> FloatArray:
    """Return the new shares for an old one by the splits of sessions after ``after``, (n,); 1 for none."""
    if view.splits is None:
        return np.ones(len(positions))
    grown: FloatArray = np.prod(view.splits[view.sessions > after][:, positions], axis=0)
    return grown
