"""What the fund asks of a broker, whoever it is.

1. ``place`` takes orders that are good for one open. The client's order id is the fund's: a broker that has an order of that id
   already takes no second one, so that whoever does not know whether an order arrived sends it again.
2. ``cancel`` takes back orders that are still open.
3. ``fills`` tells what became of the orders of a session, once the session is over. A fill says which position was reached,
   in whole, in part, or not at all. The book follows the fills; what they cost is booked by the mandate's costs, and the
   costs that the broker reports are kept beside the order.
4. ``account`` is what the broker believes the fund holds; it is compared with the book before the next rebalance.

``place`` and ``cancel`` end before they return, in no transaction of the fund's: what a broker was told is not taken back by a
rollback.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from sqlalchemy import Connection

from market.arrays import StrArray
from portfolio.book import BookState, TradingCosts
from portfolio.paperfills import OpenMarket
from service.store.records import FillRecord, OrderRecord


@dataclass(frozen=True, slots=True)
class SessionMarket:
    """A session that is over: which it was, what it did to each of ``asset_ids`` (sorted), and what trading costs."""

    session: date
    asset_ids: StrArray
    open: OpenMarket
    costs: TradingCosts


class Broker(Protocol):
    """Somebody who trades for the fund."""

    def place(self, orders: Sequence[OrderRecord], fill_session: date) -> None:
        """Take orders for the open of ``fill_session``; those whose id is known already change nothing."""
        ...

    def cancel(self, client_order_ids: Sequence[str]) -> tuple[str, ...]:
        """Take back those of the orders that are still open; return their ids."""
        ...

    def fills(self, connection: Connection, market: SessionMarket) -> Mapping[str, tuple[str, FillRecord]]:
        """Return state and fill of each order of a session that is over, by id; asked once a session, in order."""
        ...

    def account(self, connection: Connection) -> BookState | None:
        """Return positions and cash at the close of the session that was asked for last; None before the first."""
        ...
