"""Who earned what in a walk: each session split by factor, and by model where the source speaks for several.

The splits are those of the fund's own sessions (:mod:`service.attribution`, :mod:`portfolio.ownership`); here the dollars of
each owner are kept between a walk's sessions. It changes nothing of a walk and takes time: only who shows lines asks for them.

Decision instant: none; a session's lines are known after its close.
"""

from dataclasses import dataclass

import numpy as np

from market.arrays import FloatArray, IntArray
from portfolio.attribution import Lines, SessionReturns, stacked
from portfolio.book import BookState
from portfolio.ownership import OwnedFill, Owners, by_model, filled_positions
from portfolio.simulate import DayRecord
from service.attribution import factor_lines
from service.backtest.spec import Fill


@dataclass(frozen=True, slots=True, eq=False)
class Loadings:
    """Exposures of a decision's assets.

    Attributes
    ----------
    names, kinds : tuple of str, length k
        Of the factors; the first is the intercept.
    positions : (m,) int64
        Places of the assets on the panel's axis, ascending.
    values : (m, k) float64
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    positions: IntArray
    values: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Owned:
    """What each model owns of a decided book.

    Attributes
    ----------
    names, tournaments : tuple of str, length m
    weights : (m + 1, n) float64
        On the panel's axis; the last row is nobody's.
    """

    names: tuple[str, ...]
    tournaments: tuple[str, ...]
    weights: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class WalkedSession:
    """A session as a walk booked it, all arrays on the panel's axis of n assets.

    Attributes
    ----------
    before, after : BookState
        At the close before and at the session's.
    returns : SessionReturns
    day : DayRecord
    fill : Fill
    loadings : Loadings or None
        Known at the close before.
    target : (n,) float64 or None
        Weights that were to be filled.
    owned : Owned or None
        Whose they are; None for a source of one voice.
    """

    before: BookState
    after: BookState
    returns: SessionReturns
    day: DayRecord
    fill: Fill
    loadings: Loadings | None
    target: FloatArray | None
    owned: Owned | None


class WalkLines:
    """Gathers the lines of a walk's sessions, in their order."""

    def __init__(self) -> None:
        self._factors: list[Lines] = []
        self._models: list[Lines] = []
        self._owners: Owners | None = None

    @property
    def by_factor(self) -> Lines | None:
        """Factors, specific, trading and costs, (T, …)."""
        return stacked(self._factors) if self._factors else None

    @property
    def by_model(self) -> Lines | None:
        """Models, what is inherited, and costs, (T, …); None for a source of one voice."""
        return stacked(self._models) if self._models else None

    def add(self, session: WalkedSession) -> None:
        """Split one session, the one after the session that was added before it."""
        self._factors.append(_by_factor(session))
        if self._owners is None and session.owned is None:
            return
        owners = self._owners or Owners.inheriting(session.before.positions)
        returns = session.returns
        if session.fill is Fill.CLOSE:
            # All of the session is earned before the fill.
            returns = SessionReturns(returns.total, np.zeros_like(returns.intraday), returns.gone, np.zeros_like(returns.paid))
        self._owners, lines = by_model(owners, returns, session.day.costs, _owned_fill(session, returns))
        self._models.append(lines)


def _by_factor(session: WalkedSession) -> Lines:
    """Return the lines of the assets that are held or have exposures; the others earn nothing."""
    loadings = session.loadings or Loadings((), (), np.zeros(0, dtype=np.int64), np.zeros((0, 0)))
    seen = np.union1d(np.flatnonzero(session.before.positions), loadings.positions)
    exposures = np.full((len(seen), len(loadings.names)), np.nan)
    exposures[np.searchsorted(seen, loadings.positions)] = loadings.values
    moved = session.returns
    returns = SessionReturns(moved.overnight[seen], moved.intraday[seen], moved.gone[seen], moved.paid[seen])
    positions = session.before.positions[seen]
    return factor_lines(positions, returns, session.day, exposures, loadings.names, loadings.kinds)


def _owned_fill(session: WalkedSession, returns: SessionReturns) -> OwnedFill | None:
    """Return whose the filled book is; a liquidation, and a target without owners, is nobody's."""
    owned, target, opened = session.owned, session.target, session.day.equity_open
    if session.day.bankrupt:
        owned, target = None, np.zeros_like(returns.intraday)
    if target is None:
        return None
    owned = owned or Owned((), (), target[None, :])
    filled = filled_positions(session.after.positions, returns.intraday, target * opened)
    return OwnedFill(owned.names, owned.tournaments, owned.weights, filled, opened)
