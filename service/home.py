"""A home: the folder in which one platform keeps everything that is its own.

::

    home.toml        format version; written last, so a folder without it is no home
    crowdalpha.db    the database, unless the settings name another
    data/            market data
    rounds/          content-addressed files of the rounds
    reports/         summaries and tear sheets
    heads/           daily heads of the ledger, from the first session on
    keys/            private keys, mode 0700
    home.lock        held by a process that needs the home for itself

It is not the settings: those come from ``config/`` and the environment.
"""

import fcntl
import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected
from service.atomic import TEMPORARY_PREFIX, write_file

FORMAT_VERSION = 1
FOLDERS = ("data", "rounds", "reports", "keys")
FILE_NAME = "home.toml"
LOCK_NAME = "home.lock"

_TEXT = f"""\
# Made by crowdalpha. This folder belongs to the program: change nothing in it by hand.

# Version of the folder's layout. A program of another layout refuses the folder instead of guessing.
format_version = {FORMAT_VERSION}
"""


@dataclass(frozen=True, slots=True)
class Home:
    """An existing home; get one with :meth:`create` or :meth:`open`."""

    path: Path

    @property
    def data(self) -> Path:
        """Folder of the market data."""
        return self.path / "data"

    @property
    def rounds(self) -> Path:
        """Folder of the rounds' content-addressed files."""
        return self.path / "rounds"

    @property
    def reports(self) -> Path:
        """Folder of summaries and tear sheets."""
        return self.path / "reports"

    @property
    def keys(self) -> Path:
        """Folder of private keys, mode 0700."""
        return self.path / "keys"

    @property
    def database(self) -> Path:
        """File of the SQLite database."""
        return self.path / "crowdalpha.db"

    @staticmethod
    def is_fresh(path: Path) -> bool:
        """Say whether a home may be created at ``path``: nothing is there, or an empty folder.

        What a creation that was killed left behind (our own folders, empty, and no ``home.toml``) counts as empty.
        """
        if not path.exists():
            return not path.is_symlink()
        return path.is_dir() and all(_is_leftover(item) for item in path.iterdir())

    @classmethod
    def create(cls, path: Path) -> "Home":
        """Make a home at ``path``.

        Raises
        ------
        Conflict
            ``HOME_IN_USE`` if something is there already.
        InputRejected
            ``HOME_MISSING`` if the folder cannot be made there.
        """
        home = cls(Path(path).absolute())
        try:
            if not cls.is_fresh(home.path):
                raise Conflict(Code.HOME_IN_USE, f"{home.path} is not empty: a new home needs a new or empty folder.")
            home.path.mkdir(parents=True, exist_ok=True)
            for name in FOLDERS:
                (home.path / name).mkdir(exist_ok=True)
            home.keys.chmod(0o700)
            # Not replaced: of two processes that create the same home at once, one must be told that it came second.
            if not write_file(home.path / FILE_NAME, _TEXT.encode(), replace=False):
                raise Conflict(Code.HOME_IN_USE, f"Another process made a home at {home.path} at the same time.")
        except OSError as error:
            raise InputRejected(Code.HOME_MISSING, f"No home can be made at {home.path}: {error.strerror}.") from error
        return home

    @classmethod
    def open(cls, path: Path) -> "Home":
        """Open the home at ``path``.

        Raises
        ------
        InputRejected
            ``HOME_MISSING`` if there is no finished home, or it cannot be read.
        Conflict
            ``HOME_VERSION`` if it is of another format version.
        """
        home = cls(Path(path).absolute())
        try:
            text = (home.path / FILE_NAME).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InputRejected(Code.HOME_MISSING, f"There is no home at {home.path}; `crowdalpha init` makes one.") from error
        except (OSError, UnicodeDecodeError) as error:
            raise InputRejected(Code.HOME_MISSING, f"The home at {home.path} cannot be read: {error}.") from error
        version = _version(text)
        # A truth value equals 1 in Python, and is no version.
        if type(version) is not int or version != FORMAT_VERSION:
            raise Conflict(
                Code.HOME_VERSION, f"The home at {home.path} has format version {version}; this program knows {FORMAT_VERSION}."
            )
        for name in FOLDERS:
            (home.path / name).mkdir(mode=0o700 if name == "keys" else 0o777, exist_ok=True)
        return home

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the home for this process alone during a ``with`` block; the system frees it if the process dies.

        Raises
        ------
        Conflict
            ``HOME_IN_USE`` at once, without waiting, if another holds it.
        """
        handle = os.open(self.path / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Conflict(Code.HOME_IN_USE, f"The home at {self.path} is in use by another process.") from error
            yield
        finally:
            os.close(handle)


def _is_leftover(item: Path) -> bool:
    if item.name.startswith(TEMPORARY_PREFIX):
        return True
    return item.name in FOLDERS and item.is_dir() and not item.is_symlink() and not any(item.iterdir())


def _version(text: str) -> object:
    try:
        return tomllib.loads(text).get("format_version", "unknown")
    except tomllib.TOMLDecodeError:
        return "unreadable"
