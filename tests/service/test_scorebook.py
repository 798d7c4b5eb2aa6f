"""Goal: every day's scores are kept and found again. Method: days written, written again, and read by day and by model."""

from datetime import date
from pathlib import Path

import numpy as np

from service.scorebook import DayScores, ScoreBook

FIRST, SECOND = date(2016, 1, 8), date(2016, 1, 11)


def scores(day: int, shift: float = 0.0) -> DayScores:
    values = {"corr": np.array([0.01, -0.02]) + shift, "mmc": np.array([0.003, 0.004]) + shift}
    return DayScores("signals-7", day, ("a", "b"), values)


def test_a_models_history_is_what_was_written_day_by_day(tmp_path: Path) -> None:
    book = ScoreBook(tmp_path / "scores", sync=False)
    book.put(FIRST, scores(1))
    book.put(SECOND, scores(2, shift=0.5))
    assert book.history("signals-7", "b") == [
        {"known_on": "2016-01-08", "day": 1, "scores": {"corr": -0.02, "mmc": 0.004}},
        {"known_on": "2016-01-11", "day": 2, "scores": {"corr": 0.48, "mmc": 0.504}},
    ]
    assert book.history("signals-7", "stranger") == []
    assert book.history("signals-8", "b") == []


def test_a_day_holds_every_round_and_value_to_the_bit(tmp_path: Path) -> None:
    book = ScoreBook(tmp_path / "scores", sync=False)
    value = np.nextafter(0.1, 1.0)
    book.put(FIRST, DayScores("signals-7", 3, ("a",), {"corr": np.array([value])}))
    book.put(FIRST, DayScores("classic-7", 3, ("z",), {"corr": np.array([-value])}))
    rows = {r["round"]: r for r in book.read_day(FIRST).to_pylist()}
    assert rows["signals-7"]["value"] == value
    assert rows["classic-7"] == {"model_id": "z", "kind": "corr", "day": 3, "value": -value, "round": "classic-7"}
    assert book.read_day(SECOND) is None


def test_scoring_a_day_again_replaces_it(tmp_path: Path) -> None:
    book = ScoreBook(tmp_path / "scores")
    book.put(FIRST, scores(1))
    path = book.put(FIRST, scores(1, shift=0.25))
    assert book.read_day(FIRST).num_rows == 4
    assert book.history("signals-7", "a")[0]["scores"]["corr"] == 0.26
    assert [p.name for p in path.parent.iterdir()] == ["signals-7.parquet"]


def test_a_round_without_models_is_an_empty_file(tmp_path: Path) -> None:
    book = ScoreBook(tmp_path / "scores")
    book.put(FIRST, DayScores("signals-7", 1, (), {}))
    assert book.read_day(FIRST).num_rows == 0
