"""Science becomes money, in this one place: a float becomes an integer of parts per billion, half to even.

What is published and paid by is the integer; float noise between machines ends here. The conversion is exact arithmetic on the
float's own binary value, so it is the same on every machine.
"""

import math
from fractions import Fraction

from crowdalpha.codes import Code
from crowdalpha.errors import InvariantBroken
from crowdalpha.terms import PPB


def score_ppb(score: float) -> int:
    """Return a score in parts per billion, rounded half to even.

    Parameters
    ----------
    score : float
        A finite score; unit: the score's own.

    Raises
    ------
    InvariantBroken
        For NaN or an infinity: the kernels define every score, so neither can come from them.

    Examples
    --------
    >>> score_ppb(0.0123456789), score_ppb(-(2.0**-10))
    (12345679, -976562)
    """
    return _ppb(score, "score")


def retention_ppb(retention: float) -> int:
    """Return the retained part of a positive payout in parts per billion, rounded half to even.

    Parameters
    ----------
    retention : float
        0 to 1.

    Raises
    ------
    InvariantBroken
        For NaN, an infinity, or a value outside 0 to 1.

    Examples
    --------
    >>> retention_ppb(1.0)
    1000000000
    """
    ppb = _ppb(retention, "retention")
    if not 0.0 <= retention <= 1.0:
        raise InvariantBroken(Code.INTERNAL, f"A retention of {retention} lies outside 0 to 1.")
    return ppb


def _ppb(value: float, what: str) -> int:
    if not math.isfinite(value):
        raise InvariantBroken(Code.INTERNAL, f"A {what} is {value}, which no kernel gives.")
    return round(Fraction(value) * PPB)
