"""When values count as all equal: by their spread relative to their size, never by a standard deviation of exactly zero.

The standard deviation of 5,000 times 0.1 is about 1e-17, not 0; and a column near 1e-300 is no constant for being small.
"""

import numpy as np

from market.arrays import BoolArray, FloatArray

CONSTANT_SPREAD = 1e-14
"""A spread below this part of the largest value is rounding of one number, not an opinion."""


def constant_rows(values: FloatArray) -> BoolArray:
    """Say for each row of (m, n) values without NaN, n ≥ 1, whether it is constant; (m,) bool."""
    with np.errstate(over="ignore"):  # from one end of float64 to the other the spread is infinite, and no small number
        spread = np.ptp(values, axis=1)
    return np.asarray(spread <= CONSTANT_SPREAD * np.max(np.abs(values), axis=1), dtype=np.bool_)


def is_constant(values: FloatArray) -> bool:
    """Say whether (n,) values without NaN are constant; true also for fewer than two values.

    Examples
    --------
    >>> is_constant(np.array([0.1, 0.1 + 1e-17])), is_constant(np.array([0.0, 1e-300]))
    (True, False)
    """
    return values.size < 2 or bool(constant_rows(values[None, :])[0])


WHOLLY_EXPLAINED = 1e-10
"""A residual this small beside its vector is what rounding left, not an opinion."""

DIGITS_KEPT = 11
"""Relative to a row's largest value; a projection leaves what was equal before it a few roundings apart."""


def settled(rows: FloatArray) -> FloatArray:
    """Return each row of (m, n) in units of its largest value, rounded, so that what differs by rounding alone is a tie.

    Examples
    --------
    >>> settled(np.array([[0.5, 0.25, 0.25 + 1e-15]])).tolist()
    [[1.0, 0.5, 0.5]]
    """
    largest = np.max(np.abs(rows), axis=1, keepdims=True, initial=0.0)
    scaled = np.divide(rows, largest, out=np.zeros_like(rows), where=largest > 0)
    return np.asarray(np.round(scaled, DIGITS_KEPT), dtype=np.float64)
