"""Goal: the published datasets can be listed and read, in parts too, and nothing beside them.
Method: the small platform, which has published one classic file; what the manifest says is computed anew from the bytes."""

import hashlib
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.http.app import create_app
from service.workflows.publish import releases
from tests.builders.platforms import serve_small

TRAIN = "/v1/datasets/classic/v1.0/train.parquet"


def test_the_datasets_are_listed(reader) -> None:
    assert reader.get("/v1/datasets").json() == {
        "datasets": [{"dataset": "classic", "version": "v1.0", "files": ["train.parquet"]}]
    }


def test_a_file_is_what_its_manifest_says(reader) -> None:
    told = reader.get("/v1/datasets/classic").json()["files"]["train.parquet"]
    answer = reader.get(TRAIN)
    assert told == {"bytes": len(answer.content), "sha256": hashlib.sha256(answer.content).hexdigest()}
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    assert answer.headers["etag"] == f'"{told["sha256"]}"'


def test_a_download_can_go_on_where_it_stopped(reader) -> None:
    whole = reader.get(TRAIN).content
    part = reader.get(TRAIN, headers={"Range": "bytes=100-"})
    assert part.status_code == 206
    assert part.content == whole[100:]
    assert reader.get(TRAIN, headers={"Range": f"bytes={len(whole)}-"}).status_code == 416


@pytest.mark.parametrize(
    "path",
    [
        "/v1/datasets/signals",
        "/v1/datasets/..",
        "/v1/datasets/classic/v9.9/train.parquet",
        "/v1/datasets/classic/v1.0/manifest.json",
        "/v1/datasets/classic/v1.0/..%2F..%2F..%2Fpublish.lock",
        "/v1/datasets/classic/v1.0/%2e%2e",
        "/v1/datasets/%2e%2e/v1.0/train.parquet",
        "/v1/datasets/classic/%2e%2e%2fv1.0/train.parquet",
    ],
)
def test_nothing_else_is_served(reader, path: str) -> None:
    answer = reader.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_before_a_publication_there_is_none(tmp_path: Path) -> None:
    made = serve_small(tmp_path / "home")
    (releases(made.platform).folder / "current").unlink()
    client = TestClient(create_app(made.platform))
    assert client.get("/v1/datasets").json() == {"datasets": []}
    assert client.get("/v1/datasets/classic").status_code == 404
    assert client.get(TRAIN).status_code == 404
    made.platform.store.dispose()
