"""Which assets the identifiers of a history mean, date by date.

A history is written in the tickers of each date, or throughout in those of today: both are understood. An identifier means the
asset that had it as ticker on that date; where none had, the asset that has it at the end of the data. Decision instant: the
evening of each date for the former; the latter only finds the asset's name and says nothing of the market.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from market.arrays import IntArray, StrArray
from market.panel import AssetTable
from service.roundlabels import distinct_labels

NOBODY = -1


@dataclass(frozen=True, slots=True, eq=False)
class HistoryLabels:
    """Identifiers of a history, and what they mean at the end of the data.

    Attributes
    ----------
    labels : tuple of str
    tickers : (assets,) str
        At the end of the data.
    places : (labels,) int64
        Each label's place on the asset axis then; −1 where no asset has it.
    """

    labels: Sequence[str]
    tickers: StrArray
    places: IntArray

    @classmethod
    def of(cls, labels: Sequence[str], assets: AssetTable) -> "HistoryLabels":
        """Return the identifiers with what they mean in ``assets``, the table at the end of the data."""
        return cls(labels, assets.tickers, _places(labels, assets, np.arange(len(assets))))

    def on(self, assets: AssetTable, members: IntArray, codes: IntArray) -> IntArray:
        """Return the asset of each row of a date.

        Parameters
        ----------
        assets : AssetTable
            As known that evening.
        members : (n,) int64
            The universe of that date: of several assets with one ticker the member is meant.
        codes : (r,) int64
            Place of each row's identifier in the labels.

        Returns
        -------
        (r,) int64
            Place on the asset axis, each at most once; −1 for an identifier that means nothing then, or whose asset stands in
            the file under its ticker of that date as well.
        """
        if np.array_equal(assets.tickers, self.tickers) and len(set(self.tickers.tolist())) == len(self.tickers):
            return self.places[codes]
        then = _places(self.labels, assets, members)[codes]
        named = np.zeros(len(assets) + 1, dtype=bool)
        named[then] = True
        latest = self.places[codes]
        chosen = np.where((then == NOBODY) & ~named[latest], latest, then)
        return np.asarray(chosen, dtype=np.int64)


def _places(labels: Sequence[str], assets: AssetTable, members: IntArray) -> IntArray:
    place_of = {ticker: place for place, ticker in enumerate(assets.tickers.tolist())}
    place_of |= zip(distinct_labels(assets, members), members.tolist(), strict=True)
    return np.array([place_of.get(label, NOBODY) for label in labels], dtype=np.int64)


def meaningless(labels: Sequence[str], known: Collection[str]) -> tuple[list[str], dict[str, list[str]]]:
    """Return the labels that are not ``known``: those that nobody knows, and those that several datasets share.

    A ticker of several datasets has no bare name: each of its assets has the country or the name of its dataset behind it.

    Returns
    -------
    unknown : list of str
    shared : dict of str to list of str
        The names that could be meant, by label.

    Examples
    --------
    >>> meaningless(["A", "B", "C"], {"A", "B:GB", "B:US"})
    (['C'], {'B': ['B:GB', 'B:US']})
    """
    meant: dict[str, list[str]] = defaultdict(list)
    for name in sorted(known):
        label, colon, _ = name.partition(":")
        if colon:
            meant[label].append(name)
    missing = [label for label in labels if label not in known]
    return [x for x in missing if x not in meant], {x: meant[x] for x in missing if x in meant}
