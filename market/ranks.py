"""Ranks, Gaussian scores and bins: how an order becomes numbers. Not: any score of a model (that is ``signals``).

1. ``tie_kept_rank`` turns values into mid-ranks in (0, 1); equal values share the mean of their places.
2. ``gaussianize`` turns such ranks into standard normal quantiles.
3. ``five_bins`` and ``quantile_bins`` cut the same ranks at given shares. The cuts are compared in whole numbers, so that
   no rounding of a product moves a value over an edge, and equal values always land in the same bin.

NaN is a missing value everywhere: it takes no place in the order and stays NaN (or −1 among whole numbers).
"""

from collections.abc import Sequence

import numpy as np

from market.arrays import FloatArray, IntArray

TARGET_SHARES_PERCENT = (5, 20, 50, 20, 5)
"""Shares of the five bins of a target, from the lowest up: wide in the middle, so that the tails carry the score."""

MISSING_BIN = -1
"""What ``quantile_bins`` gives for NaN, since a whole number has none."""

_BLOCK_VALUES = 1 << 20
"""Values ranked at a time: a block and its scratch arrays stay near the cache, and memory stays bounded."""


def _rank_rows(x: FloatArray) -> FloatArray:
    """Mean places 1..n of each row of x (m, n); NaN rows' places are NaN."""
    m, n = x.shape
    order = np.argsort(x, axis=1)  # NaN last; the order inside a tie does not matter
    ordered = np.take_along_axis(x, order, axis=1)
    fresh = np.ones((m, n), dtype=np.bool_)
    np.not_equal(ordered[:, 1:], ordered[:, :-1], out=fresh[:, 1:])
    starts = np.flatnonzero(fresh)
    lengths = np.diff(starts, append=m * n)
    # a tie that fills the places s+1 .. s+l of its row has the mean place s + (l+1)/2
    means = (starts % n) + (lengths + 1) / 2.0
    places = np.empty((m, n))
    np.put_along_axis(places, order, np.repeat(means, lengths).reshape(m, n), axis=1)
    places[np.isnan(x)] = np.nan
    return places


def mean_places(x: FloatArray) -> FloatArray:
    """Return the place 1..count of each value along the last axis, ties sharing their mean place.

    Parameters
    ----------
    x : (..., n) float64
        Any scale; NaN is missing, infinities are ordinary ends of the order.

    Returns
    -------
    (..., n) float64
        Whole or half numbers; NaN where ``x`` is NaN.
    """
    values = np.asarray(x, dtype=np.float64)
    if values.size == 0:
        return values.copy()
    rows = values.reshape(-1, values.shape[-1])
    out = np.empty_like(rows)
    step = max(1, _BLOCK_VALUES // max(1, rows.shape[1]))
    for lo in range(0, rows.shape[0], step):
        out[lo : lo + step] = _rank_rows(rows[lo : lo + step])
    return out.reshape(values.shape)


def tie_kept_rank(x: FloatArray, axis: int = -1) -> FloatArray:
    """Rank values into (0, 1): (place − 1/2) / count, ties sharing their mean place.

    Parameters
    ----------
    x : float64, any shape
        NaN is missing and not counted.
    axis : int
        Axis along which values are compared.

    Returns
    -------
    float64, shape of ``x``
        In (0, 1), mean 1/2 over the values that are there; NaN where ``x`` is NaN.

    Examples
    --------
    >>> tie_kept_rank(np.array([3.0, 1.0, 1.0, np.nan]))
    array([0.83333333, 0.33333333, 0.33333333,        nan])
    """
    moved = np.moveaxis(np.asarray(x, dtype=np.float64), axis, -1)
    count = np.sum(~np.isnan(moved), axis=-1, keepdims=True)
    ranked = (mean_places(moved) - 0.5) / np.maximum(count, 1)
    return np.ascontiguousarray(np.moveaxis(ranked, -1, axis))


def gaussianize(ranks: FloatArray) -> FloatArray:
    """Turn ranks in (0, 1) into standard normal quantiles Φ⁻¹(rank).

    Parameters
    ----------
    ranks : float64, any shape
        As :func:`tie_kept_rank` gives them; 0 and 1 give infinities, NaN stays NaN.

    Returns
    -------
    float64, shape of ``ranks``
        Unit: standard deviations.
    """
    from scipy.special import ndtri

    return np.asarray(ndtri(ranks), dtype=np.float64)


def five_bins(values: FloatArray, shares_percent: Sequence[int] = TARGET_SHARES_PERCENT) -> FloatArray:
    """Cut values into bins of given shares, from 0 for the lowest to 1 for the highest, ties kept together.

    Parameters
    ----------
    values : (n,) float64
        NaN is missing.
    shares_percent : sequence of int
        Shares of the bins from the lowest up, summing to 100; five of them by default.

    Returns
    -------
    (n,) float64
        ``j / (bins − 1)`` for bin j: 0, ¼, ½, ¾, 1 for five bins; NaN where ``values`` is NaN.

    Notes
    -----
    A value whose rank lies exactly on an edge goes to the bin nearer the middle, so ``five_bins(-x) == 1 − five_bins(x)``
    for shares that read the same from both ends.

    Examples
    --------
    >>> five_bins(np.arange(20.0))[[0, 1, 5, 18, 19]]
    array([0.  , 0.25, 0.5 , 0.75, 1.  ])
    """
    x = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(x)
    odd = np.zeros(x.shape, dtype=np.int64)
    odd[known] = np.rint(2.0 * mean_places(x)[known]).astype(np.int64) - 1  # rank = odd / (2 · count)
    bins = np.zeros(x.shape, dtype=np.int64)
    for percent in np.cumsum(shares_percent)[:-1]:
        edge = int(percent) * 2 * int(known.sum())
        bins += (100 * odd >= edge) if percent <= 50 else (100 * odd > edge)
    out = bins / max(len(shares_percent) - 1, 1)
    out[~known] = np.nan
    return np.asarray(out, dtype=np.float64)


def quantile_bins(values: FloatArray, n: int) -> IntArray:
    """Cut values into ``n`` bins of equal size along the last axis, ties kept together.

    Parameters
    ----------
    values : (..., k) float64
        NaN is missing.
    n : int
        Number of bins, at least 1.

    Returns
    -------
    (..., k) int64
        0 for the lowest bin to n − 1 for the highest; −1 where ``values`` is NaN.
    """
    x = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(x)
    count = np.maximum(known.sum(axis=-1, keepdims=True), 1)
    odd = np.rint(2.0 * np.where(known, mean_places(x), 0.5)).astype(np.int64) - 1
    return np.where(known, (odd * n) // (2 * count), MISSING_BIN).astype(np.int64)
