"""The operator's lists of names that are not traded, or not sold short: files of the home, an asset id or a ticker a line.

A list that is gone must not look like an empty one, nor a line that names nobody like one that guards. Decision instant: the
view's, by whose tickers the lines are read.
"""

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import BoolArray, StrArray
from market.panel import PanelView
from service.context import Platform
from service.orders import tickers_of

RESTRICTED_LIST, NO_SHORT_LIST = LISTS = ("restricted_list", "no_short_list")
"""Settings of ``fund.orders`` that name the files."""


def restricted_names(platform: Platform, view: PanelView, asset_ids: StrArray) -> BoolArray:
    """Return which assets the operator's restricted list names; raises like :func:`entries_of`."""
    return _listed(platform, view, asset_ids, RESTRICTED_LIST)


def no_short_names(platform: Platform, view: PanelView, asset_ids: StrArray) -> BoolArray:
    """Return which assets the operator's no-short list names; raises like :func:`entries_of`."""
    return _listed(platform, view, asset_ids, NO_SHORT_LIST)


def unknown_entries(platform: Platform, view: PanelView) -> list[tuple[str, str]]:
    """Return list and line of each entry that names no asset, by id or ticker."""
    known = {name.casefold() for name in (*view.assets.asset_ids.tolist(), *map(str, view.assets.tickers))}
    return [(key, entry) for key in LISTS for entry in entries_of(platform, key) if entry.casefold() not in known]


def entries_of(platform: Platform, key: str) -> list[str]:
    """Return the lines of a list of the settings, sorted, without remarks; none where no file is named.

    Raises
    ------
    InputRejected
        SETTING_INVALID when the file cannot be read.
    """
    file = getattr(platform.settings.fund.orders, key)
    if not file:
        return []
    try:
        lines = (platform.home.path / file).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        message = f"The setting 'fund.orders.{key}' names '{file[:80]}', which cannot be read."
        raise InputRejected(Code.SETTING_INVALID, message) from error
    return sorted({name for line in lines if (name := line.partition("#")[0].strip())})


def _listed(platform: Platform, view: PanelView, asset_ids: StrArray, key: str) -> BoolArray:
    names = {entry.casefold() for entry in entries_of(platform, key)}
    tickers = tickers_of(platform, view, asset_ids)
    listed = [str(a).casefold() in names or t.casefold() in names for a, t in zip(asset_ids, tickers, strict=True)]
    return np.array(listed, dtype=bool)
