"""Every fault of the catalogue is found by its name, and what is bad is never used; a clean market raises no alarm.
Method: independent injectors (tests/builders/faults.py) put each fault into a clean synthetic answer of 50 assets, at several
places and under several seeds. What is expected comes from the injector alone."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from market.quality import Fault, Severity, html_page, judge_batch, rate_limited, schema_changed
from tests.builders import faults
from tests.builders.vendor import market

SEEDS = range(8)
CAUGHT_SHARE_MIN = 0.95

CATALOGUE = [
    (faults.empty_frame, Fault.EMPTY_ANSWER),
    (faults.tickers_missing, Fault.TICKERS_MISSING),
    (faults.stale_answer, Fault.STALE_ANSWER),
    (faults.stale_price, Fault.STALE_PRICE),
    (faults.hundredfold, Fault.SCALE_ERROR),
    (faults.hundredfold_from_then_on, Fault.SCALE_ERROR),
    (faults.missing_split, Fault.MISSING_SPLIT),
    (faults.split_told_twice, Fault.DOUBLED_SPLIT),
    (faults.split_told_again, Fault.DOUBLED_SPLIT),
    (faults.split_told_squared, Fault.DOUBLED_SPLIT),
    (faults.invented_split, Fault.INVENTED_SPLIT),
    (faults.swapped_tickers, Fault.SWAPPED_TICKERS),
    (faults.duplicate_rows, Fault.DUPLICATE_ROW),
    (faults.contradicting_rows, Fault.DUPLICATE_ROW),
    (faults.unsorted_dates, Fault.UNSORTED_DATES),
    (faults.zero_price, Fault.NOT_POSITIVE),
    (faults.negative_price, Fault.NOT_POSITIVE),
    (faults.missing_price, Fault.PRICE_MISSING),
    (faults.nan_volume, Fault.VOLUME_MISSING),
    (faults.negative_volume, Fault.VOLUME_NEGATIVE),
    (faults.zero_volume_week, Fault.ZERO_VOLUME_WEEK),
    (faults.broken_range, Fault.RANGE_BROKEN),
    (faults.holiday_row, Fault.HOLIDAY_ROW),
    (faults.weekend_row, Fault.WEEKEND_ROW),
    (faults.dates_too_early, Fault.SHIFTED_DATES),
    (faults.dates_too_late, Fault.SHIFTED_DATES),
    (faults.currency_change, Fault.CURRENCY_CHANGE),
    (faults.ticker_reuse, Fault.TICKER_REUSE),
    (faults.after_the_delisting, Fault.TICKER_REUSE),
    (faults.delisting, Fault.DELISTING),
    (faults.delisting_without_return, Fault.DELISTING_WITHOUT_PRICE),
    (faults.delisting_long_after, Fault.DELISTING_WITHOUT_PRICE),
    (faults.merger, Fault.MERGER),
    (faults.unadjusted_again, Fault.ADJUSTMENT_FLIP),
    (faults.float_noise, Fault.FLOAT_NOISE),
    (faults.zero_dividend, Fault.ZERO_DIVIDEND),
    (faults.implausible_dividend, Fault.DIVIDEND_IMPLAUSIBLE),
    (faults.invalid_event, Fault.EVENT_INVALID),
    (faults.restated_history, Fault.RESTATEMENT),
    (faults.partial_day, Fault.PARTIAL_DAY),
    (faults.future_date, Fault.FUTURE_DATE),
    (faults.outside_calendar, Fault.OUTSIDE_CALENDAR),
    (faults.date_missing, Fault.DATE_MISSING),
    (faults.unicode_ticker, Fault.TICKER_TEXT),
    (faults.jump, Fault.JUMP),
]


@pytest.fixture(scope="module")
def clean():
    return [market(seed, 50, date(2014, 1, 2), date(2014, 12, 31), halts_per_year=0.3) for seed in SEEDS]


@pytest.mark.parametrize(("inject", "fault"), CATALOGUE, ids=lambda value: getattr(value, "__name__", str(value)))
def test_a_fault_is_found_by_its_name_and_what_is_bad_is_not_used(clean, inject, fault):
    concerned = caught = bad = used = silent = 0
    for seed, answer in zip(SEEDS, clean, strict=True):
        faulty = inject(np.random.default_rng([seed, 21]), answer)
        judgement = judge_batch(faulty.batch, faulty.known)
        named = {ticker for found in judgement.of(fault) for ticker in found.tickers.tolist()}
        tickers = faulty.tickers or {""}
        concerned += len(tickers)
        caught += len(named & tickers)
        bad += int(faulty.bad.sum())
        used += int((judgement.accepted & faulty.bad).sum())
        told = {ticker for found in judgement.findings for ticker in found.tickers.tolist()}
        silent += int((judgement.accepted & faulty.bad & ~np.isin(faulty.batch.prices.tickers, list(told))).sum())
        missed = sorted(tickers - named)
        if missed:
            print(f"seed {seed}: not named {missed}")
    print(f"{fault.value}: {caught} of {concerned} named; {used} of {bad} bad rows used")
    assert concerned >= len(SEEDS)
    assert caught >= CAUGHT_SHARE_MIN * concerned
    assert silent == 0
    assert used <= (1 - CAUGHT_SHARE_MIN) * bad


def test_a_clean_market_raises_no_alarm_in_500_asset_years():
    # 250 assets over two years; splits, dividends, halts and delistings are told as an honest vendor tells them
    for seed in (0, 1, 2):
        answer = market(seed, 250, date(2014, 1, 2), date(2015, 12, 31))
        judgement = judge_batch(answer.batch, answer.known)
        alarms = judgement.listed(20, Severity.REFUSE, Severity.QUARANTINE)
        assert not alarms, (seed, alarms)
        assert judgement.accepted.all()
        assert judgement.accepted_events.all()
        assert set(judgement.counts()) <= {Fault.GAP, Fault.DELISTING, Fault.MERGER}


@pytest.mark.parametrize(
    ("found", "fault", "seen"),
    [
        (rate_limited(text="HTTP 429"), Fault.RATE_LIMITED, "HTTP 429"),
        (html_page(text="<html>\n <body>Will be right back</body>"), Fault.HTML_PAGE, "Will be right back"),
        (schema_changed(text="without close"), Fault.SCHEMA_CHANGED, "without close"),
    ],
)
def test_what_the_vendor_adapter_met_refuses_the_batch(clean, found, fault, seen):
    judgement = judge_batch(clean[0].batch, clean[0].known, reported=(found,))
    assert judgement.counts(Severity.REFUSE) == {fault: 1}
    assert judgement.refused
    assert seen in judgement.listed(1)[0].value
    assert not judgement.accepted.any()
    assert len(judgement.trail.tickers) == 0


def test_one_ticker_without_an_answer_refuses_nothing(clean):
    judgement = judge_batch(clean[0].batch, clean[0].known, reported=(rate_limited("ABC"), html_page("DEF", "<html>")))
    assert not judgement.refused
    assert judgement.counts(Severity.COVERAGE)[Fault.RATE_LIMITED] == 1
    assert judgement.counts(Severity.COVERAGE)[Fault.HTML_PAGE] == 1


def test_a_batch_with_too_much_that_is_bad_is_refused_as_a_whole(clean):
    answer = clean[0]
    close = answer.batch.prices.close.copy()
    close[::15] = -1.0
    batch = replace(answer.batch, prices=replace(answer.batch.prices, close=close))
    judgement = judge_batch(batch, answer.known)
    assert "More of the batch is bad" in judgement.refused
    assert judgement.quarantined.all()
    assert judgement.counts(Severity.REFUSE) == {Fault.TOO_MANY_BAD: 1}
