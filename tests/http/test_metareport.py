"""Goal: what is published of a meta-model reveals nobody's file: with two stakers, none of it depends on the other's vector.
Method: a round is played to its close, and to its resolution, on platforms that differ only in the other's file; every public
answer is compared byte for byte. A control with a lower minimum shows that the comparison sees what it should."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from crowdalpha.ids import RoundState
from service import metamodels, queries
from service.frames import get_book, get_frame
from service.http.app import create_app
from service.settings import load_schedule, load_settings, load_terms
from service.store import rounds, scores
from service.store.records import ScoreRecord
from service.workflows.close_round import close_round
from service.workflows.metareport import final_files
from service.workflows.submit import submit
from tests.builders.platforms import CLOSES_AT, SIGNALS_OPEN, Served, serve_small, signals_csv

PATHS = (
    "/v1/rounds?tournament=signals",
    "/v1/rounds/signals/2",
    "/v1/rounds/signals/2/metareport",
    "/v1/rounds/signals/2/metamodel",
    "/v1/leaderboard/signals",
    "/v1/models/alice_momentum/scores",
    "/v1/models/bobby_reversal/scores",
    "/v1/fund",
    "/",
    "/rounds",
    "/rounds/signals/2",
)
COMMITMENT = "submissions_root"
"""The hash of all files: it binds the platform, and says nothing to who cannot guess a file."""


def closed_with(path: Path, others_shift: int, publish_min_providers: int = 5) -> Served:
    """Return a platform whose second signals round has closed on a fixed file of alice's and one of bobby's."""
    made = serve_small(path, publish_min_providers)
    for model, data in (("alice_momentum", signals_csv()), ("bobby_reversal", signals_csv(shift=others_shift))):
        assert submit(made.platform, model, data, f"{model}.csv", SIGNALS_OPEN).accepted
    made.clock.advance_to(CLOSES_AT)
    close_round(made.platform, SIGNALS_OPEN)
    return made


def resolve(made: Served) -> None:
    """Give the closed round a final target and equal scores, and resolve it: scores are published whoever takes part."""
    platform = made.platform
    with platform.store.read() as connection:
        frame, book = get_frame(connection, platform.blobs, SIGNALS_OPEN), get_book(connection, platform.blobs, SIGNALS_OPEN)
    target = np.random.default_rng(17).integers(0, 5, len(frame.asset_ids)) / 4
    files = final_files(platform, SIGNALS_OPEN, frame, target)
    with platform.store.write() as connection:
        for name, sha in files.items():
            rounds.set_artifact(connection, SIGNALS_OPEN, name, sha)
        scores.put_scores(
            connection, [ScoreRecord(SIGNALS_OPEN, m, "corr", 20, 0.01, 10_000_000, True) for m in book.model_ids]
        )
        rounds.advance_round(connection, SIGNALS_OPEN, (RoundState.CLOSED,), RoundState.SCORING)
        rounds.advance_round(connection, SIGNALS_OPEN, (RoundState.SCORING,), RoundState.RESOLVED, resolved_at=CLOSES_AT)


def published(made: Served) -> dict[str, tuple[int, str]]:
    """Return status and body of every public answer, without the hash of all files."""
    client = TestClient(create_app(made.platform), raise_server_exceptions=False)
    root = queries.round_detail(made.platform, SIGNALS_OPEN)[COMMITMENT]
    found = {}
    for path in PATHS:
        answer = client.get(path)
        body = answer.text.replace(root, "ROOT").replace(answer.headers["X-Request-Id"], "ID")
        found[path] = (answer.status_code, body)
    found["report"] = (0, json.dumps(metamodels.meta_model_detail(made.platform)))
    found["history"] = (0, json.dumps(metamodels.meta_model_history(made.platform, SIGNALS_OPEN.tournament)))
    return found


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory):
    """Two platforms with two stakers each, that differ in one file; closed, and compared at the close already."""
    made = [closed_with(tmp_path_factory.mktemp("pair") / f"home{shift}", shift) for shift in (7, 55)]
    yield made
    for each in made:
        each.platform.store.dispose()


def test_with_two_stakers_nothing_published_depends_on_the_others_vector(pair) -> None:
    vectors = []
    for made in pair:
        with made.platform.store.read() as connection:
            vectors.append(get_book(connection, made.platform.blobs, SIGNALS_OPEN))
    assert (np.abs(vectors[0].raw - vectors[1].raw) > 0.1).mean() > 0.5
    assert published(pair[0]) == published(pair[1])
    for made in pair:
        resolve(made)
    one, other = (published(made) for made in pair)
    assert one == other
    assert one["/v1/rounds/signals/2/metamodel"][0] == 404
    report = json.loads(one["/v1/rounds/signals/2/metareport"][1])
    assert report["withheld"] is True
    assert (report["score"], report["exposures"], report["exposures_neutral"]) == (None, None, None)
    assert [m["contribution"] for m in report["models"]] == [None, None]
    assert "contribution" not in one["/v1/rounds/signals/2"][1]
    # Weights are public all the same: they follow from the stakes.
    assert [(m["model"], round(m["share"], 6)) for m in report["models"]] == [
        ("alice_momentum", 0.666667),
        ("bobby_reversal", 0.333333),
    ]
    assert report["effective_providers"] == pytest.approx(9 / 5)


def test_with_enough_providers_exposures_and_contributions_are_there_and_do_depend_on_files(tmp_path: Path) -> None:
    reports = []
    for shift in (7, 55):
        made = closed_with(tmp_path / f"home{shift}", shift, publish_min_providers=1)
        before = metamodels.meta_report(made.platform, SIGNALS_OPEN)
        assert before["withheld"] is False
        assert before["score"] is None
        assert {m["contribution"] for m in before["models"]} == {None}, "a contribution is known only at the end"
        resolve(made)
        reports.append(metamodels.meta_report(made.platform, SIGNALS_OPEN))
        shown = {m["model"]: m.get("contribution") for m in queries.round_detail(made.platform, SIGNALS_OPEN)["models"]}
        assert {m["model"]: m["contribution"] for m in reports[-1]["models"]} == shown
        assert reports[-1]["exposures"] == before["exposures"]
        made.platform.store.dispose()
    for report in reports:
        assert set(report["exposures"]) == {"beta", "size"}
        assert all(v == round(v, 4) for v in report["exposures"].values())
        assert set(report["exposures_neutral"].values()) == {0.0}
    for field in ("exposures", "score", "models"):
        assert reports[0][field] != reports[1][field], field


def test_scores_are_too_few_numbers_to_tell_a_vector_from_all_others() -> None:
    """Scores are public however few take part. A provider's score days give kinds × days floats, and no others are shown: that
    is fewer states than there are orders of a universe, so that for any answers there are different vectors that give them."""
    settings = load_settings(env={})
    orders = math.lgamma(settings.universe.size + 1) / math.log(2)
    for named in (settings.tournaments.signals, settings.tournaments.classic):
        kinds, days = load_terms(named.terms).scoring.kinds, load_schedule(named.schedule).score_days
        two_models, bits = 2, 64
        assert two_models * len(kinds) * len(days) * bits < orders / 3


def test_before_the_close_there_is_no_report(reader) -> None:
    for path in ("/v1/rounds/signals/2/metareport", "/v1/rounds/classic/1/metareport", "/v1/rounds/signals/99/metareport"):
        assert reader.get(path).status_code == 404
        assert "share" not in reader.get(path).text


def test_a_round_that_closed_without_a_report_gets_one_from_its_frozen_files(shared: Served) -> None:
    """The builder's resolved round was written by hand, as by a version that kept no report."""
    key = SIGNALS_OPEN.__class__(SIGNALS_OPEN.tournament, 1)
    with shared.platform.store.read() as connection:
        assert "metareport" not in rounds.artifacts(connection, key)
        book, frame = get_book(connection, shared.platform.blobs, key), get_frame(connection, shared.platform.blobs, key)
    report = metamodels.meta_report(shared.platform, key)
    assert [m["share"] for m in report["models"]] == [0.5, 0.5]
    expected = [float(np.corrcoef(book.raw, column)[0, 1]) for column in frame.exposures.T]
    assert list(report["exposures"].values()) == pytest.approx(expected, abs=1e-4)
