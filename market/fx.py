"""Exchange rates as known at an instant, and returns in another currency than that of the prices.

Not here: where a table of rates comes from, and which currency an asset is quoted in (:mod:`market.countries`, the vendor).

1. A table holds units of each currency for one euro, as the European Central Bank publishes them on its business days.
2. The rates of a date are known at 16:00 in Frankfurt on that date, summer time or not. Until July 2016 the bank published
   them earlier in the afternoon, so nothing is used before its time.
3. On a date without a rate, or before that date's rates are known, the last one known stands in for it, for a few days at the
   most. Beyond them the rate is missing, and whoever needs it is refused: a stale rate is a wrong return that looks right.
4. A cross rate is the quotient of two rates for the euro. Pence, cents and agorot are hundredths of their currency.

Source: European Central Bank, euro foreign exchange reference rates.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from types import MappingProxyType
from zoneinfo import ZoneInfo

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import FINDINGS_SHOWN_MAX, Finding, InputRejected
from market.arrays import BoolArray, DateArray, FloatArray, IntArray, StrArray, readonly
from market.calendars import to_date, to_datetime64

EURO = "EUR"
PUBLISHED_AT, PUBLISHED_IN = time(16, 0), ZoneInfo("Europe/Berlin")
"""Wall-clock time and zone at which a date's rates become known; Frankfurt keeps Berlin's time."""

CARRY_DAYS_MAX = 7
"""Calendar days for which a rate stands in for later ones. The bank's longest pause, Easter or Christmas, is five."""

MINOR_UNITS = MappingProxyType({"GBp": "GBP", "GBX": "GBP", "ZAc": "ZAR", "ZAC": "ZAR", "ILA": "ILS", "ILa": "ILS"})
"""Quotes in hundredths of a currency, by the labels that vendors give them. The letter case tells pence from pounds."""

MINOR_UNITS_EACH = 100.0

NO_ROW = -1


@dataclass(frozen=True, slots=True, eq=False)
class FxTable:
    """Rates for the euro by date.

    Attributes
    ----------
    dates : (D,) datetime64[D]
        Dates with at least one rate, ascending.
    currencies : (C,) str
        ISO 4217 codes, sorted; the euro is one of them.
    per_eur : (D, C) float64
        Units of the currency for one euro; NaN where none was published.
    known_at : (D,) datetime64[s]
        UTC; when the date's rates became known.
    """

    dates: DateArray
    currencies: StrArray
    per_eur: FloatArray
    known_at: DateArray

    def rates(
        self,
        dates: DateArray,
        currencies: Sequence[str] | StrArray,
        base: str,
        known_at: datetime | DateArray,
        *,
        needed: BoolArray | None = None,
        carry_days_max: int = CARRY_DAYS_MAX,
    ) -> FloatArray:
        """Return what one unit of each currency was worth in ``base`` on each date, as known then.

        Parameters
        ----------
        dates : (T,) datetime64[D]
            In any order.
        currencies : (C,) str
            ISO 4217 codes or minor units such as ``GBp``.
        base : str
            Currency of the result.
        known_at : datetime, or (T,) datetime64
            The decision instant: one for all dates (aware), or one for each (UTC). A rate published later is not used. Give the
            instant of each row when the result shall not depend on who looks later.
        needed : (T, C) bool, optional
            Cells that must have a rate; all by default. The others are NaN where there is none.
        carry_days_max : int
            Calendar days for which the last known rate stands in for a later date's.

        Returns
        -------
        (T, C) float64
            Units of ``base`` for one unit of the currency.

        Raises
        ------
        InputRejected
            ``fx_missing`` with one finding a currency, when a needed cell has no rate that is recent enough.

        Examples
        --------
        >>> day = np.array(["2016-06-23"], dtype="datetime64[D]")
        >>> table = fx_table(np.repeat(day, 2), ["GBP", "USD"], [0.76595, 1.1389])
        >>> table.rates(day, ["GBP", "GBp"], "USD", datetime(2016, 6, 24, tzinfo=UTC)).round(6)
        array([[1.486912, 0.014869]])
        """
        labels, day = np.asarray(currencies, dtype=np.str_), np.asarray(dates).astype("datetime64[D]")
        row = np.searchsorted(self.dates, day, side="right") - 1
        known = to_datetime64(known_at) if isinstance(known_at, datetime) else np.asarray(known_at)
        row = np.minimum(row, np.searchsorted(self.known_at, known, side="right") - 1)
        theirs, ours = self._for_euro(labels, day, row, carry_days_max), self._for_euro([base], day, row, carry_days_max)
        out = np.asarray(ours / theirs, dtype=np.float64)
        out /= np.where([str(c) in MINOR_UNITS for c in labels], MINOR_UNITS_EACH, 1.0)
        out *= MINOR_UNITS_EACH if base in MINOR_UNITS else 1.0
        missing = np.isnan(out) if needed is None else np.isnan(out) & needed
        if missing.any():
            raise _missing(missing, day, labels, base, carry_days_max)
        return out

    def _for_euro(self, labels: Sequence[str] | StrArray, day: DateArray, row: IntArray, carry_days_max: int) -> FloatArray:
        """Last rate (T, C) of each currency at or before ``row``; NaN where it is older than it may be."""
        out = np.full((day.shape[0], len(labels)), np.nan)
        for j, label in enumerate(labels):
            currency = MINOR_UNITS.get(str(label), str(label))
            if currency == EURO:
                out[:, j] = 1.0
                continue
            column = int(np.searchsorted(self.currencies, currency))
            if column == self.currencies.shape[0] or self.currencies[column] != currency:
                continue
            rates = self.per_eur[:, column]
            last = np.maximum.accumulate(np.where(np.isnan(rates), NO_ROW, np.arange(rates.shape[0])))
            source = np.where(row >= 0, last[np.maximum(row, 0)], NO_ROW)
            age = (day - self.dates[np.maximum(source, 0)]).astype(np.int64)
            out[:, j] = np.where((source >= 0) & (age <= carry_days_max), rates[np.maximum(source, 0)], np.nan)
        return out


def _missing(missing: BoolArray, day: DateArray, labels: StrArray, base: str, carry_days_max: int) -> InputRejected:
    findings = []
    for j in np.flatnonzero(missing.any(axis=0)):
        first, count = day[missing[:, j]].min(), int(missing[:, j].sum())
        text = f"No rate from {labels[j]} to {base} was known on {count} dates, the first of them {first}."
        findings.append(Finding(Code.FX_MISSING, text, value=str(labels[j])[:64]))
    named = ", ".join(str(f.value) for f in findings[:5])
    text = f"Rates to {base} are missing, or older than {carry_days_max} days: {named}."
    return InputRejected(Code.FX_MISSING, text, findings)


def published_at(dates: DateArray) -> DateArray:
    """Return when the rates of each date (D,) become known: 16:00 in Frankfurt, as datetime64[s] in UTC.

    Examples
    --------
    >>> published_at(np.array(["2016-03-24", "2016-03-29"], dtype="datetime64[D]")).astype(str).tolist()
    ['2016-03-24T15:00:00', '2016-03-29T14:00:00']
    """
    instants = [datetime.combine(to_date(day), PUBLISHED_AT, PUBLISHED_IN).astimezone(UTC) for day in dates]
    return np.array([i.replace(tzinfo=None) for i in instants], dtype="datetime64[s]")


def fx_table(
    dates: DateArray,
    currencies: Sequence[str] | StrArray,
    per_eur: Sequence[float] | FloatArray,
    known_at: DateArray | None = None,
) -> FxTable:
    """Build a table from long columns, one row for each date and currency, in any order.

    Parameters
    ----------
    dates : (r,) datetime64[D]
    currencies : (r,) str
        ISO 4217 codes.
    per_eur : (r,) float64
        Units for one euro; a row with NaN says nothing and is left out.
    known_at : (r,) datetime64, optional
        UTC; when each row was learnt, for rates that a date's others did not come with. The latest of a date counts for all of
        its rates. By default :func:`published_at`.

    Raises
    ------
    InputRejected
        ``fx_invalid`` with all findings: a rate that is not above zero or not finite, a date and currency twice, a date or
        currency that is none, a rate of the euro other than 1.
    """
    day, label = np.asarray(dates).astype("datetime64[D]"), np.asarray(currencies, dtype=np.str_)
    rate = np.asarray(per_eur, dtype=np.float64)
    given = ~np.isnan(rate)
    _refuse_rows(day, label, rate, given)
    axis, row = np.unique(day[given], return_inverse=True)
    names, column = np.unique(label[given], return_inverse=True)
    if axis.shape[0] == 0:
        raise InputRejected(Code.FX_INVALID, "The table of exchange rates holds no rate.")
    dense = np.full((axis.shape[0], names.shape[0]), np.nan)
    dense[row, column] = rate[given]
    known = published_at(axis)
    if known_at is not None:
        known = np.full(axis.shape[0], np.datetime64("0001-01-01", "s"))
        np.maximum.at(known, row, np.asarray(known_at).astype("datetime64[s]")[given])
        # a date learnt late hides behind it what is about later dates: earlier than it is safe, later is not
        known = np.maximum.accumulate(known)
    return FxTable(readonly(axis), readonly(names), readonly(dense), readonly(known))


def _refuse_rows(day: DateArray, label: StrArray, rate: FloatArray, given: BoolArray) -> None:
    """Refuse rows that cannot be rates, all of them at once; rows are counted from 1."""
    order = np.lexsort((np.arange(day.shape[0]), label, day))
    order = order[given[order]]
    again = np.zeros(day.shape[0], dtype=bool)
    again[order[1:]] = (day[order][1:] == day[order][:-1]) & (label[order][1:] == label[order][:-1])
    wrong = {
        "is not a rate above zero": given & ~((rate > 0) & np.isfinite(rate)),
        "has no date": given & np.isnat(day),
        "has no currency of three capital letters": given & ~_is_code(label),
        "gives a date and currency a second time": again & ~np.isnat(day),
        "gives the euro another rate than 1": given & (label == EURO) & (rate != 1.0),
    }
    findings = [
        Finding(Code.FX_INVALID, f"Row {i + 1} {what}.", row=int(i) + 1, value=f"{day[i]} {label[i]} {rate[i]}"[:64])
        for what, rows in wrong.items()
        for i in np.flatnonzero(rows)
    ]
    if findings:
        findings.sort(key=lambda f: f.row or 0)
        text = f"{len(findings)} rows of the exchange rates cannot be used; the first: {findings[0].message}"
        raise InputRejected(Code.FX_INVALID, text, findings[:FINDINGS_SHOWN_MAX])


def _is_code(label: StrArray) -> BoolArray:
    return np.asarray((np.char.str_len(label) == 3) & np.char.isalpha(label) & np.char.isupper(label), dtype=np.bool_)


def in_fund_currency(returns: FloatArray, fx: FloatArray) -> FloatArray:
    """Return local returns as returns in the fund's currency: (1 + r_t) · fx_t / fx_{t−1} − 1.

    Parameters
    ----------
    returns : (T, n) float64
        Simple returns in each asset's own currency, row t from t−1 to t; NaN stays NaN.
    fx : (T, n) float64
        Units of the fund's currency for one unit of the asset's, on the same rows. NaN gives NaN on its row and the next.

    Returns
    -------
    (T, n) float64
        Row 0 is NaN: the rate before it is not there.
    """
    out = np.full(returns.shape, np.nan)
    out[1:] = (1.0 + returns[1:]) * (fx[1:] / fx[:-1]) - 1.0
    return out
