"""Names of people as they stand in the audit trail: who approved, sent, halted or reconciled, and why.

The command line knows no accounts, so a name is what was typed; but nobody is no name.
"""

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected

WHO_MAX, WHY_MAX = 80, 1_000
"""Characters."""


def refuse_nobody(who: str) -> None:
    """Raise InputRejected REQUEST_INVALID for a name that is blank, too long, or holds what cannot be printed."""
    _refuse_blank("name of who does this", who, WHO_MAX)


def refuse_no_reason(why: str) -> None:
    """Raise InputRejected REQUEST_INVALID for a reason that is blank, too long, or holds what cannot be printed."""
    _refuse_blank("reason", why, WHY_MAX)


def _refuse_blank(what: str, text: str, most: int) -> None:
    if not text.strip() or len(text) > most or not text.isprintable():
        message = f"The {what} stands in the audit trail: 1 to {most:,} printable characters, and not blanks alone."
        raise InputRejected(Code.REQUEST_INVALID, message)
