"""Share counts and capitalizations are used from their date on and not before; expected values by hand and from the real
snapshot of July 2018."""

from datetime import UTC, datetime

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, InvariantBroken
from market.calendars import to_datetime64
from market.facts import DatedFacts

NAN = np.nan


def days(*texts):
    return np.array(texts, dtype="datetime64[D]")


def facts():
    return DatedFacts(
        asset_ids=np.array(["B", "A", "A", "A", "C"]),
        dates=days("2015-01-05", "2015-01-05", "2015-04-01", "2015-01-05", "2015-02-02"),
        known_at=np.array(
            ["2015-01-20", "2015-01-20", "2015-04-20", "2015-05-01", "2015-02-02"], dtype="datetime64[us]"
        ),  # the last row of A restates January, after April was told
        values=np.array([7.0, 100.0, 110.0, 105.0, NAN]),
    )


def at(instant, ids=("A", "B", "C", "D")):
    return facts().at(np.array(ids), np.datetime64(instant))


def test_a_number_is_used_from_the_instant_on_at_which_it_was_learnt():
    np.testing.assert_array_equal(at("2015-01-19T23:59:59")[0], [NAN] * 4)
    values, dates = at("2015-01-20T00:00:00")
    np.testing.assert_array_equal(values, [100, 7, NAN, NAN])
    assert dates[:2].tolist() == days("2015-01-05", "2015-01-05").tolist()
    assert np.isnat(dates[2:]).all()
    np.testing.assert_array_equal(at("2015-04-19T23:59:59", ["A"])[0], [100])
    np.testing.assert_array_equal(at("2015-04-20T00:00:00", ["A"])[0], [110])


def test_a_late_word_on_an_old_date_does_not_undo_a_newer_date():
    values, dates = at("2015-05-02", ["A", "A", "B"])
    np.testing.assert_array_equal(values, [110, 110, 7])
    assert dates[0] == np.datetime64("2015-04-01")


def test_a_restatement_counts_from_its_own_instant():
    restated = DatedFacts(
        np.array(["A", "A"]), days("2015-01-05", "2015-01-05"),
        np.array(["2015-03-01", "2015-01-20"], dtype="datetime64[us]"), np.array([90.0, 100.0]),
    )  # fmt: skip
    assert [float(restated.at(np.array(["A"]), np.datetime64(t))[0][0]) for t in ("2015-02-28", "2015-03-01")] == [100, 90]


def test_a_number_about_a_later_date_waits_for_that_date():
    planned = DatedFacts(np.array(["A"]), days("2015-06-01"), days("2015-01-05").astype("datetime64[us]"), np.array([5.0]))
    assert np.isnan(planned.at(np.array(["A"]), np.datetime64("2015-05-31T23:59"))[0][0])
    assert planned.at(np.array(["A"]), np.datetime64("2015-06-01T00:00"))[0][0] == 5.0


def test_unknown_from_a_date_on_is_unknown():
    assert np.isnan(at("2015-12-31", ["C"])[0][0])
    assert at("2015-12-31", ["C"])[1][0] == np.datetime64("2015-02-02")


def test_undated_numbers_are_no_facts():
    with pytest.raises(InputRejected) as caught:
        DatedFacts(np.array(["A"]), days("NaT"), days("2015-01-05"), np.array([1.0]))
    assert caught.value.code is Code.DATE_INVALID
    with pytest.raises(InvariantBroken):
        DatedFacts(np.array(["A"]), days("2015-01-05"), days("2015-01-05"), np.array([1.0, 2.0]))


def test_the_capitalizations_of_a_snapshot_are_never_used_before_it(real_data):
    import pandas as pd

    table = pd.read_csv(real_data / "equity_meta.csv.gz", keep_default_na=False, na_values=[""])
    table = table[(table["listing_country"] == "US") & table["market_cap_usd"].notna()]
    taken = np.full(len(table), np.datetime64("2018-07-18"))
    ids = table["ticker"].to_numpy(dtype=str)
    caps = DatedFacts(ids, taken, taken.astype("datetime64[us]"), table["market_cap_usd"].to_numpy())
    assert len(table) > 2000
    before, after = (to_datetime64(datetime(2018, 7, day, 23, 59, tzinfo=UTC)) for day in (17, 18))
    assert np.isnan(caps.at(ids, before)[0]).all()
    np.testing.assert_array_equal(caps.at(ids, after)[0], table["market_cap_usd"].to_numpy())


def test_by_row_is_what_each_row_would_be_told():
    print("seed 5")
    rng = np.random.default_rng(5)
    r, ids = 60, np.array(["A", "B", "C", "D"])
    dates = np.datetime64("2015-01-01") + rng.integers(0, 40, r)
    known = dates.astype("datetime64[us]") + rng.integers(-9, 30, r).astype("m8[D]")
    values = np.where(rng.random(r) < 0.1, NAN, rng.random(r))
    told = DatedFacts(ids[rng.integers(0, 3, r)], dates, known, values)
    known_at = np.datetime64("2015-01-01T21", "s") + np.arange(0, 80, 3).astype("m8[D]")
    found = told.by_row(ids, known_at, told.values)
    for t, instant in enumerate(known_at):
        np.testing.assert_array_equal(found[t], told.at(ids, instant)[0])
    nothing = told.by_row(ids, known_at[:0], told.values)
    assert nothing.shape == (0, 4)
    late = told.by_row(ids, np.array(["2014-01-01"], dtype="datetime64[s]"), told.values)
    assert np.isnan(late).all()
