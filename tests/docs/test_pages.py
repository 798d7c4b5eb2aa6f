"""The pages hold together. Method: read every Markdown file, follow its links, and look for what must not be there."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from scripts.generate_docs import commands

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TEXTS = sorted(
    [*PAGES, *(ROOT / "docs").rglob("*.svg"), ROOT / "Makefile", ROOT / "pyproject.toml", *(ROOT / "scripts").glob("*")]
)

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
REGISTRY_HOSTS = re.compile(r"\b[\w-]*(?:pi|js|conda|hosted|debian)\.(?:org|com|net)\b|index-url\s*=", re.IGNORECASE)
COMMAND = re.compile(r"^\s*(?:\$ )?(?:\.venv/bin/)?(crowdalpha [a-z].*?)(?:\s+#.*)?$", re.MULTILINE)
FENCE = re.compile(r"^```(?:sh|bash|console|text)?\n(.*?)^```", re.MULTILINE | re.DOTALL)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings as GitHub makes them."""
    headings = re.findall(r"^#+\s+(.+?)\s*$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower().replace("`", "")).strip().replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"^[a-z]+:", target):
            continue
        name, _, anchor = unquote(target).partition("#")
        goal = (page.parent / name).resolve() if name else page
        if not goal.exists() or (anchor and anchor not in anchors(goal.read_text(encoding="utf-8"))):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_no_registry_host_is_named(path: Path) -> None:
    if path.is_file():
        assert not REGISTRY_HOSTS.search(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_that_a_page_shows_exists(page: Path) -> None:
    known = {name: {o for p in command.params for o in (*p.opts, *p.secondary_opts)} for name, command in commands()}
    unknown = []
    for block in FENCE.findall(page.read_text(encoding="utf-8")):
        for line in COMMAND.findall(block.replace("\\\n", " ")):
            words = line.split()
            name = next((" ".join(words[:n]) for n in (4, 3, 2) if " ".join(words[:n]) in known), None)
            options = {w.split("=")[0] for w in words if w.startswith("--")} - {"--help"}
            if name is None and words[1] not in {"--help", "--version"}:
                unknown.append(line)
            elif name is not None and not options <= known[name]:
                unknown.append(f"{line}: {sorted(options - known[name])}")
    assert unknown == []


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        t
        for page in PAGES
        for t in re.findall(r"`make ([a-z]+)`|^\s*make ([a-z]+)", page.read_text(), re.MULTILINE)
        for t in t
        if t
    }
    assert named <= targets


def test_the_two_commands_are_on_the_front_page() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in text
    assert "make test" in text


def test_every_promise_has_a_line() -> None:
    rows = re.findall(r"^\| (P\d+) \|", (ROOT / "docs" / "promises.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [f"P{n}" for n in range(1, 37)]


def test_a_promise_that_is_held_names_a_test_that_exists() -> None:
    text = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[^`:]+)`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []
