"""The fund's book between sessions, kept as a file that the database names: :class:`portfolio.book.BookState` as JSON.

A fund that never traded has a book of cash only. JSON prints a float so that the same float is read back. A book in whole
shares keeps beside each position how many shares it is: what a correction of prices does to the money does not change them.
"""

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from datetime import date

import numpy as np
from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict
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


@dataclass(frozen=True, slots=True)
class ShareCount:
    """Shares of an asset, shorts negative, and what one share of the panel's first session had become by splits when counted.

    A split that becomes known later, for a session that was settled, multiplies the shares by what the second figure grew.
    """

    shares: float
    grown: float


def read_shares(connection: Connection, platform: Platform) -> dict[str, ShareCount]:
    """Return what shares the fund holds by asset id; empty where the book is not one in shares."""
    state = fund.get_fund_state(connection, BOOK_KEY)
    if state is None:
        return {}
    told = json.loads(platform.blobs.get(state.sha256)).get("shares", {})
    return {str(asset): ShareCount(*map(float, counted)) for asset, counted in told.items()}


def counted_now(shares: Mapping[str, ShareCount], asset_ids: StrArray, grown: FloatArray) -> FloatArray:
    """Return the shares of each asset (n,) by the splits known now, ``grown`` (n,); NaN for one that is not counted."""
    counts = [shares.get(str(asset)) for asset in asset_ids]
    return np.array([np.nan if one is None else one.shares * now / one.grown for one, now in zip(counts, grown, strict=True)])


def put_book(
    connection: Connection,
    platform: Platform,
    book: BookState,
    through: date,
    key: str = BOOK_KEY,
    shares: Mapping[str, ShareCount] | None = None,
) -> None:
    """Write the book's file and name it in the database; ``shares`` by asset id, of a book in shares."""
    held = book.to_arrays()
    positions = dict(zip(map(str, held["asset_ids"]), map(float, held["positions"]), strict=True))
    told: dict[str, object] = {"cash": book.cash, "positions": positions}
    if shares is not None:
        told["shares"] = {asset: astuple(shares[asset]) for asset in positions if asset in shares}
    sha = platform.blobs.put(json.dumps(told, sort_keys=True).encode())
    fund.set_fund_state(connection, FundState(key, sha, through))


LEVERAGE_RUIN = 100.0
"""A gross of so many times the equity is ruin as much as no equity: what is left of it is the rounding of large sums."""


def refuse_ruin(book: BookState) -> None:
    """Raise Conflict FUND_RUINED for a book whose equity is not above zero, or a hundredth of what it holds.

    Weights are parts of equity: of nothing they are zeros, and a book that is held would look like an empty one.
    """
    held = float(np.abs(book.positions).sum())
    if not book.equity > held / LEVERAGE_RUIN:
        message = f"The fund's equity is {book.equity:,.2f} with {held:,.2f} gross held; no book can be decided on that."
        raise Conflict(Code.FUND_RUINED, message)


def weights_of(book: BookState, asset_ids: StrArray) -> FloatArray:
    """Return the weight of each of ``asset_ids`` (sorted, holding every asset of the book) as a fraction of equity."""
    return book.reindexed(asset_ids).weights
