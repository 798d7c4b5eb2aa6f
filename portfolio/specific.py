"""Each asset's own variance: its history, corrected for serial correlation, and shrunk towards what assets like it have.

Per session. Not here: the residuals (:mod:`portfolio.factorreturns`).

1. Own variance: the exponentially weighted Newey–West variance of an asset's residuals, as in :mod:`portfolio.covariance`. A
   session without a residual is left out. It is never negative.
2. Structural variance: the logarithm of the own variances of seasoned assets, regressed on the exposures (least squares, the
   shortest coefficients where columns are collinear), says what an asset with such size, volatility, liquidity and sector has.
   The fitted values are brought to the level of the own variances, since a logarithm's mean lies below the mean's, and kept
   within what was observed.
3. D = s · own + (1 − s) · structural with s = n/(n + prior): n is the effective number of an asset's residuals, (Σw)²/Σw².
   An asset with too short a history, or none that moves, has the structural variance alone.
4. No asset goes below a small part of the median: a stale price isn't a safe asset.

Source: J. Menchero, D. J. Orr and J. Wang, *The Barra US Equity Model (USE4)*, 2011, has the structural model for assets
without history and shrinks towards deciles of size; here the structural value is what all are shrunk towards.
"""

import numpy as np

from market.arrays import FloatArray
from portfolio.covariance import decay, window_sums

HISTORY_MIN_SESSIONS = 42
"""With fewer residuals an asset gets the structural variance: a handful of squared returns says little."""
FLOOR = 0.05
"""Part of the median variance that no asset goes below."""
ASSETS_PER_COLUMN_MIN = 3
"""With fewer seasoned assets for each exposure their variances are not regressed, and all are shrunk towards the median."""
RANK_TOLERANCE = 1e-10
"""Relative singular value below which exposures are collinear."""


def specific_variances(
    residuals: FloatArray, exposures: FloatArray, *, half_life_sessions: float, lags: int, prior_sessions: float
) -> FloatArray:
    """Return D, (m,) float64, per session.

    Parameters
    ----------
    residuals : (T, m) float64
        In time order; NaN where unknown.
    exposures : (m, k) float64
        Exposures now, the intercept included; finite.
    half_life_sessions : float
    lags : int
        Of the Newey–West correction.
    prior_sessions : float
        How many sessions of an asset's own history the structural variance counts as.

    Returns
    -------
    (m,) float64
        All zero where there is no residual: then the model says that only the factors carry risk.
    """
    known = np.isfinite(residuals)
    own, effective = own_variances(residuals, half_life_sessions, lags)
    usable = (known.sum(axis=0) >= HISTORY_MIN_SESSIONS) & (own > 0)
    usable = usable if usable.any() else own > 0
    if not usable.any():
        return np.zeros(residuals.shape[1])
    floor = FLOOR * float(np.median(own[usable]))
    # What hardly moved has a variance for its floor, but tells nothing of others like it.
    structural = structural_variances(own, exposures, usable & (own >= floor))
    share = np.where(usable, effective / (effective + prior_sessions), 0.0)
    floored: FloatArray = np.maximum(share * own + (1.0 - share) * structural, floor)
    return floored


def own_variances(residuals: FloatArray, half_life_sessions: float, lags: int) -> tuple[FloatArray, FloatArray]:
    """Return each asset's Newey–West variance and its effective number of sessions, (m,) each; both 0 without residuals."""
    weights = decay(residuals.shape[0], half_life_sessions)
    known = np.isfinite(residuals)
    sums = window_sums(np.where(known, residuals, 0.0), weights, lags)
    mass, squares = np.stack([weights, weights**2]) @ known.astype(np.float64)
    has = mass > 0
    total = np.einsum("ti,ti->i", sums, sums)
    return np.where(has, total / np.where(has, mass, 1.0), 0.0), np.where(has, mass**2 / np.where(has, squares, 1.0), 0.0)


def structural_variances(own: FloatArray, exposures: FloatArray, seasoned: np.ndarray) -> FloatArray:
    """Return the variance that assets with such exposures have, (m,), from the own variances of the seasoned ones.

    Notes
    -----
    exp(a + B b) · mean(own / exp(a + B b)), a the mean of log own and b the shortest least-squares coefficients of log own − a
    on B; exp(a + B b) is kept within the range of the own variances.
    """
    known = own[seasoned]
    if known.size < ASSETS_PER_COLUMN_MIN * exposures.shape[1]:
        return np.full(own.shape, float(np.median(known)))
    # Around the mean: the shortest coefficients then put an asset, of whose sector nobody is seasoned, there and not at 1.
    logarithm = np.log(known)
    level = float(logarithm.mean())
    coefficients = np.linalg.lstsq(exposures[seasoned], logarithm - level, rcond=RANK_TOLERANCE)[0]
    fitted = np.exp(np.clip(level + exposures @ coefficients, logarithm.min(), logarithm.max()))
    levelled: FloatArray = fitted * float(np.mean(known / fitted[seasoned]))
    return levelled
