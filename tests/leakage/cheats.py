"""Strategies that know the future, each in the form in which it slips in by mistake, and beside each its honest twin.

They are written against the whole panel, as research code is: nobody cheats through a view on purpose. An honest twin does what
its cheat meant to do.
"""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import numpy as np

from market.arrays import FloatArray
from market.calendars import to_instant
from market.panel import NOT_DELISTED, PanelView, PointInTimePanel
from market.universe import UniverseRule, select_universe

RULE = UniverseRule(size=25, min_history_sessions=60, adv_window_sessions=21, size_min=5)
MONTH, WEEK = 21, 5

Answer = dict[str, FloatArray] | FloatArray


def whole(panel: PointInTimePanel) -> PanelView:
    """Everything that the file holds: how a notebook begins."""
    return panel.as_of(to_instant(panel.known_at[-1]))


def last_row(panel: PointInTimePanel, instant: datetime) -> int:
    """The last session whose prices were known at the instant."""
    return len(panel.as_of(instant).sessions) - 1


# --- the bar that is traded on ----------------------------------------------------------------------------------


def same_bar_execution(panel: PointInTimePanel, instant: datetime) -> Answer:
    """Fade the session's move, at prices of that session: the row of today's date is there, so it is used."""
    today = panel.index_of(instant.date())
    return -whole(panel).intraday_returns()[today]


def last_closed_bar(panel: PointInTimePanel, instant: datetime) -> Answer:
    return -panel.as_of(instant).intraday_returns()[-1]


# --- the sign of a shift ----------------------------------------------------------------------------------------


def negative_shift(panel: PointInTimePanel, instant: datetime) -> Answer:
    """Meant to lag the returns by a session, and moved them the other way."""
    lagged = np.roll(whole(panel).total_returns(), -1, axis=0)
    return lagged[last_row(panel, instant)]


def positive_shift(panel: PointInTimePanel, instant: datetime) -> Answer:
    lagged = np.roll(panel.as_of(instant).total_returns(), 1, axis=0)
    return lagged[-1]


# --- the sample of a mean ---------------------------------------------------------------------------------------


def full_sample_z_score(panel: PointInTimePanel, instant: datetime) -> Answer:
    """Standardize volume by mean and deviation of all sessions, then look at one."""
    volume = np.log1p(whole(panel).dollar_volume())
    return ((volume - volume.mean(axis=0)) / volume.std(axis=0))[last_row(panel, instant)]


def trailing_z_score(panel: PointInTimePanel, instant: datetime) -> Answer:
    volume = np.log1p(panel.as_of(instant).dollar_volume())
    return ((volume - volume.mean(axis=0)) / volume.std(axis=0))[-1]


# --- who takes part ---------------------------------------------------------------------------------------------


def _momentum(view: PanelView, members: np.ndarray) -> FloatArray:
    return np.nan_to_num(view.total_returns()[-MONTH:, members]).sum(axis=0)


def future_universe(panel: PointInTimePanel, instant: datetime) -> Answer:
    """Honest returns of the most traded stocks: of those that are the most traded at the end of the file."""
    members = select_universe(whole(panel), RULE).members
    return {"members": members, "signal": _momentum(panel.as_of(instant), members)}


def universe_of_the_evening(panel: PointInTimePanel, instant: datetime) -> Answer:
    view = panel.as_of(instant)
    members = select_universe(view, RULE).members
    return {"members": members, "signal": _momentum(view, members)}


def survivorship_filter(panel: PointInTimePanel, instant: datetime) -> Answer:
    """Leave out the companies that are gone: also those that are gone only later."""
    members = np.flatnonzero(panel.delisting_index == NOT_DELISTED)
    return {"members": members, "signal": _momentum(panel.as_of(instant), members)}


def listed_by_then(panel: PointInTimePanel, instant: datetime) -> Answer:
    view = panel.as_of(instant)
    members = np.flatnonzero(view.delisting_index == NOT_DELISTED)
    return {"members": members, "signal": _momentum(view, members)}


# --- adjustments ------------------------------------------------------------------------------------------------


def _adjusted(close: FloatArray, splits: FloatArray) -> FloatArray:
    """Closes in units of the last share: divided by all splits that follow the row."""
    after = np.cumprod(splits[::-1], axis=0)[::-1] / splits
    return close / after


def future_split_adjustment(panel: PointInTimePanel, instant: datetime) -> Answer:
    """Prefer cheap shares: a share that is cheap after adjustment is one that will be split, since it rose."""
    splits = panel.quotes.splits
    assert splits is not None
    return -np.log(_adjusted(panel.close, splits)[last_row(panel, instant)])


def split_adjustment_by_then(panel: PointInTimePanel, instant: datetime) -> Answer:
    view = panel.as_of(instant)
    assert view.splits is not None
    return -np.log(_adjusted(view.close, view.splits)[-1])


# --- learning ---------------------------------------------------------------------------------------------------


def _week_ahead(returns: FloatArray, row: int) -> FloatArray:
    return returns[row + 1 : row + 1 + WEEK].sum(axis=0)


def _fitted(returns: FloatArray, row: int, features: Callable[[int], FloatArray]) -> FloatArray:
    """Regress the week ahead of ten past rows on their features, and apply the slopes to the features of ``row``."""
    rows = [row - WEEK - 3 * k for k in range(10)]
    x, y = np.vstack([features(r) for r in rows]), np.concatenate([_week_ahead(returns, r) for r in rows])
    return features(row) @ np.linalg.lstsq(x, y, rcond=None)[0]


def target_among_features(panel: PointInTimePanel, instant: datetime) -> Answer:
    """Take all columns of the research table for features; one of them is what is to be predicted, under a harmless name."""
    returns = np.nan_to_num(whole(panel).total_returns())

    def features(row: int) -> FloatArray:
        return np.column_stack([returns[row - MONTH : row].sum(axis=0), returns[row], _week_ahead(returns, row)])

    return _fitted(returns, last_row(panel, instant), features)


def features_of_the_past(panel: PointInTimePanel, instant: datetime) -> Answer:
    returns = np.nan_to_num(panel.as_of(instant).total_returns())

    def features(row: int) -> FloatArray:
        return np.column_stack([returns[row - MONTH : row].sum(axis=0), returns[row]])

    return _fitted(returns, len(returns) - 1, features)


# --- gaps -------------------------------------------------------------------------------------------------------


def _filled_forward(prices: FloatArray) -> FloatArray:
    rows = np.arange(len(prices))[:, None]
    last = np.maximum.accumulate(np.where(np.isnan(prices), 0, rows), axis=0)
    return np.take_along_axis(prices, last, axis=0)


def backfilled_gaps(panel: PointInTimePanel, instant: datetime) -> Answer:
    """Fill a halted stock's prices from the next trade, so that there is a number on every session."""
    filled = _filled_forward(panel.close[::-1])[::-1]
    row = last_row(panel, instant)
    return filled[row] / filled[row - WEEK] - 1.0


def gaps_filled_forward(panel: PointInTimePanel, instant: datetime) -> Answer:
    filled = _filled_forward(panel.as_of(instant).close)
    return filled[-1] / filled[-1 - WEEK] - 1.0


# --- corrections ------------------------------------------------------------------------------------------------


def restated_prices(panel: PointInTimePanel, instant: datetime) -> Answer:
    """Cut the last month out of today's file, in which the vendor has corrected it since."""
    row = last_row(panel, instant)
    return np.nan_to_num(whole(panel).close[row + 1 - MONTH : row + 1]).mean(axis=0)


def prices_as_told_by_then(panel: PointInTimePanel, instant: datetime) -> Answer:
    return np.nan_to_num(panel.as_of(instant).close[-MONTH:]).mean(axis=0)


class Pair(NamedTuple):
    """What was planted, and what an honest person would have written."""

    cheat: Callable[[PointInTimePanel, datetime], Answer]
    honest: Callable[[PointInTimePanel, datetime], Answer]


PAIRS = (
    Pair(same_bar_execution, last_closed_bar),
    Pair(negative_shift, positive_shift),
    Pair(full_sample_z_score, trailing_z_score),
    Pair(future_universe, universe_of_the_evening),
    Pair(future_split_adjustment, split_adjustment_by_then),
    Pair(survivorship_filter, listed_by_then),
    Pair(target_among_features, features_of_the_past),
    Pair(backfilled_gaps, gaps_filled_forward),
    Pair(restated_prices, prices_as_told_by_then),
)


def behind_the_view(panel: PointInTimePanel, instant: datetime) -> Answer:
    """A view is a slice; the memory behind it goes on."""
    view = panel.as_of(instant)
    everything = view.close if view.close.base is None else view.close.base
    return everything[min(len(view.sessions), len(everything) - 1)]
