"""Goal: a tear sheet with every section can be read on a screen, on a phone, in the dark and on paper. Method: Chromium opens
the file itself; widths and colours are asked of the page, a screenshot of each stays in the temporary folder."""

from pathlib import Path

import pytest

from portfolio.tearsheet import render_tearsheet
from tests.browser.test_pages_in_chromium import browser, complaints, open_page
from tests.builders.sheets import full_sheet

__all__ = ["browser", "complaints"]

pytestmark = pytest.mark.browser

A4_WIDTH = 718
"""CSS pixels of A4 between the printer's usual margins."""


@pytest.fixture(scope="module")
def sheet(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("sheet") / "sheet.html"
    path.write_text(render_tearsheet(full_sheet(250)), encoding="utf-8")
    return path.as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_the_sheet_fits_its_screen_in_both_schemes(browser, complaints, sheet: str, tmp_path: Path, scheme: str, width: int):
    """Nothing but a table in its own frame is wider than the screen; text stands out from its ground; nothing is logged."""
    page = open_page(browser, complaints, viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(sheet)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("figure svg").count() == 10
    ink, ground = (page.evaluate(f"getComputedStyle(document.body).{what}") for what in ("color", "backgroundColor"))
    assert (brightness(ink) > brightness(ground)) == (scheme == "dark")
    narrow = page.evaluate(
        "[...document.querySelectorAll('.grouped')].every(t => t.scrollWidth <= t.parentElement.clientWidth)"
    )
    assert narrow
    page.screenshot(path=str(tmp_path / f"sheet-{width}-{scheme}.png"), full_page=True)
    page.close()
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_paper_everything_is_visible_and_dark_on_white(browser, complaints, sheet: str, tmp_path: Path, scheme: str):
    """Paper does not scroll: no table is wider than the page, whatever scheme the screen has."""
    page = open_page(browser, complaints, viewport={"width": A4_WIDTH, "height": 1000}, color_scheme=scheme)
    page.emulate_media(media="print", color_scheme=scheme)
    page.goto(sheet)
    assert page.evaluate("document.documentElement.scrollWidth") == A4_WIDTH
    assert page.evaluate("[...document.querySelectorAll('table')].every(t => t.getBoundingClientRect().right <= innerWidth)")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert brightness(page.evaluate("getComputedStyle(document.body).color")) < 64
    page.screenshot(path=str(tmp_path / f"paper-{scheme}.png"), full_page=True)
    page.close()
    assert complaints == []


def brightness(colour: str) -> float:
    """Return the mean of the three parts of ``rgb(r, g, b)``."""
    parts = [float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    return sum(parts) / 3
