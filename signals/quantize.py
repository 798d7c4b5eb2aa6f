"""Science becomes money, in this one place: a float becomes an integer of parts per billion, half to even.

What is published and paid by is the integer; float noise between machines ends here. The conversion is exact arithmetic on the
float's own binary value, so it is the same on every machine.
"""

import math
from fractions import Fraction

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InvariantBroken
from crowdalpha.terms import PPB
from market.arrays import FloatArray

NEAR_MIDDLE = 1e-6
"""In parts: a product this near the middle between two integers is rounded exactly. Below 2³⁰ its own error is below 1e-6."""


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


def scores_ppb(scores: FloatArray) -> list[int]:
    """Return :func:`score_ppb` of each of (m,) scores: the same integers, many times faster."""
    if not np.isfinite(scores).all():
        raise InvariantBroken(Code.INTERNAL, "A score is NaN or infinite, which no kernel gives.")
    parts = scores * PPB
    whole = np.rint(parts)
    unsure = (np.abs(np.abs(parts - whole) - 0.5) < NEAR_MIDDLE) | (np.abs(parts) > 2.0**30)
    found: list[int] = np.where(unsure, 0.0, whole).astype(np.int64).tolist()
    for at in np.flatnonzero(unsure):
        found[at] = score_ppb(float(scores[at]))
    return found


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
