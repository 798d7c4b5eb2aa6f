"""Orders: what the fund wants traded and what it was told of it, and the paper broker's own records of the same.

The two sets of rows refer to each other by the client's order id alone. Each is written once; what stands already stays, so
that adding again adds nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, Table, bindparam, or_, select, update

from service.store.records import FillRecord, OrderRecord
from service.store.schema import orders, paper_orders
from service.store.upsert import insert_into

OPEN_STATES = ("new", "sent")
"""States of an order that may still be filled."""

IDS_A_STATEMENT = 500
"""SQLite takes no more than a few thousand parameters in one statement."""


@dataclass(frozen=True, slots=True)
class PaperOrder:
    """An order as the paper broker has it: what was asked for, for which open, and what became of it."""

    client_order_id: str
    fill_session: date
    instruction: Mapping[str, Any]
    state: str
    fill: FillRecord | None = None


def _fill(values: Mapping[str, Any] | None) -> FillRecord | None:
    return None if values is None else FillRecord(**values)


def _order(row: Row[Any]) -> OrderRecord:
    return OrderRecord(
        client_order_id=row.client_order_id,
        rebalance_id=row.rebalance_id,
        asset_id=row.asset_id,
        weight=row.weight,
        value=row.value,
        shares=row.shares,
        price=row.price,
        state=row.state,
        fill=_fill(row.fill),
    )


def _paper(row: Row[Any]) -> PaperOrder:
    return PaperOrder(row.client_order_id, row.fill_session, row.instruction, row.state, _fill(row.fill))


def add_orders(connection: Connection, records: Sequence[OrderRecord]) -> None:
    """Keep orders; one of the same id stays as it stands."""
    rows = [{**asdict(record), "fill": None} for record in records]
    if rows:
        connection.execute(insert_into(connection, orders).on_conflict_do_nothing(), rows)


def orders_of(connection: Connection, rebalance_id: str) -> list[OrderRecord]:
    """Return the orders of a rebalance, sorted by asset."""
    statement = select(orders).where(orders.c.rebalance_id == rebalance_id).order_by(orders.c.asset_id)
    return [_order(row) for row in connection.execute(statement)]


def add_paper_orders(connection: Connection, records: Sequence[PaperOrder]) -> None:
    """Keep what was placed; one of the same id stays as it stands."""
    rows = [{**asdict(record), "instruction": dict(record.instruction), "fill": None} for record in records]
    if rows:
        connection.execute(insert_into(connection, paper_orders).on_conflict_do_nothing(), rows)


def paper_orders_at(connection: Connection, fill_session: date, states: Collection[str]) -> list[PaperOrder]:
    """Return the paper broker's orders for one open that stand in one of ``states``, sorted by id."""
    chosen = (paper_orders.c.fill_session == fill_session) & paper_orders.c.state.in_(sorted(states))
    statement = select(paper_orders).where(chosen).order_by(paper_orders.c.client_order_id)
    return [_paper(row) for row in connection.execute(statement)]


def paper_orders_by_id(connection: Connection, ids: Sequence[str]) -> dict[str, PaperOrder]:
    """Return those of ``ids`` that the paper broker has, by id."""
    found: dict[str, PaperOrder] = {}
    for first in range(0, len(ids), IDS_A_STATEMENT):
        chosen = paper_orders.c.client_order_id.in_(ids[first : first + IDS_A_STATEMENT])
        found |= {row.client_order_id: _paper(row) for row in connection.execute(select(paper_orders).where(chosen))}
    return found


def open_paper_orders(connection: Connection) -> list[str]:
    """Return the ids of all orders that the paper broker may still fill, sorted."""
    statement = select(paper_orders.c.client_order_id).where(paper_orders.c.state.in_(OPEN_STATES))
    return sorted(connection.execute(statement).scalars())


def set_order_state(connection: Connection, ids: Sequence[str], state: str) -> None:
    """Say of those of our orders that are still open where they stand now."""
    _set_state(connection, orders, ids, state)


def set_paper_state(connection: Connection, ids: Sequence[str], state: str) -> None:
    """Say of those of the paper broker's orders that are still open where they stand now."""
    _set_state(connection, paper_orders, ids, state)


def _set_state(connection: Connection, table: Table, ids: Sequence[str], state: str) -> None:
    for first in range(0, len(ids), IDS_A_STATEMENT):
        chosen = table.c.client_order_id.in_(ids[first : first + IDS_A_STATEMENT]) & table.c.state.in_(OPEN_STATES)
        connection.execute(update(table).where(chosen).values(state=state))


def put_fills(connection: Connection, fills: Mapping[str, tuple[str, FillRecord]]) -> None:
    """Keep what became of our orders: state and fill by id."""
    _put_fills(connection, orders, fills)


def put_paper_fills(connection: Connection, fills: Mapping[str, tuple[str, FillRecord]]) -> None:
    """Keep what became of the paper broker's orders: state and fill by id."""
    _put_fills(connection, paper_orders, fills)


def _put_fills(connection: Connection, table: Table, fills: Mapping[str, tuple[str, FillRecord]]) -> None:
    rows = [{"order_id": key, "told": state, "what": asdict(fill)} for key, (state, fill) in sorted(fills.items())]
    # Many rows in one call take no list of a length of its own, as `in_` has.
    still_open = or_(*(table.c.state == state for state in OPEN_STATES))
    chosen = (table.c.client_order_id == bindparam("order_id")) & still_open
    if rows:
        connection.execute(update(table).where(chosen).values(state=bindparam("told"), fill=bindparam("what")), rows)
