"""Amounts of the token: whole atoms as integers, decimal strings for people. No float is ever made.

One token is 10**18 atoms. Text is what a person types and reads; everything else in this package is an integer of atoms.
"""

import re

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.terms import ATOMS_PER_TOKEN

DECIMALS = 18

ATOMS_MAX = 10**78 - 1
"""Largest amount that every database of ours can hold: 78 decimal digits, more than 2**256."""

TEXT_LENGTH_MAX = 100
"""Longer text cannot be an amount: 60 digits, a point, 18 decimals and a sign are 80 characters."""

_PLAIN = re.compile(r"(-?)([0-9]{1,60})(?:\.([0-9]{1,18}))?")


def _refuse(text: str, why: str) -> InputRejected:
    return InputRejected(Code.AMOUNT_INVALID, f"{text[:64]!r} is not an amount of tokens: {why}.")


def parse_amount(text: str, *, signed: bool = False) -> int:
    """Read a decimal string of tokens as atoms.

    Parameters
    ----------
    text : str
        Digits, optionally a point and at most 18 decimals, such as ``"1.5"``. No exponent, separator, space or plus sign, and
        ASCII digits only: whatever people might read in two ways is refused.
    signed : bool
        Whether a leading minus is allowed.

    Returns
    -------
    int
        Atoms, exactly.

    Raises
    ------
    InputRejected
        ``AMOUNT_INVALID`` for any other text.

    Examples
    --------
    >>> parse_amount("1.5")
    1500000000000000000
    """
    if not isinstance(text, str):
        raise _refuse(repr(text), "it must be given as text, because a float cannot hold every amount")
    if len(text) > TEXT_LENGTH_MAX:
        raise _refuse(text, f"it is longer than {TEXT_LENGTH_MAX} characters")
    match = _PLAIN.fullmatch(text)
    if match is None:
        raise _refuse(text, "it needs 1 to 60 digits and at most 18 decimals after a point")
    sign, whole, decimals = match.groups()
    if sign and not signed:
        raise _refuse(text, "it must not be negative")
    atoms = int(whole) * ATOMS_PER_TOKEN + int((decimals or "").ljust(DECIMALS, "0"))
    return -atoms if sign else atoms


def format_amount(amount_atoms: int) -> str:
    """Write atoms as the shortest decimal string of tokens.

    ``parse_amount(format_amount(a), signed=True) == a`` for every amount of up to 78 digits.

    Examples
    --------
    >>> format_amount(-1_500_000_000_000_000_000)
    '-1.5'
    """
    whole, rest = divmod(abs(amount_atoms), ATOMS_PER_TOKEN)
    sign = "-" if amount_atoms < 0 else ""
    if not rest:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{rest:0{DECIMALS}d}".rstrip("0")
