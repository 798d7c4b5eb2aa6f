"""Goal: a meta-model's vector is public after the resolution and only with enough providers behind it; past eras are public.
Method: the small platform, whose resolved round has two equal providers, under two settings of the least number."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from crowdalpha.ids import Tournament
from service.frames import get_book, get_frame, put_frame
from service.http.app import create_app
from service.metamodels import public_vectors, published_meta_model
from service.store import rounds
from service.workflows.publish_classic import write_meta_models
from tests.builders.platforms import SIGNALS_RESOLVED, TICKERS, serve_small


def test_a_resolved_round_with_enough_providers_publishes_its_vectors(reader) -> None:
    body = reader.get("/v1/rounds/signals/1/metamodel").json()
    assert body["ids"] == list(TICKERS)
    assert len(body["raw"]) == len(body["neutral"]) == len(TICKERS)
    assert body["effective_providers"] == pytest.approx(2.0)


def test_vectors_are_published_in_the_order_of_labels_and_say_nothing_of_that_of_assets(tmp_path: Path) -> None:
    """A classic round's universe is sorted by asset: published in its order, ids that mean nothing would mean something."""
    made = serve_small(tmp_path / "home")
    shuffled = np.random.default_rng(1).permutation(TICKERS).tolist()
    with made.platform.store.write() as connection:
        frame = replace(get_frame(connection, made.platform.blobs, SIGNALS_RESOLVED), labels=tuple(shuffled))
        for name, sha in put_frame(made.platform.blobs, frame).items():
            rounds.set_artifact(connection, SIGNALS_RESOLVED, name, sha)
        book = get_book(connection, made.platform.blobs, SIGNALS_RESOLVED)
    body = TestClient(create_app(made.platform)).get("/v1/rounds/signals/1/metamodel").json()
    made.platform.store.dispose()
    assert body["ids"] == sorted(TICKERS)
    for name in ("raw", "neutral"):
        assert dict(zip(body["ids"], body[name], strict=True)) == dict(zip(shuffled, getattr(book, name).tolist(), strict=True))


def test_with_too_few_providers_nothing_of_the_vector_is_published(tmp_path: Path) -> None:
    made = serve_small(tmp_path / "home", publish_min_providers=5)
    answer = TestClient(create_app(made.platform)).get("/v1/rounds/signals/1/metamodel")
    made.platform.store.dispose()
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
    assert "raw" not in answer.text


def test_an_open_round_publishes_no_meta_model(reader) -> None:
    assert reader.get("/v1/rounds/signals/2/metamodel").status_code == 404
    assert reader.get("/v1/rounds/signals/99/metamodel").status_code == 404


@pytest.mark.parametrize("path", ["/v1/rounds/classic/1/era", "/v1/datasets/classic/v1.0/train.parquet"])
def test_past_eras_come_as_parquet(reader, path: str) -> None:
    answer = reader.get(path)
    assert answer.status_code == 200
    assert pq.read_table(io.BytesIO(answer.content)).num_rows == 120


def test_a_signals_round_has_no_era(reader) -> None:
    assert reader.get("/v1/rounds/signals/1/era").status_code == 404


@pytest.mark.parametrize(("least", "public"), [(2, True), (5, False)])
def test_the_datasets_hold_the_meta_models_that_are_public_and_no_other(tmp_path: Path, least: int, public: bool) -> None:
    made = serve_small(tmp_path / "home", publish_min_providers=least)
    found = public_vectors(made.platform, Tournament.SIGNALS)
    assert bool(found) == public
    for record, labels, raw in found:
        assert record.key == SIGNALS_RESOLVED
        shown = published_meta_model(made.platform, record.key)
        assert (labels, raw.tolist()) == (shown["ids"], shown["raw"])
    write_meta_models(tmp_path, made.platform, Tournament.SIGNALS)
    written = pq.read_table(tmp_path / "meta_model.parquet").to_pydict()
    assert written["id"] == (list(TICKERS) if public else [])
    assert set(written["round"]) == ({1} if public else set())
    write_meta_models(tmp_path, made.platform)
    assert pq.read_table(tmp_path / "meta_model.parquet").num_rows == 0  # the classic round is open
    made.platform.store.dispose()
