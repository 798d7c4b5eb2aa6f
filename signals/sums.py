"""Dot products and projections that come out the same to the last bit: for paying scores.

A BLAS product of matrices may sum differently with another number of threads, another number of rows, or another place of a row
among them. Here nothing is summed across rows and no product is large enough to be split:

1. A dot product runs over fixed blocks of :data:`BLOCK_ASSETS` assets. Each block is one call for two vectors, far below the
   length from which a BLAS uses threads; the blocks' sums are added in order.
2. A combination of vectors is added up vector by vector.
3. An orthonormal basis comes from Gram–Schmidt on these two: columns are scaled to length one, the longest remainder goes
   next, each is orthogonalized twice, and what is left of the rest below :data:`RANK_TOLERANCE` is rounding.

So the result depends on the values and the order of assets alone. On another processor the last bits may differ.
For any number of columns, and where the last bit does not matter, see :mod:`market.projection`.

Source of "twice is enough": B. N. Parlett, *The Symmetric Eigenvalue Problem*, §6.9.
"""

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import FloatArray
from market.projection import NOTHING_LEFT, RANK_TOLERANCE

BLOCK_ASSETS = 1_024
"""Assets summed by one call: 8 KiB a vector, so that some seventy of them stay in a processor's second cache."""


def dots(rows: FloatArray, vectors: FloatArray) -> FloatArray:
    """Return the dot product of each row with each vector.

    Parameters
    ----------
    rows : (m, n) float64
        One row a model.
    vectors : (k, n) float64

    Returns
    -------
    (m, k) float64
        Each entry depends on its row and its vector alone, bit for bit.

    Examples
    --------
    >>> dots(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0], [0.0, 1.0]])).tolist()
    [[11.0, 2.0]]
    """
    out = np.zeros((rows.shape[0], vectors.shape[0]))
    for lo in range(0, rows.shape[1], BLOCK_ASSETS):
        part = slice(lo, lo + BLOCK_ASSETS)
        out += np.vecdot(rows[:, None, part], vectors[None, :, part])
    return out


def dot(a: FloatArray, b: FloatArray) -> float:
    """Return the dot product of two (n,) vectors, summed as in :func:`dots`."""
    return float(dots(a[None, :], b[None, :])[0, 0])


def squares(rows: FloatArray) -> FloatArray:
    """Return the squared length of each row of (m, n), summed as in :func:`dots`; (m,) float64."""
    out = np.zeros(rows.shape[0])
    for lo in range(0, rows.shape[1], BLOCK_ASSETS):
        part = rows[:, lo : lo + BLOCK_ASSETS]
        out += np.vecdot(part, part)
    return out


def project_out(vector: FloatArray, basis: FloatArray) -> FloatArray:
    """Return ``vector`` (n,) less its projection on the orthonormal rows of ``basis`` (r, n).

    Zero where the basis explains the vector wholly: where what is left is rounding of the subtraction.
    """
    rest = vector
    for _ in range(2):
        weights = dots(rest[None, :], basis)[0]
        rest = rest - np.sum(weights[:, None] * basis, axis=0)
    left, before = np.max(np.abs(rest), initial=0.0), np.max(np.abs(vector), initial=0.0)
    return np.zeros_like(rest) if left <= NOTHING_LEFT * before else rest


def orthonormal_rows(columns: FloatArray) -> FloatArray:
    """Return an orthonormal basis of the space that the columns of (n, k) span, as rows.

    Parameters
    ----------
    columns : (n, k) float64
        Any scale, may be rank deficient, k may exceed n; NaN not allowed. Nothing is added, no intercept either.

    Returns
    -------
    (r, n) float64
        Orthonormal to machine precision, r ≤ min(n, k).

    Raises
    ------
    InputRejected
        ``value_not_finite`` for NaN or infinities.

    Examples
    --------
    >>> orthonormal_rows(np.array([[1.0, 2.0], [1.0, 2.0]])).shape
    (1, 2)
    """
    if not np.isfinite(columns).all():
        raise InputRejected(Code.VALUE_NOT_FINITE, "The exposures hold values that are not finite numbers.")
    rest = np.ascontiguousarray(columns.T)
    peak = np.max(np.abs(rest), axis=1, initial=0.0)
    rest = rest / np.where(peak > 0, peak, 1.0)[:, None]  # first by the peak: the square of a huge or tiny entry has no float
    length = np.sqrt(squares(rest))
    rest /= np.where(length > 0, length, 1.0)[:, None]
    basis = np.zeros((min(rest.shape), rest.shape[1]))
    for rank in range(len(basis)):
        left = squares(rest)
        pivot = int(np.argmax(left))
        if left[pivot] <= RANK_TOLERANCE**2:
            return basis[:rank]
        found = project_out(rest[pivot] / np.sqrt(left[pivot]), basis[:rank])
        size = np.sqrt(dot(found, found))
        if size == 0.0:
            return basis[:rank]
        basis[rank] = found / size
        rest -= dots(rest, basis[rank : rank + 1]) * basis[rank]
        rest[pivot] = 0.0
    return basis
