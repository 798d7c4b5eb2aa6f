"""Take a ticker map: judge it whole, see that nothing in use loses its asset, keep it, serve the panel that it makes.

1. *load* the file, the stored market data, the assets of rounds that are not resolved, and the fund's.
2. *decide*: every fault of the file at once; the panel under the map. An asset id that is in use must go on having prices: a
   round is scored, and a book settled, by the ids that they were made with.
3. *commit* the file and its name in one step, then the record of it. A refused file changes nothing.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.assets import AssetBook
from market.panel import PointInTimePanel
from market.tickermap import parse_ticker_map
from service.context import Platform
from service.pricepanel import mapped_panel
from service.store import audit
from service.vendors.ingested import keep_flags, market_store, panel_rules, refuse_made_market
from service.workflows.ids_in_use import refuse_lost


@dataclass(frozen=True, slots=True)
class MapIngested:
    """What a ticker map came to.

    Attributes
    ----------
    spells, assets : int
        Rows of the map, and the assets that they are about.
    flags : tuple of str
        What every report on data under it must say.
    unmapped_labels, unmapped_rows : int
        Labels of the stored prices that it leaves unresolved on some row, and those rows.
    """

    spells: int
    assets: int
    flags: tuple[str, ...]
    unmapped_labels: int
    unmapped_rows: int


def ingest_ticker_map(platform: Platform, path: Path) -> MapIngested:
    """Keep the ticker map in a file in the place of the former one, and serve the panel under it from now on.

    Raises
    ------
    InputRejected
        ``request_invalid`` for a file that cannot be opened; as :func:`market.tickermap.parse_ticker_map` and
        :class:`market.assets.AssetBook` for what is wrong in it.
    Conflict
        ``dataset_differs`` for a home whose market is made from a seed; ``asset_ids_in_use`` when assets of unresolved rounds
        or of the fund would be left without prices.
    """
    refuse_made_market(platform.home)
    data = _read(path)
    book = AssetBook(parse_ticker_map(data))
    store = market_store(platform.home)
    with store.drafted() as draft:
        panel = mapped_panel(draft, book, panel_rules(platform.settings)) if draft.manifest()["datasets"] else None
        if panel is not None:
            refuse_lost(platform, _priced(panel), "under this map", "give these assets the ids that are in use")
        draft.keep_ticker_map(data)
    if panel is not None:
        keep_flags(store, panel.flags)
        platform.desk.use(panel)
    notes = {} if panel is None else panel.notes
    done = MapIngested(
        spells=len(book.spells),
        assets=len(book.asset_ids),
        flags=tuple(sorted(book.flags)),
        unmapped_labels=notes.get("labels_unmapped", 0),
        unmapped_rows=notes.get("rows_unmapped", 0),
    )
    with platform.store.write() as connection:
        details = {"spells": done.spells, "assets": done.assets, "unmapped_labels": done.unmapped_labels}
        audit.record(connection, platform.clock.now(connection), "operator", "ingest_ticker_map", path.name, details)
    return done


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputRejected(Code.REQUEST_INVALID, f"The ticker map '{path.name}' cannot be read: {reason}.") from error


def _priced(panel: PointInTimePanel) -> set[str]:
    """Return the asset ids that have prices by all that is known."""
    close = panel.revisions.apply(panel.quotes, len(panel.revisions)).close
    return set(panel.assets.asset_ids[np.isfinite(close).any(axis=0)].tolist())
