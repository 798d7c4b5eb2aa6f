"""The fund: its decisions, its days, and where its book stands. Positions and evidence are files; their hashes stand here."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict
from portfolio.lifecycle import STEPS, RebalanceStep
from service.store.records import FundDayRecord, FundState, RebalanceRecord
from service.store.schema import fund_days as days_table
from service.store.schema import fund_state, rebalances
from service.store.upsert import upsert_into


def _rebalance(row: Row[Any]) -> RebalanceRecord:
    values = {field.name: getattr(row, field.name) for field in fields(RebalanceRecord)}
    return RebalanceRecord(**values | {"findings": tuple(row.findings or ())})


def _day(row: Row[Any]) -> FundDayRecord:
    return FundDayRecord(row.session, row.equity, row.gross_pnl, row.costs, row.exposures)


def add_rebalance(connection: Connection, record: RebalanceRecord) -> None:
    """Keep a decision; the same id twice fails as an IntegrityError."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    connection.execute(insert(rebalances).values(**values | {"findings": [dict(f) for f in record.findings]}))


def advance_rebalance(connection: Connection, rebalance_id: str, step: RebalanceStep, **changes: Any) -> RebalanceRecord:
    """Take one step with a decision if it stands where the step may be taken, and return it.

    Parameters
    ----------
    connection : Connection
        A writing one.
    rebalance_id : str
    step : RebalanceStep
    **changes
        Fields of :class:`RebalanceRecord` that the step sets besides the state.

    Raises
    ------
    Conflict
        REBALANCE_STATE if it stands elsewhere or there is none.
    """
    from_states, to_state = STEPS[step]
    standing = (rebalances.c.id == rebalance_id) & rebalances.c.state.in_(sorted(from_states))
    statement = update(rebalances).where(standing).values(state=to_state.value, **changes).returning(rebalances)
    row = connection.execute(statement).first()
    if row is None:
        found = rebalance_by_id(connection, rebalance_id)
        where = "there is none of that id" if found is None else f"it is {found.state}"
        raise Conflict(Code.REBALANCE_STATE, f"Rebalance {rebalance_id} cannot take the step '{step.value}': {where}.")
    return _rebalance(row)


def set_findings(connection: Connection, rebalance_id: str, findings: Sequence[Mapping[str, Any]]) -> None:
    """Keep what the last pre-trade check found."""
    statement = update(rebalances).where(rebalances.c.id == rebalance_id)
    connection.execute(statement.values(findings=[dict(f) for f in findings]))


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
