"""An edited panel agrees with its original in all that was known at the cut, differs after it, and leaves no field out.

Method: a synthetic market with events on both sides of the cut is edited in each way. What a view shows is compared to the bit,
each field after the cut with what the edit promises. Fields that the panel does not have yet are tried on records made here.
"""

from dataclasses import dataclass, field, fields, make_dataclass, replace
from datetime import date, timedelta
from functools import cache
from typing import Any

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, InvariantBroken
from market.assettable import AssetWords
from market.calendars import to_instant
from market.edits import UNDATED, Edit, _Change, _edited, edit_after, edit_before
from market.facts import DatedFacts
from market.outcome import differences, outcome
from market.panel import NOT_DELISTED, PanelView, PointInTimePanel
from market.synthetic import SyntheticSpec, generate_market
from tests.builders.corrections import corrected

SEED = 4
ROW = 60
EDITS = pytest.mark.parametrize("edit", list(Edit))


@cache
def market() -> PointInTimePanel:
    """Thirty assets over a hundred sessions, a third of which is delisted; every field that a panel may have is there."""
    spec = SyntheticSpec(
        seed=SEED, n_assets=30, start=date(2015, 1, 2), end=date(2015, 5, 27), delisting_share=0.6, listing_share=0.1,
        splits_per_year=2.0, halts_per_year=4.0,
    )  # fmt: skip
    panel, rng = corrected(generate_market(spec), SEED), np.random.default_rng(SEED)
    told = panel.known_at[panel.delisting_index].astype("datetime64[us]") + np.timedelta64(2, "D")
    learnt = panel.known_at[[0, ROW - 1, *range(ROW + 1, ROW + 13)]].astype("datetime64[us]")
    place = np.arange(len(learnt))
    assets = panel.assets
    return replace(
        panel,
        quotes=replace(panel.quotes, high=panel.close * 1.01, low=panel.close * 0.99),
        delisting_known_at=np.where(panel.delisting_index == NOT_DELISTED, np.datetime64("NaT"), told),
        trading=np.ones((len(panel.sessions), 1), dtype=np.bool_),
        fx=np.exp(np.cumsum(rng.normal(0, 0.01, panel.close.shape), axis=0)),
        words=AssetWords(learnt, place % 4, place * 3 % 30, np.array([f"word {i}" for i in place])),
        assets=replace(assets, shares=np.where(np.arange(len(assets)) < 4, np.nan, assets.shares)),
        share_counts=DatedFacts(assets.asset_ids[place % 4], learnt.astype("datetime64[D]"), learnt, 1e6 * (1.0 + place)),
    )


def edited(edit: Edit) -> PointInTimePanel:
    print(f"seed {SEED}")
    return edit_after(market(), to_instant(market().known_at[ROW]), edit, np.random.default_rng(SEED))


def shown(view: PanelView) -> dict[str, Any]:
    """Everything that a view can be asked for."""
    asked = ("total_returns", "overnight_returns", "intraday_returns", "dollar_volume", "market_cap", "history_sessions")
    return {"view": view, "traded": view.traded, **{name: getattr(view, name)() for name in asked}}


def test_the_market_has_events_on_both_sides_of_the_cut() -> None:
    index = market().delisting_index
    assert ((index > NOT_DELISTED) & (index <= ROW)).any()
    assert (index > ROW).any()


def not_yet_told() -> np.ndarray:
    """Delistings that were not known at the cut."""
    return (market().delisting_index > NOT_DELISTED) & ~(market().delisting_known_at <= market().known_at[ROW])


@EDITS
def test_what_was_known_at_the_cut_is_the_same_to_the_bit(edit: Edit) -> None:
    before = market().content_hash()
    panel = edited(edit)
    for back in (0, 1, 20):
        at = to_instant(market().known_at[ROW - back])
        for instant in (at, at + timedelta(seconds=1)):
            assert differences(outcome(shown(market().as_of(instant))), outcome(shown(panel.as_of(instant)))) == ()
    assert market().content_hash() == before


@EDITS
def test_a_session_later_everything_has_changed(edit: Edit) -> None:
    later = to_instant(market().known_at[ROW + 5])
    found = differences(outcome(shown(market().as_of(later))), outcome(shown(edited(edit).as_of(later))))
    outputs = {difference.output for difference in found}
    assert {
        "view.quotes.close",
        "view.quotes.open",
        "view.quotes.volume",
        "total_returns",
        "market_cap",
        "dollar_volume",
    } <= outputs


@pytest.mark.parametrize("edit", [Edit.SHUFFLE, Edit.TRUNCATE])
def test_words_about_assets_that_were_learnt_later_are_others(edit: Edit) -> None:
    """Text has neither NaN nor a scale; the two other edits leave what was known, and no table of assets as it was."""
    later = to_instant(market().known_at[ROW + 13])
    found = differences(outcome(market().as_of(later)), outcome(replace(market(), words=edited(edit).words).as_of(later)))
    assert {d.output for d in found} == {f"assets.{name}" for name in ("tickers", "sectors", "countries", "currencies")}


def test_no_field_of_the_panel_is_left_out() -> None:
    """Every array that the panel holds, or comes to hold, is changed by an edit, but for what has no instant."""
    assert [f.name for record in (market(), market().quotes) for f in fields(record) if getattr(record, f.name) is None] == []
    whole = outcome(market())
    arrays = {path for path, leaf in whole.items() if isinstance(leaf, np.ndarray)}
    unchanged = arrays - {d.output for edit in Edit for d in differences(whole, outcome(edited(edit)))}
    undated = {f"assets.{name}" for name in UNDATED} | {f"calendar.{name}" for name in ("sessions", "opens", "closes")}
    assert unchanged == undated | {"flags.items"}


def test_nan_leaves_no_number_and_no_later_delisting() -> None:
    panel = edited(Edit.NAN)
    for name, values in {**panel.quotes.arrays(), "fx": panel.fx}.items():
        assert np.isnan(values[ROW + 1 :]).all(), name
    assert np.isnan(panel.revisions.values[panel.revisions.known_at > market().known_at[ROW]]).all()
    assert panel.delisting_index.max() <= ROW
    assert len(panel.sessions) == len(market().sessions)


def test_scale_makes_every_number_a_million_times_as_large() -> None:
    panel = edited(Edit.SCALE)
    np.testing.assert_array_equal(panel.close[ROW + 1 :], market().close[ROW + 1 :] * 1e6)
    later = not_yet_told()
    np.testing.assert_allclose(1 + panel.delisting_return[later], 1e6 * (1 + market().delisting_return[later]), rtol=1e-12)
    np.testing.assert_array_equal(panel.delisting_index, market().delisting_index)


def test_shuffle_moves_all_fields_to_the_same_places() -> None:
    panel, original = edited(Edit.SHUFFLE), market()

    def pairs(p: PointInTimePanel) -> list[tuple[float, float]]:
        return sorted(
            zip(np.nan_to_num(p.close[ROW + 1 :]).ravel(), np.nan_to_num(p.quotes.volume[ROW + 1 :]).ravel(), strict=True)
        )

    assert pairs(panel) == pairs(original)
    assert not np.array_equal(np.sort(panel.close[ROW + 1], axis=None), np.sort(original.close[ROW + 1], axis=None))
    later = not_yet_told()
    assert sorted(panel.delisting_index[panel.delisting_index > ROW]) == sorted(original.delisting_index[later])
    assert not np.array_equal(panel.delisting_index > ROW, later)
    assert sorted(panel.revisions.values) == sorted(original.revisions.values)
    assert not np.array_equal(panel.revisions.values, original.revisions.values)
    again = edited(Edit.SHUFFLE)
    assert again.content_hash() == panel.content_hash(), "the same generator gives the same panel"


def test_truncation_leaves_no_later_row() -> None:
    panel = edited(Edit.TRUNCATE)
    assert panel.sessions.shape == panel.known_at.shape == (ROW + 1,)
    assert panel.close.shape == (ROW + 1, 30)
    assert panel.delisting_index.max() <= ROW


def test_the_control_changes_what_was_known_and_nothing_else() -> None:
    panel = edit_before(market(), to_instant(market().known_at[ROW]), np.random.default_rng(SEED))
    np.testing.assert_array_equal(panel.close[ROW + 1 :], market().close[ROW + 1 :])
    assert not np.array_equal(panel.close[: ROW + 1], market().close[: ROW + 1], equal_nan=True)
    np.testing.assert_array_equal(panel.delisting_index, market().delisting_index)


def test_a_cut_without_data_on_both_sides_is_refused() -> None:
    rng = np.random.default_rng(SEED)
    for at in (to_instant(market().known_at[0]) - timedelta(seconds=1), to_instant(market().known_at[-1])):
        with pytest.raises(InputRejected) as refused:
            edit_after(market(), at, Edit.NAN, rng)
        assert refused.value.code is Code.DATE_OUTSIDE_PANEL
    with pytest.raises(InputRejected):
        edit_after(market(), at.replace(tzinfo=None), Edit.NAN, rng)


# --- fields that a panel may come to have -----------------------------------------------------------------------

KNOWN = np.array(["2020-01-01T22", "2020-01-02T22", "2020-01-03T22", "2020-01-04T22"], dtype="datetime64[s]")
CUT = np.datetime64("2020-01-02T23", "us")


@dataclass(frozen=True)
class Corrections:
    """Cells that were learnt later than their row, in the order in which they were learnt."""

    known_at: np.ndarray
    row: np.ndarray
    value: np.ndarray
    reason: np.ndarray


@dataclass(frozen=True)
class Record:
    known_at: np.ndarray = field(default_factory=KNOWN.copy)
    rate: np.ndarray = field(default_factory=lambda: np.arange(4.0))
    trading: np.ndarray = field(default_factory=lambda: np.array([[True], [True], [False], [True]]))
    sectors_by_date: np.ndarray = field(default_factory=lambda: np.array([["a", "b", "c"]] * 2 + [["d", "e", "f"]] * 2))
    delisting_index: np.ndarray = field(default_factory=lambda: np.array([1, 1, 3]))
    delisting_known_at: np.ndarray = field(default_factory=lambda: KNOWN[[1, 3, 3]].copy())
    delisting_return: np.ndarray = field(default_factory=lambda: np.array([-0.1, -0.2, -0.3]))
    corrections: Corrections | None = None
    calendars: tuple[str, ...] = ("XNYS",)


def change(edit: Edit) -> _Change:
    return _Change(CUT, edit, np.random.default_rng(SEED))


def test_a_delisting_that_was_told_later_is_edited() -> None:
    """Its session was visible at the cut; that it had happened was not known."""
    for edit in (Edit.NAN, Edit.TRUNCATE):
        found = _edited(Record(), change(edit))
        assert found.delisting_index.tolist() == [1, NOT_DELISTED, NOT_DELISTED]
        assert np.isnan(found.delisting_return).tolist() == [False, True, True]
        assert np.isnat(found.delisting_known_at).tolist() == [False, True, True]


def test_a_table_inside_the_panel_is_edited_by_its_own_clock() -> None:
    known_at = KNOWN[[0] + [3] * 20]
    words = np.array([f"word {i}" for i in range(21)])
    table = Corrections(known_at, np.arange(21), np.arange(21.0), words)
    record = Record(corrections=table)
    assert _edited(record, change(Edit.TRUNCATE)).corrections.value.tolist() == [0.0]
    assert _edited(record, change(Edit.SCALE)).corrections.value.tolist() == [0.0, *(1e6 * i for i in range(1, 21))]
    moved = _edited(record, change(Edit.SHUFFLE)).corrections
    assert (moved.row[0], moved.value[0], moved.reason[0]) == (0, 0.0, "word 0")
    assert sorted(moved.row) == list(range(21))
    pairs = set(zip(moved.row.tolist(), moved.value.tolist(), moved.reason.tolist(), strict=True))
    assert pairs != set(zip(table.row.tolist(), table.value.tolist(), words.tolist(), strict=True))


def test_dated_fields_of_other_forms_are_edited_and_published_ones_are_cut_off() -> None:
    assert _edited(Record(), change(Edit.SCALE)).rate.tolist() == [0.0, 1.0, 2e6, 3e6]
    assert _edited(Record(), change(Edit.SHUFFLE)).rate.tolist() == [0.0, 1.0, 3.0, 2.0]
    words = _edited(Record(), change(Edit.SHUFFLE)).sectors_by_date
    assert words[:2].tolist() == [["a", "b", "c"]] * 2
    assert words[2].tolist() != ["d", "e", "f"]
    assert _edited(Record(), change(Edit.SHUFFLE)).trading.tolist() == Record().trading.tolist()
    assert _edited(Record(), change(Edit.TRUNCATE)).trading.tolist() == [[True], [True]]


@dataclass(frozen=True)
class Timeless:
    """A table that does not say when it was learnt."""

    value: np.ndarray


def test_a_table_without_instants_is_dated_by_what_holds_it() -> None:
    grown = make_dataclass("Grown", [("quotes", Timeless)], bases=(Record,), frozen=True, kw_only=True)(
        quotes=Timeless(np.arange(4.0))
    )
    assert _edited(grown, change(Edit.SCALE)).quotes.value.tolist() == [0.0, 1.0, 2e6, 3e6]
    assert _edited(grown, change(Edit.TRUNCATE)).quotes.value.tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    "unknown",
    [np.zeros(3), np.zeros((3, 4)), [np.zeros(4)], {"USD": np.zeros(4)}, Timeless(np.zeros(3)), object()],
    ids=["by-asset", "by-asset-and-row", "list", "mapping", "table", "object"],
)
def test_a_field_without_a_rule_is_an_error(unknown: Any) -> None:
    grown = make_dataclass("Grown", [("mystery", Any)], bases=(Record,), frozen=True, kw_only=True)(mystery=unknown)
    with pytest.raises(InvariantBroken, match="has no rule"):
        _edited(grown, change(Edit.NAN))
