"""Rounds: their state, their terms, and the files that belong to them.

A state changes by compare-and-set: the caller says from which states it believes to step. What a step is for is decided
elsewhere; that it is one of the arrows is checked here once more, because a wrong state costs money.
"""

from collections.abc import Collection
from dataclasses import fields
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InvariantBroken
from crowdalpha.ids import ROUND_ARROWS, RoundKey, RoundState, Tournament
from service.store.records import RoundRecord
from service.store.schema import of_round, round_artifacts, round_values, rounds
from service.store.upsert import insert_into, upsert_into

_COLUMNS = tuple(f.name for f in fields(RoundRecord) if f.name not in {"key", "state"})


def _record(row: Row[Any]) -> RoundRecord:
    key = RoundKey(Tournament(row.tournament), row.number)
    return RoundRecord(key=key, state=RoundState(row.state), **{name: getattr(row, name) for name in _COLUMNS})


def add_round(connection: Connection, record: RoundRecord) -> None:
    """Add a round; raises Conflict ROUND_STATE if its key stands already, or its tournament has a round on its session."""
    values = {name: getattr(record, name) for name in _COLUMNS}
    statement = insert_into(connection, rounds).values(**round_values(record.key), state=record.state.value, **values)
    added = connection.execute(statement.on_conflict_do_nothing().returning(rounds.c.number)).first()
    if added is None:
        raise Conflict(
            Code.ROUND_STATE, f"Round {record.key} stands already, or another one that is based on {record.base_session}."
        )


def round_by_key(connection: Connection, key: RoundKey) -> RoundRecord | None:
    """Return the round, or None."""
    row = connection.execute(select(rounds).where(of_round(rounds, key))).first()
    return None if row is None else _record(row)


def latest_round(connection: Connection, tournament: Tournament) -> RoundRecord | None:
    """Return the round of the highest number in the tournament, or None before the first."""
    statement = select(rounds).where(rounds.c.tournament == int(tournament)).order_by(rounds.c.number.desc()).limit(1)
    row = connection.execute(statement).first()
    return None if row is None else _record(row)


def round_of_session(connection: Connection, tournament: Tournament, base_session: date) -> RoundRecord | None:
    """Return the round of the tournament that is based on ``base_session``, whatever its state, or None.

    Of several, which earlier versions could open, that of the highest number.
    """
    based = (rounds.c.tournament == int(tournament)) & (rounds.c.base_session == base_session)
    row = connection.execute(select(rounds).where(based).order_by(rounds.c.number.desc()).limit(1)).first()
    return None if row is None else _record(row)


def list_rounds(
    connection: Connection, tournament: Tournament | None = None, states: Collection[RoundState] | None = None
) -> list[RoundRecord]:
    """Return the rounds of a tournament (None: of both) in the given states (None: in any), by tournament and number."""
    statement = select(rounds).order_by(rounds.c.tournament, rounds.c.number)
    if tournament is not None:
        statement = statement.where(rounds.c.tournament == int(tournament))
    if states is not None:
        statement = statement.where(rounds.c.state.in_([state.value for state in states]))
    return [_record(row) for row in connection.execute(statement)]


def due_to_close(connection: Connection, now: datetime) -> RoundKey | None:
    """Return an open round whose closing instant has come by ``now``, or None."""
    due = (rounds.c.state == RoundState.OPEN.value) & (rounds.c.closes_at <= now)
    row = connection.execute(select(rounds.c.tournament, rounds.c.number).where(due).limit(1)).first()
    return None if row is None else RoundKey(Tournament(row.tournament), row.number)


def advance_round(
    connection: Connection,
    key: RoundKey,
    from_states: Collection[RoundState],
    to_state: RoundState,
    *,
    opened_at: datetime | None = None,
    closed_at: datetime | None = None,
    resolved_at: datetime | None = None,
    submissions_root: str | None = None,
    void_reason: str | None = None,
) -> RoundRecord:
    """Step a round to ``to_state`` if it stands in one of ``from_states``, and return it; a column left None stays as it is.

    Raises
    ------
    Conflict
        ROUND_STATE if the round stands elsewhere, ROUND_UNKNOWN if there is none.
    InvariantBroken
        ROUND_STATE if the step is no arrow of the life of a round: a bug of the caller.
    """
    wrong = [state.value for state in from_states if to_state not in ROUND_ARROWS[state]]
    if wrong:
        raise InvariantBroken(Code.ROUND_STATE, f"No arrow leads from {', '.join(wrong)} to {to_state.value}.")
    given = {
        "opened_at": opened_at,
        "closed_at": closed_at,
        "resolved_at": resolved_at,
        "submissions_root": submissions_root,
        "void_reason": void_reason,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    standing = of_round(rounds, key) & rounds.c.state.in_([state.value for state in from_states])
    statement = update(rounds).where(standing).values(state=to_state.value, **changes).returning(rounds)
    row = connection.execute(statement).first()
    if row is not None:
        return _record(row)
    now = round_by_key(connection, key)
    if now is None:
        raise Conflict(Code.ROUND_UNKNOWN, f"There is no round {key}.")
    raise Conflict(Code.ROUND_STATE, f"Round {key} is {now.state.value} and cannot become {to_state.value} from there.")


def set_artifact(connection: Connection, key: RoundKey, name: str, sha256: str) -> None:
    """Say that the file ``sha256`` is the round's ``name`` (``universe``, ``exposures``, …); the last word holds."""
    statement = upsert_into(connection, round_artifacts)
    connection.execute(statement.values(**round_values(key), name=name, sha256=sha256))


def artifacts(connection: Connection, key: RoundKey) -> dict[str, str]:
    """Return the hashes of the round's files by their names."""
    table = round_artifacts
    rows = connection.execute(select(table.c.name, table.c.sha256).where(of_round(table, key)))
    return dict(sorted((row.name, row.sha256) for row in rows))


def artifacts_named(connection: Connection, name: str) -> dict[RoundKey, str]:
    """Return the hash of the file ``name`` of every round that has one."""
    table = round_artifacts
    rows = connection.execute(select(table.c.tournament, table.c.number, table.c.sha256).where(table.c.name == name))
    return {RoundKey(Tournament(row.tournament), row.number): row.sha256 for row in rows}
