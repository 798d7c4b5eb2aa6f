"""Labels become the asset that had them then. Goal: no rename, reuse or late news ever gives one asset's prices to another.
Method: changes of symbols as the companies announced them, written out by hand, and a plain twin on random histories."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.assets import ALWAYS, FOREVER, KNOWN_ALWAYS, SCHEMES, AssetBook, Spell
from market.tickermap import parse_ticker_map

LATE = datetime(2030, 1, 1, tzinfo=UTC)

MAP = b"""asset_id,kind,value,country,valid_from,valid_to,known_at
GOOG-A,ticker,GOOG,US,2004-08-19,,2004-08-18T12:00:00Z
GOOG-A,ticker,GOOG,US,2004-08-19,2014-04-03,2014-03-27T12:00:00Z
GOOG-A,ticker,GOOGL,US,2014-04-03,,2014-03-27T12:00:00Z
GOOG-C,ticker,GOOG,US,2014-04-03,,2014-03-27T12:00:00Z
META,ticker,FB,US,2012-05-18,,2012-05-17T12:00:00Z
META,ticker,FB,US,2012-05-18,2022-06-09,2022-05-31T20:00:00Z
META,ticker,META,US,2022-06-09,,2022-05-31T20:00:00Z
META,numerai_ticker,META US,,2022-06-09,,2022-05-31T20:00:00Z
META,bloomberg_ticker,META US Equity,,2022-06-09,,2022-05-31T20:00:00Z
META,composite_figi,BBG000MM2P62,,2012-05-18,,2012-05-17T12:00:00Z
META,sedol,B7TL820,,2012-05-18,,2012-05-17T12:00:00Z
META,yahoo,META,,2022-06-09,,2022-05-31T20:00:00Z
ALEXANDER,ticker,AAL,US,1996-01-02,1997-01-16,1996-01-01T12:00:00Z
AMERICAN,ticker,AAL,US,2013-12-09,,2013-12-08T12:00:00Z
ANGLO,ticker,AAL,GB,1999-05-24,,1999-05-23T12:00:00Z
AMERICAN,country,US,,,,2013-12-08T12:00:00Z
META,sector,Information Technology,,2012-05-18,,2012-05-17T12:00:00Z
META,sector,Information Technology,,2012-05-18,2018-09-24,2018-01-12T12:00:00Z
META,sector,Communication Services,,2018-09-24,,2018-01-12T12:00:00Z
"""
BOOK = AssetBook(parse_ticker_map(MAP))


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def one(label, on, known=LATE, scheme="ticker", book=BOOK):
    """The asset of one label, or the code that says why not."""
    asset_ids, findings = book.resolve([label], scheme, on, known)
    assert (asset_ids[0] == "") == (len(findings) == 1)
    return findings[0].code if findings else str(asset_ids[0])


def refused(spells):
    with pytest.raises(InputRejected) as caught:
        AssetBook(tuple(spells))
    assert caught.value.code is Code.SPELL_CONFLICT
    return caught.value


# --- labels ----------------------------------------------------------------------------------------------------------------


def test_a_rename_keeps_the_asset():
    assert one("FB", date(2022, 6, 8)) == "META"
    assert one("META", date(2022, 6, 9)) == "META"
    assert one("FB", date(2022, 6, 9)) is Code.LABEL_EXPIRED
    assert one("META", date(2022, 6, 8)) is Code.LABEL_UNKNOWN


def test_a_ticker_that_changes_hands_on_one_date_names_each_asset_in_its_time():
    # on 2014-04-03 the old shares became GOOGL and the new class C took GOOG
    assert one("GOOG", date(2014, 4, 2)) == "GOOG-A"
    assert one("GOOG", date(2014, 4, 3)) == "GOOG-C"
    assert one("GOOGL", date(2014, 4, 3)) == "GOOG-A"
    assert one("GOOGL", date(2014, 4, 2)) is Code.LABEL_UNKNOWN


def test_a_ticker_used_again_years_later_is_another_asset_and_nobody_between():
    assert one("AAL US", date(1996, 6, 3), scheme="numerai_ticker") == "ALEXANDER"
    assert one("AAL US", date(2005, 6, 3), scheme="numerai_ticker") is Code.LABEL_EXPIRED
    assert one("AAL US", date(2015, 6, 3), scheme="numerai_ticker") == "AMERICAN"


def test_the_same_ticker_in_two_countries_is_ambiguous_without_the_country():
    assert one("AAL", date(2005, 6, 3)) == "ANGLO"
    assert one("AAL", date(2015, 6, 3)) is Code.LABEL_AMBIGUOUS
    assert one("AAL GB", date(2015, 6, 3), scheme="numerai_ticker") == "ANGLO"
    assert one("AAL FR", date(2015, 6, 3), scheme="numerai_ticker") is Code.LABEL_UNKNOWN
    text = BOOK.resolve(["AAL"], "ticker", date(2015, 6, 3), LATE).findings[0].message
    assert "AMERICAN, ANGLO" in text


def test_what_was_learnt_later_is_not_there_earlier():
    on = date(2022, 6, 9)
    announced = utc(2022, 5, 31, 20)
    assert one("META", on, announced - timedelta(seconds=1)) is Code.LABEL_UNKNOWN
    assert one("FB", on, announced - timedelta(seconds=1)) == "META"  # nobody had told of an end yet
    assert one("META", on, announced) == "META"
    assert one("FB", on, announced) is Code.LABEL_EXPIRED
    assert one("GOOG", date(2014, 4, 3), utc(2014, 3, 1)) == "GOOG-A"
    assert one("FB", date(2012, 6, 1), utc(2012, 5, 1)) is Code.LABEL_UNKNOWN


def test_news_of_a_new_owner_before_that_of_the_old_ones_end_is_ambiguous_meanwhile():
    spells = [
        Spell("OLD", "ticker", "X", date(2000, 1, 3), FOREVER, utc(2000, 1, 1), row=2),
        Spell("NEW", "ticker", "X", date(2010, 1, 4), FOREVER, utc(2010, 1, 1), row=3),
        Spell("OLD", "ticker", "X", date(2000, 1, 3), date(2009, 12, 31), utc(2010, 2, 1), row=4),
    ]
    book = AssetBook(tuple(spells))
    assert one("X", date(2010, 1, 4), utc(2010, 1, 15), book=book) is Code.LABEL_AMBIGUOUS
    assert one("X", date(2010, 1, 4), utc(2010, 2, 1), book=book) == "NEW"
    assert one("X", date(2005, 1, 4), utc(2010, 2, 1), book=book) == "OLD"


def test_a_spell_can_be_withdrawn():
    wrong = Spell("A", "ticker", "X", date(2000, 1, 3), FOREVER, utc(2000, 1, 1), row=2)
    book = AssetBook((wrong, replace(wrong, valid_to=wrong.valid_from, known_at=utc(2001, 1, 1), row=3)))
    assert one("X", date(2000, 6, 1), utc(2000, 6, 1), book=book) == "A"
    assert one("X", date(2000, 6, 1), utc(2001, 1, 1), book=book) is Code.LABEL_UNKNOWN


@pytest.mark.parametrize(
    ("scheme", "label"),
    [
        ("ticker", "META"),
        ("numerai_ticker", "META US"),
        ("bloomberg_ticker", "META US Equity"),
        ("composite_figi", "BBG000MM2P62"),
        ("sedol", "B7TL820"),
        ("yahoo", "META"),
    ],
)
def test_every_scheme_resolves_and_is_told_back(scheme, label):
    assert scheme in SCHEMES
    on = date(2023, 1, 3)
    assert one(label, on, scheme=scheme) == "META"
    assert BOOK.labels(["META", "NOBODY"], scheme, on, LATE).tolist() == [label, ""]


def test_a_numerai_ticker_is_found_by_the_country_of_the_asset_where_the_label_has_none():
    spells = [
        Spell("A", "ticker", "ZURN", date(2000, 1, 3), row=2),
        Spell("A", "country", "CH", date(2000, 1, 3), row=3),
    ]
    book = AssetBook(tuple(spells))
    assert one("ZURN CH", date(2015, 1, 5), scheme="numerai_ticker", book=book) == "A"
    assert one("ZURN US", date(2015, 1, 5), scheme="numerai_ticker", book=book) is Code.LABEL_UNKNOWN


def test_many_labels_keep_their_order_and_tell_every_finding():
    asset_ids, findings = BOOK.resolve(["GOOG", "NONE", "FB", "AAL", "GOOGL"], "ticker", date(2023, 1, 3), LATE)
    assert asset_ids.tolist() == ["GOOG-C", "", "", "", "GOOG-A"]
    assert [(f.row, f.code, f.value) for f in findings] == [
        (2, Code.LABEL_UNKNOWN, "NONE"),
        (3, Code.LABEL_EXPIRED, "FB"),
        (4, Code.LABEL_AMBIGUOUS, "AAL"),
    ]
    assert BOOK.resolve([], "ticker", date(2023, 1, 3), LATE).asset_ids.shape == (0,)


def test_wrong_questions_are_refused_by_name():
    for question, code in [
        (lambda: BOOK.resolve(["FB"], "isin", date(2015, 1, 5), LATE), Code.REQUEST_INVALID),
        (lambda: BOOK.resolve(["FB"], "ticker", date(2015, 1, 5), LATE.replace(tzinfo=None)), Code.DATE_INVALID),
        (lambda: BOOK.attribute(["META"], "sector", date(2015, 1, 5), LATE.replace(tzinfo=None)), Code.DATE_INVALID),
    ]:
        with pytest.raises(InputRejected) as caught:
            question()
        assert caught.value.code is code


def test_random_histories_resolve_as_a_plain_reading_of_their_rows_does():
    rng = np.random.default_rng(77)
    print("seed 77")
    start = date(2000, 1, 1)
    for _ in range(20):
        spells, row = [], 1
        for label in ("X", "Y", "Z"):
            day = start
            for _ in range(int(rng.integers(1, 6))):  # one owner after another, with pauses
                first = day + timedelta(days=int(rng.integers(0, 200)))
                end = first + timedelta(days=int(rng.integers(1, 400)))
                row += 1
                known = datetime(first.year, first.month, first.day, tzinfo=UTC) + timedelta(days=int(rng.integers(-20, 20)))
                spells.append(Spell(f"A{rng.integers(0, 4)}", "ticker", label, first, end, known, row=row))
                day = end
        book = AssetBook(tuple(spells[i] for i in rng.permutation(len(spells))))
        for _ in range(60):
            on = start + timedelta(days=int(rng.integers(0, 2500)))
            known = utc(2000, 1, 1) + timedelta(days=int(rng.integers(0, 2600)))
            for label in ("X", "Y", "Z"):
                owners = [
                    s.asset_id
                    for s in spells
                    if s.value == label and s.known_at <= known and s.valid_from <= on and on < s.valid_to
                ]
                got = book.resolve([label], "ticker", on, known).asset_ids[0]
                assert got == (owners[0] if owners else "")


# --- attributes ------------------------------------------------------------------------------------------------------------


def test_a_sector_has_its_time_and_is_known_from_its_announcement_on():
    old, new = "Information Technology", "Communication Services"

    def sector(on, known=LATE):
        return BOOK.attribute(["META", "AMERICAN"], "sector", on, known).tolist()

    assert sector(date(2018, 9, 21)) == [old, "unknown"]
    assert sector(date(2018, 9, 24)) == [new, "unknown"]
    assert sector(date(2018, 9, 24), utc(2018, 1, 12, 11, 59)) == [old, "unknown"]
    assert sector(date(2012, 5, 17)) == ["unknown", "unknown"]
    assert BOOK.attribute(["AMERICAN"], "country", date(2014, 1, 2), LATE).tolist() == ["US"]
    assert BOOK.attribute(["AMERICAN"], "country", date(2014, 1, 2), utc(2013, 1, 1)).tolist() == ["unknown"]


def test_undated_rows_say_that_they_look_ahead_and_half_dated_ones_that_they_assume():
    assert BOOK.flags == frozenset()
    undated = Spell("A", "sector", "Energy")
    assert (undated.valid_from, undated.valid_to, undated.known_at) == (ALWAYS, FOREVER, KNOWN_ALWAYS)
    assert AssetBook((undated,)).flags == {"static_lookahead"}
    assert AssetBook((undated,)).attribute(["A"], "sector", date(1990, 1, 2), utc(1990, 1, 2)).tolist() == ["Energy"]
    book = AssetBook(parse_ticker_map(b"asset_id,kind,value,valid_from\nA,ticker,X,2010-01-04\n"))
    assert book.flags == {"assumed"}
    assert one("X", date(2010, 1, 4), utc(2010, 1, 3, 23, 59), book=book) is Code.LABEL_UNKNOWN
    assert one("X", date(2010, 1, 4), utc(2010, 1, 4), book=book) == "A"


# --- conflicts -------------------------------------------------------------------------------------------------------------


def test_overlapping_owners_of_one_label_are_refused_with_their_rows():
    a = Spell("A", "ticker", "X", date(2000, 1, 3), date(2010, 1, 4), country="US", row=7)
    b = Spell("B", "ticker", "X", date(2010, 1, 3), FOREVER, country="US", row=9)
    error = refused([b, a])
    assert "Rows 7 and 9" in error.message
    assert [(f.row, f.value) for f in error.findings] == [(9, "X")]
    AssetBook((a, replace(b, valid_from=date(2010, 1, 4))))  # the next owner begins where the former ends
    AssetBook((a, replace(b, country="GB")))
    AssetBook((a, replace(b, kind="yahoo")))
    assert refused([a, replace(b, country="")]).findings[0].row == 9  # it may be the same country


def test_all_conflicts_are_told_at_once():
    spells = [Spell(f"A{i}", "sedol", f"B00000{i // 2}", row=i + 2) for i in range(8)]
    error = refused(spells)
    assert [f.row for f in error.findings] == [3, 5, 7, 9]
    assert error.message.startswith("4 pairs of rows")


def test_two_values_of_an_attribute_at_once_are_refused():
    a = Spell("A", "sector", "Energy", date(2000, 1, 3), row=2)
    assert refused([a, Spell("A", "sector", "Utilities", date(2010, 1, 4), row=3)]).findings[0].row == 3
    AssetBook((a, Spell("B", "sector", "Energy", row=3)))


def test_a_row_twice_and_two_ends_learnt_at_once_are_refused():
    a = Spell("A", "ticker", "X", date(2000, 1, 3), FOREVER, utc(2000, 1, 1), row=2)
    assert refused([a, replace(a, row=3)]).findings[0].row == 3
    assert refused([a, replace(a, valid_to=date(2005, 1, 3), row=3)]).findings[0].row == 3
    AssetBook((a, replace(a, valid_to=date(2005, 1, 3), known_at=utc(2005, 1, 1), row=3)))
