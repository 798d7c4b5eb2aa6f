"""One published era: what would have been frozen on its evening, and what has come true since.

Both datasets are made of the same eras. Here each becomes the rows of both; which eras are published, and when, is the matter
of :mod:`service.workflows.publish`. Decision instant of universe, exposures and features: the evening on which the era's
session became known. Targets are as known at the publishing instant.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from crowdalpha.terms import RoundTerms
from market.calendars import to_date, to_instant
from market.panel import PanelView
from service.context import Platform
from service.settings import load_terms
from signals.classic.dataset import Era, live_era, to_table
from signals.classic.targets import HORIZONS, era_targets, published_targets

if TYPE_CHECKING:
    from market.exposures import Exposures

SIGNALS_WAYS = ("raw", "neutral")
"""Targets that name their assets; the third is made from the classic tournament's features and stays with them."""


def classic_terms(platform: Platform) -> RoundTerms:
    """Return the terms in force in the classic tournament: lag, main horizon and bins of the datasets are theirs."""
    return load_terms(platform.settings.tournaments.classic.terms, platform.settings.config_dir)


def horizons_of(terms: RoundTerms) -> tuple[int, ...]:
    """Return the horizons of all targets, in sessions, ascending."""
    return tuple(sorted({*HORIZONS, terms.scoring.horizon_sessions}))


@dataclass(frozen=True, slots=True)
class PublishedEra:
    """One era with its targets, before it becomes rows.

    Attributes
    ----------
    era : Era
        Ids and features.
    tickers : tuple of str
        The universe's labels, in the order of its members.
    exposures : Exposures
        Of the members.
    targets : mapping of (way, horizon) to (n,) float64
        In the order of the members.
    """

    era: Era
    tickers: tuple[str, ...]
    exposures: "Exposures"
    targets: Mapping[tuple[str, int], np.ndarray]

    def classic(self, secret: bytes, main: tuple[str, int], data_type: str) -> Any:
        """Return the rows of the classic dataset, sorted by id; ``target`` is the one that rounds pay on."""
        names = published_targets(secret, sorted({horizon for _, horizon in self.targets}))
        others = {names[key]: values for key, values in self.targets.items()}
        return to_table(self.era, self.targets[main], others, data_type)

    def signals(self, data_type: str) -> Any:
        """Return the rows of the signals dataset, sorted by ticker."""
        import pyarrow as pa

        order = self._by_ticker()
        columns = self._labels(order) | {"data_type": pa.array([data_type] * len(order), pa.string())}
        for way in SIGNALS_WAYS:
            for horizon in sorted({horizon for _, horizon in self.targets}):
                values = self.targets[way, horizon][order].astype(np.float32)
                columns[f"target_{way}_{horizon}"] = pa.array(values, from_pandas=True)
        return pa.table(columns)

    def factors(self) -> Any:
        """Return the factor exposures, sorted by ticker: one column a factor."""
        order = self._by_ticker()
        return exposure_table(
            self.era.era, [self.tickers[i] for i in order], self.exposures.names, self.exposures.values[order]
        )

    def _by_ticker(self) -> list[int]:
        return sorted(range(len(self.tickers)), key=self.tickers.__getitem__)

    def _labels(self, order: list[int]) -> dict[str, Any]:
        import pyarrow as pa

        return {
            "era": pa.array([self.era.era] * len(order), pa.string()),
            "ticker": pa.array([self.tickers[i] for i in order], pa.string()),
        }


def exposure_table(era: str, tickers: list[str], names: tuple[str, ...], values: np.ndarray) -> Any:
    """Return exposures (n, k) as a table: era, ticker and one float64 column a factor."""
    import pyarrow as pa

    columns: dict[str, Any] = {"era": pa.array([era] * len(tickers), pa.string()), "ticker": pa.array(tickers, pa.string())}
    return pa.table(columns | {name: pa.array(np.ascontiguousarray(values[:, j])) for j, name in enumerate(names)})


def history_era(platform: Platform, view: PanelView, row: int, terms: RoundTerms) -> PublishedEra:
    """Build the era of one session.

    Parameters
    ----------
    platform : Platform
        Its desk and its classic secret are used.
    view : PanelView
        What is known at the publishing instant; the longest window after ``row`` must be visible.
    row : int
        The era's session among the view's.
    terms : RoundTerms
        Lag, main horizon and bins.
    """
    from market.exposures import compute_exposures

    session, scoring = to_date(view.sessions[row]), terms.scoring
    evening = platform.desk.view(to_instant(view.known_at[row]))
    members = platform.desk.universe(evening).members
    # Past the desk's memory: hundreds of eras of exposures would fill it, and each is asked for once.
    exposures = compute_exposures(evening, members)
    era = live_era(evening, members, platform.classic_secret, session.isoformat())
    designs = {"neutral": exposures.values, "feature": era.design}
    targets = era_targets(view, members, session, scoring.lag_sessions, designs, horizons_of(terms), scoring.bin_shares_percent)
    tickers = tuple(str(t) for t in np.asarray(evening.assets.tickers)[members])
    return PublishedEra(era, tickers, exposures, targets)
