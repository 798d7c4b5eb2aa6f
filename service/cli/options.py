"""Options that many commands share, and the few texts that are parsed by hand so that they fail with our own codes."""

from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.ids import ROUND_NUMBER_MAX, RoundKey, Tournament

HOME = Path("home")

HomeOption = Annotated[Path, typer.Option("--home", envvar="CROWDALPHA_HOME", metavar="DIR", help="Folder of the platform.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]
SEED_MAX = 2**63 - 1
"""What a file or a database holds as a whole number."""

SeedOption = Annotated[
    int, typer.Option("--seed", min=0, max=SEED_MAX, metavar="N", help="The same seed gives the same season.")
]


class TournamentLabel(StrEnum):
    """The tournaments as a user writes them."""

    SIGNALS = "signals"
    CLASSIC = "classic"

    @property
    def tournament(self) -> Tournament:
        """The tournament that the word names."""
        return Tournament.from_label(self.value)


TournamentOption = Annotated[TournamentLabel, typer.Option("--tournament", "-t", help="Which tournament.")]
RoundNumberArgument = Annotated[int, typer.Argument(min=1, max=ROUND_NUMBER_MAX, metavar="NUMBER", help="Number of the round.")]


def round_key(tournament: TournamentLabel, number: int) -> RoundKey:
    """Return the key of round ``number`` of ``tournament``."""
    return RoundKey(tournament.tournament, number)


def parse_date(text: str, option: str) -> date:
    """Return the date that ``text`` writes as YYYY-MM-DD.

    Raises
    ------
    InputRejected
        ``date_invalid``, naming ``option``.
    """
    try:
        parsed = date.fromisoformat(text)
    except ValueError:
        parsed = None
    # fromisoformat also reads 20140101 and 2014-W01-1, which nobody means.
    if parsed is None or parsed.isoformat() != text:
        raise InputRejected(Code.DATE_INVALID, f"{option} is '{text[:40]}'; a date is written as YYYY-MM-DD.")
    return parsed


def parse_tokens(text: str) -> int:
    """Return the atoms of an amount in tokens, such as ``1.5``; raises InputRejected ``amount_invalid``."""
    from staking.amount import parse_amount

    return parse_amount(text)


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a file that the user names.

    Raises
    ------
    InputRejected
        ``request_invalid`` when it is not there or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputRejected(Code.REQUEST_INVALID, f"The file '{path}' cannot be read: {reason}.") from error
