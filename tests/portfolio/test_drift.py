"""Goal: drift between decisions is measured and told. Method: a path by hand, a loop over sessions as the twin, and a book that
the backtest carried."""

import math

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from portfolio.book import TradingCosts
from portfolio.drift import DRIFT_BAND_MIN, drift_between_decisions
from portfolio.simulate import backtest
from tests.builders.books import factor_columns, random_paths

DAYS = np.arange("2020-01-01", "2030-01-01", dtype="datetime64[D]")


def test_a_path_by_hand():
    """Filled on the 2nd and the 5th: moves of 0.02, 0.05 and 0.01 after them; 0.07 passes three times 0.02 once."""
    values = np.array([0.9, 0.02, 0.04, 0.07, 0.0, -0.01])
    decided = np.array([False, True, False, False, True, False])
    report = drift_between_decisions(DAYS[:6], {"size": values}, decided, {"size": 0.02})
    line = report.lines[0]
    assert line.drift_band == pytest.approx(0.06)
    assert line.typical == pytest.approx(0.02)
    assert line.high == pytest.approx(0.05 - 0.02 * (0.05 - 0.02))
    assert (line.largest, line.past) == (0.07, 1)
    (finding,) = report.findings
    assert finding.code is Code.EXPOSURE_DRIFT
    assert not finding.refuses
    assert "2020-01-04" in finding.message
    assert "+0.070" in finding.message
    assert drift_between_decisions(DAYS[:6], {"size": values}, decided, {"size": 0.02}, multiple=4.0).findings == ()


def test_a_carried_book_drifts_as_a_loop_says():
    """60 sessions, a decision each fifth: quantiles of the movements equal those gathered one by one."""
    print("seed 131")
    rng = np.random.default_rng(131)
    overnight, intraday = random_paths(rng, 60, 20)
    B, _ = factor_columns(rng, 20, 3, 2)
    targets = {row: rng.uniform(-0.1, 0.1, 20) for row in range(0, 60, 5)}
    weights = backtest(overnight, intraday, targets, TradingCosts(), keep_weights=True).weights
    exposures = weights @ B
    decided = np.isin(np.arange(60), list(targets))
    series = {f"f{j}": exposures[:, j] for j in range(B.shape[1])}
    report = drift_between_decisions(DAYS[:60], series, decided, {"f1": 0.05})
    for j, line in enumerate(report.lines):
        moves = [abs(exposures[t, j] - exposures[t - t % 5, j]) for t in range(60) if t % 5]
        assert line.high == pytest.approx(float(np.quantile(moves, 0.99)))
        assert line.typical == pytest.approx(float(np.median(moves)))
        assert line.largest == pytest.approx(np.abs(exposures[:, j]).max())
        assert line.past == (0 if j != 1 else int((np.abs(exposures[:, 1]) > 0.15).sum()))
    assert [f.column for f in report.findings] == (["f1"] if report.lines[1].past else [])


def test_a_band_of_zero_has_room_to_drift_and_none_has_no_end():
    """Beta is zero at each decision; it may move by a little. Without a band nothing is found."""
    values, decided = np.array([0.0, DRIFT_BAND_MIN - 1e-6, 5.0]), np.array([True, False, False])
    report = drift_between_decisions(DAYS[:3], {"beta": values, "other": values}, decided, {"beta": 0.0})
    assert [line.past for line in report.lines] == [1, 0]
    assert math.isinf(report.lines[1].drift_band)


def test_unknown_and_early_closes_count_nowhere():
    """NaN, and what was before the first decision; without any decision there is no quantile and no finding."""
    values = np.array([9.0, 0.0, np.nan, 0.01])
    report = drift_between_decisions(DAYS[:4], {"a": values}, np.array([False, True, False, False]), {"a": 0.01})
    assert report.lines[0].largest == 0.01
    assert report.lines[0].high == pytest.approx(0.01)
    none = drift_between_decisions(DAYS[:4], {"a": values}, np.zeros(4, dtype=bool), {"a": 0.01})
    assert math.isnan(none.lines[0].high)
    assert none.findings == ()
    assert drift_between_decisions(DAYS[:0], {"a": values[:0]}, np.zeros(0, dtype=bool), {}).lines[0].past == 0
    with pytest.raises(InputRejected):
        drift_between_decisions(DAYS[:4], {"a": values[:2]}, np.zeros(4, dtype=bool), {})
