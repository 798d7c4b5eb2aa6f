"""What a decision knows of its assets on the joint calendar of two exchanges. Method: dates on which only one of them trades,
set beside the sessions of each exchange's own calendar."""

from datetime import date

import numpy as np

from market.calendars import session_calendar, to_instant
from market.synthetic import SyntheticSpec, generate_market
from service.decide import decision_market
from tests.builders.backtests import desk_on

SPEC = SyntheticSpec(seed=4, n_assets=120, countries=("US", "JP"), start=date(2015, 1, 5), end=date(2017, 3, 31))
NEW_YORK_RESTS, TOKYO_RESTS = date(2017, 2, 20), date(2017, 3, 20)


def test_a_holiday_of_its_exchange_halts_no_asset_and_a_missing_trade_does() -> None:
    panel = generate_market(SPEC)
    desk = desk_on(panel)
    for rests, calendar in ((NEW_YORK_RESTS, "XNYS"), (TOKYO_RESTS, "XTKS")):
        assert not session_calendar(calendar, date(2017, 1, 1), date(2017, 3, 31)).is_session(rests)
        row = panel.index_of(rests)
        view = panel.as_of(to_instant(panel.known_at[row]))
        assert view.last_session == rests
        positions = np.arange(len(panel.assets))[np.isfinite(view.close).sum(axis=0) > 300]
        closed = panel.assets.exchanges[positions] == calendar
        assert closed.any()
        assert not closed.all()
        assert not view.traded[-1, positions[closed]].any()
        found = decision_market(desk, view, positions)
        own_last = np.where(closed, row - 1, row)
        expected = ~np.array([view.traded[r, p] for r, p in zip(own_last, positions, strict=True)]) & ~found.dead
        np.testing.assert_array_equal(found.frozen, expected)
        assert found.frozen.mean() < 0.1
