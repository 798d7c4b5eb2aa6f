"""Daily heads of the ledger, kept outside the database: who rewrites or cuts the ledger cannot rewrite these as well.

A head is a file ``heads/<date>.json`` of the home with the place and the hash of the last transfer of that day, signed by the
key of the receipts. A file is never replaced. Copies of it anywhere else are worth more than the file itself.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

from crowdalpha.canonical import Plain, canonical_bytes
from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.atomic import write_file
from service.receipts import Signer

HEAD_FORMAT = 1
FOLDER = "heads"


@dataclass(frozen=True, slots=True)
class KeptHead:
    """The end of the chain at the end of a day.

    Attributes
    ----------
    format : int
        Version of the signed bytes.
    date : str
        The session, as ``2016-01-08``.
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
    signature: str = ""

    def text(self) -> bytes:
        """Return the signed bytes: everything but the signature, canonical."""
        plain: dict[str, Plain] = asdict(self)
        del plain["signature"]
        return canonical_bytes(plain)


def sign_head(signer: Signer, session: date, sequence: int, head_hash: str) -> KeptHead:
    """Return the signed head of a day."""
    facts = (HEAD_FORMAT, session.isoformat(), sequence, head_hash)
    return KeptHead(*facts, signature=signer.sign(KeptHead(*facts).text()))


def write_head(home: Path, head: KeptHead) -> None:
    """Keep a head in the home at ``home``; one of the same day that stands there stays."""
    folder = home / FOLDER
    folder.mkdir(exist_ok=True)
    write_file(folder / f"{head.date}.json", canonical_bytes(asdict(head)) + b"\n", replace=False)


def read_head(path: Path) -> KeptHead:
    """Read a kept head; raises InputRejected (``HEAD_BROKEN``) for a file of any other form."""
    try:
        data: Any = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _broken(path, "it cannot be read") from error
    kinds = {field.name: int if field.name in {"format", "sequence"} else str for field in fields(KeptHead)}
    if not isinstance(data, dict) or {name: type(value) for name, value in data.items()} != kinds:
        raise _broken(path, "it does not hold what a head does")
    if data["format"] != HEAD_FORMAT or data["date"] != path.stem:
        raise _broken(path, "it is of another format or of another day than its name")
    return KeptHead(**data)


def head_paths(home: Path) -> list[Path]:
    """Return the files of all kept heads of the home at ``home``, by date."""
    return sorted((home / FOLDER).glob("*.json"))


def misfits(heads: Sequence[KeptHead], hashes: Mapping[int, str], public_key: str) -> list[str]:
    """List every kept head that the chain or its signature does not bear out; an empty list means that all fit.

    Parameters
    ----------
    heads : sequence of KeptHead
    hashes : mapping of int to str
        Hash of each transfer that a head names, by its place in the chain; those that are missing are not there any more.
    public_key : str
        64 hexadecimal digits, as in ``receipt.pub``.
    """
    found = []
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
