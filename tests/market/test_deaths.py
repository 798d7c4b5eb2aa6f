"""Synthetic deaths take what they say and no more. Method: compare the panel before and after, cell by cell, and count deaths
against the binomial law that the share stands for."""

from datetime import timedelta

import numpy as np
import pytest

from crowdalpha.errors import InputRejected
from market.calendars import to_instant
from market.deaths import SYNTHETIC_DEATHS, with_deaths
from market.panel import NOT_DELISTED
from tests.builders.backtests import eventful_panel
from tests.builders.panels import hand_panel

SEED = 7


def test_as_many_die_as_the_share_says() -> None:
    """Two years of 999 assets at 10 %: 19 % die, give or take four standard deviations."""
    print(f"seed {SEED}")
    panel = hand_panel(np.full((505, 999), 10.0))
    dead = with_deaths(panel, 0.1, np.random.default_rng(SEED)).delisting_index != NOT_DELISTED
    expected = 1.0 - 0.9**2
    assert abs(dead.mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / 999)


def test_the_dead_have_no_prices_and_the_living_keep_theirs() -> None:
    panel = eventful_panel()
    after = with_deaths(panel, 0.3, np.random.default_rng(SEED), -0.4)
    new = np.flatnonzero(after.delisting_index != panel.delisting_index)
    assert len(new) > 5
    for i in range(len(panel.assets)):
        row = int(after.delisting_index[i]) if i in new else len(panel.sessions)
        for name, values in panel.quotes.arrays().items():
            kept = after.quotes.arrays()[name]
            assert np.array_equal(kept[:row, i], values[:row, i], equal_nan=True)
        assert np.isnan(after.quotes.close[row:, i]).all()
    assert (after.delisting_return[new] == -0.4).all()
    assert after.flags == panel.flags | {SYNTHETIC_DEATHS}
    earlier = (panel.delisting_index != NOT_DELISTED) & ~np.isin(np.arange(len(panel.assets)), new)
    assert earlier.any()
    assert np.array_equal(after.delisting_return[earlier], panel.delisting_return[earlier])


def test_a_death_is_not_known_before_its_session() -> None:
    panel = with_deaths(eventful_panel(), 0.3, np.random.default_rng(SEED))
    asset = int(np.argmax(panel.delisting_index))
    known = to_instant(panel.known_at[panel.delisting_index[asset]])
    assert panel.as_of(known - timedelta(minutes=1)).delisting_index[asset] == NOT_DELISTED
    assert panel.as_of(known).delisting_index[asset] == panel.delisting_index[asset]


def test_the_same_seed_gives_the_same_deaths_and_no_share_gives_none() -> None:
    panel = eventful_panel()
    one, two = (with_deaths(panel, 0.1, np.random.default_rng(SEED)) for _ in range(2))
    assert one.content_hash() == two.content_hash()
    none = with_deaths(panel, 0.0, np.random.default_rng(SEED))
    assert np.array_equal(none.delisting_index, panel.delisting_index)


@pytest.mark.parametrize(("share", "loss"), [(-0.1, -0.3), (1.0, -0.3), (0.1, -1.5)])
def test_what_is_no_share_is_refused(share: float, loss: float) -> None:
    with pytest.raises(InputRejected):
        with_deaths(eventful_panel(), share, np.random.default_rng(SEED), loss)
