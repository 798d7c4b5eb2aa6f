"""A book carried through many sessions at once: the fast path of :func:`portfolio.simulate.backtest`.

Its plain twin is :func:`portfolio.simulate.step`, one session at a time; tests hold the two equal. Between one fill and the
next a book only holds, so a whole stretch of sessions is one matrix product:

1. the first session of a stretch earns its overnight return; a target due at the open is filled;
2. from there on each name has an index, the running product of its returns, sessions × names, in a buffer that fits the cache;
3. index × positions gives the value of the book at each open and close, index × short positions the value of its shorts;
4. a name that is delisted has the index of its forced close at that open, and 0 from there on: what it is worth is now cash;
5. cash, fee on shorts and interest follow session by session from those sums; where equity at an open is not positive, the
   stretch ends and the session begins another one, in which the book is closed;
6. a target due at a close is filled at the end of the stretch.

Only sums are kept of each session, and the index never outlives its stretch: memory is two buffers and a dozen (T,) arrays.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import BoolArray, FloatArray, IntArray
from portfolio.book import Liquidity, TradingCosts
from portfolio.fills import FillAt, fill_towards
from portfolio.mandate import SESSIONS_PER_YEAR

BUFFER_NUMBERS = 50_000
"""Numbers in one buffer: two of them fill less than half of a second-level cache of 2 MB, and hold two weeks of 5,000 names."""
STRETCH_SESSIONS_MAX = 256
"""A longer product of returns would lose more than the 1e-13 by which the fast path may differ."""
HELD = ("before", "equity", "gross_pnl", "borrow", "interest", "long_value", "short_value")
"""What a journal keeps of each session, in dollars; see :class:`portfolio.simulate.DayRecord`. ``before`` is the equity before
trading, interest is positive when earned."""


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


class Journal:
    """What T sessions did to a book, gathered session by session.

    Attributes
    ----------
    rows : list of tuple
        For each session the dollars named by :data:`HELD`.
    traded, spread, impact : (T,) float64
        Dollars of the fills.
    unfilled : (T,) int64
    bankrupt : bool
    closes : list of (row, asset, dollars)
        Forced closes of delisted names.
    """

    def __init__(self, sessions: int) -> None:
        self.rows: list[tuple[float, ...]] = []
        self.traded, self.spread, self.impact = np.zeros(sessions), np.zeros(sessions), np.zeros(sessions)
        self.unfilled: IntArray = np.zeros(sessions, dtype=np.int64)
        self.bankrupt = False
        self.closes: list[tuple[int, int, float]] = []

    def held(self) -> dict[str, FloatArray]:
        """Return each column of :data:`HELD`, (T,) float64."""
        table = np.array(self.rows, dtype=np.float64).reshape(-1, len(HELD))
        return {name: table[:, k].copy() for k, name in enumerate(HELD)}


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A held book in the sessions of a stretch: its index at closes, and its values.

    ``before`` is the equity at the first open before any fill, ``earned`` what the night before it brought, ``start`` the
    value after the fill. ``opens`` (the first is void) and ``closes`` are values of the book, ``shorts`` those of its shorts;
    ``died`` tells, by place in the stretch, which holdings were delisted and what they became.
    """

    index: FloatArray
    before: float
    earned: float
    start: float
    opens: list[float]
    closes: list[float]
    shorts: list[float]
    died: dict[int, list[tuple[int, float]]]


class _Indices:
    """The two buffers, and the index of a stretch in them."""

    def __init__(self, sessions: int, names: int) -> None:
        self.rows = max(1, min(sessions, STRETCH_SESSIONS_MAX, BUFFER_NUMBERS // max(names, 1)))
        self.at_open = np.empty((self.rows, names))
        self.at_close = np.empty((self.rows, names))
        self.has_gaps = False

    def of(self, overnight: FloatArray, intraday: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the indices at opens (the first row is void) and closes of some sessions; 1 after the first one's open."""
        rows = len(overnight)
        at_open, at_close = self.at_open[:rows], self.at_close[:rows]
        for _ in range(2):
            np.add(overnight[1:], 1.0, out=at_open[1:])
            np.add(intraday, 1.0, out=at_close)
            if self.has_gaps:
                _fill_gaps(at_open[1:])
                _fill_gaps(at_close)
            for k in range(1, rows):
                np.multiply(at_open[k], at_close[k - 1], out=at_open[k])
                np.multiply(at_close[k], at_open[k], out=at_close[k])
            # One pass tells of missing returns (NaN runs on to the last row) and of returns below −1.
            if at_close.min(initial=0.0) >= 0.0:
                return at_open, at_close
            self.has_gaps = True
        raise _below_minus_one()


def _fill_gaps(growth: FloatArray) -> None:
    """Let names without a return stand still, in place."""
    growth.ravel()[np.flatnonzero(np.isnan(growth))] = 1.0


def _below_minus_one() -> InputRejected:
    return InputRejected(Code.PROBLEM_INVALID, "A return is below -100 %: no share can lose more than its value.")


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
    journal : Journal
    positions, cash
        As they are now.
    """

    def __init__(self, sessions: Sessions, positions: FloatArray, cash: float, weights: FloatArray | None = None) -> None:
        self.sessions, self.weights = sessions, weights
        self.positions, self.cash, self._value = positions, cash, float(positions.sum())
        self.total, names = sessions.overnight.shape
        self.journal = Journal(self.total)
        self._indices = _Indices(self.total, names)
        closing = sessions.fill == "close"
        self._stops = np.array(sorted(row + closing for row in sessions.targets), dtype=np.int64)
        self._deaths = np.array(sorted(sessions.gone), dtype=np.int64)

    def run(self) -> None:
        """Carry the book to the last close."""
        row = 0
        while row < self.total:
            row = self._stretch(row)

    def _stretch(self, row: int) -> int:
        """Carry the book from the close before ``row`` to a later one, and return the row after that."""
        s = self.sessions
        before, earned = self._open(row)
        end = min(self.total, row + self._indices.rows)
        after = int(np.searchsorted(self._stops, row, side="right"))
        if after < len(self._stops):
            end = min(end, int(self._stops[after]))
        at_open, at_close = self._indices.of(s.overnight[row:end], s.intraday[row:end])
        died = self._bury(row, at_open, at_close)
        held = self.positions
        opens = [np.nan, *(at_open[1:] @ held).tolist()]
        closes, shorts = (at_close @ held).tolist(), (at_close @ np.minimum(held, 0.0)).tolist()
        stood = self._accrue(row, _Stretch(at_close, before, earned, self._value, opens, closes, shorts, died))
        if self.weights is not None:
            self._note_weights(row, at_close[:stood] * held)
        return row + stood

    def _bury(self, row: int, at_open: FloatArray, at_close: FloatArray) -> dict[int, list[tuple[int, float]]]:
        """Close the names that are delisted inside a stretch, in its indices; return holdings and values by place in it."""
        s, died = self.sessions, {}
        first, after = np.searchsorted(self._deaths, (row + 1, row + len(at_close)))
        for death in self._deaths[first:after]:
            gone, k = s.gone[int(death)], int(death) - row
            if s.delisting_returns is not None:
                at_open[k, gone] = at_close[k - 1, gone] * (1.0 + s.delisting_returns[gone])
            held = gone[at_close[k - 1, gone] * self.positions[gone] != 0]
            died[k] = list(zip(held.tolist(), (at_open[k, held] * self.positions[held]).tolist(), strict=True))
            at_open[k + 1 :, gone] = 0.0
            at_close[k:, gone] = 0.0
        return died

    def _open(self, row: int) -> tuple[float, float]:
        """Bring the book past the open of ``row``; return the equity before any fill, and what the night earned."""
        s = self.sessions
        night = s.overnight[row]
        gone = s.gone.get(row)
        if gone is not None and s.delisting_returns is not None:
            night = night.copy()
            night[gone] = s.delisting_returns[gone]
        lowest = night.min(initial=0.0)
        if not lowest >= -1.0:
            night = np.where(np.isnan(night), 0.0, night)
            if night.min() < -1.0:
                raise _below_minus_one()
        gain = self.positions * night
        earned = float(gain.sum())
        opened = self.positions + gain
        value = self._value + earned
        if gone is not None:
            self.journal.closes += [(row, int(i), float(opened[i])) for i in gone if self.positions[i] != 0]
            self.cash += float(opened[gone].sum())
            opened[gone] = 0.0
            value = float(opened.sum())
        self.positions, self._value = opened, value
        equity = self.cash + value
        if s.fill == "open":
            self._fill(row)
        return equity, earned

    def _fill(self, row: int) -> None:
        """Fill the target of ``row`` if it has one, or close a book whose equity at this moment is not positive."""
        s, journal = self.sessions, self.journal
        target = s.targets.get(row)
        equity = self.cash + self._value
        journal.bankrupt |= equity <= 0
        if target is None and (equity > 0 or not self.positions.any()):
            return
        # A return that is missing makes the sum NaN as well, in one pass less.
        tradable = np.isfinite(s.overnight[row] + s.intraday[row])
        if s.traded is not None:
            tradable &= s.traded[row]
        if row in s.gone:
            tradable[s.gone[row]] = False
        liquidity = None if s.liquidity is None else s.liquidity.get(row)
        fill = fill_towards(target, self.positions, equity, tradable, s.costs, liquidity)
        self.positions = self.positions + fill.trade
        self._value += fill.bought
        self.cash -= fill.paid
        journal.traded[row], journal.spread[row], journal.impact[row] = fill.traded, fill.spread, fill.impact
        journal.unfilled[row] = fill.unfilled

    def _accrue(self, row: int, stretch: _Stretch) -> int:
        """Follow cash through a stretch; return how many of its sessions stand, and leave the book at the last one's close."""
        s, held = self.sessions, self.positions
        closing = s.fill == "close"
        borrow_rate, cash_rate = s.costs.borrow_per_year / SESSIONS_PER_YEAR, s.costs.cash_per_year / SESSIONS_PER_YEAR
        former, stood, ended = stretch.start, 0, False
        for k in range(len(stretch.closes)):
            value, short = stretch.closes[k], stretch.shorts[k]
            before = self.cash + stretch.opens[k] if k else stretch.before
            if k and not closing and before <= 0.0:
                break
            died = stretch.died.get(k, [])
            forced = sum(dollars for _, dollars in died)
            self.journal.closes += [(row + k, asset, dollars) for asset, dollars in died]
            pnl = value + forced - former + (0.0 if k else stretch.earned)
            self.cash += forced
            if closing:
                before = self.cash + value
            ended = closing and (row + k in s.targets or before <= 0.0)
            if ended:
                self.positions, self._value = stretch.index[k] * held, value
                self._fill(row + k)
                value, short = self._value, float(np.minimum(self.positions, 0.0).sum())
            borrow, interest = -short * borrow_rate, self.cash * cash_rate
            self.cash += interest - borrow
            self.journal.rows.append((before, self.cash + value, pnl, borrow, interest, value - short, short))
            former, stood = value, k + 1
            if ended:
                break
        if not ended:
            self.positions = stretch.index[stood - 1] * held
        self._value = former
        return stood

    def _note_weights(self, row: int, held: FloatArray) -> None:
        if self.weights is None:
            return
        held[-1] = self.positions
        equity = np.array([kept[1] for kept in self.journal.rows[row:]])
        safe = np.where(equity > 0, equity, np.inf)
        np.divide(held, safe[:, None], out=self.weights[row : row + len(held)])
