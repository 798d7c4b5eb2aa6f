"""Goal: a history file of any content gives its rows or a finding with code and row; plain and careful reading agree.

Method: expected rows come from the standard library's csv module; the careful reading of every line is the twin of the quick
one, on files that a seeded generator spoils. Seeds are printed.
"""

import csv
import io

import numpy as np
import pyarrow as pa
import pytest

from signals import history
from signals.history import read_history, read_history_table
from signals.history_rows import History

GOOD = b"date,ticker,signal\n2016-01-08,B,0.75\n2016-01-08,A,0.25\n2016-01-15,A,0.5\n"


def read(data: bytes, step: int = 0) -> History:
    return read_history([data[i : i + step] for i in range(0, len(data), step)] if step else [data])


def rows_of(found: History) -> list[tuple[str, str, float]]:
    rows = []
    for i, day in enumerate(found.dates.astype(str).tolist()):
        codes, values = found.era(i)
        rows += [(day, found.labels[c], v) for c, v in zip(codes.tolist(), values.tolist(), strict=True)]
    return sorted(rows)


def told(found: History) -> list[tuple[int | None, str]]:
    return [(f.row, f.code.value) for f in found.findings]


def carefully(monkeypatch: pytest.MonkeyPatch, data: bytes) -> History:
    with monkeypatch.context() as patched:
        patched.setattr(history, "PLAIN", (rb"(?!)", rb"(?!)", rb"(?!)"))  # nothing is plain
        return read(data)


def same(one: History, other: History) -> None:
    assert rows_of(one) == rows_of(other)
    assert (one.findings, one.findings_total, one.refused) == (other.findings, other.findings_total, other.refused)
    assert one.first_lines.tolist() == other.first_lines.tolist()


def some_rows(rng: np.random.Generator, dates: int = 12, tickers: int = 30) -> list[tuple[str, str, str]]:
    days = [str(np.datetime64("2015-01-02") + 7 * i) for i in range(dates)]
    return [
        (day, f"T{t}.X y", f"{rng.random():.{rng.integers(1, 12)}f}")
        for day in days
        for t in range(tickers)
        if rng.random() < 0.9
    ]


def as_csv(rows: list[tuple[str, str, str]], header: str = "date,ticker,signal") -> bytes:
    return "\n".join([header, *(",".join(row) for row in rows), ""]).encode()


# What is right


@pytest.mark.parametrize("step", [0, 1, 7, 64])
def test_rows_are_those_of_the_csv_module_wherever_the_stream_is_cut(step: int) -> None:
    rng = np.random.default_rng(11)
    print("seed 11")
    rows = some_rows(rng)
    rng.shuffle(rows)
    data = as_csv(rows)
    found = read(data, step)
    wanted = sorted((d, t, float(v)) for d, t, v in list(csv.reader(io.StringIO(data.decode())))[1:])
    assert rows_of(found) == wanted
    assert found.findings == ()
    assert found.rows == len(rows)
    assert len(found) == 12
    lines = {d: min(i for i, row in enumerate(rows, start=2) if row[0] == d) for d, _, _ in rows}
    assert found.first_lines.tolist() == [lines[d] for d in sorted(lines)]


def test_a_file_larger_than_a_block_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "BLOCK_BYTES", 200)
    rows = some_rows(np.random.default_rng(12))
    found = read(as_csv(rows), 64)
    assert rows_of(found) == sorted((d, t, float(v)) for d, t, v in rows)
    assert found.findings == ()


@pytest.mark.parametrize("dates", ["date", "friday_date"])
@pytest.mark.parametrize("ids", ["numerai_ticker", "ticker", "symbol", "bloomberg_ticker", "composite_figi", "sedol"])
@pytest.mark.parametrize("values", ["signal", "prediction"])
def test_the_columns_bear_the_names_of_uploads_in_any_order(dates: str, ids: str, values: str) -> None:
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        line = [("2016-01-08", "A", "0.5")[i] for i in order]
        names = [(dates, ids, values)[i] for i in order]
        found = read(f"{','.join(names)}\n{','.join(line)}\n".encode())
        assert rows_of(found) == [("2016-01-08", "A", 0.5)]


def test_a_compact_date_line_ends_of_windows_blank_lines_and_quotes_are_read() -> None:
    found = read(b'\xef\xbb\xbfdate,ticker,signal\r\n20160108,"A, B",0.5\r\n\r\n2016-01-08,C,5e-1')
    assert rows_of(found) == [("2016-01-08", "A, B", 0.5), ("2016-01-08", "C", 0.5)]
    assert told(found) == [(1, "file_bom"), (3, "file_blank_line")]
    assert not found.refused
    assert told(read(b"date,ticker,signal\r\n2016-01-08,A,0\n2016-01-08,B,1\r\n2016-01-09,B,1\n")) == [(None, "file_line_end")]


# What is wrong

WRONG = [
    (b"", None, "file_empty"),
    (b"\n\r\n", None, "file_empty"),
    (b"\x1f\x8b\x08\x00", None, "file_not_text"),
    (b"PAR1abc", None, "file_not_text"),
    (b"<html></html>", None, "file_not_text"),
    (b"\xff\xfed\x00a\x00", None, "file_encoding"),
    (b"date,ticker,signal\n", None, "rows_too_few"),
    (b"ticker,signal\nA,0.5\n", 1, "file_header"),
    (b"date,ticker\n2016-01-08,A\n", 1, "file_header"),
    (b"Date,ticker,signal\n2016-01-08,A,0.5\n", 1, "file_header"),
    (b"date,date,signal\n2016-01-08,A,0.5\n", 1, "file_header"),
    (b"date,friday_date,signal\n2016-01-08,A,0.5\n", 1, "file_header"),
    (b"date,ticker,signal,prediction\n2016-01-08,A,0.5,0.5\n", 1, "file_header"),
    (b"2016-01-08,A,0.5\n", 1, "file_header"),
    (b"date;ticker;signal\n", 1, "file_delimiter"),
    (b"date,ticker,signal\r2016-01-08,A,0.5\r", None, "file_line_end"),
    (GOOD + b"2016-01-32,A,0.5\n", 5, "date_invalid"),
    (GOOD + b"2016-1-22,A,0.5\n", 5, "date_invalid"),
    (GOOD + b"2016-0122,A,0.5\n", 5, "date_invalid"),
    (GOOD + b"1969-12-31,A,0.5\n", 5, "date_invalid"),
    (GOOD + b"yesterday,A,0.5\n", 5, "date_invalid"),
    (GOOD + b",A,0.5\n", 5, "date_invalid"),
    (GOOD + b"2016-01-22,,0.5\n", 5, "id_empty"),
    (GOOD + b"2016-01-22, A,0.5\n", 5, "id_space"),
    (GOOD + b"2016-01-22," + b"A" * 65 + b",0.5\n", 5, "id_length"),
    (GOOD + b"2016-01-22,A,\n", 5, "value_missing"),
    (GOOD + b"2016-01-22,A,high\n", 5, "value_not_a_number"),
    (GOOD + b"2016-01-22,A,0x1\n", 5, "value_not_a_number"),
    (GOOD + b"2016-01-22,A,nan\n", 5, "value_not_finite"),
    (GOOD + b"2016-01-22,A,-inf\n", 5, "value_not_finite"),
    (GOOD + b"2016-01-22,A,1e999\n", 5, "value_not_finite"),
    (GOOD + b"2016-01-22,A,1.5\n", 5, "value_range"),
    (GOOD + b"2016-01-22,A,-0.5\n", 5, "value_range"),
    (GOOD + b"2016-01-22,A,0." + b"1" * 50 + b"\n", 5, "value_length"),
    (GOOD + b"2016-01-22,A\n", 5, "row_ragged"),
    (GOOD + b"2016-01-22,A,0.5,0.5\n", 5, "row_ragged"),
    (GOOD + b'2016-01-22,"A,0.5\n', 5, "file_quote"),
    (GOOD + b"2016-01-22,A\x00,0.5\n", 5, "file_control"),
    (GOOD + b"2016-01-22,\xff,0.5\n", 5, "file_encoding"),
    (GOOD + b"2016-01-15,A,0.75\n", 5, "id_duplicate"),
    (GOOD + b"20160108,B,0.75\n", 5, "id_duplicate"),
]


@pytest.mark.parametrize(("data", "row", "code"), WRONG, ids=lambda value: value if isinstance(value, str) else None)
def test_each_kind_of_wrong_file_is_refused_with_its_code_and_row(data: bytes, row: int | None, code: str) -> None:
    found = read(data)
    assert found.refused
    assert told(found)[0] == (row, code)
    if row == 5 and code != "id_duplicate":
        assert rows_of(found) == rows_of(read(GOOD))  # the others are kept


def test_every_finding_is_told_once_with_its_row_and_counted_beyond_a_hundred() -> None:
    bad = b"".join(b"2016-02-%02d,A%d,2\n" % (1 + i % 28, i) for i in range(250))
    found = read(GOOD + bad)
    assert found.findings_total == 250
    assert told(found) == [(5 + i, "value_range") for i in range(100)]
    both = read(GOOD + b"2016-02-30,A,2\n2016-02-30, A,x\n")
    codes = ["date_invalid", "value_range", "value_not_a_number", "date_invalid", "id_space"]
    assert told(both) == list(zip([5, 5, 6, 6, 6], codes, strict=True))


def test_a_repeated_pair_names_the_row_that_stands_first() -> None:
    found = read(GOOD + b"2016-01-15,A,0.75\n2016-01-15,A,0.5\n")
    assert [(f.row, f.value) for f in found.findings] == [(5, "A"), (6, "A")]
    assert all("row 4 for 2016-01-15" in f.message for f in found.findings)


def test_limits_end_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(history, "HISTORY_BYTES_MAX", 40)
        assert (None, "file_too_large") in told(read(GOOD, 10))
    with monkeypatch.context() as patched:
        patched.setattr("signals.history_rows.ROWS_MAX", 2)
        assert told(read(GOOD)) == [(None, "rows_too_many")]
    with monkeypatch.context() as patched:
        patched.setattr("signals.history_rows.LABELS_MAX", 1)
        assert told(read(GOOD)) == [(None, "rows_too_many")]
    with monkeypatch.context() as patched:
        patched.setattr(history, "BLOCK_BYTES", 1000)
        assert told(read(b"date,ticker,signal" + b"x" * 5000)) == [(None, "file_not_text")]


# Twins

SPOILS = (b"\x00", b'"', b",", b"\n", b" ", b"-", b"9", b"e5", b"\xc3\xa9", b"\xff", b"\r\n", b"nan", b"A", b"1e-400", b".")


@pytest.mark.parametrize("seed", range(6))
def test_plain_and_careful_reading_agree_on_spoilt_files(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    clean = as_csv(some_rows(rng, dates=3, tickers=8))
    same(read(clean), carefully(monkeypatch, clean))
    for _ in range(120):
        data = bytearray(clean)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(19, len(data)))
            data[at : at + int(rng.integers(0, 3))] = SPOILS[rng.integers(len(SPOILS))]
        one, other = read(bytes(data)), carefully(monkeypatch, bytes(data))
        # A number's text is echoed as it stands by the one, as the number that it is by the other.
        assert rows_of(one) == rows_of(other), bytes(data)
        assert sorted(told(one), key=str) == sorted(told(other), key=str), bytes(data)
        assert (one.findings_total, one.refused) == (other.findings_total, other.refused), bytes(data)


# Parquet


@pytest.mark.parametrize("kind", ["text", "date", "timestamp", "number", "dictionary"])
def test_a_table_gives_what_its_csv_gives(kind: str) -> None:
    rows = some_rows(np.random.default_rng(13))
    days = pa.array([d for d, _, _ in rows])
    if kind == "number":
        days = pa.array([int(d.replace("-", "")) for d, _, _ in rows])
    elif kind != "text":
        days = days.cast(pa.timestamp("ns" if kind == "timestamp" else "s"))
        days = days.cast(pa.date32()) if kind != "timestamp" else days
    ids = pa.array([t for _, t, _ in rows])
    ids = ids.dictionary_encode() if kind == "dictionary" else ids
    table = pa.table({"signal": [float(v) for _, _, v in rows], "ticker": ids, "date": days})
    same(read_history_table(table), read(as_csv(rows)))


def test_a_table_has_findings_with_the_rows_of_its_csv() -> None:
    days = ["2016-01-08", None, "x", "2016-01-08", "2016-01-08", "2016-01-08"]
    table = pa.table(
        {"date": days, "ticker": ["A", "A", "B", None, "A", "C"], "signal": [0.5, 0.5, 0.5, 0.5, 0.25, None]},
    )
    found = read_history_table(table)
    wanted = [(3, "date_invalid"), (4, "date_invalid"), (5, "id_empty"), (6, "id_duplicate"), (7, "value_not_finite")]
    assert told(found) == wanted
    assert found.refused
    assert told(read_history_table(table.drop_columns(["date"]))) == [(1, "file_header")]
    words = table.set_column(2, "signal", pa.array(["high"] * 6))
    assert told(read_history_table(words))[0] == (None, "file_header")
    assert told(read_history_table(table.slice(0, 0))) == [(None, "rows_too_few")]
