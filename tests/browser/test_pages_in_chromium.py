"""Goal: the pages open in a real browser without a complaint, fit their screen, and can be used by keyboard alone. Method:
Chromium against a real server on a free port; what it logs is collected, screenshots are left in the temporary folder."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders.platforms import HOSTILE_NAMES, serve_small

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-quic",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
]
PAGES = {"leaderboard": "/", "rounds": "/rounds", "round": "/rounds/signals/1", "fund": "/fund"}

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    import uvicorn

    from service.http.app import create_app

    made = serve_small(tmp_path_factory.mktemp("browser") / "home")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(create_app(made.platform), log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=30)
            made.platform.store.dispose()


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    if not CHROMIUM.exists():
        if os.getenv("CROWDALPHA_CI") == "1":
            pytest.fail(f"CROWDALPHA_CI=1 allows nothing to be missing: {CHROMIUM}", pytrace=False)
        pytest.skip(f"no Chromium at {CHROMIUM}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def complaints() -> list[str]:
    return []


def open_page(browser, complaints: list[str], **options):
    page = browser.new_page(**options)
    page.on("console", lambda m: complaints.append(f"{m.type}: {m.text}") if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda e: complaints.append(f"page error: {e}"))
    page.on("requestfailed", lambda r: complaints.append(f"failed: {r.url}"))
    page.on("dialog", lambda d: (complaints.append(f"dialog: {d.message}"), d.dismiss()))
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_the_pages_open_without_a_complaint(
    browser, address: str, complaints: list[str], tmp_path: Path, scheme: str, width: int
) -> None:
    page = open_page(browser, complaints, color_scheme=scheme, viewport={"width": width, "height": 850})
    for name, path in PAGES.items():
        answer = page.goto(address + path)
        assert answer.status == 200
        assert page.title().endswith("crowdalpha")
        assert page.locator("h1").count() == 1
        # The style sheet was let in by the page's own policy, and nothing sticks out of the screen.
        assert page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth") == "1152px"
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.screenshot(path=tmp_path / f"{name}-{scheme}-{width}.png", full_page=True)
    page.close()
    assert complaints == []


def test_the_curve_is_drawn_inside_its_picture(browser, address: str, complaints: list[str]) -> None:
    page = open_page(browser, complaints, viewport={"width": 1200, "height": 850})
    page.goto(address + "/fund")
    chart = page.locator("svg.chart").first.bounding_box()
    line = page.locator("svg.chart polyline").first.bounding_box()
    assert chart["width"] > 600
    assert line["width"] > 0.8 * chart["width"]
    assert chart["x"] <= line["x"] <= line["x"] + line["width"] <= chart["x"] + chart["width"]
    assert chart["y"] <= line["y"] <= line["y"] + line["height"] <= chart["y"] + chart["height"]
    page.close()
    assert complaints == []


def test_hostile_names_run_nothing_and_are_read_as_they_are(browser, address: str, complaints: list[str]) -> None:
    page = open_page(browser, complaints)
    page.goto(address + "/")
    names = [text.split("\n")[0].strip() for text in page.locator("tbody th").all_inner_texts()]
    assert set(HOSTILE_NAMES) <= set(names)
    page.close()
    assert complaints == []


def test_a_keyboard_reaches_the_content_and_the_other_pages(browser, address: str, complaints: list[str]) -> None:
    page = open_page(browser, complaints)
    page.goto(address + "/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    page.wait_for_url("**/#content")
    page.close()
    page = open_page(browser, complaints)
    page.goto(address + "/")
    reached = []
    for _ in range(5):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent").strip())
    assert reached == ["Skip to the content", "crowdalpha", "Leaderboard", "Rounds", "Fund"]
    page.keyboard.press("Enter")
    page.wait_for_url("**/fund")
    assert page.locator("nav a[aria-current=page]").inner_text() == "Fund"
    page.close()
    assert complaints == []


def test_an_unknown_page_leads_back(browser, address: str) -> None:
    # No complaints are asked for: the browser logs the 404 itself.
    page = browser.new_page()
    assert page.goto(address + "/nothing/here").status == 404
    page.get_by_role("link", name="rounds", exact=True).click()
    page.wait_for_url("**/rounds")
    page.close()
