"""Goal: a round whose terms name `alpha`, `fnc` and `mpc`, without a multiplier, publishes them and pays nothing on them,
and all else stays as it is without them.

Method: two small seasons that differ in these words of the terms. Alpha must be the library's, from what the rounds froze; the
other scores must agree to 1e-12 and every amount to the atom; a diagnosis must find the same alpha and fnc again.
"""

import shutil
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numerai_tools import scoring as oracle

from crowdalpha.ids import RoundState, Tournament
from service.context import Platform, open_platform
from service.frames import RoundFrame, get_frame
from service.home import Home
from service.replay.crowd import roster
from service.replay.run import play
from service.settings import Settings, load_settings
from service.settings.places import shipped_config
from service.store import models, rounds, scores, submissions
from service.workflows.diagnose import diagnose
from tests.builders.seasons import FIRST, small_panel, small_settings

LAST = date(2021, 2, 26)
KINDS = 'kinds = ["corr", "mmc", "neutral_corr", "neutral_mmc"]'


def settings_with_alpha(folder: Path) -> Settings:
    shutil.copytree(shipped_config(), folder)
    terms = folder / "terms" / "signals-weekly.toml"
    text = terms.read_text()
    assert KINDS in text
    terms.write_text(text.replace(KINDS, KINDS.replace("]", ', "alpha", "fnc", "mpc"]')))
    return load_settings(folder).with_overrides({"universe.size": 130, "fund.risk_weeks": 40})


@pytest.fixture(scope="module")
def seasons(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Home, Settings, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("alpha")
    found = {}
    for name, settings in (("with", settings_with_alpha(folder / "config")), ("without", small_settings())):
        home, members = Home.create(folder / name), roster(small_panel().source, 7)
        found[name] = home, settings, play(home, settings, small_panel(), FIRST, LAST, 7, members=members).data
    return found


def stored(platform: Platform) -> dict[str, dict[str, float]]:
    """Return each resolved signals round's final scores by `model kind`."""
    with platform.store.read() as connection:
        return {
            str(record.key): {f"{s.model_id} {s.kind}": s.value for s in scores.scores_of_round(connection, record.key)}
            for record in rounds.list_rounds(connection, Tournament.SIGNALS, (RoundState.RESOLVED,))
        }


def test_alpha_is_the_librarys_from_what_the_round_froze(seasons: dict[str, Any]) -> None:
    home, settings, _ = seasons["with"]
    compared = 0
    with open_platform(home.path, settings) as platform, platform.store.read() as connection:
        for record in rounds.list_rounds(connection, Tournament.SIGNALS, (RoundState.RESOLVED,)):
            frame: RoundFrame = get_frame(connection, platform.blobs, record.key)
            n, v = frame.neutralizers, frame.weights_v
            assert np.abs(n.T @ (v[:, None] * n) - np.eye(n.shape[1])).max() <= 1e-10
            target = platform.blobs.get_array(rounds.artifacts(connection, record.key)["target"])
            sent = submissions.selected_submissions(connection, record.key)
            index = pd.Index(frame.asset_ids)
            table = pd.DataFrame({m: platform.blobs.get_array(s.vector_sha) for m, s in sent.items()}, index=index)
            known = ~np.isnan(target)
            said = oracle.alpha(
                table[known], pd.DataFrame(n, index=index)[known], pd.Series(v, index=index)[known],
                pd.Series(target, index=index)[known],
            )  # fmt: skip
            by_kind = {s.model_id: s.value for s in scores.scores_of_round(connection, record.key) if s.kind == "alpha"}
            assert by_kind.keys() == said.to_dict().keys()
            for model, value in said.items():
                assert by_kind[model] == pytest.approx(value, abs=1e-12)
                compared += 1
    assert compared > 50


def test_nothing_else_changes_neither_scores_nor_amounts(seasons: dict[str, Any]) -> None:
    (home, settings, told), (plain_home, plain_settings, plain) = seasons["with"], seasons["without"]
    with open_platform(home.path, settings) as one, open_platform(plain_home.path, plain_settings) as other:
        ours, theirs = stored(one), stored(other)
    assert ours.keys() == theirs.keys()
    assert len(ours) >= 3
    for key, values in theirs.items():
        assert {k for k in ours[key] if k.split()[1] not in {"alpha", "fnc", "mpc"}} == values.keys()
        for name, value in values.items():
            assert ours[key][name] == pytest.approx(value, abs=1e-12), (key, name)
    assert told["stake_flows"] == plain["stake_flows"]


def test_a_diagnosis_finds_the_same_alpha(seasons: dict[str, Any], tmp_path: Path) -> None:
    home, settings, _ = seasons["with"]
    lines, expected = ["date,ticker,signal"], {}
    with open_platform(home.path, settings) as platform:
        platform.desk.use(small_panel())
        with platform.store.read() as connection:
            model = {m.name: m.id for m in models.list_models(connection)}["momentum"]
            for record in rounds.list_rounds(connection, Tournament.SIGNALS, (RoundState.RESOLVED,)):
                values = platform.blobs.get_array(submissions.selected_submissions(connection, record.key)[model].vector_sha)
                labels = get_frame(connection, platform.blobs, record.key).labels
                lines += [f"{record.base_session},{t},{v!r}" for t, v in zip(labels, values.tolist(), strict=True)]
                mine = [s for s in scores.scores_of_round(connection, record.key) if s.model_id == model]
                expected[record.base_session] = {s.kind: s.value for s in mine if s.kind in {"alpha", "fnc"}}
        path = tmp_path / "own.csv"
        path.write_text("\n".join(lines) + "\n")
        found = diagnose(platform, path, workers=1)
    told = {e.date: {kind: e.signal.scores[kind] for kind in ("alpha", "fnc")} for e in found.eras}
    assert {day: pytest.approx(values, abs=1e-10) for day, values in told.items()} == expected
    assert all("mpc" not in e.signal.scores for e in found.eras)  # nobody had a stake in a history
