"""The panel of a home: what ``data ingest``, ``replay`` and ``demo`` leave in ``data/`` and every later command reads.

Prices and events lie in the store (:mod:`service.pricestore`), judged; of a synthetic market only its spec is kept, in
``panel.json``, because it gives the same bytes again.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected, InvariantBroken
from market.batch import DELISTING, EventRows, PriceBatch, join_rows
from market.calendars import SessionCalendar, session_calendar
from market.countries import venue_of
from market.panel import PointInTimePanel
from market.pivot import About, facts_by_ticker
from service.atomic import write_file
from service.home import Home
from service.keptmarket import KeptMarket
from service.pricepanel import PanelRules, stored_panel
from service.pricestore import Dataset, PriceStore, give_memory_back
from service.settings import Settings
from service.vendors.files import read_meta
from service.vendors.folder import FolderSource
from service.vendors.metafacts import fact_table, newest_first
from service.vendors.source import FetchRequest

if TYPE_CHECKING:
    from market.quality import Judgement
    from market.synthetic import SyntheticSpec

MANIFEST = "panel.json"
PANEL_FLAGS = "flags.json"
DATASET = "prices"
"""Name of the dataset that a file goes to when nobody names another."""

CALENDAR_MARGIN_DAYS = 120
"""How far the calendar reaches beyond the last price: a round resolves 22 sessions after it opens, and one more opens then."""


@dataclass(frozen=True, slots=True)
class FileBatch:
    """What a file of prices is, where the file does not say it.

    Attributes
    ----------
    prices : Path
        A long file, or a folder of them.
    meta : Path or None
        Metadata: sectors, countries, shares, delistings.
    dataset : str
    exchange : str or None
        ISO 10383 code; None for the settings'.
    country, currency : str
        ISO codes; empty for what the metadata say, and for the fund's own.
    last : date or None
        No row after it is read.
    """

    prices: Path
    meta: Path | None = None
    dataset: str = DATASET
    exchange: str | None = None
    country: str = ""
    currency: str = ""
    last: date | None = None


def ingest_file(store: PriceStore, settings: Settings, file: FileBatch, asked_at: datetime) -> "list[Judgement]":
    """Judge the rows of a file and add them to the store; return what the gate said, a judgement a file.

    Raises
    ------
    Unavailable, InputRejected, Conflict
        What the file is refused for; nothing of it is kept then. ``dataset_differs`` for a dataset that is kept otherwise.
    """
    about = None if file.meta is None else newest_first(read_meta(file.meta))
    exchange = file.exchange or settings.market.calendar
    file_format = "csv" if ".csv" in file.prices.name else "parquet"
    source = FolderSource(file.prices, file_format)
    first, last = source.span()
    margin = timedelta(days=CALENDAR_MARGIN_DAYS)
    calendar = session_calendar(exchange, first - margin, min(last, file.last or last) + margin)
    delay = settings.market.vendor_delay_minutes
    request = FetchRequest((), None, file.last, asked_at, lambda _: calendar, delay)
    judgements: list[Judgement] = []
    for part in source.fetch(request):
        if part.batch is None or len(part.batch.prices) == 0:
            raise InputRejected(Code.PRICES_INVALID, "The price file holds no row up to that date.")
        facts = {} if about is None else facts_by_ticker(about, np.unique(part.batch.prices.tickers))
        batch = _with_delistings(part.batch, facts, calendar)
        if about is not None:  # sectors and countries of one snapshot, used for all dates
            batch = replace(batch, flags=batch.flags | {"static_lookahead"})
        dataset = Dataset(
            name=file.dataset,
            source=file_format,
            exchange=exchange,
            country=file.country or "unknown",
            currency=file.currency or settings.market.currency,
            price_basis=batch.price_basis,
            vendor_delay_minutes=delay,
        )
        kept = KeptMarket(store, dataset, cleared=cleared_rows(store.folder))
        kept.keep(batch, assets=None if about is None else fact_table(about, facts))
        judgements += kept.judgements
    return judgements


def refuse_made_market(home: Home) -> None:
    """Refuse to add market data to a home whose market is made from a seed: nothing would ever be read of them.

    Raises
    ------
    Conflict
        DATASET_DIFFERS.
    """
    if (home.data / MANIFEST).is_file():
        message = "This home's market is made from a seed: prices go into a home of their own, which `crowdalpha init` makes."
        raise Conflict(Code.DATASET_DIFFERS, message)


def refuse_without_rates(store: PriceStore, settings: Settings, currency: str) -> None:
    """Refuse prices in a foreign ``currency`` (empty for the fund's own) while the store holds no exchange rates at all.

    Raises
    ------
    InputRejected
        FX_MISSING.
    """
    own = settings.market.currency
    if currency not in {"", own} and store.rates() is None:
        raise InputRejected(Code.FX_MISSING, f"Prices in {currency[:8]} need rates to {own}: give --fx FILE first.")


def panel_of_files(settings: Settings, prices: Path, meta: Path | None, last: date) -> PointInTimePanel:
    """Return the panel that files would make of an empty home: judged, and nothing is kept."""
    with tempfile.TemporaryDirectory() as folder:
        store = PriceStore(Path(folder), sync=False)
        ingest_file(store, settings, FileBatch(prices, meta, last=last), end_of(last))
        return stored_panel(store, panel_rules(settings))


def end_of(day: date) -> datetime:
    """Return when a backfill up to ``day`` counts as asked for: at the end of it, by universal time."""
    return datetime.combine(day, time(23, 59), tzinfo=UTC)


def market_store(home: Home, *, sync: bool = True) -> PriceStore:
    """Return the store of a home's market data."""
    return PriceStore(home.data / "market", sync=sync)


def panel_rules(settings: Settings) -> PanelRules:
    """Return what the settings say of how a panel is put together."""
    market = settings.market
    return PanelRules(market.currency, market.fx_carry_days_max, market.delisting_performance_return)


def keep_synthetic(home: Home, spec: "SyntheticSpec", panel: PointInTimePanel) -> None:
    """Make the synthetic market of ``spec`` the panel of the home; the spec is kept, because it gives the same bytes again."""
    plain = {k: str(v) if isinstance(v, date) else v for k, v in asdict(spec).items()}
    manifest = {"source": panel.source, "flags": sorted(panel.flags), "spec": plain}
    write_file(home.data / MANIFEST, json.dumps(manifest, sort_keys=True, indent=1).encode())


def load_panel(home: Home, settings: Settings) -> PointInTimePanel:
    """Return the panel that the home holds.

    Raises
    ------
    Unavailable
        PRICES_MISSING when nothing was ingested.
    InvariantBroken
        BLOB_BROKEN when a file does not have the hash that it was kept under.
    """
    manifest = home.data / MANIFEST
    if manifest.is_file():
        return _generate(json.loads(manifest.read_text())["spec"])
    store = market_store(home)
    panel = stored_panel(store, panel_rules(settings))
    give_memory_back()
    keep_flags(store, panel.flags)
    return panel


def ingested_flags(home: Home) -> list[str]:
    """Return what every report must say of the home's data; empty before anything was ingested.

    Some flags show only when the panel is put together, such as ``survivors_only``: of data that came since, these are missing.
    """
    manifest = home.data / MANIFEST
    if manifest.is_file():
        flags: list[str] = json.loads(manifest.read_text())["flags"]
        return flags
    store = market_store(home)
    kept = store.manifest()
    path = store.folder / PANEL_FLAGS
    told: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    if told.get("manifest") == _version(kept):
        return list(told["flags"])
    return sorted({*told.get("flags", []), *(flag for entry in kept["datasets"].values() for flag in entry["flags"])})


def keep_flags(store: PriceStore, flags: frozenset[str]) -> None:
    """Keep the panel's flags for the pages and answers, which do not put it together."""
    data = json.dumps({"manifest": _version(store.manifest()), "flags": sorted(flags)}).encode()
    path = store.folder / PANEL_FLAGS
    if not path.is_file() or path.read_bytes() != data:
        write_file(path, data)


def _version(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def ingested_exchanges(home: Home) -> tuple[str, ...]:
    """Return the exchanges of the home's assets, sorted; none before anything was ingested."""
    manifest = home.data / MANIFEST
    if manifest.is_file():
        countries: list[str] = json.loads(manifest.read_text())["spec"]["countries"]
        return tuple(sorted({venue_of(country).exchange for country in countries}))
    kept = market_store(home).manifest()["datasets"].values()
    return tuple(sorted({entry["about"]["exchange"] for entry in kept}))


def cleared_rows(folder: Path) -> frozenset[tuple[str, str]]:
    """Return the rows of a store that a person found right: ticker and ISO date."""
    path = folder / CLEARED
    if not path.is_file():
        return frozenset()
    try:
        return frozenset((str(t), str(d)) for t, d in json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise InvariantBroken(Code.BLOB_BROKEN, "The list of cleared rows cannot be read.") from error


def clear_rows(folder: Path, rows: Iterable[tuple[str, str]]) -> None:
    """Add rows to those that a person found right; the next batch is judged so."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = sorted(cleared_rows(folder) | set(rows))
    write_file(folder / CLEARED, json.dumps([list(row) for row in kept], indent=1).encode())


CLEARED = "cleared.json"


def _with_delistings(batch: PriceBatch, facts: dict[str, About], calendar: SessionCalendar) -> PriceBatch:
    """Add the delistings that the metadata date; each is known with its session's close."""
    gone = [(ticker, fact) for ticker, fact in facts.items() if fact.delisted_on]
    if not gone:
        return batch
    days = np.array([_day(fact) for _, fact in gone])
    at = np.searchsorted(calendar.sessions, days).clip(max=len(calendar.sessions) - 1)
    events = EventRows(
        kinds=np.full(len(gone), DELISTING),
        tickers=np.array([ticker for ticker, _ in gone]),
        dates=days,
        values=np.array([fact.delisting_return for _, fact in gone]),
        reasons=np.full(len(gone), "unknown"),
        known_at=calendar.closes[at].astype("datetime64[us]"),
    )
    return replace(batch, events=join_rows([batch.events, events]))


def _day(fact: About) -> np.datetime64:
    try:
        day = np.datetime64(fact.delisted_on[:10], "D")
    except ValueError as error:
        raise InputRejected(Code.META_UNREADABLE, f"{fact.delisted_on!r} is no date of a delisting.") from error
    if fact.delisting_return < -1.0:  # NaN is for market.delistings
        raise InputRejected(Code.META_UNREADABLE, f"The return of a delisting on {day} is less than -1.")
    return day


def _generate(plain: dict[str, Any]) -> PointInTimePanel:
    from market.synthetic import SyntheticSpec, generate_market

    values = dict(plain)
    for name in ("start", "end"):
        values[name] = date.fromisoformat(values[name])
    values["countries"] = tuple(values["countries"])
    return generate_market(SyntheticSpec(**values))
