"""What impact depends on is known before the fill. Method: medians and deviations by plain loops over a market with halts and
gaps; everything from the session of the fill on is made another, and nothing changes."""

import math
from statistics import median

import numpy as np
import pytest

from market.calendars import to_instant
from service.liquidity import SIGMA_SESSIONS, liquidity_before
from tests.builders.backtests import eventful_panel

WINDOW = 20


@pytest.mark.parametrize("row", [5, 40, 300])
def test_it_is_the_median_volume_and_the_deviation_of_the_sessions_before(row: int) -> None:
    panel = eventful_panel()
    view = panel.as_of(to_instant(panel.known_at[-1]))
    positions = np.array([2, 17, 41])
    found = liquidity_before(view, row, WINDOW, positions)
    for place, asset in enumerate(positions):
        volumes = [0.0 if math.isnan(v) else v for v in view.dollar_volume()[max(row - WINDOW, 0) : row, asset].tolist()]
        moves = [0.0 if math.isnan(v) else v for v in view.total_returns()[max(row - SIGMA_SESSIONS, 0) : row, asset].tolist()]
        mean = sum(moves) / len(moves)
        assert found.adv_dollars[place] == pytest.approx(median(volumes), rel=1e-12)
        assert found.sigma[place] == pytest.approx(math.sqrt(sum((m - mean) ** 2 for m in moves) / len(moves)), rel=1e-9)


def test_the_evening_before_and_any_later_day_tell_the_same() -> None:
    """A walk asks on the evening, where the session of the fill is not known yet; a settlement asks days later."""
    panel = eventful_panel()
    evening, later = panel.as_of(to_instant(panel.known_at[299])), panel.as_of(to_instant(panel.known_at[320]))
    asked, settled = liquidity_before(evening, len(evening.sessions), WINDOW), liquidity_before(later, 300, WINDOW)
    np.testing.assert_array_equal(asked.adv_dollars, settled.adv_dollars)
    np.testing.assert_array_equal(asked.sigma, settled.sigma)
