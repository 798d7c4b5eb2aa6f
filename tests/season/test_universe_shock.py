"""Goal: the live fund's rebalance stands a night in which 30 % of its names leave. Method: a fund of three weeks decides
on prices on which names of its book do not trade on the last session, or are delisted in it; the book is added up here."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from portfolio.ladder import HELD
from service.book import read_book, weights_of
from service.context import Platform
from service.decisions import load_fund_mandate
from service.workflows.rebalance import Decision, rebalance
from tests.builders.desks import desk_at, play_to_sunday
from tests.builders.panels import without_quotes
from tests.builders.seasons import small_panel

LAST_SESSION = date(2021, 1, 22)
"""The Friday before the Sunday on which the fund decides."""
SHARE = 0.30
EXACT = 1e-8


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    made = desk_at(play_to_sunday(tmp_path_factory.mktemp("shock") / "home"))
    yield made
    made.store.dispose()


def lost_names(platform: Platform) -> np.ndarray:
    """Draw 30 % of what is held, as places on the panel's axis, ascending."""
    with platform.store.read() as connection:
        book, _ = read_book(connection, platform)
    held = book.asset_ids[book.positions != 0]
    chosen = np.random.default_rng(3).choice(held, round(SHARE * len(held)), replace=False)
    assert len(chosen) >= 20
    return np.sort(platform.desk.positions_of(chosen))


def held_weights(platform: Platform, decision: Decision) -> np.ndarray:
    with platform.store.read() as connection:
        book, _ = read_book(connection, platform)
    return weights_of(book, decision.asset_ids)


def assert_neutral(platform: Platform, decision: Decision) -> None:
    """Dollars and beta exactly, sectors and styles inside their bands; nothing but turnover may have given way."""
    evidence, mandate = decision.evidence, load_fund_mandate(platform)
    exposures = platform.blobs.get_array(evidence["exposures_sha256"])
    assert evidence["status"] != HELD
    assert abs(decision.weights.sum()) <= EXACT
    leans = np.einsum("i,ij->j", decision.weights, exposures)
    for name, lean in zip(evidence["exposures"], leans.tolist(), strict=True):
        kind = evidence["exposure_kinds"][name]
        band = np.inf if kind == "market" else getattr(mandate, f"{kind}_band")
        assert abs(lean) <= band + EXACT, name
    assert set(evidence["violations"]) <= {"turnover"}


def test_names_that_do_not_trade_stay_and_are_listed(platform: Platform) -> None:
    lost = lost_names(platform)
    row = small_panel().index_of(LAST_SESSION)
    platform.desk.use(replace(small_panel(), quotes=without_quotes(small_panel(), slice(row, row + 1), lost)))
    decision = rebalance(platform, dry_run=True)
    assert_neutral(platform, decision)
    frozen = decision.evidence["frozen"]
    names = small_panel().assets.asset_ids[lost]
    assert sorted(frozen) == sorted(names)
    w0, at = held_weights(platform, decision), np.searchsorted(decision.asset_ids, names)
    np.testing.assert_array_equal(decision.weights[at], w0[at])
    assert [frozen[str(name)] for name in names] == w0[at].tolist()


def test_names_that_are_delisted_are_closed(platform: Platform) -> None:
    lost = lost_names(platform)
    row = small_panel().index_of(LAST_SESSION)
    gone = np.isin(np.arange(len(small_panel().assets)), lost)
    changed = replace(
        small_panel(),
        quotes=without_quotes(small_panel(), slice(row, None), lost),
        delisting_index=np.where(gone, row, small_panel().delisting_index),
        delisting_return=np.where(gone, -0.3, small_panel().delisting_return),
    )
    platform.desk.use(changed)
    decision = rebalance(platform, dry_run=True)
    assert_neutral(platform, decision)
    at = np.searchsorted(decision.asset_ids, small_panel().assets.asset_ids[lost])
    assert not decision.weights[at].any()
    assert decision.evidence["frozen"] == {}
