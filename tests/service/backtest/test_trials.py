"""A backtest is kept as a trial that says what it was. Method: run small ones in a home with a synthetic market, read the files
back, change one thing at a time and look at the identity; the deflated ratio is recomputed from the kept series."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from crowdalpha.errors import InputRejected, InvariantBroken
from market.deaths import SYNTHETIC_DEATHS
from portfolio.charts import number, percent
from portfolio.trials import deflated_sharpes
from service.backtest.outcome import tearsheet
from service.backtest.spec import BacktestSpec, Fill, named_mandate, trial_id
from service.backtest.trials import probability
from service.workflows.backtest import Backtest, BacktestRoom, run_backtest
from tests.builders.backtests import WIDE, Room, backtest_home

LAST = date(2016, 3, 18)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    room = backtest_home(tmp_path_factory.mktemp("trials"))
    yield room
    room.platform.store.dispose()


@pytest.fixture(scope="module")
def room(home: Room) -> BacktestRoom:
    return BacktestRoom(home.platform)


def spec_of(home: Room) -> BacktestSpec:
    return BacktestSpec(named_mandate(home.platform.settings, changes=WIDE), home.momentum, last=LAST)


@pytest.fixture(scope="module")
def found(home: Room, room: BacktestRoom) -> Backtest:
    return room.run(spec_of(home))


def test_a_trial_holds_what_reproduces_it(home: Room, room: BacktestRoom, found: Backtest) -> None:
    told = json.loads((home.platform.home.reports / "backtests" / f"{found.trial.id}.json").read_text())
    assert told["spec"]["source"] == "momentum"
    assert told["spec"]["mandate"]["position_max"] == WIDE["position_max"]
    assert told["hashes"]["data"] == home.platform.desk.panel.content_hash()
    assert set(told["hashes"]) == {"data", "settings", "signal"}
    assert told["figures"]["decisions"] == len(told["decisions"]) == len(found.walk.decisions)
    kept = room.trials.series(found.trial.id)
    assert np.array_equal(kept["equity"], found.walk.result.equity)
    assert told["figures"]["net_pnl"] == kept["equity"][-1] - float(kept["capital"])


def test_run_again_in_a_fresh_room_the_bytes_are_the_same(home: Room, found: Backtest) -> None:
    folder = home.platform.home.reports / "backtests"
    paths = [folder / f"{found.trial.id}.{ending}" for ending in ("json", "npz")]
    before = [path.read_bytes() for path in paths]
    for path in paths:
        path.unlink()
    again = run_backtest(home.platform, spec_of(home))
    assert again.trial.id == found.trial.id
    assert [path.read_bytes() for path in paths] == before


def test_whatever_changes_a_number_changes_the_identity(home: Room, room: BacktestRoom, tmp_path: Path) -> None:
    spec, settings = spec_of(home), home.platform.settings
    other_file = tmp_path / "momentum.csv"
    other_file.write_bytes(home.momentum.read_bytes().replace(b"0.5", b"0.6", 1))
    others = [
        replace(spec, costs=False),
        replace(spec, fill=Fill.CLOSE),
        replace(spec, deaths_percent=2.0),
        replace(spec, deaths_percent=2.0, seed=1),
        replace(spec, first=date(2016, 2, 1)),
        replace(spec, mandate=replace(spec.mandate, risk_aversion=3.0)),
        replace(spec, signal=other_file),
    ]
    identities = {room.identity(s) for s in [spec, *others]}
    identities.add(trial_id(spec, settings.with_overrides({"fund.risk_weeks": 13}), room.data_sha256, "x"))
    identities.add(trial_id(spec, settings, room.data_sha256, "x"))
    identities.add(trial_id(spec, settings, "other data", "x"))
    assert len(identities) == 11


def test_where_the_file_lies_does_not_change_the_identity(home: Room, room: BacktestRoom, tmp_path: Path) -> None:
    moved = tmp_path / "another-name.csv"
    moved.write_bytes(home.momentum.read_bytes())
    assert room.identity(replace(spec_of(home), signal=moved)) == room.identity(spec_of(home))


def test_deaths_close_positions_and_are_told(home: Room, room: BacktestRoom, found: Backtest) -> None:
    dying = room.run(replace(spec_of(home), deaths_percent=40.0, seed=3))
    assert SYNTHETIC_DEATHS in dying.trial.told["flags"]
    assert SYNTHETIC_DEATHS not in found.trial.told["flags"]
    assert dying.trial.figures["forced_closes"] > found.trial.figures["forced_closes"]
    assert dying.trial.told["hashes"]["data"] == found.trial.told["hashes"]["data"]


def test_the_deflated_ratio_counts_every_trial_on_the_prices(home: Room, room: BacktestRoom, found: Backtest) -> None:
    room.run(replace(spec_of(home), signal=home.reversal))
    trials = room.trials.everything()
    assert len(trials) >= 3
    rows = []
    for trial in trials:
        kept = room.trials.series(trial.id)
        rows.append(
            np.diff(np.append(float(kept["capital"]), kept["equity"])) / np.append(float(kept["capital"]), kept["equity"][:-1])
        )
    expected = deflated_sharpes(np.vstack(rows))
    place = [t.id for t in trials].index(found.trial.id)
    judged = room.trials.deflated([found.trial])[found.trial.id]
    assert judged is not None
    assert probability(judged) == pytest.approx(expected[place].probability, rel=1e-12)
    assert judged.trials == len(trials)


def test_a_short_trial_does_not_empty_the_judgement_of_a_long_one(home: Room, room: BacktestRoom, found: Backtest) -> None:
    """The ratio is that of the trial's own sessions, whatever else was tried."""
    before = room.trials.deflated([found.trial])[found.trial.id]
    days = found.walk.sessions.astype(object)
    short = room.run(replace(spec_of(home), first=days[2], last=days[-2]))
    judged = room.trials.deflated([found.trial, short.trial])
    assert before is not None
    after = judged[found.trial.id]
    assert after is not None
    assert (after.sharpe, after.error, after.sessions) == (before.sharpe, before.error, len(days))
    assert after.trials == before.trials + 1
    one = judged[short.trial.id]
    assert one is not None
    assert one.sessions == len(short.walk.sessions) < len(days)


def test_a_session_more_does_not_make_what_was_tried_before_untried(room: BacktestRoom, found: Backtest) -> None:
    """After an ingestion the panel has another hash; the trials of yesterday were tries on this market all the same."""
    before = room.trials.deflated([found.trial])[found.trial.id]
    kept = room.trials.series(found.trial.id)
    told = {k: v for k, v in found.trial.told.items() if k not in {"id", "format"}}
    rng = np.random.default_rng(3)
    other = dict(kept) | {"equity": float(kept["capital"]) * np.cumprod(1 + 0.01 * rng.standard_normal(len(kept["equity"])))}
    later = told | {"hashes": told["hashes"] | {"data": "f" * 64}}
    room.trials.put("e" * 64, later, other)
    after = room.trials.deflated([found.trial])[found.trial.id]
    assert before is not None
    assert after is not None
    assert (after.trials, after.clusters) == (before.trials + 1, before.clusters + 1)


def test_the_tear_sheet_says_what_was_walked(home: Room, found: Backtest) -> None:
    page = tearsheet(found.walk, replace(spec_of(home), deaths_percent=2.0), found.flags)
    assert "Backtest of momentum" in page
    assert "2 % deaths a year" in page
    assert "Synthetic market" in page
    for nobody_knows in ("Profit by factor", "Deflated Sharpe ratio", "<h2>Capacity</h2>"):
        assert nobody_knows not in page


def test_the_tear_sheet_shows_all_that_is_known(home: Room, room: BacktestRoom) -> None:
    """Who earned what, the drift under the mandate's bands, the ratio beside all trials; the drift is measured here."""
    found = room.run(spec_of(home), with_lines=True)
    room.run(replace(spec_of(home), signal=home.reversal))
    judged = room.trials.deflated([found.trial])[found.trial.id]
    assert judged is not None
    page = tearsheet(found.walk, spec_of(home), found.flags, judged, judged.trials)
    for section in ("Profit by factor", "Profit by source", "Drift between decisions"):
        assert section in page
    assert f"{judged.trials} tried on this history, {judged.clusters} of their own" in page
    assert f"deflated {percent(judged.probability)}" in page
    assert "Profit by model" not in page, "one signal is one voice"
    walked = found.walk
    column = walked.factor_exposures[:, walked.factors.index("momentum")]
    filled = [walked.sessions.tolist().index(d.fill_session) for d in walked.decisions]
    moved = [abs(v - column[max(f for f in filled if f <= t)]) for t, v in enumerate(column) if t not in filled]
    line = re.search(r">momentum</th>(.*?)</tr>", page[page.index("Drift between decisions") :], re.DOTALL)
    assert line is not None
    cells = re.findall(r"<td[^>]*>(.*?)</td>", line[1])
    assert cells[0] == number(spec_of(home).mandate.style_band, 3)
    assert cells[2] == number(float(np.median(moved)), 3)


def test_a_home_without_rounds_has_no_meta_model(home: Room, room: BacktestRoom) -> None:
    with pytest.raises(InputRejected) as refused:
        room.run(replace(spec_of(home), signal=None))
    assert refused.value.code.value == "round_state"


def test_a_bad_history_is_refused_with_its_findings(home: Room, room: BacktestRoom, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("date,ticker,signal\n2016-02-30,A,2\n")
    with pytest.raises(InputRejected) as refused:
        room.run(replace(spec_of(home), signal=path))
    assert {finding.code.value for finding in refused.value.findings} >= {"date_invalid", "value_range"}


def test_a_date_that_covers_too_little_decides_nothing_and_is_told(home: Room, room: BacktestRoom, tmp_path: Path) -> None:
    lines = home.momentum.read_text().splitlines()
    day = lines[-1].split(",")[0]
    early = sorted({line.split(",")[0] for line in lines[1:]})[3]
    thin = tmp_path / "thin.csv"
    kept = [line for i, line in enumerate(lines) if not line.startswith(early) or i % 5 == 0]
    thin.write_text("\n".join(kept) + "\n")
    found = room.run(replace(spec_of(home), signal=thin))
    assert found.walk.silent == 1
    assert any(finding.value == early for finding in found.findings)
    assert day > early


def test_a_trial_that_is_no_json_is_an_alarm(room: BacktestRoom) -> None:
    path = room.trials.folder / ("0" * 64 + ".json")
    path.write_text("{")
    with pytest.raises(InvariantBroken):
        room.trials.get("0" * 64)
    path.unlink()


def test_a_spec_that_makes_no_sense_is_refused(home: Room) -> None:
    for changes in ({"first": date(2017, 1, 1)}, {"deaths_percent": 100.0}, {"seed": -1}):
        with pytest.raises(InputRejected):
            replace(spec_of(home), **changes)
