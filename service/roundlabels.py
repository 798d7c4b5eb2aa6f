"""What a round freezes of the home's ticker map: which identifier of which scheme stands for which asset of its universe.

Decision instant: the round's opening; labels are those in use on its date (UTC), by what was known then. The columns ``ticker``
and ``symbol`` are not among them: there the labels of the universe hold, as in any column of which a map says nothing.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from crowdalpha.codes import Code
from market.arrays import IntArray, StrArray
from market.assets import SCHEMES, TICKER, AssetBook
from market.panel import AssetTable
from market.tickermap import parse_ticker_map
from service.home import Home
from service.vendors.ingested import market_store
from signals.labels import LabelScheme


def frozen_schemes(home: Home, asset_ids: StrArray, opened_at: datetime) -> Mapping[str, LabelScheme]:
    """Return the schemes that name an asset of a round's universe ``asset_ids``; none without a map."""
    data = market_store(home).ticker_map()
    if data is None:
        return {}
    book = AssetBook(parse_ticker_map(data))
    found = {scheme: scheme_on(book, scheme, asset_ids, opened_at) for scheme in SCHEMES if scheme != TICKER}
    return {name: scheme for name, scheme in found.items() if scheme.members}


def scheme_on(book: AssetBook, scheme: str, asset_ids: StrArray, instant: datetime) -> LabelScheme:
    """Return what the labels of a scheme stand for on the date of an instant, by what was known then."""
    labels = book.labels_ever(scheme)
    resolved = book.resolve(labels, scheme, instant.date(), instant)
    place_of = {asset_id: place for place, asset_id in enumerate(asset_ids.tolist())}
    named = {label: asset_id for label, asset_id in zip(labels, resolved.asset_ids.tolist(), strict=True) if asset_id}
    why = {labels[(finding.row or 1) - 1]: finding.code for finding in resolved.findings}
    return LabelScheme(
        members={label: place_of[asset_id] for label, asset_id in named.items() if asset_id in place_of},
        outside=frozenset(label for label, asset_id in named.items() if asset_id not in place_of),
        expired=frozenset(label for label, code in why.items() if code is Code.LABEL_EXPIRED),
        ambiguous=frozenset(label for label, code in why.items() if code is Code.LABEL_AMBIGUOUS),
    )


def distinct_labels(assets: AssetTable, members: IntArray) -> list[str]:
    """Return the ticker of each member; its asset id where several members have that ticker."""
    tickers: list[str] = assets.tickers[members].tolist()
    ids: list[str] = assets.asset_ids[members].tolist()
    borne = Counter(tickers)
    return [asset_id if borne[ticker] > 1 else ticker for ticker, asset_id in zip(tickers, ids, strict=True)]
