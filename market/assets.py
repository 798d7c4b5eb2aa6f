"""Who is who: stable asset ids behind labels that change, and what is known of each asset at a date.

Not here: reading a map from bytes (:mod:`market.tickermap`) and numbers such as share counts (:mod:`market.facts`). Decision
instant: the argument ``known`` of every question.

1. All that is known is spells: an asset had a label (a ticker, a FIGI), or an attribute (a country, a sector), from one date to
   another, and we learnt it at an instant. A rename is two spells of one asset; a ticker that is used again is two spells of
   two assets, so the earlier asset is never taken for the later one.
2. Spells are never changed. A later row with the same asset, label and first date takes the place of the earlier one from the
   instant on at which it was learnt: so the end of a spell becomes known. One that ends on its first date withdraws it.
3. A question is asked about a date (``on``) with what was known at an instant (``known``): spells learnt later are not there.
4. Two spells of one label that overlap in the end contradict each other, and the map is refused. One ticker in two countries is
   no contradiction: it names two assets only to whoever leaves the country out, and is ambiguous to them.
5. What has neither a date nor an instant holds always, and looks ahead: the book says ``static_lookahead``. What has a date
   only is taken as learnt on that date: the book says ``assumed``.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import NamedTuple

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import FINDINGS_SHOWN_MAX, Finding, InputRejected
from crowdalpha.ids import AssetId
from market.arrays import StrArray, readonly
from market.assettable import COLUMNS, UNKNOWN, AssetWords
from market.calendars import to_datetime64

TICKER, NUMERAI_TICKER, YAHOO = "ticker", "numerai_ticker", "yahoo"
SCHEMES = (TICKER, NUMERAI_TICKER, "bloomberg_ticker", "composite_figi", "sedol", YAHOO)
"""Kinds of labels. A Numerai ticker is a symbol and an ISO country, such as ``AAPL US``."""

COUNTRY, CURRENCY, EXCHANGE, SECTOR = "country", "currency", "exchange", "sector"
ATTRIBUTES = (COUNTRY, CURRENCY, EXCHANGE, SECTOR)
"""Kinds of attributes; a currency is ISO 4217 or a minor unit, an exchange ISO 10383, a sector in the data's own words."""

_KIND_OF = {"tickers": TICKER, "sectors": SECTOR, "countries": COUNTRY, "currencies": CURRENCY}
"""Kind of spell from which each column of an asset table is taken."""

ALWAYS, FOREVER = date.min, date.max
KNOWN_ALWAYS = datetime.min.replace(tzinfo=UTC)
KNOWN_AT_LAST = datetime.max.replace(tzinfo=UTC)

ASSUMED, STATIC_LOOKAHEAD = "assumed", "static_lookahead"


@dataclass(frozen=True, slots=True)
class Spell:
    """An asset had a label or an attribute from one date to another.

    Attributes
    ----------
    asset_id : AssetId
    kind : str
        One of :data:`SCHEMES` or :data:`ATTRIBUTES`.
    value : str
        The label, or what the attribute was.
    valid_from : date
        First date on which it held; :data:`ALWAYS` where none is given.
    valid_to : date
        First date on which it no longer held; :data:`FOREVER` while no end is known. On ``valid_from``: it never held.
    known_at : datetime
        Aware; when it was learnt. :data:`KNOWN_ALWAYS` where neither date nor instant is given.
    country : str
        Of a label: the ISO country that it is used in, where that is told apart; otherwise empty.
    row : int
        Line of the file, for findings.
    assumed : bool
        Whether ``known_at`` was taken from ``valid_from``.
    """

    asset_id: AssetId
    kind: str
    value: str
    valid_from: date = ALWAYS
    valid_to: date = FOREVER
    known_at: datetime = KNOWN_ALWAYS
    country: str = ""
    row: int = 0
    assumed: bool = False

    def holds(self, on: date) -> bool:
        """Tell whether the spell covers ``on``."""
        return self.valid_from <= on < self.valid_to

    @property
    def key(self) -> tuple[str, ...]:
        """What a later row must repeat to take this one's place."""
        return (self.asset_id, self.kind, self.value, self.country, self.valid_from.isoformat())


class Resolution(NamedTuple):
    """What labels stood for.

    Attributes
    ----------
    asset_ids : (k,) str
        In the order of the labels; empty text where a finding says why not.
    findings : tuple of Finding
        ``label_unknown``, ``label_expired`` or ``label_ambiguous``; ``row`` is the label's position, from 1.
    """

    asset_ids: StrArray
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, eq=False)
class AssetBook:
    """All spells, and the questions that they answer.

    Attributes
    ----------
    spells : tuple of Spell
        In any order.

    Raises
    ------
    InputRejected
        ``spell_conflict`` with the rows of all pairs of spells that contradict each other.
    """

    spells: tuple[Spell, ...]
    _by_value: dict[tuple[str, str], list[Spell]] = field(init=False, repr=False)
    _by_asset: dict[tuple[str, str], list[Spell]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        by_value, by_asset = defaultdict(list), defaultdict(list)
        for spell in sorted(self.spells, key=lambda s: (s.known_at, s.row)):
            by_value[spell.kind, spell.value].append(spell)
            by_asset[spell.kind, spell.asset_id].append(spell)
        object.__setattr__(self, "_by_value", dict(by_value))
        object.__setattr__(self, "_by_asset", dict(by_asset))
        _refuse_conflicts(
            [*_repeated(self.spells)]
            + [pair for (kind, _), spells in by_value.items() if kind in SCHEMES for pair in _overlaps(spells)]
            + [pair for (kind, _), spells in by_asset.items() if kind in ATTRIBUTES for pair in _overlaps(spells)]
        )

    @property
    def flags(self) -> frozenset[str]:
        """What a report on anything resolved by this book must say."""
        static = {STATIC_LOOKAHEAD for s in self.spells if s.known_at == KNOWN_ALWAYS and s.valid_from == ALWAYS}
        return frozenset(static | {ASSUMED for s in self.spells if s.assumed})

    @property
    def asset_ids(self) -> StrArray:
        """All asset ids of the book, sorted, (n,) str, whenever they were learnt."""
        return np.unique(np.array([s.asset_id for s in self.spells], dtype=np.str_))

    def resolve(self, labels: Sequence[str] | StrArray, scheme: str, on: date, known: datetime) -> Resolution:
        """Return the assets that ``labels`` stood for on a date, by what was known at an instant.

        Parameters
        ----------
        labels : (k,) str
            As the vendor writes them.
        scheme : str
            One of :data:`SCHEMES`. A Numerai ticker that the book does not hold is looked for as a ticker in its country.
        on : date
            The date that the labels are about, such as a price's.
        known : datetime
            Aware; spells learnt later are not used.

        Raises
        ------
        InputRejected
            ``request_invalid`` for another scheme; ``date_invalid`` for an instant without a zone.

        Examples
        --------
        >>> spells = [Spell(AssetId("A1"), "ticker", "FB", date(2012, 5, 18), date(2022, 6, 9), country="US"),
        ...           Spell(AssetId("A1"), "ticker", "META", date(2022, 6, 9), country="US")]
        >>> book, later = AssetBook(tuple(spells)), datetime(2024, 1, 1, tzinfo=UTC)
        >>> book.resolve(["META US", "FB US"], "numerai_ticker", date(2022, 6, 9), later).asset_ids.tolist()
        ['A1', '']
        """
        if scheme not in SCHEMES:
            raise InputRejected(Code.REQUEST_INVALID, f"There is no scheme {scheme[:40]!r}; there are: {', '.join(SCHEMES)}.")
        _refuse_naive(known)
        found: list[str] = []
        findings: list[Finding] = []
        for position, label in enumerate(labels, start=1):
            spells = self._spells_of(str(label), scheme, on, known)
            assets = sorted({s.asset_id for s in spells if s.holds(on)})
            found.append(assets[0] if len(assets) == 1 else "")
            if len(assets) != 1:
                findings.append(_finding(position, str(label), scheme, on, spells, assets))
        return Resolution(readonly(np.array(found, dtype=np.str_)), tuple(findings))

    def labels(self, asset_ids: Sequence[str] | StrArray, scheme: str, on: date, known: datetime) -> StrArray:
        """Return the label (n,) that each asset had on a date; empty text for none, the first in order where it had several."""
        return self._values(asset_ids, scheme, on, known, "")

    def attribute(self, asset_ids: Sequence[str] | StrArray, name: str, on: date, known: datetime) -> StrArray:
        """Return what an attribute, one of :data:`ATTRIBUTES`, of each asset (n,) was on a date; ``unknown`` where untold."""
        return self._values(asset_ids, name, on, known, UNKNOWN)

    def spells_of(self, label: str, scheme: str) -> Sequence[Spell]:
        """Return all spells of a label, also those that were taken back, in the order in which they were learnt."""
        return tuple(self._by_value.get((scheme, label), ()))

    def spells_about(self, asset_id: str, kind: str) -> Sequence[Spell]:
        """Return all spells of an asset and kind, also those that were taken back, in the order in which they were learnt."""
        return tuple(self._by_asset.get((kind, asset_id), ()))

    def labels_ever(self, scheme: str) -> tuple[str, ...]:
        """Return every label of a scheme, sorted, whenever it was learnt; a Numerai ticker also where it is a ticker's.

        Examples
        --------
        >>> AssetBook((Spell(AssetId("A1"), "ticker", "FB", country="US"),)).labels_ever("numerai_ticker")
        ('FB US',)
        """
        found = {value for kind, value in self._by_value if kind == scheme}
        if scheme == NUMERAI_TICKER:
            for (kind, value), spells in self._by_value.items():
                if kind == TICKER:
                    found |= {f"{value} {country}" for s in spells for country in self._countries(s)}
        return tuple(sorted(found))

    def words(self, asset_ids: Sequence[str] | StrArray) -> AssetWords:
        """Return every change of what the book says of assets, in the order of the axis ``asset_ids``; empty text for no asset.

        Of an asset with a spell of a kind, however late, the book speaks at all times: before that it says that nothing is
        known. Of one without any it is silent, and whoever holds a snapshot may go on using it.

        Examples
        --------
        >>> spell = Spell(AssetId("A"), "sector", "Energy", date(2016, 1, 1), known_at=datetime(2016, 3, 1, tzinfo=UTC))
        >>> words = AssetBook((spell,)).words(["A", "B"])
        >>> words.known_at.astype("datetime64[D]").tolist()[1].isoformat(), words.values.tolist()
        ('2016-03-01', ['', 'Energy'])
        """
        found = [
            (to_datetime64(instant), column, place, value)
            for place, asset_id in enumerate(asset_ids)
            for column, name in enumerate(COLUMNS)
            for instant, value in _changes(self.spells_about(str(asset_id), _KIND_OF[name]))
        ]
        if not found:
            return AssetWords.none()
        known_at, columns, assets, values = zip(*sorted(found, key=lambda change: change[:3]), strict=True)
        return AssetWords(np.array(known_at), np.array(columns), np.array(assets), np.array(values, dtype=np.str_))

    def _countries(self, spell: Spell) -> set[str]:
        """Return the countries under which a ticker may be asked for."""
        return {spell.country} if spell.country else {s.value for s in self.spells_about(spell.asset_id, COUNTRY)}

    def _values(self, asset_ids: Sequence[str] | StrArray, kind: str, on: date, known: datetime, default: str) -> StrArray:
        _refuse_naive(known)
        out = []
        for asset_id in asset_ids:
            spells = current_spells(self._by_asset.get((kind, str(asset_id)), ()), known)
            out.append(min((s.value for s in spells if s.holds(on)), default=default))
        return readonly(np.array(out, dtype=np.str_))

    def _spells_of(self, label: str, scheme: str, on: date, known: datetime) -> list[Spell]:
        spells = current_spells(self._by_value.get((scheme, label), ()), known)
        if spells or scheme != NUMERAI_TICKER or " " not in label:
            return spells
        symbol, country = label.rsplit(" ", 1)
        tickers = current_spells(self._by_value.get((TICKER, symbol), ()), known)
        return [s for s in tickers if country == (s.country or self.attribute([s.asset_id], COUNTRY, on, known)[0])]


def _refuse_naive(known: datetime) -> None:
    if known.tzinfo is None:
        raise InputRejected(Code.DATE_INVALID, f"The instant {known.isoformat()} has no time zone.")


def current_spells(spells: Iterable[Spell], known: datetime) -> list[Spell]:
    """Return spells as known at an instant: of each key the last one learnt. ``spells`` are ordered by ``known_at``."""
    return list({s.key: s for s in spells if s.known_at <= known}.values())


def _changes(spells: Sequence[Spell]) -> list[tuple[datetime, str]]:
    """Return each instant at which what holds on its own date, by what is known then, changes; the first is the beginning."""
    days = {day for s in spells for day in (s.valid_from, s.valid_to) if ALWAYS < day < FOREVER}
    instants = sorted({KNOWN_ALWAYS, *(s.known_at for s in spells), *map(_midnight, days)}) if spells else []
    found: list[tuple[datetime, str]] = []
    for instant in instants:
        on = instant.astimezone(UTC).date()
        value = min((s.value for s in current_spells(spells, instant) if s.holds(on)), default="")
        if not found or found[-1][1] != value:
            found.append((instant, value))
    return found


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _finding(position: int, label: str, scheme: str, on: date, spells: list[Spell], assets: list[AssetId]) -> Finding:
    told = label[:64]
    ended = [s.valid_to for s in spells if s.valid_from < s.valid_to <= on]
    if assets:
        code, text = Code.LABEL_AMBIGUOUS, f"{told!r} names {len(assets)} assets on {on.isoformat()}: {', '.join(assets[:5])}."
    elif ended:
        code, text = Code.LABEL_EXPIRED, f"{told!r} named an asset until {max(ended).isoformat()}, not on {on.isoformat()}."
    else:
        code, text = Code.LABEL_UNKNOWN, f"No asset is known as {told!r} on {on.isoformat()}."
    return Finding(code, text, row=position, column=scheme, value=told)


def _repeated(spells: Iterable[Spell]) -> Iterable[tuple[Spell, Spell]]:
    """Pairs of rows that say the same of one spell at the same instant, or contradict each other there."""
    first: dict[tuple[object, ...], Spell] = {}
    for spell in spells:
        former = first.setdefault((spell.key, spell.known_at), spell)
        if former is not spell:
            yield former, spell


def _overlaps(spells: Iterable[Spell]) -> Iterable[tuple[Spell, Spell]]:
    """Pairs of spells that cover a date together, by all that was ever learnt."""
    final = sorted(current_spells(spells, KNOWN_AT_LAST), key=lambda s: (s.valid_from, s.row))
    for i, spell in enumerate(final):
        for other in final[i + 1 :]:
            if other.valid_from >= spell.valid_to:
                break
            apart = spell.country and other.country and spell.country != other.country
            if other.valid_from < other.valid_to and not apart:
                yield spell, other


def _refuse_conflicts(pairs: Sequence[tuple[Spell, Spell]]) -> None:
    findings = []
    for one, other in pairs[:FINDINGS_SHOWN_MAX]:
        text = f"Rows {one.row} and {other.row} contradict each other about {one.kind} {one.value[:64]!r}"
        text += f" of {one.asset_id}" + (f" and {other.asset_id}." if other.asset_id != one.asset_id else ".")
        findings.append(Finding(Code.SPELL_CONFLICT, text, row=other.row, column=one.kind, value=other.value[:64]))
    if findings:
        more = f"{len(pairs)} pairs of rows contradict each other; the first: {findings[0].message}"
        raise InputRejected(Code.SPELL_CONFLICT, more, findings)
