"""Multipliers that providers chose for their models, where the terms offer a choice. A model without one has the terms' own."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, select

from service.store.schema import stake_plans
from service.store.upsert import insert_into

DEFAULT_MODE = "compound"
"""What a model without a plan does with its payouts; a plan that is made for a choice alone leaves it so."""


def put_choice(connection: Connection, model_id: str, chosen_ppb: Mapping[str, int], at: datetime) -> None:
    """Keep what was chosen for a model, in ppb by kind, in the place of what was chosen before; the rest of its plan stays."""
    values = {"chosen_ppb": dict(chosen_ppb) or None, "changed_at": at}
    statement = insert_into(connection, stake_plans).values(model_id=model_id, mode=DEFAULT_MODE, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["model_id"], set_=values))


def list_choices(connection: Connection) -> dict[str, dict[str, int]]:
    """Return by model id what was chosen, in ppb by kind; models without a choice are left out."""
    chosen = select(stake_plans.c.model_id, stake_plans.c.chosen_ppb).where(stake_plans.c.chosen_ppb.is_not(None))
    return {row.model_id: dict(row.chosen_ppb) for row in connection.execute(chosen)}
