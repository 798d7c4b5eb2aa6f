"""Is a risk forecast too high or too low: the bias statistic of standardized returns, with its error; and a loss to compare by.

Not here: where the forecasts come from. Decision instant: none; it looks back on forecasts that were made before.

1. Each realized return is divided by the volatility that was forecast for it before it began.
2. The standard deviation of these quotients is 1 for a right forecast, above 1 where risk was understated. Returns must not
   overlap, or neighbours count twice.
3. Quotients beyond ±3 may be drawn in: one crash would otherwise decide about years.

4. The bias statistic looks at the whole time alone: a forecast that never moves may have one of 1. The loss
   (:func:`q_likelihood`) rewards being right at each time.

Sources: J. Menchero, D. J. Orr and J. Wang, *The Barra US Equity Model (USE4)*, 2011, appendix on model evaluation;
A. J. Patton, Journal of Econometrics 160 (2011), 246-256, on the loss.
"""

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import FloatArray

SESSIONS_MIN = 4
"""Fewer returns have no fourth moment to speak of."""


def bias_statistics(standardized: FloatArray, clip: float | None = None) -> tuple[FloatArray, FloatArray]:
    """Return the bias statistic of each column and its standard error.

    Parameters
    ----------
    standardized : (T, q) float64
        Realized return over forecast volatility; finite, T at least :data:`SESSIONS_MIN`.
    clip : float, optional
        Draw quotients in to ± this; None leaves them.

    Returns
    -------
    bias, error : (q,) float64
        The error is NaN for a column that does not vary.

    Raises
    ------
    InputRejected
        VALUE_NOT_FINITE for NaN or infinities; HISTORY_TOO_SHORT for too few returns.

    Notes
    -----
    b = s, the sample deviation. The variance of s² is (μ₄ − σ⁴)/T to first order, that is σ⁴(κ − 1)/T with κ the kurtosis;
    by the derivative of the root that of s is σ²(κ − 1)/(4T). For a right forecast σ = 1, so the error is √((κ − 1)/(4T)), with
    κ of the sample. A normal sample has κ = 3 and the usual √(1/(2T)).

    Examples
    --------
    >>> bias, error = bias_statistics(np.array([[1.0], [-1.0], [2.0], [-2.0]]))
    >>> float(bias[0].round(3)), float(error[0].round(3))
    (1.826, 0.15)
    """
    if standardized.shape[0] < SESSIONS_MIN:
        raise InputRejected(Code.HISTORY_TOO_SHORT, f"A bias statistic needs {SESSIONS_MIN} returns or more.")
    if not np.isfinite(standardized).all():
        raise InputRejected(Code.VALUE_NOT_FINITE, "The standardized returns hold values that are not finite numbers.")
    z = standardized if clip is None else np.clip(standardized, -clip, clip)
    centred = z - z.mean(axis=0)
    second, fourth = np.mean(centred**2, axis=0), np.mean(centred**4, axis=0)
    varies = second > 0
    kurtosis = np.where(varies, fourth / np.where(varies, second, 1.0) ** 2, np.nan)
    return z.std(axis=0, ddof=1), np.sqrt((kurtosis - 1.0) / (4.0 * z.shape[0]))


def q_likelihood(standardized: FloatArray) -> FloatArray:
    """Return the mean of z² − ln z² of each column, (q,) float64: the lower, the better the forecast. Zeros give infinity.

    Right forecasts of normal returns have 1 + γ + ln 2 ≈ 2.27. Two forecasts of the same returns are compared by it.
    """
    square = standardized**2
    with np.errstate(divide="ignore"):
        loss: FloatArray = np.mean(square - np.log(square), axis=0)
    return loss
