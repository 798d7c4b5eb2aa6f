"""Goal: the screen says what the summary says, and nothing crashes on what is missing. Method: print small summaries."""

import io
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from crowdalpha.ids import RoundKey, RoundState, Tournament
from service.cli.plain import plain
from service.cli.progress import PLAIN_LINES_MAX, ConsoleProgress
from service.cli.render import cell, print_book, print_detail, print_rows, print_summary

EXPOSURES = {f"factor_{i}": 0.01 * i * (-1) ** i for i in range(10)}

SUMMARY = {
    "seed": 0,
    "rounds": {"signals": {"resolved": 12, "scoring": 4}, "classic": {"resolved": 12}},
    "models": 2,
    "submissions": {"accepted": 40, "late": 2, "refused:file_header": 1},
    "leaderboard": [
        {
            "model": "momentum",
            "provider": "[bold]trend",
            "tournament": "signals",
            "rounds": 12,
            "scores": {"neutral_corr": 0.01234, "neutral_mmc": -0.002},
            "paid_tokens": "12.345678901234567890",
            "burned_tokens": "0",
            "stake_tokens": "1012.345678901234567890",
            "retention_mean": 0.875,
        },
        {
            "model": "fresh",
            "provider": "noise_house",
            "tournament": "classic",
            "rounds": 0,
            "scores": {},
            "retention_mean": None,
        },
    ],
    "providers": [
        {"provider": "trend", "staked": "1000", "paid": "12.5", "burned": "3", "net": "9.5", "retention_mean": 0.875},
        {"provider": "dice", "staked": "50", "paid": "0", "burned": "3", "net": "-3", "retention_mean": None},
    ],
    "stake_flows": {"deposited_atoms": "1500000000000000000000", "paid_atoms": "12500000000000000000"},
    "fund": {"total_return": 0.0123, "sharpe": None, "drift": {"beta": {"q99": 0.02}}, "exposures": EXPOSURES},
    "meta_model": {"signals": {"models": 26, "effective_models": 11.5, "neutral": {f"f{i}": 1e-17 * i for i in range(9)}}},
}


def test_a_season_is_shown_with_the_values_of_its_summary(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(SUMMARY, {"summary": Path("h/summary.json"), "tear_sheet": Path("h/tearsheet.html")})
    out = capsys.readouterr().out
    for text in (
        "resolved 12, scoring 4",
        "accepted 40, late 2, refused:file_header 1",
        "+0.0123",
        "-0.0020",
        "12.35",
        "1,012.35",
        "88%",
        "[bold]trend",
        "1,500.00 tokens",
        "drift beta",
        "factor_9 -0.09, factor_8 0.08, factor_7 -0.07, factor_6 0.06 (largest of 10)",
        "11.5",
        "all 9 within 1e-09 of zero",
        "leaderboard of signals",
        "leaderboard of classic",
        "h/tearsheet.html",
        "–",
    ):
        assert text in out, text


def test_names_are_whole_on_paper_and_on_a_narrow_screen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = ("corr", "mmc", "neutral_corr", "neutral_mmc")
    line = dict(SUMMARY["leaderboard"][0]) | {  # type: ignore[index]
        "model": "wrong_week_highs_again",
        "provider": "absent_minded",
        "scores": dict.fromkeys(kinds, -0.0123),
        "burned_tokens": "12345.67",
    }
    print_summary({"seed": 0, "leaderboard": [line]}, ())
    out = capsys.readouterr().out
    assert "wrong_week_highs_again" in out
    assert "absent_minded" in out
    assert "12,345.67" in out
    monkeypatch.setattr("service.cli.render.console", lambda: Console(width=80))
    print_summary({"seed": 0, "leaderboard": [line]}, ())
    out = capsys.readouterr().out
    assert "wrong_week_highs_again" in out
    assert "12,345.67" in out
    assert out.count("-0.0123") == len(kinds)
    assert "absent_minded" not in out


def test_a_summary_without_most_of_its_parts_is_shown_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary({"seed": 1}, ())
    assert "seed" in capsys.readouterr().out


def test_lists_and_details(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows("rounds", [])
    print_rows("rounds", [{"number": 1, "state": "open"}, {"number": 2, "closes_at": "2016-01-08T21:00:00+00:00"}])
    models = [{"model": "a", "scores": {"corr": 0.1}, "stake_tokens": "1234.567", "retention_ppb": 20_000_000}]
    print_detail("round", {"state": "open", "terms": {"name": "weekly"}, "models": models})
    out = capsys.readouterr().out
    for text in ("no rounds", "closes at", "2016-01-08 21:00", "weekly", "0.1", "0.02", "1,234.57"):
        assert text in out, text
    assert "scores" not in out


def test_a_book_is_shown_by_its_largest_positions(capsys: pytest.CaptureFixture[str]) -> None:
    weights = np.array([0.02, -0.01, 0.0, 0.015, -0.03, 0.005])
    print_book(
        "book", np.array(list("ABCDEF")), weights, {"status": "optimal", "rungs": [1, 2], "limits_told": ["turnover binds"]}
    )
    out = capsys.readouterr().out
    assert "A 0.02, D 0.015, F 0.005" in out
    assert "E -0.03, B -0.01" in out
    assert "0.08" in out
    assert "rungs" not in out
    assert out.count("turnover binds") == 1


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "–"), (True, "yes"), (1234567.8, "1,234,568"), (0.5, "0.5"), ([], "–"), ({"a": None}, "a –")]
)
def test_a_cell_reads_well(value: object, shown: str) -> None:
    assert cell(value) == shown


@dataclass(frozen=True)
class Example:
    key: RoundKey
    state: RoundState
    at: datetime
    session: date
    values: np.ndarray
    flags: frozenset[str]


def test_records_become_plain_json_values() -> None:
    key = RoundKey(Tournament.SIGNALS, 7)
    example = Example(
        key, RoundState.OPEN, datetime(2016, 1, 8, 21, tzinfo=UTC), date(2016, 1, 8), np.arange(2.0), frozenset("ba")
    )
    assert plain({"e": example, "t": Tournament.CLASSIC, "p": Path("a/b"), "n": None, "big": 10**30}) == {
        "e": {
            "key": "signals-7",
            "state": "open",
            "at": "2016-01-08T21:00:00+00:00",
            "session": "2016-01-08",
            "values": [0.0, 1.0],
            "flags": ["a", "b"],
        },
        "t": "classic",
        "p": "a/b",
        "n": None,
        "big": 10**30,
    }


def test_without_a_terminal_progress_is_a_line_now_and_then() -> None:
    console = Console(file=io.StringIO(), width=40)
    with ConsoleProgress(console) as progress:
        progress.note("before anything started")
        progress.start(200, "rounds")
        for step in range(200):
            progress.advance(f"day {step}")
        progress.start(1, "report")
        progress.advance()
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[:2] == ["before anything started", "rounds"]
    assert len(lines) == PLAIN_LINES_MAX + 3
    assert "200/200 day 199" in lines


def test_on_a_terminal_progress_is_a_bar() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with ConsoleProgress(console) as progress:
        progress.start(3, "rounds")
        progress.note("[a] line that stays")
        progress.advance("2016-01-08")
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[a] line that stays" in shown
    assert "1/3" in shown
