"""A book carried through many sessions at once: the fast path of :func:`portfolio.simulate.backtest`.

Its plain twin is :func:`portfolio.simulate.step`, one session at a time; tests hold the two equal. Between one fill and the
next a book only holds, so a whole stretch of sessions is one matrix product:

1. the growth of each name, 1 + return, is laid into a buffer that fits the cache, a row for each night and each day; one
   minimum over it tells whether returns are missing and whether one is below −1;
2. a name that is delisted grows in that night by its delisting return and is worth 0 from there on: it is now cash;
3. the first row brings the book past the first open, where a target due at the open is filled;
4. the other rows become indices, running products from that open on. Index × positions gives the value of the book at each
   open and close, index × short positions the value of its shorts;
5. cash, fee on shorts and interest follow session by session from those values; where equity at an open is not positive, the
   stretch ends and the session begins another one, in which the book is closed;
6. a target due at a close is filled at the end of the stretch.

Only sums are kept of each session, and the buffer is used again: memory is that buffer and a dozen (T,) arrays.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import BoolArray, FloatArray, IntArray
from portfolio.book import Liquidity, TradingCosts
from portfolio.fills import FillAt, fill_towards
from portfolio.mandate import SESSIONS_PER_YEAR

BUFFER_NUMBERS = 100_000
"""Numbers in the buffer: they fill less than half of a second-level cache of 2 MB, and hold two weeks of 5,000 names."""
STRETCH_SESSIONS_MAX = 256
"""A longer product of returns would lose more than the 1e-13 by which the fast path may differ."""
LINE_NUMBERS = 8
"""Numbers in a line of the cache. A processor takes about twice as long over vectors of numbers that lie across two lines."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """What T sessions do to n names, and what is wanted of a book in them; see :func:`portfolio.simulate.backtest`."""

    overnight: FloatArray
    intraday: FloatArray
    targets: Mapping[int, FloatArray]
    costs: TradingCosts
    fill: FillAt = "open"
    traded: BoolArray | None = None
    liquidity: Mapping[int, Liquidity] | None = None
    gone: Mapping[int, IntArray] = field(default_factory=dict)
    delisting_returns: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Journal:
    """What T sessions did to a book, in dollars; each array is (T,), see :class:`portfolio.simulate.DayRecord`.

    ``before`` is the equity before trading, ``interest`` is positive when earned, ``closes`` are the forced closes of delisted
    names as (row, asset, dollars).
    """

    before: FloatArray
    equity: FloatArray
    gross_pnl: FloatArray
    borrow: FloatArray
    interest: FloatArray
    long_value: FloatArray
    short_value: FloatArray
    traded: FloatArray
    spread: FloatArray
    impact: FloatArray
    unfilled: IntArray
    closes: list[tuple[int, int, float]]


class _Growth:
    """The buffer: a row for each night and each day of a stretch, in turn."""

    def __init__(self, sessions: int, names: int) -> None:
        self.sessions = max(1, min(sessions, STRETCH_SESSIONS_MAX, BUFFER_NUMBERS // (2 * max(names, 1))))
        numbers = 2 * self.sessions * names
        memory = np.empty(numbers + LINE_NUMBERS)
        start = -(memory.ctypes.data // memory.itemsize) % LINE_NUMBERS
        self._rows = memory[start : start + numbers].reshape(2 * self.sessions, names)

    def of(self, overnight: FloatArray, intraday: FloatArray) -> tuple[FloatArray, bool]:
        """Return 1 + return, nights and days in turn, 1 where a return is missing; and whether any is."""
        growth = self._rows[: 2 * len(overnight)]
        np.add(overnight, 1.0, out=growth[0::2])
        np.add(intraday, 1.0, out=growth[1::2])
        lowest = growth.min(initial=np.inf)
        gaps = bool(np.isnan(lowest))
        if gaps:
            np.putmask(growth, np.isnan(growth), 1.0)
            lowest = growth.min()
        if lowest < 0.0:
            raise InputRejected(Code.PROBLEM_INVALID, "A return is below -100 %: no share can lose more than its value.")
        return growth, gaps


class Passage:
    """The passage of one book through T sessions.

    Parameters
    ----------
    sessions : Sessions
    positions : (n,) float64
        Dollars at the close before the first session.
    cash : float
    weights : (T, n) float64, optional
        Filled with the weights at each close.

    Attributes
    ----------
    positions, cash
        As they are now.
    """

    def __init__(self, sessions: Sessions, positions: FloatArray, cash: float, weights: FloatArray | None = None) -> None:
        self.sessions, self.weights = sessions, weights
        self.positions, self.cash = positions, cash
        self._start = (float(positions.sum()), cash)
        self.total, names = sessions.overnight.shape
        self._growth = _Growth(self.total, names)
        self._closing = sessions.fill == "close"
        self._stops = sorted(row + self._closing for row in sessions.targets)
        self._deaths = sorted(sessions.gone)
        # At open and close of each session, before a fill: the value of the book and that of its shorts.
        self._values = np.zeros((self.total, 2, 2))
        # When the session is over: the value of its shorts, and cash.
        self._shorts: list[float] = []
        self._cash: list[float] = []
        self._forced, self._bought, self._traded, self._spread, self._impact = np.zeros((5, self.total))
        self._unfilled: IntArray = np.zeros(self.total, dtype=np.int64)
        self._closes: list[tuple[int, int, float]] = []

    def run(self) -> Journal:
        """Carry the book to the last close and tell what happened."""
        row = 0
        while row < self.total:
            row = self._stretch(row)
        return self._journal()

    def _stretch(self, row: int) -> int:
        """Carry the book from the close before ``row`` to a later one, and return the row after that."""
        s = self.sessions
        after = bisect_right(self._stops, row)
        end = min(self.total, row + self._growth.sessions, *self._stops[after : after + 1])
        growth, gaps = self._growth.of(s.overnight[row:end], s.intraday[row:end])
        for death in self._deaths[bisect_left(self._deaths, row) : bisect_left(self._deaths, end)]:
            self._bury(death, growth[2 * (death - row) :])
        self._open(row, growth[0], gaps=gaps)
        index, held = growth[1:], self.positions
        for k in range(1, len(index)):
            np.multiply(index[k], index[k - 1], out=index[k])
        # One product of a matrix with both columns costs no more than one with either.
        both = np.array([held, np.minimum(held, 0.0)])
        np.dot(index, both.T, out=self._values.reshape(-1, 2)[2 * row + 1 : 2 * end])
        stood = self._accrue(row, end, index, gaps=gaps)
        if self.weights is not None:
            self._note_weights(row, index[0 : 2 * (stood - row) : 2] * held)
        return stood

    def _bury(self, row: int, growth: FloatArray) -> None:
        """Let the names that are delisted in ``row`` earn that return in its night, and be nothing from there on."""
        s = self.sessions
        if s.delisting_returns is not None:
            growth[0, s.gone[row]] = 1.0 + s.delisting_returns[s.gone[row]]
            growth[1, s.gone[row]] = 0.0

    def _close_forcibly(self, row: int, before: FloatArray, after: FloatArray) -> None:
        """Turn the names that are delisted in ``row`` into cash; ``before`` and ``after`` that night are their dollars."""
        held = before != 0
        names, dollars = self.sessions.gone[row][held].tolist(), after[held].tolist()
        self._closes += [(row, asset, value) for asset, value in zip(names, dollars, strict=True)]
        self._forced[row] = forced = sum(dollars)
        self.cash += forced

    def _open(self, row: int, growth: FloatArray, *, gaps: bool) -> None:
        """Bring the book past the open of ``row``, and fill what is due there."""
        s, held = self.sessions, self.positions
        self._values[row, 0, 0] = value = float(growth @ held)
        equity = self.cash + value
        self.positions = growth * held
        if row in s.gone:
            gone = s.gone[row]
            self._close_forcibly(row, held[gone], self.positions[gone])
            self.positions[gone] = 0.0
        if not self._closing:
            self._fill(row, equity, gaps=gaps)

    def _fill(self, row: int, equity: float, *, gaps: bool) -> None:
        """Fill the target of ``row`` if it has one, or close a book whose equity at this moment is not positive."""
        s = self.sessions
        target = s.targets.get(row)
        if target is None and (equity > 0 or not self.positions.any()):
            return
        liquidity = None if s.liquidity is None else s.liquidity.get(row)
        fill = fill_towards(target, self.positions, equity, self._tradable(row, gaps=gaps), s.costs, liquidity)
        self.positions = fill.positions
        self.cash -= fill.paid
        self._traded[row], self._bought[row] = fill.traded, fill.bought
        self._spread[row], self._impact[row], self._unfilled[row] = fill.spread, fill.impact, fill.unfilled

    def _tradable(self, row: int, *, gaps: bool) -> BoolArray | None:
        """Return which names trade in a session, None for all; without gaps in its stretch no return is looked at again."""
        s = self.sessions
        if not gaps and s.traded is None and row not in s.gone:
            return None
        # A return that is missing makes the sum NaN as well, in one pass less.
        tradable: BoolArray = np.isfinite(s.overnight[row] + s.intraday[row])
        if s.traded is not None:
            tradable &= s.traded[row]
        if row in s.gone:
            tradable[s.gone[row]] = False
        return tradable

    def _accrue(self, row: int, end: int, index: FloatArray, *, gaps: bool) -> int:
        """Follow cash through a stretch; return the row after the last that stands, and leave the book at its close."""
        s, held, place = self.sessions, self.positions, 0
        borrow_rate, cash_rate = _rates(s.costs)
        for r, ((opened, _), (closed, held_short)) in enumerate(self._values[row:end].tolist(), row):
            if r > row:
                if not self._closing and self.cash + opened <= 0.0:
                    end = r
                    break
                place = 2 * (r - row)
                if r in s.gone:
                    gone = s.gone[r]
                    self._close_forcibly(r, index[place - 2, gone] * held[gone], index[place - 1, gone] * held[gone])
            short = held_short
            filled = self._closing and (r in s.targets or self.cash + closed <= 0.0)
            if filled:
                self.positions = index[place] * held
                self._fill(r, self.cash + closed, gaps=gaps)
                short = float(np.minimum(self.positions, 0.0).sum())
            self.cash += self.cash * cash_rate + short * borrow_rate
            self._shorts.append(short)
            self._cash.append(self.cash)
            if filled:
                return r + 1
        self.positions = index[place] * held
        return end

    def _journal(self) -> Journal:
        """Tell each session from the book's values and cash."""
        borrow_rate, cash_rate = _rates(self.sessions.costs)
        value, cash = self._start
        opened, closed = self._values[:, 0, 0], self._values[:, 1, 0]
        bought_at_open, bought_at_close = (0.0, self._bought) if self._closing else (self._bought, 0.0)
        started, ended = opened - self._forced + bought_at_open, closed + bought_at_close
        kept, shorts = np.array(self._cash), np.array(self._shorts)
        cash_before, value_before = np.concatenate([[cash], kept[:-1]]), np.concatenate([[value], ended[:-1]])
        invested = self._bought + self._spread + self._impact
        return Journal(
            before=cash_before + self._forced + closed if self._closing else cash_before + opened,
            equity=kept + ended,
            gross_pnl=(opened - value_before) + (closed - started),
            borrow=-shorts * borrow_rate,
            interest=(cash_before + self._forced - invested) * cash_rate,
            long_value=ended - shorts,
            short_value=shorts,
            traded=self._traded,
            spread=self._spread,
            impact=self._impact,
            unfilled=self._unfilled,
            closes=self._closes,
        )

    def _note_weights(self, row: int, held: FloatArray) -> None:
        if self.weights is None:
            return
        held[-1] = self.positions
        equity = np.array(self._cash[row:]) + held.sum(axis=1)
        safe = np.where(equity > 0, equity, np.inf)
        np.divide(held, safe[:, None], out=self.weights[row : row + len(held)])


def _rates(costs: TradingCosts) -> tuple[float, float]:
    """Return what a session charges on shorts and pays on cash."""
    return costs.borrow_per_year / SESSIONS_PER_YEAR, costs.cash_per_year / SESSIONS_PER_YEAR
