"""A vendor's answers as they were received, and the record of an interrupted run: what makes a long ingest resumable.

Nothing here reads an answer. A run is a folder::

    20181119T220000Z-01-3f9c0a…/   when it was begun, a number, and the digest of what was asked
        request.json               what was asked, for people
        answers/                   one gzip file an answer: ticker, instant, HTTP status in the name
        part-00001.json            a part that was kept, with its findings
        finished                   nothing is left to ask

1. Asked the same again, the newest run with that digest goes on unless it is finished.
2. A file is there whole or not at all, and each is written after what it vouches for. A kill at any moment loses at most the
   answer that was under way.
"""

import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from crowdalpha.canonical import sha256_hex
from service.atomic import write_file

SUFFIX = ".json.gz"
INSTANT = "%Y%m%dT%H%M%S.%fZ"
DIGEST_LENGTH = 16
FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """One answer of a vendor.

    Attributes
    ----------
    ticker : str
    fetched_at : datetime
        Aware UTC.
    status : int
        HTTP status.
    body : bytes
        As received, after the transport's own compression.
    """

    ticker: str
    fetched_at: datetime
    status: int
    body: bytes


class RawAnswers:
    """A folder of answers, indexed once; the newest answer of a ticker is the one that is found."""

    def __init__(self, folder: Path, *, sync: bool = True) -> None:
        self._folder, self._sync = folder, sync
        folder.mkdir(parents=True, exist_ok=True)
        self._newest: dict[str, Path] = {}
        for path in sorted(folder.glob(f"*{SUFFIX}"), key=lambda p: p.name.split("~")[1:]):
            self._newest[unquote(path.name.split("~")[0])] = path

    def keep(self, answer: RawAnswer) -> None:
        """Write an answer; it is on the disk when this returns."""
        # A tilde survives quoting and parts the name: no vendor's label has one.
        label = quote(answer.ticker, safe="").replace("~", "%7E")
        path = self._folder / f"{label}~{answer.fetched_at.astimezone(UTC).strftime(INSTANT)}~{answer.status}{SUFFIX}"
        write_file(path, gzip.compress(answer.body, mtime=0), sync=self._sync)
        self._newest[answer.ticker] = path

    def find(self, ticker: str) -> RawAnswer | None:
        """Return the newest answer for ``ticker``; None where there is none that can be read."""
        path = self._newest.get(ticker)
        if path is None:
            return None
        _, instant, status = path.name.removesuffix(SUFFIX).split("~")
        try:
            body = gzip.decompress(path.read_bytes())
        except (OSError, EOFError, zlib.error):
            return None
        # No answer worth keeping is empty: an empty file was never written whole.
        if not body:
            return None
        return RawAnswer(ticker, datetime.strptime(instant, INSTANT).replace(tzinfo=UTC), int(status), body)


class FetchRun:
    """One run of a request against a remote source, begun or taken up again with :func:`open_run`."""

    def __init__(self, folder: Path, *, sync: bool = True) -> None:
        self.folder, self._sync = folder, sync
        self.answers = RawAnswers(folder / "answers", sync=sync)

    def done(self) -> dict[int, dict[str, Any]]:
        """Return what was recorded of each part that was kept, by its number."""
        parts = sorted(self.folder.glob("part-*.json"))
        return {int(path.stem.removeprefix("part-")): json.loads(path.read_text()) for path in parts}

    def mark_done(self, number: int, record: Mapping[str, Any]) -> None:
        """Record that a part was kept whole; call it after its batch is safe."""
        data = json.dumps(record, sort_keys=True, indent=1).encode()
        write_file(self.folder / f"part-{number:05d}.json", data, sync=self._sync)

    def finish(self) -> None:
        """Record that nothing is left to ask; the same question then begins a new run."""
        write_file(self.folder / FINISHED, b"", sync=self._sync)


def open_run(root: Path, asked: Mapping[str, Any], now: datetime, *, sync: bool = True) -> FetchRun:
    """Take up the newest unfinished run of the same question below ``root``, or begin one.

    Parameters
    ----------
    root : Path
        Folder of the source's runs; made where it is missing.
    asked : mapping
        Plain JSON values that decide which parts there are and what is asked in each.
    now : datetime
        Aware; names a new run.
    """
    root.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asked, sort_keys=True, indent=1).encode()
    digest = sha256_hex(text)[:DIGEST_LENGTH]
    begun = [path for path in sorted(root.glob(f"*-{digest}")) if not (path / FINISHED).exists()]
    # The number tells runs apart that begin in one second.
    names = (root / f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{number:02d}-{digest}" for number in count(1))
    folder = begun[-1] if begun else next(path for path in names if not path.exists())
    folder.mkdir(exist_ok=True)
    write_file(folder / "request.json", text, sync=sync)
    return FetchRun(folder, sync=sync)
