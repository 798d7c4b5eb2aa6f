"""One decision of the fund: from what was known of the market and a score to the book that the mandate allows.

A rebalance and each step of a backtest go through here, so that a backtest decides what the fund would have decided. Nothing
is read or stored; where the score and the holdings come from is the caller's business.

1. *market*: exposures and risk model of the assets, how much of each may be traded, and which are halted or gone.
2. *problem*: the score becomes an alpha by the information coefficient; mandate, market and holdings become the problem that
   the ladder solves.

Decision instant: the view's.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from market.arrays import BoolArray, FloatArray, IntArray
from market.panel import PanelView
from portfolio.alpha import alpha_from_signal
from portfolio.build import build_problem
from portfolio.mandate import Mandate
from portfolio.problem import RebalanceProblem
from portfolio.riskmodel import RiskModel, estimate_risk_model
from service.desk import risk_parameters

if TYPE_CHECKING:
    from service.desk import MarketDesk


CLOSURE_MAX = 15
"""Rows of the panel in which every exchange has had a session: none closes for three weeks of the others' sessions."""


@dataclass(frozen=True, slots=True, eq=False)
class DecisionMarket:
    """What a decision knows of its n assets.

    Attributes
    ----------
    positions : (n,) int64
        Places on the panel's asset axis.
    model : RiskModel
        Per session.
    adv_dollars : (n,) float64
        Median dollar volume of the settings' window.
    frozen, dead : (n,) bool
        Did not trade on the last session of its exchange; is delisted.
    no_short : (n,) bool or None
        Must not be sold short; None for nobody.
    """

    positions: IntArray
    model: RiskModel
    adv_dollars: FloatArray
    frozen: BoolArray
    dead: BoolArray
    no_short: BoolArray | None = None

    def cut(self, kept: BoolArray) -> "DecisionMarket":
        """Return the same of the assets where ``kept`` (n,) is true; the risk model is cut, not estimated anew."""
        model = replace(self.model, B=self.model.B[kept], D=self.model.D[kept])
        no_short = None if self.no_short is None else self.no_short[kept]
        return DecisionMarket(self.positions[kept], model, self.adv_dollars[kept], self.frozen[kept], self.dead[kept], no_short)


def decision_market(desk: "MarketDesk", view: PanelView, positions: IntArray) -> DecisionMarket:
    """Return what a decision at ``view.instant`` knows of the assets at ``positions`` (n,)."""
    exposures = desk.exposures(view, positions)
    periods = desk.factor_periods(view, exposures.names, desk.settings.fund.risk_weeks)
    model = estimate_risk_model(
        periods,
        exposures.values,
        positions,
        exposures.names,
        exposures.kinds,
        parameters=risk_parameters(desk.settings.fund.risk),
        # Whoever decides on the same session draws the same histories.
        rng=np.random.default_rng(view.last_session.toordinal()),
    )
    dead = view.delisting_index[positions] >= 0
    frozen = ~_traded_last(view, positions) & ~dead
    return DecisionMarket(positions, model, median_dollar_volume(desk, view, positions), frozen, dead)


def _traded_last(view: PanelView, positions: IntArray) -> BoolArray:
    """Return which assets traded on the last session of their own exchange: a holiday there halts no asset.

    Others cannot be counted on to trade at the next open.
    """
    own = view.trading[-CLOSURE_MAX:][:, view.exchange_index[positions]]
    last = len(own) - 1 - own[::-1].argmax(axis=0)
    traded: BoolArray = view.traded[-CLOSURE_MAX:][last, positions] & own.any(axis=0)
    return traded


def median_dollar_volume(desk: "MarketDesk", view: PanelView, positions: IntArray) -> FloatArray:
    """Return the usual daily volume of each asset: the median of the sessions that the settings name, (n,)."""
    recent = np.nan_to_num(view.dollar_volume()[-desk.settings.universe.adv_window_sessions :, positions], nan=0.0)
    median: FloatArray = np.median(recent, axis=0)
    return median


def decision_problem(
    mandate: Mandate,
    market: DecisionMarket,
    score: FloatArray,
    w0: FloatArray,
    *,
    equity: float,
    ic: float,
    in_universe: BoolArray,
    horizon_sessions: int,
) -> RebalanceProblem:
    """State the problem of a book for a score.

    Parameters
    ----------
    score : (n,) float64
        In the market's order of assets, finite; zero for an asset that nobody speaks of.
    w0 : (n,) float64
        Weights held, fractions of ``equity``.
    ic : float
        Information coefficient to act on.
    in_universe : (n,) bool
        The others may only shrink.
    horizon_sessions : int
        Sessions that the score speaks about.
    """
    return build_problem(
        mandate,
        market.model,
        alpha_from_signal(score, market.model, ic, horizon_sessions),
        w0,
        alpha_horizon_sessions=horizon_sessions,
        equity=equity,
        adv_dollars=market.adv_dollars,
        frozen=market.frozen,
        leaving=~in_universe,
        dead=market.dead,
        no_short=market.no_short,
    )
