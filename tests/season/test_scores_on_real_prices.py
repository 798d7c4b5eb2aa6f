"""Scores on real prices of 2014–2016: noise is noise, a mirror loses what its original wins, a neutral signal is neutral.

Weekly rounds of 1,000 names with 20D2L targets; no provider and no shell, only the panel and the scores. That momentum is
what others call momentum is shown with the replay's provider in tests/replay.
"""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from market.calendars import to_instant
from market.panel import PointInTimePanel
from market.projection import residualize
from market.ranks import gaussianize, tie_kept_rank
from market.targets import forward_returns, neutral_target
from service.desk import MarketDesk, week_end_rows
from service.settings import load_settings
from service.vendors.ingested import panel_of_files
from signals.quantize import score_ppb
from signals.scores import corr, mmc, neutral_corr, neutral_mmc

pytestmark = pytest.mark.real_data

FIRST, LAST = np.datetime64("2014-01-01"), np.datetime64("2016-12-31")
NOISE_MODELS = 3


@pytest.fixture(scope="module")
def desk(real_data: Path) -> MarketDesk:
    settings = load_settings()
    panel = panel_of_files(settings, real_data / "us_daily.parquet", real_data / "equity_meta.csv.gz", date(2017, 3, 1))
    desk = MarketDesk(home=None, settings=settings)  # type: ignore[arg-type]
    desk.use(panel)
    return desk


def rows_of(panel: PointInTimePanel) -> list[int]:
    ends = week_end_rows(panel.sessions, 252, 10_000)
    return [r for r in ends if FIRST <= panel.sessions[r] <= LAST]


def momentum(panel: PointInTimePanel, row: int, members: np.ndarray) -> np.ndarray:
    """Price a month ago over price a year ago, as known on the evening of ``row``."""
    prices = panel.as_of(to_instant(panel.known_at[-1])).return_index()
    return np.nan_to_num(prices[row - 21, members] / prices[row - 252, members] - 1.0)


def test_momentum_neutralized_against_momentum_has_no_exposure_left(desk: MarketDesk) -> None:
    panel = desk.panel
    for row in rows_of(panel)[::13]:
        view = panel.as_of(to_instant(panel.known_at[row]))
        members = desk.universe(view).members
        exposures = desk.exposures(view, members)
        signal = gaussianize(tie_kept_rank(momentum(panel, row, members)))
        rest = residualize(signal, exposures.values)
        column = exposures.values[:, exposures.names.index("momentum")]
        assert abs(column @ rest) / (np.linalg.norm(column) * np.linalg.norm(signal)) <= 1e-10


def test_noise_scores_zero_a_mirror_the_negative_and_a_clone_the_same(desk: MarketDesk) -> None:
    seed = 2014
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    panel = desk.panel
    end = panel.as_of(to_instant(panel.known_at[-1]))
    noise_scores = []
    for row in rows_of(panel):
        view = panel.as_of(to_instant(panel.known_at[row]))
        members = desk.universe(view).members
        exposures = desk.exposures(view, members).values
        returns = forward_returns(end, members, view.last_session, 20, 2)
        target = neutral_target(returns, exposures)
        signal = tie_kept_rank(momentum(panel, row, members))
        noise = tie_kept_rank(rng.standard_normal((NOISE_MODELS, len(members))))
        predictions = np.vstack([noise, signal, 1.0 - signal, signal])
        meta = gaussianize(noise[0]) + gaussianize(signal)
        kinds = (
            corr(predictions, target),
            mmc(predictions, meta, target),
            neutral_corr(predictions, exposures, target),
            neutral_mmc(predictions, meta, exposures, target),
        )
        noise_scores.append(kinds[0][:NOISE_MODELS])
        for values in kinds:
            assert values[-2] == pytest.approx(-values[-3], abs=1e-12)
            assert values[-1] == pytest.approx(values[-3], abs=1e-14)
            assert score_ppb(values[-1]) == score_ppb(values[-3])
    # Targets of neighbouring weeks overlap, but the noise is fresh each week: its scores are independent given the market.
    scores = np.concatenate(noise_scores)
    error = scores.std(ddof=1) / np.sqrt(scores.size)
    assert scores.size > 400
    assert abs(scores.mean()) <= 3 * error
