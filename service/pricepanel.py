"""The panel of a home's stored market data: all datasets together, on the joint calendar of their exchanges.

1. Read the price files of the years asked for, the events, and the newest table of assets of each dataset.
2. Where a ticker map is kept, rows go from labels to assets (:mod:`service.assetrows`); without one a label is an asset's id.
3. The assets of all datasets, sorted, are the panel's. An id that two datasets use is told apart by its country, or,
   where the country does not, by the dataset.
4. :func:`market.assemble.assemble` puts rows and events in their places.
5. Where prices are in other currencies than the fund's, each row gets the rates known at its own instant.
6. The flags of all datasets are the panel's; its price basis is the most adjusted one among theirs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, Unavailable
from market.arrays import FloatArray, IntArray, StrArray
from market.assemble import Setting, StoredEvents, StoredRows, assemble
from market.assets import STATIC_LOOKAHEAD, AssetBook
from market.assettable import AssetWords
from market.batch import PRICE_BASES, RAW
from market.calendars import SessionCalendar, joint_calendar, session_calendar, to_date
from market.delistings import PERFORMANCE_RETURN
from market.facts import DatedFacts
from market.panel import UNKNOWN, AssetTable, PointInTimePanel
from market.tickermap import parse_ticker_map
from service.assetrows import UNMAPPED_FLAG, LoadedRows, StoredCounts, on_assets
from service.pricerows import days, events_of, floats, instants
from service.pricestore import NUMBERS, PriceStore, give_memory_back
from service.vendors.rates import parse_rates

CALENDAR_MARGIN_DAYS = 120
"""How far the calendar reaches beyond the last price: a round resolves 22 sessions after it opens, and one more opens then."""


@dataclass(frozen=True, slots=True)
class PanelRules:
    """What the fund says of its panel.

    Attributes
    ----------
    currency : str
        ISO code of the fund's currency.
    fx_carry_days_max : int
        Calendar days for which the last known exchange rate stands in for a later date's.
    delisting_performance_return : float
        Return of a delisting for bad performance that has none of its own.
    """

    currency: str = "USD"
    fx_carry_days_max: int = 7
    delisting_performance_return: float = PERFORMANCE_RETURN


def stored_panel(
    store: PriceStore, rules: PanelRules | None = None, first: date | None = None, last: date | None = None
) -> PointInTimePanel:
    """Return the panel of the stored market data.

    Parameters
    ----------
    store : PriceStore
    rules : PanelRules, optional
    first, last : date, optional
        Rows far beyond these dates are not read: a view of the last 252 sessions needs one year of twenty.

    Raises
    ------
    Unavailable
        ``prices_missing`` when nothing is stored for these dates.
    InputRejected
        ``fx_missing`` for prices in another currency than the fund's without rates of their dates.
    InvariantBroken
        ``blob_broken`` for a file that is gone or was changed.
    """
    data = store.ticker_map()
    return mapped_panel(store, None if data is None else AssetBook(parse_ticker_map(data)), rules, first, last)


def mapped_panel(
    store: PriceStore,
    book: AssetBook | None,
    rules: PanelRules | None = None,
    first: date | None = None,
    last: date | None = None,
) -> PointInTimePanel:
    """Return the panel as :func:`stored_panel` does, by another ticker map than the kept one, or by none."""
    rules = rules or PanelRules()
    kept = store.manifest()["datasets"]
    loaded = [found for name in sorted(kept) if (found := _load(store, name, kept[name], (first, last))) is not None]
    if not loaded:
        raise Unavailable(Code.PRICES_MISSING, "This home holds no prices yet: run `crowdalpha data ingest`.")
    if book is not None:
        loaded = [on_assets(one, book) for one in loaded]
    assets, places = _assets(loaded)
    rows = _joined_rows(loaded, places)
    events = _joined_events(loaded, places)
    bases = [PRICE_BASES.index(one.about["price_basis"]) for one in loaded]
    setting = Setting(
        calendar=_calendar(loaded, rows),
        vendor_delay_minutes=max(one.about["vendor_delay_minutes"] for one in loaded),
        price_basis=PRICE_BASES[max(bases)],
        source="+".join(sorted({one.about["source"] for one in loaded})),
        flags=frozenset().union(*(one.flags for one in loaded)),
        delisting_performance_return=rules.delisting_performance_return,
    )
    panel = replace(assemble(rows, events, assets, setting), share_counts=_share_counts(loaded, places, assets))
    if book is not None:
        panel = _with_words(panel, book, loaded, places)
    return _in_fund_currency(panel, store, rules)


def _with_words(panel: PointInTimePanel, book: AssetBook, loaded: list[LoadedRows], places: list[IntArray]) -> PointInTimePanel:
    """Add what the map dates about the assets, and its flags; a snapshot that it leaves nothing of is flagged no more."""
    ids = np.full(len(panel.assets), "", dtype=object)
    for one, at in zip(loaded, places, strict=True):
        ids[at] = one.labels
    words = book.words(ids.tolist())
    flags = panel.flags - ({STATIC_LOOKAHEAD} if _is_dated(panel.assets, words) else set())
    labels, rows = (sum(one.unmapped[i] for one in loaded) for i in (0, 1))
    notes = {**panel.notes, "labels_unmapped": labels, "rows_unmapped": rows}
    return replace(panel, words=words, flags=flags | book.flags | ({UNMAPPED_FLAG} if labels else set()), notes=notes)


def _is_dated(assets: AssetTable, words: AssetWords) -> bool:
    """Tell whether nothing is taken from a snapshot: each word that is known is dated, and no share count is undated."""
    if np.isfinite(assets.shares).any():
        return False
    lacking = {name: getattr(assets, name) != UNKNOWN for name in ("sectors", "countries")}
    for name, static in lacking.items():
        static[words.latest(name, len(words))[0]] = False
    return not any(static.any() for static in lacking.values())


def _share_counts(loaded: list[LoadedRows], places: list[IntArray], assets: AssetTable) -> DatedFacts | None:
    if not any(len(one.counts.assets) for one in loaded):
        return None
    at = np.concatenate([place[one.counts.assets] for one, place in zip(loaded, places, strict=True)])
    columns = (np.concatenate([getattr(one.counts, name) for one in loaded]) for name in ("dates", "known_at", "values"))
    return DatedFacts(assets.asset_ids[at], *columns)


def _in_fund_currency(panel: PointInTimePanel, store: PriceStore, rules: PanelRules) -> PointInTimePanel:
    names, index = np.unique(panel.assets.currencies, return_inverse=True)
    foreign = [name for name in names.tolist() if name not in {rules.currency, UNKNOWN}]
    if not foreign:
        return panel
    priced = np.isfinite(panel.close)
    needed = np.column_stack([np.maximum.accumulate(priced[:, index == j].any(axis=1)) for j in range(len(names))])
    needed &= np.isin(names, foreign)
    rates = np.ones(needed.shape)
    at = np.flatnonzero(np.isin(names, foreign))
    data = store.rates()
    if data is None:
        message = f"There are prices in {', '.join(foreign)}, and no rates to {rules.currency} were ingested."
        raise InputRejected(Code.FX_MISSING, message)
    table = parse_rates(data)
    known = panel.known_at.astype("datetime64[us]")
    rates[:, at] = table.rates(
        panel.sessions, names[at], rules.currency, known, needed=needed[:, at], carry_days_max=rules.fx_carry_days_max
    )
    return replace(panel, fx=rates[:, index])


def _load(
    store: PriceStore, name: str, entry: Mapping[str, Any], dates_wanted: tuple[date | None, date | None]
) -> LoadedRows | None:
    table = store.prices(name, *dates_wanted)
    if table is None:
        return None
    column = table.column("asset").combine_chunks()
    labels, order = np.unique(np.asarray(column.dictionary.to_pylist(), dtype=np.str_), return_inverse=True)
    codes = order.astype(np.int64)[column.indices.to_numpy()]
    dates, known_at, values = days(table), instants(table), {}
    for number in NUMBERS:  # each column in one piece, and its pieces let go before the next: half of the memory at the peak
        if number in table.column_names:
            values[number] = floats(table, number)
            table = table.drop_columns([number])
    rows = StoredRows(codes, dates, known_at, values)
    del table, column
    give_memory_back()
    flags = frozenset(entry["flags"]) | ({"adjusted_prices"} if entry["about"]["price_basis"] != RAW else set())
    facts, counts = _facts(store, name, labels)
    return LoadedRows(name, entry["about"], flags, labels, rows, _events(store, name, labels), counts, facts)


def _events(store: PriceStore, name: str, labels: StrArray) -> StoredEvents:
    """Return the events of the assets that have prices."""
    told = events_of(store, name)
    at = np.searchsorted(labels, told.tickers).clip(max=len(labels) - 1)
    known = labels[at] == told.tickers
    told = told.take(known)
    return StoredEvents(told.kinds, at[known].astype(np.int64), told.dates, told.known_at, told.values, told.reasons)


def _facts(store: PriceStore, name: str, labels: StrArray) -> tuple[dict[str, dict[str, Any]], StoredCounts]:
    """Return what the newest table says of each label: the snapshot, and the share counts that have dates."""
    tables = store.tables(name, "assets")
    told = tables[-1].to_pylist() if tables else []
    place_of = {label: i for i, label in enumerate(labels.tolist())}
    dated = [row for row in told if row.get("as_of") is not None and row["ticker"] in place_of]
    counts = StoredCounts(
        np.array([place_of[row["ticker"]] for row in dated], dtype=np.int64),
        np.array([row["as_of"] for row in dated], dtype="datetime64[D]"),
        np.array([row["known_at"] for row in dated], dtype="datetime64[us]"),
        np.array([row["shares_out_approx"] for row in dated], dtype=np.float64),
    )
    return {row["ticker"]: row for row in told if row.get("as_of") is None}, counts


def _assets(loaded: list[LoadedRows]) -> tuple[AssetTable, list[IntArray]]:
    """Return the assets of all datasets, and for each dataset where its labels stand among them."""
    used = [label for one in loaded for label in one.labels.tolist()]
    shared = {label for label in used if used.count(label) > 1} if len(loaded) > 1 else set()
    countries = [one.about["country"] for one in loaded]
    tags = [one.name if countries.count(country) > 1 else country for one, country in zip(loaded, countries, strict=True)]
    ids = [[f"{x}:{tag}" if x in shared else x for x in one.labels.tolist()] for one, tag in zip(loaded, tags, strict=True)]
    everything = sorted(label for labels in ids for label in labels)
    place_of = {label: i for i, label in enumerate(everything)}
    places = [np.array([place_of[label] for label in labels], dtype=np.int64) for labels in ids]
    n = len(everything)
    words = {name: np.full(n, UNKNOWN, dtype=object) for name in ("sector", "country", "exchange", "currency")}
    shares = np.full(n, np.nan)
    for one, at in zip(loaded, places, strict=True):
        words["exchange"][at] = one.about["exchange"]
        words["currency"][at] = one.about["currency"]
        for label, place in zip(one.labels.tolist(), at.tolist(), strict=True):
            fact = one.facts.get(label, {})
            words["sector"][place] = fact.get("sector") or UNKNOWN
            words["country"][place] = fact.get("listing_country") or one.about["country"]
            count = fact.get("shares_out_approx")
            shares[place] = count if count is not None and count > 0 else np.nan
    text = {name: column.astype(np.str_) for name, column in words.items()}
    identity = np.array(everything)
    table = AssetTable(identity, identity.copy(), text["sector"], text["country"], text["exchange"], text["currency"], shares)
    return table, places


def _joined_rows(loaded: list[LoadedRows], places: list[IntArray]) -> StoredRows:
    if len(loaded) == 1:
        return replace(loaded[0].rows, assets=places[0][loaded[0].rows.assets])
    names = {name for one in loaded for name in one.rows.values}

    def column(name: str) -> FloatArray:
        missing = [one.rows.values.get(name, np.full(len(one.rows.assets), np.nan)) for one in loaded]
        return np.concatenate(missing)

    return StoredRows(
        assets=np.concatenate([at[one.rows.assets] for one, at in zip(loaded, places, strict=True)]),
        dates=np.concatenate([one.rows.dates for one in loaded]),
        known_at=np.concatenate([one.rows.known_at for one in loaded]),
        values={name: column(name) for name in names},
    )


def _joined_events(loaded: list[LoadedRows], places: list[IntArray]) -> StoredEvents:
    return StoredEvents(
        kinds=np.concatenate([one.events.kinds for one in loaded]),
        assets=np.concatenate([at[one.events.assets] for one, at in zip(loaded, places, strict=True)]),
        dates=np.concatenate([one.events.dates for one in loaded]),
        known_at=np.concatenate([one.events.known_at for one in loaded]),
        values=np.concatenate([one.events.values for one in loaded]),
        reasons=np.concatenate([np.asarray(one.events.reasons) for one in loaded]),
    )


def _calendar(loaded: list[LoadedRows], rows: StoredRows) -> SessionCalendar:
    first, last = to_date(rows.dates.min()), to_date(rows.dates.max()) + timedelta(days=CALENDAR_MARGIN_DAYS)
    names = sorted({one.about["exchange"] for one in loaded})
    calendars = [session_calendar(name, first, last) for name in names]
    return calendars[0] if len(calendars) == 1 else joint_calendar(calendars)
