"""A ticker map is read whole or refused with everything that is wrong with it; rows and verdicts by hand."""

from datetime import UTC, date, datetime

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.assets import ALWAYS, FOREVER, KNOWN_ALWAYS
from market.tickermap import parse_ticker_map

HEAD = "asset_id,kind,value,country,valid_from,valid_to,known_at\n"


def refusal(data):
    with pytest.raises(InputRejected) as caught:
        parse_ticker_map(data if isinstance(data, bytes) else data.encode())
    return caught.value


def test_columns_may_come_in_any_order_and_optional_ones_may_lack():
    spells = parse_ticker_map(b'\xef\xbb\xbfvalue,asset_id,kind\r\nAAPL,A1,ticker\r\n\r\n"Oil, Gas & Coal",A1,sector\r\n')
    assert [(s.asset_id, s.kind, s.value, s.row) for s in spells] == [
        ("A1", "ticker", "AAPL", 2),
        ("A1", "sector", "Oil, Gas & Coal", 4),
    ]
    assert (spells[0].valid_from, spells[0].valid_to, spells[0].known_at) == (ALWAYS, FOREVER, KNOWN_ALWAYS)


def test_dates_and_instants_are_read_with_their_zone():
    spell = parse_ticker_map((HEAD + "A1,ticker,7203,JP,2000-01-04,2020-10-01,2000-01-04T09:00:00+09:00\n").encode())[0]
    assert (spell.country, spell.valid_from, spell.valid_to) == ("JP", date(2000, 1, 4), date(2020, 10, 1))
    assert spell.known_at == datetime(2000, 1, 4, tzinfo=UTC)
    assert not spell.assumed
    assumed = parse_ticker_map((HEAD + "A1,ticker,7203,JP,2000-01-04,,\n").encode())[0]
    assert (assumed.known_at, assumed.assumed) == (datetime(2000, 1, 4, tzinfo=UTC), True)


def test_tickers_that_look_like_something_else_stay_text():
    values = ["NA", "NULL", "TRUE", "0005", "1E5", "BRK.B", "nan"]
    rows = "".join(f"A{i},ticker,{value},,,,\n" for i, value in enumerate(values))
    assert [s.value for s in parse_ticker_map((HEAD + rows).encode())] == values


@pytest.mark.parametrize(
    ("row", "code", "column"),
    [
        (",ticker,X,,,,", Code.SPELL_INVALID, "asset_id"),
        ("A 1,ticker,X,,,,", Code.SPELL_INVALID, "asset_id"),
        (f"{'A' * 65},ticker,X,,,,", Code.SPELL_INVALID, "asset_id"),
        ("A1,isin,X,,,,", Code.SPELL_INVALID, "kind"),
        ("A1,ticker,,,,,", Code.SPELL_INVALID, "value"),
        ("A1,ticker, X,,,,", Code.SPELL_INVALID, "value"),
        ("A1,ticker,X\x07,,,,", Code.SPELL_INVALID, "value"),
        ("A1,numerai_ticker,AAPL,,,,", Code.SPELL_INVALID, "value"),
        ("A1,composite_figi,BBG00,,,,", Code.SPELL_INVALID, "value"),
        ("A1,sedol,AEIOU12,,,,", Code.SPELL_INVALID, "value"),
        ("A1,country,USA,,,,", Code.SPELL_INVALID, "value"),
        ("A1,currency,gbp,,,,", Code.SPELL_INVALID, "value"),
        ("A1,exchange,NYSE Arca,,,,", Code.SPELL_INVALID, "value"),
        ("A1,ticker,X,usa,,,", Code.SPELL_INVALID, "country"),
        ("A1,sector,Energy,US,,,", Code.SPELL_INVALID, "country"),
        ("A1,ticker,X,,03/01/2000,,", Code.DATE_INVALID, "valid_from"),
        ("A1,ticker,X,,2000-02-30,,", Code.DATE_INVALID, "valid_from"),
        ("A1,ticker,X,,20000103,,", Code.DATE_INVALID, "valid_from"),
        ("A1,ticker,X,,2000-01-03,1999-01-03,", Code.DATE_INVALID, "valid_to"),
        ("A1,ticker,X,,,,2000-01-03", Code.DATE_INVALID, "known_at"),
        ("A1,ticker,X,,,,2000-01-03T10:00:00", Code.DATE_INVALID, "known_at"),
        ("A1,ticker,X,,,,0001-01-01T00:00:00+14:00", Code.DATE_INVALID, "known_at"),
        ("A1,ticker,X", Code.ROW_RAGGED, None),
    ],
)
def test_a_wrong_row_is_refused_by_line_and_column(row, code, column):
    error = refusal(HEAD + "A0,ticker,OK,,,,\n" + row + "\n")
    assert error.code is Code.SPELL_INVALID
    assert [(f.code, f.row, f.column) for f in error.findings] == [(code, 3, column)]


def test_every_fault_of_every_row_is_told_at_once():
    error = refusal(HEAD + ",isin,,,x,,\nA1,ticker,X,,,,\nA1,ticker\n")
    assert [(f.row, f.column) for f in error.findings] == [
        (2, "asset_id"),
        (2, "kind"),
        (2, "value"),
        (2, "valid_from"),
        (4, None),
    ]
    assert "5 faults" in error.message


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", Code.FILE_EMPTY),
        (b"\n\n", Code.FILE_EMPTY),
        (b"asset_id,kind,value\nA1,ticker,\xff\n", Code.FILE_ENCODING),
        (b'asset_id,kind,value\nA1,ticker,"X\n', Code.FILE_QUOTE),
        (b"asset_id,kind\nA1,ticker\n", Code.FILE_HEADER),
        (b"asset_id,kind,value,isin\nA1,ticker,X,Y\n", Code.FILE_HEADER),
        (b"asset_id,kind,value,value\nA1,ticker,X,Y\n", Code.FILE_HEADER),
    ],
)
def test_a_file_that_is_no_map_is_refused_by_name(data, code):
    assert refusal(data).code is code


def test_a_map_without_rows_holds_no_spell():
    assert parse_ticker_map(HEAD.encode()) == ()
