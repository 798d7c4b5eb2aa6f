"""What a strategy of the signals tournament sees: the last year of a point-in-time view, cut to the round's universe.

It is not a second panel: it reads nothing but the :class:`market.panel.PanelView` of the round's opening, and so cannot know
a datum that was learnt later. It exists because thirty strategies of one round need the same year of prices, and cutting it
from the panel once is cheaper than thirty times.

1. The last :data:`WINDOW_SESSIONS` rows of the view are cut to the members.
2. A day without a trade keeps the price of the last trade; an asset younger than the window starts with its first price, so
   its returns before that are zero.
3. Returns are total returns, from prices adjusted for splits and dividends.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import FloatArray, IntArray, StrArray, readonly
from market.panel import PanelView
from market.ranks import gaussianize, tie_kept_rank

WINDOW_SESSIONS = 253
"""A year of returns needs one price more than a year of sessions."""


@dataclass(frozen=True, slots=True)
class RoundWindow:
    """A year of the round's universe, as known when the round opened.

    Attributes
    ----------
    closes : (sessions, assets) float64
        Close adjusted for splits and dividends, gaps filled with the last one; NaN only for an asset without any price.
    returns : (sessions - 1, assets) float64
        Simple total return from close to close; row t leads to ``closes[t + 1]``. Zero where a price is not known.
    overnight, intraday : (sessions - 1, assets) float64
        The two parts of ``returns``: close to next open, open to close. Zero where nothing traded.
    dollar_volume : (sessions, assets) float64
        Close times volume; zero where nothing traded.
    sectors : (assets,) str
        Sector of each asset, ``unknown`` where none is known.
    """

    closes: FloatArray
    returns: FloatArray
    overnight: FloatArray
    intraday: FloatArray
    dollar_volume: FloatArray
    sectors: StrArray


@dataclass(frozen=True, slots=True)
class StrategyInput:
    """What one strategy gets for one round.

    Attributes
    ----------
    view : PanelView
        The panel as known at the round's opening: the decision instant is ``view.instant``.
    members : (assets,) int
        Positions of the round's universe in the panel.
    window : RoundWindow
        The last year of the view, cut to the members; shared by all strategies of the round.
    rng : numpy.random.Generator
        The only source of randomness; derived from seed, model and round.
    """

    view: PanelView
    members: IntArray
    window: RoundWindow
    rng: np.random.Generator


Strategy = Callable[[StrategyInput], FloatArray]
"""(assets,) float64 on any finite scale, higher is better; NaN means no opinion."""


def round_window(view: PanelView, members: IntArray) -> RoundWindow:
    """Cut the last year of ``view`` to ``members``.

    Parameters
    ----------
    view : PanelView
        The panel as known at the round's opening.
    members : (assets,) int
        Positions of the round's universe.

    Raises
    ------
    InputRejected
        ``history_too_short`` if the view holds less than a year.
    """
    if len(view.sessions) < WINDOW_SESSIONS:
        raise InputRejected(Code.HISTORY_TOO_SHORT, f"A round needs {WINDOW_SESSIONS} sessions of prices before it opens.")
    prices = slice(-WINDOW_SESSIONS, None)
    moves = slice(1 - WINDOW_SESSIONS, None)
    return RoundWindow(
        closes=readonly(filled(view.return_index()[prices][:, members])),
        returns=readonly(np.nan_to_num(view.total_returns()[moves][:, members])),
        overnight=readonly(np.nan_to_num(view.overnight_returns()[moves][:, members])),
        intraday=readonly(np.nan_to_num(view.intraday_returns()[moves][:, members])),
        dollar_volume=readonly(view.dollar_volume()[prices][:, members]),
        sectors=view.assets.sectors[members],
    )


def filled(prices: FloatArray) -> FloatArray:
    """Return ``prices`` with gaps filled forward, then the rows before the first price filled backward."""
    known = np.isfinite(prices)
    if known.all():
        return prices.copy()
    rows = np.arange(prices.shape[0])[:, None]
    last = np.maximum.accumulate(np.where(known, rows, -1), axis=0)
    last = np.where(last < 0, np.argmax(known, axis=0)[None, :], last)
    return np.take_along_axis(prices, last, axis=0)


def gaussian_rank(values: FloatArray) -> FloatArray:
    """Return the values' ranks on a normal scale, so that signals of any scale can be added; NaN becomes zero.

    Examples
    --------
    >>> [round(float(x), 4) for x in gaussian_rank(np.array([3.0, 1.0, 2.0]))]
    [0.9674, -0.9674, 0.0]
    """
    return np.nan_to_num(gaussianize(tie_kept_rank(np.asarray(values, dtype=np.float64))))
