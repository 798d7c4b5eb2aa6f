"""Features against an asset's own past: where a quantity stands in the asset's last 52 weeks, and how it moved in four.

Not here: the features of one evening (:mod:`signals.classic.features`), nor bins and names. Decision instant: ``view.instant``;
a past week's value is computed from what is known of that week now.

1. The last 315 sessions of the members are cut out of the view and parted, from the end, into weeks of five sessions.
2. Each quantity is a function of sums over a window of at most twelve weeks, so its 52 weekly values follow from 63 weekly sums
   and cost little more than one.
3. A weekly value is NaN where the member had been priced for less than the window by then.
4. ``<quantity>_own_year`` is (x₀ − mean) / deviation over the weekly values there are, at least 26;
   ``<quantity>_change_20`` is x₀ − x₄, x_k the value of k weeks before.

The formulas, w the window's sessions, r total returns, l = log(1 + r), p their running sum, d dollar volume, m the mean of r
over the members, means and sums over the window:

=====================  =====================================================================
momentum_w             Σ l
volatility_w           √(mean r² − (mean r)²)
downside_w             √(mean min(r, 0)²)
up_share_w             mean [r > 0]
strength_15            Σ max(l, 0) / Σ |l|
trend_50               p₀ − mean p
below_high_60          p₀ − max p
range_position_60      (p₀ − min p) / (max p − min p)
dollars_w              log mean d
dollars_5_to_60        log (mean d over 5 / mean d over 60)
unsteady_volume_60     √(mean d² − (mean d)²) / mean d
illiquidity_w          Σ |r|/d over traded sessions / their number
overnight_20           Σ overnight returns
intraday_20            Σ intraday returns
beta_60                cov(m, r) / var m
own_volatility_60      √(var r − cov(m, r)² / var m)
=====================  =====================================================================
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from market.arrays import BoolArray, FloatArray, IntArray
from market.panel import PanelView

YEAR_WEEKS, WEEK_SESSIONS = 52, 5
CHANGE_WEEKS = 4
WINDOW_WEEKS_MAX = 12
REACH = (YEAR_WEEKS - 1 + WINDOW_WEEKS_MAX) * WEEK_SESSIONS
"""Sessions that are read: the window of 51 weeks ago begins there."""

WEEKS_MIN = YEAR_WEEKS // 2
"""With less than half a year of weeks, a place in the own past says more about the listing than about the asset."""

STEADY = 1e-9
"""A deviation below this part of the largest value is rounding: a quantity that never moved has no place in its past."""

MEMBERS_AT_ONCE = 512
"""So many members' sessions fit a processor's second cache, array by array."""


@dataclass(frozen=True, slots=True)
class _Past:
    """Some members' weeks, oldest first; each array is (B, n) with B ≤ 63 weeks."""

    sums: Mapping[str, FloatArray]  # of daily values over each week, after a row of zeros summed up: (B + 1, n)
    path: tuple[FloatArray, FloatArray, FloatArray]  # last, highest and lowest value of p in each week
    weeks_priced: IntArray  # (n,) whole weeks with returns, counted from the end

    def ends(self, weeks: int) -> tuple[slice, slice]:
        """Return where the windows of ``weeks`` end and begin among the summed rows, oldest window first."""
        count = len(self.path[0])
        first = max(weeks, count - YEAR_WEEKS + 1)
        return slice(first, count + 1), slice(first - weeks, count + 1 - weeks)

    def total(self, name: str, weeks: int) -> FloatArray:
        """Return the sums over each window of ``weeks`` (windows, n), oldest first; at most 52 windows."""
        end, begin = self.ends(weeks)
        return np.asarray(self.sums[name][end] - self.sums[name][begin], dtype=np.float64)

    def mean(self, name: str, weeks: int) -> FloatArray:
        return self.total(name, weeks) / (weeks * WEEK_SESSIONS)

    def last(self, weeks: int) -> FloatArray:
        return self.path[0][self.ends(weeks)[0].start - 1 :]

    def extreme(self, weeks: int, *, high: bool) -> FloatArray:
        """Return the highest or lowest p over each window (windows, n)."""
        pick = np.maximum if high else np.minimum
        values = self.path[1 if high else 2][self.ends(weeks)[1].start :]
        found = values[: len(values) - weeks + 1]
        for shift in range(1, weeks):
            found = pick(found, values[shift : len(values) - weeks + 1 + shift])
        return np.asarray(found, dtype=np.float64)


def series_features(view: PanelView, members: IntArray) -> tuple[tuple[str, ...], FloatArray]:
    """Compute both variants of every quantity.

    Parameters
    ----------
    view : PanelView
        What was known at the decision instant.
    members : (n,) int64
        Positions of the universe in the view's assets.

    Returns
    -------
    names : tuple of str, length 2 × the number of quantities
        Internal names, always the same and in the same order.
    values : (n, k) float64
        NaN where there is too little history or nothing ever moved; infinities never.
    """
    names = tuple(f"{name}_{variant}" for name in SERIES for variant in ("own_year", f"change_{CHANGE_WEEKS * WEEK_SESSIONS}"))
    values = np.full((len(names), len(members)), np.nan)
    rows = min(len(view.sessions), REACH) // WEEK_SESSIONS * WEEK_SESSIONS
    if rows == 0 or len(members) == 0:
        return names, np.ascontiguousarray(values.T)
    returns = view.total_returns()[-rows:]
    market = np.nan_to_num(returns[:, members]).mean(axis=1, keepdims=True)
    for begin in range(0, len(members), MEMBERS_AT_ONCE):
        block = slice(begin, begin + MEMBERS_AT_ONCE)
        values[:, block] = _variants(_cut(view, members[block], rows, market))
    return names, np.ascontiguousarray(values.T)


def _variants(past: _Past) -> FloatArray:
    """Return both variants of every quantity, (k, n)."""
    count = len(past.path[0])
    values = np.full((2 * len(SERIES), len(past.weeks_priced)), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):  # what has no ratio becomes NaN below
        for j, (weeks, compute) in enumerate(SERIES.values()):
            if weeks > count:
                continue
            weekly = compute(past, weeks)
            # the window that ends k weeks ago is whole where weeks + k weeks were priced
            ago = np.arange(len(weekly))[::-1, None]
            weekly = np.where((ago + weeks <= past.weeks_priced) & np.isfinite(weekly), weekly, np.nan)
            values[2 * j] = _own_place(weekly)
            if len(weekly) > CHANGE_WEEKS:
                values[2 * j + 1] = weekly[-1] - weekly[-1 - CHANGE_WEEKS]
    return values


def _own_place(weekly: FloatArray) -> FloatArray:
    known: BoolArray = np.isfinite(weekly)
    count = known.sum(axis=0)
    filled = np.where(known, weekly, 0.0)
    centred = np.where(known, weekly - filled.sum(axis=0) / np.maximum(count, 1), 0.0)
    deviation = np.sqrt((centred * centred).sum(axis=0) / np.maximum(count, 1))
    moves = deviation > STEADY * np.abs(filled).max(axis=0)
    place = centred[-1] / np.where(moves, deviation, 1.0)
    return np.where(known[-1] & moves & (count >= WEEKS_MIN), place, np.nan)


def _cut(view: PanelView, members: IntArray, rows: int, market: FloatArray) -> _Past:
    returns = view.total_returns()[-rows:, members]
    priced = np.isfinite(returns).sum(axis=0)
    returns = np.nan_to_num(returns)
    logs = np.log1p(np.maximum(returns, -0.9999))  # a price of zero has no logarithm
    dollars = view.dollar_volume()[-rows:, members]
    traded = dollars > 0
    sizes = np.abs(returns)
    losses = np.minimum(returns, 0.0)
    path = _summed(logs)[1:]
    daily = {
        "r": returns,
        "r²": returns * returns,
        "loss²": losses * losses,
        "up": (returns > 0).astype(np.float64),
        "l": logs,
        "gain": np.maximum(logs, 0.0),
        "|l|": np.abs(logs),
        "p": path,
        "d": dollars,
        "d²": dollars * dollars,
        "impact": np.divide(sizes, dollars, out=np.zeros_like(sizes), where=traded),
        "traded": traded.astype(np.float64),
        "overnight": np.nan_to_num(view.overnight_returns()[-rows:, members]),
        "intraday": np.nan_to_num(view.intraday_returns()[-rows:, members]),
        "m": market,
        "m²": market * market,
        "mr": market * returns,
    }
    in_weeks = path.reshape(-1, WEEK_SESSIONS, len(members))
    return _Past(
        {name: _summed(_by_week(array)) for name, array in daily.items()},
        (in_weeks[:, -1], in_weeks.max(axis=1), in_weeks.min(axis=1)),
        priced.astype(np.int64) // WEEK_SESSIONS,
    )


def _by_week(daily: FloatArray) -> FloatArray:
    out = daily[::WEEK_SESSIONS].copy()
    for session in range(1, WEEK_SESSIONS):
        out += daily[session::WEEK_SESSIONS]
    return out


def _summed(values: FloatArray) -> FloatArray:
    """Return running sums down the rows behind a row of zeros; row by row, which NumPy's own cumsum does column by column."""
    out = np.zeros((values.shape[0] + 1, values.shape[1]))
    for row, line in enumerate(values):
        np.add(out[row], line, out=out[row + 1])
    return out


def _variance(past: _Past, value: str, square: str, weeks: int) -> FloatArray:
    mean = past.mean(value, weeks)
    return np.maximum(past.mean(square, weeks) - mean * mean, 0.0)


def _covariance(past: _Past, weeks: int) -> FloatArray:
    return past.mean("mr", weeks) - past.mean("m", weeks) * past.mean("r", weeks)


def _sum(name: str) -> Callable[[_Past, int], FloatArray]:
    return lambda past, weeks: past.total(name, weeks)


def _volatility(past: _Past, weeks: int) -> FloatArray:
    return np.sqrt(_variance(past, "r", "r²", weeks))


def _strength(past: _Past, weeks: int) -> FloatArray:
    return np.asarray(past.total("gain", weeks) / past.total("|l|", weeks), dtype=np.float64)


def _range_position(past: _Past, weeks: int) -> FloatArray:
    low, high = past.extreme(weeks, high=False), past.extreme(weeks, high=True)
    return np.asarray((past.last(weeks) - low) / (high - low), dtype=np.float64)


def _dollars(past: _Past, weeks: int) -> FloatArray:
    return np.log(past.mean("d", weeks))


def _surge(past: _Past, weeks: int) -> FloatArray:
    long = past.mean("d", weeks)
    return np.asarray(np.log(past.mean("d", 1)[-len(long) :] / long), dtype=np.float64)


def _unsteady(past: _Past, weeks: int) -> FloatArray:
    return np.asarray(np.sqrt(_variance(past, "d", "d²", weeks)) / past.mean("d", weeks), dtype=np.float64)


def _illiquidity(past: _Past, weeks: int) -> FloatArray:
    return np.asarray(past.total("impact", weeks) / past.total("traded", weeks), dtype=np.float64)


def _beta(past: _Past, weeks: int) -> FloatArray:
    return np.asarray(_covariance(past, weeks) / _variance(past, "m", "m²", weeks), dtype=np.float64)


def _own_volatility(past: _Past, weeks: int) -> FloatArray:
    explained = _covariance(past, weeks) ** 2 / _variance(past, "m", "m²", weeks)
    return np.sqrt(np.maximum(_variance(past, "r", "r²", weeks) - explained, 0.0))


SERIES: dict[str, tuple[int, Callable[[_Past, int], FloatArray]]] = {
    "momentum_20": (4, _sum("l")),
    "momentum_60": (12, _sum("l")),
    "volatility_20": (4, _volatility),
    "volatility_60": (12, _volatility),
    "downside_60": (12, lambda past, weeks: np.sqrt(past.mean("loss²", weeks))),
    "up_share_60": (12, lambda past, weeks: past.mean("up", weeks)),
    "strength_15": (3, _strength),
    "trend_50": (10, lambda past, weeks: past.last(weeks) - past.mean("p", weeks)),
    "below_high_60": (12, lambda past, weeks: past.last(weeks) - past.extreme(weeks, high=True)),
    "range_position_60": (12, _range_position),
    "dollars_20": (4, _dollars),
    "dollars_5_to_60": (12, _surge),
    "unsteady_volume_60": (12, _unsteady),
    "illiquidity_20": (4, _illiquidity),
    "overnight_20": (4, _sum("overnight")),
    "intraday_20": (4, _sum("intraday")),
    "beta_60": (12, _beta),
    "own_volatility_60": (12, _own_volatility),
}
"""Internal name → (weeks of its window, how its weekly values are computed, oldest first)."""
