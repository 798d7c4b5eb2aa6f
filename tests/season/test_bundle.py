"""Goal: a season's rounds can be recomputed from their bundles alone, on a machine that has nothing else.

Method: a small season is played whose classic terms name an auditor and reveal files after a week; its bundles are verified in
a process of its own with an empty home. Expected integers come from the rows of the store.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from crowdalpha.canonical import canonical_bytes
from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected
from crowdalpha.ids import RoundKey, RoundState, Tournament
from market.universe import plain_universe_hash
from service.bundles.archive import COMPLETE, PUBLIC, array_bytes, read_array, read_bundle, write_bundle
from service.bundles.checking import verify
from service.bundles.contents import complete_files, public_files
from service.bundles.sealed import make_key_pair, open_sealed, seal_to
from service.clock import SimulatedClock
from service.context import Platform, build_platform
from service.home import Home
from service.idsource import SeededIds
from service.replay.crowd import roster
from service.replay.run import play
from service.settings.places import shipped_config
from service.store import occurrences, resolutions, rounds, submissions
from service.store.guards import missing_guards
from service.workflows.keep_head import HEADS_JOB, head_problems, kept_heads
from service.workflows.publish_bundle import ARTIFACTS, bundle_of, publish_bundle, publish_bundles
from tests.builders.seasons import FIRST, LAST, small_panel, small_settings

SIGNALS, CLASSIC = RoundKey(Tournament.SIGNALS, 3), RoundKey(Tournament.CLASSIC, 3)
PRIVATE, PUBLIC_KEY = make_key_pair()


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("proof")
    shutil.copytree(shipped_config(), folder / "config")
    terms = folder / "config" / "terms" / "classic-weekly.toml"
    text = terms.read_text().replace('auditor_key = ""', f'auditor_key = "{PUBLIC_KEY}"')
    terms.write_text(text.replace("reveal_after_days = 0", "reveal_after_days = 7"))
    # A crowd of few providers: with the default of five every meta-model would be withheld.
    settings = replace(small_settings({"metamodel.publish_min_providers": 2}), config_dir=folder / "config")
    home, panel = Home.create(folder / "home"), small_panel()
    play(home, settings, panel, FIRST, LAST, 7, members=roster(panel.source, 7))
    clock = SimulatedClock(panel.calendar.close_at(LAST) + timedelta(hours=3))
    made = build_platform(home, settings, clock, SeededIds("proof"), durable=False)
    made.desk.use(panel)
    yield made
    made.store.dispose()


def of_model(platform: Platform, key: RoundKey) -> tuple[bytes, bytes]:
    """Return the receipt and the file of a model of the round."""
    with platform.store.read() as connection:
        chosen = list(submissions.selected_submissions(connection, key).values())[2]
    return json.dumps(dict(chosen.receipt)).encode(), platform.blobs.get(chosen.sha256)


def test_the_schedule_has_published_a_bundle_of_every_settled_round(platform: Platform) -> None:
    with platform.store.read() as connection:
        settled = {r.round for r in resolutions.list_resolutions(connection)}
        public = rounds.artifacts_named(connection, ARTIFACTS[0])
        sealed = rounds.artifacts_named(connection, ARTIFACTS[1])
        complete = rounds.artifacts_named(connection, ARTIFACTS[2])
        early = [r.key for r in rounds.list_rounds(connection, states=(RoundState.RESOLVED,))]
    assert len(settled) == 16
    assert set(public) == settled == set(early)
    assert set(sealed) == {key for key in settled if key.tournament is Tournament.CLASSIC}
    # The last one resolved less than a week before the end.
    assert 0 < len(complete) < len(sealed)
    assert set(complete) < set(sealed)


def test_the_schedule_has_kept_a_head_of_every_session_and_misses_none(platform: Platform) -> None:
    heads, broken = kept_heads(platform)
    with platform.store.read() as connection:
        assert head_problems(platform, connection) == []
        assert missing_guards(connection) == []
        sessions = [one.payload["session"] for one in occurrences.done(connection, HEADS_JOB)]
    assert broken == []
    assert [head.date for head in heads] == sessions
    assert len(sessions) > 50
    assert all(head.kept_at[:10] >= head.date for head in heads)


def test_a_bundle_verifies_on_a_machine_that_has_nothing_else(platform: Platform, tmp_path: Path) -> None:
    receipt, file = of_model(platform, SIGNALS)
    (tmp_path / "bundle.zip").write_bytes(bundle_of(platform, SIGNALS))
    (tmp_path / "receipt.json").write_bytes(receipt)
    (tmp_path / "signal.csv").write_bytes(file)
    program = "import sys; from service.cli.app import main; main()"
    arguments = ["verify", "bundle.zip", "--receipt", "receipt.json", "--file", "signal.csv", "--json"]
    environment = {"HOME": str(tmp_path / "empty"), "PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    with platform.store.read() as connection:
        row = resolutions.resolution_of_round(connection, SIGNALS)
    assert (int(told["paid_atoms"]), int(told["burned_atoms"])) == (row.total_payout, row.total_burn)
    assert row.total_payout > 0
    assert row.total_burn > 0
    assert told["rescored_kinds"] == ["corr", "mmc", "neutral_corr", "neutral_mmc"]
    assert told["path"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bundle.zip", "receipt.json", "signal.csv"]


def test_a_file_without_a_receipt_is_looked_up_among_those_that_counted(platform: Platform) -> None:
    _, file = of_model(platform, SIGNALS)
    found = verify(bundle_of(platform, SIGNALS), file=file).facts
    with platform.store.read() as connection:
        chosen = list(submissions.selected_submissions(connection, SIGNALS).values())[2]
    assert chosen.model_id in found["file_models"]
    assert found["rescored_models"] == len(found["file_models"])
    assert found["rescored_kinds"] == ["corr", "mmc", "neutral_corr", "neutral_mmc"]
    with pytest.raises(InputRejected, match="--file needs --receipt") as caught:
        verify(bundle_of(platform, SIGNALS), file=file + b"\n")
    assert caught.value.code is Code.REQUEST_INVALID


def test_a_classic_bundle_names_no_asset_and_gives_a_file_its_scores(platform: Platform) -> None:
    receipt, file = of_model(platform, CLASSIC)
    with platform.store.read() as connection:
        data = write_bundle(PUBLIC, str(CLASSIC), public_files(platform, connection, CLASSIC), platform.signer)
    bundle = read_bundle(data)
    labels = bundle.plain("yardstick/labels.json")
    assert labels == sorted(labels)
    assert not any(name.startswith(("frozen/", "files/")) or "exposures" in name for name in bundle.files)
    found = verify(data, receipt=receipt, file=file)
    assert found.facts["rescored_kinds"] == ["corr", "mmc"]


def test_the_auditor_recomputes_everything(platform: Platform) -> None:
    sealed = bundle_of(platform, CLASSIC, sealed=True)
    found = verify(sealed, private_key=PRIVATE)
    with platform.store.read() as connection:
        count = len(submissions.selected_submissions(connection, CLASSIC))
    assert found.facts["kind"] == COMPLETE
    assert found.facts["rescored_models"] == count > 10
    assert found.facts["rescored_kinds"] == ["corr", "mmc"]
    assert found.facts["not_rescored"] == {}


def test_what_is_sealed_to_the_auditor_cannot_be_what_the_public_gets(platform: Platform) -> None:
    """Without the exposures no neutral score could be computed again, and a false one would pass."""
    with pytest.raises(InputRejected, match="does not hold everything"):
        verify(seal_to(bundle_of(platform, CLASSIC), PUBLIC_KEY), private_key=PRIVATE)


def test_a_universe_tells_its_assets_and_labels_and_nothing_else(platform: Platform) -> None:
    with platform.store.read() as connection:
        files = complete_files(platform, connection, SIGNALS)
    told = json.loads(files["frozen/universe.json"])
    for other in (told | {"note": 1}, told | {"asset_ids": told["asset_ids"][:-1]}, {"labels": told["labels"]}):
        forged = files | {"frozen/universe.json": canonical_bytes(other)}
        with pytest.raises(InputRejected) as caught:
            verify(write_bundle(COMPLETE, str(SIGNALS), forged, platform.signer))
        assert caught.value.code is Code.BUNDLE_DIFFERS


def forged_universe(platform: Platform, key: RoundKey, rule: bytes | None, assets: bool = False, **told: str) -> bytes:
    """Return a complete bundle of the round, signed by the platform, with other assets, another rule or none, other words."""
    with platform.store.read() as connection:
        files = complete_files(platform, connection, key)
    universe = json.loads(files["frozen/universe.json"])
    if assets:
        files["frozen/universe.json"] = canonical_bytes(universe | {"asset_ids": [f"x{a}" for a in universe["asset_ids"]]})
    if rule is None:
        del files["frozen/universe_rule.json"]
    elif rule:
        files["frozen/universe_rule.json"] = rule
    files["round.json"] = canonical_bytes(json.loads(files["round.json"]) | told)
    return write_bundle(COMPLETE, str(key), files, platform.signer)


def test_the_hash_of_the_universe_follows_from_its_assets_and_its_rule(platform: Platform) -> None:
    for key in (SIGNALS, CLASSIC):
        found = verify(forged_universe(platform, key, b""))
        assert found.facts["universe_recomputed"]
        assert f"The universe has the hash {found.facts['universe_hash']}." in found.steps
        for change in ({"assets": True}, {"universe_hash": "0" * 64}):
            with pytest.raises(InputRejected, match="its universe has the hash") as caught:
                verify(forged_universe(platform, key, b"", **change))
            assert caught.value.code is Code.BUNDLE_DIFFERS
    for rule, told in (
        (canonical_bytes({"as_of": "2021-01-08", "rule": {}}), "its universe has the hash"),
        (canonical_bytes({"as_of": "2021-01-08"}), "other fields"),
        (canonical_bytes({"as_of": 7, "rule": {}}), "no date"),
    ):
        with pytest.raises(InputRejected, match=told):
            verify(forged_universe(platform, SIGNALS, rule))


def test_a_universe_is_not_chosen_from_what_came_after_the_opening(platform: Platform) -> None:
    with platform.store.read() as connection:
        files = complete_files(platform, connection, SIGNALS)
    rule = json.loads(files["frozen/universe_rule.json"]) | {"as_of": "2030-01-04"}
    ids = json.loads(files["frozen/universe.json"])["asset_ids"]
    later = plain_universe_hash("2030-01-04", ids, rule["rule"])
    with pytest.raises(InputRejected, match="and the round opened at"):
        verify(forged_universe(platform, SIGNALS, canonical_bytes(rule), universe_hash=later))


def test_a_complete_bundle_of_before_rules_were_kept_verifies_and_says_what_it_takes_as_published(platform: Platform) -> None:
    for data in (forged_universe(platform, SIGNALS, None), bundle_of(platform, CLASSIC)):
        found = verify(data)
        assert found.facts["universe_recomputed"] is False
        assert any("taken as published" in step for step in found.steps)


def test_what_becomes_public_of_a_classic_round_names_no_asset_and_recomputes_all_that_needs_none(platform: Platform) -> None:
    sealed, shown = read_bundle(open_sealed(bundle_of(platform, CLASSIC, sealed=True), PRIVATE)), bundle_of(platform, CLASSIC)
    revealed = read_bundle(shown)
    universe = revealed.plain("frozen/universe.json")
    assert list(universe) == ["labels"]
    assert universe["labels"] == sorted(universe["labels"])
    assert sealed.kind == revealed.kind == COMPLETE
    gone = {"frozen/exposures.npy", "frozen/neutralizers.npy", "frozen/weights_v.npy", "frozen/metamodel_neutral.npy"}
    gone.add("frozen/universe_rule.json")
    assert sealed.files.keys() - revealed.files.keys() == gone
    asset_ids = sealed.plain("frozen/universe.json")["asset_ids"]
    assert not any(asset.encode() in data for asset in asset_ids for data in revealed.files.values())
    found = verify(shown).facts
    assert (found["rescored_models"], found["rescored_kinds"]) == (len(revealed.plain("submissions.json")), ["corr", "mmc"])


def insiders(platform: Platform, key: RoundKey, **arrays: np.ndarray | None) -> bytes:
    """Return a complete bundle of the round, signed by the platform, with other arrays, or without some."""
    with platform.store.read() as connection:
        files = complete_files(platform, connection, key)
    for name, array in arrays.items():
        path = name.replace("__", "/") + ".npy"
        del files[path]
        if array is not None:
            files[path] = array_bytes(array)
    return write_bundle(COMPLETE, str(key), files, platform.signer)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"frozen__target": None}, "frozen/target.npy is missing"),
        ({"frozen__target": None, "yardstick__target": None}, "target.npy is missing"),
        ({"yardstick__target": np.zeros(130, dtype=np.float32)}, "another form"),
        ({"yardstick__target": np.zeros(20)}, "one row a label"),
        ({"frozen__exposures": np.zeros((130, 2))}, "another form"),
        ({"frozen__target": np.array(["a"] * 130)}, "another form"),
        ({"frozen__metamodel_neutral": np.zeros(130)}, "another meta-model"),
    ],
)
def test_an_insider_cannot_leave_out_or_change_what_was_scored_with(
    platform: Platform, change: dict[str, np.ndarray | None], told: str
) -> None:
    with pytest.raises(InputRejected, match=told) as caught:
        verify(insiders(platform, SIGNALS, **change))
    assert caught.value.code is Code.BUNDLE_DIFFERS


def test_the_public_target_is_the_one_that_was_scored_with(platform: Platform) -> None:
    with platform.store.read() as connection:
        files = complete_files(platform, connection, SIGNALS)
    target = read_array(files["yardstick/target.npy"])
    with pytest.raises(InputRejected, match="is not what was frozen"):
        verify(insiders(platform, SIGNALS, yardstick__target=target[::-1]))
    with pytest.raises(InputRejected, match="ppb, and"):
        verify(insiders(platform, SIGNALS, yardstick__target=target[::-1], frozen__target=target[::-1]))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("frozen/universe.json", b"7"),
        ("frozen/universe.json", b'{"labels":[]}'),
        ("frozen/universe.json", b'{"labels":["A","A"]}'),
        ("yardstick/labels.json", b"{}"),
        ("yardstick/target.npy", b"x"),
        ("frozen/weights_v.npy", array_bytes(np.zeros((2, 3)))),
        ("frozen/schemes.json", b"[1]"),
    ],
)
def test_contents_of_another_form_are_named_and_never_end_in_a_traceback(platform: Platform, name: str, data: bytes) -> None:
    with platform.store.read() as connection:
        files = complete_files(platform, connection, SIGNALS)
    with pytest.raises(InputRejected) as caught:
        verify(write_bundle(COMPLETE, str(SIGNALS), files | {name: data}, platform.signer))
    assert caught.value.code in {Code.BUNDLE_DIFFERS, Code.BUNDLE_UNREADABLE}


def test_all_four_kinds_of_a_signals_round_follow_from_all_files(platform: Platform) -> None:
    with platform.store.read() as connection:
        data = write_bundle(COMPLETE, str(SIGNALS), complete_files(platform, connection, SIGNALS), platform.signer)
    assert verify(data).facts["rescored_kinds"] == ["corr", "mmc", "neutral_corr", "neutral_mmc"]


@pytest.mark.parametrize(
    ("private", "code"),
    [(None, Code.AUDITOR_KEY), (make_key_pair()[0], Code.BUNDLE_DIFFERS), ("ff", Code.AUDITOR_KEY)],
    ids=["no key", "another's key", "half a key"],
)
def test_nobody_else_opens_what_is_sealed(platform: Platform, private: str | None, code: Code) -> None:
    with pytest.raises(InputRejected) as caught:
        verify(bundle_of(platform, CLASSIC, sealed=True), private_key=private)
    assert caught.value.code is code


def test_publishing_again_changes_nothing(platform: Platform) -> None:
    before = bundle_of(platform, SIGNALS)
    assert publish_bundle(platform, SIGNALS) == []
    publish_bundles(platform)
    assert publish_bundles(platform) == 0
    with platform.store.read() as connection:
        again = write_bundle(PUBLIC, str(SIGNALS), public_files(platform, connection, SIGNALS), platform.signer)
    assert again == before == bundle_of(platform, SIGNALS)


def test_a_round_that_is_not_settled_has_no_bundle(platform: Platform) -> None:
    with platform.store.read() as connection:
        pending = rounds.latest_round(connection, Tournament.SIGNALS)
    with pytest.raises(Conflict) as caught:
        publish_bundle(platform, pending.key)
    assert caught.value.code is Code.ROUND_NOT_DUE
    with pytest.raises(InputRejected) as missing:
        bundle_of(platform, pending.key)
    assert missing.value.code is Code.BUNDLE_MISSING


def test_another_models_file_is_told_from_ones_own(platform: Platform) -> None:
    receipt, _ = of_model(platform, SIGNALS)
    other = of_model(platform, CLASSIC)[1]
    with pytest.raises(InputRejected) as caught:
        verify(bundle_of(platform, SIGNALS), receipt=receipt, file=other)
    assert caught.value.code is Code.RECEIPT_INVALID
