"""A release is there whole or not at all, and the name ``current`` always leads to a whole one.

Method: publishers in processes of their own are killed at every step of a publication; hashes are taken anew with the standard
library; whatever a user may send as a name is tried.
"""

import hashlib
import json
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from crowdalpha.errors import Conflict, InputRejected
from service import releases as module
from service.releases import Release, Releases, take_over

STEPS = ("mkdtemp", "written", "sync", "rename", "symlink", "replace")


def publish(folder: Path, texts: dict[str, str], at: str = "2016-01-08") -> tuple[Release, bool]:
    kept = Releases(folder)
    with kept.draft() as draft:
        for name, text in texts.items():
            path = draft / "classic" / "v1.0" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return kept.publish(draft, {"classic": {"version": "v1.0", "published_at": at}})


def whole(folder: Path) -> dict[str, str]:
    """Return the files of the release in force, each checked against its manifest."""
    release = Releases(folder).current()
    assert release is not None
    found = {}
    for name, told in release.manifests["classic"]["files"].items():
        data = release.path("classic", name).read_bytes()
        assert told == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        found[name] = data.decode()
    return found


def test_the_newest_release_is_in_force_and_the_one_before_is_kept(tmp_path: Path) -> None:
    assert Releases(tmp_path).current() is None
    for number in range(4):
        _, changed = publish(tmp_path, {"a.txt": f"era {number}", "b.txt": "same"})
        assert changed
        assert whole(tmp_path) == {"a.txt": f"era {number}", "b.txt": "same"}
    assert len(list((tmp_path / "releases").iterdir())) == 2


def test_the_same_files_are_the_same_release(tmp_path: Path) -> None:
    first, _ = publish(tmp_path, {"a.txt": "x"})
    before = (tmp_path / "current").lstat().st_mtime_ns
    second, changed = publish(tmp_path, {"a.txt": "x"}, at="2016-01-15")
    assert (second.folder, changed) == (first.folder, False)
    assert (tmp_path / "current").lstat().st_mtime_ns == before
    assert second.manifests["classic"]["published_at"] == "2016-01-08"


def test_a_manifest_lies_beside_its_files(tmp_path: Path) -> None:
    publish(tmp_path, {"a.txt": "x"})
    manifest = json.loads((tmp_path / "current" / "classic" / "v1.0" / "manifest.json").read_text())
    assert manifest["version"] == "v1.0"
    assert list(manifest["files"]) == ["a.txt"]


def _die(folder: Path, step: str) -> None:
    """Publish and be killed at one step: no handler runs, as after a power failure of the process."""

    def dying(*_: Any, **__: Any) -> Any:
        os._exit(9)

    goal = {
        "mkdtemp": (module.tempfile, "mkdtemp"),
        "written": (module, "_files"),
        "sync": (module, "_sync_tree"),
        "rename": (Path, "rename"),
        "symlink": (Path, "symlink_to"),
        "replace": (Path, "replace"),
    }[step]
    setattr(*goal, dying)
    publish(folder, {"a.txt": "newer"})
    os._exit(0)


@pytest.mark.parametrize("step", STEPS)
def test_a_publisher_that_is_killed_leaves_the_former_release(tmp_path: Path, step: str) -> None:
    publish(tmp_path, {"a.txt": "former"})
    for _ in range(2):
        child = multiprocessing.get_context("fork").Process(target=_die, args=(tmp_path, step))
        child.start()
        child.join(60)
        assert child.exitcode == 9
        assert whole(tmp_path) == {"a.txt": "former"}
    _, changed = publish(tmp_path, {"a.txt": "newer"})
    assert changed
    assert whole(tmp_path) == {"a.txt": "newer"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["current", "publish.lock", "releases"]
    assert len(list((tmp_path / "releases").iterdir())) == 2


def test_one_publisher_at_a_time(tmp_path: Path) -> None:
    kept = Releases(tmp_path)
    with kept.draft() as draft:
        with pytest.raises(Conflict), kept.draft():
            pass
        assert draft.is_dir()
    assert not draft.exists()


@pytest.mark.parametrize("name", ["../a.txt", "manifest.json", "", ".", "..", "a.txt/", "/etc/passwd", "a.txt\0", "A.TXT"])
def test_no_text_of_a_user_becomes_a_path(tmp_path: Path, name: str) -> None:
    release, _ = publish(tmp_path, {"a.txt": "x"})
    with pytest.raises(InputRejected):
        release.path("classic", name)
    with pytest.raises(InputRejected):
        release.path(name, "a.txt")


def test_a_file_that_is_taken_over_outlives_its_former_release(tmp_path: Path) -> None:
    publish(tmp_path, {"a.txt": "0", "train": "the same for ever"})
    for number in range(1, 4):
        kept = Releases(tmp_path)
        former = kept.current()
        assert former is not None
        with kept.draft() as draft:
            folder = draft / "classic" / "v1.0"
            folder.mkdir(parents=True)
            (folder / "a.txt").write_text(str(number))
            take_over(former.path("classic", "train"), folder)
            kept.publish(draft, {"classic": {"version": "v1.0", "published_at": ""}})
        assert whole(tmp_path) == {"a.txt": str(number), "train": "the same for ever"}
