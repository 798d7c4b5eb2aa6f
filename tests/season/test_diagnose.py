"""Goal: `crowdalpha diagnose` says what rounds said, for dates that had rounds, and what rounds would have said, for others.

Method: the command line on the home of a small season. A model's own files of the season, as a history, must get the scores and
the churn that the platform stored for its rounds; a momentum history must be the example model; other eras are recomputed
with the functions of one date at a time and with score_frame.
"""

import json
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crowdalpha.ids import RoundState, Tournament
from market.assettable import AssetWords
from market.exposures import compute_exposures
from market.panel import PointInTimePanel
from market.synthetic import SyntheticSpec
from market.targets import forward_returns, neutral_target
from market.universe import UniverseRule, select_universe
from service.cli import run
from service.cli.plain import plain
from service.context import open_platform
from service.frames import get_frame
from service.home import Home
from service.replay.providers.momentum import momentum, momentum_at
from service.replay.providers.window import StrategyInput, round_window
from service.store import models, rounds, scores, submissions
from service.vendors.ingested import keep_synthetic
from service.workflows.diagnose import diagnose
from signals.frame import score_frame
from tests.builders.panels import changed_after, hand_panel, small_panel, view_at
from tests.builders.seasons import HISTORY_FROM, LAST, N_ASSETS, play_small, small_settings
from tests.builders.seasons import small_panel as season_panel

UNIVERSE = 130
PAYING = ("corr", "mmc", "neutral_corr", "neutral_mmc")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home, _ = play_small(tmp_path_factory.mktemp("season") / "home")
    keep_synthetic(home, SyntheticSpec(seed=7, n_assets=N_ASSETS, start=HISTORY_FROM, end=LAST), season_panel())
    return home


@pytest.fixture
def call(home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that runs the command on a file: (exit code, standard output, standard error)."""
    monkeypatch.setenv("CROWDALPHA_UNIVERSE__SIZE", str(UNIVERSE))

    def run_it(path: Path, *options: object) -> tuple[int, str, str]:
        code = run([str(a) for a in ("diagnose", path, "--home", home.path, *options)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_it


def diagnosed(call: Any, path: Path, *options: object) -> dict[str, Any]:
    code, out, err = call(path, "--json", *options)
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def weekly_rows(panel: PointInTimePanel, first: date, step: int = 5) -> list[int]:
    begin = int(np.searchsorted(panel.sessions, np.datetime64(first, "D")))
    return list(range(begin, len(panel.sessions), step))


def momentum_rows(panel: PointInTimePanel, row: int) -> list[str]:
    """Lines of the momentum of one evening, from the replay's own strategy on a whole window."""
    view = view_at(panel, row)
    members = select_universe(view, UniverseRule(size=UNIVERSE)).members
    said = momentum(StrategyInput(view, members, round_window(view, members), np.random.default_rng(0)))
    ranks = (pd.Series(said).rank().to_numpy() - 0.5) / len(said)
    return [
        f"{panel.sessions[row]},{t},{v!r}" for t, v in zip(panel.assets.tickers[members].tolist(), ranks.tolist(), strict=True)
    ]


def momentum_csv(path: Path, panel: PointInTimePanel, rows: list[int], header: str = "date,ticker,signal") -> Path:
    path.write_text("\n".join([header, *(line for row in rows for line in momentum_rows(panel, row)), ""]))
    return path


# What rounds said


@pytest.mark.parametrize("model", ["momentum", "mirror_momentum", "high_52_weeks"])
def test_a_models_files_get_the_scores_and_the_churn_that_its_rounds_got(
    call: Any, home: Home, tmp_path: Path, model: str
) -> None:
    lines, stored, churns = ["friday_date,ticker,signal"], {}, {}
    with open_platform(home.path) as platform, platform.store.read() as connection:
        model_id = {m.name: m.id for m in models.list_models(connection)}[model]
        for record in rounds.list_rounds(connection, Tournament.SIGNALS, (RoundState.RESOLVED,)):
            sent = submissions.selected_submissions(connection, record.key).get(model_id)
            if sent is None:
                continue
            values = platform.blobs.get_array(sent.vector_sha)
            labels = get_frame(connection, platform.blobs, record.key).labels
            lines += [f"{record.base_session},{t},{v!r}" for t, v in zip(labels, values.tolist(), strict=True)]
            of_round = scores.scores_of_round(connection, record.key)
            stored[str(record.base_session)] = {s.kind: s.value for s in of_round if s.model_id == model_id}
            kept = {r.model_id: r for r in scores.retentions_of_round(connection, record.key)}
            churns[str(record.base_session)] = (kept[model_id].churn, kept[model_id].retention_ppb)
    path = tmp_path / "own.csv"
    path.write_text("\n".join(lines) + "\n")
    found = diagnosed(call, path)
    assert len(found["eras"]) == len(stored) >= 6
    for i, era in enumerate(found["eras"]):
        for kind in PAYING:
            assert era["signal"]["scores"][kind] == pytest.approx(stored[era["date"]][kind], abs=1e-12), (era["date"], kind)
        churn, retention_ppb = churns[era["date"]]
        if i and churn is not None:
            assert era["signal"]["neutral_churn"] == pytest.approx(churn, abs=1e-9)
            assert era["signal"]["retention"] == pytest.approx(retention_ppb / 1e9, abs=1e-8)
    assert set(found["scores"]) == {*PAYING, "bmc"}


def test_without_enough_providers_nothing_is_measured_against_the_meta_model(
    call: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = season_panel()
    path = momentum_csv(tmp_path / "m.csv", panel, [panel.index_of(date(2021, 1, 8)), panel.index_of(date(2021, 1, 15))])
    assert set(diagnosed(call, path)["scores"]) == {*PAYING, "bmc"}
    monkeypatch.setenv("CROWDALPHA_METAMODEL__PUBLISH_MIN_PROVIDERS", "100")
    assert set(diagnosed(call, path)["scores"]) == {"corr", "neutral_corr", "bmc"}


# What rounds would have said


@pytest.fixture(scope="module")
def found(home: Home, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The diagnosis of a noisy history that leaves assets out, by JSON; and the values by date."""
    seed = 3
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    panel = season_panel()
    values, lines = {}, ["date,symbol,prediction"]
    for row in weekly_rows(panel, date(2020, 4, 3)):
        chosen = np.sort(rng.choice(N_ASSETS, 140, replace=False))
        own = np.round(rng.random(140), 3)
        values[str(panel.sessions[row])] = dict(zip(panel.assets.tickers[chosen].tolist(), own.tolist(), strict=True))
        lines += [f"{panel.sessions[row]},{t},{v}" for t, v in values[str(panel.sessions[row])].items()]
    lines += [f"{panel.sessions[row]},GHOST,0.5"]
    path = tmp_path_factory.mktemp("noise") / "noise.csv"
    path.write_text("\n".join(lines) + "\n")
    with open_platform(home.path, small_settings()) as platform:
        return {"found": plain(diagnose(platform, path)), "values": values, "path": path}


def test_every_era_equals_one_date_at_a_time_and_score_frame(found: dict[str, Any]) -> None:
    panel, outcome = season_panel(), view_at(season_panel())
    checked = 0
    for era in found["found"]["eras"]:
        row = panel.index_of(date.fromisoformat(era["session"]))
        view = view_at(panel, row)
        members = select_universe(view, UniverseRule(size=UNIVERSE)).members
        own = pd.Series(found["values"][era["date"]]).reindex(panel.assets.tickers[members])
        assert (era["universe"], era["covered"]) == (len(members), own.notna().sum())
        assert era["coverage"] == pytest.approx(own.notna().mean())
        assert era["rows"] == era["covered"] + era["outside"] + era["unknown"]
        if row + 22 >= len(panel.sessions):
            assert era["state"] == "pending"
            assert era["signal"]["scores"] == {}
            continue
        exposures = compute_exposures(view, members)
        ranks = own.rank(pct=False).sub(0.5).div(own.notna().sum()).fillna(0.5)
        example = pd.Series(momentum_at(view, members), index=ranks.index)
        target = neutral_target(forward_returns(outcome, members, view.last_session, 20, 2), exposures)
        frame = score_frame(
            pd.DataFrame({"own": ranks, "example": example}),
            pd.Series(target, index=ranks.index),
            benchmark=example,
            neutralizers=pd.DataFrame(exposures.values, index=ranks.index, columns=exposures.names),
        )
        for kind in ("corr", "neutral_corr", "bmc"):
            assert era["signal"]["scores"][kind] == pytest.approx(frame.loc["own", kind], abs=1e-12)
        for kind in ("corr", "neutral_corr"):
            assert era["example"]["scores"][kind] == pytest.approx(frame.loc["example", kind], abs=1e-12)
        checked += 1
    assert checked > 40


def test_the_summary_is_of_these_eras(found: dict[str, Any]) -> None:
    told = found["found"]
    eras = [e for e in told["eras"] if e["state"] == "scored"]
    assert (told["scored"], told["pending"], told["held"], told["left_out"]) == (len(eras), len(told["eras"]) - len(eras), 0, 0)
    assert (told["step_sessions"], told["lags"]) == (5, 5)
    own = np.array([e["signal"]["scores"]["neutral_corr"] for e in eras])
    example = np.array([e["example"]["scores"]["neutral_corr"] for e in eras])
    line = told["scores"]["neutral_corr"]
    assert line["signal"]["mean"] == pytest.approx(own.mean())
    assert line["signal"]["std"] == pytest.approx(own.std())
    assert line["difference"]["sharpe"] == pytest.approx((own - example).mean() / (own - example).std())
    path = np.concatenate([[0.0], np.cumsum(own)])
    falls = [path[j] - path[i] for i in range(len(path)) for j in range(i, len(path))]
    assert line["signal"]["max_drawdown"] == pytest.approx(min(falls))
    assert told["signal_change"]["neutral_churn"] == pytest.approx(
        np.mean([e["signal"]["neutral_churn"] for e in told["eras"][1:]])
    )
    assert told["eras"][0]["signal"]["turnover"] is None
    sizes = [line["signal"]["mean_size"] for line in told["factors"]]
    assert sizes == sorted(sizes, reverse=True)
    momentum_line = next(line for line in told["factors"] if line["name"] == "momentum")
    assert momentum_line["example"]["mean"] > 0.9
    assert {f["code"] for f in told["findings"]} == {"id_unknown"}
    assert "GHOST" in told["findings"][0]["message"]


def test_the_number_of_threads_changes_nothing(home: Home, found: dict[str, Any]) -> None:
    with open_platform(home.path, small_settings()) as platform:
        assert plain(diagnose(platform, found["path"], workers=1)) == found["found"]


def test_nothing_after_an_eras_evening_changes_its_universe_exposure_or_churn(
    home: Home, found: dict[str, Any], tmp_path: Path
) -> None:
    panel = season_panel()
    cut = panel.index_of(date(2020, 12, 31))
    with open_platform(home.path, small_settings()) as platform:
        platform.desk.use(changed_after(panel, cut))
        other = plain(diagnose(platform, found["path"]))
    compared, known = 0, {era["date"]: era for era in other["eras"]}
    for one in found["found"]["eras"]:
        two = known.get(one["date"])  # with half the market delisted a later date may lack a universe
        if panel.index_of(date.fromisoformat(one["session"])) <= cut:
            for name in ("exposure_max", "churn", "neutral_churn", "retention", "turnover"):
                # Not to the bit: a product's last bit depends on how many assets neighbouring dates bring into it.
                assert one["signal"][name] == pytest.approx(two["signal"][name], abs=1e-12), name
            assert one["signal"]["exposure_max_factor"] == two["signal"]["exposure_max_factor"]
            assert (one["universe"], one["covered"]) == (two["universe"], two["covered"])
            compared += 1
        if panel.index_of(date.fromisoformat(one["session"])) + 22 <= cut:
            assert one["signal"]["scores"] == pytest.approx(two["signal"]["scores"], abs=1e-12)
            assert one["state"] == two["state"] == "scored"
    assert compared > 30


def test_a_history_may_be_written_in_the_tickers_of_its_dates_or_in_those_of_the_end(
    home: Home, found: dict[str, Any], tmp_path: Path
) -> None:
    panel = season_panel()
    codes = [label for label in panel.assets.tickers.tolist() if f",{label}," in found["path"].read_text()][:20]
    places = np.flatnonzero(np.isin(panel.assets.tickers, codes))
    at = panel.known_at[panel.index_of(date(2020, 12, 31))].astype("datetime64[us]")
    new_names = np.array([f"NEW{i}" for i in places])
    renamed = replace(panel, words=AssetWords(np.full(20, at), np.zeros(20, dtype=np.int64), places, new_names))
    header, *lines = found["path"].read_text().splitlines()
    name_of = dict(zip(panel.assets.tickers[places].tolist(), new_names.tolist(), strict=True))

    def in_new_names(first: str) -> Path:
        rows = [line.split(",") for line in lines]
        path = tmp_path / f"from-{first}.csv"
        path.write_text("\n".join([header, *(",".join([d, name_of.get(t, t) if d >= first else t, v]) for d, t, v in rows)]))
        return path

    with open_platform(home.path, small_settings()) as platform:
        platform.desk.use(panel)
        wanted = plain(diagnose(platform, found["path"]))["eras"]
        platform.desk.use(renamed)
        for path in (in_new_names("2000-01-01"), in_new_names("2020-12-31")):
            assert plain(diagnose(platform, path))["eras"] == wanted
        lost = plain(diagnose(platform, found["path"]))["eras"]  # the old names mean nobody after the change
    covered = {era["date"]: era["covered"] for era in wanted}
    assert {era["covered"] < covered[era["date"]] for era in lost if era["date"] >= "2020-12-31"} == {True}


def test_the_example_is_momentum(call: Any, tmp_path: Path) -> None:
    panel = season_panel()
    rows = weekly_rows(panel, date(2020, 6, 5), 10)
    found = diagnosed(call, momentum_csv(tmp_path / "m.csv", panel, rows))
    assert found["example"] == "momentum"
    for era in found["eras"]:
        assert era["signal"]["scores"].pop("bmc", 0.0) == era["example"]["scores"].pop("bmc", 0.0) == 0.0
        assert era["signal"]["scores"] == pytest.approx(era["example"]["scores"], abs=1e-12)
        for name in ("churn", "neutral_churn", "turnover", "exposure_max"):
            if era["example"][name] is not None:
                assert era["signal"][name] == pytest.approx(era["example"][name], abs=1e-12)
    assert found["factors"][0]["name"] == "momentum"


def test_momentum_from_two_rows_is_the_strategys_momentum_gaps_and_late_listings_included() -> None:
    for seed in (1, 2):
        panel = small_panel(seed=seed)
        for row in (255, 290, 315):
            view = view_at(panel, row)
            data = StrategyInput(view, np.arange(40), round_window(view, np.arange(40)), np.random.default_rng(0))
            np.testing.assert_array_equal(momentum_at(view, np.arange(40)), momentum(data))
    close = np.full((260, 3), 10.0)
    close[-22, 0] = close[-253, 1] = close[-30:-20, 2] = np.nan
    close[-10:] = 12.0
    view = view_at(hand_panel(close))
    data = StrategyInput(view, np.arange(3), round_window(view, np.arange(3)), np.random.default_rng(0))
    np.testing.assert_array_equal(momentum_at(view, np.arange(3)), momentum(data))


# Dates and files


def test_dates_that_are_no_sessions_stand_for_the_last_one_and_others_are_left_out(call: Any, tmp_path: Path) -> None:
    panel = season_panel()
    friday = date(2020, 11, 6)
    row = panel.index_of(friday)
    lines = momentum_rows(panel, row)
    dates = ["2019-04-05", "2020-11-07", "2020-11-08", "2020-11-27", "2021-05-07", "2000-01-07"]
    body = [line.replace(str(friday), day) for day in dates for line in lines]
    path = tmp_path / "odd.csv"
    path.write_text("\n".join(["date,ticker,signal", *body]) + "\n")
    found = diagnosed(call, path)
    assert [(e["date"], e["session"]) for e in found["eras"]] == [("2020-11-08", str(friday)), ("2020-11-27", "2020-11-27")]
    told = {f["value"]: f["code"] for f in found["findings"] if f["value"]}
    assert told == {
        "2000-01-07": "date_outside_panel",
        "2019-04-05": "history_too_short",
        "2020-11-07": "date_not_session",
        "2020-11-08": "date_not_session",
        "2021-05-07": "date_outside_panel",
    }
    assert found["left_out"] == 4


def test_too_few_identifiers_leave_a_date_out_and_name_what_is_missing(call: Any, tmp_path: Path) -> None:
    panel = season_panel()
    good, bad = panel.index_of(date(2020, 11, 6)), panel.index_of(date(2020, 11, 13))
    few = momentum_rows(panel, bad)[:99]
    path = tmp_path / "few.csv"
    path.write_text("\n".join(["date,ticker,signal", *momentum_rows(panel, good), *few]) + "\n")
    found = diagnosed(call, path)
    assert [e["date"] for e in found["eras"]] == ["2020-11-06"]
    told = found["findings"][0]
    assert (told["code"], told["value"]) == ("coverage_too_low", "2020-11-13")
    missing = momentum_rows(panel, bad)[99].split(",")[1]
    assert f"99 of the {UNIVERSE}" in told["message"]
    assert missing in told["message"]
    path.write_text("\n".join(["date,ticker,signal", *few]) + "\n")
    code, out, err = call(path)
    assert (code, out) == (2, "")
    assert "coverage_too_low" in err
    assert "rows_too_few" in err


def test_an_era_of_equal_values_scores_zero_and_is_told(call: Any, tmp_path: Path) -> None:
    panel = season_panel()
    rows = [panel.index_of(date(2020, 11, 6)), panel.index_of(date(2020, 11, 13))]
    lines = momentum_rows(panel, rows[0]) + [",".join([*line.split(",")[:2], "0.1"]) for line in momentum_rows(panel, rows[1])]
    path = tmp_path / "flat.csv"
    path.write_text("\n".join(["date,ticker,signal", *lines]) + "\n")
    found = diagnosed(call, path)
    assert set(found["eras"][1]["signal"]["scores"].values()) == {0.0}
    assert found["eras"][1]["signal"]["neutral_churn"] == 1.0
    assert [f["code"] for f in found["findings"]] == ["no_variance"]


WRONG = [
    (b"", "file_empty"),
    (b"date,ticker\n2020-11-06,A\n", "file_header"),
    (b"date,ticker,signal\n2020-11-31,A,0.5\n", "date_invalid"),
    (b"date,ticker,signal\n2020-11-06,A,0.5\n2020-11-06,A,0.5\n", "id_duplicate"),
    (b"date,ticker,signal\n2020-11-06,A,inf\n", "value_not_finite"),
    (b"date,ticker,signal\n2020-11-06,A,1.01\n", "value_range"),
    (b"PAR1 and no more", "file_not_text"),
]


@pytest.mark.parametrize(("data", "code"), WRONG, ids=[code for _, code in WRONG])
def test_a_wrong_file_is_refused_in_a_sentence_with_its_code_and_leaves_no_page(
    call: Any, home: Home, tmp_path: Path, data: bytes, code: str
) -> None:
    path = tmp_path / f"wrong-{code}.csv"
    path.write_bytes(data)
    returned, out, err = call(path)
    assert (returned, out) == (2, "")
    assert f"[{code}]" in err
    assert "Traceback" not in err
    assert not (home.reports / f"diagnosis-wrong-{code}.html").exists()


def test_a_file_or_a_folder_that_is_not_there_is_named(call: Any, tmp_path: Path) -> None:
    code, _, err = call(tmp_path / "gone.csv")
    assert (code, "[request_invalid]" in err) == (2, True)
    path = momentum_csv(tmp_path / "m.csv", season_panel(), [season_panel().index_of(date(2020, 11, 6))])
    code, _, err = call(path, "--html", tmp_path / "nowhere" / "page.html")
    assert (code, "[output_path]" in err) == (2, True)


def test_a_home_without_prices_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", "--home", str(tmp_path / "bare")]) == 0
    path = momentum_csv(tmp_path / "m.csv", season_panel(), [season_panel().index_of(date(2020, 11, 6))])
    assert run(["diagnose", str(path), "--home", str(tmp_path / "bare")]) == 4
    assert "[prices_missing]" in capsys.readouterr().err


def test_parquet_gives_what_csv_gives(call: Any, tmp_path: Path) -> None:
    panel = season_panel()
    path = momentum_csv(tmp_path / "m.csv", panel, weekly_rows(panel, date(2020, 9, 4), 10))
    frame = pd.read_csv(path)
    frame["date"] = pd.to_datetime(frame["date"])
    frame.to_parquet(tmp_path / "m.parquet")
    one, other = diagnosed(call, path), diagnosed(call, tmp_path / "m.parquet")
    assert one.pop("file") != other.pop("file")
    assert one == other


# What is shown


class Text(HTMLParser):
    """Collects tags, attributes and visible text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [v or "" for k, v in attrs if k in {"src", "href", "action"} or k.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_stands_alone_and_says_what_the_terminal_says(call: Any, home: Home, tmp_path: Path) -> None:
    panel = season_panel()
    path = momentum_csv(tmp_path / "<b>m&.csv", panel, weekly_rows(panel, date(2020, 6, 5)))
    code, out, err = call(path)
    assert code == 0, err
    page = home.reports / "diagnosis-<b>m&.html"
    assert str(page) in out.replace("\n", "")
    for word in ("neutral corr", "momentum", "retention", "pending", "coverage"):
        assert word in out
    text = page.read_text()
    seen = Text()
    seen.feed(text)
    assert "script" not in seen.tags
    assert "b" not in seen.tags or "<b>m" not in text
    assert seen.links == []
    words = " ".join(seen.words)
    for word in ("Diagnosis of <b>m&.csv", "Synthetic market", "cumulated", "Drawdown", "Neutral churn", "pending", "momentum"):
        assert word in words
    assert text.count("<tr>") > 40  # every era has its line
    again = tmp_path / "page.html"
    assert call(path, "--html", again)[0] == 0
    assert again.read_text() == text
    short, whole = call(path)[1], call(path, "--eras")[1]
    assert whole.count("\n2020-") > short.count("\n2020-") == 0


def test_a_history_without_any_known_target_has_a_page_without_scores(call: Any, tmp_path: Path) -> None:
    panel = season_panel()
    rows = [len(panel.sessions) - 6, len(panel.sessions) - 1]
    path = momentum_csv(tmp_path / "new.csv", panel, rows)
    found = diagnosed(call, path, "--html", tmp_path / "new.html")
    assert (found["scored"], found["pending"], found["scores"]) == (0, 2, {})
    assert "No era is scored yet" in (tmp_path / "new.html").read_text()
    assert found["eras"][1]["signal"]["neutral_churn"] is not None
    assert call(path)[0] == 0
