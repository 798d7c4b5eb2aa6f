"""The error tree, by who must act.

::

    CrowdalphaError
    ├── InputRejected      the user changes the input                 exit 2
    ├── Conflict           the user looks at what stands, then acts   exit 3
    ├── Unavailable        anybody retries later                      exit 4
    ├── NumericalFailure   the operator looks at the numbers          exit 5
    └── InvariantBroken    nobody goes on: this is a bug              exit 70

Each error carries a stable ``code`` (see :mod:`crowdalpha.codes`) and one whole sentence. ``InputRejected`` carries every
finding at once, with row and column where there is one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from crowdalpha.codes import Code

FINDINGS_SHOWN_MAX = 100
"""More findings than a person reads; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check noticed about an input.

    Attributes
    ----------
    code : Code
        Stable code of what was noticed.
    message : str
        One sentence for the person who sent the input.
    row : int or None
        1-based line of the file, the header being line 1; None where no single line is meant.
    column : str or None
        Name of the column, where there is one.
    value : str or None
        The offending text, cut to 64 characters.
    refuses : bool
        True when the finding alone refuses the input; False for a notice.
    """

    code: Code
    message: str
    row: int | None = None
    column: str | None = None
    value: str | None = None
    refuses: bool = True

    def as_dict(self) -> dict[str, str | int | bool | None]:
        """Return the finding as plain JSON values."""
        return {
            "code": self.code.value,
            "message": self.message,
            "row": self.row,
            "column": self.column,
            "value": self.value,
            "refuses": self.refuses,
        }


class CrowdalphaError(Exception):
    """Base of all errors that the platform raises on purpose; its children say who must act."""

    exit_code: ClassVar[int] = 70

    def __init__(self, code: Code, message: str) -> None:
        # Both: what an exception was made of is what another process makes it of again.
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.message} [{self.code.value}]"


class InputRejected(CrowdalphaError):
    """The input is wrong: change it and send it again. A retry with the same input fails the same way."""

    exit_code = 2

    def __init__(self, code: Code, message: str, findings: Sequence[Finding] = ()) -> None:
        super().__init__(code, message)
        self.findings: tuple[Finding, ...] = tuple(findings)


class Conflict(CrowdalphaError):
    """The input is right but what stands does not allow it now. Look at the present state before a retry."""

    exit_code = 3


class Unavailable(CrowdalphaError):
    """Something that is needed is not there at the moment. The same call may succeed later."""

    exit_code = 4


class NumericalFailure(CrowdalphaError):
    """The numbers did not come out: an operator must look. A retry with the same data fails the same way."""

    exit_code = 5


class InvariantBroken(CrowdalphaError):
    """Something that is never false was false. Stop: this is a bug, and a retry may do harm."""

    exit_code = 70
