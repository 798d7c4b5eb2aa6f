"""Goal: correlations with the crowd, with other models and with features are NumPy's; cuts are the library's.

Method: np.corrcoef on vectors that numerai-tools stressed, and numerai-tools 0.7.2 itself.
"""

import numpy as np
import pandas as pd
import pytest
from numerai_tools import scoring

from signals.portfolio_scores import turnover
from signals.scores import corr, mmc, neutral_corr, neutral_mmc
from signals.similarity import cwmm, max_feature_corr, model_corrs


@pytest.fixture
def data():
    rng = np.random.default_rng(41)
    print("seed 41")
    return {
        "predictions": rng.random((4, 150)),
        "meta": rng.standard_normal(150),
        "features": rng.integers(0, 5, (150, 6)).astype(float),
        "exposures": rng.standard_normal((150, 5)),
        "target": rng.choice([0.0, 0.25, 0.5, 0.75, 1.0], 150),
    }


def stressed(predictions: np.ndarray) -> np.ndarray:
    frame = pd.DataFrame(predictions.T)
    return scoring.tie_kept_rank__gaussianize__pow_1_5(frame).to_numpy().T


def test_cwmm_is_the_correlation_with_the_meta_model(data) -> None:
    expected = [np.corrcoef(row, data["meta"])[0, 1] for row in stressed(data["predictions"])]
    np.testing.assert_allclose(cwmm(data["predictions"], data["meta"]), expected, atol=1e-12)


def test_correlations_with_other_models_leave_the_model_itself_out(data) -> None:
    among = np.corrcoef(stressed(data["predictions"]))
    np.fill_diagonal(among, np.nan)
    largest, mean = model_corrs(data["predictions"])
    np.testing.assert_allclose(largest, np.nanmax(among, axis=1), atol=1e-12)
    np.testing.assert_allclose(mean, np.nanmean(among, axis=1), atol=1e-12)


def test_the_largest_feature_correlation_is_found(data) -> None:
    place, value = max_feature_corr(data["predictions"], data["features"])
    for row, prediction in enumerate(data["predictions"]):
        expected = [abs(np.corrcoef(prediction, f)[0, 1]) for f in data["features"].T]
        assert place[row] == int(np.argmax(expected))
        assert value[row] == pytest.approx(max(expected), abs=1e-12)


@pytest.mark.parametrize("ends", [5, 40])
def test_scores_on_the_extremes_are_the_librarys(data, ends: int) -> None:
    index = pd.Index([f"a{i:03d}" for i in range(150)])
    p = pd.DataFrame(data["predictions"].T, index=index, columns=list("wxyz"))
    t = pd.Series(data["target"], index=index, name="target")
    m = pd.Series(data["meta"], index=index, name="meta")
    n = pd.DataFrame(data["exposures"], index=index).add_prefix("n")
    pairs = {
        "corr": (
            corr(data["predictions"], data["target"], top_bottom=ends),
            scoring.numerai_corr(p, t, top_bottom=ends),
        ),
        "mmc": (
            mmc(data["predictions"], data["meta"], data["target"], top_bottom=ends),
            scoring.correlation_contribution(p, m, t, top_bottom=ends),
        ),
        "neutral_corr": (
            neutral_corr(data["predictions"], data["exposures"], data["target"], top_bottom=ends),
            scoring.neutral_correlation(p, n, t, top_bottom=ends),
        ),
        "neutral_mmc": (
            neutral_mmc(data["predictions"], data["meta"], data["exposures"], data["target"], top_bottom=ends),
            scoring.neutral_contribution(p, m, n, t, top_bottom=ends),
        ),
    }
    for kind, (ours, theirs) in pairs.items():
        np.testing.assert_allclose(ours, np.asarray(theirs, dtype=float), rtol=0, atol=1e-12, err_msg=kind)


def test_turnover_is_half_the_change_of_weights() -> None:
    assert turnover(np.array([0.5, -0.5, 0.0]), np.array([0.25, -0.5, 0.25])) == pytest.approx(0.25)
