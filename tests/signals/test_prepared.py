"""Goal: a prepared round scores as the field's library does, and to the same bits whatever the order or the threads.

Method: numerai-tools 0.7.2 on random rounds, eight kinds; permutations, worker counts, processes with other BLAS threads.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numerai_tools import scoring

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, InvariantBroken
from signals.prepared import PreparedRound, prepare_round, score_prepared
from signals.scores import score_kinds

KINDS = ("corr", "mmc", "bmc", "fnc", "neutral_corr", "neutral_mmc", "alpha", "mpc")
PAYING = ("corr", "mmc", "neutral_corr", "neutral_mmc")
ROOT = Path(__file__).resolve().parents[2]


def a_round(seed: int, models: int = 4, assets: int = 200, factors: int = 6) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    predictions = rng.random((models, assets))
    predictions[0] = np.round(predictions[0], 1)  # many ties
    exposures = np.linalg.qr(rng.standard_normal((assets, factors)))[0]
    return {
        "predictions": predictions,
        "target": rng.choice([0.0, 0.25, 0.5, 0.75, 1.0], assets, p=[0.05, 0.2, 0.5, 0.2, 0.05]),
        "meta_model": rng.random(assets),
        "benchmark": rng.random(assets),
        "exposures": exposures,
        "features": rng.integers(0, 5, (assets, 4)).astype(float),
        "sample_weights": rng.uniform(0.5, 1.5, assets),
        "stakes": rng.uniform(1, 100, models),
    }


def prepared_of(data: dict[str, np.ndarray], workers: int = 1) -> PreparedRound:
    models, assets = data["predictions"].shape
    sides = {k: v for k, v in data.items() if k not in {"predictions", "target"}}
    labels = [f"a{i:04d}" for i in range(assets)]
    return prepare_round(data["predictions"], labels, [f"m{i}" for i in range(models)], workers=workers, **sides)


def library(data: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    models, assets = data["predictions"].shape
    index = pd.Index([f"a{i:04d}" for i in range(assets)], name="id")
    p = pd.DataFrame(data["predictions"].T, index=index, columns=[f"m{i}" for i in range(models)])
    t = pd.Series(data["target"], index=index, name="target")
    meta, bench = (pd.Series(data[k], index=index, name=k) for k in ("meta_model", "benchmark"))
    n, f = (pd.DataFrame(data[k], index=index).add_prefix(k) for k in ("exposures", "features"))
    v = pd.Series(data["sample_weights"], index=index, name="weight")
    stakes = pd.Series(data["stakes"], index=p.columns, name="stake")
    found = {
        "corr": scoring.numerai_corr(p, t),
        "mmc": scoring.correlation_contribution(p, meta, t),
        "bmc": scoring.correlation_contribution(p, bench, t),
        "fnc": scoring.feature_neutral_corr(p, f, t),
        "neutral_corr": scoring.neutral_correlation(p, n, t),
        "neutral_mmc": scoring.neutral_contribution(p, meta, n, t),
        "alpha": scoring.alpha(p, n, v, t),
        "mpc": scoring.meta_portfolio_contribution(p, stakes, n, v, t),
    }
    return {kind: np.asarray(values, dtype=np.float64) for kind, values in found.items()}


@pytest.mark.parametrize("seed", range(20))
def test_a_prepared_round_scores_as_the_library_does(seed: int) -> None:
    print(f"seed {seed}")
    rng = np.random.default_rng([seed, 1])
    data = a_round(seed, models=int(rng.integers(1, 6)), assets=int(rng.integers(60, 400)))
    ours, theirs = score_prepared(prepared_of(data), data["target"]), library(data)
    for kind in KINDS:
        np.testing.assert_allclose(ours[kind], theirs[kind], rtol=0, atol=1e-12, err_msg=kind)


def test_a_prepared_round_scores_as_raw_predictions_do_also_where_targets_are_missing() -> None:
    data = a_round(31)
    target = data["target"].copy()
    target[[3, 77, 140]] = np.nan
    ours = score_prepared(prepared_of(data), target, PAYING)
    raw = score_kinds(PAYING, data["predictions"], target, data["meta_model"], data["exposures"])
    for kind in PAYING:
        np.testing.assert_allclose(ours[kind], raw[kind], rtol=0, atol=1e-12)


def test_too_few_known_targets_are_refused() -> None:
    data = a_round(32)
    target = data["target"].copy()
    target[:41] = np.nan
    with pytest.raises(InputRejected):
        score_prepared(prepared_of(data), target)


def test_paying_scores_are_the_same_bits_in_any_order_of_models_and_assets() -> None:
    data = a_round(33, models=9, assets=1500)
    labels = np.array([f"a{i:04d}" for i in range(1500)])
    names = np.array([f"m{i}" for i in range(9)])
    rng = np.random.default_rng(34)
    straight = score_prepared(prepared_of(data), data["target"], PAYING)
    rows, columns = rng.permutation(9), rng.permutation(1500)
    shuffled = prepare_round(
        data["predictions"][rows][:, columns],
        labels[columns].tolist(),
        names[rows].tolist(),
        exposures=data["exposures"][columns],
        meta_model=data["meta_model"][columns],
    )
    again = score_prepared(shuffled, data["target"], PAYING)
    for kind in PAYING:
        assert again[kind].tobytes() == straight[kind][rows].tobytes(), kind


@pytest.mark.parametrize("workers", [2, 8])
def test_paying_scores_are_the_same_bits_with_any_number_of_workers(workers: int) -> None:
    data = a_round(35, models=300, assets=400)
    one = score_prepared(prepared_of(data), data["target"], PAYING)
    many = score_prepared(prepared_of(data, workers), data["target"], PAYING, workers=workers)
    for kind in PAYING:
        assert many[kind].tobytes() == one[kind].tobytes()


PRINT_HASH = """
import hashlib
from tests.signals.test_prepared import PAYING, a_round, prepared_of, score_prepared
data = a_round(36, models=40, assets=3000, factors=60)
scores = score_prepared(prepared_of(data), data["target"], PAYING)
print(hashlib.sha256(b"".join(scores[k].tobytes() for k in PAYING)).hexdigest())
"""


def test_paying_scores_are_the_same_bits_with_any_number_of_blas_threads() -> None:
    found = set()
    for threads in ("1", "2", "8"):
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads, "PYTHONPATH": str(ROOT)}
        done = subprocess.run([sys.executable, "-c", PRINT_HASH], capture_output=True, text=True, check=True, env=environment)
        found.add(done.stdout.strip())
    assert len(found) == 1
    assert len(found.pop()) == hashlib.sha256().digest_size * 2


def test_stored_arrays_give_the_round_back_and_a_missing_one_is_noticed() -> None:
    data = a_round(37)
    prepared = prepared_of(data)
    arrays = prepared.to_arrays()
    assert arrays["places"].dtype == np.uint16
    again = PreparedRound.from_arrays(arrays)
    for kind, values in score_prepared(prepared, data["target"]).items():
        assert score_prepared(again, data["target"])[kind].tobytes() == values.tobytes()
    for broken in ({**arrays, "extra": arrays["places"]}, {k: v for k, v in arrays.items() if k != "gauss_table"}):
        with pytest.raises(InvariantBroken):
            PreparedRound.from_arrays(broken)


def test_a_round_without_models_has_no_scores() -> None:
    data = a_round(38)
    empty = prepared_of(data | {"predictions": np.empty((0, 200)), "stakes": np.empty(0)})
    assert {kind: values.size for kind, values in score_prepared(empty, data["target"]).items()} == dict.fromkeys(KINDS, 0)


def test_what_features_leave_tied_stays_tied() -> None:
    """Dummies alone leave whole groups of equal values; their residuals differ by rounding, and the ranks must not see it."""
    rng = np.random.default_rng(39)
    data = a_round(39, models=40)
    data["predictions"] = np.round(data["predictions"], 1)
    data["features"] = np.eye(3)[rng.integers(0, 3, 200)]
    places = prepared_of(data).feature_places
    groups = data["features"].argmax(axis=1)
    for row, values in zip(places, data["predictions"], strict=True):
        for group in range(3):
            inside = groups == group
            assert len(np.unique(row[inside])) == len(np.unique(values[inside]))


def test_a_meta_model_that_exposures_explain_wholly_has_no_opinion() -> None:
    data = a_round(40)
    order = np.argsort(np.argsort(data["meta_model"]))
    gauss = prepared_of(data).tables.gauss[2 * order + 2]
    data["exposures"] = np.column_stack([gauss * (1 + 1e-13), data["exposures"]])
    assert (score_prepared(prepared_of(data), data["target"], ["neutral_mmc"])["neutral_mmc"] == 0.0).all()


def test_an_infinite_target_is_refused_without_a_warning() -> None:
    data = a_round(41)
    data["target"][3] = np.inf
    with pytest.raises(InputRejected) as refused:
        score_prepared(prepared_of(a_round(41)), data["target"])
    assert refused.value.code is Code.VALUE_NOT_FINITE
