"""Features of the classic tournament: what prices and volume said of each member, as known at the view's instant.

These are raw values with their true names; :mod:`signals.classic.dataset` bins and renames them before anybody sees them.

1. The last 252 sessions of the members are cut out of the view; nothing else is read, so the cost does not grow with history.
2. A feature over w sessions is NaN for a member that was priced for less than w sessions, or if the view is shorter.
3. Log returns are summed, so that a move over a gap in trading counts once, at the next trade.
4. Two variants of some of them follow from :mod:`signals.classic.series`, which looks back over a year of weeks.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from market.arrays import FloatArray, IntArray
from market.panel import PanelView
from signals.classic.series import series_features

YEAR, HALF, QUARTER, MONTH, WEEK = 252, 126, 63, 21, 5
"""Windows, in sessions."""


@dataclass(frozen=True, slots=True)
class _Window:
    """The members' last year; every array is (T, n) with T ≤ 252, NaN replaced by 0 and masked at the end by ``age``."""

    returns: FloatArray
    logs: FloatArray
    path: FloatArray  # cumulated log returns
    overnight: FloatArray
    intraday: FloatArray
    dollars: FloatArray
    market: FloatArray  # (T,) equal-weighted return of the members
    age: IntArray  # (n,) sessions with a return, at most T


def raw_features(view: PanelView, members: IntArray) -> tuple[tuple[str, ...], FloatArray]:
    """Compute all features of the members.

    Parameters
    ----------
    view : PanelView
        What was known at the decision instant, the round's opening.
    members : (n,) int64
        Positions of the universe in the view's assets.

    Returns
    -------
    names : tuple of str, length k
        Internal names, always the same and in the same order; new ones are only ever appended.
    values : (n, k) float64
        NaN where there is too little history; infinities never.
    """
    window = _cut(view, members)
    values = np.full((len(members), len(FEATURES)), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):  # a member that never moved has no ratio; it becomes NaN below
        for j, (sessions, compute) in enumerate(FEATURES.values()):
            if sessions <= len(window.returns):
                values[:, j] = np.where(window.age >= sessions, compute(window), np.nan)
    values[~np.isfinite(values)] = np.nan
    variants, moved = series_features(view, members)
    return (*FEATURES, *variants), np.hstack([values, moved])


def _cut(view: PanelView, members: IntArray) -> _Window:
    returns = view.total_returns()[-YEAR:, members]
    there = np.isfinite(returns)
    returns = np.where(there, returns, 0.0)
    logs = np.log1p(np.maximum(returns, -0.9999))  # a price of zero has no logarithm
    return _Window(
        returns,
        logs,
        np.cumsum(logs, axis=0),
        np.nan_to_num(view.overnight_returns()[-MONTH:, members]),
        np.nan_to_num(view.intraday_returns()[-MONTH:, members]),
        view.dollar_volume()[-YEAR:, members],
        returns.mean(axis=1) if len(members) else np.zeros(len(returns)),
        there.sum(axis=0).astype(np.int64),
    )


def _momentum(start: int, skip: int = 0) -> Callable[[_Window], FloatArray]:
    return lambda w: np.asarray(w.logs[-start : len(w.logs) - skip].sum(axis=0), dtype=np.float64)


def _volatility(sessions: int) -> Callable[[_Window], FloatArray]:
    return lambda w: np.asarray(w.returns[-sessions:].std(axis=0), dtype=np.float64)


def _downside(w: _Window) -> FloatArray:
    losses = np.minimum(w.returns[-QUARTER:], 0.0)
    return np.asarray(np.sqrt(np.mean(losses * losses, axis=0)), dtype=np.float64)


def _skew(w: _Window) -> FloatArray:
    centred = w.returns[-QUARTER:] - w.returns[-QUARTER:].mean(axis=0)
    squares = centred * centred
    return np.asarray(np.mean(squares * centred, axis=0) / np.mean(squares, axis=0) ** 1.5, dtype=np.float64)


def _autocorrelation(w: _Window) -> FloatArray:
    centred = w.returns[-QUARTER:] - w.returns[-QUARTER:].mean(axis=0)
    return np.asarray(np.sum(centred[1:] * centred[:-1], axis=0) / np.sum(centred * centred, axis=0), dtype=np.float64)


def _below_high(sessions: int) -> Callable[[_Window], FloatArray]:
    return lambda w: w.path[-1] - w.path[-sessions:].max(axis=0)


def _above_low(sessions: int) -> Callable[[_Window], FloatArray]:
    return lambda w: w.path[-1] - w.path[-sessions:].min(axis=0)


def _range_position(w: _Window) -> FloatArray:
    low, high = w.path[-QUARTER:].min(axis=0), w.path[-QUARTER:].max(axis=0)
    return np.asarray((w.path[-1] - low) / (high - low), dtype=np.float64)


def _trend(sessions: int) -> Callable[[_Window], FloatArray]:
    return lambda w: w.path[-1] - w.path[-sessions:].mean(axis=0)


def _strength(w: _Window) -> FloatArray:
    moves = w.logs[-14:]
    return np.asarray(np.maximum(moves, 0.0).sum(axis=0) / np.abs(moves).sum(axis=0), dtype=np.float64)


def _dollars(sessions: int, against: int | None = None) -> Callable[[_Window], FloatArray]:
    def compute(w: _Window) -> FloatArray:
        recent = np.log(w.dollars[-sessions:].mean(axis=0))
        return np.asarray(recent if against is None else recent - np.log(w.dollars[-against:].mean(axis=0)), dtype=np.float64)

    return compute


def _unsteady_volume(w: _Window) -> FloatArray:
    dollars = w.dollars[-QUARTER:]
    return np.asarray(dollars.std(axis=0) / dollars.mean(axis=0), dtype=np.float64)


def _illiquidity(sessions: int) -> Callable[[_Window], FloatArray]:
    def compute(w: _Window) -> FloatArray:
        dollars = w.dollars[-sessions:]
        traded = dollars > 0
        impact = np.where(traded, np.abs(w.returns[-sessions:]) / np.where(traded, dollars, 1.0), 0.0)
        return np.asarray(impact.sum(axis=0) / traded.sum(axis=0), dtype=np.float64)

    return compute


def _beta(w: _Window, sessions: int = YEAR) -> FloatArray:
    market = w.market[-sessions:] - w.market[-sessions:].mean()
    return np.asarray(market @ w.returns[-sessions:] / (market @ market), dtype=np.float64)


def _own_volatility(w: _Window) -> FloatArray:
    own = w.returns[-QUARTER:] - w.market[-QUARTER:, None] * _beta(w, QUARTER)
    return np.asarray(own.std(axis=0), dtype=np.float64)


def _own_momentum(w: _Window) -> FloatArray:
    return np.asarray(w.returns[:-MONTH].sum(axis=0) - w.market[:-MONTH].sum() * _beta(w), dtype=np.float64)


FEATURES: dict[str, tuple[int, Callable[[_Window], FloatArray]]] = {
    "momentum_5": (WEEK, _momentum(WEEK)),
    "momentum_10": (10, _momentum(10)),
    "momentum_21": (MONTH, _momentum(MONTH)),
    "momentum_63": (QUARTER, _momentum(QUARTER)),
    "momentum_126": (HALF, _momentum(HALF)),
    "momentum_252": (YEAR, _momentum(YEAR)),
    "momentum_252_less_21": (YEAR, _momentum(YEAR, MONTH)),
    "momentum_126_less_21": (HALF, _momentum(HALF, MONTH)),
    "volatility_21": (MONTH, _volatility(MONTH)),
    "volatility_63": (QUARTER, _volatility(QUARTER)),
    "volatility_252": (YEAR, _volatility(YEAR)),
    "downside_63": (QUARTER, _downside),
    "best_session_21": (MONTH, lambda w: w.returns[-MONTH:].max(axis=0)),
    "worst_session_21": (MONTH, lambda w: w.returns[-MONTH:].min(axis=0)),
    "skew_63": (QUARTER, _skew),
    "autocorrelation_63": (QUARTER, _autocorrelation),
    "below_high_252": (YEAR, _below_high(YEAR)),
    "below_high_63": (QUARTER, _below_high(QUARTER)),
    "above_low_252": (YEAR, _above_low(YEAR)),
    "range_position_63": (QUARTER, _range_position),
    "trend_50": (50, _trend(50)),
    "trend_200": (200, _trend(200)),
    "strength_14": (14, _strength),
    "up_share_63": (QUARTER, lambda w: (w.returns[-QUARTER:] > 0).mean(axis=0)),
    "dollars_21": (MONTH, _dollars(MONTH)),
    "dollars_126": (HALF, _dollars(HALF)),
    "dollars_5_to_63": (QUARTER, _dollars(WEEK, QUARTER)),
    "dollars_21_to_126": (HALF, _dollars(MONTH, HALF)),
    "unsteady_volume_63": (QUARTER, _unsteady_volume),
    "illiquidity_21": (MONTH, _illiquidity(MONTH)),
    "illiquidity_126": (HALF, _illiquidity(HALF)),
    "overnight_21": (MONTH, lambda w: w.overnight.sum(axis=0)),
    "intraday_21": (MONTH, lambda w: w.intraday.sum(axis=0)),
    "beta_252": (YEAR, _beta),
    "own_volatility_63": (QUARTER, _own_volatility),
    "own_momentum_252_less_21": (YEAR, _own_momentum),
}
"""Internal name → (sessions of history needed, how it is computed). A published name hangs on the internal one."""
