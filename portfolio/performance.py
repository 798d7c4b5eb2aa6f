"""What an equity path was worth: returns, risk, drawdowns, and how sure one can be of them.

Plain sample statistics of the returns of sessions; nothing here knows how the equity came about (:mod:`portfolio.simulate`) or
how it is shown (:mod:`portfolio.tearsheet`). A year has 252 sessions. Where a figure has no meaning (a path without variance,
fewer than two sessions) it is NaN, never an error and never zero. What the library empyrical defines too is equal to it.
How likely a ratio is after many trials is in :mod:`portfolio.trials`, how exposures drift in :mod:`portfolio.drift`.

References
----------
Lo, The Statistics of Sharpe Ratios, Financial Analysts Journal 58(4), 2002, for the error of a ratio under autocorrelation;
Mertens, Comments on variance of the IID estimator in Lo, 2002 (the term for skewness and kurtosis); Newey and West, A simple
positive semi-definite heteroskedasticity and autocorrelation consistent covariance matrix, Econometrica 55(3), 1987.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import DateArray, FloatArray
from portfolio.mandate import SESSIONS_PER_YEAR

NAN = float("nan")
NO_VARIANCE = 1e-15
"""Standard deviation of returns below which a path is constant up to rounding."""
TAIL_SHARE = 0.05
"""Part of the sessions that value at risk, expected shortfall and the tail ratio look at: the customary twentieth."""


@dataclass(frozen=True, slots=True)
class Performance:
    """Statistics of T sessions. Ratios are plain numbers (0.05 is five per cent).

    Attributes
    ----------
    sessions : int
        T.
    total_return : float
        E_T / E_0 − 1.
    annual_return : float
        (E_T / E_0)^(252/T) − 1; −1 when nothing is left.
    annual_volatility : float
        Standard deviation of session returns (divisor T − 1) times √252.
    sharpe : float
        Mean over standard deviation of session returns, times √252; no rate is taken off, as the book finances itself.
    sharpe_error : float
        Its standard error with skewness, kurtosis and autocorrelation; see :func:`sharpe_error`.
    max_drawdown : float
        Largest fall from a high, negative or zero.
    drawdown_sessions_max : int
        Longest time between a high and its recovery, or the end.
    skewness, kurtosis : float
        Third and fourth standardized moments of session returns; kurtosis of a normal is 3.
    best, worst : float
        Largest and smallest return of a session.
    positive_share : float
        Part of the sessions with a return above zero.
    hit_rate : float
        The same of the sessions whose return is not zero.
    downside_volatility : float
        √(mean of min(r, 0)²) times √252.
    sortino : float
        252 times the mean over the downside volatility.
    calmar : float
        Annual return over the largest drawdown.
    value_at_risk : float
        The 5 % quantile of session returns, linearly interpolated.
    expected_shortfall : float
        Mean of the ⌊0.05·(T − 1)⌋ + 1 smallest session returns.
    tail_ratio : float
        |95 % quantile| over |5 % quantile|.
    """

    sessions: int
    total_return: float
    annual_return: float
    annual_volatility: float
    sharpe: float
    sharpe_error: float
    max_drawdown: float
    drawdown_sessions_max: int
    skewness: float
    kurtosis: float
    best: float
    worst: float
    positive_share: float
    hit_rate: float = NAN
    downside_volatility: float = NAN
    sortino: float = NAN
    calmar: float = NAN
    value_at_risk: float = NAN
    expected_shortfall: float = NAN
    tail_ratio: float = NAN


class BetaEstimate(NamedTuple):
    """A regression slope and its Newey-West standard error."""

    beta: float
    error: float


def session_returns(equity: FloatArray) -> FloatArray:
    """Return E_t / E_{t−1} − 1, (T,) float64, of an equity path (T + 1,) that starts with the capital."""
    returns: FloatArray = equity[1:] / equity[:-1] - 1.0
    return returns


def drawdowns(equity: FloatArray) -> FloatArray:
    """Return E_t / max_{s≤t} E_s − 1, same shape as ``equity``, zero or negative."""
    fall: FloatArray = equity / np.maximum.accumulate(equity) - 1.0
    return fall


def _longest_run(below: FloatArray) -> int:
    longest = current = 0
    for under in below < 0:
        current = current + 1 if under else 0
        longest = max(longest, current)
    return longest


def performance(equity: FloatArray) -> Performance:
    """Return the statistics of an equity path.

    Parameters
    ----------
    equity : (T + 1,) float64
        The capital before the first session, then equity at each close; finite, the first value positive.

    Raises
    ------
    InputRejected
        PROBLEM_INVALID for an empty path or values that are not finite, or a start at or below zero.

    Examples
    --------
    >>> result = performance(np.array([100.0, 110.0, 99.0]))
    >>> round(result.total_return, 6), round(result.max_drawdown, 6)
    (-0.01, -0.1)
    """
    if equity.ndim != 1 or equity.size == 0 or not np.isfinite(equity).all() or equity[0] <= 0:
        raise InputRejected(Code.PROBLEM_INVALID, "An equity path is finite and starts above zero.")
    returns = session_returns(equity)
    count = returns.size
    growth = float(equity[-1] / equity[0])
    deviation = float(returns.std(ddof=1)) if count > 1 else NAN
    moving = deviation > NO_VARIANCE
    skewness, kurtosis = _moments(returns) if moving else (NAN, NAN)
    s = float(returns.mean()) / deviation if moving else NAN
    fall = float(drawdowns(equity).min())
    annual = (max(growth, 0.0) ** (SESSIONS_PER_YEAR / count) - 1.0) if count else NAN
    return Performance(
        sessions=count,
        total_return=growth - 1.0,
        annual_return=annual,
        annual_volatility=deviation * math.sqrt(SESSIONS_PER_YEAR),
        sharpe=s * math.sqrt(SESSIONS_PER_YEAR),
        sharpe_error=sharpe_error(returns) * math.sqrt(SESSIONS_PER_YEAR),
        max_drawdown=fall,
        drawdown_sessions_max=_longest_run(drawdowns(equity)),
        skewness=skewness,
        kurtosis=kurtosis,
        best=float(returns.max()) if count else NAN,
        worst=float(returns.min()) if count else NAN,
        positive_share=float((returns > 0).mean()) if count else NAN,
        hit_rate=hit_rate(returns),
        calmar=annual / abs(fall) if fall < 0 else NAN,
        **_tails(returns),
    )


def _moments(returns: FloatArray) -> tuple[float, float]:
    """Return skewness and kurtosis with divisor T."""
    z = (returns - returns.mean()) / returns.std()
    return float((z**3).mean()), float((z**4).mean())


def _tails(returns: FloatArray) -> dict[str, float]:
    """Return what the losses alone say."""
    if not returns.size:
        return {}
    below = math.sqrt(float((np.minimum(returns, 0.0) ** 2).mean()))
    low, high = (float(q) for q in np.quantile(returns, [TAIL_SHARE, 1.0 - TAIL_SHARE]))
    worst = np.sort(returns)[: int((returns.size - 1) * TAIL_SHARE) + 1]
    return {
        "downside_volatility": below * math.sqrt(SESSIONS_PER_YEAR),
        "sortino": float(returns.mean()) / below * math.sqrt(SESSIONS_PER_YEAR) if below > NO_VARIANCE else NAN,
        "value_at_risk": low,
        "expected_shortfall": float(worst.mean()),
        "tail_ratio": abs(high) / abs(low) if low else NAN,
    }


def hit_rate(results: FloatArray) -> float:
    """Return the part of results above zero among those that are not zero; NaN is left out.

    Parameters
    ----------
    results : float64, any shape
        Returns or profits: of sessions, of positions, of decisions.

    Returns
    -------
    float
        NaN when there is nothing but zeros.
    """
    wins, losses = int(np.count_nonzero(results > 0)), int(np.count_nonzero(results < 0))
    return wins / (wins + losses) if wins + losses else NAN


def sharpe_error(returns: FloatArray, lags: int | None = None) -> float:
    """Return the standard error of the Sharpe ratio of session returns, per session.

    Parameters
    ----------
    returns : (T,) float64
        Finite.
    lags : int, optional
        How far autocorrelation reaches; :func:`newey_west_lags` by default. With 0 it is Mertens' formula,
        √((1 − skew·s + (kurtosis − 1)·s²/4) / T).

    Returns
    -------
    float
        NaN for fewer than two returns or without variance.

    Notes
    -----
    With z the standardized returns and s their ratio, the ratio of a sample moves with the mean of ψₜ = zₜ − s(zₜ² − 1)/2 (the
    delta method, as in Lo 2002, equation 15 and appendix A). Its error is √(S/T) with S = γ₀ + 2 Σ_l (1 − l/(L+1)) γ_l of ψ.
    """
    if returns.size < 2 or float(returns.std(ddof=1)) <= NO_VARIANCE:
        return NAN
    z = (returns - returns.mean()) / returns.std()
    s = float(returns.mean()) / float(returns.std(ddof=1))
    psi = (z - s / 2.0 * (z * z - 1.0))[:, None]
    depth = newey_west_lags(returns.size) if lags is None else lags
    return math.sqrt(max(float(_long_run(psi, depth)[0, 0]), 0.0)) / returns.size


def _long_run(scores: FloatArray, lags: int) -> FloatArray:
    """Return Γ₀ + Σ_l (1 − l/(L+1)) (Γ_l + Γ_l') of scores (T, k), with Γ_l = Σₜ xₜ xₜ₋ₗ'; positive semidefinite."""
    depth = min(lags, scores.shape[0] - 1)
    total: FloatArray = scores.T @ scores
    for lag in range(1, depth + 1):
        gamma = scores[lag:].T @ scores[:-lag]
        total += (1.0 - lag / (depth + 1.0)) * (gamma + gamma.T)
    return total


def rolling_sharpe(returns: FloatArray, window: int) -> FloatArray:
    """Return the yearly Sharpe ratio of the last ``window`` sessions, (T,) float64; NaN before there are as many."""
    out = np.full(returns.shape, np.nan)
    if window < 2 or returns.size < window:
        return out
    windows = np.lib.stride_tricks.sliding_window_view(returns, window)
    deviation = windows.std(axis=1, ddof=1)
    ratio = windows.mean(axis=1) / np.where(deviation > NO_VARIANCE, deviation, np.nan)
    out[window - 1 :] = ratio * math.sqrt(SESSIONS_PER_YEAR)
    return out


def monthly_returns(sessions: DateArray, equity: FloatArray) -> dict[tuple[int, int], float]:
    """Return the return of each calendar month that has a session.

    Parameters
    ----------
    sessions : (T,) datetime64[D]
        Ascending.
    equity : (T + 1,) float64
        The capital first.

    Returns
    -------
    dict
        (year, month) → return, in order; the first and last month may be parts.
    """
    months = sessions.astype("datetime64[M]").astype(np.int64)
    ends = np.flatnonzero(np.append(months[1:] != months[:-1], True)) if months.size else np.zeros(0, dtype=np.int64)
    found: dict[tuple[int, int], float] = {}
    before = float(equity[0])
    for end in ends:
        after = float(equity[end + 1])
        year, month = divmod(int(months[end]), 12)
        found[(1970 + year, month + 1)] = after / before - 1.0 if before > 0 else NAN
        before = after
    return found


def newey_west_lags(count: int) -> int:
    """Return the customary number of lags, ⌊4 (T/100)^(2/9)⌋."""
    return int(4.0 * (count / 100.0) ** (2.0 / 9.0))


def beta_with_error(book_returns: FloatArray, market_returns: FloatArray, lags: int | None = None) -> BetaEstimate:
    """Regress a book's returns on the market's and an intercept.

    Parameters
    ----------
    book_returns, market_returns : (T,) float64
        Of the same sessions; pairs with NaN are left out.
    lags : int, optional
        Of the Newey-West error; :func:`newey_west_lags` by default.

    Returns
    -------
    BetaEstimate
        NaN twice with fewer than three pairs or a market without variance.

    Notes
    -----
    β by least squares; its variance is element (2, 2) of (X'X)⁻¹ S (X'X)⁻¹ with S = Γ₀ + Σ_l (1 − l/(L+1)) (Γ_l + Γ_l').
    """
    known = np.isfinite(book_returns) & np.isfinite(market_returns)
    y, m = book_returns[known], market_returns[known]
    if y.size < 3 or float(m.std()) <= NO_VARIANCE:
        return BetaEstimate(NAN, NAN)
    X = np.column_stack([np.ones_like(m), m])
    bread = np.linalg.inv(X.T @ X)
    coefficients = bread @ (X.T @ y)
    scores = X * (y - X @ coefficients)[:, None]
    meat = _long_run(scores, newey_west_lags(y.size) if lags is None else lags)
    variance = float((bread @ meat @ bread)[1, 1])
    return BetaEstimate(float(coefficients[1]), math.sqrt(max(variance, 0.0)))
