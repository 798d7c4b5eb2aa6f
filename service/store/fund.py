"""The fund: its decisions, its days, and where its book stands. Positions and evidence are files; their hashes stand here."""

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict
from service.store.records import FundDayRecord, FundState, RebalanceRecord
from service.store.schema import fund_days as days_table
from service.store.schema import fund_state, rebalances
from service.store.upsert import upsert_into


def _rebalance(row: Row[Any]) -> RebalanceRecord:
    return RebalanceRecord(row.id, row.decided_at, row.as_of, row.state, row.status, row.sha256, row.fill_session)


def _day(row: Row[Any]) -> FundDayRecord:
    return FundDayRecord(row.session, row.equity, row.gross_pnl, row.costs, row.exposures)


def add_rebalance(connection: Connection, record: RebalanceRecord) -> None:
    """Keep a decision; the same id twice fails as an IntegrityError."""
    connection.execute(
        insert(rebalances).values(
            id=record.id,
            decided_at=record.decided_at,
            as_of=record.as_of,
            state=record.state,
            status=record.status,
            sha256=record.sha256,
            fill_session=record.fill_session,
        )
    )


def advance_rebalance(
    connection: Connection, rebalance_id: str, from_states: Collection[str], to_state: str, fill_session: date | None = None
) -> RebalanceRecord:
    """Step a decision to ``to_state`` if it stands in one of ``from_states``, and return it.

    Raises
    ------
    Conflict
        ROUND_STATE if it stands elsewhere or there is none.
    """
    changes: dict[str, Any] = {"state": to_state}
    if fill_session is not None:
        changes["fill_session"] = fill_session
    standing = (rebalances.c.id == rebalance_id) & rebalances.c.state.in_(list(from_states))
    row = connection.execute(update(rebalances).where(standing).values(**changes).returning(rebalances)).first()
    if row is None:
        raise Conflict(Code.ROUND_STATE, f"Rebalance {rebalance_id} cannot become {to_state} from where it stands.")
    return _rebalance(row)


def rebalance_by_id(connection: Connection, rebalance_id: str) -> RebalanceRecord | None:
    """Return the decision of that id, or None."""
    row = connection.execute(select(rebalances).where(rebalances.c.id == rebalance_id)).first()
    return None if row is None else _rebalance(row)


def latest_rebalance(connection: Connection) -> RebalanceRecord | None:
    """Return the last decision, or None before the first."""
    statement = select(rebalances).order_by(rebalances.c.decided_at.desc(), rebalances.c.as_of.desc()).limit(1)
    row = connection.execute(statement).first()
    return None if row is None else _rebalance(row)


def list_rebalances(connection: Connection) -> list[RebalanceRecord]:
    """Return all decisions in their order."""
    statement = select(rebalances).order_by(rebalances.c.decided_at, rebalances.c.as_of)
    return [_rebalance(row) for row in connection.execute(statement)]


def put_fund_days(connection: Connection, records: Sequence[FundDayRecord]) -> None:
    """Keep sessions of the fund; one that stands already stays.

    Raises
    ------
    Conflict
        FUND_DAY_EXISTS if it stands with other numbers: the fund's past is not rewritten.
    """
    if not records:
        return
    first, last = min(record.session for record in records), max(record.session for record in records)
    standing = {day.session: day for day in fund_days(connection, first, last)}
    fresh: dict[date, FundDayRecord] = {}
    for record in records:
        before = standing.get(record.session)
        if before is None:
            standing[record.session] = fresh[record.session] = record
        elif before != record:
            raise Conflict(Code.FUND_DAY_EXISTS, f"The fund's session {record.session} was recorded with other numbers.")
    rows = [
        {
            "session": record.session,
            "equity": record.equity,
            "gross_pnl": record.gross_pnl,
            "costs": dict(record.costs),
            "exposures": dict(record.exposures),
        }
        for record in fresh.values()
    ]
    if rows:
        connection.execute(insert(days_table), rows)


def fund_days(connection: Connection, first: date | None = None, last: date | None = None) -> list[FundDayRecord]:
    """Return the fund's sessions from ``first`` to ``last``, both included, in order."""
    statement = select(days_table).order_by(days_table.c.session)
    if first is not None:
        statement = statement.where(days_table.c.session >= first)
    if last is not None:
        statement = statement.where(days_table.c.session <= last)
    return [_day(row) for row in connection.execute(statement)]


def get_fund_state(connection: Connection, key: str = "book") -> FundState | None:
    """Return where the book stands, or None before the first session."""
    row = connection.execute(select(fund_state).where(fund_state.c.key == key)).first()
    return None if row is None else FundState(row.key, row.sha256, row.through)


def set_fund_state(connection: Connection, state: FundState) -> None:
    """Say where the book stands now."""
    rows = [{"key": state.key, "sha256": state.sha256, "through": state.through}]
    connection.execute(upsert_into(connection, fund_state), rows)
