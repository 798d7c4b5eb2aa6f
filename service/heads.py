"""Daily heads of the ledger, kept outside the database: who rewrites or cuts the ledger cannot rewrite these as well.

A head is a file ``heads/<date>.json`` of the home with the place and the hash of the last transfer when it was kept, signed by
the key of the receipts. It names the head before it, so one that is taken away leaves a gap. A file is never replaced. Copies
of it anywhere else are worth more than the file itself.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

from crowdalpha.canonical import Plain, canonical_bytes
from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.atomic import write_file
from service.clock import instant_text
from service.receipts import Signer
from service.store.records import LedgerHead

HEAD_FORMAT = 2
FIRST_FORMAT = 1
"""Heads of that format hold neither ``kept_at`` nor ``previous``; they are read for ever."""
_LATER = ("kept_at", "previous")
FOLDER = "heads"
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class KeptHead:
    """The end of the chain after a day.

    Attributes
    ----------
    format : int
        Version of the signed bytes.
    date : str
        The session, as ``2016-01-08``.
    kept_at : str
        The instant, as ``2016-01-08T22:00:00.000000Z``: after the session, and long after if the scheduler was down.
    previous : str
        Date of the head that was kept before it; empty for the first.
    sequence : int
        How many transfers there were.
    hash : str
        Of the last of them.
    signature : str
        Ed25519 over the canonical bytes of the others, hexadecimal.
    """

    format: int
    date: str
    sequence: int
    hash: str
    kept_at: str = ""
    previous: str = ""
    signature: str = ""

    def as_plain(self) -> dict[str, Plain]:
        """Return what the file holds."""
        plain: dict[str, Plain] = asdict(self)
        return {k: v for k, v in plain.items() if self.format > FIRST_FORMAT or k not in _LATER}

    def text(self) -> bytes:
        """Return the signed bytes: everything but the signature, canonical."""
        plain = self.as_plain()
        del plain["signature"]
        return canonical_bytes(plain)


def sign_head(signer: Signer, session: date, end: LedgerHead, kept_at: datetime, previous: str) -> KeptHead:
    """Return the signed head of a day; ``previous`` is the date of the head before it, or empty."""
    head = KeptHead(HEAD_FORMAT, session.isoformat(), end.sequence, end.hash, instant_text(kept_at), previous)
    return replace(head, signature=signer.sign(head.text()))


def head_path(home: Path, session: date) -> Path:
    """Return where the head of a session lies."""
    return home / FOLDER / f"{session.isoformat()}.json"


def write_head(home: Path, head: KeptHead) -> None:
    """Keep a head in the home at ``home``; one of the same day that stands there stays."""
    (home / FOLDER).mkdir(exist_ok=True)
    write_file(head_path(home, date.fromisoformat(head.date)), canonical_bytes(head.as_plain()) + b"\n", replace=False)


def read_head(path: Path) -> KeptHead:
    """Read a kept head; raises InputRejected (``HEAD_BROKEN``) for a file of any other form."""
    try:
        data: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise _broken(path, "it cannot be read") from error
    if not isinstance(data, dict) or data.get("format") not in (FIRST_FORMAT, HEAD_FORMAT) or data.get("date") != path.stem:
        raise _broken(path, "it is no head, of another format, or of another day than its name")
    kinds = {field.name: int if field.name in {"format", "sequence"} else str for field in fields(KeptHead)}
    needed = {name: kind for name, kind in kinds.items() if data["format"] > FIRST_FORMAT or name not in _LATER}
    if {name: type(value) for name, value in data.items()} != needed:
        raise _broken(path, "it does not hold what a head does")
    return KeptHead(**data)


def head_paths(home: Path) -> list[Path]:
    """Return the files of all kept heads of the home at ``home``, by date; files of other names are no heads."""
    return sorted(path for path in (home / FOLDER).glob("*.json") if _DATE.fullmatch(path.stem))


def misfits(heads: Sequence[KeptHead], hashes: Mapping[int, str], public_key: str, gone: Collection[str]) -> list[str]:
    """List every kept head that is gone, or that the chain or its signature does not bear out; empty if all fit.

    Parameters
    ----------
    heads : sequence of KeptHead
    hashes : mapping of int to str
        Hash of each transfer that a head names, by its place in the chain; those that are missing are not there any more.
    public_key : str
        64 hexadecimal digits, as in ``receipt.pub``.
    gone : collection of str
        Dates of heads that were kept and have no file.
    """
    found = [f"The head of {day} was kept, and its file is gone." for day in sorted(gone)]
    for head in heads:
        if not _signed(head, public_key):
            found.append(f"The head of {head.date} does not bear the platform's signature.")
        elif head.sequence not in hashes:
            found.append(f"The head of {head.date} counts {head.sequence} transfers, and the ledger holds fewer: it was cut.")
        elif hashes[head.sequence] != head.hash:
            found.append(f"Transfer {head.sequence} has another hash than the head of {head.date}: the ledger was rewritten.")
    return found


def _signed(head: KeptHead, public_key: str) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key)).verify(bytes.fromhex(head.signature), head.text())
    except (ValueError, InvalidSignature):
        return False
    return True


def _broken(path: Path, why: str) -> InputRejected:
    return InputRejected(Code.HEAD_BROKEN, f"The kept head {path.name} cannot be used: {why}.")
