"""Make sessions.csv beside this file: the sessions of 2015 and 2016 of three exchanges, in UTC, from what they published.

Holidays, early closes and trading hours are written out below as the exchanges announced them; local hours become UTC by the
time zone database alone. No calendar library is asked. Run it by hand only when exchanges or years are added:
``python tests/answers/make_sessions.py``.
"""

import csv
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

FIRST, LAST = date(2015, 1, 1), date(2016, 12, 31)

# exchange: zone, open, close, early close
HOURS = {
    "XNYS": ("America/New_York", time(9, 30), time(16, 0), time(13, 0)),
    "XLON": ("Europe/London", time(8, 0), time(16, 30), time(12, 30)),
    "XTKS": ("Asia/Tokyo", time(9, 0), time(15, 0), None),
}

# Weekdays without trading. Month-day, per year.
CLOSED = {
    ("XNYS", 2015): "01-01 01-19 02-16 04-03 05-25 07-03 09-07 11-26 12-25",
    ("XNYS", 2016): "01-01 01-18 02-15 03-25 05-30 07-04 09-05 11-24 12-26",
    ("XLON", 2015): "01-01 04-03 04-06 05-04 05-25 08-31 12-25 12-28",
    ("XLON", 2016): "01-01 03-25 03-28 05-02 05-30 08-29 12-26 12-27",
    # Golden Week and, in September 2015, Silver Week close Tokyo for three weekdays in a row.
    ("XTKS", 2015): "01-01 01-02 01-12 02-11 04-29 05-04 05-05 05-06 07-20 09-21 09-22 09-23 10-12 11-03 11-23 12-23 12-31",
    ("XTKS", 2016): "01-01 01-11 02-11 03-21 04-29 05-03 05-04 05-05 07-18 08-11 09-19 09-22 10-10 11-03 11-23 12-23",
}

EARLY = {
    ("XNYS", 2015): "11-27 12-24",
    ("XNYS", 2016): "11-25",
    ("XLON", 2015): "12-24 12-31",
    ("XLON", 2016): "12-23 12-30",
}


def dates(table, exchange):
    """The dates of one exchange in a table of month-days."""
    return {
        date.fromisoformat(f"{year}-{day}") for (name, year), days in table.items() if name == exchange for day in days.split()
    }


def utc(day, clock, zone):
    """A local wall-clock time as UTC text."""
    return datetime.combine(day, clock, ZoneInfo(zone)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def rows():
    """One row for each exchange and session."""
    for exchange, (zone, opens, closes, early) in HOURS.items():
        closed, short = dates(CLOSED, exchange), dates(EARLY, exchange)
        for n in range((LAST - FIRST).days + 1):
            day = FIRST + timedelta(days=n)
            if day.weekday() < 5 and day not in closed:
                yield exchange, day.isoformat(), utc(day, opens, zone), utc(day, early if day in short else closes, zone)


if __name__ == "__main__":
    with Path(__file__).with_name("sessions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["exchange", "session", "open_utc", "close_utc"])
        writer.writerows(rows())
