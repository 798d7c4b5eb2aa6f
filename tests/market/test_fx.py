"""Exchange rates of the European Central Bank's real file against cross rates worked out by hand from what it published."""

from datetime import UTC, datetime

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.fx import CARRY_DAYS_MAX, fx_table, in_fund_currency, published_at

NAN = np.nan


def days(*texts):
    return np.array(texts, dtype="datetime64[D]")


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


LATE = utc(2030, 1, 1)


@pytest.fixture(scope="module")
def ecb(real_data):
    import pandas as pd

    table = pd.read_csv(real_data / "fx_ecb_daily.csv.gz", keep_default_na=False, na_values=[""])
    return fx_table(table["date"].to_numpy().astype("datetime64[D]"), table["ccy"].to_numpy(), table["per_eur"].to_numpy())


def small(**fields):
    """Three currencies over four dates; the krona pauses on the second and third."""
    dates = np.repeat(days("2015-04-01", "2015-04-02", "2015-04-07", "2015-04-08"), 3)
    rates = [1.08, 0.73, 9.0, 1.09, 0.74, NAN, 1.10, 0.75, NAN, 1.11, 0.76, 9.5]
    return fx_table(dates, ["USD", "GBP", "SEK"] * 4, rates, **fields)


def refusal(call, *args, **kwargs):
    with pytest.raises(InputRejected) as caught:
        call(*args, **kwargs)
    return caught.value


def test_cross_rates_of_the_vote_of_june_2016_by_hand(ecb):
    # per euro on June 23: 1.1389 dollars, 0.76595 pounds, 120.38 yen; on June 24: 1.1066, 0.8075, 113.23
    got = ecb.rates(days("2016-06-23", "2016-06-24"), ["GBP", "JPY", "EUR", "USD"], "USD", LATE)
    want = [
        [1.1389 / 0.76595, 1.1389 / 120.38, 1.1389, 1.0],
        [1.1066 / 0.80750, 1.1066 / 113.23, 1.1066, 1.0],
    ]
    np.testing.assert_allclose(got, want, rtol=1e-15)
    # long division on paper: 1.486911 and 1.370402 dollars for a pound, a fall of 7.8 %
    np.testing.assert_allclose(got[:, 0], [1.4869117, 1.3704025], atol=5e-8)
    assert got[1, 0] / got[0, 0] - 1 == pytest.approx(-0.0783564, abs=5e-7)


def test_other_bases_and_the_euro_itself(ecb):
    day = days("2016-06-23")
    np.testing.assert_allclose(ecb.rates(day, ["USD", "JPY", "GBP"], "GBP", LATE), [[0.76595 / 1.1389, 0.76595 / 120.38, 1]])
    np.testing.assert_allclose(ecb.rates(day, ["USD", "EUR"], "EUR", LATE), [[1 / 1.1389, 1.0]])


def test_hundredths_are_worth_a_hundredth(ecb):
    day = days("2016-06-23")
    got = ecb.rates(day, ["GBP", "GBp", "GBX", "ZAR", "ZAc", "ILS", "ILA"], "USD", LATE)[0]
    np.testing.assert_allclose(got[[1, 2, 4, 6]], got[[0, 0, 3, 5]] / 100, rtol=1e-15)
    assert ecb.rates(day, ["GBP"], "GBp", LATE)[0, 0] == pytest.approx(100.0, abs=1e-12)


def test_a_holiday_of_the_bank_takes_the_last_rate_before_it(ecb):
    # Maundy Thursday 2015-04-02 to Easter Monday: no rates until Tuesday the 7th
    got = ecb.rates(days("2015-04-02", "2015-04-03", "2015-04-04", "2015-04-06", "2015-04-07"), ["USD"], "EUR", LATE)[:, 0]
    np.testing.assert_allclose(got, [1 / 1.0830] * 4 + [1 / 1.0847], rtol=1e-15)


def test_rates_become_known_at_four_in_frankfurt_summer_and_winter(ecb):
    # summer time began on Sunday March 29
    two = days("2015-03-27", "2015-03-30")
    published = published_at(two)
    assert published.astype(str).tolist() == ["2015-03-27T15:00:00", "2015-03-30T14:00:00"]
    autumn = published_at(days("2015-10-23", "2015-10-26"))
    assert autumn.astype(str).tolist() == ["2015-10-23T14:00:00", "2015-10-26T15:00:00"]
    a_second_before = ecb.rates(two, ["USD"], "EUR", published - np.timedelta64(1, "s"))
    at = ecb.rates(two, ["USD"], "EUR", published)
    final = ecb.rates(days("2015-03-26", "2015-03-27", "2015-03-30"), ["USD"], "EUR", LATE)
    np.testing.assert_array_equal(a_second_before, final[:2])
    np.testing.assert_array_equal(at, final[1:])


def test_what_is_published_later_changes_nothing():
    table, dates = small(), days("2015-04-01", "2015-04-02", "2015-04-07")
    now = utc(2015, 4, 7, 13, 59, 59)
    changed = small()
    changed.per_eur.flags.writeable = True
    changed.per_eur[2:] = 7.0
    a, b = (t.rates(dates, ["USD", "GBP", "SEK"], "EUR", now) for t in (table, changed))
    assert a.tobytes() == b.tobytes()
    assert a[2, 0] == 1 / 1.09
    assert table.rates(dates, ["USD"], "EUR", utc(2015, 4, 7, 14))[2, 0] == 1 / 1.10


def test_one_instant_a_date_or_one_for_all():
    table, dates = small(), days("2015-04-01", "2015-04-02", "2015-04-07", "2015-04-08")
    each = np.array(["2015-04-01T20", "2015-04-02T13", "2015-04-07T20", "2015-04-08T13"], dtype="datetime64[s]")
    got = table.rates(dates, ["USD"], "EUR", each)[:, 0]
    np.testing.assert_array_equal(got, 1 / np.array([1.08, 1.08, 1.10, 1.10]))


def test_a_rate_that_is_too_old_or_never_was_is_refused_by_name():
    table = small()
    dates = days("2015-04-08", "2015-04-15", "2015-04-16")
    assert table.rates(dates[:2], ["USD"], "EUR", LATE).shape == (2, 1)  # seven days later it still stands
    error = refusal(table.rates, dates, ["USD", "TWD", "SEK"], "EUR", LATE)
    assert error.code is Code.FX_MISSING
    assert [f.value for f in error.findings] == ["USD", "TWD", "SEK"]
    assert "on 1 dates, the first of them 2015-04-16" in error.findings[0].message
    assert "on 3 dates, the first of them 2015-04-08" in error.findings[1].message
    # each currency ages by itself: the krona's last rate before the 7th is that of the 1st
    april = days("2015-04-07")
    assert table.rates(april, ["SEK"], "EUR", LATE)[0, 0] == 1 / 9.0
    assert refusal(table.rates, april, ["SEK"], "EUR", LATE, carry_days_max=5).code is Code.FX_MISSING
    assert refusal(table.rates, days("2015-03-31"), ["USD"], "EUR", LATE).code is Code.FX_MISSING
    assert refusal(table.rates, april, ["USD"], "EUR", utc(2015, 4, 1)).code is Code.FX_MISSING
    # a base without a rate is missing for every currency
    assert refusal(table.rates, april, ["USD"], "TWD", LATE).code is Code.FX_MISSING


def test_a_cell_that_nobody_needs_may_lack_its_rate():
    needed = np.array([[True, False]])
    got = small().rates(days("2015-04-07"), ["USD", "TWD"], "EUR", LATE, needed=needed)
    np.testing.assert_array_equal(got, [[1 / 1.10, NAN]])


def test_the_bank_never_pauses_longer_than_a_rate_may_stand_in(ecb):
    pauses = np.diff(ecb.dates).astype(int)
    assert pauses.max() == 5
    assert pauses.max() <= CARRY_DAYS_MAX
    every = np.arange(np.datetime64("2000-01-03"), np.datetime64("2026-10-31"))
    dense = ecb.rates(every, ["USD", "GBP", "JPY", "CHF", "HKD", "CAD", "AUD"], "EUR", LATE)
    assert np.isfinite(dense).all()


def test_a_date_learnt_late_is_used_late():
    late = np.repeat(days("2015-04-01", "2015-04-02", "2015-04-07", "2015-04-08"), 3).astype("datetime64[s]")
    late[3:6] = np.datetime64("2015-04-07T12:00:00")
    table = small(known_at=late)
    assert table.rates(days("2015-04-02"), ["USD"], "EUR", utc(2015, 4, 7, 11))[0, 0] == 1 / 1.08
    assert table.rates(days("2015-04-02"), ["USD"], "EUR", utc(2015, 4, 7, 12))[0, 0] == 1 / 1.09


def test_rows_that_cannot_be_rates_are_refused_all_at_once():
    dates = days("2015-04-01", "2015-04-01", "2015-04-02", "2015-04-02", "2015-04-03", "2015-04-03", "NaT")
    error = refusal(fx_table, dates, ["USD", "USD", "GBP", "gbp", "SEK", "EUR", "NOK"], [1.1, 1.2, -0.7, 0.7, np.inf, 1.5, 9.0])
    assert error.code is Code.FX_INVALID
    assert [f.row for f in error.findings] == [2, 3, 4, 5, 6, 7]
    assert refusal(fx_table, days("2015-04-01"), ["USD"], [NAN]).code is Code.FX_INVALID


def test_returns_in_the_funds_currency_by_hand():
    local = np.array([[NAN, NAN, NAN], [0.10, 0.10, 0.0], [-0.05, NAN, 0.0]])
    fx = np.array([[1.50, 1.0, NAN], [1.20, 1.0, 2.0], [1.32, 1.0, 3.0]])
    got = in_fund_currency(local, fx)
    # +10 % in a currency that falls by a fifth is −12 %; −5 % in one that rises by a tenth is +4.5 %
    np.testing.assert_allclose(got, [[NAN] * 3, [-0.12, 0.10, NAN], [0.045, NAN, 0.5]], atol=1e-15)


def test_a_pound_share_in_dollars_over_the_vote(ecb):
    dates = days("2016-06-23", "2016-06-24")
    fx = ecb.rates(dates, ["GBp"], "USD", LATE)
    got = in_fund_currency(np.array([[NAN], [-0.0315]]), fx)[1, 0]
    # 0.9685 · (1.1066 / 0.8075) / (1.1389 / 0.76595) − 1
    assert got == pytest.approx(0.9685 * 1.1066 * 0.76595 / (0.8075 * 1.1389) - 1, abs=1e-15)
    assert got == pytest.approx(-0.1073881, abs=5e-7)
