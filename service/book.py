"""The fund's book between sessions, kept as a file that the database names: :class:`portfolio.book.BookState` as JSON.

A fund that never traded has a book of cash only. JSON prints a float so that the same float is read back.
"""

import json
from datetime import date

import numpy as np
from sqlalchemy import Connection

from market.arrays import FloatArray, StrArray
from portfolio.book import BookState
from service.context import Platform
from service.store import fund
from service.store.records import FundState

BOOK_KEY = "book"
PAPER_KEY = "paper"
"""The account that the paper broker keeps: a book like the fund's, and not the fund's."""


def read_book(connection: Connection, platform: Platform) -> tuple[BookState, date | None]:
    """Return the fund's book as settled last, and the session it was settled through (None before the first)."""
    found = find_book(connection, platform, BOOK_KEY)
    if found is None:
        return BookState.opening(np.array([], dtype=np.str_), platform.settings.fund.initial_capital), None
    return found


def find_book(connection: Connection, platform: Platform, key: str) -> tuple[BookState, date] | None:
    """Return the book under ``key`` and the session it was carried through, or None before the first."""
    state = fund.get_fund_state(connection, key)
    if state is None:
        return None
    data = json.loads(platform.blobs.get(state.sha256))
    ids = np.array(sorted(data["positions"]), dtype=np.str_)
    positions = np.array([data["positions"][i] for i in ids], dtype=np.float64)
    return BookState(ids, positions, data["cash"]), state.through


def put_book(connection: Connection, platform: Platform, book: BookState, through: date, key: str = BOOK_KEY) -> None:
    """Write the book's file and name it in the database."""
    held = book.to_arrays()
    positions = dict(zip(map(str, held["asset_ids"]), map(float, held["positions"]), strict=True))
    sha = platform.blobs.put(json.dumps({"cash": book.cash, "positions": positions}, sort_keys=True).encode())
    fund.set_fund_state(connection, FundState(key, sha, through))


def weights_of(book: BookState, asset_ids: StrArray) -> FloatArray:
    """Return the weight of each of ``asset_ids`` (sorted, holding every asset of the book) as a fraction of equity."""
    return book.reindexed(asset_ids).weights
