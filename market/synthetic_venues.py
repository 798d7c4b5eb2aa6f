"""Where a synthetic market's assets are listed: exchanges with sessions of their own, and currencies with seeded paths.

Not here: what the assets earn (:mod:`market.synthetic`). Sessions are real ones, of :mod:`market.countries`; rates are drawn,
and say nothing about any real currency. Each currency draws from a stream of its own, so that none moves another's.

1. A country's assets trade on the sessions of its exchange; several countries share the joint calendar of theirs.
2. The logarithm of a currency's value in the fund's starts anywhere between a yen's and a pound's and walks at random from date
   to date.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import BoolArray, FloatArray, StrArray
from market.calendars import SessionCalendar, joint_calendar, session_calendar
from market.countries import venue_of

CURRENCY = "USD"
"""Of the fund: what a synthetic market's dollar volumes, capitalizations and total returns are in."""

LOOK_AHEAD_DAYS = 400
"""The calendar reaches this far beyond the last price, since rounds plan ahead."""

RATE_MIN, RATE_MAX = 0.005, 1.6
"""Between which a currency's first rate lies, in the fund's currency for one unit."""

RATE_DECIMALS = 8
"""Rates are rounded as published ones are; it also absorbs the last bits in which machines differ."""

SESSIONS_YEAR = 252


@dataclass(frozen=True, slots=True, eq=False)
class Venues:
    """Where n assets are traded over t dates.

    Attributes
    ----------
    calendar : SessionCalendar
        Of one exchange, or of several together; it reaches beyond the last date.
    rows : slice
        The t dates among its sessions.
    exchanges, currencies : (n,) str
        Of each asset.
    trading : (t, E) bool
        Which exchange trades on which date; columns are the exchanges in their order by name.
    open_for : (t, n) bool
        Whether each asset's exchange trades.
    fx : (t, n) float64 or None
        Value of one unit of each asset's currency in the fund's; None where all are the fund's own.
    """

    calendar: SessionCalendar
    rows: slice
    exchanges: StrArray
    currencies: StrArray
    trading: BoolArray
    open_for: BoolArray
    fx: FloatArray | None


def venues(
    countries: StrArray, start: date, end: date, volatility: float, stream: Callable[[str], np.random.Generator]
) -> Venues:
    """Return where the assets of ``countries`` (n,) are traded from ``start`` to ``end``.

    Parameters
    ----------
    countries : (n,) str
        ISO 3166 code of each asset's listing.
    start, end : date
        First and last date with prices.
    volatility : float
        Yearly deviation of each rate's logarithm.
    stream : callable
        Gives the generator of a part by its name.

    Raises
    ------
    InputRejected
        ``country_unknown``; ``date_invalid`` without a session in the time; ``calendar_end`` beyond an exchange's known rules.
    """
    names, of_asset = np.unique(countries, return_inverse=True)
    homes = [venue_of(name) for name in names.tolist()]
    exchanges, currencies = (np.array([getattr(home, what) for home in homes])[of_asset] for what in ("exchange", "currency"))
    own, column = np.unique(exchanges, return_inverse=True)
    reach = end + timedelta(days=LOOK_AHEAD_DAYS)
    calendars = [session_calendar(exchange, start, reach) for exchange in own.tolist()]
    calendar = calendars[0] if len(calendars) == 1 else joint_calendar(calendars)
    rows = _rows(calendar, start, end)
    trading = calendar.trading[rows]
    return Venues(
        calendar, rows, exchanges, currencies, trading, trading[:, column],
        _rates(currencies, trading.shape[0], volatility, stream),
    )  # fmt: skip


def _rows(calendar: SessionCalendar, start: date, end: date) -> slice:
    first = int(np.searchsorted(calendar.sessions, np.datetime64(start, "D")))
    last = int(np.searchsorted(calendar.sessions, np.datetime64(end, "D"), side="right"))
    if last <= first:
        raise InputRejected(Code.DATE_INVALID, f"There is no session between {start.isoformat()} and {end.isoformat()}.")
    return slice(first, last)


def _rates(currencies: StrArray, t: int, volatility: float, stream: Callable[[str], np.random.Generator]) -> FloatArray | None:
    names, of_asset = np.unique(currencies, return_inverse=True)
    if names.tolist() == [CURRENCY]:
        return None
    paths = np.ones((t, names.shape[0]))
    for j, name in enumerate(names.tolist()):
        if name == CURRENCY:
            continue
        rng = stream(f"fx {name}")
        level = rng.uniform(np.log(RATE_MIN), np.log(RATE_MAX))
        steps = volatility / np.sqrt(SESSIONS_YEAR) * rng.standard_normal(t)
        paths[:, j] = np.round(np.exp(level + np.cumsum(steps) - steps[0]), RATE_DECIMALS)
    return paths[:, of_asset]
