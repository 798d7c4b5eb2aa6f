"""Doubled places: ranks with ties kept as whole numbers of two bytes, and the tables that turn them into floats.

The mean place of tied values is a whole or a half number, so twice the place, 2 to 2n, holds it exactly. float32 would merge
values that differ; this merges nothing and splits nothing.

1. Each row is laid over the whole numbers of 32 bits, from its least value to its largest; the order is kept, though values
   very near each other may fall on one number.
2. Those are sorted by their low halves, then by their high ones: two stable sorts of two-byte numbers, which count instead
   of comparing and are three times faster than a sort of the floats.
3. Where values fell on one number in the wrong order (or one outlier pushed all others together), the row shows itself out
   of order and is sorted again, slowly.
4. Places are written where the positions say, tied values sharing their mean.

The rank is (place − ½) / n, the Gaussian value Φ⁻¹(rank), the stressed one sign(g)|g|^1.5: functions of the doubled place
and of n.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import BoolArray, FloatArray, IntArray
from market.ranks import gaussianize
from signals.constancy import CONSTANT_SPREAD

PlaceArray = npt.NDArray[np.uint16]

_T = TypeVar("_T", bound=np.generic)

ASSETS_MAX = 32_767
"""Twice the last place must fit two bytes."""

_TOP = np.float64(2**32 - 1)
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
    at = _nearly_sorted(x)
    ordered = _taken(x, at)
    for row in np.flatnonzero((ordered[:, 1:] < ordered[:, :-1]).any(axis=1)):
        order = np.argsort(x[row])
        at[row], ordered[row] = order + row * x.shape[1], x[row, order]
    places = _spread(at, ordered[:, 1:] != ordered[:, :-1])
    low, high = ordered[:, 0], ordered[:, -1]
    with np.errstate(invalid="ignore", over="ignore"):  # the spread of infinities is no small number
        small = high - low <= CONSTANT_SPREAD * np.minimum(np.maximum(np.abs(low), np.abs(high)), _LARGEST)
    places[small | (high == low)] = x.shape[1] + 1
    return places


def places_of_places(places: PlaceArray) -> PlaceArray:
    """Return the doubled places within some columns of (m, n) doubled places, row by row."""
    _check_size(places)
    at = _sorted_by(places)
    ordered = _taken(places, at)
    return _spread(at, ordered[:, 1:] != ordered[:, :-1])


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


def look_up(table: FloatArray, index: IntArray, out: FloatArray | None = None) -> FloatArray:
    """Return ``table`` at each entry of ``index``; entries beyond its end give its end, which no valid place does."""
    return np.take(table, index, out=out, mode="clip")


def _check_size(values: npt.NDArray[Any]) -> None:
    if values.ndim != 2 or not 1 <= values.shape[1] <= ASSETS_MAX:
        raise InputRejected(Code.SCORE_INPUT_INVALID, f"Values are (models × assets), of 1 to {ASSETS_MAX:,} assets.")


def _nearly_sorted(x: FloatArray) -> IntArray:
    """Return flat positions that sort each row, but for values that fell on one number of 32 bits."""
    low, high = x.min(axis=1), x.max(axis=1)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        width = high - low
        scale = _TOP / width
        steps = (x - low[:, None]) * scale[:, None]
    # A constant row, one with infinities, or one wider or narrower than float64 can scale is left as it stands.
    steps[~(np.isfinite(width) & np.isfinite(scale))] = 0.0
    whole = steps.astype(np.uint32)
    by_low = _sorted_by(whole.astype(np.uint16))
    by_high = _sorted_by(_taken((whole >> 16).astype(np.uint16), by_low))
    return _taken(by_low, by_high)


def _sorted_by(rows: PlaceArray) -> IntArray:
    """Return flat positions that sort each row, equal numbers in the order in which they stand."""
    at = np.argsort(rows, axis=1, kind="stable")
    at += np.arange(rows.shape[0])[:, None] * rows.shape[1]
    return at


def _taken(rows: npt.NDArray[_T], at: IntArray) -> npt.NDArray[_T]:
    return np.take(rows.reshape(-1), at)


def _spread(at: IntArray, fresh: BoolArray) -> PlaceArray:
    """Write doubled places where flat positions say; ``fresh`` tells of all but a row's first whether it starts a new value."""
    m, n = at.shape
    places = np.empty(m * n, dtype=np.uint16)
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
