"""From a mandate and a decision's arrays to a rebalance problem.

All units are brought to one rebalance period of ``mandate.sessions_per_rebalance`` sessions: an alpha over h sessions is scaled
by period/h, variances per session are multiplied by the period, the fee on shorts likewise, and the one-off cost of a trade is
charged at period/holding, because a position that is held for four periods pays for its trade with four periods of alpha.
A dollar that is net long is a dollar less of cash: the interest that it would have earned is taken from every name's alpha,
which in a dollar-neutral book comes to nothing.

Three kinds of names are not free:

- dead (delisted): closed by the market, exempt from the turnover limit;
- frozen (halted, or with no volume to speak of): pinned at what is held;
- leaving (no longer in the universe): may only shrink towards zero; a remnant is closed at once.

A name that must not be sold short is free but for that: a long may go to zero, a short that is held may only be bought back.
"""

from dataclasses import dataclass

import numpy as np

from market.arrays import BoolArray, FloatArray
from portfolio.contradictions import LIMIT_KEYS
from portfolio.mandate import SESSIONS_PER_YEAR, Mandate
from portfolio.problem import RebalanceProblem
from portfolio.riskmodel import RiskModel

BPS = 1e-4
TRADE_MIN = 1e-7
"""A name of which the volume limit lets less be traded is frozen: ten dollars on a hundred million decide nothing, and bounds
that close to each other only make the problem ill-conditioned."""
REMNANT_MAX = 1e-6
"""Weight below which a leaving name is closed outright instead of being optimized."""


def build_problem(
    mandate: Mandate,
    risk_model: RiskModel,
    alpha: FloatArray,
    w0: FloatArray,
    *,
    alpha_horizon_sessions: int,
    equity: float,
    adv_dollars: FloatArray | None = None,
    frozen: BoolArray | None = None,
    leaving: BoolArray | None = None,
    dead: BoolArray | None = None,
    no_short: BoolArray | None = None,
) -> RebalanceProblem:
    """State one rebalance of n assets.

    Parameters
    ----------
    mandate : Mandate
    risk_model : RiskModel
        Per session, in the same order of assets.
    alpha : (n,) float64
        Expected return over ``alpha_horizon_sessions``; ignored for names that leave.
    w0 : (n,) float64
        Weights held now, fractions of equity.
    alpha_horizon_sessions : int
        Sessions that ``alpha`` speaks about.
    equity : float
        Capital now, in the panel's currency; positive.
    adv_dollars : (n,) float64, optional
        Average daily dollar volume. A name without any, or with NaN, is frozen. None: no volume limit and no impact.
    frozen, leaving, dead, no_short : (n,) bool, optional
        See the module; none by default.

    Returns
    -------
    RebalanceProblem
        Not checked yet: :func:`portfolio.solve` does that.
    """
    n = w0.shape[0]
    none = np.zeros(n, dtype=bool)
    frozen, leaving, dead, no_short = (none if mask is None else mask for mask in (frozen, leaving, dead, no_short))
    if adv_dollars is not None:
        frozen = frozen | ~(mandate.adv_participation_max * np.nan_to_num(adv_dollars) >= TRADE_MIN * equity)
    period = mandate.sessions_per_rebalance
    year_part = period / SESSIONS_PER_YEAR
    names = _Names(w0, equity, adv_dollars, frozen, leaving, no_short)
    lower, upper = names.bounds(mandate.position_max, mandate.adv_participation_max)
    lower_hard, upper_hard = _hard_bounds(mandate, names, lower, upper)
    middle, width = _bands(mandate, risk_model.factor_kinds)
    return RebalanceProblem(
        alpha=np.where(leaving, 0.0, alpha) * (period / alpha_horizon_sessions) - mandate.cash_bps_per_year * BPS * year_part,
        B=risk_model.B,
        F=risk_model.F * period,
        D=risk_model.D * period,
        w0=w0,
        exposure_lower=middle - width,
        exposure_upper=middle + width,
        factor_kinds=risk_model.factor_kinds,
        position_lower=lower,
        position_upper=upper,
        gross_max=mandate.gross_max,
        turnover_max=mandate.turnover_max,
        half_spread=np.full(n, mandate.half_spread_bps * BPS * mandate.cost_amortization),
        impact=_impact(mandate, risk_model, equity, adv_dollars, frozen),
        borrow=np.full(n, mandate.borrow_bps_per_year * BPS * year_part),
        dead=dead,
        risk_aversion=mandate.risk_aversion,
        net_band=mandate.net_band,
        relaxation=mandate.relaxation,
        net_target=mandate.net_target,
        short_max=mandate.short_max if mandate.short_max < mandate.gross_max else np.inf,
        volatility_max=(mandate.volatility_target or np.inf) * np.sqrt(year_part),
        room=_room(mandate, year_part),
        position_lower_hard=lower_hard,
        position_upper_hard=upper_hard,
        periods_per_year=1 / year_part,
    )


def _room(mandate: Mandate, year_part: float) -> dict[str, float]:
    """Return how far each limit with a hard figure gives way, in the units of one period."""
    return {word: room * (np.sqrt(year_part) if word == "volatility" else 1.0) for word, room in mandate.room().items()}


def _bands(mandate: Mandate, kinds: tuple[str, ...]) -> tuple[FloatArray, FloatArray]:
    """Return middle and half-width of each factor's band, (k,) each; the intercept's is the dollar limit's business."""
    width = {
        "market": np.inf,
        "beta": mandate.beta_band,
        "sector": mandate.sector_band,
        "country": mandate.country_band,
        "style": mandate.style_band,
    }
    middle = np.array([mandate.beta_target if kind == "beta" else 0.0 for kind in kinds], dtype=np.float64)
    return middle, np.array([width[kind] for kind in kinds], dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class _Names:
    """What binds n names one by one, (n,) each: holdings, usual volume in money, and which are not free."""

    w0: FloatArray
    equity: float
    adv_dollars: FloatArray | None
    frozen: BoolArray
    leaving: BoolArray
    no_short: BoolArray

    def bounds(self, cap: float, participation: float) -> tuple[FloatArray, FloatArray]:
        """Return lower and upper bounds, (n,) each; never empty, also when the holding has drifted beyond its cap."""
        w0 = self.w0
        kept = np.where(np.abs(w0) < REMNANT_MAX, 0.0, w0)
        lower = np.where(self.leaving, np.clip(kept, -cap, 0.0), -cap)
        upper = np.where(self.leaving, np.clip(kept, 0.0, cap), cap)
        if self.adv_dollars is not None:
            trade_max = np.where(self.frozen, 0.0, participation * np.nan_to_num(self.adv_dollars) / self.equity)
            # Where the volume limit cannot bring a drifted holding inside its cap, the nearest reachable weight is the cap.
            lower, upper = np.clip(lower, w0 - trade_max, w0 + trade_max), np.clip(upper, w0 - trade_max, w0 + trade_max)
        lower = np.where(self.no_short, np.maximum(lower, np.minimum(w0, 0.0)), lower)
        return np.where(self.frozen, w0, lower), np.where(self.frozen, w0, upper)


def _hard_bounds(
    mandate: Mandate, names: _Names, lower: FloatArray, upper: FloatArray
) -> tuple[FloatArray, FloatArray] | tuple[None, None]:
    """Return the bounds up to which caps and the volume limit may give way; none where the mandate has no hard figure."""
    if not any(key in mandate.hard for key in LIMIT_KEYS["position"]):
        return None, None
    low, high = names.bounds(mandate.hard_figure("position_max"), mandate.hard_figure("adv_participation_max"))
    # A drifted holding that more volume brings nearer to its cap has hard bounds beside the others: span both.
    return np.minimum(lower, low), np.maximum(upper, high)


def _impact(
    mandate: Mandate, risk_model: RiskModel, equity: float, adv_dollars: FloatArray | None, frozen: BoolArray
) -> FloatArray:
    """Return the coefficient of |w − w0|^1.5, (n,): c·σ·√(equity/ADV), charged at the part of one period."""
    if adv_dollars is None or mandate.impact_coefficient == 0.0:
        return np.zeros(frozen.shape[0])
    traded = np.where(frozen, 1.0, adv_dollars)
    sigma = risk_model.total_volatility()
    cost = mandate.impact_coefficient * sigma * np.sqrt(equity / traded) * mandate.cost_amortization
    charged: FloatArray = np.where(frozen, 0.0, cost)
    return charged
