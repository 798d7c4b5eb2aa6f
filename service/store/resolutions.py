"""Resolutions: the once-only settlements. The key on the round is what makes "run it again" safe."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict
from crowdalpha.ids import RoundKey, Tournament
from service.store.records import ResolutionLine, ResolutionRecord
from service.store.schema import of_round, resolution_lines, resolutions, round_values
from service.store.upsert import insert_into


def _record(row: Row[Any]) -> ResolutionRecord:
    key = RoundKey(Tournament(row.tournament), row.number)
    return ResolutionRecord(key, row.resolved_at, row.sha256, row.total_at_risk, row.total_payout, row.total_burn)


def add_resolution(
    connection: Connection, record: ResolutionRecord, lines: Sequence[ResolutionLine]
) -> tuple[ResolutionRecord, bool]:
    """Keep the resolution of a round, once.

    Returns
    -------
    record : ResolutionRecord
        The one that stands: this one, or the earlier one with the same canonical text.
    added : bool
        Whether it is this one; False tells the caller that everything was booked before.

    Raises
    ------
    Conflict
        ALREADY_RESOLVED if the round was resolved before to another text.
    """
    values = {
        "resolved_at": record.resolved_at,
        "sha256": record.sha256,
        "total_at_risk": record.total_at_risk,
        "total_payout": record.total_payout,
        "total_burn": record.total_burn,
    }
    statement = insert_into(connection, resolutions).values(**round_values(record.round), **values)
    added = connection.execute(statement.on_conflict_do_nothing().returning(resolutions.c.number)).first()
    if added is None:
        standing = resolution_of_round(connection, record.round)
        if standing is None or standing.sha256 != record.sha256:
            raise Conflict(Code.ALREADY_RESOLVED, f"Round {record.round} was resolved before with other inputs.")
        return standing, False
    rows = [
        {
            **round_values(record.round),
            "model_id": line.model_id,
            "at_risk_atoms": line.at_risk_atoms,
            "payout_atoms": line.payout_atoms,
            "retention_ppb": line.retention_ppb,
        }
        for line in lines
    ]
    if rows:
        connection.execute(insert(resolution_lines), rows)
    return record, True


def resolution_of_round(connection: Connection, key: RoundKey) -> ResolutionRecord | None:
    """Return the resolution of a round, or None while it is pending."""
    row = connection.execute(select(resolutions).where(of_round(resolutions, key))).first()
    return None if row is None else _record(row)


def lines_of_round(connection: Connection, key: RoundKey) -> list[ResolutionLine]:
    """Return what the resolution of a round did to each model, by model id."""
    rows = connection.execute(select(resolution_lines).where(of_round(resolution_lines, key)))
    lines = [ResolutionLine(row.model_id, row.at_risk_atoms, row.payout_atoms, row.retention_ppb) for row in rows]
    return sorted(lines, key=lambda line: line.model_id)


def lines_of_model(connection: Connection, model_id: str) -> list[tuple[RoundKey, ResolutionLine]]:
    """Return what resolutions did to a model, by round."""
    rows = connection.execute(select(resolution_lines).where(resolution_lines.c.model_id == model_id))
    lines = [
        (
            RoundKey(Tournament(row.tournament), row.number),
            ResolutionLine(row.model_id, row.at_risk_atoms, row.payout_atoms, row.retention_ppb),
        )
        for row in rows
    ]
    return sorted(lines, key=lambda line: line[0])


def list_resolutions(connection: Connection, tournament: Tournament | None = None) -> list[ResolutionRecord]:
    """Return the resolutions of a tournament (None: of both), by round."""
    statement = select(resolutions).order_by(resolutions.c.tournament, resolutions.c.number)
    if tournament is not None:
        statement = statement.where(resolutions.c.tournament == int(tournament))
    return [_record(row) for row in connection.execute(statement)]
