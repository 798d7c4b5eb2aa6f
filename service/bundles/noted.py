"""What somebody noted of a round before it was settled, and compares with its bundle: the one thing no key holder can remake.

A bundle is made after the settlement by whoever holds the key. That its terms are those of the opening, and its files and its
closing instant those of the close, only a note of that day shows.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.bundles.archive import differs
from service.bundles.payments import Settled
from service.clock import instant_text

_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Noted:
    """Notes of a round; what is None was not noted, and is not compared.

    Attributes
    ----------
    terms_hash : str or None
        64 hexadecimal digits, shown from the opening on.
    root : str or None
        Of the submissions, 64 hexadecimal digits, shown from the close on.
    closes_at : str or None
        ISO 8601 with its offset from UTC, shown from the opening on.

    Raises
    ------
    InputRejected
        ``REQUEST_INVALID`` for a note of another form. Capitals and space around a note are the same note.
    """

    terms_hash: str | None = None
    root: str | None = None
    closes_at: str | None = None

    def __post_init__(self) -> None:
        for name, option in (("terms_hash", "--terms-hash"), ("root", "--root")):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _hash(value, option))
        if self.closes_at is not None:
            object.__setattr__(self, "closes_at", _instant(self.closes_at))

    def __bool__(self) -> bool:
        """Say whether anything was noted."""
        return (self.terms_hash, self.root, self.closes_at) != (None, None, None)


NOTHING_NOTED = Noted()


def check_noted(settled: Settled, noted: Noted) -> list[str]:
    """Compare notes with what was recomputed from the bundle, and return what they were of; raises ``BUNDLE_DIFFERS``."""
    pairs = (
        ("the hash of its terms", noted.terms_hash, settled.terms.hash),
        ("the root of its submissions", noted.root, settled.told["submissions_root"]),
        ("the instant of its close", noted.closes_at, settled.told["closes_at"]),
    )
    for what, note, found in pairs:
        if note is not None and note != found:
            raise differs(f"{what} is {found or 'none'}, and {note} was noted")
    return [what for what, note, _ in pairs if note is not None]


def _hash(text: str, option: str) -> str:
    plain = text.strip().lower()
    if not _HASH.fullmatch(plain):
        raise InputRejected(Code.REQUEST_INVALID, f"{option} is '{text[:80]}'; it is 64 hexadecimal digits.")
    return plain


def _instant(text: str) -> str:
    try:
        return instant_text(_aware(datetime.fromisoformat(text.strip())))
    except (ValueError, OverflowError) as error:
        why = "it is an instant with its offset, such as 2016-01-09T23:00:00Z"
        raise InputRejected(Code.REQUEST_INVALID, f"--closes-at is '{text[:80]}'; {why}.") from error


def _aware(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError("nobody knows when it was")
    return instant
