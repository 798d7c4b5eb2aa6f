"""The panel of a home: what ``data ingest``, ``replay`` and ``demo`` leave in ``data/`` and every later command reads.

Price and metadata files are kept under names that hold their hash, then ``panel.json`` is replaced, which names them, the
source and the flags. A kill before that leaves the former panel valid. Of a synthetic market only its spec is kept.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crowdalpha.canonical import sha256_hex
from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, Unavailable
from market.calendars import SessionCalendar, session_calendar
from market.panel import PointInTimePanel, build_panel
from service.atomic import write_file
from service.home import Home
from service.settings import Settings
from service.vendors.files import parquet_bytes, read_meta, read_prices

if TYPE_CHECKING:
    from market.synthetic import SyntheticSpec

MANIFEST = "panel.json"
CALENDAR_MARGIN_DAYS = 120
"""How far the calendar reaches beyond the last price: a round resolves 22 sessions after it opens, and one more opens then."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Files that were read and judged, and are not kept yet: the two Arrow tables and their panel."""

    rows: Any
    about: Any
    panel: PointInTimePanel


def read_batch(settings: Settings, prices: Path, meta: Path | None, last: date | None = None) -> Batch:
    """Read and judge the files; raises what they are refused for. No row after the session ``last`` is read."""
    rows = read_prices(prices, last)
    about = read_meta(meta) if meta is not None else None
    return Batch(rows, about, _build(rows, about, settings))


def keep_batch(home: Home, batch: Batch) -> None:
    """Make ``batch`` the panel of the home."""
    files = {}
    for stem, table in (("prices", batch.rows), ("assets", batch.about)):
        if table is None:
            continue
        data = parquet_bytes(table)
        sha = sha256_hex(data)
        name = f"{stem}-{sha[:16]}.parquet"
        write_file(home.data / name, data)
        files[name] = sha
    _write_manifest(home, {"source": batch.panel.source, "flags": sorted(batch.panel.flags), "files": files})


def keep_synthetic(home: Home, spec: "SyntheticSpec", panel: PointInTimePanel) -> None:
    """Make the synthetic market of ``spec`` the panel of the home; the spec is kept, because it gives the same bytes again."""
    plain = {k: str(v) if isinstance(v, date) else v for k, v in asdict(spec).items()}
    _write_manifest(home, {"source": panel.source, "flags": sorted(panel.flags), "spec": plain, "files": {}})


def load_panel(home: Home, settings: Settings) -> PointInTimePanel:
    """Return the panel that the home holds.

    Raises
    ------
    Unavailable
        PRICES_MISSING when nothing was ingested, or a file does not have the hash that ``panel.json`` names.
    """
    manifest = home.data / MANIFEST
    if not manifest.is_file():
        raise Unavailable(Code.PRICES_MISSING, "This home holds no prices yet: run `crowdalpha data ingest`.")
    about = json.loads(manifest.read_text())
    if "spec" in about:
        return _generate(about["spec"])
    for name, sha in about["files"].items():
        if _sha(home.data / name) != sha:
            raise Unavailable(Code.PRICES_MISSING, f"'{name}' in the home is not the file that was ingested.")
    paths = {name.split("-")[0]: home.data / name for name in about["files"]}
    assets = read_meta(paths["assets"]) if "assets" in paths else None
    panel = _build(read_prices(paths["prices"]), assets, settings)
    _give_memory_back()
    return panel


def _give_memory_back() -> None:
    """Return what the table of prices took: Arrow keeps it otherwise, and only Arrow could use it again."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


def _generate(plain: dict[str, Any]) -> PointInTimePanel:
    from market.synthetic import SyntheticSpec, generate_market

    values = dict(plain)
    for name in ("start", "end"):
        values[name] = date.fromisoformat(values[name])
    values["countries"] = tuple(values["countries"])
    return generate_market(SyntheticSpec(**values))


def ingested_flags(home: Home) -> list[str]:
    """Return what every report must say of the home's data; empty before anything was ingested."""
    manifest = home.data / MANIFEST
    if not manifest.is_file():
        return []
    flags: list[str] = json.loads(manifest.read_text())["flags"]
    return flags


def _build(rows: Any, about: Any, settings: Settings) -> PointInTimePanel:
    import pyarrow.compute as pc

    if rows.num_rows == 0:
        raise InputRejected(Code.PRICES_INVALID, "The price file holds no row up to that date.")
    span = pc.min_max(rows.column("date")).as_py()
    calendar = calendar_for(settings, _date(span["min"]), _date(span["max"]))
    return build_panel(rows, about, calendar, settings.market.vendor_delay_minutes)


def calendar_for(settings: Settings, first: date, last: date) -> SessionCalendar:
    """Return the settings' exchange calendar from ``first`` to a margin beyond ``last``."""
    return session_calendar(settings.market.calendar, first, last + timedelta(days=CALENDAR_MARGIN_DAYS))


def _write_manifest(home: Home, manifest: dict[str, Any]) -> None:
    write_file(home.data / MANIFEST, json.dumps(manifest, sort_keys=True, indent=1).encode())


def _sha(path: Path) -> str:
    try:
        with path.open("rb") as handle:
            return hashlib.file_digest(handle, "sha256").hexdigest()
    except OSError as error:
        raise Unavailable(Code.PRICES_MISSING, f"'{path.name}' in the home cannot be read.") from error


def _date(value: Any) -> date:
    return value if isinstance(value, date) else date.fromisoformat(str(value)[:10])
