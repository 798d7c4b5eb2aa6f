"""The one source of ids: UUIDs as text, random when live and seeded in a replay, so that a replay repeats to the byte."""

import hashlib
import itertools
import uuid
from typing import Protocol


class IdSource(Protocol):
    """What names new things."""

    def new(self) -> str:
        """Return an id that was not returned before."""


class RandomIds:
    """Ids of a live platform: random UUIDs (version 4)."""

    def new(self) -> str:
        """Return a random id."""
        return str(uuid.uuid4())


class SeededIds:
    """Ids of a replay: the same seed gives the same sequence. Whoever knows the seed can guess them, so never use them live."""

    def __init__(self, seed: int | str) -> None:
        self._seed = seed
        self._count = itertools.count()

    def new(self) -> str:
        """Return the next id of the sequence."""
        digest = hashlib.sha256(f"{self._seed}:{next(self._count)}".encode()).digest()
        return str(uuid.UUID(bytes=digest[:16], version=4))
