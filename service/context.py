"""The platform as one value: everything that a workflow may reach, opened once and passed along.

A workflow takes a :class:`Platform` and nothing else from outside: its settings, its home folder, its database, its files, its
clock, its source of ids, its signing key and its market desk. A replay hands the same workflows a simulated clock and seeded
ids; nothing else about them changes.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.atomic import write_file
from service.blobs import Blobs
from service.clock import Clock, SystemClock
from service.desk import MarketDesk
from service.home import Home
from service.idsource import IdSource, RandomIds
from service.receipts import Signer
from service.scorebook import ScoreBook
from service.settings import Settings, load_settings
from service.store.engine import Store

CLASSIC_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Platform:
    """What a workflow may reach. The fields are the shell's parts; none of them decides anything."""

    settings: Settings
    home: Home
    store: Store
    blobs: Blobs
    clock: Clock
    ids: IdSource
    signer: Signer
    desk: MarketDesk
    scorebook: ScoreBook

    @property
    def classic_secret(self) -> bytes:
        """The key of the classic tournament's ids and names; whoever holds it can map ids back to assets."""
        return _classic_secret(self.home.keys)


def _classic_secret(keys: Path) -> bytes:
    path = keys / "classic.key"
    if not path.exists():
        # Not replaced: of two processes that start at once, both must use the key of the first.
        write_file(path, secrets.token_bytes(CLASSIC_SECRET_BYTES), mode=0o600, replace=False)
    return path.read_bytes()


def store_url(settings: Settings, home: Home) -> str:
    """Return the address of the database: the setting, or SQLite in the home when that is empty."""
    return settings.database.url or f"sqlite:///{home.database}"


def build_platform(
    home: Home, settings: Settings, clock: Clock | None = None, ids: IdSource | None = None, *, durable: bool = True
) -> Platform:
    """Put a platform together on an opened home; the caller disposes of its store.

    ``durable=False`` writes files and rows without waiting for the disk: for a replay, which a power loss can only make start
    again.
    """
    from service.store.migrations import upgrade

    store = Store(store_url(settings, home), durable=durable)
    upgrade(store)
    return Platform(
        settings=settings,
        home=home,
        store=store,
        blobs=Blobs(home.rounds, sync=durable),
        clock=clock or SystemClock(),
        ids=ids or RandomIds(),
        signer=Signer.load_or_create(home.keys),
        desk=MarketDesk(home, settings),
        scorebook=ScoreBook(home.data / "scores", sync=durable),
    )


def init_home(path: Path, settings: Settings | None = None) -> Home:
    """Create a home at ``path`` with an empty database and fresh keys; refuses a folder in use."""
    home = Home.create(path)
    platform = build_platform(home, settings or load_settings())
    platform.store.dispose()
    return home


@contextmanager
def open_platform(
    path: Path, settings: Settings | None = None, clock: Clock | None = None, ids: IdSource | None = None
) -> Iterator[Platform]:
    """Open the home at ``path`` for the time of a ``with`` block."""
    platform = build_platform(Home.open(path), settings or load_settings(), clock, ids)
    try:
        yield platform
    finally:
        platform.store.dispose()
