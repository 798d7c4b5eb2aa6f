"""Rows go to whoever had their label, as far as it was known.

Method: random maps and rows; the rows returned are put together to the state of every instant, and compared with what
:meth:`market.assets.AssetBook.resolve` says of each row at that instant.
"""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

from crowdalpha.ids import AssetId
from market.assets import ALWAYS, FOREVER, AssetBook, Spell
from market.calendars import to_datetime64
from market.tenures import owned_rows, owner_at, tenures_of

SEED = 20_201
LABELS = ("AA", "BB", "CC", "DD")
START = date(2015, 1, 1)


def instant(day: int) -> datetime:
    return datetime(2015, 1, 1, 12, tzinfo=UTC) + timedelta(days=day)


def random_book(rng: np.random.Generator) -> AssetBook:
    """Spells of three labels one after the other, most of them learnt at some other time, some ends learnt later still."""
    spells = []
    for label in LABELS[:3]:
        days = np.sort(rng.choice(40, size=5, replace=False)).tolist()
        for first, end in pairwise(days):
            asset, told = AssetId(f"X{rng.integers(4)}"), int(rng.integers(60))
            begin = START + timedelta(days=first)
            if rng.random() < 0.3:  # first told with another end, at which nothing else stood yet
                spells.append(Spell(asset, "ticker", label, begin, begin, known_at=instant(told - 1)))
            if rng.random() < 0.8:
                spells.append(Spell(asset, "ticker", label, begin, START + timedelta(days=end), known_at=instant(told)))
    return AssetBook(tuple(spells))


@pytest.mark.parametrize("round_", range(8))
def test_at_each_instant_rows_are_where_the_book_then_says(round_: int) -> None:
    print(f"seed {SEED + round_}")
    rng = np.random.default_rng(SEED + round_)
    book = random_book(rng)
    count = 120
    codes, day = rng.integers(4, size=count), rng.integers(45, size=count)
    dates = np.datetime64(START) + day
    known = np.array([to_datetime64(instant(int(d + late))) for d, late in zip(day, rng.integers(12, size=count), strict=True)])
    names = [*book.asset_ids.tolist(), *LABELS]
    owners = {AssetId(name): i for i, name in enumerate(names)}
    tenures = [tenures_of(book, label) for label in LABELS]
    found = owned_rows(codes, dates, known, tenures, owners, np.array([owners[AssetId(label)] for label in LABELS]))
    assert (found.known_at >= known[found.rows]).all()
    for at in range(-1, 75):
        now = to_datetime64(instant(at))
        held: set[tuple[int, int]] = set()
        for i in np.argsort(found.known_at, kind="stable").tolist():
            if found.known_at[i] <= now:
                (held.discard if found.taken_back[i] else held.add)((int(found.rows[i]), int(found.owners[i])))
        expected = set()
        for row in np.flatnonzero(known <= now).tolist():
            label = LABELS[codes[row]]
            asset = book.resolve([label], "ticker", dates[row].astype(object), instant(at)).asset_ids[0]
            expected.add((row, owners[AssetId(asset or label)]))
        assert held == expected, at


def test_without_late_words_there_is_a_row_for_a_row() -> None:
    book = AssetBook((Spell(AssetId("A"), "ticker", "AA"),))
    tenures = [tenures_of(book, "AA"), tenures_of(book, "ZZ")]
    assert [t.is_everything for (t,) in tenures] == [True, True]
    known = np.array(["2015-01-05", "2015-01-06"], dtype="datetime64[us]")
    found = owned_rows(np.array([0, 1]), known.astype("datetime64[D]"), known, tenures, {AssetId("A"): 0}, np.array([1, 2]))
    assert found.owners.tolist() == [0, 2]
    assert found.rows.tolist() == [0, 1]


def test_a_ticker_of_another_country_is_not_meant() -> None:
    book = AssetBook(
        (Spell(AssetId("U"), "ticker", "AA", country="US"), Spell(AssetId("G"), "ticker", "AA", country="GB"))
    )  # fmt: skip
    assert [owner_at(tenures_of(book, "AA", country), START) for country in ("US", "GB", "", "JP")] == ["U", "G", "", ""]


def test_the_first_scheme_that_knows_the_label_counts() -> None:
    book = AssetBook(
        (Spell(AssetId("T"), "ticker", "VOD"), Spell(AssetId("Y"), "yahoo", "VOD"), Spell(AssetId("Z"), "ticker", "Z"))
    )
    assert owner_at(tenures_of(book, "VOD", schemes=("yahoo", "ticker")), START) == "Y"
    assert owner_at(tenures_of(book, "Z", schemes=("yahoo", "ticker")), START) == "Z"


def test_dates_are_covered_without_a_gap() -> None:
    for tenures in (tenures_of(random_book(np.random.default_rng(SEED)), label) for label in LABELS):
        now = [t for t in tenures if t.holds_still]
        assert (now[0].valid_from, now[-1].valid_to) == (ALWAYS, FOREVER)
        assert all(a.valid_to == b.valid_from for a, b in pairwise(now))
