"""Goal: the pages show what the platform holds, as text whatever it is called, under strict headers. Method: the small
platform's hostile names on every page; a page is parsed and its elements counted."""

from html.parser import HTMLParser

import pytest

from service.http.frame import STRICT_HEADERS
from tests.builders.platforms import HOSTILE_NAMES

PAGES = ("/", "/rounds", "/rounds/signals/1", "/rounds/signals/2", "/rounds/classic/1", "/fund")
BROWSER = {"Accept": "text/html,application/xhtml+xml"}


class Elements(HTMLParser):
    """Collects tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.extend(attrs)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_holds_no_script_no_style_and_nothing_from_elsewhere(reader, path: str) -> None:
    answer = reader.get(path, headers=BROWSER)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    for name, value in STRICT_HEADERS.items():
        assert answer.headers[name] == value
    page = Elements(answer.text)
    assert not {"script", "style", "iframe", "object", "embed", "form"} & set(page.tags)
    assert page.tags.count("h1") == 1
    assert page.tags.count("main") == 1
    for name, value in page.attributes:
        assert not name.startswith("on")
        assert name != "style"
        if name in {"href", "src"}:
            assert value is not None
            assert value.startswith(("/", "#"))
            assert not value.startswith("//")


def test_hostile_names_are_shown_as_text(reader) -> None:
    page = Elements(reader.get("/").text)
    words = "".join(page.words)
    for name in HOSTILE_NAMES:
        assert name in words
    round_page = Elements(reader.get("/rounds/signals/1").text)
    for name in HOSTILE_NAMES[1::2]:
        assert name in "".join(round_page.words)
    assert page.tags.count("svg") == 0
    assert [value for name, value in page.attributes if name == "src"] == ["/static/favicon.svg"]


def test_the_leaderboard_names_models_scores_and_flows(reader) -> None:
    text = reader.get("/").text
    for part in ("alice_momentum", "bobby_reversal", "Signals tournament", "Classic tournament", "7.00", "−3.00"):
        assert part in text


def test_an_open_round_hides_its_models_and_a_resolved_one_shows_them(reader) -> None:
    hidden = reader.get("/rounds/signals/2").text
    assert "alice_momentum" not in hidden
    assert "Nothing of a round is shown before it has closed." in hidden
    shown = reader.get("/rounds/signals/1").text
    assert "alice_momentum" in shown
    assert "final, after 20 sessions of returns" in shown


def test_the_fund_page_draws_the_curve_and_says_what_lies_under_it(reader) -> None:
    page = Elements(reader.get("/fund").text)
    assert page.tags.count("polyline") == 3
    words = " ".join(page.words)
    assert "whoever went under is missing" in words
    assert "Largest drawdown" in words


def test_the_fund_shows_states_approvers_and_checks_and_names_no_position(reader) -> None:
    answer = reader.get("/v1/fund")
    lines = answer.json()["rebalances"]
    assert [line["state"] for line in lines] == ["filled"] * 8 + ["approved"]
    assert lines[-1]["checks"] == {"price_stale": 1}
    assert lines[-1]["approved_at"].endswith("+00:00")
    page = reader.get("/fund").text
    words = " ".join(Elements(page).words)
    for shown in ("approved", "relaxed", "price stale (1)", lines[-1]["approved_by"]):
        assert shown in words
    assert "STOCK007" not in page + answer.text


@pytest.mark.parametrize("path", ["/nothing", "/rounds/signals/99", "/rounds/futures/1", "/rounds/signals/x"])
def test_a_browser_gets_an_error_as_a_page_and_a_script_as_json(reader, path: str) -> None:
    page = reader.get(path, headers=BROWSER)
    assert page.status_code in {404, 422}
    assert "<h1>" in page.text
    assert page.headers["x-request-id"] in page.text
    assert list(reader.get(path).json()) == ["error"]


def test_the_icon_is_where_browsers_look_for_it(reader) -> None:
    for path in ("/favicon.ico", "/static/favicon.svg"):
        answer = reader.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("image/svg+xml")
