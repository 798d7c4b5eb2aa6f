"""The name of a move beyond the limit, and whether time can settle it.

Names are tried in this order: swapped tickers, a ticker used again, a wrong unit, the basis of before a split, news, a split
told wrongly, the adjusted column, a split that nobody told of, a lively day, a jump.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from market.arrays import BoolArray, DateArray, FloatArray, IntArray
from market.quality.faults import Fault
from market.quality.known import NEVER
from market.quality.rules import QualityRules

FAULTS = tuple(Fault)
"""Faults by position; a verdict holds 1 + the position."""

SPLIT_RATIOS = (1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0)
"""Ratios in which companies split, or the other way round; below three for two a split hides in a day's moves."""

UNIT_RATIOS = (100.0, 1000.0)
"""Pence for pounds, and a lost decimal comma; three decimals are the most that a minor unit has."""

MATCH_LOG_MIN = 0.08
MATCH_DEVIATIONS = 4.0
"""A price stands where another price would be when it is this near to it."""

MATCH_VOLUME_LOG_MAX = 1.5
"""What two swapped tickers trade together differs from their usual by chance only: a factor of 4.5 at most."""

RATIO_DEVIATIONS = 3.0
RATIO_DEVIATIONS_FAR = 4.0
DEVIATION_MAX = 0.03
"""On the day of a split the price also moves as on any day; far from ordinary moves more of that does no harm. A wild ticker is
granted no more, or any move would be a split."""


def code_of(fault: Fault) -> int:
    """Return the number by which a verdict names ``fault``."""
    return FAULTS.index(fault) + 1


FormerSplits = Mapping[int, tuple[DateArray, FloatArray]]
"""By ticker: from when on splits were effective and known (k,), and the logs of their ratios (k,)."""


class Moves(NamedTuple):
    """The moves of one session, each (k,) but ``market`` and ``day``; logs.

    ``held`` are columns of the tickers' records before the session; ``rise`` is by how much more was traded than usual, in
    shares or in value, whichever is less (NaN where unknown).
    """

    code: IntArray
    held: Mapping[str, npt.NDArray[Any]]
    market: float
    close: FloatArray
    plain: FloatArray
    explained: FloatArray
    event: FloatArray
    payment: FloatArray
    day: np.datetime64
    step: FloatArray
    hint: FloatArray
    gap: IntArray
    deviation: FloatArray
    limit: FloatArray
    rise: FloatArray
    value_rise: FloatArray
    intraday: FloatArray


class Doubts(NamedTuple):
    """Moves beyond the limit, each (d,): ``at`` their positions in the session, ``fault`` 0 for a move that is believed."""

    at: IntArray
    fault: IntArray
    patience: IntArray
    breaks: BoolArray


def _near(x: FloatArray, ratios: tuple[float, ...], width: FloatArray) -> BoolArray:
    """Tell which of ``x`` (d,) is within ``width`` of plus or minus the log of a ratio."""
    distance = np.abs(np.abs(x)[:, None] - np.log(np.array(ratios))[None, :]).min(axis=1)
    return np.asarray(distance <= width, dtype=np.bool_)


def name_doubts(moves: Moves, at: IntArray, former: FormerSplits, believed: BoolArray, rules: QualityRules) -> Doubts:
    """Name the moves at positions ``at`` (d,) of a session.

    Parameters
    ----------
    moves : Moves
    at : (d,) int64
        Those beyond the limit.
    former : FormerSplits
        By ticker, the splits that it had.
    believed : (k,) bool
        Moves that the volume makes news.
    rules : QualityRules
    """
    x, plain, event, hint = moves.explained[at], moves.plain[at], moves.event[at], moves.hint[at]
    deviations = np.where(np.abs(x) >= rules.break_log_min, RATIO_DEVIATIONS_FAR, RATIO_DEVIATIONS)
    tolerance = np.maximum(rules.ratio_tolerance_log, deviations * np.minimum(moves.deviation[at], DEVIATION_MAX))
    told = event + hint
    seen = zip(moves.code[at].tolist(), x.tolist(), tolerance.tolist(), strict=True)
    had = np.array([_undoes(former.get(code), moves.day, size, width) for code, size, width in seen], dtype=np.bool_)
    had &= told == 0
    step = moves.step[at]
    # what no trade explains happens overnight; a price that went there in trading is a price
    quiet = ~(moves.rise[at] >= rules.news_log_min)
    overnight = ~(np.abs(moves.intraday[at]) > np.abs(x) / 2)
    # where the ratio speaks for a split, or the size against news, it takes twice the news to be believed
    hardly = ~(moves.rise[at] >= 2 * rules.news_log_min)
    far = np.abs(x) > rules.jump_log_hard
    livelier = (moves.rise[at] >= rules.lively_log_min) & (moves.held["doubt_patience"][at] == 0)
    beyond = (x >= rules.break_rise_log) | (x <= -rules.break_fall_log)
    cases = [
        (_swapped(moves, at), Fault.SWAPPED_TICKERS, NEVER, False),
        (moves.gap[at] >= rules.reuse_gap_sessions, Fault.TICKER_REUSE, NEVER, False),
        (_near(x, UNIT_RATIOS, np.maximum(tolerance, 0.15)), Fault.SCALE_ERROR, NEVER, False),
        (had & hardly & (np.abs(x) >= rules.break_log_min), Fault.ADJUSTMENT_FLIP, rules.break_sessions, True),
        (believed[at], None, 0, False),
        ((told != 0) & (np.abs(x + told) <= tolerance), Fault.MISSING_SPLIT, rules.break_sessions, True),
        ((event != 0) & (np.abs(plain + event / 2) <= tolerance), Fault.DOUBLED_SPLIT, rules.break_sessions, True),
        ((told != 0) & (np.abs(x - told) <= tolerance), Fault.INVENTED_SPLIT, rules.break_sessions, True),
        ((step != 0) & (np.abs(plain) <= moves.limit[at]), Fault.ADJUSTMENT_FLIP, 0, False),
        (had & quiet, Fault.ADJUSTMENT_FLIP, rules.break_sessions, True),
        (
            _near(x, SPLIT_RATIOS, tolerance) & overnight & (quiet | far & hardly),
            Fault.MISSING_SPLIT,
            rules.break_sessions,
            True,
        ),
        (livelier & (np.abs(x) < rules.lively_log_max), None, 0, False),
        (beyond | (np.abs(x) >= rules.break_log_min) & overnight & quiet, Fault.JUMP, rules.break_sessions, True),
        (np.ones(at.shape[0], dtype=np.bool_), Fault.JUMP, rules.confirm_sessions, False),
    ]
    fault = np.full(at.shape[0], -1, dtype=np.int64)
    patience, breaks = np.zeros(at.shape[0], dtype=np.int64), np.zeros(at.shape[0], dtype=np.bool_)
    for holds, kind, sessions, broken in cases:
        hit = holds & (fault < 0)
        fault[hit] = 0 if kind is None else code_of(kind)
        patience[hit], breaks[hit] = sessions, broken
    return Doubts(at, fault, patience, breaks)


def _undoes(splits: tuple[DateArray, FloatArray] | None, day: np.datetime64, move: float, width: float) -> bool:
    """Tell whether a move undoes a split that the ticker had, and that was known, before ``day``."""
    if splits is None:
        return False
    days, logs = splits
    return bool(((days < day) & (np.abs(logs - move) <= width)).any())


def _swapped(moves: Moves, at: IntArray) -> BoolArray:
    """Tell which of the moves at ``at`` (d,) exchanged their levels, and what was traded, with another one of them.

    Two stocks that happen to rise and fall to each other's price on news both trade more than usual; of swapped ones the one
    trades as much more as the other trades less.
    """
    level = (moves.held["level"] + moves.market)[at]
    close, rise = moves.close[at], np.nan_to_num(moves.value_rise[at])
    width = np.maximum(MATCH_LOG_MIN, MATCH_DEVIATIONS * moves.deviation[at])
    out = np.zeros(at.shape[0], dtype=np.bool_)
    if at.shape[0] < 2:
        return out
    order = np.argsort(level, kind="stable")
    first = np.searchsorted(level[order], close - width, side="left")
    last = np.searchsorted(level[order], close + width, side="right")
    for i in range(at.shape[0]):
        others = order[first[i] : last[i]]
        others = others[others != i]
        matched = np.abs(close[others] - level[i]) <= width[others]
        out[i] = bool((matched & (np.abs(rise[others] + rise[i]) <= MATCH_VOLUME_LOG_MAX)).any())
    return out
