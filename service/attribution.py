"""Who earned what in the fund, session by session: computed when a session is settled, kept in files, read by the tear sheet.

1. Between sessions the dollars of each owner are kept beside the book.
2. A settlement hands in each session as it booked it (:meth:`SessionLines.add`). It is split by model with the parts that the
   filled decision kept (:mod:`service.ownership`), and by factor with the exposures of the decision that was held before the
   session and factor returns estimated on the session's own returns.
3. Its lines are one file that names the one before (:meth:`SessionLines.put`); :func:`read_lines` follows the chain.

It changes nothing of the book, and makes up no lines for sessions of before it was there.

Decision instant: none; a session's lines are known after its close.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

import numpy as np
from sqlalchemy import Connection

from market.arrays import FloatArray, StrArray
from portfolio.attribution import Lines, SessionReturns, by_factor, stacked
from portfolio.book import BookState
from portfolio.factorreturns import factor_returns, groups_of
from portfolio.ownership import OwnedFill, Owners, by_model, filled_positions
from portfolio.simulate import DayRecord
from service.context import Platform
from service.decisions import loadings_of
from service.ownership import KEY
from service.store import fund
from service.store.records import FundState

OWNERS, LINES = "owners", "lines"
"""Under these keys the database names the files of the owners' dollars and of the latest lines."""


class Decided(Protocol):
    """What is read of a decision: its assets and its evidence."""

    @property
    def asset_ids(self) -> StrArray:
        """Sorted, (n,)."""

    @property
    def evidence(self) -> dict[str, Any]:
        """Plain JSON values."""


@dataclass(frozen=True, slots=True)
class BookedSession:
    """A session as it was booked, all arrays on the axis of ``before.asset_ids``.

    Attributes
    ----------
    session : date
    before, after : BookState
        At the close before and at the session's.
    returns : SessionReturns
    day : DayRecord
    exposed : Decided or None
        The decision whose exposures hold at the start of the session.
    filled : Decided or None
        The decision that was filled at its open.
    target : (n,) float64 or None
        The weights that the fill aimed at.
    """

    session: date
    before: BookState
    after: BookState
    returns: SessionReturns
    day: DayRecord
    exposed: Decided | None = None
    filled: Decided | None = None
    target: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class FundLines:
    """Lines of the last T sessions of a fund, as far back as they were kept.

    Attributes
    ----------
    sessions : tuple of date, length T
    by_factor, by_model : Lines
        (T, …) each.
    """

    sessions: tuple[date, ...]
    by_factor: Lines
    by_model: Lines


class SessionLines:
    """Gathers the lines of a settlement's sessions and keeps the owners' dollars between them."""

    def __init__(self, platform: Platform, connection: Connection, book: BookState) -> None:
        self._platform = platform
        self._ids, self._owners = _read_owners(connection, platform, book)
        self._sessions: list[tuple[date, Lines, Lines]] = []

    def add(self, booked: BookedSession) -> None:
        """Split one session, the one after the session that was added before it."""
        owners = _reindexed(self._ids, self._owners, booked.before.asset_ids)
        self._owners, models = by_model(owners, booked.returns, booked.day.costs, self._fill(booked))
        self._ids = booked.before.asset_ids
        self._sessions.append((booked.session, self._by_factor(booked), models))

    def put(self, connection: Connection, through: date) -> None:
        """Write what was gathered and name it in the database."""
        if not self._sessions:
            return
        standing = fund.get_fund_state(connection, LINES)
        told = {
            "before": None if standing is None else standing.sha256,
            "sessions": [
                {"session": day.isoformat(), "factors": _told(factors), "models": _told(models)}
                for day, factors, models in self._sessions
            ],
        }
        sha = self._platform.blobs.put(json.dumps(told, sort_keys=True).encode())
        fund.set_fund_state(connection, FundState(LINES, sha, through))
        _put_owners(connection, self._platform, self._ids, self._owners, through)

    def _fill(self, booked: BookedSession) -> OwnedFill | None:
        """Return the filled decision's parts as decided, on the session's assets; one without parts is owned by nobody."""
        if booked.filled is None or booked.target is None:
            return None
        told = booked.filled.evidence.get(KEY)
        names, tournaments, weights = (), (), booked.target[None, :]
        if told is not None:
            names, tournaments = tuple(told["names"]), tuple(told["tournaments"])
            weights = np.zeros((len(names) + 1, len(booked.target)))
            place = np.searchsorted(booked.before.asset_ids, booked.filled.asset_ids)
            weights[:, place] = self._platform.blobs.get_array(told["weights_sha256"])
        opened = booked.day.equity_open
        filled = filled_positions(booked.after.positions, booked.returns.intraday, booked.target * opened)
        return OwnedFill(names, tournaments, weights, filled, opened)

    def _by_factor(self, booked: BookedSession) -> Lines:
        names: tuple[str, ...] = ()
        kinds: tuple[str, ...] = ()
        exposures = np.zeros((len(booked.before.positions), 0))
        if booked.exposed is not None:
            loadings = loadings_of(self._platform, booked.exposed.evidence)
            names, kinds = loadings.names, loadings.kinds
            exposures = np.full((len(booked.before.positions), len(names)), np.nan)
            known, place = _common(booked.before.asset_ids, booked.exposed.asset_ids)
            exposures[known] = loadings.values[place]
        return factor_lines(booked.before.positions, booked.returns, booked.day, exposures, names, kinds)


def factor_lines(
    positions: FloatArray,
    returns: SessionReturns,
    day: DayRecord,
    exposures: FloatArray,
    names: tuple[str, ...],
    kinds: tuple[str, ...],
) -> Lines:
    """Split one session by factor, with factor returns estimated on the session's own returns.

    Parameters
    ----------
    positions : (n,) float64
        Dollars at the close before.
    returns : SessionReturns
        Of the same assets.
    day : DayRecord
        As booked.
    exposures : (n, k) float64
        Known at the close before; NaN for an asset outside the risk model. No column before a first decision.
    names, kinds : tuple of str, length k
        Of the factors; the first is the intercept.

    Returns
    -------
    Lines
        One session; see :func:`portfolio.attribution.by_factor`.

    Notes
    -----
    As in the risk model a sector pays what it paid beyond the average name; names weigh the same.
    """
    inside = np.isfinite(exposures).all(axis=1) & ~returns.gone
    made = np.zeros(len(names))
    if names and inside.any():
        made = factor_returns(returns.total[None, inside], exposures[inside, 1:], groups=groups_of(kinds[1:]))[0][0]
    return by_factor(positions, returns, exposures, made, names, kinds, gross_pnl=day.gross_pnl, costs=day.costs)


def read_lines(connection: Connection, platform: Platform) -> FundLines | None:
    """Return the lines of the fund's sessions, oldest first; None for a fund that has none."""
    state = fund.get_fund_state(connection, LINES)
    sha = None if state is None else state.sha256
    parts: list[list[dict[str, Any]]] = []
    while sha is not None:
        told = json.loads(platform.blobs.get(sha))
        parts.append(told["sessions"])
        sha = told["before"]
    rows = [row for part in reversed(parts) for row in part]
    if not rows:
        return None
    sessions = tuple(date.fromisoformat(row["session"]) for row in rows)
    return FundLines(sessions, stacked([_read(r["factors"]) for r in rows]), stacked([_read(r["models"]) for r in rows]))


def _told(lines: Lines) -> list[list[Any]]:
    return [[g, n, float(v)] for g, n, v in zip(lines.groups, lines.names, lines.values[0], strict=True)]


def _read(told: list[list[Any]]) -> Lines:
    values = np.array([[v for _, _, v in told]], dtype=np.float64)
    return Lines(tuple(n for _, n, _ in told), tuple(g for g, _, _ in told), values)


def _common(mine: StrArray, other: StrArray) -> tuple[np.ndarray, np.ndarray]:
    """Return which of ``mine`` (n,) are in sorted ``other``, and where they are there."""
    known = np.isin(mine, other)
    return known, np.searchsorted(other, mine[known])


def _reindexed(ids: StrArray, owners: Owners, asset_ids: StrArray) -> Owners:
    """Return the owners' dollars on other assets, which hold every asset with a position."""
    parts = np.zeros((len(owners.names), len(asset_ids)))
    known, place = _common(asset_ids, ids)
    parts[:, known] = owners.parts[:, place]
    return Owners(owners.names, owners.groups, parts)


def _read_owners(connection: Connection, platform: Platform, book: BookState) -> tuple[StrArray, Owners]:
    """Return the owners' dollars as kept last; of a book that nobody kept them for, all is inherited."""
    state = fund.get_fund_state(connection, OWNERS)
    if state is None:
        return book.asset_ids, Owners.inheriting(book.positions)
    told: Mapping[str, Any] = json.loads(platform.blobs.get(state.sha256))
    parts = platform.blobs.get_array(told["parts_sha256"])
    return np.array(told["asset_ids"], dtype=np.str_), Owners(tuple(told["names"]), tuple(told["groups"]), parts)


def _put_owners(connection: Connection, platform: Platform, ids: StrArray, owners: Owners, through: date) -> None:
    held = owners.parts.any(axis=0)
    told = {
        "asset_ids": [str(i) for i in ids[held]],
        "names": list(owners.names),
        "groups": list(owners.groups),
        "parts_sha256": platform.blobs.put_array(np.ascontiguousarray(owners.parts[:, held])),
    }
    sha = platform.blobs.put(json.dumps(told, sort_keys=True).encode())
    fund.set_fund_state(connection, FundState(OWNERS, sha, through))
