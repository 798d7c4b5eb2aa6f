"""Content-addressed files: large things are stored once under the hash of their bytes, and checked whenever they are read.

A row in the database names the hash. The file is written before the row that names it, so a row never points to nothing; a file
that no row names is an orphan and does no harm. Nothing is ever changed in place.
"""

import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crowdalpha.canonical import sha256_hex
from crowdalpha.codes import Code
from crowdalpha.errors import InvariantBroken
from service.atomic import sync_folder, write_file

if TYPE_CHECKING:
    import numpy as np
    from _typeshed import ReadableBuffer as Buffer

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Blobs:
    """A folder of content-addressed files.

    Attributes
    ----------
    root : Path
        The folder; files lie in ``<first two digits>/<hash>`` below it.
    sync : bool
        Whether a write waits for the disk. A replay may leave it out: after a power failure it starts again anyhow.
    """

    root: Path
    sync: bool = True

    def path(self, sha: str) -> Path:
        """Return where the file of hash ``sha`` lies, or would lie."""
        if not _SHA256.fullmatch(sha):
            raise InvariantBroken(Code.BLOB_BROKEN, f"{sha[:80]!r} is not a SHA-256 in lower-case hexadecimal.")
        return self.root / sha[:2] / sha

    def __contains__(self, sha: str) -> bool:
        return self.path(sha).is_file()

    def put(self, data: bytes) -> str:
        """Store ``data`` and return its SHA-256 in hexadecimal; storing the same bytes again does nothing."""
        return self._put(sha256_hex(data), len(data), [data])

    def _put(self, sha: str, length: int, parts: "Sequence[Buffer]") -> str:
        path = self.path(sha)
        # The length tells a whole file from the torn one that a power failure may leave of a write without sync.
        if path.is_file() and path.stat().st_size == length:
            return sha
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            if self.sync:
                sync_folder(self.root)
        write_file(path, parts, mode=0o444, sync=self.sync)
        return sha

    def get(self, sha: str) -> bytes:
        """Return the bytes of hash ``sha``.

        Raises
        ------
        InvariantBroken
            ``BLOB_BROKEN`` if the file is gone or its bytes have another hash.
        """
        path = self.path(sha)
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise InvariantBroken(Code.BLOB_BROKEN, f"The stored file {path} is gone.") from error
        if sha256_hex(data) != sha:
            raise InvariantBroken(Code.BLOB_BROKEN, f"The stored file {path} was changed: its bytes have another hash.")
        return data

    def put_array(self, array: "np.ndarray[Any, Any]") -> str:
        """Store an array of numbers or fixed-width text in NumPy's ``.npy`` form, row-major; return its hash."""
        import numpy as np

        whole = np.ascontiguousarray(array)
        if whole.dtype.hasobject:
            raise ValueError("Objects would need pickle, which is never stored.")
        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(buffer, np.lib.format.header_data_from_array_1_0(whole))
        # A round's matrix has hundreds of megabytes: it is hashed and written where it lies.
        parts = [buffer.getvalue(), whole.reshape(-1).view(np.uint8).data if whole.size else b""]
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part)
        return self._put(digest.hexdigest(), len(parts[0]) + whole.nbytes, parts)

    def get_array(self, sha: str) -> "np.ndarray[Any, Any]":
        """Return the array of hash ``sha``, read-only; raises like :meth:`get`."""
        import numpy as np

        array: np.ndarray[Any, Any] = np.load(io.BytesIO(self.get(sha)), allow_pickle=False)
        array.flags.writeable = False
        return array

    def map_array(self, sha: str) -> "np.ndarray[Any, Any]":
        """Return the array of hash ``sha`` as a read-only memory map; raises like :meth:`get`.

        The file is hashed once in pieces and never copied, so that a round of gigabytes costs no memory.
        """
        import numpy as np

        path = self.path(sha)
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError as error:
            raise InvariantBroken(Code.BLOB_BROKEN, f"The stored file {path} is gone.") from error
        if found != sha:
            raise InvariantBroken(Code.BLOB_BROKEN, f"The stored file {path} was changed: its bytes have another hash.")
        array: np.ndarray[Any, Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array
