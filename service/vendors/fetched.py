"""Where the batches of a source go that knows many exchanges: a dataset for each exchange and currency, each behind its gate.

A ticker's exchange is what the source says of its label, else the settings'. Its currency is what the vendor wrote beside its
prices; pence and pounds are two, since each dataset has one unit.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np

from market.arrays import BoolArray, StrArray
from market.batch import EventRows, PriceBatch, PriceRows, join_rows
from market.fx import MINOR_UNITS
from service.keptmarket import KeptMarket
from service.pricestore import Dataset, PriceStore
from service.settings import Settings
from service.vendors.ingested import cleared_rows, refuse_without_rates
from service.vendors.source import PriceSource


@dataclass(slots=True)
class FetchedMarkets:
    """The datasets of one source.

    Attributes
    ----------
    store : PriceStore
    source : PriceSource
    settings : Settings
    judged_at : datetime64[us]
        When the rows are judged: what should be there by now is measured at it.
    """

    store: PriceStore
    source: PriceSource
    settings: Settings
    judged_at: np.datetime64
    _markets: dict[str, KeptMarket] = field(default_factory=dict)

    @contextmanager
    def drafted(self) -> Iterator["FetchedMarkets"]:
        """Yield the same datasets on a draft of the store; see :meth:`service.pricestore.PriceStore.drafted`."""
        with self.store.drafted() as draft:
            yield FetchedMarkets(draft, self.source, self.settings, self.judged_at)

    def keep(self, batch: PriceBatch) -> None:
        """Judge and keep the rows of each exchange and currency apart.

        Raises
        ------
        InputRejected
            ``fx_missing`` for prices in a foreign currency while no exchange rates are kept; else as
            :meth:`service.keptmarket.KeptMarket.keep`.
        """
        for unit in np.unique(batch.prices.currencies).tolist():
            refuse_without_rates(self.store, self.settings, unit)
        exchange, currency = self._exchanges(batch.prices.tickers), batch.prices.currencies
        of_events = self._exchanges(batch.events.tickers)
        for name in np.unique(exchange).tolist():
            for unit in np.unique(currency[exchange == name]).tolist():
                rows = batch.prices.take((exchange == name) & (currency == unit))
                told = batch.events.take((of_events == name) & np.isin(batch.events.tickers, rows.tickers))
                self._market(name, unit or self.settings.market.currency, batch).keep(replace(batch, prices=rows, events=told))
        alone = ~np.isin(batch.events.tickers, batch.prices.tickers)
        self._keep_events(batch, alone)

    def spans(self, tickers: Sequence[str]) -> Mapping[str, tuple[date, date]]:
        """Return the first and last kept date of each ticker that has prices."""
        return {ticker: span for market in self._kept() for ticker, span in market.spans(tickers).items()}

    def prices(self, tickers: Sequence[str], since: np.datetime64) -> PriceRows:
        """Return the kept prices from ``since`` on, revisions included."""
        return join_rows([PriceRows.empty(), *(market.prices(tickers, since) for market in self._kept())])

    def events(self, tickers: Sequence[str], since: np.datetime64) -> EventRows:
        """Return the kept events from ``since`` on, revisions included."""
        return join_rows([EventRows.empty(), *(market.events(tickers, since) for market in self._kept())])

    def _keep_events(self, batch: PriceBatch, alone: BoolArray) -> None:
        """Keep the events of tickers without a row of their own in the dataset that holds their prices."""
        events = batch.events.take(alone)
        for market in self._kept() if len(events) else ():
            held = np.array(list(market.spans(np.unique(events.tickers).tolist())), dtype=np.str_)
            mine = events.take(np.isin(events.tickers, held))
            if len(mine):
                market.keep(replace(batch, prices=PriceRows.empty(), events=mine))

    def _exchanges(self, tickers: StrArray) -> StrArray:
        labels, place = np.unique(tickers, return_inverse=True)
        names = [self.source.exchange_of(label) or self.settings.market.calendar for label in labels.tolist()]
        return np.array(names, dtype=np.str_)[place] if names else np.empty(0, dtype=np.str_)

    def _kept(self) -> list[KeptMarket]:
        """Return the datasets of this source that the store holds."""
        prefix = f"{self.source.name}-"
        for name, entry in self.store.manifest()["datasets"].items():
            if name.startswith(prefix) and name not in self._markets:
                self._markets[name] = self._behind_gate(Dataset(**entry["about"]))
        return list(self._markets.values())

    def _market(self, exchange: str, currency: str, batch: PriceBatch) -> KeptMarket:
        unit = f"{MINOR_UNITS[currency]}-minor" if currency in MINOR_UNITS else currency
        name = f"{self.source.name}-{exchange}-{unit}".lower()
        if name not in self._markets:
            delay = self.settings.market.vendor_delay_minutes
            about = Dataset(name, self.source.name, exchange, "unknown", currency, batch.price_basis, delay)
            self._markets[name] = self._behind_gate(about)
        return self._markets[name]

    def _behind_gate(self, dataset: Dataset) -> KeptMarket:
        return KeptMarket(self.store, dataset, judged_at=self.judged_at, cleared=cleared_rows(self.store.folder))
