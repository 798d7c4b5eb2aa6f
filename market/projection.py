"""Rank-revealing least-squares projection: what is left of values once exposures are taken out.

Not here: scores, or which exposures are neutralized. Collinear dummies, constant columns, one asset in a sector, zero
columns and more factors than assets are ordinary inputs.

1. Scale each column of the design to length one, so that a column's unit decides nothing about the rank.
2. Take the singular value decomposition; keep the left vectors whose singular value exceeds :data:`RANK_TOLERANCE` of the
   largest. They are orthonormal to machine precision however ill-conditioned the design is.
3. Subtract the projection twice: the second pass removes what rounding left of the first.
4. A residual that is rounding noise of its value (:data:`NOTHING_LEFT`) is zero: the exposures explain the value wholly.

Then ``|b'r| <= 1e-10 |b| |r|`` for every column b. Where the design is well conditioned the residual equals that of
``numpy.linalg.lstsq`` with rcond 1e-6; where it is not, lstsq drops more directions and leaves exposure to them.

Source: G. H. Golub and C. F. Van Loan, *Matrix Computations*, 4th ed., §5.4-5.5.
"""

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, NumericalFailure
from market.arrays import FloatArray

RANK_TOLERANCE = 1e-12
"""A direction weaker than this part of the strongest is rounding noise; dropping it leaves an exposure below 1e-11."""

NOTHING_LEFT = 1e-13
"""A residual below this part of its value is rounding noise of the subtraction."""


def _left_vectors(design: FloatArray) -> FloatArray:
    """Return the left singular vectors (n, rank) whose singular values are no rounding."""
    n, k = design.shape
    if n == 0 or k == 0:
        return np.zeros((n, 0))
    peak = np.max(np.abs(design), axis=0)
    scaled = design / np.where(peak > 0, peak, 1.0)  # first by the peak: the square of a huge or tiny entry has no float
    length = np.sqrt(np.sum(scaled * scaled, axis=0))
    scaled /= np.where(length > 0, length, 1.0)
    try:
        left, strength, _ = np.linalg.svd(scaled, full_matrices=False)
    except np.linalg.LinAlgError as error:
        raise NumericalFailure(Code.INTERNAL, "The exposures have no singular value decomposition.") from error
    rank = int(np.sum(strength > RANK_TOLERANCE * strength[0])) if strength[0] > 0 else 0
    return np.ascontiguousarray(left[:, :rank])


def finite(array: FloatArray, what: str) -> FloatArray:
    """Return ``array`` in float64; raises InputRejected ``value_not_finite``, naming ``what``, for NaN or infinities."""
    out = np.asarray(array, dtype=np.float64)
    if not np.isfinite(out).all():
        raise InputRejected(Code.VALUE_NOT_FINITE, f"The {what} hold values that are not finite numbers.")
    return out


def design_of(exposures: FloatArray) -> FloatArray:
    """Return exposures as finite columns (n, k)."""
    design = finite(exposures, "exposures")
    return design[:, None] if design.ndim == 1 else design


def orthonormal_basis(exposures: FloatArray) -> FloatArray:
    """Return a basis of the space that the columns of ``exposures`` span. Nothing is added, no intercept either.

    Parameters
    ----------
    exposures : (n, k) or (n,) float64
        Any scale, may be rank deficient, k may exceed n; NaN not allowed.

    Returns
    -------
    (n, rank) float64
        N with N'N = I; which vectors span the space is left open (see :mod:`market.neutralizers` where it must not be).

    Raises
    ------
    InputRejected
        ``value_not_finite`` for NaN or infinities.
    """
    return _left_vectors(design_of(exposures))


def project_out(values: FloatArray, basis: FloatArray) -> FloatArray:
    """Return ``values`` minus their projection on an orthonormal ``basis``.

    Parameters
    ----------
    values : (n,) or (m, n) float64
        Rows are projected one by one; NaN not allowed.
    basis : (n, rank) float64
        Orthonormal columns, from :func:`orthonormal_basis`.

    Returns
    -------
    float64, shape of ``values``
        Zero where the basis explains a row wholly.
    """
    rest = values - (values @ basis) @ basis.T
    rest -= (rest @ basis) @ basis.T
    before = np.max(np.abs(values), axis=-1, keepdims=True, initial=0.0)
    after = np.max(np.abs(rest), axis=-1, keepdims=True, initial=0.0)
    return np.where(after <= NOTHING_LEFT * before, 0.0, rest)


def residualize(values: FloatArray, exposures: FloatArray, proportion: float = 1.0) -> FloatArray:
    """Take the least-squares fit on an intercept and ``exposures`` out of ``values``.

    Parameters
    ----------
    values : (n,) or (m, n) float64
        Any finite scale; each row is treated alone; NaN not allowed.
    exposures : (n, k) or (n,) float64
        May be rank deficient and k may exceed n; NaN not allowed. The intercept is added here.
    proportion : float
        Part of the fit that is taken out; 1 leaves no exposure.

    Returns
    -------
    float64, shape of ``values``
        y − proportion · fit. With proportion 1: |b'r| ≤ 1e-10 |b| |r| for each column b of the design.

    Raises
    ------
    InputRejected
        ``value_not_finite`` for NaN or infinities.

    Examples
    --------
    >>> residualize(np.array([1.0, 2.0, 4.0, 9.0]), np.array([[0.0], [0.0], [1.0], [1.0]]))
    array([-0.5,  0.5, -2.5,  2.5])
    """
    y = finite(values, "values")
    design = design_of(exposures)
    basis = orthonormal_basis(np.column_stack([np.ones(design.shape[0]), design]))
    rest = project_out(y, basis)
    return rest if proportion == 1.0 else y - proportion * (y - rest)
