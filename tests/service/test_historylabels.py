"""Identifiers of a history mean the asset that had them on the date, else the one that has them at the end; by hand."""

import numpy as np

from market.assettable import AssetTable
from service.historylabels import HistoryLabels


def table(*tickers: str) -> AssetTable:
    same = np.full(len(tickers), "x")
    return AssetTable(np.array([f"A{i}" for i in range(len(tickers))]), np.array(tickers), *[same] * 4, np.ones(len(tickers)))


def meant(written: list[str], then: AssetTable, latest: AssetTable, members: list[int]) -> list[int]:
    labels = HistoryLabels.of(sorted(set(written)), latest)
    codes = np.array([sorted(set(written)).index(w) for w in written])
    found: list[int] = labels.on(then, np.array(members), codes).tolist()
    return found


def test_an_identifier_means_who_had_it_then_and_else_who_has_it_at_the_end() -> None:
    then, latest = table("FB", "IBM", "X"), table("META", "IBM", "X")
    assert meant(["FB", "IBM", "OFF"], then, latest, [0, 1, 2]) == [0, 1, -1]
    assert meant(["META", "IBM"], then, latest, [0, 1, 2]) == [0, 1]


def test_a_ticker_used_again_means_its_holder_of_the_date() -> None:
    then, latest = table("FB", "A1"), table("META", "FB")
    assert meant(["FB"], then, latest, [0]) == [0]
    assert meant(["FB"], latest, latest, [0, 1]) == [1]


def test_an_asset_named_by_both_its_tickers_is_taken_once_by_that_of_the_date() -> None:
    assert meant(["META", "FB"], table("FB", "B"), table("META", "B"), [0, 1]) == [-1, 0]


def test_of_several_with_one_ticker_the_member_is_meant_and_members_by_their_ids() -> None:
    both = table("T", "T", "U")
    assert meant(["T", "U"], both, both, [0, 2]) == [0, 2]
    assert meant(["T", "U"], both, both, [1, 2]) == [1, 2]
    assert meant(["A0", "A1", "U"], both, both, [0, 1, 2]) == [0, 1, 2]
