"""Keep the day's head of the ledger outside the database, and check the ledger against all heads that were kept.

1. *load* the end of the chain.
2. *commit* it, signed, as the file of the session. A session whose file stands keeps it, so a second run changes nothing.
"""

from datetime import date

from sqlalchemy import Connection

from crowdalpha.errors import InputRejected
from service.context import Platform
from service.heads import KeptHead, head_paths, misfits, read_head, sign_head, write_head
from service.store import ledger
from staking import GENESIS_HASH


def keep_head(platform: Platform, session: date) -> KeptHead:
    """Keep the head of the ledger for ``session`` as it stands now, or return the one that was kept before.

    Raises
    ------
    InputRejected
        HEAD_BROKEN when the file of that session is not a head.
    """
    with platform.store.read() as connection:
        end = ledger.head(connection)
    write_head(platform.home.path, sign_head(platform.signer, session, end.sequence, end.hash))
    return read_head(next(path for path in head_paths(platform.home.path) if path.stem == session.isoformat()))


def kept_heads(platform: Platform) -> tuple[list[KeptHead], list[str]]:
    """Return the kept heads by date, and a sentence for each file that is none."""
    heads, problems = [], []
    for path in head_paths(platform.home.path):
        try:
            heads.append(read_head(path))
        except InputRejected as error:
            problems.append(error.message)
    return heads, problems


def head_problems(platform: Platform, connection: Connection) -> list[str]:
    """List what does not fit between the ledger and the heads that were kept of it."""
    heads, problems = kept_heads(platform)
    hashes = {0: GENESIS_HASH} | ledger.hashes_of(connection, [head.sequence for head in heads])
    return problems + misfits(heads, hashes, platform.signer.public_key)
