"""Files that are there whole or not at all, whatever happens to the process or the power while they are written.

1. The bytes go to a temporary name in the same folder, and are synced to the disk.
2. The file gets its name in one step: a rename, or a hard link where an existing file must win.
3. The folder is synced, so that the name outlives a power failure too.
"""

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

TEMPORARY_PREFIX = ".unfinished-"
"""A file of this name is the rest of a write that was killed; anybody may delete it."""


def write_file(
    path: Path, data: "bytes | Sequence[Buffer]", *, mode: int = 0o644, replace: bool = True, sync: bool = True
) -> bool:
    """Write ``data`` to ``path``, all or nothing.

    Parameters
    ----------
    data : bytes or sequence of buffers
        Several are written one after the other, so that a header and an array need not be copied into one.
    mode : int
        Permissions of the file.
    replace : bool
        Whether an existing file is replaced; otherwise it stays as it is.
    sync : bool
        Whether to wait for the disk. Without it a power failure may lose the file, yet never leaves half of it under its name
        on a journalled file system.

    Returns
    -------
    bool
        False if a file stood there and was left.
    """
    handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines([data] if isinstance(data, bytes) else data)
            os.fchmod(file.fileno(), mode)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        written = _publish(temporary, path, replace=replace)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    if written and sync:
        sync_folder(path.parent)
    return written


def _publish(temporary: Path, path: Path, *, replace: bool) -> bool:
    if replace:
        temporary.replace(path)
        return True
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    return True


def sync_folder(folder: Path) -> None:
    """Wait until the names in ``folder`` are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
