"""The quality gate: what of a vendor's batch is used, what is set aside and why, and whether the batch is used at all.

1. Each row by itself: ticker, date, session, instant, numbers (:mod:`market.quality.cells`).
2. The order of judging: a chain, later words, twins (:mod:`market.quality.order`).
3. Currency, and rows that repeat the one before to the last digit.
4. Events by themselves, and attached to the rows that must show them (:mod:`market.quality.events`).
5. Each price against the one before: jumps, and how they are settled (:mod:`market.quality.levels`).
6. Later words against what was known of their dates (:mod:`market.quality.restated`).
7. Coverage, staleness, and the batch as a whole (:mod:`market.quality.coverage`).

Every row gets one verdict: accepted, unused (no trade, or nothing new), or set aside (quarantined) under a name. Decision
instant: the verdict of a row is made of rows and events with a ``known_at`` not later than the row's own, and never changes.
What is learnt later comes as a release: a later word with a ``known_at`` of its own.

No prices are repaired here, nothing is fetched, nothing is stored.
"""

from typing import NamedTuple

import numpy as np

from market.arrays import BoolArray, DateArray, FloatArray, IntArray
from market.batch import SPLIT, EventRows, PriceBatch, PriceRows
from market.quality import coverage as cover
from market.quality.cells import Placed, judge_numbers, place, shifted
from market.quality.events import Attached, JudgedEvents, attach, former_splits, judge_events, without_price
from market.quality.faults import ACCEPTED, QUARANTINED, UNUSED, Fault, Found, Severity, of_batch, of_events, of_prices
from market.quality.judgement import Judgement, Releases, empty_judgement
from market.quality.known import KnownMarket, StateArray, Trail, delisted_on
from market.quality.levels import Chain, Followed, follow
from market.quality.naming import FAULTS
from market.quality.order import Ordered, instants, order_rows, unsorted
from market.quality.restated import judge_later
from market.quality.rules import QualityRules

NO_SESSION_BEFORE = -1

NOISE_OF_FACTORS = 1e-6
"""Steps of adj_close over close below this are float32's."""

SHORT_KEYS = 1 << 16


def judge_batch(
    batch: PriceBatch,
    known: KnownMarket,
    rules: QualityRules | None = None,
    *,
    adjusted: FloatArray | None = None,
    reported: tuple[Found, ...] = (),
) -> Judgement:
    """Judge a batch.

    Parameters
    ----------
    batch : PriceBatch
        As the vendor gave it, in any order. Numbers of any kind are input here, never an error.
    known : KnownMarket
        What was known before.
    rules : QualityRules, optional
    adjusted : (r,) float64, optional
        ``adj_close`` of each row, where the source has it: total returns must be those of the closes but for dividends.
    reported : tuple of Found
        What the vendor adapter met itself: see :func:`market.quality.rate_limited` and its neighbours.

    Returns
    -------
    Judgement
    """
    rules = rules or QualityRules()
    if len(batch.prices) == 0 and len(batch.events) == 0:
        return empty_judgement(batch, known, (*reported, of_batch(Fault.EMPTY_ANSWER)))
    with np.errstate(all="ignore"):  # whatever a vendor sends is input; what is not finite was set aside by name
        return _judge(batch, known, rules, adjusted, reported)


class _Rows(NamedTuple):
    """What a batch came to before prices were compared; ``state`` is the trail on the batch's tickers."""

    placed: Placed
    state: StateArray
    ended: DateArray
    ordered: Ordered
    listed: IntArray  # rows on sessions, sorted by ticker and date
    idle: BoolArray  # of them, those without trade
    found: list[Found]


def _judge(
    batch: PriceBatch, known: KnownMarket, rules: QualityRules, adjusted: FloatArray | None, reported: tuple[Found, ...]
) -> Judgement:
    """Steps 1 to 7; ``before`` and ``after`` are the trail's records on both sides of the batch."""
    prices = batch.prices
    judged = judge_events(batch.events, known.events, rules)
    rows = _rows_by_themselves(batch, known, rules, adjusted, judged)
    placed, before = rows.placed, rows.state
    chain, spoilt = _beside_the_last(prices, placed, rows.ordered.chain, before)
    found = [*reported, *rows.found, *judged.found, *spoilt]
    attached = attach(batch, judged.usable, known, placed.tickers, placed.code[chain], chain, before)
    bare = without_price(batch.events, judged.usable, placed.tickers, placed.code[chain], prices.dates[chain], before, rules)
    after = before.copy()
    former = former_splits(batch.events, judged.usable, known.events, placed.tickers)
    numbers, order = _numbers(batch, known, placed, chain, before, attached, adjusted)
    followed = _by_ticker(follow(after, former, numbers, rules), order)
    events_wrong, wrong = _wrong_events(batch.events, judged, attached, followed)
    later = judge_later(prices, placed, rows.ordered.later, chain, followed.fault == 0, known.prices, before, rules)
    found += [*bare, *_price_findings(prices, chain, followed, adjusted), *wrong, *later.found]
    verdicts = np.full(len(prices), QUARANTINED, dtype=np.int8)
    verdicts[_positions(found, "prices", Severity.COVERAGE)] = UNUSED
    verdicts[chain[followed.fault == 0]] = ACCEPTED
    verdicts[rows.ordered.later[later.accepted]] = ACCEPTED
    verdicts[rows.ordered.later[later.unused]] = UNUSED
    verdicts[_positions(found, "prices", Severity.QUARANTINE)] = QUARANTINED
    released, releases = _releases(prices, placed, chain, followed, order)
    weeks = cover.idle_weeks(prices, placed, rows.listed, rows.idle, before, rules.zero_volume_week_sessions)
    since = _session_before(placed, known, rows.listed, before["seen"])
    found += [*weeks.found, *cover.gaps(prices, placed, rows.listed, since)]
    _remember(after, prices, placed, rows.listed, chain, weeks.runs, adjusted)
    standing = verdicts.copy()
    standing[rows.ordered.later[later.unused]] = ACCEPTED  # what was known already is there
    counted = cover.session_coverage(placed, standing, known, before, rows.ended, rules)
    found += [*unsorted(prices, placed), *cover.thin_sessions(counted, rules), *cover.unanswered(placed, known, rules)]
    found += cover.stale_tickers(placed, known, after, rows.ended, rules)
    return Judgement(
        verdicts=verdicts,
        event_verdicts=np.where(
            judged.usable & ~events_wrong, ACCEPTED, np.where(judged.said_again, UNUSED, QUARANTINED)
        ).astype(np.int8),
        findings=tuple(found),
        released_at=released,
        releases=releases,
        breaks=_breaks(releases),
        coverage=counted,
        trail=Trail(placed.tickers, after),
        refused="",
    ).refused_if_bad(known, rules)


def _positions(found: list[Found], of: str, severity: Severity) -> IntArray:
    at = [f.at for f in found if f.of == of and f.severity is severity]
    return np.concatenate(at) if at else np.empty(0, dtype=np.int64)


def _rows_by_themselves(
    batch: PriceBatch, known: KnownMarket, rules: QualityRules, adjusted: FloatArray | None, judged: JudgedEvents
) -> _Rows:
    """Steps 1 and 2, and rows of a listing that had ended."""
    prices = batch.prices
    placed, found = place(batch, known, rules)
    numbers, priced = judge_numbers(prices, rules, adjusted)
    state = known.trail.on(placed.tickers)
    told = known.after(known.trail, batch.events.take(judged.usable)).events
    ended, ended_known = delisted_on(placed.tickers, told)
    over = placed.sound & (prices.dates >= ended[placed.code]) & (prices.known_at >= ended_known[placed.code])
    over &= ~_cleared(prices, placed, known, over)
    doubtful = np.zeros(len(prices), dtype=np.bool_)
    doubtful[shifted(prices, placed, known)] = True
    doubtful &= placed.sound
    found += [*numbers]
    for hit, fault in ((doubtful, Fault.SHIFTED_DATES), (over, Fault.TICKER_REUSE)):
        if hit.any():
            found.append(of_prices(prices, fault, np.flatnonzero(hit), "date"))
    settled = placed.sound & ~doubtful & ~over
    ordered = order_rows(prices, placed, settled & priced, state["day"])
    listed = np.flatnonzero(settled)
    listed = listed[np.lexsort((prices.dates[listed], placed.code[listed]))] if _mixed(prices, placed, listed) else listed
    idle = np.zeros(len(prices), dtype=np.bool_)
    for f in numbers:
        if f.severity is Severity.COVERAGE:
            idle[f.at] = True
    return _Rows(placed, state, ended, ordered, listed, idle[listed], [*found, *ordered.found])


def _mixed(prices: PriceRows, placed: Placed, at: IntArray) -> bool:
    code, day = placed.code[at], prices.dates[at]
    return bool(((code[1:] < code[:-1]) | (code[1:] == code[:-1]) & (day[1:] < day[:-1])).any())


def _cleared(prices: PriceRows, placed: Placed, known: KnownMarket, over: BoolArray) -> BoolArray:
    """Rows of an ended listing that a person found right: from the cleared date on the ticker names something anew."""
    out = np.zeros(len(prices), dtype=np.bool_)
    for ticker, day in known.cleared:
        at = int(np.searchsorted(placed.tickers, ticker))
        if at < placed.tickers.shape[0] and placed.tickers[at] == ticker:
            out |= over & (placed.code == at) & (prices.dates >= np.datetime64(day, "D"))
    return out


def _beside_the_last(prices: PriceRows, placed: Placed, chain: IntArray, state: StateArray) -> tuple[IntArray, list[Found]]:
    """Step 3: take out of the chain what has another currency, or repeats the row before to the last digit."""
    code, currency = placed.code[chain], prices.currencies[chain]
    spoken = np.flatnonzero(currency != "")
    usual = state["currency"].copy()
    firsts, at = np.unique(code[spoken], return_index=True)
    fresh = usual[firsts] == ""
    usual[firsts[fresh]] = currency[spoken[at[fresh]]]
    other = (currency != "") & (currency != usual[code])
    same = np.ones(chain.size, dtype=np.bool_)
    head = np.concatenate([[True], code[1:] != code[:-1]]) if chain.size else np.empty(0, dtype=np.bool_)
    for name in ("open", "close", "volume"):
        column = getattr(prices, name)[chain]
        last = np.where(head, state[name][code], np.roll(column, 1))
        same &= (column == last) | (np.isnan(column) & np.isnan(last) & (name == "open"))
    same &= prices.volume[chain] > 0
    found = [
        of_prices(prices, fault, chain[hit], column)
        for hit, fault, column in ((other, Fault.CURRENCY_CHANGE, "currency"), (same & ~other, Fault.STALE_PRICE, "close"))
        if hit.any()
    ]
    return chain[~(other | same)], found


def _session_before(placed: Placed, known: KnownMarket, rows: IntArray, last: DateArray) -> IntArray:
    """Session of the row before each of ``rows`` (m,), which are sorted by ticker and date; ``last`` (n,) is the trail's."""
    code, session = placed.code[rows], placed.session[rows]
    before = np.full(placed.tickers.shape[0], NO_SESSION_BEFORE, dtype=np.int64)
    heard = ~np.isnat(last)
    for at, name in enumerate(placed.exchanges):
        mine = heard & (placed.exchange_of == at)
        before[mine] = np.searchsorted(known.calendars[name].sessions, last[mine])
    if rows.size == 0:
        return np.empty(0, dtype=np.int64)
    head = np.concatenate([[True], code[1:] != code[:-1]])
    return np.asarray(np.where(head, before[code], np.roll(session, 1)), dtype=np.int64)


def _numbers(
    batch: PriceBatch, known: KnownMarket, placed: Placed, chain: IntArray, state: StateArray, attached: Attached,
    adjusted: FloatArray | None,
) -> tuple[Chain, IntArray]:  # fmt: skip
    """The chain as numbers, sorted by date and exchange, and its order beside that by ticker and date."""
    prices, code = batch.prices, placed.code[chain]
    since = _session_before(placed, known, chain, state["traded"])
    close, volume = prices.close[chain], prices.volume[chain]
    step = np.zeros(chain.size)
    if adjusted is not None and chain.size:
        factor = np.log(adjusted[chain] / close)
        head = np.concatenate([[True], code[1:] != code[:-1]])
        step = factor - np.where(head, state["factor"][code], np.roll(factor, 1))
        step[np.abs(step) < NOISE_OF_FACTORS] = 0.0
    keys = prices.dates[chain].astype(np.int64) * len(placed.exchanges) + placed.exchange_of[code]
    keys -= keys.min() if keys.size else 0
    if keys.max(initial=0) < SHORT_KEYS:
        keys = keys.astype(np.uint16)  # numbers of two bytes are sorted in one pass
    order = np.argsort(keys, kind="stable")
    sorted_keys = keys[order]
    begins = (
        np.flatnonzero(np.concatenate([[True], sorted_keys[1:] != sorted_keys[:-1]])) if order.size else np.empty(0, np.int64)
    )
    at, log_close = chain[order], np.log(close[order])
    shares = np.where(volume[order] > 0, np.log(volume[order]), np.nan)
    instant = instants(prices.known_at[at])
    sizes = np.diff(np.append(begins, order.size))
    first = instant == np.repeat(np.minimum.reduceat(instant, begins) if begins.size else begins, sizes)
    cleared = np.zeros(order.size, dtype=np.bool_)
    for ticker, day in known.cleared:
        cleared |= (prices.tickers[at] == ticker) & (prices.dates[at] == np.datetime64(day, "D"))
    numbers = Chain(
        bounds=np.append(begins, order.size),
        code=code[order],
        day=prices.dates[at],
        session=placed.session[at],
        since=since[order],
        close=log_close,
        dollars=log_close + shares,
        shares=shares,
        intraday=log_close - np.log(prices.open[at]),
        split=attached.split[order],
        payment=attached.payment[order],
        step=step[order],
        hint=attached.hint[order],
        first=np.asarray(first, dtype=np.bool_),
        cleared=cleared,
    )
    return numbers, order


def _by_ticker(followed: Followed, order: IntArray) -> Followed:
    """Bring what the fold said of rows by date back into the order by ticker and date."""
    back = np.empty(order.size, dtype=np.int64)
    back[order] = np.arange(order.size)
    return Followed(*(getattr(followed, name)[back] for name in Followed.__dataclass_fields__))


def _wrong_events(
    events: EventRows, judged: JudgedEvents, attached: Attached, followed: Followed
) -> tuple[BoolArray, list[Found]]:
    """Events whose row of prices did not bear them out."""
    wrong = attached.row_of_event >= 0
    wrong[wrong] = followed.event_wrong[attached.row_of_event[wrong]]
    split = events.kinds == SPLIT
    cases = (
        (wrong & split & judged.echoes, Fault.DOUBLED_SPLIT),
        (wrong & split & ~judged.echoes, Fault.INVENTED_SPLIT),
        (wrong & ~split, Fault.DIVIDEND_IMPLAUSIBLE),
    )
    return wrong, [of_events(events, fault, np.flatnonzero(hit)) for hit, fault in cases if hit.any()]


def _price_findings(prices: PriceRows, chain: IntArray, followed: Followed, adjusted: FloatArray | None) -> list[Found]:
    """Findings of the fold; values are the factors by which prices moved."""
    out = []
    for number in np.unique(followed.fault[followed.fault > 0]).tolist():
        fault, hit = FAULTS[number - 1], followed.fault == number
        column = "adj_close" if adjusted is not None and fault is Fault.ADJUSTMENT_FLIP else "close"
        out.append(of_prices(prices, fault, chain[hit], column, np.exp(followed.move[hit])))
    return out


def _releases(
    prices: PriceRows, placed: Placed, chain: IntArray, followed: Followed, order: IntArray
) -> tuple[DateArray, Releases]:
    """What settled doubts release: the instant (r,) at which each row of this batch came free, and the releases themselves."""
    released = np.full(len(prices), np.datetime64("NaT"), dtype="datetime64[us]")
    settling = np.flatnonzero(followed.settles)
    settling = settling[np.argsort(order[settling], kind="stable")] if settling.size else settling
    lasts = np.full(settling.size, np.datetime64("NaT"), dtype="datetime64[D]")
    for index, row in enumerate(settling.tolist()):
        fault, code, since = followed.settled_fault[row], placed.code[chain[row]], followed.settled_since[row]
        at = row - 1
        lasts[index] = since
        while at >= 0 and placed.code[chain[at]] == code and prices.dates[chain[at]] >= since and followed.fault[at] == fault:
            released[chain[at]] = prices.known_at[chain[row]]
            lasts[index] = max(lasts[index], prices.dates[chain[at]])
            at -= 1
    rows = chain[settling]
    return released, Releases(
        tickers=prices.tickers[rows],
        first=followed.settled_since[settling],
        last=lasts,
        known_at=prices.known_at[rows],
        faults=tuple(FAULTS[f - 1] for f in followed.settled_fault[settling].tolist()),
        ratios=followed.settled_ratio[settling],
    )


def _breaks(releases: Releases) -> EventRows:
    """Splits inferred of settled breaks, known when they were settled."""
    at = np.flatnonzero(np.isfinite(releases.ratios))
    words = np.full(at.size, SPLIT), np.full(at.size, "inferred")
    return EventRows(words[0], releases.tickers[at], releases.first[at], releases.ratios[at], words[1], releases.known_at[at])


def _remember(
    state: StateArray, prices: PriceRows, placed: Placed, listed: IntArray, chain: IntArray, idle: IntArray,
    adjusted: FloatArray | None,
) -> None:  # fmt: skip
    """Write what the last rows of each ticker leave behind into ``state``."""
    state["idle"] = idle
    for rows, name in ((listed, "seen"), (chain, "traded")):
        tail = _tails(placed.code[rows])
        code = placed.code[rows[tail]]
        state[name][code] = np.fmax(state[name][code], prices.dates[rows[tail]])
    last = chain[_tails(placed.code[chain])]
    code = placed.code[last]
    for name, column in (("open", "open"), ("close", "close"), ("volume", "volume"), ("learnt", "known_at")):
        state[name][code] = getattr(prices, column)[last]
    if adjusted is not None:
        state["factor"][code] = np.log(adjusted[last] / prices.close[last])
    spoken = chain[prices.currencies[chain] != ""]
    first = spoken[np.unique(placed.code[spoken], return_index=True)[1]]
    fresh = state["currency"][placed.code[first]] == ""
    state["currency"][placed.code[first[fresh]]] = prices.currencies[first[fresh]]


def _tails(code: IntArray) -> BoolArray:
    """Tell which rows are the last of their ticker, where rows are sorted by it."""
    if code.size == 0:
        return np.empty(0, dtype=np.bool_)
    return np.concatenate([code[1:] != code[:-1], [True]])
