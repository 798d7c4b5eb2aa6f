"""The rules of the house that a linter does not know. Method: read every module's text and syntax tree."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("crowdalpha", "market", "signals", "portfolio", "staking", "service")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

MODULE_LINES_MAX = 500
BODY_LINES_MAX = 70

EMPTY_WORDS = re.compile(r"(Manager|Helper|Utils?|Engine|Processor|Handler|Base)$")
"""Names that say nothing; SQLAlchemy's Engine is a thing of its own and is not a class of ours."""

UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|NotImplementedError")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function behind its docstring."""
    first = function.body[0]
    behind = function.body[1:] if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) else function.body
    return (function.end_lineno or 0) - behind[0].lineno + 1 if behind else 0


def test_modules_are_found() -> None:
    assert len(MODULES) > 20


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_says_what_it_is_and_stays_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "a module begins with what it is and is not"
    assert text.count("\n") <= MODULE_LINES_MAX
    too_long = {f.name: body_lines(f) for f in functions(ast.parse(text)) if body_lines(f) > BODY_LINES_MAX}
    assert too_long == {}
    assert not UNFINISHED.search(text), "what stands here is finished"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_class_has_a_name_that_says_nothing(path: Path) -> None:
    names = [node.name for node in ast.walk(tree_of(path)) if isinstance(node, ast.ClassDef)]
    assert [name for name in names if EMPTY_WORDS.search(name)] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_check_hangs_on_assert(path: Path) -> None:
    """``python -O`` strips assert, so no guard on data may be one."""
    assert [node.lineno for node in ast.walk(tree_of(path)) if isinstance(node, ast.Assert)] == []


@pytest.mark.parametrize("path", [p for p in MODULES if p.name == "__init__.py"], ids=name_of)
def test_a_package_file_holds_reexports_and_nothing_else(path: Path) -> None:
    allowed = (ast.Expr, ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.If)
    lazily = {"__getattr__", "__dir__"}
    odd = [
        ast.unparse(node)[:60]
        for node in tree_of(path).body
        if not isinstance(node, allowed) and not (isinstance(node, ast.FunctionDef) and node.name in lazily)
    ]
    assert odd == []


def test_the_shell_package_itself_is_empty() -> None:
    body = tree_of(ROOT / "service" / "__init__.py").body
    assert all(isinstance(node, ast.Expr) for node in body)


@pytest.mark.parametrize("path", [p for p in MODULES if p.relative_to(ROOT).parts[0] != "service"], ids=name_of)
def test_the_core_opens_nothing_and_asks_no_clock(path: Path) -> None:
    """Import contracts hold the modules; this holds the builtins and the methods that need no import."""
    calls = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]
    builtins = {call.func.id for call in calls if isinstance(call.func, ast.Name)} & {"open", "print", "input", "eval", "exec"}
    clocks = {ast.unparse(call.func) for call in calls if isinstance(call.func, ast.Attribute)} & {
        "datetime.now",
        "datetime.utcnow",
        "date.today",
        "datetime.datetime.now",
        "datetime.date.today",
    }
    assert (builtins, clocks) == (set(), set())
