"""What the fund does: risk model, mandate, optimizer, rebalance, backtest, performance, tear sheet.

Pure functions of arrays and frozen dataclasses. Public names are loaded when they are first asked for, so that importing the
package pulls in neither cvxpy nor vectorbt.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from portfolio.alpha import alpha_from_signal, shrunk_ic
    from portfolio.build import build_problem
    from portfolio.ladder import Rung, Solution, solve
    from portfolio.mandate import Mandate, mandate_from_mapping
    from portfolio.problem import RebalanceProblem, objective
    from portfolio.riskmodel import FactorPeriod, RiskModel, estimate_risk_model, factor_returns
    from portfolio.verify import verify, violations

_HOME = {
    "alpha_from_signal": "alpha",
    "shrunk_ic": "alpha",
    "build_problem": "build",
    "Rung": "ladder",
    "Solution": "ladder",
    "solve": "ladder",
    "Mandate": "mandate",
    "mandate_from_mapping": "mandate",
    "RebalanceProblem": "problem",
    "objective": "problem",
    "FactorPeriod": "riskmodel",
    "RiskModel": "riskmodel",
    "estimate_risk_model": "riskmodel",
    "factor_returns": "riskmodel",
    "verify": "verify",
    "violations": "verify",
}

__all__ = [
    "FactorPeriod",
    "Mandate",
    "RebalanceProblem",
    "RiskModel",
    "Rung",
    "Solution",
    "alpha_from_signal",
    "build_problem",
    "estimate_risk_model",
    "factor_returns",
    "mandate_from_mapping",
    "objective",
    "shrunk_ic",
    "solve",
    "verify",
    "violations",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module at first use."""
    if name in _HOME:
        return getattr(import_module(f"portfolio.{_HOME[name]}"), name)
    raise AttributeError(f"module 'portfolio' has no attribute {name!r}")
