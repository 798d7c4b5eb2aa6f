"""What the fund does: risk model, mandate, optimizer, rebalance, backtest, performance, tear sheet.

Pure functions of arrays and frozen dataclasses. Public names are loaded when they are first asked for, so that importing the
package pulls in neither cvxpy nor vectorbt. Functions that bear the name of their module (``performance``, ``verify``) are
taken from that module.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from portfolio.activeset import ActiveSet, active_set
    from portfolio.alpha import alpha_from_signal, shrunk_ic
    from portfolio.attribution import Lines, by_factor, carino_linked
    from portfolio.book import BookState, Liquidity, TradingCosts, costs_of
    from portfolio.build import build_problem
    from portfolio.drift import drift_between_decisions
    from portfolio.evidence import BindingLimit, told_limits
    from portfolio.factorreturns import FactorPeriod, factor_returns
    from portfolio.forecastbias import bias_statistics
    from portfolio.ladder import Rung, Solution, solve
    from portfolio.mandate import Mandate, mandate_from_mapping
    from portfolio.ownership import by_model, model_alphas, model_weights
    from portfolio.performance import Performance, beta_with_error
    from portfolio.problem import RebalanceProblem, objective
    from portfolio.riskmodel import RiskModel, RiskParameters, estimate_risk_model
    from portfolio.sheetsections import CapacityPoint
    from portfolio.simulate import BacktestResult, DayRecord, backtest, collect, step
    from portfolio.tearsheet import TearSheetData, render_tearsheet
    from portfolio.trials import DeflatedSharpe, deflated_sharpe, deflated_sharpes
    from portfolio.vectorbt_adapter import backtest_vectorbt
    from portfolio.verify import violations

_HOME = {
    "ActiveSet": "activeset",
    "active_set": "activeset",
    "Lines": "attribution",
    "by_factor": "attribution",
    "carino_linked": "attribution",
    "by_model": "ownership",
    "model_alphas": "ownership",
    "model_weights": "ownership",
    "alpha_from_signal": "alpha",
    "shrunk_ic": "alpha",
    "BookState": "book",
    "Liquidity": "book",
    "TradingCosts": "book",
    "costs_of": "book",
    "build_problem": "build",
    "FactorPeriod": "factorreturns",
    "factor_returns": "factorreturns",
    "bias_statistics": "forecastbias",
    "BindingLimit": "evidence",
    "told_limits": "evidence",
    "Rung": "ladder",
    "Solution": "ladder",
    "solve": "ladder",
    "Mandate": "mandate",
    "mandate_from_mapping": "mandate",
    "Performance": "performance",
    "beta_with_error": "performance",
    "drift_between_decisions": "drift",
    "DeflatedSharpe": "trials",
    "deflated_sharpe": "trials",
    "deflated_sharpes": "trials",
    "RebalanceProblem": "problem",
    "objective": "problem",
    "RiskModel": "riskmodel",
    "RiskParameters": "riskmodel",
    "estimate_risk_model": "riskmodel",
    "BacktestResult": "simulate",
    "DayRecord": "simulate",
    "backtest": "simulate",
    "collect": "simulate",
    "step": "simulate",
    "CapacityPoint": "sheetsections",
    "TearSheetData": "tearsheet",
    "render_tearsheet": "tearsheet",
    "backtest_vectorbt": "vectorbt_adapter",
    "violations": "verify",
}

__all__ = [
    "ActiveSet",
    "BacktestResult",
    "BindingLimit",
    "BookState",
    "CapacityPoint",
    "DayRecord",
    "DeflatedSharpe",
    "FactorPeriod",
    "Lines",
    "Liquidity",
    "Mandate",
    "Performance",
    "RebalanceProblem",
    "RiskModel",
    "RiskParameters",
    "Rung",
    "Solution",
    "TearSheetData",
    "TradingCosts",
    "active_set",
    "alpha_from_signal",
    "backtest",
    "backtest_vectorbt",
    "beta_with_error",
    "bias_statistics",
    "build_problem",
    "by_factor",
    "by_model",
    "carino_linked",
    "collect",
    "costs_of",
    "deflated_sharpe",
    "deflated_sharpes",
    "drift_between_decisions",
    "estimate_risk_model",
    "factor_returns",
    "mandate_from_mapping",
    "model_alphas",
    "model_weights",
    "objective",
    "render_tearsheet",
    "shrunk_ic",
    "solve",
    "step",
    "told_limits",
    "violations",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module at first use."""
    if name in _HOME:
        return getattr(import_module(f"portfolio.{_HOME[name]}"), name)
    raise AttributeError(f"module 'portfolio' has no attribute {name!r}")
