"""Faults put into a clean answer, one injector a fault: each at ``PLACES`` places that the generator chooses.

An injector returns the answer with the fault, the tickers that it concerns, and ``bad``, the rows that nobody may use. It says
what a vendor does; it knows nothing of how that is found."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from market.batch import DELISTING, DIVIDEND, SPLIT, EventRows, PriceRows, join_rows
from tests.builders.vendor import Answer, events_of

PLACES = 5
SETTLED_SESSIONS = 10
"""A forgotten split is unusable for two weeks of sessions; what comes after, somebody has decided."""

BEGUN_SESSIONS = 60
"""Faults are put where a ticker has a past."""

Injector = Callable[[np.random.Generator, Answer], Answer]


def places(rng, answer: Answer, length: int = 1, count: int = PLACES) -> list[np.ndarray]:
    """Runs of ``length`` rows on neighbouring sessions, each of another ticker, away from splits, gaps and both ends."""
    prices, events = answer.batch.prices, answer.batch.events
    out = []
    for ticker in rng.permutation(np.unique(prices.tickers)):
        rows = np.flatnonzero(prices.tickers == ticker)
        if rows.size < BEGUN_SESSIONS + length + 15:
            continue
        first = int(rng.integers(BEGUN_SESSIONS, rows.size - length - 12))
        run = rows[first : first + length]
        session = np.searchsorted(answer.calendar.sessions, prices.dates[rows[first - 3 : first + length + 3]])
        told = events.dates[events.tickers == ticker]
        near = np.abs((told[:, None] - prices.dates[run][None, :]).astype(int)).min(initial=99)
        if (np.diff(session) == 1).all() and near > 5:
            out.append(run)
        if len(out) == count:
            return out
    return out


def marked(answer: Answer, runs) -> np.ndarray:
    bad = np.zeros(len(answer.batch.prices), dtype=bool)
    bad[np.concatenate([np.asarray(run) for run in runs])] = True
    return bad


def edited(answer: Answer, runs, bad=None, **columns) -> Answer:
    """The answer with new values of some columns in the rows of ``runs``."""
    at = np.concatenate([np.asarray(run) for run in runs])
    prices = answer.batch.prices
    changed = {}
    for name, value in columns.items():
        column = getattr(prices, name).copy()
        if isinstance(value, str) and column.dtype.kind == "U":
            column = column.astype("U24")
        column[at] = value(column[at]) if callable(value) else value
        changed[name] = column
    return answer.with_prices(replace(prices, **changed), prices.tickers[at], marked(answer, runs) if bad is None else bad)


def added(answer: Answer, rows: PriceRows, *, unusable: bool = True) -> Answer:
    """The answer with more rows at its end."""
    bad = np.concatenate([np.zeros(len(answer.batch.prices), dtype=bool), np.full(len(rows), unusable)])
    return answer.with_prices(join_rows([answer.batch.prices, rows]), rows.tickers, bad)


def scaled(answer: Answer, at, factor: float) -> Answer:
    """The answer with the prices of some rows times a factor, and nothing else changed."""
    prices = answer.batch.prices
    changed = {name: getattr(prices, name).copy() for name in ("open", "high", "low", "close")}
    for column in changed.values():
        column[at] *= factor
    return replace(answer, batch=replace(answer.batch, prices=replace(prices, **changed)))


# The answer as a whole


def empty_frame(rng, answer):
    none = np.zeros(len(answer.batch.prices), dtype=bool)
    batch = replace(answer.batch, prices=answer.batch.prices.take(none), events=EventRows.empty())
    return replace(answer, batch=batch, bad=np.zeros(0, dtype=bool))


def tickers_missing(rng, answer):
    tickers = np.unique(answer.batch.prices.tickers)
    kept = np.isin(answer.batch.prices.tickers, rng.choice(tickers, len(tickers) // 5, replace=False))
    prices = answer.batch.prices.take(kept)
    known = replace(answer.known, expected=tickers)
    return replace(answer, known=known).with_prices(prices, [], np.ones(len(prices), dtype=bool))


def stale_answer(rng, answer):
    chosen = rng.choice(np.unique(answer.batch.prices.tickers), PLACES, replace=False)
    last = np.unique(answer.batch.prices.dates)[-3]
    late = np.isin(answer.batch.prices.tickers, chosen) & (answer.batch.prices.dates >= last)
    prices = answer.batch.prices.take(~late)
    ended = set(answer.batch.events.tickers[answer.batch.events.kinds == DELISTING].tolist())
    return answer.with_prices(prices, set(chosen.tolist()) - ended, np.zeros(len(prices), dtype=bool))


def stale_price(rng, answer):
    runs = places(rng, answer, 4)
    prices = answer.batch.prices
    changed = {name: getattr(prices, name).copy() for name in ("open", "high", "low", "close", "volume")}
    for run in runs:
        for column in changed.values():
            column[run[1:]] = column[run[0]]
    return answer.with_prices(
        replace(prices, **changed), prices.tickers[[r[0] for r in runs]], marked(answer, [r[1:] for r in runs])
    )


def unsorted_dates(rng, answer):
    runs = places(rng, answer, 6)
    order = np.arange(len(answer.batch.prices))
    for run in runs:
        order[run] = run[::-1]
    prices = answer.batch.prices.take(order)
    return answer.with_prices(prices, prices.tickers[[r[0] for r in runs]], np.zeros(len(prices), dtype=bool))


# Rows by themselves


def zero_price(rng, answer):
    return edited(answer, places(rng, answer), close=0.0)


def negative_price(rng, answer):
    return edited(answer, places(rng, answer), open=lambda x: -x)


def missing_price(rng, answer):
    return edited(answer, places(rng, answer), close=np.nan)


def nan_volume(rng, answer):
    return edited(answer, places(rng, answer), volume=np.nan)


def negative_volume(rng, answer):
    return edited(answer, places(rng, answer), volume=lambda x: -x)


def zero_volume_week(rng, answer):
    return edited(answer, places(rng, answer, 5), volume=0.0)


def broken_range(rng, answer):
    return edited(answer, places(rng, answer), high=lambda x: x * 0.9)


def unicode_ticker(rng, answer):
    runs = places(rng, answer)
    words = ["ＡＡＰＬ", "A\u200bB", "ÄÖ", "", "A B"]
    prices = answer.batch.prices
    tickers = prices.tickers.astype("U24")
    for run, word in zip(runs, words, strict=False):
        tickers[run] = word
    return answer.with_prices(replace(prices, tickers=tickers), words[: len(runs)], marked(answer, runs))


def date_missing(rng, answer):
    return edited(answer, places(rng, answer), dates=np.datetime64("NaT"))


def _moved(rng, answer, holds: Callable[[np.ndarray], np.ndarray]) -> Answer:
    """More rows, copied from real ones, on dates that no exchange trades; one for each ticker."""
    sessions = answer.calendar.sessions
    every = np.arange(sessions[0], sessions[-1])
    free = every[~np.isin(every, sessions) & holds(every)]
    prices, rows, days = answer.batch.prices, [], []
    for run in places(rng, answer):
        later = free[free > prices.dates[run[0]]]
        if later.size and later[0] <= prices.dates.max():
            rows.append(run[0])
            days.append(later[0])
    copied = prices.take(np.array(rows))
    days = np.array(days, dtype="datetime64[D]")
    known = days.astype("datetime64[us]") + np.timedelta64(22, "h")
    return added(answer, replace(copied, dates=days, known_at=known))


def weekend_row(rng, answer):
    return _moved(rng, answer, lambda days: (days.astype(int) + 3) % 7 >= 5)


def holiday_row(rng, answer):
    return _moved(rng, answer, lambda days: (days.astype(int) + 3) % 7 < 5)


def _all_at_once(answer: Answer) -> Answer:
    """The answer as one fetch gives it: everything is known when it came."""
    prices = answer.batch.prices
    known_at = np.full(len(prices), answer.batch.fetched_at)
    return replace(answer, batch=replace(answer.batch, prices=replace(prices, known_at=known_at)))


def _shift(rng, answer, days: int) -> Answer:
    answer = _all_at_once(answer)
    runs = places(rng, answer, 30)
    return edited(answer, runs, dates=lambda column: column + np.timedelta64(days, "D"))


def dates_too_early(rng, answer):
    return _shift(rng, answer, -1)


def dates_too_late(rng, answer):
    return _shift(rng, answer, 1)


def partial_day(rng, answer):
    """The fetch came at noon of the last session."""
    last = answer.batch.prices.dates.max()
    noon = last.astype("datetime64[us]") + np.timedelta64(17, "h")
    bad = answer.batch.prices.dates == last
    return answer.with_prices(answer.batch.prices, answer.batch.prices.tickers[bad], bad, fetched_at=noon)


def future_date(rng, answer):
    prices = answer.batch.prices
    last = np.flatnonzero(prices.dates == prices.dates.max())[:PLACES]
    ahead = answer.calendar.sessions[np.searchsorted(answer.calendar.sessions, prices.dates.max()) + 3]
    return added(answer, replace(prices.take(last), dates=np.full(last.size, ahead)))


def outside_calendar(rng, answer):
    return edited(answer, places(rng, answer), dates=np.datetime64("1962-01-02"))


# Rows beside others


def hundredfold(rng, answer):
    runs = places(rng, answer)
    changed = answer
    for run in runs:
        changed = scaled(changed, run, float(rng.choice([100.0, 0.01])))
    return replace(changed, tickers=tickers_of(answer, runs), bad=marked(answer, runs))


def hundredfold_from_then_on(rng, answer):
    runs = [np.flatnonzero(answer.batch.prices.tickers == answer.batch.prices.tickers[run[0]]) for run in places(rng, answer)]
    runs = [run[int(rng.integers(BEGUN_SESSIONS, run.size - 5)) :] for run in runs]
    changed = answer
    for run in runs:
        changed = scaled(changed, run, 100.0)
    return replace(changed, tickers=tickers_of(answer, runs), bad=marked(answer, runs))


def tickers_of(answer, runs) -> frozenset[str]:
    return frozenset(str(answer.batch.prices.tickers[run[0]]) for run in runs)


def _with_split(rng, answer, applied: float, told: list[float]) -> Answer:
    """Prices fall by ``applied`` from a session on, as a split's do, and splits ``told`` are told of on that session."""
    runs = places(rng, answer, SETTLED_SESSIONS)
    prices, changed, events = answer.batch.prices, answer, []
    for run in runs:
        ticker = str(prices.tickers[run[0]])
        rest = np.flatnonzero((prices.tickers == ticker) & (prices.dates >= prices.dates[run[0]]))
        changed = scaled(changed, rest, 1.0 / applied)
        volume = changed.batch.prices.volume.copy()
        volume[rest] *= applied
        changed = replace(changed, batch=replace(changed.batch, prices=replace(changed.batch.prices, volume=volume)))
        day = prices.dates[run[0]]
        events += [(SPLIT, ticker, str(day), ratio, "", str(day.astype("datetime64[us]"))) for ratio in told]
    both = join_rows([changed.batch.events, events_of(*events)]) if events else changed.batch.events
    bad = np.zeros(len(prices), dtype=bool)
    return replace(changed, batch=replace(changed.batch, events=both), tickers=tickers_of(answer, runs), bad=bad)


def _ratio(rng) -> float:
    return float(rng.choice([1.5, 2.0, 3.0, 4.0, 0.1, 0.2]))


def missing_split(rng, answer):
    changed = _with_split(rng, answer, _ratio(rng), [])
    prices = answer.batch.prices
    apart = ~np.isclose(changed.batch.prices.close, prices.close)
    bad = np.zeros(len(prices), dtype=bool)
    for ticker in changed.tickers:
        bad[np.flatnonzero(apart & (prices.tickers == ticker))[:SETTLED_SESSIONS]] = True
    return replace(changed, bad=bad)


def split_told_twice(rng, answer):
    ratio = _ratio(rng)
    return _with_split(rng, answer, ratio, [ratio, ratio])


def split_told_again(rng, answer):
    """The vendor tells of a split, and tells of it again three sessions later."""
    ratio = _ratio(rng)
    changed = _with_split(rng, answer, ratio, [ratio])
    told, sessions = changed.batch.events, answer.calendar.sessions
    fresh = np.flatnonzero(np.isin(np.arange(len(told)), np.arange(len(answer.batch.events)), invert=True))
    later = sessions[np.searchsorted(sessions, told.dates[fresh]) + 3]
    again = replace(told.take(fresh), dates=later, known_at=later.astype("datetime64[us]"))
    return replace(changed, batch=replace(changed.batch, events=join_rows([told, again])))


def split_told_squared(rng, answer):
    ratio = _ratio(rng)
    changed = _with_split(rng, answer, ratio, [ratio * ratio])
    apart = ~np.isclose(changed.batch.prices.close, answer.batch.prices.close)
    firsts = [np.flatnonzero(apart & (answer.batch.prices.tickers == t))[:1] for t in changed.tickers]
    return replace(changed, bad=marked(answer, firsts))


def invented_split(rng, answer):
    return _with_split(rng, answer, 1.0, [_ratio(rng)])


def unadjusted_again(rng, answer):
    """After a split that all know of, a vendor gives prices of the former basis for a few sessions."""
    ratio = float(rng.choice([2.0, 3.0, 4.0]))
    changed = _with_split(rng, answer, ratio, [ratio])
    prices, runs = changed.batch.prices, []
    apart = ~np.isclose(prices.close, answer.batch.prices.close)
    for ticker in changed.tickers:
        after = np.flatnonzero(apart & (prices.tickers == ticker))
        if after.size > 12:
            runs.append(after[8:11])
    flipped = changed
    for run in runs:
        flipped = scaled(flipped, run, ratio)
    return replace(flipped, tickers=tickers_of(answer, runs), bad=marked(answer, runs))


def swapped_tickers(rng, answer):
    """Two tickers whose prices stand apart by six tenths at least take each other's rows for three sessions."""
    prices, order, bad, tickers = answer.batch.prices, np.arange(len(answer.batch.prices)), [], set()
    runs = places(rng, answer, 3, count=40)
    for run in runs:
        day = prices.dates[run]
        for other in rng.permutation(np.unique(prices.tickers)):
            mates = np.flatnonzero((prices.tickers == other) & np.isin(prices.dates, day))
            far = mates.size == run.size and abs(np.log(prices.close[mates[0]] / prices.close[run[0]])) > 0.6
            begun = mates.size and (prices.tickers == other).argmax() + BEGUN_SESSIONS < mates[0]
            mine = str(prices.tickers[run[0]])
            events = answer.batch.events
            told = events.dates[np.isin(events.tickers, [str(other), mine])]
            quiet = np.abs((told - day[0]).astype(int)).min(initial=99) > 7
            if far and begun and quiet and not {str(other), mine} & tickers:
                order[run], order[mates] = mates, run
                tickers |= {str(other), mine}
                bad += [run, mates]
                break
        if len(tickers) >= 2 * PLACES:
            break
    columns = {name: getattr(prices, name)[order] for name in ("open", "high", "low", "close", "volume")}
    return answer.with_prices(replace(prices, **columns), tickers, marked(answer, bad))


def duplicate_rows(rng, answer):
    runs = places(rng, answer)
    copies = answer.batch.prices.take(np.concatenate(runs))
    return added(answer, copies)


def contradicting_rows(rng, answer):
    runs = places(rng, answer)
    copies = answer.batch.prices.take(np.concatenate(runs))
    changed = added(answer, replace(copies, close=copies.close * 1.01, high=copies.high * 1.02))
    changed.bad[np.concatenate(runs)] = True
    return changed


def currency_change(rng, answer):
    return edited(answer, places(rng, answer, 3), currencies="GBp")


def ticker_reuse(rng, answer):
    """A ticker falls silent for two months and comes back as something else."""
    prices, kept, bad, tickers = answer.batch.prices, np.ones(len(answer.batch.prices), dtype=bool), [], set()
    changed = answer
    for run in places(rng, answer, 50):
        mine = np.flatnonzero(prices.tickers == prices.tickers[run[0]])
        kept[run[:45]] = False
        rest = mine[mine > run[44]]
        changed = scaled(changed, rest, float(rng.choice([0.12, 0.2, 6.0, 9.0])))
        bad.append(rest)
        tickers.add(str(prices.tickers[run[0]]))
    mask = marked(answer, bad)
    return changed.with_prices(changed.batch.prices.take(kept), tickers, mask[kept])


def after_the_delisting(rng, answer):
    runs = places(rng, answer, 5)
    told = [_delisting(answer, run[0], 0.1, "merger") for run in runs]
    prices, bad = answer.batch.prices, np.zeros(len(answer.batch.prices), dtype=bool)
    for run in runs:
        bad |= (prices.tickers == prices.tickers[run[0]]) & (prices.dates >= prices.dates[run[0]])
    return answer.with_events(join_rows([answer.batch.events, events_of(*told)]), prices.tickers[[r[0] for r in runs]], bad)


def restated_history(rng, answer):
    """Five years on, the vendor says something else of old days."""
    runs = places(rng, answer)
    copies = answer.batch.prices.take(np.concatenate(runs))
    later = copies.known_at + np.timedelta64(5 * 365, "D")
    fetched = answer.batch.fetched_at + np.timedelta64(6 * 365, "D")
    names = ("open", "high", "low", "close")
    changed = added(answer, replace(copies, known_at=later, **{n: getattr(copies, n) * 1.03 for n in names}))
    return replace(changed, batch=replace(changed.batch, fetched_at=fetched))


def float_noise(rng, answer):
    runs = places(rng, answer)
    copies = answer.batch.prices.take(np.concatenate(runs))
    noisy = {n: getattr(copies, n).astype(np.float32).astype(np.float64) for n in ("open", "high", "low", "close")}
    return added(answer, replace(copies, known_at=copies.known_at + np.timedelta64(1, "h"), **noisy))


# Events


def _delisting(answer, row, value: float, reason: str):
    prices = answer.batch.prices
    day = prices.dates[row]
    return (DELISTING, str(prices.tickers[row]), str(day), value, reason, str(day.astype("datetime64[us]")))


def _ends(rng, answer, value: float, reason: str) -> Answer:
    """Tickers end with an event."""
    runs, prices = places(rng, answer), answer.batch.prices
    kept = np.ones(len(prices), dtype=bool)
    for run in runs:
        kept &= ~((prices.tickers == prices.tickers[run[0]]) & (prices.dates >= prices.dates[run[0]]))
    told = [_delisting(answer, run[0], value, reason) for run in runs]
    changed = answer.with_events(join_rows([answer.batch.events, events_of(*told)]), prices.tickers[[r[0] for r in runs]])
    return changed.with_prices(prices.take(kept), changed.tickers, np.zeros(int(kept.sum()), dtype=bool))


def delisting(rng, answer):
    return _ends(rng, answer, -0.4, "performance")


def delisting_without_return(rng, answer):
    return _ends(rng, answer, np.nan, "unknown")


def delisting_long_after(rng, answer):
    """The event comes months after the last price."""
    changed = _ends(rng, answer, -1.0, "performance")
    prices = changed.batch.prices
    kept = np.ones(len(prices), dtype=bool)
    for ticker in changed.tickers:
        rows = np.flatnonzero(prices.tickers == ticker)
        kept[rows[-40:]] = False
    return changed.with_prices(prices.take(kept), changed.tickers, np.zeros(int(kept.sum()), dtype=bool))


def merger(rng, answer):
    return _ends(rng, answer, 0.25, "merger")


def zero_dividend(rng, answer):
    return _told(rng, answer, DIVIDEND, lambda close: 0.0)


def implausible_dividend(rng, answer):
    return _told(rng, answer, DIVIDEND, lambda close: 0.4 * close)


def invalid_event(rng, answer):
    return _told(rng, answer, SPLIT, lambda close: -2.0)


def _told(rng, answer, kind: str, value: Callable[[float], float]) -> Answer:
    runs, prices = places(rng, answer), answer.batch.prices
    told = []
    for run in runs:
        day = prices.dates[run[0]]
        instant = str(day.astype("datetime64[us]"))
        told.append((kind, str(prices.tickers[run[0]]), str(day), value(float(prices.close[run[0]])), "", instant))
    return answer.with_events(join_rows([answer.batch.events, events_of(*told)]), prices.tickers[[r[0] for r in runs]])


def jump(rng, answer):
    """A bad print, at no split's ratio, that the next session takes back."""
    runs = places(rng, answer)
    changed = answer
    for run in runs:
        changed = scaled(changed, run, float(rng.choice([0.59, 1.7])))
    return replace(changed, tickers=tickers_of(answer, runs), bad=marked(answer, runs))
