"""The paper broker: fills orders at the next open of the panel, with the mandate's spread, impact, borrow and interest.

It keeps records of its own (``paper_orders``, and an account in ``fund_state``), refers to nothing of the fund's, and carries
its account session by session from its own fills, as a broker elsewhere would. An order is good for one open: what is not
filled then lapses.

1. ``place`` writes what is not known yet. Orders are over weights, or over whole shares where the settings say so. Of a name on
   the operator's no-short list then, nothing is sold that is not there.
2. ``fills`` makes the fills of a session by :func:`portfolio.paperfills.fill_orders`, then carries the account through it.
3. The account opens as the fund's book on the first session that it is asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from sqlalchemy import Connection

from crowdalpha.codes import Code
from portfolio.book import BookState
from portfolio.paperfills import OpenFills, fill_orders
from portfolio.simulate import step
from service.book import PAPER_KEY, find_book, put_book, read_book
from service.broker.protocol import SessionMarket
from service.context import Platform
from service.orders import WHOLE
from service.store import orders as rows
from service.store.orders import PaperOrder
from service.store.records import FillRecord, OrderRecord
from service.tradelists import no_short_names


@dataclass(frozen=True, slots=True)
class PaperBroker:
    """A broker that trades nothing: it satisfies :class:`service.broker.protocol.Broker`."""

    platform: Platform

    def place(self, orders: Sequence[OrderRecord], fill_session: date) -> None:
        """Take orders for the open of ``fill_session``; those whose id is known already change nothing."""
        whole = self.platform.settings.fund.orders.shares == WHOLE
        view = self.platform.desk.view(self.platform.clock.now())
        forbidden = no_short_names(self.platform, view, np.array([o.asset_id for o in orders], dtype=np.str_))
        placed = [
            PaperOrder(
                o.client_order_id,
                fill_session,
                {
                    "asset_id": o.asset_id,
                    "weight": o.weight,
                    "shares": o.shares if whole else None,
                    "whole": whole,
                    "no_short": bool(no_short),
                },
                "sent",
            )
            for o, no_short in zip(orders, forbidden, strict=True)
        ]
        with self.platform.store.write() as connection:
            rows.add_paper_orders(connection, placed)

    def cancel(self, client_order_ids: Sequence[str]) -> tuple[str, ...]:
        """Take back those of the orders that are still open; return their ids."""
        with self.platform.store.write() as connection:
            found = rows.paper_orders_by_id(connection, client_order_ids)
            open_ids = tuple(i for i, order in sorted(found.items()) if order.state in rows.OPEN_STATES)
            rows.set_paper_state(connection, open_ids, "cancelled")
        return open_ids

    def fills(self, connection: Connection, market: SessionMarket) -> Mapping[str, tuple[str, FillRecord]]:
        """Fill the orders of a session that is over, and carry the account through it."""
        account = self.account(connection)
        if account is None:
            account, _ = read_book(connection, self.platform)
        # A position that the fund knows nothing of has no price here; it stays as it is, and the comparison tells of it.
        known = np.isin(account.asset_ids, market.asset_ids)
        rest = BookState(account.asset_ids[~known], account.positions[~known], 0.0)
        account = BookState(account.asset_ids[known], account.positions[known], account.cash).reindexed(market.asset_ids)
        placed = rows.paper_orders_at(connection, market.session, {"sent"})
        fills = self._fill(account, market, placed)
        after, _ = step(
            account,
            market.open.overnight,
            market.open.intraday,
            market.costs,
            target=fills.weights if placed else None,
            halted=market.open.halted | ~fills.filled if placed else market.open.halted,
            delisting=market.open.delisting,
            liquidity=market.open.liquidity if placed else None,
            paid=market.open.paid,
        )
        told = _told(placed, market, fills)
        rows.put_paper_fills(connection, told)
        ids = np.append(after.asset_ids, rest.asset_ids)
        whole = BookState(ids, np.append(after.positions, rest.positions), after.cash)
        put_book(connection, self.platform, whole, market.session, PAPER_KEY)
        return told

    def account(self, connection: Connection) -> BookState | None:
        """Return positions and cash at the close of the session that was asked for last; None before the first."""
        found = find_book(connection, self.platform, PAPER_KEY)
        return None if found is None else found[0]

    def _fill(self, account: BookState, market: SessionMarket, placed: Sequence[PaperOrder]) -> OpenFills:
        n = len(market.asset_ids)
        ordered, weights, shares = np.zeros(n, dtype=bool), np.zeros(n), np.full(n, np.nan)
        no_short = np.zeros(n, dtype=bool)
        for order in placed:
            place = _place_of(market, order)
            ordered[place], weights[place] = True, order.instruction["weight"]
            no_short[place] = order.instruction.get("no_short", False)
            if order.instruction["shares"] is not None:
                shares[place] = order.instruction["shares"]
        return fill_orders(
            account,
            market.open,
            market.costs,
            ordered,
            weights,
            shares if any(order.instruction["whole"] for order in placed) else None,
            self.platform.settings.fund.orders.paper_adv_share_max,
            no_short,
        )


def _place_of(market: SessionMarket, order: PaperOrder) -> int:
    return int(np.searchsorted(market.asset_ids, order.instruction["asset_id"]))


def _told(placed: Sequence[PaperOrder], market: SessionMarket, fills: OpenFills) -> dict[str, tuple[str, FillRecord]]:
    """Return state and fill of each order by id."""
    told: dict[str, tuple[str, FillRecord]] = {}
    for order in placed:
        i = _place_of(market, order)
        if not fills.filled[i]:
            split = order.instruction["whole"] and market.open.split[i] != 1.0
            reason = Code.SPLIT_BEFORE_FILL if split else Code.ORDER_UNFILLED
            told[order.client_order_id] = "unfilled", FillRecord(0.0, 0.0, reason=reason.value)
            continue
        state, why = ("partial", Code.ORDER_PARTIAL.value) if fills.partial[i] else ("filled", "")
        fill = FillRecord(float(fills.weights[i]), float(fills.values[i]), float(fills.spread[i]), float(fills.impact[i]), why)
        told[order.client_order_id] = state, fill
    return told
