"""Goal: the page of a diagnosis opens from a file without a complaint, fits a desk and a phone in both schemes, and prints.
Method: Chromium on the page of a small history; what it logs is collected, screenshots are left in the temporary folder."""

from pathlib import Path

import numpy as np
import pytest

from market.synthetic import SyntheticSpec, generate_market
from service.context import init_home, open_platform
from service.diagnosispage import render_diagnosis
from service.vendors.ingested import keep_synthetic
from service.workflows.diagnose import diagnose
from tests.browser.test_pages_in_chromium import browser, complaints, open_page

__all__ = ["browser", "complaints"]

pytestmark = pytest.mark.browser

SPEC = SyntheticSpec(seed=5, n_assets=120)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    seed = 5
    print(f"seed {seed}")
    folder = tmp_path_factory.mktemp("diagnosis")
    panel, rng = generate_market(SPEC), np.random.default_rng(seed)
    keep_synthetic(init_home(folder / "home"), SPEC, panel)
    lines = ["date,ticker,signal"]
    for row in range(300, len(panel.sessions), 5):
        values = rng.permutation(len(panel.assets)) / len(panel.assets)
        lines += [f"{panel.sessions[row]},{t},{v:.4f}" for t, v in zip(panel.assets.tickers, values.tolist(), strict=True)]
    history = folder / "history.csv"
    history.write_text("\n".join(lines) + "\n")
    with open_platform(folder / "home") as platform:
        (folder / "page.html").write_text(render_diagnosis(diagnose(platform, history)))
    return folder / "page.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_the_page_opens_and_fits(browser, complaints, page_file: Path, tmp_path: Path, scheme: str, width: int) -> None:
    page = open_page(browser, complaints, color_scheme=scheme, viewport={"width": width, "height": 850})
    page.goto(page_file.as_uri())
    assert page.title() == "Diagnosis of history.csv"
    assert page.locator("h1").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(251, 251, 250)" if scheme == "light" else "rgb(20, 23, 27)")
    chart = page.locator("figure.wide svg").bounding_box()
    for line in page.locator("figure.wide svg polyline").all():
        drawn = line.bounding_box()
        assert drawn["width"] > 0.7 * chart["width"]
        assert chart["x"] - 1 <= drawn["x"] <= drawn["x"] + drawn["width"] <= chart["x"] + chart["width"] + 1
        assert chart["y"] - 1 <= drawn["y"] <= drawn["y"] + drawn["height"] <= chart["y"] + chart["height"] + 1
    page.screenshot(path=tmp_path / f"diagnosis-{scheme}-{width}.png", full_page=True)
    page.close()
    assert complaints == []


def test_the_page_prints(browser, complaints, page_file: Path, tmp_path: Path) -> None:
    page = open_page(browser, complaints, color_scheme="dark")
    page.goto(page_file.as_uri())
    page.emulate_media(media="print", color_scheme="light")
    page.pdf(path=tmp_path / "diagnosis.pdf", format="A4", print_background=True)
    assert (tmp_path / "diagnosis.pdf").read_bytes().startswith(b"%PDF")
    page.close()
    assert complaints == []
