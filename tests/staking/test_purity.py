"""Money never meets a float. Method: read the syntax tree of every module of the package."""

import ast
from pathlib import Path

import pytest

import staking

MODULES = sorted(Path(str(staking.__file__)).parent.rglob("*.py"))
FORBIDDEN_IMPORTS = {"math", "cmath", "numpy", "pandas", "scipy", "decimal", "fractions", "statistics", "random"}
FORBIDDEN_NAMES = {"float", "complex", "round", "Decimal", "Fraction"}


def sins(source: str) -> list[str]:
    """List what no module of the package may hold."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            found.append(f"{node.lineno}: the number {node.value}")
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            found.append(f"{node.lineno}: a true division")
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow) and not isinstance(node.right, ast.Constant):
            found.append(f"{node.lineno}: a power whose exponent may be negative")
        if isinstance(node, ast.Name) and node.id in FORBIDDEN_NAMES:
            found.append(f"{node.lineno}: {node.id}")
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [f"{node.lineno}: import of {name}" for name in names if name.split(".")[0] in FORBIDDEN_IMPORTS]
    return found


def test_modules_are_found() -> None:
    assert len(MODULES) >= 6


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_no_module_knows_floats(path: Path) -> None:
    assert sins(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "x = 1.0",
        "x = 1e9",
        "x = a / b",
        "x /= 2",
        "x = float(y)",
        "import math",
        "from numpy import int64",
        "x = a**b",
        "x = 2j",
    ],
)
def test_the_reader_sees_each_sin(line: str) -> None:
    assert sins(line)
