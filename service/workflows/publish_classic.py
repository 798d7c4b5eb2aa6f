"""The files of the classic dataset beside its eras: the live table, plain models' predictions, the meta-model's history.

Models are fitted on the training file alone. Its own eras are predicted walking forward, so that no row is predicted by a model
that saw it, or a return that overlaps with its own.
"""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from crowdalpha.ids import RoundState, Tournament
from market.panel import PanelView
from service.context import Platform
from service.eratables import EraWriter, read_eras
from service.frames import get_frame
from service.metamodels import public_vectors
from service.store import rounds
from service.workflows.publish_history import classic_terms, horizons_of
from signals.classic.dataset import feature_sets, live_era, to_table
from signals.classic.models import Moments, era_moments, fit, predict, walk_forward
from signals.classic.targets import published_targets

DATASET, VERSION = "classic", "v1.0"
TRAIN, VALIDATION, LIVE = "train.parquet", "validation.parquet", "live.parquet"
EXAMPLE_SET = "small"
PREDICTION = "prediction"


def training_table(platform: Platform) -> Any:
    """Return all published eras with targets as one Arrow table, oldest first, or None before the first publication."""
    import pyarrow as pa

    from service.workflows.publish import releases

    release = releases(platform).current()
    if release is None:
        return None
    tables = [table for name in (TRAIN, VALIDATION) for table in read_eras(release.path(DATASET, name))]
    return pa.concat_tables(tables).combine_chunks()


def resolved_eras(platform: Platform, after: int = 0) -> list[tuple[int, Any]]:
    """Return (round number, Arrow table with targets) of the classic rounds numbered above ``after`` whose target is public."""
    import pyarrow.parquet as pq

    found = []
    with platform.store.read() as connection:
        for record in rounds.list_rounds(connection, Tournament.CLASSIC, (RoundState.RESOLVED,)):
            if record.key.number > after:
                sha = rounds.artifacts(connection, record.key)["era"]
                found.append((record.key.number, pq.read_table(io.BytesIO(platform.blobs.get(sha)))))
    return sorted(found, key=lambda item: item[0])


def live_rows(platform: Platform, view: PanelView) -> Any:
    """Return the live era: that of the open round if there is one, else what a round opened now would get."""
    with platform.store.read() as connection:
        record = rounds.latest_round(connection, Tournament.CLASSIC)
        if record is not None and record.state is RoundState.OPEN:
            members = platform.desk.positions_of(get_frame(connection, platform.blobs, record.key).asset_ids)
            then = platform.desk.view(record.opened_at or record.opens_at)
            return to_table(live_era(then, members, platform.classic_secret, record.base_session.isoformat()), data_type="live")
    members = platform.desk.universe(view).members
    return to_table(live_era(view, members, platform.classic_secret, view.last_session.isoformat()), data_type="live")


def write_features(folder: Path, secret: bytes, features: list[str], horizons: tuple[int, ...]) -> None:
    """Write ``features.json``: the sets of features, and the targets."""
    targets = ["target", *sorted(published_targets(secret, horizons).values())]
    told = {"feature_sets": feature_sets(secret, features), "targets": targets}
    (folder / "features.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def write_predictions(folder: Path, platform: Platform, view: PanelView) -> None:
    """Write what the example and the benchmark models say of training, validation and live eras.

    ``folder`` holds the training, validation and live files already.
    """
    told = json.loads((folder / "features.json").read_text(encoding="utf-8"))
    every: list[str] = told["feature_sets"]["all"]
    small = [every.index(name) for name in told["feature_sets"][EXAMPLE_SET]]
    terms = classic_terms(platform)
    names = published_targets(platform.classic_secret, horizons_of(terms))
    benchmarks = {f"ridge_{horizon}": names["neutral", horizon] for horizon in horizons_of(terms)}
    learnt = _learn(folder / TRAIN, every, {"target": "target"} | benchmarks)
    rows = np.searchsorted(view.sessions, np.array(learnt.pop("era"), dtype="datetime64[D]")).tolist()

    example = _cut(_summed(learnt["target"]), small)
    last = {name: fit(_summed(learnt[name])) for name in benchmarks}
    forward = {
        name: walk_forward(rows, learnt[name], terms.scoring.lag_sessions + int(name.rpartition("_")[2])) for name in benchmarks
    }
    _predict(
        folder / TRAIN, folder / "train_benchmark_models.parquet", every, lambda era: {n: c[era] for n, c in forward.items()}
    )
    weights = np.zeros(len(every))
    weights[small] = fit(example)
    for source, kind in ((VALIDATION, "validation"), (LIVE, "live")):
        _predict(folder / source, folder / f"{kind}_benchmark_models.parquet", every, lambda _: last)
        _predict(folder / source, folder / f"{kind}_example_preds.parquet", every, lambda _: {PREDICTION: weights})
    (live,) = read_eras(folder / "live_example_preds.parquet", ["id", PREDICTION])
    lines = [f"{i},{p:.7f}" for i, p in zip(live.column("id").to_pylist(), live.column(PREDICTION).to_pylist(), strict=True)]
    (folder / "live_example_preds.csv").write_text("\n".join([f"id,{PREDICTION}", *lines, ""]), encoding="utf-8")


def write_meta_models(folder: Path, platform: Platform, tournament: Tournament = Tournament.CLASSIC) -> None:
    """Write the raw meta-model of each resolved round that made it public, by the ids that files of the round used."""
    import pyarrow as pa

    schema = pa.schema([("era", pa.string()), ("round", pa.int32()), ("id", pa.string()), ("meta_model", pa.float64())])
    with EraWriter(folder / "meta_model.parquet", schema) as out:
        for record, labels, raw in public_vectors(platform, tournament):
            era, number = record.base_session.isoformat(), record.key.number
            rows = {"era": [era] * len(labels), "round": [number] * len(labels), "id": labels, "meta_model": raw}
            out.write(pa.table(rows, schema=schema))


def _learn(path: Path, features: list[str], targets: Mapping[str, str]) -> dict[str, list[Any]]:
    """Return by name the moments of each era of a file, and under ``era`` the eras."""
    found: dict[str, list[Any]] = {name: [] for name in ("era", *targets)}
    for table in read_eras(path):
        x = _features(table, features)
        found["era"].append(table.column("era")[0].as_py())
        for name, column in targets.items():
            found[name].append(era_moments(x, table.column(column).to_numpy().astype(np.float64)))
    return found


def _summed(moments: list[Moments]) -> Moments:
    total = moments[0]
    for other in moments[1:]:
        total = total + other
    return total


def _cut(moments: Moments, columns: list[int]) -> Moments:
    return Moments(moments.rows, moments.gram[np.ix_(columns, columns)], moments.cross[columns])


def _features(table: Any, names: list[str]) -> np.ndarray:
    return np.column_stack([table.column(name).to_numpy() for name in names])


def _predict(source: Path, goal: Path, features: list[str], models: "Callable[[int], Mapping[str, np.ndarray | None]]") -> None:
    """Write a column a model beside era and id; an era that no model may predict is left out, one model's gap is null."""
    import pyarrow as pa

    with EraWriter(
        goal, pa.schema([("era", pa.string()), ("id", pa.string()), *((n, pa.float32()) for n in models(0))])
    ) as out:
        for place, table in enumerate(read_eras(source)):
            known = models(place)
            if all(coefficients is None for coefficients in known.values()):
                continue
            x = _features(table, features)
            columns = {"era": table.column("era"), "id": table.column("id")}
            for name, coefficients in known.items():
                values = np.full(len(x), np.nan) if coefficients is None else predict(x, coefficients)
                columns[name] = pa.array(values.astype(np.float32), from_pandas=True)
            out.write(pa.table(columns))
