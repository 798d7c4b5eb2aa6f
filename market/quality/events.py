"""Splits, dividends and delistings: which can be, and which row of prices has to bear each out.

1. Set aside what has no kind, ticker, date or value that can be.
2. Tell apart what is said again, what is said twice, and what contradicts what was known.
3. Attach each split and dividend to the first row of its ticker that is dated on or after it and was learnt no earlier: there
   the price must show it. On a split-adjusted basis the rows of one batch have splits in them already; what the trail holds of
   a ticker has not, so a split since then is attached to the ticker's first row.

Events need a ``known_at`` of their own that is true: one that is stamped later than the rows that it explains explains
nothing.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from market.arrays import BoolArray, DateArray, FloatArray, IntArray
from market.batch import DELISTING, DIVIDEND, EVENT_KINDS, RAW, SPLIT, SPLIT_ADJUSTED, TOTAL_RETURN, EventRows, PriceBatch
from market.quality.cells import is_ticker
from market.quality.faults import Fault, Found, Severity, of_events
from market.quality.known import KnownMarket, StateArray, places_of
from market.quality.naming import FormerSplits
from market.quality.order import instants
from market.quality.rules import QualityRules

TWICE_DAYS_MAX = 7
"""Two splits of one ratio within a week are one split, unless the price shows both."""

MERGER = "merger"
NOWHERE = -1


class JudgedEvents(NamedTuple):
    """What may be attached and kept, before prices were asked, and what says nothing new; all (e,) bool.

    ``echoes`` are splits of a ratio that the ticker had within the week: whether they are others, the price must say.
    """

    usable: BoolArray
    said_again: BoolArray
    echoes: BoolArray
    found: list[Found]


def judge_events(events: EventRows, known: EventRows, rules: QualityRules) -> JudgedEvents:
    """Judge events by themselves and beside those that were known."""
    named = np.array([is_ticker(t, rules.ticker_length_max) for t in events.tickers.tolist()], dtype=np.bool_)
    values, kinds = events.values, events.kinds
    unsaid = (kinds == DELISTING) & np.isnan(values)
    sane = named & ~np.isnat(events.dates) & np.isin(kinds, EVENT_KINDS) & (np.isfinite(values) | unsaid)
    sane &= ~((kinds == SPLIT) & ((values <= 0) | (values == 1))) & ~((kinds == DIVIDEND) & (values < 0))
    sane &= ~((kinds == DELISTING) & (values < -1))
    nothing = sane & (kinds == DIVIDEND) & (values == 0)
    again, twice, other, echoes = _against_known(events, known, sane & ~nothing)
    usable = sane & ~nothing & ~again & ~twice & ~other
    ended = usable & (kinds == DELISTING)
    merged = ended & (events.reasons == MERGER)
    cases = [
        (~sane, Fault.EVENT_INVALID),
        (nothing, Fault.ZERO_DIVIDEND),
        (again, Fault.REPETITION),
        (twice, Fault.DOUBLED_SPLIT),
        (other, Fault.RESTATEMENT),
        (merged, Fault.MERGER),
        (ended & ~merged & ~unsaid, Fault.DELISTING),
        (usable & unsaid, Fault.DELISTING_WITHOUT_PRICE),
    ]
    found = [of_events(events, fault, np.flatnonzero(hit)) for hit, fault in cases if hit.any()]
    return JudgedEvents(usable, again | nothing, echoes, found)


def _against_known(events: EventRows, known: EventRows, sane: BoolArray) -> tuple[BoolArray, BoolArray, BoolArray, BoolArray]:
    """Events that say again what is known, splits that are told twice, events that contradict what is known, and echoes."""
    again, twice, other, echoes = (np.zeros(len(events), dtype=np.bool_) for _ in range(4))
    told = {key: (value, True) for key, value in zip(_keys(known), known.values.tolist(), strict=True)}
    splits: dict[tuple[str, float], list[np.datetime64]] = {}
    for ticker, value, day in zip(known.tickers[known.kinds == SPLIT].tolist(), known.values[known.kinds == SPLIT].tolist(),
                                  known.dates[known.kinds == SPLIT], strict=True):  # fmt: skip
        splits.setdefault((ticker, value), []).append(day)
    order = np.argsort(instants(events.known_at), kind="stable")
    keys = _keys(events)
    for at in order[sane[order]].tolist():
        value, key = float(events.values[at]), keys[at]
        kind, ticker = key[0], key[1]
        if key in told:
            former, of_old = told[key]
            same = former == value or abs(former - value) <= 1e-6 * abs(former) or (np.isnan(former) and np.isnan(value))
            again[at], twice[at] = same and (of_old or kind != SPLIT), same and not of_old and kind == SPLIT
            other[at] = not same
            continue
        if kind == SPLIT:
            near = splits.setdefault((ticker, value), [])
            if any(abs((events.dates[at] - day).astype(int)) <= TWICE_DAYS_MAX for day in near):
                echoes[at] = True
            near.append(events.dates[at])
        told[key] = (value, False)
    return again, twice, other, echoes


def _keys(events: EventRows) -> list[tuple[str, str, str]]:
    days = np.datetime_as_string(events.dates).tolist() if len(events) else []
    return list(zip(events.kinds.tolist(), events.tickers.tolist(), days, strict=True))


class Attached(NamedTuple):
    """What events say of each row of a chain (m,), and the row that bears out each event of the batch, or :data:`NOWHERE`."""

    split: FloatArray
    payment: FloatArray
    hint: FloatArray
    row_of_event: IntArray


def attach(
    batch: PriceBatch, usable: BoolArray, known: KnownMarket, tickers: npt.NDArray[np.str_], code: IntArray, at: IntArray,
    state: StateArray,
) -> Attached:  # fmt: skip
    """Attach splits and dividends to rows of the chain.

    Parameters
    ----------
    batch, usable
        With ``usable`` (e,) of its events.
    known : KnownMarket
        Whose events that the trail's last row could show are done with.
    tickers : (n,) str
        Sorted.
    code, at : (m,) int64
        Ticker and position in the batch of each row of the chain, sorted by ticker and date.
    state : (n,) records
        The trail.
    """
    out = Attached(np.zeros(at.size), np.zeros(at.size), np.zeros(at.size), np.full(len(batch.events), NOWHERE, dtype=np.int64))
    bounds = np.searchsorted(code, np.arange(tickers.shape[0] + 1))
    days, learnt = batch.prices.dates[at], instants(batch.prices.known_at[at])
    close = batch.prices.close[at]
    for events, chosen, own in (
        (known.events, np.ones(len(known.events), dtype=np.bool_), False),
        (batch.events, usable, True),
    ):
        place, there = places_of(events.tickers, tickers)
        instant = instants(events.known_at)
        for index in np.flatnonzero(chosen & there & (events.kinds != DELISTING)).tolist():
            ticker, day = int(place[index]), events.dates[index]
            last = state["traded"][ticker]
            if not own and day <= last and events.known_at[index] <= state["learnt"][ticker]:
                continue
            lo, hi = int(bounds[ticker]), int(bounds[ticker + 1])
            is_split = events.kinds[index] == SPLIT
            rebased = is_split and batch.price_basis == SPLIT_ADJUSTED and not np.isnat(last) and day > last
            row = lo if rebased else lo + max(
                int(np.searchsorted(days[lo:hi], day)), int(np.searchsorted(learnt[lo:hi], instant[index]))
            )  # fmt: skip
            if row >= hi or batch.price_basis == TOTAL_RETURN or (rebased and day > batch.fetched_at):
                continue
            if own:
                out.row_of_event[index] = row
            if is_split:
                target = out.split if rebased or batch.price_basis == RAW else out.hint
                target[row] += np.log(events.values[index])
            elif days[row] - day <= np.timedelta64(TWICE_DAYS_MAX, "D"):
                # a dividend that was learnt long after its day is nothing that a later price could show
                out.payment[row] += np.log1p(events.values[index] / close[row])
    return out


def former_splits(batch: EventRows, usable: BoolArray, known: EventRows, tickers: npt.NDArray[np.str_]) -> FormerSplits:
    """Return by ticker the splits that it had: from when on each was effective and known, and the log of its ratio."""
    days: dict[int, list[DateArray]] = {}
    logs: dict[int, list[float]] = {}
    for events, chosen in ((known, np.ones(len(known), dtype=np.bool_)), (batch, usable)):
        place, there = places_of(events.tickers, tickers)
        since = np.maximum(events.dates, events.known_at.astype("datetime64[D]"))
        for index in np.flatnonzero(chosen & there & (events.kinds == SPLIT)).tolist():
            days.setdefault(int(place[index]), []).append(since[index])
            logs.setdefault(int(place[index]), []).append(float(np.log(events.values[index])))
    return {code: (np.array(days[code], dtype="datetime64[D]"), np.array(logs[code])) for code in days}


def without_price(events: EventRows, usable: BoolArray, tickers: npt.NDArray[np.str_], code: IntArray, days: DateArray,
                  state: StateArray, rules: QualityRules) -> list[Found]:  # fmt: skip
    """Return delistings of tickers that had no price for two weeks of sessions; ``code`` and ``days`` (m,) are sorted."""
    bounds = np.searchsorted(code, np.arange(tickers.shape[0] + 1))
    place, there = places_of(events.tickers, tickers)
    bare = []
    for index in np.flatnonzero(usable & (events.kinds == DELISTING) & np.isfinite(events.values)).tolist():
        last = np.datetime64("NaT", "D")
        if there[index]:
            lo, hi = int(bounds[place[index]]), int(bounds[place[index] + 1])
            before = int(np.searchsorted(days[lo:hi], events.dates[index]))
            last = days[lo + before - 1] if before else state["day"][place[index]]
        if np.isnat(last) or np.busday_count(last, events.dates[index]) > rules.live_gap_sessions + 1:
            bare.append(index)
    if not bare:
        return []
    return [of_events(events, Fault.DELISTING_WITHOUT_PRICE, np.array(bare), severity=Severity.COVERAGE)]
