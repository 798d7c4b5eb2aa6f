"""Verdicts depend on the past alone, a history in one batch or session by session gives the same, every row has one verdict,
and nothing that a vendor can send raises. Method: change everything after an instant, cut batches, send hostile columns; seeds
are printed, and small cases are worked out by hand."""

from dataclasses import fields, replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.batch import DIVIDEND, SPLIT, EventRows, PriceBatch, join_rows
from market.calendars import session_calendar
from market.quality import (
    ACCEPTED,
    QUARANTINED,
    UNUSED,
    Fault,
    KnownMarket,
    QualityRules,
    Severity,
    Trail,
    coverage_of,
    judge_batch,
)  # fmt: skip
from market.targets import coverage, forward_returns, priced_share
from tests.builders import faults
from tests.builders.panels import hand_panel, view_at
from tests.builders.vendor import events_of, market, rows_of

NEW_YORK = session_calendar("XNYS", date(2013, 1, 1), date(2019, 12, 31))
LENIENT = QualityRules(bad_rows_min=10**9)


def spoiled(seed: int):
    """An answer with many faults at once, none of which refuses the batch."""
    answer = market(seed, 40, date(2014, 1, 2), date(2014, 12, 31), halts_per_year=1.0)
    rng = np.random.default_rng([seed, 5])
    chosen = (faults.hundredfold, faults.missing_split, faults.split_told_squared, faults.invented_split, faults.jump,
              faults.zero_volume_week, faults.nan_volume, faults.currency_change, faults.weekend_row, faults.float_noise,
              faults.contradicting_rows, faults.merger, faults.implausible_dividend)  # fmt: skip
    for inject in chosen:
        answer = inject(rng, answer)
    return answer


def known_rows(findings, instant, prices, events):
    """Findings about rows and events that were known by an instant, as sets."""
    out = set()
    for found in findings:
        if found.of == "batch" or found.fault is Fault.UNSORTED_DATES:
            continue
        known_at = (prices if found.of == "prices" else events).known_at[found.at]
        for at, value in zip(found.at[known_at <= instant].tolist(), found.values[known_at <= instant].tolist(), strict=True):
            out.add((found.fault, found.severity, found.of, at, value if value == value else None))
    return out


def changed_after(batch: PriceBatch, instant, rng) -> PriceBatch:
    """The batch with every number that was learnt after an instant replaced."""
    prices, events = batch.prices, batch.events
    later = prices.known_at > instant
    columns = {}
    for name in ("open", "high", "low", "close", "volume"):
        column = getattr(prices, name).copy()
        column[later] *= rng.choice([0.01, 0.5, 1.0, 1.7, 100.0, np.nan], int(later.sum()))
        columns[name] = column
    currencies = prices.currencies.copy()
    currencies[later] = rng.choice(["USD", "GBp", ""], int(later.sum()))
    told = events.known_at > instant
    values = np.where(told, events.values * 3.0, events.values)
    return replace(
        batch,
        prices=replace(prices, currencies=currencies, **columns),
        events=replace(events, values=values),
    )


@pytest.mark.parametrize("seed", range(4))
def test_nothing_that_was_learnt_later_changes_a_verdict(seed):
    answer = spoiled(seed)
    rng = np.random.default_rng(seed)
    prices, events = answer.batch.prices, answer.batch.events
    whole = judge_batch(answer.batch, answer.known, LENIENT)
    for instant in rng.choice(np.unique(prices.known_at)[70:], 6, replace=False):
        print(f"seed {seed}, instant {instant}")
        other = judge_batch(changed_after(answer.batch, instant, rng), answer.known, LENIENT)
        before = prices.known_at <= instant
        np.testing.assert_array_equal(other.verdicts[before], whole.verdicts[before])
        told = events.known_at <= instant
        free = (whole.released_at <= instant, other.released_at <= instant)
        np.testing.assert_array_equal(*free)
        row_findings = [known_rows(j.findings, instant, prices, events) for j in (whole, other)]
        # an event is borne out by a row: only those whose row was known then are settled
        prices_only = [{f for f in found if f[2] == "prices"} for found in row_findings]
        assert prices_only[0] == prices_only[1]
        assert told.any()


def test_the_truncated_batch_says_the_same_as_the_whole():
    answer = spoiled(9)
    prices, events = answer.batch.prices, answer.batch.events
    whole = judge_batch(answer.batch, answer.known, LENIENT)
    for instant in np.unique(prices.known_at)[90::60]:
        cut = replace(
            answer.batch, prices=prices.take(prices.known_at <= instant), events=events.take(events.known_at <= instant)
        )
        part = judge_batch(cut, answer.known, LENIENT)
        np.testing.assert_array_equal(part.verdicts, whole.verdicts[prices.known_at <= instant])


@pytest.mark.parametrize("seed", range(3))
def test_session_by_session_gives_the_verdicts_of_one_batch(seed):
    answer = spoiled(seed)
    chosen = ~np.isin(np.arange(len(answer.batch.prices)), np.flatnonzero(np.isnat(answer.batch.prices.known_at)))
    prices, events = answer.batch.prices.take(chosen), answer.batch.events
    whole = judge_batch(replace(answer.batch, prices=prices), answer.known, LENIENT)
    known, verdicts, released = answer.known, np.full(len(prices), -1, dtype=np.int8), 0
    kept = prices.take(np.zeros(len(prices), dtype=bool))
    instants = np.unique(prices.known_at)
    for begin, end in zip(np.append(instants[:1] - 10**12, instants[:-1]), instants, strict=True):
        rows, told = (prices.known_at > begin) & (prices.known_at <= end), (events.known_at > begin) & (events.known_at <= end)
        batch = replace(answer.batch, prices=prices.take(rows), events=events.take(told), fetched_at=end)
        part = judge_batch(batch, replace(known, prices=kept), LENIENT)
        verdicts[rows] = part.verdicts
        released += len(part.releases)
        known = known.after(part.trail, batch.events.take(part.accepted_events))
        kept = join_rows([kept, batch.prices.take(part.accepted)])
    same = verdicts == whole.verdicts
    print(f"seed {seed}: {int((~same).sum())} of {len(prices)} rows differ")
    assert same.all()
    assert released == len(whole.releases)


@pytest.mark.parametrize("seed", range(4))
def test_every_row_has_one_verdict_and_whatever_is_not_used_has_a_finding(seed):
    answer = spoiled(seed)
    judgement = judge_batch(answer.batch, answer.known, LENIENT)
    masks = np.stack([judgement.accepted, judgement.unused, judgement.quarantined])
    assert (masks.sum(axis=0) == 1).all()
    named = np.zeros(len(answer.batch.prices), dtype=bool)
    for found in judgement.findings:
        if found.of == "prices" and found.severity in {Severity.QUARANTINE, Severity.COVERAGE}:
            named[found.at] = True
    assert named[~judgement.accepted].all()
    assert judgement.coverage.accepted.sum() == judgement.covered.sum()
    assert (judgement.coverage.expected > 0).all()
    report = judgement.report()
    assert sum(report["rows"][name] for name in ("accepted", "unused", "quarantined")) == report["rows"]["all"]


def quiet(n=1, sessions=120, start=date(2014, 1, 2), seed=0, volume=1e6):
    """Rows of ``n`` tickers that move by a percent a day, and the sessions they are on."""
    at = NEW_YORK.index_of(start)
    days = NEW_YORK.sessions[at : at + sessions]
    moves = np.random.default_rng(seed).normal(0, 0.01, (sessions, n))
    close = 50 * np.exp(np.cumsum(moves, axis=0))
    tickers = np.repeat([f"T{i}" for i in range(n)], sessions)
    close = close.T.ravel()
    known_at = np.tile(NEW_YORK.closes[at : at + sessions].astype("datetime64[us]") + np.timedelta64(1, "h"), n)
    return rows_of(tickers=tickers, dates=np.tile(days, n), open=close, close=close, known_at=known_at,
                   volume=volume * np.exp(np.random.default_rng(seed + 1).normal(0, 0.2, n * sessions)))  # fmt: skip


def judged(prices, events=None, /, *, rules=None, basis="raw", **known):
    batch = PriceBatch("test", basis, prices.known_at.max() if len(prices) else np.datetime64("2014-01-01", "us"), prices,
                       events or EventRows.empty())  # fmt: skip
    return judge_batch(batch, KnownMarket({"XNYS": NEW_YORK}, "XNYS", **known), rules)


def stepped(prices, at, factor, shares=1.0):
    close, volume = prices.close.copy(), prices.volume.copy()
    close[at:] *= factor
    volume[at:] *= shares
    return replace(prices, open=close, close=close, volume=volume)


def test_a_jump_that_stays_is_released_by_the_second_session_and_one_that_reverts_never():
    rules = QualityRules()
    prices = stepped(quiet(), 80, 0.7)
    judgement = judged(prices)
    assert np.flatnonzero(judgement.quarantined).tolist() == [80, 81]
    assert (judgement.released_at[[80, 81]] == prices.known_at[82]).all()
    assert judgement.releases.first[0] == prices.dates[80]
    assert judgement.releases.last[0] == prices.dates[81]
    assert len(judgement.breaks) == 0
    assert judgement.revised_known_at(prices)[79] == prices.known_at[79]
    once = prices.close.copy()
    once[82:] /= 0.7
    back = judged(replace(prices, open=once, close=once))
    assert np.flatnonzero(back.quarantined).tolist() == [80, 81]
    assert np.isnat(back.released_at).all()
    assert rules.confirm_sessions == 2


def test_a_jump_with_trade_to_match_is_news():
    assert judged(stepped(quiet(), 80, 0.7, shares=6.0)).accepted.all()


def test_a_forgotten_split_ends_as_an_inferred_one_and_its_return_is_not_used():
    prices = stepped(quiet(), 80, 0.25, shares=4.0)
    judgement = judged(prices)
    assert np.flatnonzero(judgement.quarantined).tolist() == list(range(80, 90))
    assert judgement.breaks.kinds.tolist() == [SPLIT]
    assert judgement.breaks.dates[0] == prices.dates[80]
    assert judgement.breaks.known_at[0] == prices.known_at[90]
    assert judgement.breaks.values[0] == pytest.approx(4.0, rel=0.05)


def test_a_split_that_is_told_late_releases_what_waited_for_it():
    prices = stepped(quiet(), 80, 0.5, shares=2.0)
    day, told = str(prices.dates[80]), str(prices.known_at[83])
    judgement = judged(prices, events_of((SPLIT, "T0", day, 2.0, "", told)))
    assert np.flatnonzero(judgement.quarantined).tolist() == [80, 81, 82]
    assert judgement.accepted_events.all()
    assert (judgement.released_at[80:83] == prices.known_at[83]).all()
    assert len(judgement.breaks) == 0


def test_a_split_that_is_told_in_time_explains_the_fall():
    prices = stepped(quiet(), 80, 0.5, shares=2.0)
    day = str(prices.dates[80])
    judgement = judged(prices, events_of((SPLIT, "T0", day, 2.0, "", day)))
    assert judgement.accepted.all()
    assert judgement.alarms() == 0


def test_on_a_split_adjusted_basis_the_trail_is_brought_onto_the_new_basis():
    prices = quiet()
    head, tail = prices.take(np.arange(120) < 80), stepped(prices, 80, 0.5, shares=2.0).take(np.arange(120) >= 80)
    first = judged(head, basis="split_adjusted")
    day = str(tail.dates[0])
    events = events_of((SPLIT, "T0", day, 2.0, "", day))
    assert judged(tail, events, basis="split_adjusted", trail=first.trail).alarms() == 0
    assert judged(tail, basis="split_adjusted", trail=first.trail).counts(Severity.QUARANTINE) == {Fault.MISSING_SPLIT: 10}
    # and in one answer the history has the split in it already
    assert judged(prices, events, basis="split_adjusted").alarms() == 0


def test_a_wrong_unit_is_held_until_a_person_clears_it():
    prices = stepped(quiet(), 60, 100.0)
    assert judged(prices, rules=LENIENT).quarantined[60:].all()
    cleared = judged(prices, rules=LENIENT, cleared=frozenset({("T0", str(prices.dates[70]))}))
    assert cleared.quarantined[60:70].all()
    assert cleared.accepted[70:].all()


def test_a_market_that_falls_by_a_third_is_no_fault_of_its_stocks():
    prices = quiet(n=30)
    fall = np.where(np.arange(len(prices)) % 120 >= 80, 0.67, 1.0)
    assert judged(replace(prices, open=prices.open * fall, close=prices.close * fall)).alarms() == 0


def test_the_adjusted_column_moves_by_dividends_only():
    prices = quiet()
    adjusted = prices.close * np.where(np.arange(120) < 60, 0.98, 1.0)
    batch = PriceBatch("test", "split_adjusted", prices.known_at.max(), prices, EventRows.empty())
    known = KnownMarket({"XNYS": NEW_YORK}, "XNYS")
    assert judge_batch(batch, known, adjusted=adjusted).alarms() == 0
    flipped = np.where(np.arange(120) >= 90, adjusted * 0.4, adjusted)
    judgement = judge_batch(batch, known, adjusted=flipped)
    assert judgement.counts(Severity.QUARANTINE) == {Fault.ADJUSTMENT_FLIP: 1}
    assert np.flatnonzero(judgement.quarantined).tolist() == [90]


def test_revisions_of_days_are_accepted_and_told_and_repetitions_are_not_used_again():
    prices = quiet()
    first = judged(prices)
    again = prices.take(np.arange(120) >= 117)
    close = again.close * np.array([1.0, 1.001, 1.2])
    later = again.known_at.max() + np.timedelta64(2, "h")
    batch = replace(again, close=close, open=close, known_at=np.full(3, later))
    judgement = judged(batch, trail=first.trail, prices=prices)
    assert judgement.verdicts.tolist() == [UNUSED, ACCEPTED, QUARANTINED]
    assert judgement.counts(Severity.NOTICE) == {Fault.RESTATEMENT: 1}
    assert judgement.counts(Severity.COVERAGE) == {Fault.REPETITION: 1, Fault.TICKERS_MISSING: 1}
    assert judgement.coverage.accepted.tolist() == [1, 1, 0]
    assert judgement.counts(Severity.QUARANTINE) == {Fault.RESTATEMENT: 1}


def test_events_that_a_vendor_tells_with_every_answer_are_known_already():
    prices = quiet()
    day = str(prices.dates[100])
    events = events_of((DIVIDEND, "T0", day, 0.2, "", day))
    first = judged(prices, events)
    batch = prices.take(np.arange(120) >= 119)
    again = judged(batch, events, trail=Trail(first.trail.tickers, first.trail.state), events=events)
    assert again.event_verdicts.tolist() == [UNUSED]
    other = judged(batch, replace(events, values=np.array([0.3])), trail=first.trail, events=events)
    assert other.counts(Severity.QUARANTINE) == {Fault.RESTATEMENT: 1}


def test_a_quarantined_row_is_not_covered_and_a_thin_session_says_so():
    prices = quiet(n=10)
    close = prices.close.copy()
    last = prices.dates == prices.dates[-1]
    close[np.flatnonzero(last)[:3]] = -1.0
    judgement = judged(replace(prices, close=close))
    dates, share = coverage_of(judgement, prices, np.array([f"T{i}" for i in range(10)]))
    assert dates[-1] == prices.dates[-1]
    assert share[-1] == pytest.approx(0.7)
    assert share[:-1].min() == 1.0
    assert [str(f.dates[0]) for f in judgement.of(Fault.TICKERS_MISSING)] == [str(prices.dates[-1])]
    _, wider = coverage_of(judgement, prices, np.array([f"T{i}" for i in range(20)]))
    assert wider[-1] == pytest.approx(0.35)


def test_silence_is_never_a_delisting_but_lowers_coverage():
    prices = quiet(n=10)
    kept = (prices.tickers != "T3") | (np.arange(len(prices)) % 120 < 114)
    judgement = judged(prices.take(kept))
    assert [f.tickers[0] for f in judgement.of(Fault.STALE_ANSWER)] == ["T3"]
    assert judgement.coverage.expected[-1] == 10
    assert judgement.coverage.share[-1] == pytest.approx(0.9)
    assert not list(judgement.of(Fault.DELISTING))


def test_a_refused_batch_leaves_the_trail_as_it_was():
    prices = quiet(n=10)
    first = judged(prices)
    worse = judged(replace(prices, close=-prices.close), trail=first.trail)
    assert worse.refused
    assert worse.trail is first.trail


@pytest.mark.parametrize(
    "rows",
    [
        {"tickers": ["A"] * 5, "dates": ["2014-01-02"] * 5, "close": [np.nan] * 5},
        {"tickers": ["A"], "dates": ["2014-01-02"], "close": [1.0]},
        {"tickers": ["A", "B"], "dates": ["NaT", "NaT"], "close": [1.0, np.inf]},
        {"tickers": ["\u202eA", "Ünïcödé"], "dates": ["2014-01-02", "0001-01-01"], "close": [1e308, 5e-324]},
        {"tickers": ["", "x" * 500], "dates": ["2014-01-04", "9999-12-31"], "close": [-np.inf, 0.0]},
    ],
)
def test_hostile_rows_get_a_verdict(rows):
    n = len(rows["tickers"])
    for known_at in ("NaT", "2014-01-02T22:00"):
        prices = rows_of(**rows | {"close": np.array(rows["close"])}, volume=np.full(n, 1.0), known_at=[known_at] * n)
        batch = PriceBatch("test", "raw", np.datetime64("2014-01-03", "us"), prices, EventRows.empty())
        judgement = judge_batch(batch, KnownMarket({"XNYS": NEW_YORK}, "XNYS"))
        assert judgement.verdicts.shape == (n,)
        judgement.report()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_batch_whatever_raises(data):
    n = data.draw(st.integers(0, 30))
    number = st.floats(width=64)

    def column(strategy):
        return data.draw(st.lists(strategy, min_size=n, max_size=n))

    days = st.one_of(st.just("NaT"), st.dates(date(2013, 12, 20), date(2014, 2, 5)).map(str))
    instants = st.one_of(st.just("NaT"), st.datetimes(*(map(np.datetime64.item, NEW_YORK.closes[[240, 300]]))).map(str))
    words = st.one_of(st.sampled_from(["A", "B", "C"]), st.text(max_size=6))
    prices = rows_of(
        tickers=column(words), dates=column(days), known_at=column(instants), currencies=np.array(column(words), dtype=np.str_),
        **{name: np.array(column(number), dtype=np.float64) for name in ("open", "high", "low", "close", "volume")},
    )  # fmt: skip
    kinds = st.sampled_from(["split", "dividend", "delisting", "merger"])
    event = st.tuples(kinds, words, days, number, st.sampled_from(["", "merger"]), instants)
    events = events_of(*data.draw(st.lists(event, max_size=6)))
    basis = data.draw(st.sampled_from(["raw", "split_adjusted", "total_return"]))
    adjusted = np.array(column(number), dtype=np.float64) if data.draw(st.booleans()) else None
    fetched = np.datetime64("2014-03-01", "us")
    known = KnownMarket({"XNYS": NEW_YORK}, "XNYS", expected=np.array(["A", "Z"]))
    judgement = judge_batch(PriceBatch("test", basis, fetched, prices, events), known, adjusted=adjusted)
    assert judgement.verdicts.shape == (n,)
    assert set(judgement.verdicts.tolist()) <= {ACCEPTED, UNUSED, QUARANTINED}
    used = judgement.accepted
    assert (prices.close[used] > 0).all()
    assert (prices.volume[used] > 0).all()
    again = judge_batch(
        PriceBatch("test", basis, fetched, prices, events), replace(known, trail=judgement.trail, prices=prices)
    )
    assert again.verdicts.shape == (n,)


def test_rules_that_contradict_themselves_are_refused():
    from crowdalpha.errors import InputRejected

    for wrong in ({"jump_log_min": 2.0}, {"confirm_sessions": 0}, {"coverage_share_min": 0.2}, {"volume_sessions": 0}):
        with pytest.raises(InputRejected):
            QualityRules(**wrong)
    assert len(fields(QualityRules)) > 20


def test_each_ticker_is_judged_by_the_calendar_of_its_own_exchange():
    london = session_calendar("XLON", date(2013, 1, 1), date(2019, 12, 31))
    days = np.array(["2014-07-03", "2014-07-04", "2014-07-07"], dtype="datetime64[D]")  # the 4th is a holiday in New York
    prices = rows_of(
        tickers=np.repeat(["AAPL", "VOD"], 3),
        dates=np.tile(days, 2), open=np.full(6, 10.0), close=np.array([10, 10.1, 10.2] * 2),
        volume=np.array([1e5, 2e5, 3e5] * 2), known_at=np.tile(days.astype("datetime64[us]") + np.timedelta64(23, "h"), 2),
    )  # fmt: skip
    known = KnownMarket({"XNYS": NEW_YORK, "XLON": london}, "XNYS", exchanges={"VOD": "XLON"})
    batch = PriceBatch("test", "raw", np.datetime64("2014-07-08", "us"), prices, EventRows.empty())
    judgement = judge_batch(batch, known)
    assert judgement.verdicts.tolist() == [0, 2, 0, 0, 0, 0]
    assert judgement.counts(Severity.QUARANTINE) == {Fault.HOLIDAY_ROW: 1}
    assert judgement.coverage.exchanges.tolist() == ["XLON", "XNYS", "XLON", "XLON", "XNYS"]
    assert judgement.coverage.share.tolist() == [1, 1, 1, 1, 1]
    assert Fault.GAP not in judgement.counts()


def test_a_source_without_opens_and_volumes_is_judged_by_its_closes():
    prices = quiet()
    bare = replace(prices, open=np.full(120, np.nan), volume=np.full(120, np.nan))
    assert not judged(bare, rules=LENIENT).accepted.any()
    closes = QualityRules(open_required=False, volume_required=False)
    assert judged(bare, rules=closes).accepted.all()
    # without a volume no move is news: it waits for two more sessions
    moved = stepped(bare, 80, 0.7)
    assert np.flatnonzero(judged(replace(moved, open=bare.open), rules=closes).quarantined).tolist() == [80, 81]


def test_a_ticker_is_used_again_only_from_the_day_that_a_person_clears():
    prices = quiet()
    day = str(prices.dates[60])
    events = events_of(("delisting", "T0", day, -0.3, "performance", day))
    held = judged(prices, events, rules=LENIENT)
    assert np.flatnonzero(held.quarantined).tolist() == list(range(60, 120))
    cleared = judged(prices, events, rules=LENIENT, cleared=frozenset({("T0", str(prices.dates[90]))}))
    assert np.flatnonzero(cleared.quarantined).tolist() == list(range(60, 90))


def test_a_correction_of_a_row_that_was_set_aside_is_used_from_its_own_instant():
    prices = quiet()
    wrong = prices.close.copy()
    wrong[100] *= 100.0
    right = replace(prices.take(np.arange(120) == 100), known_at=prices.known_at[100:101] + np.timedelta64(3, "h"))
    judgement = judged(join_rows([replace(prices, open=wrong, close=wrong), right]))
    assert np.flatnonzero(judgement.quarantined).tolist() == [100]
    assert judgement.accepted[120]
    assert judgement.counts(Severity.NOTICE)[Fault.RESTATEMENT] == 1


def test_a_session_whose_prices_were_set_aside_leaves_a_window_without_its_end():
    prices = quiet(n=20)
    close = prices.close.copy()
    last = np.flatnonzero(prices.dates == prices.dates[-1])
    close[last[:5]] = -1.0
    accepted = judged(replace(prices, close=close)).accepted
    table = np.where(accepted, close, np.nan).reshape(20, 120).T
    view = view_at(hand_panel(table))
    window = (view, np.arange(20), NEW_YORK.sessions[NEW_YORK.index_of(date(2014, 1, 2)) + 97].item(), 20, 2)
    assert coverage(forward_returns(*window)) == 1.0
    assert priced_share(*window) == 0.75
