"""Targets, split and models of the classic data set: no window overlaps the border, no model saw what it predicts.

Independent sources: residuals by ``numpy.linalg.lstsq`` and bins by sorting; windows counted session by session; ridge
regressions by least squares on stacked rows; the purge found by changing what must not matter.
"""

import numpy as np
import pytest

from crowdalpha.errors import InputRejected
from market.targets import forward_returns
from signals.classic.dataset import feature_sets, live_era, target_names
from signals.classic.models import PENALTY_PER_ROW, era_moments, fit, predict, walk_forward
from signals.classic.split import split_eras
from signals.classic.targets import HORIZONS, WAYS, era_targets, published_targets
from tests.builders.panels import small_panel, view_at

SECRET = b"a secret of tests, long enough"
SEED = 9
LAG = 2


def binned(values: np.ndarray) -> np.ndarray:
    """Five bins of 5, 20, 50, 20 and 5 percent of values without ties, by sorting."""
    place = (np.argsort(np.argsort(values)) + 0.5) / len(values)
    return np.searchsorted([0.05, 0.25, 0.75, 0.95], place) / 4


def test_each_way_is_the_residual_that_it_says():
    print(f"seed {SEED}")
    panel = small_panel(seed=SEED, n_assets=150, n_sessions=420)
    row, members = 330, np.arange(10, 149)
    evening, view = view_at(panel, row), view_at(panel)
    session = evening.last_session
    era = live_era(evening, members, SECRET, session.isoformat())
    exposures = np.random.default_rng(SEED).normal(size=(len(members), 4))
    found = era_targets(view, members, session, LAG, {"neutral": exposures, "feature": era.design})
    assert set(found) == {(way, horizon) for way in WAYS for horizon in HORIZONS}
    for horizon in HORIZONS:
        returns = forward_returns(view, members, session, horizon, LAG)
        assert np.isfinite(returns).all()
        for way, design in {"raw": np.zeros((139, 0)), "neutral": exposures, "feature": era.design}.items():
            columns = np.column_stack([np.ones(139), design])
            residual = returns - columns @ np.linalg.lstsq(columns, returns, rcond=None)[0]
            assert np.array_equal(found[way, horizon], binned(residual)), (way, horizon)


def test_the_design_is_the_published_features_in_the_order_of_members():
    panel = small_panel(seed=SEED, n_assets=150, n_sessions=420)
    era = live_era(view_at(panel), np.arange(150), SECRET, "e")
    for row, position in enumerate(era.positions.tolist()):
        assert np.array_equal(era.design[position], era.features[row])


def test_more_columns_than_assets_leave_one_bin():
    panel = small_panel(seed=SEED, n_assets=30, n_sessions=420)
    era = live_era(view_at(panel, 330), np.arange(30), SECRET, "e")
    session = view_at(panel, 330).last_session
    found = era_targets(view_at(panel), np.arange(30), session, LAG, {"feature": era.design})
    assert set(found["feature", 20].tolist()) == {0.5}


def test_a_window_that_is_not_over_has_no_target():
    panel = small_panel(seed=SEED, n_sessions=420)
    view = view_at(panel)
    last = 420 - 1 - LAG - max(HORIZONS)
    era_targets(view, np.arange(40), view_at(panel, last).last_session, LAG, {})
    with pytest.raises(InputRejected):
        era_targets(view, np.arange(40), view_at(panel, last + 1).last_session, LAG, {})


def test_target_names_say_the_horizon_and_nothing_else():
    names = published_targets(SECRET)
    assert len(set(names.values())) == 6
    for (way, horizon), name in names.items():
        prefix, word, sessions = name.split("_")
        assert (prefix, sessions) == ("target", str(horizon))
        assert word not in way
        assert names[way, 20].split("_")[1] == word
    assert published_targets(SECRET + b"!") != names
    assert target_names(SECRET, [*WAYS, "another"])[:3] == target_names(SECRET, WAYS)


def test_sets_of_features_grow_and_hang_on_the_secret():
    names = [f"feature_{i}_x" for i in range(72)]
    sets = feature_sets(SECRET, names)
    assert {name: len(members) for name, members in sets.items()} == {"small": 12, "medium": 36, "all": 72}
    assert set(sets["small"]) < set(sets["medium"]) < set(sets["all"])
    assert all(members == sorted(members) for members in sets.values())
    assert feature_sets(SECRET + b"!", names)["small"] != sets["small"]


@pytest.mark.parametrize("share", [0.01, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("window", [22, 62])
def test_no_training_window_reaches_into_validation(share: float, window: int):
    rng = np.random.default_rng(SEED)
    rows = np.cumsum(rng.choice([3, 4, 5], 150)).tolist()  # weeks with holidays are shorter
    split = split_eras(rows, window, share)
    assert sorted([*split.train, *split.embargo, *split.validation]) == rows
    assert len(split.train) == max(int(150 * share), 1)
    learnt = {s for row in split.train for s in range(row + 1, row + window + 1)}
    judged = {s for row in split.validation for s in range(row + 1, row + window + 1)}
    assert not learnt & judged
    if split.validation:
        assert len(split.embargo) >= {22: 5, 62: 13}[window]
        assert max(split.train) + window <= min(split.validation)


def test_a_border_that_stands_does_not_move():
    rows = list(range(0, 500, 5))
    first = split_eras(rows[:60], 62, 0.5)
    later = split_eras(rows, 62, 0.9, first.train[-1])
    assert later.train == first.train
    assert later.embargo == first.embargo
    assert later.validation[: len(first.validation)] == first.validation


def eras_of_noise(count: int, n: int = 80, k: int = 6) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(SEED)
    return [(rng.integers(0, 5, (n, k)).astype(np.int8), rng.choice([0, 0.25, 0.5, 0.75, 1, np.nan], n)) for _ in range(count)]


def test_a_fit_is_the_ridge_on_stacked_rows():
    eras = eras_of_noise(5)
    moments = [era_moments(x, y) for x, y in eras]
    total = moments[0] + moments[1] + moments[2] + moments[3] + moments[4]
    x, y = np.vstack([x for x, _ in eras]) - 2.0, np.concatenate([y for _, y in eras]) - 0.5
    x, y = x[~np.isnan(y)], y[~np.isnan(y)]
    root = np.sqrt(PENALTY_PER_ROW * len(y))
    expected = np.linalg.lstsq(np.vstack([x, root * np.eye(6)]), np.concatenate([y, np.zeros(6)]), rcond=None)[0]
    assert fit(total) == pytest.approx(expected, rel=1e-10)
    assert predict(eras[0][0], expected) == pytest.approx(predict(eras[0][0], fit(total)))


def test_walking_forward_no_model_saw_what_it_predicts():
    """Change the target of each era in turn: only eras that begin when its window is over may notice, and all of them must."""
    rows, window = list(range(0, 200, 5)), 22
    eras = eras_of_noise(len(rows))
    moments = [era_moments(x, y) for x, y in eras]
    plain = walk_forward(rows, moments, window, eras_min=3)
    assert [c is not None for c in plain] == [sum(r + window <= row for r in rows) >= 3 for row in rows]
    for changed in range(0, len(rows), 7):
        other = [*moments]
        other[changed] = era_moments(eras[changed][0], 1.0 - eras[changed][1])
        found = walk_forward(rows, other, window, eras_min=3)
        for row, before, after in zip(rows, plain, found, strict=True):
            if before is not None:
                assert np.array_equal(before, after) == (rows[changed] + window > row)
