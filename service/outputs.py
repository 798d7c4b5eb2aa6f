"""Files that a user asks for by a path: looked at before the work, and told in a sentence when they cannot be written.

Not here: how a file is written whole or not at all (:mod:`service.atomic`).
"""

import os
from pathlib import Path

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.atomic import write_file


def refuse_output(path: Path | None, *read: Path | None) -> None:
    """Refuse a path at which no file could be written now; None is no path, and fine.

    Parameters
    ----------
    path : Path or None
    *read : Path or None
        Files that the same command reads.

    Raises
    ------
    InputRejected
        OUTPUT_PATH for a folder, a folder that is not there, one that takes no files, or one of the files that are read.
    """
    if path is None:
        return
    try:
        if path.is_dir():
            raise InputRejected(Code.OUTPUT_PATH, f"'{path}' is a folder, and a file is to be written.")
        if not path.parent.is_dir():
            raise InputRejected(Code.OUTPUT_PATH, f"There is no folder '{path.parent}' for the file '{path.name}'.")
        if not os.access(path.parent, os.W_OK):
            raise InputRejected(Code.OUTPUT_PATH, f"The folder '{path.parent}' takes no files.")
        if any(source is not None and source.exists() and path.exists() and path.samefile(source) for source in read):
            raise InputRejected(Code.OUTPUT_PATH, f"'{path}' is what is read here, and would be written over.")
    except (OSError, ValueError) as error:  # a name that is too long, or holds a zero byte
        raise InputRejected(Code.OUTPUT_PATH, f"'{str(path)[:80]}' is no path of a file here.") from error


def write_output(path: Path, data: bytes) -> None:
    """Write a file whole, or leave what stood there.

    Raises
    ------
    InputRejected
        OUTPUT_PATH as :func:`refuse_output`, and for what the system refuses, such as a full disk.
    """
    refuse_output(path)
    try:
        write_file(path, data)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputRejected(Code.OUTPUT_PATH, f"The file '{path}' cannot be written: {reason}.") from error
