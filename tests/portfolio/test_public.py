"""Goal: the package's surface is small and light. Method: names are resolved after every module is loaded; a fresh interpreter
imports the package and is asked what it holds."""

import importlib
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

import portfolio


def test_public_names_are_things_and_not_modules():
    """No public name is hidden by a module of the same name, once all modules are loaded."""
    for module in pkgutil.iter_modules(portfolio.__path__):
        importlib.import_module(f"portfolio.{module.name}")
    for name in portfolio.__all__:
        assert not isinstance(getattr(portfolio, name), ModuleType), name


def test_unknown_names_are_attribute_errors():
    """A name that is not there fails as it does for any module."""
    with pytest.raises(AttributeError, match="nothing_here"):
        portfolio.nothing_here  # noqa: B018


def test_importing_the_package_loads_no_solver_and_no_backtester():
    """What the workflows import at start pulls in none of cvxpy, vectorbt, pandas and scipy.stats."""
    modules = ("book", "mandate", "problem", "riskmodel", "alpha", "build", "ladder", "simulate", "performance", "tearsheet")
    heavy = "('cvxpy', 'vectorbt', 'pandas', 'scipy.stats')"
    code = "import sys, portfolio; from portfolio import {}; print([m for m in " + heavy + " if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code.format(", ".join(modules))], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
