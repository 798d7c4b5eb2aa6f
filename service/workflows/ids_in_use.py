"""Asset ids that must not be lost: a round is scored, and a book settled, by the ids that they were made with."""

from collections.abc import Iterable

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict
from crowdalpha.ids import UNSETTLED
from service.book import read_book
from service.context import Platform
from service.frames import get_frame
from service.store import rounds

IDS_SHOWN = 5
"""Asset ids in an error."""


def refuse_lost(platform: Platform, known: Iterable[str], cause: str, remedy: str) -> None:
    """Refuse market data under which an asset id of an unresolved round, or of the fund's book, is not ``known`` any more.

    Parameters
    ----------
    known : iterable of str
        Asset ids that there would be.
    cause, remedy : str
        What would be to blame, and what to do, as parts of the sentence.

    Raises
    ------
    Conflict
        ASSET_IDS_IN_USE, naming the first of them.
    """
    lost = sorted(ids_in_use(platform) - set(known))
    if lost:
        shown = ", ".join(lost[:IDS_SHOWN]) + (" …" if len(lost) > IDS_SHOWN else "")
        message = f"{len(lost)} asset ids of unresolved rounds or of the fund would have no prices {cause} ({shown}): {remedy}."
        raise Conflict(Code.ASSET_IDS_IN_USE, message)


def ids_in_use(platform: Platform) -> set[str]:
    """Return the asset ids of unresolved rounds and of the fund's book."""
    with platform.store.read() as connection:
        book, _ = read_book(connection, platform)
        found = set(book.asset_ids[book.positions != 0].tolist())
        for record in rounds.list_rounds(connection, states=UNSETTLED):
            found.update(get_frame(connection, platform.blobs, record.key).asset_ids.tolist())
    return found
