"""Where a vendor's batches go: each is judged, then kept in the store, what is used and what is set aside alike.

1. *load* what the dataset remembers: the trail of its last judgement, its events, and the prices on the batch's dates.
2. *decide* with :func:`market.quality.judge_batch`: row by row, each on what was known at its own instant.
3. *commit* accepted rows and events, rows that were set aside with their findings, releases as later words, and the new trail,
   in one append.

A release may free rows that an earlier batch left in quarantine: they are looked up there and appended with the instant of
their release; the quarantine keeps its record of them.
"""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, timedelta
from typing import Any

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import FINDINGS_SHOWN_MAX, Finding, InputRejected
from market.batch import DELISTING, EventRows, PriceBatch, PriceRows, join_rows
from market.calendars import session_calendar, to_date
from market.delistings import DELISTING_ASSUMED
from market.quality import Judgement, KnownMarket, QualityRules, Severity, Trail, judge_batch
from service.pricerows import events_of, price_rows_of
from service.pricestore import Dataset, PriceStore

CALENDAR_BEFORE, CALENDAR_AFTER = timedelta(days=40), timedelta(days=40)

INFERRED_SPLITS = "splits_inferred"
"""Flag of a dataset in which the gate told a break of a series as a split that nobody announced."""

EVER = np.datetime64("0001-01-01", "D")


@dataclass(slots=True)
class KeptMarket:
    """One dataset of a store, and the gate before it.

    Attributes
    ----------
    store : PriceStore
    dataset : Dataset
    rules : QualityRules
    judged_at : datetime64[us] or None
        See :class:`market.quality.KnownMarket`; None for a backfill.
    cleared : frozenset of (str, str)
        Ticker and ISO date of rows that a person found right.
    judgements : list of Judgement
        Of the batches kept so far, in their order.
    """

    store: PriceStore
    dataset: Dataset
    rules: QualityRules = field(default_factory=QualityRules)
    judged_at: np.datetime64 | None = None
    cleared: frozenset[tuple[str, str]] = frozenset()
    judgements: list[Judgement] = field(default_factory=list)

    def keep(self, batch: PriceBatch, *, assets: Any = None) -> None:
        """Judge a batch and keep it; the same batch twice has the effect of one.

        Raises
        ------
        InputRejected
            ``prices_refused`` for a batch that the gate refuses whole; nothing is kept of it.
        """
        batch_id = content_id(batch)
        if self.store.holds(self.dataset.name, batch_id):
            nothing = PriceRows.empty(), EventRows.empty()
            self.store.append(self.dataset, *nothing, batch_id=batch_id, assets=assets)
            return
        judgement = judge_batch(batch, self._known(batch), self._rules_for(batch))
        self.judgements.append(judgement)
        if judgement.refused:
            findings = [
                Finding(Code.PRICES_REFUSED, f.message, row=f.row or None, column=f.column or None, value=f.value or None)
                for f in judgement.listed(FINDINGS_SHOWN_MAX, Severity.REFUSE, Severity.QUARANTINE)
            ]
            raise InputRejected(Code.PRICES_REFUSED, judgement.refused, findings)
        events = batch.events.take(judgement.accepted_events)
        told = {INFERRED_SPLITS} if len(judgement.breaks) else set()
        told |= {DELISTING_ASSUMED} if np.isnan(events.values[events.kinds == DELISTING]).any() else set()
        self.store.append(
            self.dataset,
            self._usable(batch.prices, judgement),
            join_rows([events, judgement.breaks]),
            batch_id=batch_id,
            assets=assets,
            quarantine=_set_aside(batch.prices, judgement),
            flags=sorted(batch.flags | told),
            fetched_at=str(batch.fetched_at),
            trail=_trail_bytes(judgement.trail),
            report=json.dumps(judgement.report(), sort_keys=True).encode(),
        )

    def spans(self, tickers: Sequence[str]) -> Mapping[str, tuple[date, date]]:
        """Return the first and last kept date of each ticker that has prices."""
        rows = self.prices(tickers, EVER)
        if not len(rows):
            return {}
        labels, code = np.unique(rows.tickers, return_inverse=True)
        order = np.lexsort((rows.dates, code))
        days, heads = rows.dates[order], np.searchsorted(code[order], np.arange(len(labels)))
        tails = np.append(heads[1:], len(days)) - 1
        return {label: (to_date(days[h]), to_date(days[t])) for label, h, t in zip(labels.tolist(), heads, tails, strict=True)}

    def prices(self, tickers: Sequence[str], since: np.datetime64) -> PriceRows:
        """Return the kept prices from ``since`` on, revisions included."""
        rows = price_rows_of(self.store, self.dataset.name, None if since <= EVER else to_date(since))
        return rows.take((rows.dates >= since) & np.isin(rows.tickers, np.asarray(tickers, dtype=np.str_)))

    def events(self, tickers: Sequence[str], since: np.datetime64) -> EventRows:
        """Return the kept events from ``since`` on, revisions included."""
        rows = events_of(self.store, self.dataset.name)
        return rows.take((rows.dates >= since) & np.isin(rows.tickers, np.asarray(tickers, dtype=np.str_)))

    def _known(self, batch: PriceBatch) -> KnownMarket:
        trail = self._trail()
        dates = np.concatenate([batch.prices.dates, batch.events.dates, trail.state["seen"]])
        dates = dates[~np.isnat(dates)]
        if not dates.size:
            dates = np.array([batch.fetched_at], dtype="datetime64[D]")
        span = to_date(dates.min()) - CALENDAR_BEFORE, to_date(dates.max()) + CALENDAR_AFTER
        told = batch.prices.dates[~np.isnat(batch.prices.dates)]
        former = price_rows_of(self.store, self.dataset.name, to_date(told.min())) if told.size else PriceRows.empty()
        return KnownMarket(
            calendars={self.dataset.exchange: session_calendar(self.dataset.exchange, *span)},
            exchange=self.dataset.exchange,
            judged_at=self.judged_at,
            trail=trail,
            prices=former if len(former) else None,
            events=events_of(self.store, self.dataset.name),
            cleared=self.cleared,
        )

    def _rules_for(self, batch: PriceBatch) -> QualityRules:
        """Return the rules; a source that never has openings or volumes lacks none."""
        return replace(
            self.rules,
            open_required=self.rules.open_required and not np.isnan(batch.prices.open).all(),
            volume_required=self.rules.volume_required and not np.isnan(batch.prices.volume).all(),
        )

    def _trail(self) -> Trail:
        kept = self.store.bytes_of(self.dataset.name, "trail")
        if not kept:
            return Trail.nothing()
        with np.load(io.BytesIO(kept[-1]), allow_pickle=False) as arrays:
            return Trail(arrays["tickers"], arrays["state"])

    def _usable(self, prices: PriceRows, judgement: Judgement) -> PriceRows:
        """Return accepted rows and those that came free, each with the instant from which it may be used."""
        known_at = judgement.revised_known_at(prices)
        usable = replace(prices, known_at=known_at).take(~np.isnat(known_at))
        return join_rows([usable, self._freed(judgement)])

    def _freed(self, judgement: Judgement) -> PriceRows:
        """Return the rows that a release frees from the quarantine of earlier batches, with the instant of the release."""
        found = [PriceRows.empty()]
        if len(judgement.releases):
            kept, faults = quarantined_rows(self.store, self.dataset.name)
            released = judgement.releases
            for i, fault in enumerate(released.faults):
                inside = (kept.tickers == released.tickers[i]) & (faults == fault.value)
                inside &= (kept.dates >= released.first[i]) & (kept.dates <= released.last[i])
                rows = kept.take(inside)
                found.append(replace(rows, known_at=np.full(len(rows), released.known_at[i])))
        return join_rows(found)


def content_id(batch: PriceBatch) -> str:
    """Return the hash of what a batch says, in hexadecimal; when it was fetched is not part of it."""
    digest = hashlib.sha256(f"{batch.source}|{batch.price_basis}|{sorted(batch.flags)}".encode())
    for rows in (batch.prices, batch.events):
        for column in fields(rows):
            values = getattr(rows, column.name)
            digest.update(f"|{column.name}|{values.dtype.str}|".encode())
            digest.update(np.ascontiguousarray(values).view(np.uint8).data if values.size else b"")
    return digest.hexdigest()


def quarantined_rows(store: PriceStore, dataset: str) -> tuple[PriceRows, np.ndarray[Any, Any]]:
    """Return the rows that were set aside in a dataset, and the fault (r,) that each has."""
    import pyarrow as pa

    tables = store.tables(dataset, "quarantine")
    if not tables:
        return PriceRows.empty(), np.empty(0, dtype=np.str_)
    table = pa.concat_tables(tables)
    columns = {column.name: _array(table.column(column.name)) for column in fields(PriceRows)}
    columns["dates"] = columns["dates"].astype("datetime64[D]")
    columns["known_at"] = columns["known_at"].astype("datetime64[us]")
    return PriceRows(**columns), _array(table.column("fault"))


def _array(column: Any) -> Any:
    """Return an Arrow column as an array, text as text."""
    import pyarrow as pa

    if pa.types.is_string(column.type):
        return np.asarray(column.to_pylist(), dtype=np.str_)
    return np.asarray(column.combine_chunks().to_numpy(zero_copy_only=False))


def _set_aside(prices: PriceRows, judgement: Judgement) -> Any:
    """Return the rows that were set aside as an Arrow table, each with the first of its findings."""
    import pyarrow as pa

    fault = np.full(len(prices), "", dtype=object)
    for found in reversed(judgement.findings):
        if found.of == "prices" and found.severity is Severity.QUARANTINE:
            fault[found.at] = found.fault.value
    rows = prices.take(judgement.quarantined)
    columns: dict[str, Any] = {"fault": pa.array(fault[judgement.quarantined].tolist(), pa.string())}
    for column in fields(rows):
        values = getattr(rows, column.name)
        text = values.dtype.kind == "U"
        columns[column.name] = pa.array(values.tolist(), pa.string()) if text else pa.array(values)
    return pa.table(columns)


def _trail_bytes(trail: Trail) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, tickers=trail.tickers, state=trail.state)
    return buffer.getvalue()
