"""Goal: in a batch fresh rows, restated rows and rows that say nothing new are told apart.

Method: rows by hand, and a plain loop over a dictionary as the twin.
"""

import numpy as np

from market.batch import DIVIDEND, SPLIT, EventRows, PriceRows
from market.overlap import compare_prices, unknown_events


def rows(cells: list[tuple[str, str, float]], known: str = "2018-07-01T00:00:00", **columns: np.ndarray) -> PriceRows:
    """Price rows of (ticker, date, close); open, high and low follow the close."""
    close = np.array([cell[2] for cell in cells], dtype=np.float64)
    values = {"open": close, "high": close * 1.01, "low": close * 0.99, "volume": np.full(len(cells), 1e6)} | columns
    return PriceRows(
        row=np.arange(1, len(cells) + 1),
        tickers=np.array([cell[0] for cell in cells], dtype=np.str_),
        dates=np.array([cell[1] for cell in cells], dtype="datetime64[D]"),
        close=close,
        currencies=np.full(len(cells), "USD"),
        known_at=np.full(len(cells), np.datetime64(known, "us")),
        **values,
    )


def test_fresh_restated_and_known_rows_are_told_apart() -> None:
    kept = rows([("A", "2018-06-01", 100.0), ("A", "2018-06-04", 101.0), ("B", "2018-06-04", 50.0)])
    new = rows([("A", "2018-06-04", 101.4), ("A", "2018-06-05", 102.0), ("B", "2018-06-04", 50.3), ("B", "2018-06-01", 49.0)])
    news = compare_prices(new, kept)
    assert news.fresh.tolist() == [False, True, False, True]
    assert news.restated.tolist() == [False, False, True, False]
    assert np.isnan(news.change[[1, 3]]).all()
    np.testing.assert_allclose(news.change[[0, 2]], [0.4 / 101, 0.3 / 50])


def test_the_latest_known_of_several_revisions_counts() -> None:
    first = rows([("A", "2018-06-04", 100.0)], "2018-06-04T22:00:00")
    second = rows([("A", "2018-06-04", 110.0)], "2018-06-06T22:00:00")
    for parts in ((first, second), (second, first)):
        kept = PriceRows(*(np.concatenate([getattr(p, name) for p in parts]) for name in PriceRows.__slots__))
        assert not compare_prices(rows([("A", "2018-06-04", 110.0)]), kept).restated.any()
        assert compare_prices(rows([("A", "2018-06-04", 100.0)]), kept).restated.all()


def test_a_volume_alone_is_no_restatement_and_a_price_that_appears_is_one() -> None:
    kept = rows([("A", "2018-06-04", 100.0)])
    assert not compare_prices(rows([("A", "2018-06-04", 100.0)], volume=np.array([2e6])), kept).restated.any()
    gap = rows([("A", "2018-06-04", 100.0)], high=np.array([np.nan]))
    assert compare_prices(rows([("A", "2018-06-04", 100.0)]), gap).restated.all()
    assert not compare_prices(gap, gap).restated.any()


def test_random_rows_agree_with_a_dictionary() -> None:
    print("seed 5")
    rng = np.random.default_rng(5)
    days = np.datetime64("2018-01-01") + np.arange(40)

    def draw(count: int) -> PriceRows:
        cells = {(f"T{rng.integers(9)}", str(rng.choice(days))): float(rng.choice([10.0, 10.04, 11.0])) for _ in range(count)}
        return rows([(ticker, day, close) for (ticker, day), close in cells.items()])

    for _ in range(20):
        kept, new = draw(150), draw(150)
        before = dict(zip(zip(kept.tickers, kept.dates, strict=True), kept.close, strict=True))
        news = compare_prices(new, kept)
        for at, key in enumerate(zip(new.tickers, new.dates, strict=True)):
            assert news.fresh[at] == (key not in before)
            assert news.restated[at] == (key in before and abs(new.close[at] - before[key]) / before[key] > 0.005)


def test_nothing_kept_and_nothing_new() -> None:
    new = rows([("A", "2018-06-04", 100.0)])
    assert compare_prices(new, PriceRows.empty()).fresh.all()
    assert compare_prices(PriceRows.empty(), new).fresh.shape == (0,)


def test_an_event_is_news_by_kind_ticker_date_and_value() -> None:
    def events(*cells: tuple[str, str, str, float]) -> EventRows:
        kinds, tickers, dates, values = zip(*cells, strict=True)
        known = np.full(len(cells), np.datetime64("2018-07-01", "us"))
        day = np.array(dates, dtype="datetime64[D]")
        return EventRows(np.array(kinds), np.array(tickers), day, np.array(values), np.full(len(cells), ""), known)

    kept = events((SPLIT, "A", "2018-06-04", 7.0), (DIVIDEND, "A", "2018-05-11", 0.73))
    new = events(
        (SPLIT, "A", "2018-06-04", 7.0),
        (DIVIDEND, "A", "2018-06-04", 7.0),
        (DIVIDEND, "A", "2018-05-11", 0.75),
        (DIVIDEND, "B", "2018-05-11", 0.73),
    )
    assert unknown_events(new, kept).tolist() == [False, True, True, True]
    assert unknown_events(new, EventRows.empty()).all()
