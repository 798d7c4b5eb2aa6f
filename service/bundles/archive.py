"""The form of a bundle: one zip with a signed manifest, the same bytes for the same contents.

1. Files are stored uncompressed, in the order of their names, with one fixed time: no compressor's version changes a hash.
2. ``manifest.json`` names each other file with its SHA-256, says what the bundle is, and carries the platform's public key and
   an Ed25519 signature over everything else in it.
3. Reading checks all of that before anybody looks at a file: no name is doubled, missing or too much, and nothing is unpacked
   to a disk.

It does not know what the files mean; :mod:`service.bundles.payments` and :mod:`service.bundles.rescoring` do.
"""

import io
import json
import math
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crowdalpha.canonical import Plain, canonical_bytes, sha256_hex
from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.receipts import verify_signature

if TYPE_CHECKING:
    import numpy as np

    from service.receipts import Signer

BUNDLE_FORMAT = 1
MANIFEST = "manifest.json"
PUBLIC, COMPLETE = "public", "complete"
KINDS = (PUBLIC, COMPLETE)
"""``public``: integers that were published anyway, and what a provider's own file is scored beside. ``complete``: all files."""

SIZE_MAX_BYTES = 8 * 2**30
FILES_MAX = 100_000
_NAME = re.compile(r"[a-z0-9_]{1,80}(/[a-z0-9_]{1,80})?\.(json|npy|csv)")
_ARRAY_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(?P<kind>[<|=][a-zA-Z][0-9]{1,4})', 'fortran_order': False, "
    rb"'shape': \((?P<shape>[0-9]{0,10}(?:, ?[0-9]{1,10}){0,3},?)\), \} *\n",
    re.DOTALL,
)
_TIME = (1980, 1, 1, 0, 0, 0)
"""The oldest time that a zip can tell."""
_FILE_MODE = 0o100644 << 16


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that was read and whose manifest fits: its contents are what the signer put there.

    Attributes
    ----------
    kind : str
        ``public`` or ``complete``.
    round : str
        Such as ``signals-7``.
    public_key : str
        Of the platform, 64 hexadecimal digits, as the manifest names it.
    files : mapping of str to bytes
    """

    kind: str
    round: str
    public_key: str
    files: Mapping[str, bytes]

    def plain(self, name: str) -> Any:
        """Return the plain values of a JSON file; raises InputRejected where it is not there or not canonical."""
        return _plain(name, self._need(name))

    def array(self, name: str) -> "np.ndarray[Any, Any]":
        """Return the array of an ``.npy`` file; raises InputRejected where it is not there or holds objects."""
        try:
            return read_array(self._need(name))
        except (ValueError, TypeError) as error:
            raise unreadable(f"its file {name} is no array") from error

    def _need(self, name: str) -> bytes:
        if name not in self.files:
            raise unreadable(f"its file {name} is missing")
        return self.files[name]


def unreadable(why: str) -> InputRejected:
    """Return the error of a file that is no bundle, or not one of this version."""
    return InputRejected(Code.BUNDLE_UNREADABLE, f"The bundle cannot be read: {why}.")


def differs(what: str) -> InputRejected:
    """Return the error of a bundle that says something which does not follow from its own inputs."""
    return InputRejected(Code.BUNDLE_DIFFERS, f"The bundle does not hold: {what}.")


def array_bytes(array: "np.ndarray[Any, Any]") -> bytes:
    """Return an array as the bytes of an ``.npy`` file, row-major."""
    import numpy as np

    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def read_array(data: bytes) -> "np.ndarray[Any, Any]":
    """Return the array that :func:`array_bytes` wrote; raises ValueError for anything else.

    The header is read here, and not by NumPy, which evaluates it and makes room for whatever it promises.
    """
    import numpy as np

    found = _ARRAY_HEADER.match(data)
    if found is None:
        raise ValueError("no header of an array of numbers")
    kind = np.dtype(found["kind"].decode())
    shape = tuple(int(size) for size in found["shape"].replace(b" ", b"").split(b",") if size)
    rest = data[found.end() :]
    if math.prod(shape) * kind.itemsize != len(rest):
        raise ValueError("more or fewer values than the header says")
    array: np.ndarray[Any, Any] = np.frombuffer(rest, kind).reshape(shape)
    if array_bytes(array) != data:
        raise ValueError("not in the one form that its values have")
    return array


def write_bundle(kind: str, round_id: str, files: Mapping[str, bytes], signer: "Signer") -> bytes:
    """Return the bytes of a bundle; the same arguments give the same bytes."""
    told = _told(kind, round_id, signer.public_key, {name: sha256_hex(data) for name, data in files.items()})
    manifest = canonical_bytes(told | {"signature": signer.sign(canonical_bytes(told))})
    return _zip({**files, MANIFEST: manifest})


def _zip(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.external_attr = _FILE_MODE
            entry.create_system = 3  # the same byte on every operating system
            archive.writestr(entry, data)
    return buffer.getvalue()


def _told(kind: str, round_id: str, public_key: str, hashes: Mapping[str, str]) -> dict[str, Plain]:
    return {"format": BUNDLE_FORMAT, "kind": kind, "round": round_id, "public_key": public_key, "files": dict(hashes)}


def read_bundle(data: bytes, public_key: str | None = None) -> Bundle:
    """Read a bundle and check its manifest: form, hash of each file, signature.

    Parameters
    ----------
    data : bytes
        Any content.
    public_key : str, optional
        The platform's key as known from elsewhere. Without it the signature says only that the bundle is one piece: whoever
        made it may have named a key of their own.

    Raises
    ------
    InputRejected
        ``BUNDLE_UNREADABLE`` for what is no bundle of this format, or has files that are damaged, missing or too many;
        ``BUNDLE_DIFFERS`` if the signature or the key does not fit.
    """
    files = _unzip(data)
    if _zip(files) != data:
        raise unreadable("it is not in the one form that its contents have")
    if MANIFEST not in files:
        raise unreadable(f"it holds no {MANIFEST}")
    manifest = _plain(MANIFEST, files.pop(MANIFEST))
    told = _checked_form(manifest)
    for name in sorted(told["files"].keys() | files.keys()):
        if name not in files or name not in told["files"]:
            raise unreadable(f"the file {name} is {'missing' if name not in files else 'not in the manifest'}")
        if sha256_hex(files[name]) != told["files"][name]:
            raise unreadable(f"the file {name} has other bytes than the manifest says")
    key = told["public_key"]
    if public_key is not None and public_key.strip() != key:
        raise differs("it is signed under another key than the one given")
    if not verify_signature(canonical_bytes(told), manifest["signature"], key):
        raise differs("the signature does not fit its manifest")
    return Bundle(told["kind"], told["round"], key, files)


def _plain(name: str, data: bytes) -> Any:
    try:
        value = json.loads(data)
        whole = canonical_bytes(value) == data
    except (ValueError, TypeError, RecursionError) as error:
        raise unreadable(f"its file {name} is not JSON as it should be") from error
    if not whole:
        raise unreadable(f"its file {name} is not in canonical form")
    return value


def _checked_form(manifest: Any) -> dict[str, Any]:
    kinds = {"format": int, "kind": str, "round": str, "public_key": str, "files": dict, "signature": str}
    if not isinstance(manifest, dict) or sorted(manifest) != sorted(kinds):
        raise unreadable("its manifest has other fields than it should")
    if any(type(manifest[name]) is not kind for name, kind in kinds.items()):
        raise unreadable("a field of its manifest is of the wrong kind")
    if manifest["format"] != BUNDLE_FORMAT or manifest["kind"] not in KINDS:
        raise unreadable(f"it is of format {manifest['format']} and kind {manifest['kind'][:20]!r}, which are not known here")
    if any(not isinstance(sha, str) for sha in manifest["files"].values()):
        raise unreadable("a hash of its manifest is no text")
    return {name: value for name, value in manifest.items() if name != "signature"}


def _unzip(data: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if len(entries) > FILES_MAX or sum(entry.file_size for entry in entries) > SIZE_MAX_BYTES:
                raise unreadable("it is larger than any bundle")
            names = [entry.filename for entry in entries]
            odd = [name for name in names if not _NAME.fullmatch(name)]
            if odd or len(set(names)) != len(names):
                raise unreadable(f"it holds a file of the name {odd[0][:80]!r}" if odd else "two of its files have one name")
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise unreadable("its files are compressed, which those of a bundle never are")
            return {entry.filename: archive.read(entry) for entry in entries}
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, OSError, ValueError, RuntimeError) as error:
        raise unreadable("it is no zip file, or a damaged one") from error
