"""Goal: on a whole season's crowd, factors and moving universes, the close records to the last digit what checks told.

Method: a small season is continued by a round in each tournament; every model's file is checked, sent, and the round closed.
"""

from collections.abc import Iterator

import numpy as np
import pytest

from crowdalpha.ids import Tournament
from service.context import Platform
from service.frames import get_frame
from service.store import models, rounds, scores, submissions
from service.workflows.check import check
from service.workflows.close_round import close_round
from service.workflows.open_round import open_round
from service.workflows.submit import submit
from tests.builders.seasons import after_small


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with after_small(tmp_path_factory.mktemp("season") / "home", ids="continued") as made:
        yield made


def files_of(platform: Platform, tournament: Tournament) -> dict[str, bytes]:
    """Return a file for each model: what it said of an asset last week, where it said anything, and more or less noise."""
    files = {}
    with platform.store.read() as connection:
        record = rounds.latest_round(connection, tournament)
        frame = get_frame(connection, platform.blobs, record.key)
        for place, model in enumerate(models.list_models(connection, tournament)):
            rng = np.random.default_rng(place)
            noise = rng.uniform(size=len(frame.labels))
            last = submissions.previous_selected(connection, model.id, record.key)
            said = {}
            if last is not None:
                ids = get_frame(connection, platform.blobs, last.round).asset_ids.tolist()
                said = dict(zip(ids, platform.blobs.get_array(last.vector_sha).tolist(), strict=True))
            before = np.array([said.get(a, 0.5) for a in frame.asset_ids.tolist()])
            share = (place % 10) / 10
            # In two decimals: ties are what ranks of residuals are most delicate with.
            values = np.clip((1 - share) * before + share * noise, 0.01, 0.99).round(2)
            rows = "".join(f"{label},{value}\n" for label, value in zip(frame.labels, values, strict=True))
            header = "ticker,signal" if tournament is Tournament.SIGNALS else "id,prediction"
            files[model.name] = f"{header}\n{rows}".encode()
    return files


def test_every_models_retention_is_what_the_check_told(platform: Platform) -> None:
    opened = {tournament: open_round(platform, tournament) for tournament in Tournament}
    told = {}
    for tournament in opened:
        for name, data in files_of(platform, tournament).items():
            told[name] = check(platform, data, model_name=name).figures
            assert submit(platform, name, data, "file.csv").accepted
    platform.clock.advance_to(max(record.closes_at for record in opened.values()))
    compared = 0
    for tournament, opening in opened.items():
        close_round(platform, opening.key)
        with platform.store.read() as connection:
            names = {m.id: m.name for m in models.list_models(connection, tournament)}
            recorded = scores.retentions_of_round(connection, opening.key)
        for record in recorded:
            figures = told[names[record.model_id]]
            history = figures["history"]
            assert figures["retention"]["retained"] == record.retention_ppb / 1e9
            assert (None if history is None else history["neutral_churn"]) == record.churn
            assert (history is None) == (tournament is Tournament.CLASSIC)
            compared += 1
            if history is not None:
                assert figures["meta_model"]["round"] == "signals-8"
    assert compared == len(told) > 40
    kept = [figures["retention"]["retained"] for figures in told.values()]
    assert min(kept) < 0.5 < max(kept)
