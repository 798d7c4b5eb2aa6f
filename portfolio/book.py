"""A book of holdings and what trading costs: the state that lives between two sessions.

Not here: what happens during a session (:mod:`portfolio.simulate`) or which weights are wanted (:mod:`portfolio.ladder`).
A book is cash and dollar positions keyed by asset id; shorts are negative. It is stored and continued with ``to_arrays`` and
``from_arrays``, and moved to another universe with ``reindexed``, which never loses a position.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import FloatArray, StrArray
from portfolio.mandate import Mandate

BPS = 1e-4


@dataclass(frozen=True, slots=True)
class TradingCosts:
    """What trading and holding costs, as fractions (not basis points).

    Attributes
    ----------
    half_spread : float or (n,) float64
        Paid on every traded dollar.
    impact_coefficient : float
        c in c·σ·|trade|·√(|trade|/ADV); 0 turns impact off.
    borrow_per_year, cash_per_year : float
        Fee on the value of shorts; interest on cash. Accrued per session of a year of 252.
    """

    half_spread: float | FloatArray = 0.0
    impact_coefficient: float = 0.0
    borrow_per_year: float = 0.0
    cash_per_year: float = 0.0


def costs_of(mandate: Mandate) -> TradingCosts:
    """Return the whole, unamortized costs that a mandate declares."""
    return TradingCosts(
        half_spread=mandate.half_spread_bps * BPS,
        impact_coefficient=mandate.impact_coefficient,
        borrow_per_year=mandate.borrow_bps_per_year * BPS,
        cash_per_year=mandate.cash_bps_per_year * BPS,
    )


@dataclass(frozen=True, slots=True)
class Liquidity:
    """What impact depends on, as known before the trade.

    Attributes
    ----------
    adv_dollars : (n,) float64
        Average daily dollar volume. A name whose value is not a positive number is not traded.
    sigma : (n,) float64
        Volatility of one session.
    """

    adv_dollars: FloatArray
    sigma: FloatArray


@dataclass(frozen=True, slots=True)
class BookState:
    """Cash and dollar positions at the close of a session.

    Attributes
    ----------
    asset_ids : (n,) str
        What the positions are in.
    positions : (n,) float64
        Dollars, shorts negative; finite.
    cash : float
        Dollars, the proceeds of shorts included.
    """

    asset_ids: StrArray
    positions: FloatArray
    cash: float

    def __post_init__(self) -> None:
        shaped = self.asset_ids.shape == self.positions.shape and self.positions.ndim == 1
        if not shaped or not np.isfinite(self.positions).all() or not np.isfinite(self.cash):
            raise InputRejected(Code.PROBLEM_INVALID, "A book holds one finite position for each asset, and finite cash.")

    @property
    def equity(self) -> float:
        """Cash plus positions, in dollars."""
        return self.cash + float(self.positions.sum())

    @property
    def weights(self) -> FloatArray:
        """Positions as fractions of equity, (n,) float64; zeros for a book without equity."""
        equity = self.equity
        return self.positions / equity if equity > 0 else np.zeros_like(self.positions)

    @classmethod
    def opening(cls, asset_ids: StrArray, cash: float) -> "BookState":
        """Return a book of cash alone."""
        return cls(asset_ids, np.zeros(asset_ids.shape[0]), cash)

    def reindexed(self, asset_ids: StrArray) -> "BookState":
        """Return the same book over other assets.

        Raises
        ------
        InputRejected
            PROBLEM_INVALID when an asset that is held is not among ``asset_ids``: it must be sold first.
        """
        where = {str(asset): i for i, asset in enumerate(asset_ids)}
        positions = np.zeros(asset_ids.shape[0])
        for i in np.flatnonzero(self.positions):
            target = where.get(str(self.asset_ids[i]))
            if target is None:
                raise InputRejected(Code.PROBLEM_INVALID, f"The book holds {self.asset_ids[i]}, which is not among the assets.")
            positions[target] = self.positions[i]
        return BookState(asset_ids, positions, self.cash)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return what is stored: the assets that are held, their positions, and cash as a (1,) array."""
        held = np.flatnonzero(self.positions)
        return {
            "asset_ids": self.asset_ids[held],
            "positions": self.positions[held],
            "cash": np.array([self.cash], dtype=np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> "BookState":
        """Rebuild a book from :meth:`to_arrays`, over the held assets alone."""
        positions = np.asarray(arrays["positions"], dtype=np.float64)
        return cls(np.asarray(arrays["asset_ids"], dtype=np.str_), positions, float(arrays["cash"][0]))
