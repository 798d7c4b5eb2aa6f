"""How factor returns vary together: an exponentially weighted covariance with a Newey–West correction.

Per session. A forecast for a few sessions multiplies it by their number: the correction puts into the session's variance what
neighbouring sessions have in common. Not here: the factor returns (:mod:`portfolio.factorreturns`).

1. Session t weighs w_t = 2^(−age/half-life). Volatilities and correlations have half-lives of their own: volatilities change
   fast, while k(k−1)/2 correlations need a long history.
2. Newey–West with L lags is Σ_h (1 − |h|/(L+1)) Γ_h over |h| ≤ L, with Γ_h = Σ_t √(w_t w_{t−h}) f_t f_{t−h}' / Σ w. It is
   computed as what it equals: the mean outer product of the sums of L+1 neighbouring √w·f, zeros around the history. A sum of
   outer products is positive semidefinite, whatever the data.
3. F = diag(σ) C diag(σ), with σ of the one and the correlations C of the other half-life: again positive semidefinite.
4. Optionally the eigenvalues are adjusted (:func:`eigenvalue_adjusted`), because an optimizer seeks out the directions whose
   risk the sample understates.

The mean of a session is taken as zero, being far smaller than its error.

Sources: W. K. Newey and K. D. West, Econometrica 55 (1987), 703-708; J. Menchero, D. J. Orr and J. Wang, *The Barra US Equity
Model (USE4)*, 2011; J. Menchero, J. Wang and D. J. Orr, *Eigen-adjusted covariance matrices*, MSCI, 2011.
"""

from collections.abc import Callable

import numpy as np

from market.arrays import FloatArray

EIGENVALUE_CUT = 1e-10
"""Relative eigenvalue below which a direction has no risk: factor returns that sum to zero leave one."""
UNDERSTATED_MAX = 3.0
"""Times that a direction's volatility is taken for understated at most: more says that the history is too short to tell."""


def decay(count: int, half_life_sessions: float) -> FloatArray:
    """Return weights, (count,), that halve every ``half_life_sessions`` into the past; the newest is last and weighs 1."""
    weights: FloatArray = 0.5 ** (np.arange(count - 1, -1, -1, dtype=np.float64) / half_life_sessions)
    return weights


def window_sums(values: FloatArray, weights: FloatArray, lags: int) -> FloatArray:
    """Return y, (T + lags, k), such that y'y is Σ_h (1 − |h|/(lags+1)) Σ_t √(w_t w_{t−h}) x_t x_{t−h}'.

    Parameters
    ----------
    values : (T, k) float64
        Finite, in time order; 0 where unknown, which leaves the session out.
    weights : (T,) float64
        Not negative.
    lags : int
        How many sessions apart two sessions still have something in common; 0: none.
    """
    sessions = values.shape[0]
    padded = np.zeros((sessions + 2 * lags, values.shape[1]))
    np.multiply(values, np.sqrt(weights / (lags + 1))[:, None], out=padded[lags : lags + sessions])
    sums = padded[: sessions + lags].copy()
    for lag in range(1, lags + 1):
        sums += padded[lag : lag + sessions + lags]
    return sums


def long_run_covariance(values: FloatArray, half_life_sessions: float, lags: int) -> FloatArray:
    """Return the weighted Newey–West covariance around zero of (T, k) values, T at least 1; (k, k), per session."""
    weights = decay(values.shape[0], half_life_sessions)
    sums = window_sums(values, weights, lags)
    covariance: FloatArray = sums.T @ sums / weights.sum()
    return covariance


def factor_covariance(
    factors: FloatArray,
    *,
    volatility_half_life_sessions: float,
    correlation_half_life_sessions: float,
    volatility_lags: int,
    correlation_lags: int,
) -> FloatArray:
    """Return F, (k, k) float64, symmetric and positive semidefinite, of factor returns (T, k) in time order; T at least 1.

    A factor that never moved has no covariance with any other.
    """
    deviation = np.sqrt(np.diag(long_run_covariance(factors, volatility_half_life_sessions, volatility_lags)))
    shared = long_run_covariance(factors, correlation_half_life_sessions, correlation_lags)
    scale = np.sqrt(np.diag(shared))
    moves = scale > 0
    ratio = np.where(moves, deviation / np.where(moves, scale, 1.0), 0.0)
    F = shared * np.outer(ratio, ratio)
    # The diagonal is set to what it is up to rounding; where the long history has no scale, the volatility stands alone.
    np.fill_diagonal(F, deviation**2)
    symmetric: FloatArray = (F + F.T) / 2
    return symmetric


def eigenvalue_adjusted(
    F: FloatArray,
    sessions: int,
    estimate: Callable[[FloatArray], FloatArray],
    rng: np.random.Generator,
    *,
    simulations: int,
    scale: float,
) -> FloatArray:
    """Return F with its eigenvalues corrected for what an estimate from few sessions gets wrong of them.

    Parameters
    ----------
    F : (k, k) float64
        Covariance, estimated from ``sessions`` sessions by ``estimate``.
    estimate : callable
        From factor returns (sessions, k) to a covariance, as F was made.
    rng : Generator
        The same seed gives the same covariance.
    simulations : int
        Histories to draw, at least 1.
    scale : float
        How much of the simulated correction is applied; returns are not as tame as simulated ones, so above 1.

    Returns
    -------
    (k, k) float64
        Positive semidefinite with the same eigenvectors.

    Notes
    -----
    F = U diag(λ) U' is taken for the truth. Each simulated history is normal with covariance F; its estimate has eigenvectors
    Uₘ and eigenvalues λₘ, while the true variances along Uₘ are those of Uₘ'F Uₘ. With v² the mean of true over estimated, the
    jth smallest eigenvalue is multiplied by (1 + scale · (v_j − 1))², v_j at most :data:`UNDERSTATED_MAX`.
    """
    values, vectors = np.linalg.eigh(F)
    kept = values > EIGENVALUE_CUT * max(float(values[-1]), np.finfo(np.float64).tiny)
    rank = int(kept.sum())
    if rank == 0:
        return F
    values, vectors = values[kept], vectors[:, kept]
    spread = (vectors * np.sqrt(values)).T
    ratios = np.zeros(rank)
    for _ in range(simulations):
        found, directions = np.linalg.eigh(estimate(rng.standard_normal((sessions, rank)) @ spread))
        along = directions[:, -rank:]
        true = np.sum((F @ along) * along, axis=0)
        ratios += true / np.maximum(found[-rank:], EIGENVALUE_CUT * found[-1])
    understated = np.minimum(np.sqrt(ratios / simulations), UNDERSTATED_MAX)
    factor = np.maximum(1.0 + scale * (understated - 1.0), 0.0)
    adjusted = (vectors * (values * factor**2)) @ vectors.T
    symmetric: FloatArray = (adjusted + adjusted.T) / 2
    return symmetric
