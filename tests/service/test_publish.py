"""A publication is what its page says: eras, embargo, files, and nothing that tells which asset a classic row is.

Independent sources: sessions counted on the calendar; N'VN and projections by NumPy; bytes searched as they lie on the disk,
and once more as Parquet unpacks them; two publications under two secrets beside each other. Prices are random walks.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient

from crowdalpha.ids import Tournament
from crowdalpha.terms import ScoringTerms
from market.calendars import to_instant
from market.panel import PointInTimePanel
from market.quotes import Quotes
from service.clock import SimulatedClock
from service.context import Platform, build_platform
from service.home import Home
from service.http.app import create_app
from service.idsource import SeededIds
from service.releases import Release
from service.settings import load_settings
from service.workflows.open_round import open_round
from service.workflows.publish import Published, publish, releases
from service.workflows.publish_classic import training_table
from signals.classic.dataset import obfuscation
from signals.classic.features import FEATURES
from signals.classic.series import SERIES
from signals.parse import CLASSIC_FORMAT
from signals.submission import judge
from tests.builders.panels import small_panel
from tests.builders.treasuries import fill_treasury

SEED = 11
ROWS = 640
LATER_ROWS = 30
CLASSIC_FILES = {
    "features.json", "live.parquet", "live_benchmark_models.parquet", "live_example_preds.csv", "live_example_preds.parquet",
    "meta_model.parquet", "train.parquet", "train_benchmark_models.parquet", "validation.parquet",
    "validation_benchmark_models.parquet", "validation_example_preds.parquet",
}  # fmt: skip
SIGNALS_FILES = {
    "factors.json", "live.parquet", "live_exposures.parquet", "live_neutralizer.parquet", "live_sample_weights.parquet",
    "train.parquet", "train_exposures.parquet", "universe.parquet", "validation.parquet", "validation_exposures.parquet",
}  # fmt: skip


def market(seed: int = SEED) -> PointInTimePanel:
    """Random walks whose ids, tickers and sectors are words that no file holds by chance."""
    panel = small_panel(seed=seed, n_assets=110, n_sessions=ROWS + LATER_ROWS)
    n = len(panel.assets)
    assets = replace(
        panel.assets,
        asset_ids=np.array([f"ASSETQ{i:03d}" for i in range(n)]),
        tickers=np.array([f"TICKZ{(i * 37) % n:03d}" for i in range(n)]),
        sectors=np.array([f"Sectorword {i % 5}" for i in range(n)]),
        countries=np.array([f"C{i % 2}" for i in range(n)]),
    )
    return replace(panel, assets=assets)


def evening(panel: PointInTimePanel, row: int) -> Any:
    return to_instant(panel.known_at[row]) + timedelta(hours=1)


def house(folder: Path, panel: PointInTimePanel, secret: bytes = b"s" * 32, row: int = ROWS - 1) -> Platform:
    home = Home.create(folder)
    (home.keys / "classic.key").write_bytes(secret)
    made = build_platform(home, load_settings(env={}), SimulatedClock(evening(panel, row)), SeededIds(SEED), durable=False)
    made.desk.use(panel)
    return made


def current(platform: Platform) -> Release:
    release = releases(platform).current()
    assert release is not None
    return release


def frame(release: Release, dataset: str, name: str) -> pd.DataFrame:
    return pq.read_table(release.path(dataset, name)).to_pandas()


@pytest.fixture(scope="module")
def panel() -> PointInTimePanel:
    print(f"seed {SEED}")
    return market()


@pytest.fixture(scope="module")
def platform(panel: PointInTimePanel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    made = house(tmp_path_factory.mktemp("published") / "home", panel)
    publish(made)
    yield made
    made.store.dispose()


@pytest.fixture(scope="module")
def release(platform: Platform) -> Release:
    return current(platform)


def test_every_file_is_there_and_no_other(release: Release) -> None:
    assert set(release.manifests["classic"]["files"]) == CLASSIC_FILES
    assert set(release.manifests["signals"]["files"]) == SIGNALS_FILES


def test_eras_are_weeks_whose_returns_are_all_known(panel: PointInTimePanel, release: Release) -> None:
    sessions = panel.sessions[:ROWS].astype("datetime64[D]").astype(object).tolist()
    week_ends = [s.isoformat() for s, after in pairwise(sessions) if s.isocalendar()[:2] != after.isocalendar()[:2]]
    row_of = {s.isoformat(): i for i, s in enumerate(sessions)}
    parts = {part: frame(release, "classic", f"{part}.parquet") for part in ("train", "validation")}
    train, validation = (sorted(set(parts[part]["era"])) for part in parts)
    possible = [e for e in week_ends if row_of[e] >= 252 and row_of[e] + 62 < ROWS]
    assert train == possible[: len(possible) // 2]
    after = possible[len(train) :]
    assert validation == after[max(13, sum(row_of[e] < row_of[train[-1]] + 62 for e in after)) :]
    embargo = release.manifests["classic"]["eras"]["embargo"]
    assert embargo["count"] == len(possible) - len(train) - len(validation) >= 13
    for part in parts.values():
        targets = [c for c in part.columns if c.startswith("target")]
        assert len(targets) == 7
        for _, era in part.groupby("era"):
            assert era[targets].notna().mean().min() > 0.95
    for part, rows in parts.items():
        assert set(rows["data_type"]) == {part}
        named = frame(release, "signals", f"{part}.parquet")
        assert named.groupby("era").size().to_dict() == rows.groupby("era").size().to_dict()


def test_live_rows_have_no_target(release: Release) -> None:
    live = frame(release, "classic", "live.parquet")
    train = frame(release, "classic", "train.parquet")
    assert [c for c in train.columns if not c.startswith("target")] == list(live.columns)
    assert set(live["data_type"]) == {"live"}
    assert set(live["era"]) == {release.manifests["classic"]["eras"]["live"]}


def test_features_and_targets_are_the_listed_ones(release: Release) -> None:
    told = json.loads(release.path("classic", "features.json").read_text())
    train = frame(release, "classic", "train.parquet")
    assert told["feature_sets"]["all"] == [c for c in train.columns if c.startswith("feature_")]
    assert set(told) == {"feature_sets", "targets"}
    assert told["targets"] == [c for c in train.columns if c.startswith("target")]
    assert {c.rpartition("_")[2] for c in told["targets"][1:]} == {"20", "60"}
    values = train[told["feature_sets"]["all"]].to_numpy()
    assert values.dtype == np.int8
    assert set(np.unique(values)) == {0, 1, 2, 3, 4}


def test_open_targets_are_the_classic_ones_under_their_assets_names(platform: Platform, release: Release) -> None:
    """The neutral target of 20 sessions is ``target``; ids are mapped back with the secret."""
    train, named = frame(release, "classic", "train.parquet"), frame(release, "signals", "train.parquet")
    assets = platform.desk.panel.assets
    for era in sorted(set(train["era"]))[::9]:
        ids = dict(zip(obfuscation(platform.classic_secret, era, assets.asset_ids.tolist()), assets.tickers, strict=True))
        rows = train[train["era"] == era]
        obfuscated = pd.Series(rows["target"].to_numpy(), index=[ids[i] for i in rows["id"]]).sort_index()
        openly = named[named["era"] == era].set_index("ticker")["target_neutral_20"]
        assert openly.index.tolist() == obfuscated.index.tolist()
        assert np.array_equal(openly, obfuscated, equal_nan=True)


def test_predictions_cover_their_eras_and_train_ones_begin_when_enough_is_known(
    panel: PointInTimePanel, release: Release
) -> None:
    for part in ("validation", "live"):
        rows = frame(release, "classic", f"{part}.parquet")[["era", "id"]]
        for name in ("example_preds", "benchmark_models"):
            said = frame(release, "classic", f"{part}_{name}.parquet")
            assert said[["era", "id"]].equals(rows)
            values = said.drop(columns=["era", "id"]).to_numpy()
            assert ((values > 0) & (values < 1)).all()
    train = sorted(set(frame(release, "classic", "train.parquet")["era"]))
    said = frame(release, "classic", "train_benchmark_models.parquet")
    row_of = {str(s): i for i, s in enumerate(panel.sessions)}
    for model, window in (("ridge_20", 22), ("ridge_60", 62)):
        known = [e for e in train if sum(row_of[b] + window <= row_of[e] for b in train) >= 13]
        assert sorted(set(said.loc[said[model].notna(), "era"])) == known
        assert known
    csv = pd.read_csv(release.path("classic", "live_example_preds.csv"))
    parquet = frame(release, "classic", "live_example_preds.parquet")
    assert csv["id"].tolist() == parquet["id"].tolist()
    assert csv["prediction"].to_numpy() == pytest.approx(parquet["prediction"].to_numpy(), abs=1e-7)


def test_the_live_neutralizers_are_orthonormal_span_the_exposures_and_have_a_sign(release: Release) -> None:
    exposures = frame(release, "signals", "live_exposures.parquet").set_index("ticker").drop(columns="era").to_numpy()
    basis = frame(release, "signals", "live_neutralizer.parquet").set_index("ticker").drop(columns="era").to_numpy()
    v = frame(release, "signals", "live_sample_weights.parquet")["sample_weight"].to_numpy()
    rank = np.linalg.matrix_rank(exposures)
    assert rank < exposures.shape[1]  # sectors and countries both sum to one
    assert basis.shape == (len(v), rank)
    assert np.abs(basis.T @ (v[:, None] * basis) - np.eye(rank)).max() <= 1e-10
    assert np.abs(exposures - basis @ (basis.T @ (v[:, None] * exposures))).max() <= 1e-10 * np.abs(exposures).max()
    # Each column is the first of intercept and factors that is new, and its product with it is positive.
    products = basis.T @ (v[:, None] * np.column_stack([np.ones(len(v)), exposures]))
    first = np.argmax(np.abs(products) > 1e-10, axis=1)
    assert (np.diff(first) > 0).all()
    assert (products[np.arange(rank), first] > 0).all()
    assert v.mean() == pytest.approx(1.0)
    assert v.max() > v.min() > 0
    told = json.loads(release.path("signals", "factors.json").read_text())["factors"]
    columns = list(frame(release, "signals", "live_exposures.parquet").columns)
    assert [f["name"] for f in told] == columns[2:]


def test_universes_reach_over_the_embargo_to_the_last_whole_week(release: Release) -> None:
    universe = frame(release, "signals", "universe.parquet")
    eras = sorted(set(universe["era"]))
    told = release.manifests["signals"]["eras"]
    assert eras[0] == told["train"]["first"]
    assert eras[-1] < told["live"]
    assert (date.fromisoformat(told["live"]) - date.fromisoformat(eras[-1])).days <= 8
    assert len(eras) > told["train"]["count"] + told["embargo"]["count"] + told["validation"]["count"]
    train = frame(release, "signals", "train.parquet")
    same = universe[universe["era"].isin(set(train["era"]))]
    assert same["ticker"].tolist() == train["ticker"].tolist()


# --- publishing again ----------------------------------------------------------------------------------------------------


def test_publishing_again_adds_eras_and_changes_none(panel: PointInTimePanel, tmp_path: Path) -> None:
    made = house(tmp_path / "home", panel)
    first = publish(made)
    before = current(made)
    kept = {
        name: frame(before, *name) for name in (("classic", "validation.parquet"), ("signals", "validation_exposures.parquet"))
    }
    assert publish(made) == replace(first, changed=False)
    made.clock.advance_to(evening(panel, ROWS + LATER_ROWS - 1))  # type: ignore[attr-defined]
    second = publish(made)
    after = current(made)
    assert second.changed
    assert (second.train, second.embargo) == (first.train, first.embargo)
    assert second.validation == first.validation + LATER_ROWS // 5
    for dataset in ("classic", "signals"):
        train = "train.parquet"
        assert before.manifests[dataset]["files"][train] == after.manifests[dataset]["files"][train]
    for name, rows in kept.items():
        assert frame(after, *name).iloc[: len(rows)].equals(rows)

    anew = house(tmp_path / "anew", panel, row=ROWS + LATER_ROWS - 1)
    publish(anew)
    whole, grown = (frame(current(p), "classic", "validation.parquet") for p in (anew, made))
    both = sorted(set(whole["era"]) & set(grown["era"]))
    assert both
    assert whole[whole["era"].isin(both)].reset_index(drop=True).equals(grown[grown["era"].isin(both)].reset_index(drop=True))
    for opened in (made, anew):
        opened.store.dispose()


def test_another_rule_of_the_universe_builds_every_era_anew(panel: PointInTimePanel, tmp_path: Path) -> None:
    made = house(tmp_path / "home", panel)
    publish(made, weeks=40)
    first = current(made)
    changed = replace(made, settings=made.settings.with_overrides({"universe.size": 90}))
    changed.desk.settings = changed.settings
    changed.desk.use(panel)
    assert publish(changed, weeks=40).changed
    assert frame(current(changed), "classic", "train.parquet").groupby("era").size().max() == 90
    assert frame(first, "classic", "train.parquet").groupby("era").size().max() > 90
    made.store.dispose()


def test_before_any_return_of_sixty_sessions_is_known_nothing_is_published(panel: PointInTimePanel, tmp_path: Path) -> None:
    made = house(tmp_path / "home", panel, row=300)
    assert publish(made) == Published(0, 0, 0)
    assert releases(made).current() is None
    assert training_table(made) is None
    made.store.dispose()


def test_the_live_file_is_the_open_rounds_table(panel: PointInTimePanel, tmp_path: Path) -> None:
    """Days after the opening, with newer prices known: ids and features stay those that files of the round are judged by."""
    friday = next(r for r in range(ROWS - 12, ROWS) if panel.sessions[r].astype(object).weekday() == 4)
    made = house(tmp_path / "home", panel, row=friday)
    fill_treasury(made)
    for tournament in Tournament:
        open_round(made, tournament)
    made.clock.advance_to(evening(panel, friday + 3))  # type: ignore[attr-defined]
    publish(made)
    client = TestClient(create_app(made))
    live = frame(current(made), "classic", "live.parquet")
    (tmp_path / "live.parquet").write_bytes(client.get("/v1/rounds/classic/1/live").content)
    assert live.drop(columns="data_type").equals(pq.read_table(tmp_path / "live.parquet").to_pandas())
    example = current(made).path("classic", "live_example_preds.csv").read_bytes()
    assert judge(example, CLASSIC_FORMAT, live["id"].tolist(), ScoringTerms(("corr",))).accepted
    ids = client.get("/v1/rounds/signals/1/universe").json()["ids"]
    assert frame(current(made), "signals", "live.parquet")["ticker"].tolist() == ids
    assert set(live["era"]) == {current(made).manifests["classic"]["eras"]["live"]} == {str(panel.sessions[friday])}
    made.store.dispose()


# --- what classic files must not tell ------------------------------------------------------------------------------------


def unpacked(path: Path) -> bytes:
    """Return a file as it lies on the disk, and behind it every value, name and metadata text that Parquet finds in it."""
    data = path.read_bytes()
    if path.suffix != ".parquet":
        return data
    file = pq.ParquetFile(path)
    meta = file.metadata
    texts = [str(meta), str(meta.metadata), str(file.schema), str(file.schema_arrow), str(file.schema_arrow.metadata)]
    texts += [str(meta.row_group(g).column(c)) for g in range(meta.num_row_groups) for c in range(meta.num_columns)]
    table = file.read()
    texts += [str(value) for column in table.columns for value in column.unique().to_pylist()]
    return data + "\n".join(texts).encode()


def test_no_byte_of_a_classic_file_names_an_asset_a_sector_a_country_or_a_formula(platform: Platform, release: Release) -> None:
    names = [*release.manifests["classic"]["files"], "manifest.json"]
    folder = release.path("classic", "train.parquet").parent
    everything = b"".join(unpacked(folder / name) for name in names)
    assert b"feature_" in everything
    for word in (b"ASSETQ", b"TICKZ", b"Sectorword", b"momentum", b"volatility", b"sector", b"country", b"C0\n", b"C1\n"):
        assert word not in everything, word
    for name in [*FEATURES, *SERIES, "own_year", "change_20"]:
        assert name.encode() not in everything, name
    openly = b"".join(unpacked(release.path("signals", name)) for name in release.manifests["signals"]["files"])
    for word in (b"TICKZ", b"Sectorword"):  # the search does find what is there
        assert word in openly
    for era_id in frame(release, "classic", "live.parquet")["id"]:
        assert era_id.encode() not in openly


def test_row_groups_tell_their_era_and_no_more(release: Release) -> None:
    for name in release.manifests["classic"]["files"]:
        if not name.endswith(".parquet"):
            continue
        meta = pq.read_metadata(release.path("classic", name))
        assert set(meta.metadata or {}) <= {b"ARROW:schema"}
        for group in range(meta.num_row_groups):
            for column in range(meta.num_columns):
                part = meta.row_group(group).column(column)
                assert part.is_stats_set == (part.path_in_schema == "era"), part.path_in_schema
                if part.is_stats_set:
                    assert part.statistics.min == part.statistics.max


def test_rows_and_columns_stand_in_the_order_of_names_that_mean_nothing(release: Release) -> None:
    for name in ("train.parquet", "validation.parquet", "live.parquet", "live_benchmark_models.parquet"):
        rows = frame(release, "classic", name)
        for _, era in rows.groupby("era"):
            assert era["id"].tolist() == sorted(era["id"])
        features = [c for c in rows.columns if c.startswith("feature_")]
        assert features == sorted(features)


def test_ids_never_come_twice_and_their_order_carries_nothing_from_era_to_era(platform: Platform, release: Release) -> None:
    """An asset's place among its era's ids is no more like its place in the next era than two random places are."""
    train = frame(release, "classic", "train.parquet")
    assert train["id"].is_unique
    assets = platform.desk.panel.assets.asset_ids.tolist()
    places = []
    for era, rows in train.groupby("era"):
        asset_of = dict(zip(obfuscation(platform.classic_secret, str(era), assets), assets, strict=True))
        places.append(pd.Series(np.arange(len(rows)) / len(rows), index=[asset_of[i] for i in rows["id"]]))
    table = pd.DataFrame(places)
    neighbours = [table.iloc[k].corr(table.iloc[k + 1]) for k in range(len(table) - 1)]
    assert abs(np.mean(neighbours)) < 4 / np.sqrt(len(neighbours) * table.shape[1])


def test_two_secrets_give_files_that_nothing_links(panel: PointInTimePanel, release: Release, tmp_path: Path) -> None:
    """The same eras under another secret: no id and hardly a name in common, rows in an order of their own."""
    made = house(tmp_path / "home", panel, secret=b"t" * 32)
    publish(made)
    one, two = frame(release, "classic", "train.parquet"), frame(current(made), "classic", "train.parquet")
    assert not set(one["id"]) & set(two["id"])
    features = [{c for c in f.columns if c.startswith("feature_")} for f in (one, two)]
    assert len(features[0] & features[1]) <= 6  # of 4,096 names 72 were drawn twice: 1.3 in common are expected
    assert release.manifests["classic"]["fingerprint"] != current(made).manifests["classic"]["fingerprint"]
    match = [np.corrcoef(a["target"].fillna(0.5), b["target"].fillna(0.5))[0, 1] for (_, a), (_, b) in
             zip(one.groupby("era"), two.groupby("era"), strict=True)]  # fmt: skip
    assert abs(np.mean(match)) < 4 / np.sqrt(len(one))
    for (_, a), (_, b) in zip(one.groupby("era"), two.groupby("era"), strict=True):
        # the same rows nevertheless: the sums over all features of a row are the same numbers
        assert sorted(a[sorted(features[0])].sum(axis=1)) == sorted(b[sorted(features[1])].sum(axis=1))
    made.store.dispose()


def test_of_an_asset_only_its_identity_decides_its_id_and_its_row(
    panel: PointInTimePanel, release: Release, tmp_path: Path
) -> None:
    """Give every asset another one's identity: the same ids stand in the same places, and the same features beside others."""
    order = np.random.default_rng(SEED).permutation(len(panel.assets))
    moved = replace(
        panel,
        assets=replace(
            panel.assets,
            **{f: getattr(panel.assets, f)[order] for f in ("tickers", "sectors", "countries", "shares")},
        ),
        quotes=Quotes(**{name: array[:, order] for name, array in panel.quotes.arrays().items()}),
        delisting_index=panel.delisting_index[order],
        delisting_return=panel.delisting_return[order],
    )
    made = house(tmp_path / "home", moved)
    publish(made)
    there = current(made)
    one, two = (frame(r, "classic", "train.parquet") for r in (release, there))
    values = [c for c in one.columns if c.startswith(("feature_", "target"))]
    for (_, a), (_, b) in zip(one.groupby("era"), two.groupby("era"), strict=True):
        assert len(set(a["id"]) ^ set(b["id"])) <= 2  # one asset of the market is not listed yet in most eras
        assert sorted(map(tuple, a[values].to_numpy().tolist())) == sorted(map(tuple, b[values].to_numpy().tolist()))
    openly = [frame(r, "signals", "train.parquet") for r in (release, there)]
    assert openly[0].equals(openly[1])  # tickers went with their prices
    made.store.dispose()


def test_other_tickers_change_no_byte_of_a_classic_file(panel: PointInTimePanel, release: Release, tmp_path: Path) -> None:
    tickers = np.array([f"OTHER{i:03d}" for i in range(len(panel.assets))])
    made = house(tmp_path / "home", replace(panel, assets=replace(panel.assets, tickers=tickers)))
    publish(made)
    assert current(made).manifests["classic"]["files"] == release.manifests["classic"]["files"]
    assert current(made).manifests["signals"]["files"] != release.manifests["signals"]["files"]
    made.store.dispose()
