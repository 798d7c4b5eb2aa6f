"""Files are found by the hash of their bytes, whole or not at all. Method: round trips, damage done by hand, killed writers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from crowdalpha.canonical import sha256_hex
from crowdalpha.codes import Code
from crowdalpha.errors import InvariantBroken
from service.atomic import TEMPORARY_PREFIX, write_file
from service.blobs import Blobs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path)


@pytest.mark.parametrize("data", [b"", b"x", b"\x00" * 100_000, os.urandom(1000)], ids=len)
def test_bytes_come_back_under_their_hash(blobs: Blobs, data: bytes) -> None:
    sha = blobs.put(data)
    assert sha == sha256_hex(data)
    assert blobs.get(sha) == data
    assert sha in blobs
    assert blobs.path(sha).stat().st_mode & 0o222 == 0


def test_the_same_bytes_are_stored_once(blobs: Blobs) -> None:
    assert blobs.put(b"same") == blobs.put(b"same")
    assert sum(path.is_file() for path in blobs.root.rglob("*")) == 1


@pytest.mark.parametrize("dtype", ["float64", "int8", "uint16", "bool", "<U12", "datetime64[D]"])
def test_arrays_come_back_equal_and_read_only(blobs: Blobs, dtype: str) -> None:
    array = np.arange(12).reshape(3, 4).astype(dtype)
    back = blobs.get_array(blobs.put_array(array))
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
    with pytest.raises(ValueError, match="read-only"):
        back[0, 0] = back[1, 1]


def test_equal_arrays_have_one_hash_whatever_their_layout(blobs: Blobs) -> None:
    array = np.arange(12.0).reshape(3, 4)
    assert blobs.put_array(array) == blobs.put_array(np.asfortranarray(array)) == blobs.put_array(array[:, ::-1][:, ::-1])


def test_objects_are_not_stored(blobs: Blobs) -> None:
    with pytest.raises(ValueError, match="pickle"):
        blobs.put_array(np.array([object()]))


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_file_is_never_read(blobs: Blobs, damage: str) -> None:
    sha = blobs.put(b"precious")
    path = blobs.path(sha)
    path.chmod(0o644)
    match damage:
        case "flip":
            path.write_bytes(b"preciout")
        case "cut":
            path.write_bytes(b"prec")
        case _:
            path.unlink()
    with pytest.raises(InvariantBroken) as caught:
        blobs.get(sha)
    assert caught.value.code is Code.BLOB_BROKEN


def test_storing_again_repairs_a_torn_file(blobs: Blobs) -> None:
    sha = blobs.put(b"precious")
    blobs.path(sha).chmod(0o644)
    blobs.path(sha).write_bytes(b"prec")
    blobs.put(b"precious")
    assert blobs.get(sha) == b"precious"


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 65, "0" * 64 + "\n"])
def test_a_hash_is_never_read_as_a_path(blobs: Blobs, name: str) -> None:
    with pytest.raises(InvariantBroken):
        blobs.get(name)


def test_an_existing_file_may_be_left_or_replaced(tmp_path: Path) -> None:
    path = tmp_path / "f"
    assert write_file(path, b"1", mode=0o600, replace=False)
    assert not write_file(path, b"2", replace=False)
    assert path.read_bytes() == b"1"
    assert path.stat().st_mode & 0o777 == 0o600
    assert write_file(path, b"3")
    assert path.read_bytes() == b"3"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_a_killed_writer_leaves_whole_files_only(tmp_path: Path) -> None:
    """A child writes without end and is killed at five instants; every file that has a name is whole."""
    code = (
        "import sys, itertools; from pathlib import Path; from service.blobs import Blobs\n"
        "b = Blobs(Path(sys.argv[1]), sync=False)\n"
        "for i in itertools.count(int(sys.argv[2])): b.put((b'%d,' % i) * 50_000); print(i, flush=True)"
    )
    for start in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), str(start * 10**6)], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        assert child.stdout.readline()
        time.sleep(0.02 * (start + 1))
        child.send_signal(signal.SIGKILL)
        child.communicate()
    files = [path for path in tmp_path.rglob("*") if path.is_file() and not path.name.startswith(TEMPORARY_PREFIX)]
    assert files
    assert all(sha256_hex(path.read_bytes()) == path.name for path in files)


def test_a_mapped_array_is_the_stored_one_and_is_checked(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    array = np.arange(12, dtype=np.uint16).reshape(3, 4)
    sha = blobs.put_array(array)
    mapped = blobs.map_array(sha)
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, array)
    assert not mapped.flags.writeable
    path = blobs.path(sha)
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    with pytest.raises(InvariantBroken):
        blobs.map_array(sha)
    path.unlink()
    with pytest.raises(InvariantBroken):
        blobs.map_array(sha)
