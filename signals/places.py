"""Doubled places: ranks with ties kept as whole numbers of two bytes, and the tables that turn them into floats.

The mean place of tied values is a whole or a half number, so twice the place, 2 to 2n, holds it exactly. float32 would merge
values that differ; this merges nothing and splits nothing.

1. Values become whole numbers in the same order; a float64's own bits are such a number once negative ones are turned over.
2. The lowest bits of each make room for the asset's position, and the numbers are sorted: the positions come along.
3. Where two floats differed only in the bits that made room, the row shows itself out of order and is sorted again, slowly.
4. Places are written where the positions say, tied values sharing their mean.

The rank is (place − ½) / n, the Gaussian value Φ⁻¹(rank), the stressed one sign(g)|g|^1.5: functions of the doubled place
and of n.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import BoolArray, FloatArray, IntArray
from market.ranks import gaussianize
from signals.constancy import CONSTANT_SPREAD

PlaceArray = npt.NDArray[np.uint16]

ASSETS_MAX = 32_767
"""Twice the last place must fit two bytes."""

_TURN = np.int64(0x7FFF_FFFF_FFFF_FFFF)
_LARGEST = np.finfo(np.float64).max


def places_of(values: FloatArray) -> PlaceArray:
    """Return the doubled places of float64 values, row by row.

    Parameters
    ----------
    values : (m, n) float64
        Any scale; infinities are ends of the order. NaN not allowed. n at most 32,767.

    Returns
    -------
    (m, n) uint16
        2 to 2n; n + 1 throughout in a row that is constant but for rounding.

    Raises
    ------
    InputRejected
        ``score_input_invalid`` for NaN or too many assets.

    Examples
    --------
    >>> places_of(np.array([[0.3, 0.1, 0.1, 0.9]])).tolist()
    [[6, 3, 3, 8]]
    """
    x = np.ascontiguousarray(values, dtype=np.float64)
    _check_size(x)
    if np.isnan(x).any():
        raise InputRejected(Code.SCORE_INPUT_INVALID, "Values that are to be ranked hold a NaN.")
    bits = x.view(np.int64)
    if (bits < 0).any():
        bits = bits ^ ((bits >> 63) & _TURN)
    shift = _position_bits(x.shape[1])
    order = _sorted_keys((bits >> shift) << shift) & ((1 << shift) - 1)
    ordered = _along(x, order)
    for row in np.flatnonzero((ordered[:, 1:] < ordered[:, :-1]).any(axis=1)):
        order[row] = np.argsort(x[row])
        ordered[row] = x[row, order[row]]
    places = _spread(order, ordered[:, 1:] != ordered[:, :-1])
    low, high = ordered[:, 0], ordered[:, -1]
    with np.errstate(invalid="ignore", over="ignore"):  # the spread of infinities is no small number
        small = high - low <= CONSTANT_SPREAD * np.minimum(np.maximum(np.abs(low), np.abs(high)), _LARGEST)
    places[small | (high == low)] = x.shape[1] + 1
    return places


def places_of_whole(values: npt.NDArray[Any]) -> PlaceArray:
    """Return the doubled places of (m, n) whole numbers of at most 48 bits, row by row; otherwise as :func:`places_of`."""
    _check_size(values)
    shift = _position_bits(values.shape[1])
    keys = _sorted_keys(values.astype(np.int64) << shift)
    heads = keys >> shift
    return _spread(keys & ((1 << shift) - 1), heads[:, 1:] != heads[:, :-1])


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """What a doubled place means among n assets; each (2n + 1,) float64, with entries from 2 to 2n.

    Attributes
    ----------
    gauss
        Φ⁻¹((place − ½) / n).
    stressed
        sign(g)|g|^1.5 of it.
    """

    gauss: FloatArray
    stressed: FloatArray


def tables(n: int) -> Tables:
    """Return the tables for n assets.

    Examples
    --------
    >>> tables(2).gauss[[2, 3, 4]].round(3).tolist()
    [-0.674, 0.0, 0.674]
    """
    doubled = np.arange(2 * n + 1, dtype=np.float64)
    ranks = np.clip((doubled - 1.0) / max(2 * n, 1), 0.0, 1.0)
    ranks[:2] = 0.5  # no value has these places
    gauss = gaussianize(ranks)
    return Tables(gauss, stress(gauss))


def stress(values: FloatArray) -> FloatArray:
    """Return sign(x)|x|^1.5, as x times the root of |x|: far cheaper than a power."""
    return np.asarray(values * np.sqrt(np.abs(values)), dtype=np.float64)


def look_up(table: FloatArray, index: IntArray) -> FloatArray:
    """Return ``table`` at each entry of ``index``; entries beyond its end give its end, which no valid place does."""
    return np.take(table, index, mode="clip")


def _check_size(values: npt.NDArray[Any]) -> None:
    if values.ndim != 2 or not 1 <= values.shape[1] <= ASSETS_MAX:
        raise InputRejected(Code.SCORE_INPUT_INVALID, f"Values are (models × assets), of 1 to {ASSETS_MAX:,} assets.")


def _position_bits(n: int) -> int:
    return max(n - 1, 1).bit_length()


def _sorted_keys(keys: IntArray) -> IntArray:
    """Put each asset's position into the free low bits and sort each row, in place."""
    keys |= np.arange(keys.shape[1])
    keys.sort(axis=1)
    return keys


def _along(rows: FloatArray, order: IntArray) -> FloatArray:
    starts = np.arange(rows.shape[0])[:, None] * rows.shape[1]
    return np.asarray(np.take(rows.reshape(-1), order + starts), dtype=np.float64)


def _spread(order: IntArray, fresh: BoolArray) -> PlaceArray:
    """Write doubled places where the positions say; ``fresh`` tells of each but a row's first whether it starts a new value."""
    m, n = order.shape
    places = np.empty(m * n, dtype=np.uint16)
    at = order + np.arange(m)[:, None] * n
    if fresh.all():
        places[at] = np.arange(2, 2 * n + 2, 2, dtype=np.uint16)
        return places.reshape(m, n)
    starting = np.ones((m, n), dtype=np.bool_)
    starting[:, 1:] = fresh
    starts = np.flatnonzero(starting)
    lengths = np.diff(starts, append=m * n)
    # A tie over the places s+1 .. s+l of its row has the mean place s + (l+1)/2.
    doubled = (2 * (starts % n) + lengths + 1).astype(np.uint16)
    places[at.reshape(-1)] = np.repeat(doubled, lengths)
    return places.reshape(m, n)
