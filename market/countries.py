"""Where a country's shares are traded: the exchange whose sessions count for each country, and the currency of its prices.

Not here: sessions (:mod:`market.calendars`) and rates (:mod:`market.fx`). The exchanges of one country share their
holidays; the one that stands here is the largest for shares. A country without an entry has no exchange whose sessions are
known offline, and is refused rather than guessed. Greece and Romania are among those: the library cannot make calendars with
the Orthodox Easter on the pandas that it runs on here.
"""

from types import MappingProxyType
from typing import NamedTuple

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected


class Venue(NamedTuple):
    """The exchange of a country.

    Attributes
    ----------
    exchange : str
        ISO 10383 code, one that exchange_calendars knows.
    currency : str
        ISO 4217 code of its prices. Vendors quote London, Johannesburg and Tel Aviv in hundredths of it.
    """

    exchange: str
    currency: str


VENUES = MappingProxyType(
    {
        # the Americas
        "AR": Venue("XBUE", "ARS"),
        "BR": Venue("BVMF", "BRL"),
        "CA": Venue("XTSE", "CAD"),
        "CL": Venue("XSGO", "CLP"),
        "CO": Venue("XBOG", "COP"),
        "MX": Venue("XMEX", "MXN"),
        "PE": Venue("XLIM", "PEN"),
        "US": Venue("XNYS", "USD"),
        # Europe, the Near East and Africa
        "AT": Venue("XWBO", "EUR"),
        "BE": Venue("XBRU", "EUR"),
        "CH": Venue("XSWX", "CHF"),
        "CZ": Venue("XPRA", "CZK"),
        "DE": Venue("XETR", "EUR"),
        "DK": Venue("XCSE", "DKK"),
        "ES": Venue("XMAD", "EUR"),
        "FI": Venue("XHEL", "EUR"),
        "FR": Venue("XPAR", "EUR"),
        "GB": Venue("XLON", "GBP"),
        "HU": Venue("XBUD", "HUF"),
        "IE": Venue("XDUB", "EUR"),
        "IL": Venue("XTAE", "ILS"),
        "IS": Venue("XICE", "ISK"),
        "IT": Venue("XMIL", "EUR"),
        "NL": Venue("XAMS", "EUR"),
        "NO": Venue("XOSL", "NOK"),
        "PL": Venue("XWAR", "PLN"),
        "PT": Venue("XLIS", "EUR"),
        "RU": Venue("XMOS", "RUB"),
        "SA": Venue("XSAU", "SAR"),
        "SE": Venue("XSTO", "SEK"),
        "TR": Venue("XIST", "TRY"),
        "ZA": Venue("XJSE", "ZAR"),
        # Asia and the Pacific
        "AU": Venue("XASX", "AUD"),
        "CN": Venue("XSHG", "CNY"),
        "HK": Venue("XHKG", "HKD"),
        "ID": Venue("XIDX", "IDR"),
        "IN": Venue("XBOM", "INR"),
        "JP": Venue("XTKS", "JPY"),
        "KR": Venue("XKRX", "KRW"),
        "MY": Venue("XKLS", "MYR"),
        "NZ": Venue("XNZE", "NZD"),
        "PH": Venue("XPHS", "PHP"),
        "PK": Venue("XKAR", "PKR"),
        "SG": Venue("XSES", "SGD"),
        "TH": Venue("XBKK", "THB"),
        "TW": Venue("XTAI", "TWD"),
    }
)
"""By ISO 3166 code of the country."""


def venue_of(country: str) -> Venue:
    """Return the exchange and the currency of ``country``.

    Parameters
    ----------
    country : str
        ISO 3166 code of two letters.

    Raises
    ------
    InputRejected
        ``country_unknown`` for a country whose exchange's sessions are not known.

    Examples
    --------
    >>> venue_of("GB")
    Venue(exchange='XLON', currency='GBP')
    """
    if country not in VENUES:
        raise InputRejected(Code.COUNTRY_UNKNOWN, f"No exchange calendar is known for the country {country[:40]!r}.")
    return VENUES[country]
