"""The store of market data in a home: long Parquet files that only grow, and one manifest that names them.

::

    data/market/market.json                   the manifest; replaced in one step, so the former state is valid until then
    data/market/<dataset>/prices/<year>/…     rows: asset, as_of, open, high, low, close, volume, known_at, price_basis
    data/market/<dataset>/events/…            splits, dividends and delistings, each with its known_at
    data/market/<dataset>/quarantine/…        rows that were set aside, each with its finding
    data/market/<dataset>/assets/…            what is known of each asset
    data/market/<dataset>/trail/…             what the quality gate remembers of the last batch
    data/market/<dataset>/reports/…           what it said of each batch
    data/market/fx/…                          exchange rates, as they came
    data/market/labels/…                      ticker maps, as they came; the newest counts
    data/market/market.draft.json             the manifest of an ingest that is still being judged
    data/market/market.lock                   held by the process that appends

1. A dataset is one vendor's view of one exchange: calendar, currency, price basis and delay are the same for all its rows.
2. Appending writes files named by their hash, then the manifest. A kill before the manifest leaves files that nobody names. A
   batch that was appended before has no effect.
3. Nothing is overwritten: a row on a cell that has one already is a revision, told apart by its ``known_at``.
4. What is looked at whole before it counts goes into a draft (:meth:`PriceStore.drafted`): the same files under a manifest of
   its own, which becomes the manifest in one step, or is thrown away.
5. Reading takes only the years that are asked for and checks each file against its hash.

Rows come in judged: the store keeps what it is given. What a panel makes of them is said in :mod:`service.pricepanel`.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from crowdalpha.canonical import sha256_hex
from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected, InvariantBroken
from service.atomic import write_file
from service.vendors.files import parquet_bytes

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from market.batch import EventRows, PriceRows

MANIFEST, DRAFT, LOCK = "market.json", "market.draft.json", "market.lock"
FORMAT = 1
LOCK_WAIT_SECONDS = 60.0
LOCK_POLL_SECONDS = 0.05
ROW_GROUP = 1 << 17
"""Rows that are read or skipped together."""

NUMBERS = ("open", "high", "low", "close", "volume")
RATES, TICKER_MAP = "fx", "labels"
"""Folders and names in the manifest of what is kept as it came; the newest file counts."""

KINDS = ("prices", "events", "quarantine", "assets", "trail", "reports")
NEWEST_ONLY = frozenset({"assets", "trail"})
"""Of these the newest file counts; former ones stay where they are, unnamed."""

ENDINGS = {"trail": ".npz", "reports": ".json"}
READ = ("asset", "as_of", *NUMBERS, "known_at")
OPTIONAL = frozenset({"high", "low"})


@dataclass(frozen=True, slots=True)
class Dataset:
    """What all rows of a dataset share.

    Attributes
    ----------
    name : str
        Folder and name; lower-case letters, digits and hyphens.
    source : str
        The vendor.
    exchange : str
        ISO 10383 code of the calendar.
    country, currency : str
        Of the listing, ISO codes; ``unknown`` where mixed or not told.
    price_basis : str
        See :data:`market.batch.PRICE_BASES`.
    vendor_delay_minutes : int
        A session's rows count as known so long after its close.
    """

    name: str
    source: str
    exchange: str
    country: str
    currency: str
    price_basis: str
    vendor_delay_minutes: int

    def __post_init__(self) -> None:
        if not self.name or not set(self.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-"):
            raise InputRejected(Code.REQUEST_INVALID, f"'{self.name[:40]}' is no name of a dataset: use a-z, 0-9 and hyphens.")


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append did.

    Attributes
    ----------
    rows, events, quarantined : int
        What the batch held.
    fresh : bool
        False when the same batch had been appended before; then nothing was written.
    """

    rows: int
    events: int
    quarantined: int
    fresh: bool


@dataclass(frozen=True, slots=True)
class PriceStore:
    """The market data of a home.

    Attributes
    ----------
    folder : Path
        ``data/market`` of a home; made on the first append.
    sync : bool
        Whether writes wait for the disk.
    draft : bool
        True for the store that :meth:`drafted` yields.
    """

    folder: Path
    sync: bool = True
    draft: bool = False

    def manifest(self) -> dict[str, Any]:
        """Return what is kept: ``datasets`` by name, each with its :class:`Dataset` fields, files, flags and batches.

        Raises
        ------
        InvariantBroken
            ``blob_broken`` for a manifest that cannot be read.
        """
        try:
            found: dict[str, Any] = json.loads(self.manifest_path.read_bytes())
        except FileNotFoundError:
            return {"format": FORMAT, "datasets": {}}
        except (OSError, ValueError) as error:
            raise InvariantBroken(Code.BLOB_BROKEN, f"The manifest of the market data cannot be read: {error}.") from error
        if found.get("format") != FORMAT:
            raise InvariantBroken(Code.BLOB_BROKEN, f"The market data have format {found.get('format')}, not {FORMAT}.")
        return found

    def holds(self, dataset: str, batch_id: str) -> bool:
        """Say whether a batch was appended to a dataset before."""
        entry = self.manifest()["datasets"].get(dataset, {"batches": []})
        return any(batch["id"] == batch_id for batch in entry["batches"])

    def append(
        self,
        dataset: Dataset,
        prices: "PriceRows",
        events: "EventRows",
        *,
        batch_id: str,
        assets: Any = None,
        quarantine: Any = None,
        flags: Sequence[str] = (),
        fetched_at: str = "",
        trail: bytes | None = None,
        report: bytes | None = None,
    ) -> Appended:
        """Add judged rows to a dataset, all or nothing.

        Parameters
        ----------
        dataset : Dataset
            A new one, or one that is kept already with the same fields.
        prices, events : PriceRows, EventRows
            What was accepted.
        batch_id : str
            Hash of the batch before it was judged.
        assets : pyarrow.Table, optional
            What is known of assets: ``ticker`` and any of ``sector``, ``listing_country``, ``shares_out_approx``; it takes the
            place of the former table.
        quarantine : pyarrow.Table, optional
            What was set aside.
        flags : sequence of str
            What every report must say of these rows.
        fetched_at : str
            When they were fetched, ISO text.
        trail : bytes, optional
            What the quality gate remembers after the batch.
        report : bytes, optional
            What it said of the batch, JSON.

        Raises
        ------
        Conflict
            ``ingest_running`` when another process appends for a minute; ``dataset_differs`` when the dataset is kept with
            another calendar, currency, basis or delay.
        """
        with self._locked():
            manifest = self.manifest()
            entry = manifest["datasets"].setdefault(dataset.name, _fresh_entry(dataset))
            _refuse_difference(entry["about"], dataset)
            result = Appended(len(prices), len(events), 0 if quarantine is None else quarantine.num_rows, fresh=True)
            known = any(batch["id"] == batch_id for batch in entry["batches"])
            changed = assets is not None and self._put(entry, dataset.name, "assets", parquet_bytes(assets), ".parquet")
            if known and not changed:
                return replace(result, fresh=False)
            if not known:
                self._keep_rows(entry, dataset, prices, events, quarantine)
                for kind, data in (("trail", trail), ("reports", report)):
                    if data is not None:
                        self._put(entry, dataset.name, kind, data, ENDINGS[kind])
                entry["flags"] = sorted({*entry["flags"], *flags})
                counts = {"rows": result.rows, "events": result.events, "quarantined": result.quarantined}
                entry["batches"].append({"id": batch_id, "fetched_at": fetched_at, **counts})
            _put_manifest(self, manifest)
        return result

    @contextmanager
    def drafted(self) -> Iterator["PriceStore"]:
        """Yield a store that holds what this one does, and whose changes count here once the block ends without an error.

        Other processes that append wait meanwhile, as long as :meth:`append` lets them.

        Raises
        ------
        Conflict
            ``ingest_running`` when another process appends for a minute.
        """
        with self._locked():
            draft = replace(self, draft=True)
            before = self.manifest()
            _put_manifest(draft, before)
            try:
                yield draft
                if draft.manifest() != before:
                    _put_manifest(self, draft.manifest())
            finally:
                draft.manifest_path.unlink(missing_ok=True)

    @property
    def manifest_path(self) -> Path:
        """The file that names what is kept."""
        return self.folder / (DRAFT if self.draft else MANIFEST)

    def keep_rates(self, data: bytes) -> None:
        """Keep a table of exchange rates as it came, in the place of the former one; it was read before."""
        self._keep_whole(RATES, data)

    def rates(self) -> bytes | None:
        """Return the kept table of exchange rates as it came, None where there is none; raises like :meth:`prices`."""
        return self._whole(RATES)

    def keep_ticker_map(self, data: bytes) -> None:
        """Keep a ticker map as it came, in the place of the former one, whose file stays; it was read before."""
        self._keep_whole(TICKER_MAP, data)

    def ticker_map(self) -> bytes | None:
        """Return the kept ticker map as it came, None where there is none; raises like :meth:`prices`."""
        return self._whole(TICKER_MAP)

    def _keep_whole(self, kind: str, data: bytes) -> None:
        with self._locked():
            manifest = self.manifest()
            sha = sha256_hex(data)
            name = f"{kind}/{sha[:20]}"
            (self.folder / kind).mkdir(exist_ok=True)
            write_file(self.folder / name, data, sync=self.sync)
            manifest[kind] = {"file": name, "sha256": sha}
            _put_manifest(self, manifest)

    def _whole(self, kind: str) -> bytes | None:
        entry = self.manifest().get(kind)
        return None if entry is None else self._checked(entry)

    def tables(self, name: str, kind: str) -> "list[pa.Table]":
        """Return the files of one kind (``events``, ``quarantine``, ``assets``) of a dataset; raises like :meth:`prices`."""
        return [file.read() for file in self._opened(name, kind)]

    def bytes_of(self, name: str, kind: str) -> list[bytes]:
        """Return the files of one kind (``trail``, ``reports``) of a dataset as they are; raises like :meth:`prices`."""
        return list(self._parts(name, kind))

    def prices(self, name: str, first: date | None = None, last: date | None = None) -> "pa.Table | None":
        """Return the price rows of a dataset, sorted within each file: at least those from ``first`` to ``last``.

        Years, then groups of rows beyond these dates are not read, nor columns in which nothing stands. None where there
        are no rows.

        Raises
        ------
        InvariantBroken
            ``blob_broken`` for a file that is gone or was changed.
        """
        import pyarrow as pa

        years = (0 if first is None else first.year, 9999 if last is None else last.year)
        found = []
        for file in self._opened(name, "prices", years):
            groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
            span = [_span(group, "as_of") for group in groups]
            wanted = [
                i for i, (low, high) in enumerate(span) if (first is None or high >= first) and (last is None or low <= last)
            ]
            said = [column for column in READ if column not in OPTIONAL or not all(_is_void(group, column) for group in groups)]
            if wanted:
                found.append(file.read_row_groups(wanted, columns=said))
        return pa.concat_tables(found, promote_options="default").unify_dictionaries() if found else None

    def _opened(self, name: str, kind: str, years: tuple[int, int] = (0, 9999)) -> "Iterator[pq.ParquetFile]":
        import pyarrow as pa
        import pyarrow.parquet as pq

        for data in self._parts(name, kind, years):
            yield pq.ParquetFile(pa.BufferReader(data), read_dictionary=["asset"] if kind == "prices" else None)

    def _parts(self, name: str, kind: str, years: tuple[int, int] = (0, 9999)) -> Iterator[bytes]:
        for part in self.manifest()["datasets"].get(name, {}).get(kind, []):
            if not years[0] <= part.get("year", years[0]) <= years[1]:
                continue
            yield self._checked(part)

    def _checked(self, part: Mapping[str, Any]) -> bytes:
        """Return the bytes of a file that the manifest names, if they are those that were kept."""
        try:
            data: bytes = (self.folder / part["file"]).read_bytes()
        except OSError as error:
            raise InvariantBroken(Code.BLOB_BROKEN, f"The stored file {part['file']} is gone.") from error
        if sha256_hex(data) != part["sha256"]:
            raise InvariantBroken(Code.BLOB_BROKEN, f"The stored file {part['file']} was changed.")
        return data

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.draft:  # whoever drafts holds the lock
            yield
            return
        handle = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        patience = monotonic() + LOCK_WAIT_SECONDS
        try:
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if monotonic() > patience:
                        message = "Another process is adding market data; try again later."
                        raise Conflict(Code.INGEST_RUNNING, message) from error
                    sleep(LOCK_POLL_SECONDS)
            yield
        finally:
            os.close(handle)

    def _keep_rows(
        self, entry: dict[str, Any], dataset: Dataset, prices: "PriceRows", events: "EventRows", quarantine: Any
    ) -> None:
        import numpy as np

        years = prices.dates.astype("datetime64[Y]")
        for year in np.unique(years):
            rows = prices.take(years == year)
            table = _price_table(rows, dataset.price_basis)
            repeating = [column for column in table.column_names if column not in NUMBERS]
            data = parquet_bytes(table, row_group_rows=ROW_GROUP, repeating=repeating)
            label = int(year.astype(int)) + 1970
            self._put(entry, dataset.name, "prices", data, f"{label}/.parquet", {"year": label, "rows": len(rows)})
        if len(events):
            self._put(entry, dataset.name, "events", parquet_bytes(_event_table(events)), ".parquet", {"rows": len(events)})
        if quarantine is not None and quarantine.num_rows:
            data = parquet_bytes(quarantine)
            self._put(entry, dataset.name, "quarantine", data, ".parquet", {"rows": quarantine.num_rows})

    def _put(
        self, entry: dict[str, Any], dataset: str, kind: str, data: bytes, ending: str, extra: Mapping[str, Any] | None = None
    ) -> bool:
        """Write a file under its hash and name it in ``entry``; say whether it was not named there."""
        folder, _, ending = ending.rpartition("/")
        sha = sha256_hex(data)
        name = "/".join(part for part in (dataset, kind, folder, f"{sha[:20]}{ending}") if part)
        if any(part["file"] == name for part in entry[kind]):
            return False
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not (path.is_file() and path.stat().st_size == len(data)):
            write_file(path, data, sync=self.sync)
        former = [] if kind in NEWEST_ONLY else entry[kind]
        entry[kind] = [*former, {"file": name, "sha256": sha, **(extra or {})}]
        return True


def _fresh_entry(dataset: Dataset) -> dict[str, Any]:
    kinds: dict[str, list[Any]] = {kind: [] for kind in KINDS}
    return {"about": asdict(dataset), "flags": [], "batches": [], **kinds}


def _refuse_difference(kept: Mapping[str, Any], dataset: Dataset) -> None:
    for name, value in asdict(dataset).items():
        if kept[name] != value:
            message = f"The dataset '{dataset.name}' is kept with {name} '{kept[name]}', not '{value}'; choose another name."
            raise Conflict(Code.DATASET_DIFFERS, message)


def _price_table(rows: "PriceRows", price_basis: str) -> Any:
    import numpy as np
    import pyarrow as pa

    labels, codes = np.unique(rows.tickers, return_inverse=True)
    order = np.lexsort((rows.known_at, codes, rows.dates))
    names = pa.array(labels.tolist(), pa.string())
    columns: dict[str, Any] = {
        "asset": pa.DictionaryArray.from_arrays(pa.array(codes[order].astype(np.int32)), names),
        "as_of": pa.array(rows.dates[order]),
    }
    for name in NUMBERS:
        columns[name] = pa.array(getattr(rows, name)[order], from_pandas=True)
    columns["known_at"] = pa.array(rows.known_at[order].astype("datetime64[us]"))
    columns["price_basis"] = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(len(rows), dtype=np.int8)), pa.array([price_basis], pa.string())
    )
    return pa.table(columns)


def _put_manifest(store: PriceStore, manifest: Mapping[str, Any]) -> None:
    write_file(store.manifest_path, json.dumps(manifest, sort_keys=True, indent=1).encode(), sync=store.sync)


def _event_table(events: "EventRows") -> Any:
    import pyarrow as pa

    texts = {"kind": events.kinds, "asset": events.tickers, "reason": events.reasons}
    columns: dict[str, Any] = {name: pa.array(values.tolist(), pa.string()) for name, values in texts.items()}
    columns["as_of"] = pa.array(events.dates)
    columns["value"] = pa.array(events.values, from_pandas=True)
    columns["known_at"] = pa.array(events.known_at.astype("datetime64[us]"))
    return pa.table(columns)


def _column(group: Any, name: str) -> Any:
    return next(c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == name)


def _span(group: Any, name: str) -> tuple[date, date]:
    found = _column(group, name).statistics
    return found.min, found.max


def _is_void(group: Any, name: str) -> bool:
    found = _column(group, name).statistics
    return bool(found.null_count == group.num_rows)


def give_memory_back() -> None:
    """Return what freed tables took: Arrow keeps it otherwise, and only Arrow could use it again."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
