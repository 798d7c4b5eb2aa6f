"""Writes the parts of docs/ that the code already knows: error codes, settings, commands, HTTP routes.

It is not a site generator: each page is hand-written Markdown with one marked block that this script owns.

1. Each part has a page and a function that renders the block's text from the code itself.
2. The text replaces what stands between the two markers of the page.
3. A test renders all parts again and compares, so a page cannot fall behind the code.

Usage: ``python scripts/generate_docs.py [PART …]``, all parts by default.
"""

# A script of its own, outside the packages: it prints.
# ruff: noqa: T201

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
CONFIG = ROOT / "config"

BLOCK = re.compile(r"(<!-- generated: (?P<part>[a-z]+) -->\n).*?(<!-- end of the generated part -->)", re.DOTALL)

KEY_LINE = re.compile(r"^(?P<key>[A-Za-z0-9_.\-\"]+)\s*=\s*(?P<value>.*)$")
TABLE_LINE = re.compile(r"^\[+(?P<table>[^\]]+)\]+\s*(#.*)?$")


def _cell(text: str) -> str:
    """Return text that may stand in one cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


# --- error codes ---------------------------------------------------------------------------------------------------------


def render_errors() -> str:
    """Render every stable code with its meaning, under the headings of ``crowdalpha/codes.py``."""
    from crowdalpha import codes

    lines: list[str] = []
    source = inspect.getsource(codes.Code)
    for line in source.splitlines():
        heading = re.match(r"^    # (.+)$", line)
        member = re.match(r"^    ([A-Z_]+) = ", line)
        if heading:
            lines += ["", f"### {heading[1]}", "", "| code | meaning |", "|---|---|"]
        elif member:
            code = codes.Code[member[1]]
            lines.append(f"| `{code.value}` | {_cell(code.meaning)} |")
    return "\n".join(lines).strip() + "\n"


# --- settings ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of a TOML file: its table and name joined by dots, its value as written, and the comment above it."""

    key: str
    value: str
    comment: str


@dataclass(slots=True)
class _Reader:
    """What a pass over the lines of a TOML file keeps between them."""

    table: str = ""
    comments: list[str] = field(default_factory=list)
    after_key: bool = False
    found: list[Setting] = field(default_factory=list)

    def comment(self, text: str) -> None:
        """Take a comment line; the first one behind a key begins a new comment."""
        if self.after_key:
            self.forget()
        self.comments.append(text)

    def forget(self) -> None:
        """A blank line or a table ends what a comment is about."""
        self.comments.clear()
        self.after_key = False


def _open_brackets(text: str) -> int:
    bare = re.sub(r'"[^"]*"', "", text).split("#")[0]
    return bare.count("[") - bare.count("]") + bare.count("{") - bare.count("}")


def _split_comment(text: str) -> tuple[str, str]:
    """Split a value from the comment behind it; a # inside quotes is part of the value."""
    match = re.match(r'^((?:"[^"]*"|[^"#])*)#\s*(.*)$', text)
    return (match[1].strip(), match[2].strip()) if match else (text.strip(), "")


def read_settings(path: Path) -> list[Setting]:
    """Return the keys of a TOML file in their order; keys right below one another share the comment above them."""
    reader = _Reader()
    lines = iter(path.read_text(encoding="utf-8").splitlines())
    for line in lines:
        text = line.strip()
        table, key = TABLE_LINE.match(text), KEY_LINE.match(text)
        if text.startswith("#"):
            reader.comment(text.lstrip("# "))
        elif table:
            reader.table = table["table"].strip()
            reader.forget()
        elif key:
            value = key["value"]
            while _open_brackets(value) > 0:
                value += " " + next(lines).strip()
            value, behind = _split_comment(value)
            name = f"{reader.table}.{key['key']}" if reader.table else key["key"]
            reader.found.append(Setting(name, value, " ".join([*reader.comments, behind]).strip()))
            reader.after_key = True
        else:
            reader.forget()
    return reader.found


def setting_files() -> list[Path]:
    """Return every TOML file of config/, the main one first."""
    return sorted(CONFIG.rglob("*.toml"), key=lambda p: (p.name != "default.toml", str(p)))


def render_settings() -> str:
    """Render one table of keys, defaults and meanings for each file of config/."""
    lines: list[str] = []
    for path in setting_files():
        lines += ["", f"### `{path.relative_to(ROOT).as_posix()}`", "", "| key | default | meaning |", "|---|---|---|"]
        lines += [f"| `{s.key}` | `{_cell(s.value)}` | {_cell(s.comment)} |" for s in read_settings(path)]
    return "\n".join(lines).strip() + "\n"


# --- commands ------------------------------------------------------------------------------------------------------------


def root_command() -> Any:
    """Return the whole command line as one click command."""
    import typer

    from service.cli.app import app

    return typer.main.get_command(app)


def commands() -> Iterator[tuple[str, Any]]:
    """Yield each command that does something, with its full name (``crowdalpha round open``)."""

    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        children = getattr(command, "commands", None)
        if not children:
            yield name, command
            return
        for child in children:
            if not children[child].hidden:
                yield from walk(f"{name} {child}", children[child])

    yield from walk("crowdalpha", root_command())


def _parameter_row(parameter: Any) -> str:
    names = list(getattr(parameter, "opts", [])) + list(getattr(parameter, "secondary_opts", []))
    if parameter.param_type_name == "argument":
        names = [(parameter.metavar or parameter.name).upper()]
    shown = ", ".join(f"`{name}`" for name in names)
    need = "required" if parameter.required else ""
    return f"| {shown} | {_cell(getattr(parameter, 'help', None) or '')} | {need} |"


def render_commands() -> str:
    """Render each command with what it does, its arguments and its options."""
    lines: list[str] = []
    for name, command in commands():
        lines += ["", f"### `{name}`", "", " ".join((command.help or "").split("\f")[0].split())]
        shown = [p for p in command.params if p.name != "help"]
        if shown:
            lines += ["", "| argument or option | meaning | |", "|---|---|---|"]
            lines += [_parameter_row(p) for p in shown]
    return "\n".join(lines).strip() + "\n"


# --- HTTP routes ---------------------------------------------------------------------------------------------------------


def _walk(routes: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for route in routes:
        if getattr(route, "endpoint", None) is not None:
            yield prefix + route.path, route
        elif hasattr(route, "original_router"):  # how FastAPI keeps a router that was included
            yield from _walk(route.original_router.routes, prefix + route.include_context.prefix)
        elif getattr(route, "routes", None):  # a mounted application
            yield from _walk(route.routes, prefix + route.path)


def routes() -> list[tuple[str, str, str]]:
    """Return (method, path, summary) of every route of the server, in the order of their paths."""
    from service.http.app import create_app
    from service.settings import load_settings

    # Routes are laid without a home: the source of ids and the settings are all that is looked up.
    nobody: Any = SimpleNamespace(ids=SimpleNamespace(new=lambda: ""), settings=load_settings())
    found: dict[tuple[str, str], str] = {}
    for path, route in _walk(create_app(nobody).routes, ""):
        summary = (inspect.getdoc(route.endpoint) or "").split("\n\n")[0].replace("``", "`")
        if path.endswith("/openapi.json"):
            summary = "Give the machine-readable description of the routes under `/v1`."
        for method in sorted(set(getattr(route, "methods", None) or ()) - {"HEAD", "OPTIONS"}):
            found[(method, path)] = summary
    return sorted(((m, p, s) for (m, p), s in found.items()), key=lambda r: (r[1], r[0]))


def render_routes() -> str:
    """Render every HTTP route with its method and one sentence."""
    lines = ["| method | path | what it does |", "|---|---|---|"]
    lines += [f"| {method} | `{path}` | {_cell(summary)} |" for method, path, summary in routes()]
    return "\n".join(lines) + "\n"


PARTS: dict[str, tuple[str, Callable[[], str]]] = {
    "errors": ("errors.md", render_errors),
    "settings": ("settings.md", render_settings),
    "commands": ("commands.md", render_commands),
    "routes": ("http.md", render_routes),
}


def with_block(page: str, part: str, text: str) -> str:
    """Return the page with the block of ``part`` replaced; KeyError if the page has no such block."""
    if not any(match["part"] == part for match in BLOCK.finditer(page)):
        raise KeyError(f"no block for {part}")
    return BLOCK.sub(lambda m: f"{m[1]}\n{text}\n{m[3]}" if m["part"] == part else m[0], page)


def main(arguments: list[str]) -> int:
    """Write the named parts, or all; returns the exit code."""
    sys.path.insert(0, str(ROOT))
    for part in arguments or PARTS:
        name, render = PARTS[part]
        path = DOCS / name
        page = path.read_text(encoding="utf-8")
        fresh = with_block(page, part, render())
        if fresh != page:
            path.write_text(fresh, encoding="utf-8")
            print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
