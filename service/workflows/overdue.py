"""While a round's closing instant has passed and nobody has closed it yet, what its close will count of stakes stands still.

A close that comes late reads stakes, pools, modes and choices as they stand then. Whoever could change them in between would
decide about a round with what the market has shown since. The close itself ends it, or voiding the round.
"""

from datetime import datetime

from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict
from service.store import models, rounds, stakes


def refuse_while_closing(connection: Connection, now: datetime) -> None:
    """Refuse a change of stakes at ``now``, the instant of the change, while an open round is due to be closed.

    Parameters
    ----------
    connection : Connection
        The writing one in which the change is made.

    Raises
    ------
    Conflict
        ROUND_CLOSING, naming the round.
    """
    due = rounds.due_to_close(connection, now)
    if due is not None:
        raise Conflict(Code.ROUND_CLOSING, f"Round {due} is due to be closed: stakes stand still until it is. Try again then.")


def refuse_wallet_while_closing(connection: Connection, provider_id: str, now: datetime) -> None:
    """Refuse what moves a wallet, where the close that is due may fill a fixed stake from it; raises as the other."""
    own = [model.id for model in models.models_of_provider(connection, provider_id)]
    if any(plan.fixed_atoms is not None for plan in stakes.plans_of(connection, own).values()):
        refuse_while_closing(connection, now)
