"""Models: the named streams. A name stands once over all providers and tournaments, so that it can stand in a link."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict
from crowdalpha.ids import Tournament
from service.store.parts import among, rows_among
from service.store.records import ModelRecord
from service.store.schema import models

_BY_NAME = select(models).where(models.c.name == bindparam("name"))


def _record(row: Row[Any]) -> ModelRecord:
    return ModelRecord(row.id, row.provider_id, row.name, Tournament(row.tournament), row.created_at)


def add_model(connection: Connection, record: ModelRecord) -> None:
    """Add a model; raises Conflict MODEL_EXISTS if the name or the id stands already."""
    standing = select(models.c.id).where((models.c.name == record.name) | (models.c.id == record.id))
    if connection.execute(standing).first() is not None:
        raise Conflict(Code.MODEL_EXISTS, f"There is a model '{record.name}' already.")
    connection.execute(
        insert(models).values(
            id=record.id,
            provider_id=record.provider_id,
            name=record.name,
            tournament=int(record.tournament),
            created_at=record.created_at,
        )
    )


def model_by_id(connection: Connection, model_id: str) -> ModelRecord | None:
    """Return the model of that id, or None."""
    row = connection.execute(select(models).where(models.c.id == model_id)).first()
    return None if row is None else _record(row)


def model_by_name(connection: Connection, name: str) -> ModelRecord | None:
    """Return the model of that name, or None."""
    row = connection.execute(_BY_NAME, {"name": name}).first()
    return None if row is None else _record(row)


def list_models(connection: Connection, tournament: Tournament | None = None) -> list[ModelRecord]:
    """Return all models, or those of one tournament, by name."""
    statement = select(models)
    if tournament is not None:
        statement = statement.where(models.c.tournament == int(tournament))
    records = [_record(row) for row in connection.execute(statement)]
    # Sorted here: the databases need not agree about the order of letters.
    return sorted(records, key=lambda record: record.name)


def owners_of(connection: Connection, model_ids: Collection[str]) -> dict[str, str]:
    """Return the ids of the providers of models, by model id."""
    statement = select(models.c.id, models.c.provider_id).where(among(models.c.id))
    return {row.id: row.provider_id for row in rows_among(connection, statement, sorted(model_ids))}


def models_of_provider(connection: Connection, provider_id: str) -> list[ModelRecord]:
    """Return the provider's models, by name."""
    rows = connection.execute(select(models).where(models.c.provider_id == provider_id))
    return sorted((_record(row) for row in rows), key=lambda record: record.name)
