"""Whether a price can follow the one before: the fold over sessions that finds jumps and settles them.

For each session of an exchange, over all tickers with a row:

1. Move each ticker's last accepted level on by what the market did since: the median move of the session.
2. Add what events known by then explain (splits, dividends, the adjusted column's own steps).
3. A move within the limit is accepted: a quarter, or eight of the ticker's own trailing deviations, more after a gap.
4. A move that is ordinary without the events means a wrong event: the event is set aside. So does a dividend, or a step of the
   adjusted column, of more than a twentieth that the price does not show; the adjusted column never falls beside the price.
5. A larger move is accepted as news where shares and value traded rose with it, unless it is beyond a factor of 3.5.
6. Any other is doubtful: the row is set aside under the name that fits (:mod:`market.quality.naming`), and its level is
   remembered. Later rows back on the accepted level leave it set aside. Later rows that stay on the doubtful level settle it
   after as many sessions as its kind asks for: they are accepted from then on and the doubtful rows released, either as a move
   that was real or as a break, which is told as a split of the ratio by which the level changed. A wrong unit, swapped tickers
   and a used-again ticker are never settled by time.

Row t uses rows of earlier sessions and, for the median, the rows of its own session that were known first. Its verdict never
changes afterwards; a release is a later word with the later row's ``known_at``.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from market.arrays import BoolArray, DateArray, FloatArray, IntArray
from market.quality.known import NEVER, StateArray
from market.quality.naming import Doubts, FormerSplits, Moves, name_doubts
from market.quality.rules import QualityRules

GAP_SESSIONS_MAX = 9
"""A limit grows with the square root of the sessions that a price had to move in, up to three times."""

PAYMENT_DEVIATIONS = 4.0
"""The price falls by a large dividend, give or take a day's move of this many deviations."""

DEVIATION_OF_MEAN_MOVE = 1.2533
"""√(π/2): the deviation of a normal variable over its mean absolute value."""


Levels = dict[str, npt.NDArray[Any]]
"""Fields of the trail's records as columns of their own."""

HELD = ("level", "move", "dollars", "shares", "count", "doubt_patience")
DOUBTED = ("doubt_level", "doubt_since", "doubt_count", "doubt_patience", "doubt_fault", "doubt_jump", "doubt_break")
FOLLOWED = (*HELD, *(name for name in DOUBTED if name not in HELD), "day")


class Chain(NamedTuple):
    """Rows of a chain as numbers, each (m,), sorted by date and exchange; ``bounds`` are where each session begins.

    ``split``, ``payment`` and ``step`` are logs of what events and the adjusted column explain since the row before; ``hint``
    is the log of a split that the price basis carries already; ``first`` marks the rows of a session that were known first.
    """

    bounds: IntArray
    code: IntArray
    day: DateArray
    session: IntArray
    since: IntArray  # session of the ticker's row before, or −1
    close: FloatArray
    dollars: FloatArray
    shares: FloatArray
    intraday: FloatArray  # log of close over open; NaN without an open
    split: FloatArray
    payment: FloatArray
    step: FloatArray
    hint: FloatArray
    first: BoolArray
    cleared: BoolArray


@dataclass(slots=True)
class Followed:
    """What the fold says of each row of the chain (m,).

    ``fault`` is 0 for an accepted row, else 1 + the position of the fault; ``move`` the log of the unexplained move;
    ``event_wrong`` marks rows whose events did not hold; ``settles`` marks rows that settled a doubt, ``settled_since`` tells
    from which date on, ``settled_ratio`` the inferred split (NaN where the move was real), ``settled_fault`` of which kind.
    """

    fault: IntArray
    move: FloatArray
    event_wrong: BoolArray
    settles: BoolArray
    settled_since: DateArray
    settled_ratio: FloatArray
    settled_fault: IntArray

    @staticmethod
    def blank(m: int) -> "Followed":
        """Return the verdicts of ``m`` accepted rows."""
        nowhere = np.full(m, np.datetime64("NaT"), dtype="datetime64[D]")
        flags = [np.zeros(m, dtype=np.bool_) for _ in range(2)]
        nothing = np.zeros(m, dtype=np.int64)
        return Followed(nothing, np.zeros(m), flags[0], flags[1], nowhere, np.full(m, np.nan), nothing.copy())


def follow(state: StateArray, former: FormerSplits, chain: Chain, rules: QualityRules) -> Followed:
    """Judge a chain row by row and bring ``state`` (n,), which is changed in place, up to its end.

    Parameters
    ----------
    state : (n,) records
        Of each ticker; see :data:`market.quality.known.STATE`.
    former : FormerSplits
        By ticker, the splits that it had.
    chain : Chain
    rules : QualityRules
    """
    out = Followed.blank(chain.code.shape[0])
    # columns of their own: records lie far apart, and each session reads a few fields of all of them
    levels = {name: np.ascontiguousarray(state[name]) for name in FOLLOWED}
    for begin, end in zip(chain.bounds[:-1].tolist(), chain.bounds[1:].tolist(), strict=True):
        rows = slice(begin, end)
        held = {name: levels[name][chain.code[rows]] for name in HELD}
        moves = _moves(held, chain, rows, _median_move(held, chain, rows, rules), rules)
        _judge(levels, former, chain, rows, moves, out, rules)
    for name, column in levels.items():
        state[name] = column
    return out


def _median_move(held: Levels, chain: Chain, rows: slice, rules: QualityRules) -> float:
    """The median move of the rows that were known first and follow the session before; 0 where they are few."""
    usable = chain.first[rows] & np.isfinite(held["level"]) & (chain.session[rows] - chain.since[rows] == 1)
    usable &= held["doubt_patience"] == 0
    if np.count_nonzero(usable) < rules.market_rows_min:
        return 0.0
    explained = chain.split[rows] + chain.payment[rows] + chain.step[rows]
    return float(np.median((chain.close[rows] + explained - held["level"])[usable]))


def _moves(held: Levels, chain: Chain, rows: slice, market: float, rules: QualityRules) -> Moves:
    """Measure each row of a session against its ticker's accepted level."""
    plain = chain.close[rows] - held["level"] - market
    step = chain.step[rows]
    explained = plain + chain.split[rows] + chain.payment[rows] + step
    gap = np.where(chain.since[rows] >= 0, chain.session[rows] - chain.since[rows], 1)
    deviation = DEVIATION_OF_MEAN_MOVE * held["move"]
    limit = np.maximum(rules.jump_log_min, rules.jump_deviations * deviation)
    limit = np.where(held["count"] < rules.young_sessions, np.maximum(limit, rules.jump_log_young), limit)
    limit *= np.sqrt(np.clip(gap, 1, GAP_SESSIONS_MAX))
    value_rise = chain.dollars[rows] - held["dollars"]
    share_rise = chain.shares[rows] - held["shares"] - chain.split[rows]
    return Moves(
        code=chain.code[rows],
        held=held,
        market=market,
        close=chain.close[rows],
        plain=plain,
        explained=explained,
        event=chain.split[rows] + chain.payment[rows],
        payment=chain.payment[rows],
        day=chain.day[rows.start],
        step=step,
        hint=chain.hint[rows],
        gap=gap,
        deviation=deviation,
        limit=limit,
        rise=np.minimum(value_rise, share_rise),
        value_rise=value_rise,
        intraday=chain.intraday[rows],
    )


def _judge(
    levels: Levels, former: FormerSplits, chain: Chain, rows: slice, moves: Moves, out: Followed, rules: QualityRules
) -> None:
    """Accept, doubt or settle the rows of one session; write verdicts and state."""
    new = np.isnan(moves.held["level"]) | chain.cleared[rows]
    held_doubt = moves.held["doubt_patience"] != 0
    ordinary = np.abs(moves.plain) <= moves.limit
    unshown = np.abs(moves.explained) > np.maximum(rules.dividend_log_min, PAYMENT_DEVIATIONS * moves.deviation)
    fits = np.abs(moves.explained) <= moves.limit
    unpaid = ordinary & unshown & (moves.payment > rules.dividend_log_min)
    flips = (moves.step < -rules.adjustment_fall_log_max) | (moves.step > rules.dividend_log_min) & unshown
    wrong_event = ordinary & (moves.event != 0) & (~fits | unpaid)
    fits &= ~(flips & ordinary)
    believed = (moves.rise >= rules.news_log_min) & ~held_doubt & (np.abs(moves.explained) <= rules.jump_log_hard)
    accepted = new | fits | wrong_event & ~flips
    large = ~accepted
    doubts: Doubts | None = None
    if large.any():
        doubts = name_doubts(moves, np.flatnonzero(large), former, believed, rules)
        accepted[doubts.at[doubts.fault == 0]] = True
    out.event_wrong[rows] = wrong_event & ~new
    out.move[rows] = np.where(new, 0.0, np.where(wrong_event, moves.plain, moves.explained))
    settled = np.zeros(accepted.shape[0], dtype=np.bool_)
    if held_doubt.any():
        _explain(levels, rows, moves, held_doubt & fits & ~ordinary, out)
    if doubts is not None:
        settled = _doubt(levels, chain, rows, moves, doubts, out, rules)
    _accept(levels, chain, rows, moves, accepted | settled, out, rules)


def _explain(levels: Levels, rows: slice, moves: Moves, candidates: BoolArray, out: Followed) -> None:
    """Settle doubts whose level an event explains that was told only now: what waited was right, and is no break."""
    at = np.flatnonzero(candidates & (moves.event != 0))
    code = moves.code[at]
    along = moves.close[at] - levels["doubt_level"][code] - moves.market
    done = np.abs(along) <= moves.limit[at]
    at, code = at[done] + rows.start, code[done]
    out.settles[at] = True
    out.settled_since[at] = levels["doubt_since"][code]
    out.settled_fault[at] = levels["doubt_fault"][code]


def _doubt(
    levels: Levels, chain: Chain, rows: slice, moves: Moves, doubts: Doubts, out: Followed, rules: QualityRules
) -> BoolArray:
    """Begin, go on with or settle the doubts of one session; return the rows (of the session) that were settled."""
    settled = np.zeros(moves.code.shape[0], dtype=np.bool_)
    real = doubts.fault > 0
    at = doubts.at[real]
    code, day, whole = moves.code[at], chain.day[rows][at], at + rows.start
    held = {name: levels[name][code] for name in DOUBTED}
    along = moves.close[at] - held["doubt_level"] - moves.market + chain.split[whole] + chain.payment[whole]
    # what time does not settle, a move from one wrong price to another does not either
    near = (np.abs(along) <= moves.limit[at]) | (held["doubt_patience"] == NEVER)
    goes_on = (held["doubt_patience"] != 0) & near
    fresh = {
        "doubt_since": day,
        "doubt_fault": doubts.fault[real],
        "doubt_patience": doubts.patience[real],
        "doubt_break": doubts.breaks[real],
        "doubt_jump": moves.explained[at],
    }
    held = held | {name: np.where(goes_on, held[name], begun) for name, begun in fresh.items()}
    held["doubt_count"] = np.where(goes_on, held["doubt_count"] + 1, 0)
    held["doubt_level"] = moves.close[at]
    # of a ticker with hardly a past nobody can say which of two levels was wrong: the lasting one is taken
    lasting = (moves.held["count"][at] < rules.young_sessions) & (held["doubt_patience"] == NEVER)
    patience = np.where(lasting, rules.break_sessions, held["doubt_patience"])
    done = goes_on & (patience > 0) & (held["doubt_count"] >= patience)
    settled[at[done]] = True
    out.fault[whole] = np.where(done, 0, held["doubt_fault"])
    out.settles[whole] = done
    out.settled_since[whole[done]] = held["doubt_since"][done]
    out.settled_fault[whole[done]] = held["doubt_fault"][done]
    out.settled_ratio[whole[done]] = np.where(held["doubt_break"] | lasting, np.exp(-held["doubt_jump"]), np.nan)[done]
    for name, column in held.items():
        levels[name][code] = column
    return settled


def _accept(
    levels: Levels, chain: Chain, rows: slice, moves: Moves, accepted: BoolArray, out: Followed, rules: QualityRules
) -> None:
    """Carry accepted rows into ``levels`` and move all other levels of the session on with the market."""
    held, code, split = moves.held, moves.code, chain.split[rows]
    learned = accepted & np.isfinite(held["level"]) & ~chain.cleared[rows]
    surprise = np.minimum(np.abs(out.move[rows]), moves.limit) - held["move"]
    levels["move"][code] = held["move"] + np.where(learned, surprise, 0.0) / rules.deviation_sessions
    share = np.maximum(1.0 / rules.volume_sessions, 1.0 / (held["count"] + 1.0))
    for name, seen, before in (
        ("dollars", chain.dollars[rows], held["dollars"]),
        ("shares", chain.shares[rows], held["shares"] + split),
    ):
        after = np.where(np.isfinite(before), before + share * (seen - before), seen)
        levels[name][code] = np.where(accepted & np.isfinite(seen), after, held[name])
    levels["count"][code] = held["count"] + accepted
    # a doubtful row leaves the level where it was, but on the basis that the events since have made
    explained = np.where(out.event_wrong[rows], 0.0, split + chain.payment[rows])
    levels["level"][code] = np.where(accepted, moves.close, held["level"] + moves.market - explained)
    fine = code[accepted]
    levels["doubt_patience"][fine] = 0
    levels["doubt_level"][fine] = np.nan
    levels["day"][fine] = chain.day[rows][accepted]
