"""Calendars of several exchanges against tests/answers/sessions.csv: hours and holidays that the exchanges published, written
out by hand and turned to UTC by the time zone database (make_sessions.py), never by the calendar library."""

import csv
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.calendars import SessionCalendar, joint_calendar, session_calendar
from market.countries import VENUES, venue_of

FIRST, LAST = date(2015, 1, 1), date(2016, 12, 31)
EXCHANGES = ("XNYS", "XLON", "XTKS")
ANSWERS = Path(__file__).resolve().parents[1] / "answers" / "sessions.csv"

SESSIONS_PUBLISHED = {("XNYS", 2015): 252, ("XNYS", 2016): 252, ("XTKS", 2015): 244, ("XTKS", 2016): 245}
"""Trading days a year in the exchanges' own yearbooks."""


def answers() -> dict[str, dict[date, tuple[datetime, datetime]]]:
    found: dict[str, dict[date, tuple[datetime, datetime]]] = {exchange: {} for exchange in EXCHANGES}
    with ANSWERS.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            hours = [datetime.fromisoformat(row[column]).replace(tzinfo=UTC) for column in ("open_utc", "close_utc")]
            found[row["exchange"]][date.fromisoformat(row["session"])] = (hours[0], hours[1])
    return found


PUBLISHED = answers()
SINGLE = [session_calendar(exchange, FIRST, LAST) for exchange in EXCHANGES]
JOINT = joint_calendar(SINGLE)


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def refusal(call, *args):
    with pytest.raises(InputRejected) as caught:
        call(*args)
    return caught.value.code


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_each_exchange_opens_and_closes_as_it_published(exchange):
    calendar = JOINT.of(exchange)
    got = {day: (calendar.open_at(day), calendar.close_at(day)) for day in calendar.sessions.tolist()}
    assert got == PUBLISHED[exchange]
    for (name, year), count in SESSIONS_PUBLISHED.items():
        if name == exchange:
            assert sum(day.year == year for day in got) == count


def test_the_joint_sessions_are_the_union_with_the_earliest_open_and_the_latest_close():
    days = sorted(set().union(*PUBLISHED.values()))
    assert JOINT.exchange == "XNYS+XLON+XTKS"
    assert JOINT.exchanges == EXCHANGES
    assert JOINT.sessions.tolist() == days
    trading = JOINT.trading
    for row, day in enumerate(days):
        hours = [PUBLISHED[exchange][day] for exchange in EXCHANGES if day in PUBLISHED[exchange]]
        assert JOINT.open_at(day) == min(h[0] for h in hours)
        assert JOINT.close_at(day) == max(h[1] for h in hours)
        assert trading[row].tolist() == [day in PUBLISHED[exchange] for exchange in EXCHANGES]


def test_no_session_comes_twice_and_both_clocks_ascend():
    assert (np.diff(JOINT.sessions).astype(int) > 0).all()
    assert (np.diff(JOINT.closes).astype(int) > 0).all()
    assert (np.diff(JOINT.opens).astype(int) > 0).all()
    with pytest.raises(ValueError):
        JOINT.closes[0] = JOINT.closes[1]


@pytest.mark.parametrize(
    ("day", "opens", "closes"),
    [
        (date(2015, 3, 6), (14, 30), (21, 0)),  # both in winter time
        (date(2015, 3, 9), (13, 30), (20, 0)),  # New York changed on March 8, London waits until the 29th
        (date(2015, 3, 30), (13, 30), (20, 0)),
        (date(2015, 10, 26), (13, 30), (20, 0)),  # London changed on October 25, New York waits until November 1
        (date(2015, 11, 2), (14, 30), (21, 0)),
    ],
)
def test_daylight_saving_changes_on_both_continents_in_their_own_weeks(day, opens, closes):
    york, london = JOINT.of("XNYS"), JOINT.of("XLON")
    assert york.open_at(day) == utc(day.year, day.month, day.day, *opens)
    assert york.close_at(day) == utc(day.year, day.month, day.day, *closes)
    summer = date(2015, 3, 29) <= day < date(2015, 10, 25)
    assert london.close_at(day) == utc(day.year, day.month, day.day, 15 if summer else 16, 30)
    # Tokyo keeps one time all the year, so it is its open that every date of all three begins with
    assert JOINT.open_at(day) == utc(day.year, day.month, day.day)


def test_half_days_close_a_joint_date_early_only_where_the_latest_of_them_does():
    thanksgiving, christmas = date(2015, 11, 27), date(2015, 12, 24)
    assert JOINT.of("XNYS").close_at(thanksgiving) == utc(2015, 11, 27, 18)
    assert JOINT.of("XLON").close_at(thanksgiving) == utc(2015, 11, 27, 16, 30)
    assert JOINT.close_at(thanksgiving) == utc(2015, 11, 27, 18)
    assert JOINT.of("XNYS").close_at(christmas) == utc(2015, 12, 24, 18)
    assert JOINT.of("XLON").close_at(christmas) == utc(2015, 12, 24, 12, 30)
    assert JOINT.close_at(christmas) == utc(2015, 12, 24, 18)
    # New Year's Eve is a half day in London, a whole one in New York, none in Tokyo
    assert JOINT.of("XLON").close_at(date(2015, 12, 31)) == utc(2015, 12, 31, 12, 30)
    assert JOINT.close_at(date(2015, 12, 31)) == utc(2015, 12, 31, 21)


def test_offsets_of_one_exchange_step_over_its_own_holidays():
    friday = date(2015, 9, 18)  # before Tokyo's Silver Week
    assert JOINT.own_offset("XTKS", friday, 1) == date(2015, 9, 24)
    assert JOINT.own_offset("XNYS", friday, 1) == date(2015, 9, 21)
    assert JOINT.offset(friday, 1) == date(2015, 9, 21)
    assert JOINT.own_offset("XTKS", date(2015, 9, 24), -1) == friday
    assert refusal(JOINT.own_offset, "XTKS", date(2015, 9, 21), 1) is Code.DATE_NOT_SESSION
    assert refusal(JOINT.own_offset, "XHKG", friday, 1) is Code.SETTING_INVALID
    # Christmas Day: only Tokyo trades
    assert JOINT.is_session(date(2015, 12, 25))
    assert JOINT.close_at(date(2015, 12, 25)) == utc(2015, 12, 25, 6)


def test_the_last_closed_session_is_each_exchanges_own():
    monday, friday = np.datetime64("2015-06-08"), np.datetime64("2015-06-05")
    noon = utc(2015, 6, 8, 12)  # Tokyo has closed, London trades, New York has not opened
    assert JOINT.own_last_closed_before(noon).tolist() == [friday.item(), friday.item(), monday.item()]
    assert JOINT.last_closed_before(noon) == friday.item()
    evening = utc(2015, 6, 8, 18)  # London has closed too
    assert JOINT.own_last_closed_before(evening).tolist() == [friday.item(), monday.item(), monday.item()]
    assert JOINT.last_closed_before(evening) == friday.item()
    at_the_close = utc(2015, 6, 8, 20)
    assert JOINT.last_closed_before(at_the_close) == friday.item()
    assert JOINT.last_closed_before(at_the_close + timedelta(seconds=1)) == monday.item()


def test_every_published_close_ends_its_session_for_its_own_exchange_alone():
    for exchange, sessions in PUBLISHED.items():
        column = EXCHANGES.index(exchange)
        days = sorted(sessions)
        for before, day in list(pairwise(days[10:]))[::7]:
            at = sessions[day][1]
            assert JOINT.own_last_closed_before(at)[column].item() == before
            assert JOINT.own_last_closed_before(at + timedelta(seconds=1))[column].item() == day


def test_assets_find_the_column_of_their_exchange():
    assert JOINT.columns(np.array(["XTKS", "XNYS", "XTKS", "XLON"])).tolist() == [2, 0, 2, 1]
    assert JOINT.columns(np.array([], dtype=str)).shape == (0,)
    assert refusal(JOINT.columns, np.array(["XNYS", "XHKG"])) is Code.SETTING_INVALID


def test_one_exchange_is_its_own_only_part():
    york = SINGLE[0]
    assert york.exchanges == ("XNYS",)
    assert york.trading.shape == (504, 1)
    assert york.trading.all()
    assert york.own_offset("XNYS", date(2015, 6, 5), 1) == date(2015, 6, 8)
    alone = joint_calendar([york])
    assert alone.sessions.tobytes() == york.sessions.tobytes()
    assert alone.closes.tobytes() == york.closes.tobytes()


def test_a_joint_calendar_reaches_as_far_as_all_of_its_exchanges():
    long, short = session_calendar("XNYS", FIRST, date(2017, 6, 30)), session_calendar("XLON", date(2015, 3, 1), LAST)
    joint = joint_calendar([long, short])
    assert (joint.first_date, joint.last_date) == (date(2015, 3, 1), LAST)
    assert joint.sessions[0] == np.datetime64("2015-03-02")
    assert refusal(joint.is_session, date(2017, 1, 3)) is Code.CALENDAR_END
    assert refusal(joint.offset, date(2016, 12, 30), 1) is Code.CALENDAR_END
    # New York's own calendar goes on
    assert joint.own_offset("XNYS", date(2016, 12, 30), 1) == date(2017, 1, 3)


def test_what_cannot_be_joined_is_refused_by_name():
    early, late = session_calendar("XNYS", FIRST, date(2015, 6, 30)), session_calendar("XLON", date(2016, 1, 4), LAST)
    assert refusal(joint_calendar, [early, late]) is Code.CALENDAR_END
    assert refusal(joint_calendar, []) is Code.SETTING_INVALID
    assert refusal(joint_calendar, [SINGLE[0], SINGLE[0]]) is Code.SETTING_INVALID
    assert refusal(joint_calendar, [JOINT, session_calendar("XPAR", FIRST, LAST)]) is Code.SETTING_INVALID


def test_beyond_the_rules_that_an_exchange_has_published_its_calendar_refuses():
    # Bombay announces its holidays year by year; the library holds them up to the end of 2026
    assert session_calendar("XBOM", date(2026, 1, 1), date(2026, 12, 31)).last_date == date(2026, 12, 31)
    assert refusal(session_calendar, "XBOM", date(2026, 1, 1), date(2027, 1, 31)) is Code.CALENDAR_END
    # Athens keeps the Orthodox Easter, which the library cannot compute on this pandas
    assert refusal(session_calendar, "ASEX", date(2015, 1, 1), date(2015, 12, 31)) is Code.CALENDAR_END


def test_every_country_of_the_table_has_an_exchange_whose_sessions_are_known():
    for country, venue in VENUES.items():
        calendar = session_calendar(venue.exchange, date(2026, 1, 5), date(2026, 6, 30))
        assert isinstance(calendar, SessionCalendar)
        assert 100 < calendar.sessions.shape[0] < 130, country
        assert len(country) == 2
        assert len(venue.currency) == 3
    assert {"US", "GB", "JP", "DE", "FR", "IN", "AU", "CA", "HK", "CH", "KR", "TW", "BR", "SE", "CN", "CL", "PE"} <= set(VENUES)
    assert venue_of("JP").exchange == "XTKS"
    assert refusal(venue_of, "EG") is Code.COUNTRY_UNKNOWN
