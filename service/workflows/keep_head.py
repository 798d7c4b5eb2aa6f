"""Keep the day's head of the ledger outside the database, and check the ledger against all heads that were kept.

1. *load* the end of the chain, and the heads that stand.
2. *commit* it, signed, as the file of the session. A session whose file stands keeps it, so a second run changes nothing.

Heads are kept in the order of their sessions: one that is gone cannot be made again behind later ones, because what the ledger
held on that day is known from nothing else. Decision instant: the clock's, which the head names.
"""

from datetime import date

from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.context import Platform
from service.heads import KeptHead, head_path, head_paths, misfits, read_head, sign_head, write_head
from service.store import ledger, occurrences
from staking import GENESIS_HASH

HEADS_JOB = "keep_head:ledger"
"""Name of the job in the schedule."""


def keep_head(platform: Platform, session: date) -> KeptHead:
    """Keep the head of the ledger for ``session`` as it stands now, or return the one that was kept before.

    Raises
    ------
    InputRejected
        HEAD_BROKEN when the file of that session is not a head, or is not there and one of a later session is.
    """
    days = [path.stem for path in head_paths(platform.home.path)]
    if session.isoformat() not in days:
        if days and days[-1] > session.isoformat():
            raise InputRejected(
                Code.HEAD_BROKEN, f"There is no head of {session}, and one of {days[-1]}: it is not made again behind that."
            )
        with platform.store.read() as connection:
            end, now = ledger.head(connection), platform.clock.now(connection)
        write_head(platform.home.path, sign_head(platform.signer, session, end, now, days[-1] if days else ""))
    return read_head(head_path(platform.home.path, session))


def kept_heads(platform: Platform, last: int | None = None) -> tuple[list[KeptHead], list[str]]:
    """Return the kept heads by date, or the last so many, and a sentence for each file that is none."""
    heads, problems = [], []
    for path in head_paths(platform.home.path)[-last if last else None :]:
        try:
            heads.append(read_head(path))
        except InputRejected as error:
            problems.append(error.message)
    return heads, problems


def head_problems(platform: Platform, connection: Connection, last: int | None = None) -> list[str]:
    """List what does not fit between the ledger and the heads that were kept of it, or by the schedule were to be.

    With ``last`` only so many heads are read, for who asks every few seconds; those that are gone are missed all the same.
    """
    heads, problems = kept_heads(platform, last)
    hashes = {0: GENESIS_HASH} | ledger.hashes_of(connection, [head.sequence for head in heads])
    kept = {str(one.payload["session"]) for one in occurrences.done(connection, HEADS_JOB)} | {head.previous for head in heads}
    gone = kept - {path.stem for path in head_paths(platform.home.path)} - {""}
    return problems + misfits(heads, hashes, platform.signer.public_key, gone)
