"""What the fund does: risk model, mandate, optimizer, rebalance, backtest, performance, tear sheet.

Pure functions of arrays and frozen dataclasses. Public names are loaded when they are first asked for, so that importing the
package pulls in neither cvxpy nor vectorbt. Functions that bear the name of their module (``performance``, ``verify``) are
taken from that module.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from portfolio.alpha import alpha_from_signal, shrunk_ic
    from portfolio.book import BookState, Liquidity, TradingCosts, costs_of
    from portfolio.build import build_problem
    from portfolio.evidence import BindingLimit, told_limits
    from portfolio.ladder import Rung, Solution, solve
    from portfolio.mandate import Mandate, mandate_from_mapping
    from portfolio.performance import Performance, beta_with_error
    from portfolio.problem import RebalanceProblem, objective
    from portfolio.riskmodel import FactorPeriod, RiskModel, estimate_risk_model, factor_returns
    from portfolio.simulate import BacktestResult, DayRecord, backtest, collect, step
    from portfolio.tearsheet import TearSheetData, render_tearsheet
    from portfolio.vectorbt_adapter import backtest_vectorbt
    from portfolio.verify import violations

_HOME = {
    "alpha_from_signal": "alpha",
    "shrunk_ic": "alpha",
    "BookState": "book",
    "Liquidity": "book",
    "TradingCosts": "book",
    "costs_of": "book",
    "build_problem": "build",
    "BindingLimit": "evidence",
    "told_limits": "evidence",
    "Rung": "ladder",
    "Solution": "ladder",
    "solve": "ladder",
    "Mandate": "mandate",
    "mandate_from_mapping": "mandate",
    "Performance": "performance",
    "beta_with_error": "performance",
    "RebalanceProblem": "problem",
    "objective": "problem",
    "FactorPeriod": "riskmodel",
    "RiskModel": "riskmodel",
    "estimate_risk_model": "riskmodel",
    "factor_returns": "riskmodel",
    "BacktestResult": "simulate",
    "DayRecord": "simulate",
    "backtest": "simulate",
    "collect": "simulate",
    "step": "simulate",
    "TearSheetData": "tearsheet",
    "render_tearsheet": "tearsheet",
    "backtest_vectorbt": "vectorbt_adapter",
    "violations": "verify",
}

__all__ = [
    "BacktestResult",
    "BindingLimit",
    "BookState",
    "DayRecord",
    "FactorPeriod",
    "Liquidity",
    "Mandate",
    "Performance",
    "RebalanceProblem",
    "RiskModel",
    "Rung",
    "Solution",
    "TearSheetData",
    "TradingCosts",
    "alpha_from_signal",
    "backtest",
    "backtest_vectorbt",
    "beta_with_error",
    "build_problem",
    "collect",
    "costs_of",
    "estimate_risk_model",
    "factor_returns",
    "mandate_from_mapping",
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
