"""Receipts: the platform's signed word that it took a file, for which round, and when. Checked offline by anybody.

The signature (Ed25519) is over the canonical bytes of the receipt's text. The private key lies in the home's ``keys`` folder
and leaves it never; the public key lies beside it as ``receipt.pub`` and is published.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crowdalpha.canonical import Plain, canonical_bytes
from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected
from service.atomic import write_file
from service.clock import instant_text, is_instant_text

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

RECEIPT_FORMAT = 1
KEY_BYTES = 32
PRIVATE_KEY_NAME = "receipt.key"
PUBLIC_KEY_NAME = "receipt.pub"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The signed proof of one upload.

    Attributes
    ----------
    format : int
        Version of the signed bytes.
    submission_id, round, model_id : str
        What was submitted, to which round, for which model.
    sha256 : str
        Hash of the file's bytes as received, hexadecimal.
    received_at : str
        By the platform's clock, as ``2016-01-08T21:00:00.000000Z``.
    on_time : bool
        Whether that was before the round's close.
    signature : str
        Ed25519 over :meth:`text`, hexadecimal.
    """

    format: int
    submission_id: str
    round: str
    model_id: str
    sha256: str
    received_at: str
    on_time: bool
    signature: str = ""

    def text(self) -> bytes:
        """Return the signed bytes: everything but the signature, canonical."""
        plain = self.as_dict()
        del plain["signature"]
        return canonical_bytes(plain)

    def as_dict(self) -> dict[str, Plain]:
        """Return the receipt as plain values."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def to_json(self) -> str:
        """Return the receipt as one line of JSON: what a provider keeps."""
        return canonical_bytes(self.as_dict()).decode()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Receipt":
        """Rebuild a receipt from :meth:`as_dict`; raises InputRejected (``RECEIPT_INVALID``) for any other form."""
        kinds = {"format": int, "on_time": bool}
        names = [field.name for field in fields(cls)]
        if sorted(data) != sorted(names):
            raise _refuse(f"it needs exactly the fields {', '.join(names)}")
        for name in names:
            if type(data[name]) is not kinds.get(name, str):
                raise _refuse(f"the field {name} is of the wrong kind")
        if data["format"] != RECEIPT_FORMAT:
            raise _refuse(f"its format is {data['format']}, and {RECEIPT_FORMAT} is the one that is known")
        if not is_instant_text(data["received_at"]):
            raise _refuse("the field received_at is no instant")
        receipt = cls(**data)
        try:
            receipt.text()
        except ValueError as error:  # half of a surrogate pair: text that has no bytes
            raise _refuse("a field holds text that cannot be written") from error
        return receipt

    @classmethod
    def from_json(cls, text: str | bytes) -> "Receipt":
        """Read a receipt from :meth:`to_json`, or from an answer to an upload, which holds one as its member ``receipt``.

        Raises
        ------
        InputRejected
            ``RECEIPT_INVALID`` for any other text, also for the answer to a file that was refused: it has none.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise _refuse("it is not JSON") from error
        if not isinstance(data, dict):
            raise _refuse("it is not a JSON object")
        if "receipt" in data:
            data = data["receipt"]
            if not isinstance(data, dict):
                raise _refuse("the answer to the upload holds none, as that to a file that was refused")
        return cls.from_dict(data)


def _refuse(why: str) -> InputRejected:
    return InputRejected(Code.RECEIPT_INVALID, f"The receipt cannot be used: {why}.")


@dataclass(frozen=True, slots=True)
class Signer:
    """The platform's signing key, loaded."""

    _key: "Ed25519PrivateKey"

    @classmethod
    def load_or_create(cls, keys: Path) -> "Signer":
        """Load the key of the folder ``keys``, or make one there (mode 0600). Two processes at once end with the same key.

        Raises
        ------
        Conflict
            ``SIGNING_KEY`` if the key file does not hold 32 bytes.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        path = keys / PRIVATE_KEY_NAME
        if not path.exists():
            write_file(path, Ed25519PrivateKey.generate().private_bytes_raw(), mode=0o600, replace=False)
        raw = path.read_bytes()
        if len(raw) != KEY_BYTES:
            raise Conflict(Code.SIGNING_KEY, f"The signing key {path} holds {len(raw)} bytes, not {KEY_BYTES}.")
        signer = cls(Ed25519PrivateKey.from_private_bytes(raw))
        if not (keys / PUBLIC_KEY_NAME).exists():
            write_file(keys / PUBLIC_KEY_NAME, f"{signer.public_key}\n".encode())
        return signer

    @property
    def public_key(self) -> str:
        """The public key, 64 hexadecimal digits."""
        return self._key.public_key().public_bytes_raw().hex()

    def sign(self, text: bytes) -> str:
        """Return the signature of ``text``, 128 hexadecimal digits."""
        return self._key.sign(text).hex()


def sign_receipt(
    signer: Signer, *, submission_id: str, round_key: str, model_id: str, sha256: str, received_at: datetime, on_time: bool
) -> Receipt:
    """Return the signed receipt of an upload; ``received_at`` is aware."""
    facts = (RECEIPT_FORMAT, submission_id, round_key, model_id, sha256, instant_text(received_at), on_time)
    return Receipt(*facts, signature=signer.sign(Receipt(*facts).text()))


def verify_receipt(receipt: Receipt, public_key: str) -> None:
    """Check a receipt against the platform's published key; returns nothing when it holds.

    Parameters
    ----------
    public_key : str
        64 hexadecimal digits, as in ``receipt.pub``; space around them is ignored.

    Raises
    ------
    InputRejected
        ``RECEIPT_INVALID`` if the signature does not fit, or key or signature are malformed.
    """
    if not verify_signature(receipt.text(), receipt.signature, public_key):
        raise _refuse("its signature does not fit its text under this key")


def verify_signature(text: bytes, signature: str, public_key: str) -> bool:
    """Say whether an Ed25519 signature fits; keys and signatures are hexadecimal, and what is malformed fits nothing."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        made = bytes.fromhex(signature)
        if made.hex() != signature:  # capitals or spaces: the same number, but not the same text
            return False
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key.strip())).verify(made, text)
    except (ValueError, InvalidSignature):
        return False
    return True
