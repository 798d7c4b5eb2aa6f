"""The package offers the names it lists, explains each, and costs nothing but numpy to import."""

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import market

MODULES = sorted(m.name for m in pkgutil.iter_modules(market.__path__, "market."))
HEAVY = ("pandas", "pyarrow", "scipy", "exchange_calendars", "cvxpy", "vectorbt")


def test_every_public_name_is_there_and_explained():
    for name in market.__all__:
        value = getattr(market, name)
        if callable(value) and not name.endswith("Array"):
            assert value.__doc__, name


def test_importing_every_module_loads_nothing_heavy():
    code = f"import sys, {', '.join(MODULES)}; print([m for m in {HEAVY!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_the_docstrings_are_true(name):
    module = importlib.import_module(name)
    failures, _ = doctest.testmod(module, extraglobs={"np": importlib.import_module("numpy")})
    assert failures == 0
