"""Published files: releases that are there whole or not at all, and one name that always leads to a whole one.

::

    published/
      current                       a link to the newest release; replaced in one step
      releases/<hash>/<dataset>/<version>/…          files under the names that users see, and manifest.json

1. Files are written into a draft, a folder that nobody looks into.
2. A manifest names each dataset's files with size and SHA-256 beside what the publisher says of them. A release is named by the
   hash of its manifests, so the same files are the same release.
3. The draft is synced to the disk and gets its name; then ``current`` is replaced. Whoever is killed before leaves the former
   release in force; the next publisher removes the rest.
4. The release before stays until the next one: somebody may be reading it.

It knows nothing of what the files hold.
"""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crowdalpha.canonical import canonical_hash
from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected
from service.atomic import TEMPORARY_PREFIX, sync_folder

CURRENT, MANIFEST = "current", "manifest.json"
HASH_DIGITS = 16
UNTOLD = "published_at"
"""The one entry of a manifest that is no part of what was published."""


@dataclass(frozen=True, slots=True)
class Release:
    """One release: its folder, and the manifest of each dataset by name."""

    folder: Path
    manifests: Mapping[str, Mapping[str, Any]]

    def path(self, dataset: str, name: str) -> Path:
        """Return where a file lies.

        Raises
        ------
        InputRejected
            ``not_found`` unless the manifest names it: no text of a user's becomes part of a path.
        """
        manifest = self.manifests.get(dataset)
        if manifest is None or name not in manifest["files"]:
            raise InputRejected(Code.NOT_FOUND, "There is no such published file.")
        return self.folder / dataset / str(manifest["version"]) / name


@dataclass(frozen=True, slots=True)
class Releases:
    """The folder of all releases; ``sync`` says whether a publication waits for the disk."""

    folder: Path
    sync: bool = True

    def current(self) -> Release | None:
        """Return the release in force, or None before the first one."""
        link = self.folder / CURRENT
        try:
            folder = self.folder / link.readlink()
        except FileNotFoundError:
            return None
        paths = sorted(folder.glob(f"*/*/{MANIFEST}"))
        return Release(folder, {path.parts[-3]: json.loads(path.read_text(encoding="utf-8")) for path in paths})

    @contextmanager
    def draft(self) -> Iterator[Path]:
        """Give an empty folder to write a release into, for one publisher at a time; it is removed if it was not published.

        Raises
        ------
        Conflict
            ``home_in_use`` while another process publishes.
        """
        (self.folder / "releases").mkdir(parents=True, exist_ok=True)
        handle = os.open(self.folder / "publish.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Conflict(Code.HOME_IN_USE, "Another process is publishing from this home.") from error
            for rest in self.folder.glob(f"{TEMPORARY_PREFIX}*"):
                _remove(rest)
            draft = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=self.folder))
            draft.chmod(0o755)
            try:
                yield draft
            finally:
                _remove(draft)
        finally:
            os.close(handle)

    def publish(self, draft: Path, told: Mapping[str, Mapping[str, Any]]) -> tuple[Release, bool]:
        """Make a draft the release in force.

        Parameters
        ----------
        draft : Path
            From :meth:`draft`; its files lie in ``<dataset>/<version>/``.
        told : mapping of dataset to mapping
            What each manifest says beside its files: ``version``, ``published_at`` and whatever else, JSON-ready.

        Returns
        -------
        Release
            The release in force afterwards.
        bool
            False if the same release was in force already; then nothing was changed.
        """
        manifests = {name: {**about, "files": _files(draft / name / about["version"])} for name, about in sorted(told.items())}
        whole = {name: {k: v for k, v in manifest.items() if k != UNTOLD} for name, manifest in manifests.items()}
        folder = self.folder / "releases" / canonical_hash(whole)[:HASH_DIGITS]
        standing = self.current()
        if standing is not None and standing.folder == folder:
            return standing, False
        for name, manifest in manifests.items():
            text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
            (draft / name / manifest["version"] / MANIFEST).write_text(text, encoding="utf-8")
        if self.sync:
            _sync_tree(draft)
        _remove(folder)  # of a publisher that was killed before the release came into force
        draft.rename(folder)
        link = self.folder / f"{TEMPORARY_PREFIX}{CURRENT}"
        link.symlink_to(folder.relative_to(self.folder))
        if self.sync:
            sync_folder(folder.parent)
        link.replace(self.folder / CURRENT)
        if self.sync:
            sync_folder(self.folder)
        kept = {folder} if standing is None else {folder, standing.folder}
        for other in folder.parent.iterdir():
            if other not in kept:
                _remove(other)
        return Release(folder, manifests), True


def take_over(path: Path, draft: Path) -> None:
    """Put a file of a former release into ``draft`` under its name, without copying it where the disk allows."""
    try:
        (draft / path.name).hardlink_to(path)
    except OSError:
        shutil.copyfile(path, draft / path.name)


def _files(folder: Path) -> dict[str, dict[str, Any]]:
    found = {}
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            found[path.name] = {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    return found


def _sync_tree(folder: Path) -> None:
    for root, _, names in os.walk(folder):
        for name in names:
            with (Path(root) / name).open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(Path(root))


def _remove(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    else:
        shutil.rmtree(path, ignore_errors=True)
