"""Routes about the published datasets: which there are, what a release holds, and its files. Public, and read only."""

from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.responses import FileResponse

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.http.access import OurPlatform
from service.http.rounds import PARQUET
from service.releases import Release
from service.workflows.publish import releases

router = APIRouter(tags=["datasets"])

MEDIA_TYPES = {".parquet": PARQUET, ".csv": "text/csv", ".json": "application/json"}


@router.get("/datasets")
def list_datasets(platform: OurPlatform) -> dict[str, Any]:
    """List the published datasets with their versions and files; none before the first publication."""
    release = releases(platform).current()
    manifests = {} if release is None else release.manifests
    return {
        "datasets": [
            {"dataset": name, "version": manifest["version"], "files": sorted(manifest["files"])}
            for name, manifest in sorted(manifests.items())
        ]
    }


@router.get("/datasets/{dataset}")
def show_dataset(platform: OurPlatform, dataset: str) -> dict[str, Any]:
    """Give a dataset's manifest: version, eras, embargo, and size and SHA-256 of each file."""
    return dict(_release(platform, dataset).manifests[dataset])


@router.get("/datasets/{dataset}/{version}/{name}", response_class=FileResponse)
def download_file(platform: OurPlatform, dataset: str, version: str, name: str) -> FileResponse:
    """Give one file of a dataset; a part of it where the request asks for a range of bytes."""
    release = _release(platform, dataset)
    if release.manifests[dataset]["version"] != version:
        raise InputRejected(Code.NOT_FOUND, "There is no such version of the dataset.")
    path: Path = release.path(dataset, name)
    headers = {"ETag": f'"{release.manifests[dataset]["files"][name]["sha256"]}"'}
    return FileResponse(path, media_type=MEDIA_TYPES.get(path.suffix), filename=f"{dataset}-{name}", headers=headers)


def _release(platform: OurPlatform, dataset: str) -> Release:
    release = releases(platform).current()
    if release is None or dataset not in release.manifests:
        raise InputRejected(Code.NOT_FOUND, "No such dataset has been published yet.")
    return release
