"""Sessions of the New York exchange against dates and hours that the exchange published (answers written by hand)."""

from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.calendars import SessionCalendar, session_calendar

CALENDAR = session_calendar("XNYS", date(2012, 1, 1), date(2018, 12, 31))


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def refusal(call, *args):
    with pytest.raises(InputRejected) as caught:
        call(*args)
    return caught.value.code


@pytest.mark.parametrize(
    ("day", "closes"),
    [
        (date(2014, 11, 28), utc(2014, 11, 28, 18)),  # the day after Thanksgiving closes at 13:00 New York
        (date(2015, 12, 24), utc(2015, 12, 24, 18)),
        (date(2016, 3, 11), utc(2016, 3, 11, 21)),  # winter time
        (date(2016, 3, 14), utc(2016, 3, 14, 20)),  # summer time since the Sunday before
        (date(2016, 11, 4), utc(2016, 11, 4, 20)),
        (date(2016, 11, 7), utc(2016, 11, 7, 21)),
    ],
)
def test_half_days_and_daylight_saving_are_in_the_closes(day, closes):
    assert CALENDAR.close_at(day) == closes
    assert CALENDAR.close_at(day).tzinfo is UTC


def test_opens_follow_daylight_saving():
    assert CALENDAR.open_at(date(2016, 3, 11)) == utc(2016, 3, 11, 14, 30)
    assert CALENDAR.open_at(date(2016, 3, 14)) == utc(2016, 3, 14, 13, 30)


def test_holidays_and_storms_are_no_sessions():
    closed = [date(2012, 10, 29), date(2012, 10, 30), date(2014, 4, 18), date(2015, 7, 3), date(2016, 1, 2), date(2018, 12, 5)]
    assert not any(CALENDAR.is_session(day) for day in closed)
    assert CALENDAR.is_session(date(2012, 10, 31))
    assert refusal(CALENDAR.close_at, date(2015, 7, 3)) is Code.DATE_NOT_SESSION


def test_the_last_closed_session_precedes_the_instant_strictly():
    friday, monday = date(2014, 6, 6), date(2014, 6, 9)
    close = CALENDAR.close_at(monday)
    assert CALENDAR.last_closed_before(close) == friday
    assert CALENDAR.last_closed_before(close + timedelta(seconds=1)) == monday
    assert CALENDAR.last_closed_before(close + timedelta(microseconds=1)) == monday
    tokyo = (close + timedelta(seconds=1)).astimezone(timezone(timedelta(hours=9)))
    assert CALENDAR.last_closed_before(tokyo) == monday


def test_offsets_step_over_holidays_both_ways():
    assert CALENDAR.offset(date(2014, 11, 26), 1) == date(2014, 11, 28)
    assert CALENDAR.offset(date(2014, 11, 28), -1) == date(2014, 11, 26)
    assert CALENDAR.offset(date(2014, 11, 28), 0) == date(2014, 11, 28)
    assert CALENDAR.next_session(date(2014, 11, 27)) == date(2014, 11, 28)
    assert CALENDAR.next_session(date(2014, 11, 28)) == date(2014, 12, 1)
    assert CALENDAR.sessions_between(date(2014, 11, 26), date(2014, 12, 1)) == [
        date(2014, 11, 26),
        date(2014, 11, 28),
        date(2014, 12, 1),
    ]


def test_week_ends_are_the_last_sessions_of_iso_weeks():
    ends = CALENDAR.week_ends(date(2014, 12, 22), date(2015, 1, 9))
    assert ends == [date(2014, 12, 26), date(2015, 1, 2), date(2015, 1, 9)]
    assert CALENDAR.week_ends(date(2014, 4, 14), date(2014, 4, 18)) == [date(2014, 4, 17)]  # Good Friday
    assert CALENDAR.week_ends(date(2014, 4, 14), date(2014, 4, 16)) == []
    assert CALENDAR.week_ends(date(2014, 4, 17), date(2014, 4, 17)) == [date(2014, 4, 17)]


def test_a_week_that_the_calendar_does_not_hold_wholly_has_no_end():
    # 2018-12-31 is a Monday: the rest of its week is not in the calendar
    assert CALENDAR.week_ends(date(2018, 12, 17), date(2018, 12, 31)) == [date(2018, 12, 21), date(2018, 12, 28)]


def test_beyond_its_end_the_calendar_refuses():
    last = date(2018, 12, 31)
    assert refusal(CALENDAR.offset, last, 1) is Code.CALENDAR_END
    assert refusal(CALENDAR.offset, date(2012, 1, 3), -1) is Code.CALENDAR_END
    assert refusal(CALENDAR.next_session, last) is Code.CALENDAR_END
    assert refusal(CALENDAR.is_session, date(2019, 1, 2)) is Code.CALENDAR_END
    assert refusal(CALENDAR.last_closed_before, utc(2019, 1, 1)) is Code.CALENDAR_END
    assert refusal(CALENDAR.last_closed_before, utc(2012, 1, 2)) is Code.CALENDAR_END
    assert refusal(CALENDAR.week_ends, date(2018, 1, 1), date(2019, 1, 1)) is Code.CALENDAR_END
    assert CALENDAR.last_closed_before(utc(2018, 12, 31, 23, 59)) == last


def test_wrong_requests_are_refused_by_name():
    assert refusal(session_calendar, "XNYS", date(2014, 1, 2), date(2014, 1, 1)) is Code.DATE_INVALID
    assert refusal(session_calendar, "NOWHERE", date(2014, 1, 2), date(2014, 1, 9)) is Code.SETTING_INVALID
    assert refusal(CALENDAR.last_closed_before, utc(2014, 1, 2).replace(tzinfo=None)) is Code.DATE_INVALID


def test_calendars_are_cached_frozen_and_can_be_written_by_hand():
    assert session_calendar("XNYS", date(2012, 1, 1), date(2018, 12, 31)) is CALENDAR
    with pytest.raises(ValueError):
        CALENDAR.closes[0] = CALENDAR.closes[1]
    days = np.array(["2014-01-02", "2014-01-03"], dtype="datetime64[D]")
    small = SessionCalendar("TEST", days, days.astype("datetime64[s]"), days.astype("datetime64[s]") + 60)
    assert small.last_date == date(2014, 1, 3)
    assert small.close_at(date(2014, 1, 3)) == utc(2014, 1, 3, 0, 1)
