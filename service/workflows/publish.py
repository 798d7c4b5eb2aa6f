"""Publish both datasets: the classic tournament's obfuscated one, and beside it what the signals tournament names openly.

1. *load* the panel as known now, the terms in force and the release in force.
2. *decide* which eras are there: the ends of all weeks whose longest target window is known, parted by
   :mod:`signals.classic.split`. What the release in force holds stays as it is; only eras after it are built.
3. *commit* a release of all files of both datasets at once (:mod:`service.releases`), then a line in the audit trail.

Decision instant: the clock's. Published twice without a new era or session, nothing changes. A release is built anew from its
first era when what an era is has changed: its features, targets, secret, or the universe's rule.
"""

import hmac
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crowdalpha.canonical import Plain, canonical_bytes
from crowdalpha.terms import RoundTerms
from market.calendars import to_date
from market.exposures import YEAR_SESSIONS
from market.panel import PanelView
from service.context import Platform
from service.desk import week_end_rows
from service.eratables import EraWriter, read_eras
from service.progress import Progress, Silent
from service.releases import Release, Releases, take_over
from service.store import audit
from service.workflows import publish_classic as classic
from service.workflows import publish_signals as signals
from service.workflows.publish_history import PublishedEra, classic_terms, history_era, horizons_of
from signals.classic.features import FEATURES
from signals.classic.series import SERIES
from signals.classic.split import Split, split_eras
from signals.classic.targets import WAYS, published_targets

FORMAT = 1
EVERY_ROW = 10**6
PARTS = ("train", "validation")
TRAIN_FILES = (
    (classic.DATASET, "train.parquet"),
    (signals.DATASET, "train.parquet"),
    (signals.DATASET, "train_exposures.parquet"),
)


@dataclass(frozen=True, slots=True)
class Published:
    """What a publication came to: eras in each part, the live era, and whether anything changed."""

    train: int
    embargo: int
    validation: int
    live: str | None = None
    release: str | None = None
    changed: bool = False


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which eras there are, which of them must be built, and the release that holds the others."""

    split: Split
    fresh: dict[str, list[int]]
    former: Release | None
    ends: list[int]
    fingerprint: str


def releases(platform: Platform) -> Releases:
    """Return where a platform's published files are."""
    return Releases(platform.home.data / "published", platform.blobs.sync)


def publish(
    platform: Platform, weeks: int | None = None, progress: Progress | None = None, *, rebuild: bool = False
) -> Published:
    """Publish what is known now.

    Parameters
    ----------
    weeks : int, optional
        Most eras in a first publication; the setting otherwise.
    progress : Progress, optional
        One step an era, and one for the rest.
    rebuild : bool
        Build every era anew, so that corrections of past prices reach the history.

    Returns
    -------
    Published
        With no era in any part if none has all its returns yet; then nothing was written.

    Raises
    ------
    Conflict
        ``home_in_use`` while another process publishes.
    """
    now = platform.clock.now()
    view = platform.desk.view(now)
    terms = classic_terms(platform)
    kept = releases(platform)
    with kept.draft() as draft:
        plan = _plan(platform, view, terms, None if rebuild else kept.current(), weeks)
        if not plan.split.train:
            return Published(0, 0, 0)
        folders = {d.DATASET: draft / d.DATASET / d.VERSION for d in (classic, signals)}
        for folder in folders.values():
            folder.mkdir(parents=True)
        live = _write(platform, view, terms, plan, folders, progress or Silent())
        told = {
            d.DATASET: {"dataset": d.DATASET, "version": d.VERSION, "published_at": now.isoformat()}
            | _about(view, terms, plan, live[d.DATASET])
            for d in (classic, signals)
        }
        release, changed = kept.publish(draft, told)
    if changed:
        with platform.store.write() as connection:
            audit.record(connection, platform.clock.now(connection), "operator", "publish", release.folder.name, {"live": live})
    train, embargo, validation = (len(part) for part in plan.split)
    return Published(train, embargo, validation, live[classic.DATASET], release.folder.name, changed)


def _plan(platform: Platform, view: PanelView, terms: RoundTerms, standing: Release | None, weeks: int | None) -> _Plan:
    window = terms.scoring.lag_sessions + max(horizons_of(terms))
    fingerprint = _fingerprint(platform, terms)
    first, most = platform.settings.universe.min_history_sessions, weeks or platform.settings.datasets.weeks
    first = max(first, YEAR_SESSIONS)  # exposures look back so far
    # The newest session ends no week for sure, and counts as an end whenever it is.
    ends = [row for row in week_end_rows(view.sessions, first, EVERY_ROW) if row < len(view.sessions) - 1]
    rows = [row for row in ends if row + window < len(view.sessions)]
    labels = {row: to_date(view.sessions[row]).isoformat() for row in ends}
    eras = {} if standing is None else standing.manifests[classic.DATASET]["eras"]
    trained = [row for row in rows if eras and eras["train"]["first"] <= labels[row] <= eras["train"]["last"]]
    if standing is None or standing.manifests[classic.DATASET]["fingerprint"] != fingerprint or not trained:
        rows = rows[-most:]
        split = split_eras(rows, window, platform.settings.datasets.train_share)
        return _Plan(split, split._asdict(), None, [r for r in ends if rows and r >= rows[0]], fingerprint)
    split = split_eras([row for row in rows if row >= trained[0]], window, 1.0, trained[-1])
    newest = eras["validation"].get("last", "")
    fresh = {"train": [], "validation": [row for row in split.validation if labels[row] > newest]}
    return _Plan(split, fresh, standing, [row for row in ends if row >= trained[0]], fingerprint)


def _fingerprint(platform: Platform, terms: RoundTerms) -> str:
    """Return what tells whether former eras are of the same making. Keyed: a plain hash of true names could be guessed."""
    made_of: Plain = {
        "format": FORMAT,
        "features": [*FEATURES, *SERIES],
        "targets": [*WAYS],
        "horizons": [terms.scoring.horizon_sessions, *horizons_of(terms)],
        "lag": terms.scoring.lag_sessions,
        "bins": [*terms.scoring.bin_shares_percent],
        "universe": {name: repr(value) for name, value in asdict(platform.settings.universe).items()},
    }
    return hmac.digest(platform.classic_secret, canonical_bytes(made_of), "sha256").hex()


def _write(
    platform: Platform, view: PanelView, terms: RoundTerms, plan: _Plan, folders: dict[str, Path], progress: Progress
) -> dict[str, str]:
    progress.start(sum(len(plan.fresh[part]) for part in PARTS) + 1, "eras")
    live, named = classic.live_rows(platform, view), signals.live_era(platform, view)
    with EraWriter(folders[classic.DATASET] / classic.LIVE, live.schema) as out:
        out.write(live)
    if plan.former is not None:
        for dataset, name in TRAIN_FILES:
            take_over(plan.former.path(dataset, name), folders[dataset])
    names = signals.factor_names(view, named)
    for part in PARTS if plan.former is None else PARTS[1:]:
        built = _built(platform, view, terms, plan.fresh[part], progress)
        _write_part(platform, terms, part, built, plan.former, folders, names, live)
    features = [name for name in live.column_names if name.startswith("feature_")]
    classic.write_features(folders[classic.DATASET], platform.classic_secret, features, horizons_of(terms))
    classic.write_predictions(folders[classic.DATASET], platform, view)
    classic.write_meta_models(folders[classic.DATASET], platform)
    signals.write_live(folders[signals.DATASET], named)
    past = None if plan.former is None else plan.former.path(signals.DATASET, signals.UNIVERSE)
    signals.write_universes(folders[signals.DATASET] / signals.UNIVERSE, platform, view, plan.ends, past)
    progress.advance("models and universes")
    return {classic.DATASET: live.column("era")[0].as_py(), signals.DATASET: named.era}


def _built(
    platform: Platform, view: PanelView, terms: RoundTerms, rows: list[int], progress: Progress
) -> Iterator[PublishedEra]:
    for row in rows:
        yield history_era(platform, view, row, terms)
        progress.advance(str(view.sessions[row]))


def _write_part(
    platform: Platform,
    terms: RoundTerms,
    part: str,
    built: Iterator[PublishedEra],
    former: Release | None,
    folders: dict[str, Path],
    factors: tuple[str, ...],
    live: Any,
) -> None:
    """Write the three files of training or validation: eras of the former release first, then those built now."""
    import pyarrow as pa

    horizons = horizons_of(terms)
    text, number = pa.string(), pa.float32()
    targets = ["target", *sorted(published_targets(platform.classic_secret, horizons).values())]
    open_targets = [f"target_{way}_{horizon}" for way in ("raw", "neutral") for horizon in horizons]
    schemas = {
        (classic.DATASET, f"{part}.parquet"): pa.schema([*live.schema, *((name, number) for name in targets)]),
        (signals.DATASET, f"{part}.parquet"): pa.schema(
            [("era", text), ("ticker", text), ("data_type", text), *((name, number) for name in open_targets)]
        ),
        (signals.DATASET, f"{part}_exposures.parquet"): pa.schema(
            [("era", text), ("ticker", text), *((name, pa.float64()) for name in factors)]
        ),
    }
    main = ("neutral", terms.scoring.horizon_sessions)
    with ExitStack() as stack:
        writers = [stack.enter_context(EraWriter(folders[d] / name, schema)) for (d, name), schema in schemas.items()]
        for (dataset, name), writer in zip(schemas, writers, strict=True):
            for table in read_eras(former.path(dataset, name)) if former is not None else ():
                writer.write(table)
        for era in built:
            tables = (era.classic(platform.classic_secret, main, part), era.signals(part), era.factors())
            for writer, table in zip(writers, tables, strict=True):
                writer.write(table)


def _about(view: PanelView, terms: RoundTerms, plan: _Plan, live: str) -> dict[str, Any]:
    def told(rows: list[int]) -> dict[str, Any]:
        ends = {} if not rows else {"first": str(view.sessions[rows[0]]), "last": str(view.sessions[rows[-1]])}
        return {"count": len(rows), **ends}

    horizons = horizons_of(terms)
    return {
        "eras": {name: told(rows) for name, rows in plan.split._asdict().items()} | {"live": live},
        "lag_sessions": terms.scoring.lag_sessions,
        "horizons_sessions": list(horizons),
        "embargo_sessions": terms.scoring.lag_sessions + max(horizons),
        "data_flags": sorted(view.flags),
        "fingerprint": plan.fingerprint,
    }
