"""Bad and odd upload files with the verdict that each must get, whichever door it comes through.

Each case holds the bytes, the verdict (A accept, N accept with a notice, R refuse) and the code that must be among the
findings. Small files are spelled out; large ones are made when asked for.
"""

import gzip
import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from crowdalpha.codes import Code
from crowdalpha.terms import ScoringTerms
from signals.parse import CLASSIC_FORMAT, SIGNALS_FORMAT, FileFormat

TICKERS = tuple(f"T{i:03d}" for i in range(120))
ODD_TICKERS = ("NA", "NULL", "None", "nan", "TRUE", "INF", "0005", "1E5", 'A"B', "AAPL", "CAF\u00c9 FR")
UNIVERSE = tuple(sorted((*TICKERS, *ODD_TICKERS)))
CLASSIC_IDS = tuple(f"n{i:014x}" for i in range(120))
SCORING = ScoringTerms(kinds=("corr",), ids_min=100)
HEADER = "ticker,signal"


@dataclass(frozen=True)
class Upload:
    """One file: ``make`` gives its bytes, ``verdict`` is A, N or R, ``code`` stands among the findings unless A."""

    name: str
    make: Callable[[], bytes]
    verdict: str
    code: Code | None = None
    fmt: FileFormat = SIGNALS_FORMAT

    @property
    def universe(self) -> tuple[str, ...]:
        """The labels of the round that the file is for."""
        return CLASSIC_IDS if self.fmt is CLASSIC_FORMAT else UNIVERSE


def value_of(i: int) -> str:
    """The i-th value of a clean file: all are different."""
    return f"{(i * 37 % 120 + 0.5) / 120:.6f}"


def rows(ids: Sequence[str] = TICKERS) -> list[str]:
    """Lines of a clean file without its header."""
    return [f"{label},{value_of(i)}" for i, label in enumerate(ids)]


def text(lines: Sequence[str], header: str = HEADER, end: str = "\n") -> bytes:
    """A file of these lines."""
    return (end.join([header, *lines]) + end).encode()


CLEAN = text(rows())
CLASSIC_CLEAN = text(rows(CLASSIC_IDS), header="id,prediction")


def with_line(line: str, at: int = 60) -> bytes:
    """The clean file with one line put in place of another."""
    lines = rows()
    lines[at] = line
    return text(lines)


def with_value(value: str) -> bytes:
    """The clean file with one value replaced."""
    return with_line(f"{TICKERS[60]},{value}")


def with_id(label: str) -> bytes:
    """The clean file with one identifier replaced."""
    return with_line(f"{label},0.5")


def _zip(data: bytes, name: str = "a.csv") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return out.getvalue()


def _parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"ticker": ["A"], "signal": [0.5]}), out)
    return out.getvalue()


def _constant(value: str, other: str) -> bytes:
    return text([f"{label},{other if i % 2 else value}" for i, label in enumerate(TICKERS)])


def case(
    name: str, data: bytes | Callable[[], bytes], verdict: str, code: Code | None = None, fmt: FileFormat = SIGNALS_FORMAT
) -> Upload:
    """Make one case; bytes are wrapped into a function."""
    make = data if callable(data) else lambda fixed=data: fixed
    return Upload(name, make, verdict, code, fmt)


ENCODING = (
    case("01 utf-8 byte order mark", b"\xef\xbb\xbf" + CLEAN, "N", Code.FILE_BOM),
    case("02 two byte order marks", b"\xef\xbb\xbf" * 2 + CLEAN, "R", Code.FILE_HEADER),
    case("03 utf-16 with mark", CLEAN.decode().encode("utf-16"), "R", Code.FILE_ENCODING),
    case("04 utf-16 without mark", CLEAN.decode().encode("utf-16-le"), "R", Code.FILE_ENCODING),
    case("04b utf-16 big end first", CLEAN.decode().encode("utf-16-be"), "R", Code.FILE_ENCODING),
    case("05 utf-32", CLEAN.decode().encode("utf-32"), "R", Code.FILE_ENCODING),
    case("05b utf-32 big end first", b"\x00\x00\xfe\xff" + CLEAN.decode().encode("utf-32-be"), "R", Code.FILE_ENCODING),
    case("06 latin-1", with_id("CAF\u00c9").decode().encode("latin-1"), "R", Code.FILE_ENCODING),
    case("07 overlong utf-8", CLEAN.replace(b"T060", b"T\xc0\xaf60"), "R", Code.FILE_ENCODING),
    case("07b cut utf-8", CLEAN.replace(b"T060", b"T\xe2\x8260"), "R", Code.FILE_ENCODING),
    case("08 zero byte in ticker", CLEAN.replace(b"T060", b"T0\x0060"), "R", Code.FILE_CONTROL),
    case("09 zero byte in number", with_value("0.\x005"), "R", Code.FILE_CONTROL),
    case("10 escape", with_id("T060\x1b"), "R", Code.FILE_CONTROL),
    case("10b vertical tab", with_value("0.5\x0b"), "R", Code.FILE_CONTROL),
    case("10c next line of C1", with_id("T060\u0085"), "R", Code.FILE_CONTROL),
    case("11 end-of-file mark of old", CLEAN + b"\x1a", "R", Code.FILE_CONTROL),
)
WHOLE = (
    case("12 zero bytes", b"", "R", Code.FILE_EMPTY),
    case("13 only newlines", b"\n\r\n\n\n", "R", Code.FILE_EMPTY),
    case("13b mark only", b"\xef\xbb\xbf", "R", Code.FILE_EMPTY),
    case("14 header only", b"ticker,signal\n", "R", Code.ROWS_TOO_FEW),
    case("14b header without line end", b"ticker,signal", "R", Code.ROWS_TOO_FEW),
    case("15 no header", text(rows()[1:], header=rows()[0]), "R", Code.FILE_HEADER),
    case("16 one byte too large", lambda: CLEAN + b"x" * (10 * 1024 * 1024 + 1 - len(CLEAN)), "R", Code.FILE_TOO_LARGE),
    case("17 20,001 rows", lambda: text([f"X{i},0.{i:05d}" for i in range(20_001)]), "R", Code.ROWS_TOO_MANY),
    case("17b a million blank lines", lambda: CLEAN + b"\n" * 1_000_000 + b"T119,0.1\n", "R", Code.ROWS_TOO_MANY),
    case("18 field of 5 MB", lambda: with_id("A" * 5_000_000), "R", Code.ID_LENGTH),
    case("18b quoted field of 5 MB", lambda: with_id('"' + '""' * 2_500_000 + '"'), "R", Code.ID_LENGTH),
    case("18c number of 5 MB", lambda: with_value("0." + "1" * 5_000_000), "R", Code.VALUE_LENGTH),
    case("18d unclosed quote of 5 MB", lambda: with_id('"' + "A" * 5_000_000), "R", Code.FILE_QUOTE),
    case("19 100,000 columns", lambda: text(rows(), header=",".join(f"c{i}" for i in range(100_000))), "R", Code.FILE_HEADER),
    case("19b 5 million commas in a row", lambda: with_line("," * 5_000_000), "R", Code.ROW_RAGGED),
    case("20 gzip by another name", gzip.compress(CLEAN, mtime=0), "R", Code.FILE_NOT_TEXT),
    case("20b zip by another name", _zip(CLEAN), "R", Code.FILE_NOT_TEXT),
    case("21 zip bomb", lambda: _zip(b"0" * 20_000_000), "R", Code.FILE_NOT_TEXT),
    case("21b nested zip", _zip(_zip(CLEAN), "b.zip"), "R", Code.FILE_NOT_TEXT),
    case("22 parquet", _parquet(), "R", Code.FILE_NOT_TEXT),
    case("22b spreadsheet", _zip(b"<xml/>", "xl/workbook.xml"), "R", Code.FILE_NOT_TEXT),
    case("22c pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "R", Code.FILE_NOT_TEXT),
    case("22d old spreadsheet", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "R", Code.FILE_NOT_TEXT),
    case("23 login page", b"\n<!DOCTYPE html><html><body>Please log in</body></html>\n", "R", Code.FILE_NOT_TEXT),
    case("24 json", b'{"ticker": ["A"], "signal": [0.5]}', "R", Code.FILE_NOT_TEXT),
    case("24b json list", b'[["A", 0.5]]', "R", Code.FILE_NOT_TEXT),
    case("25 sep line", b"sep=,\n" + CLEAN, "R", Code.FILE_HEADER),
    case("25b blank first line", b"\n" + CLEAN, "R", Code.FILE_HEADER),
)
SHAPE = (
    case("26 semicolon", CLEAN.replace(b",", b";"), "R", Code.FILE_DELIMITER),
    case("27 tab", CLEAN.replace(b",", b"\t"), "R", Code.FILE_DELIMITER),
    case("28 pipe", CLEAN.replace(b",", b"|"), "R", Code.FILE_DELIMITER),
    case("29 duplicate header", text(rows(), header="ticker,ticker"), "R", Code.FILE_HEADER),
    case("29b value column twice", text([r + ",0.5" for r in rows()], header="ticker,signal,signal"), "R", Code.FILE_HEADER),
    case("29c two kinds of id", text([f"X,{r}" for r in rows()], header="ticker,symbol,signal"), "R", Code.FILE_HEADER),
    case("30 swapped columns", text([",".join(reversed(r.split(","))) for r in rows()], header="signal,ticker"), "A"),
    case("31 extra column", text([r + ",x" for r in rows()], header="ticker,signal,note"), "R", Code.FILE_HEADER),
    case("32 missing column", text(list(TICKERS), header="ticker"), "R", Code.FILE_HEADER),
    case("33 header in capitals", text(rows(), header="Ticker,Signal"), "R", Code.FILE_HEADER),
    case("33b header with space", text(rows(), header="ticker, signal"), "R", Code.FILE_HEADER),
    case("33c quoted header", text(rows(), header='"ticker","signal"'), "A"),
    case("34 first row too long", with_line("T060,0.5,0.7", at=0), "R", Code.ROW_RAGGED),
    case("35 all rows too long", text([f"{i},{r}" for i, r in enumerate(rows())]), "R", Code.ROW_RAGGED),
    case("36 late row too long", with_line("T119,0.5,0.7", at=119), "R", Code.ROW_RAGGED),
    case("37 row too short", with_line("T060"), "R", Code.ROW_RAGGED),
    case("38 trailing comma", with_line("T060,0.5,"), "R", Code.ROW_RAGGED),
    case("38b long row then short row", text([*rows()[:60], "T060,0.5,T061", "0.6", *rows()[62:]]), "R", Code.ROW_RAGGED),
    case("39 blank lines inside", text([*rows()[:60], "", "", *rows()[60:]]), "N", Code.FILE_BLANK_LINE),
    case("40 no final newline", CLEAN.rstrip(b"\n"), "A"),
    case("41 carriage return and newline", CLEAN.replace(b"\n", b"\r\n"), "A"),
    case("42 carriage returns only", CLEAN.replace(b"\n", b"\r"), "R", Code.FILE_LINE_END),
    case("42b one bare carriage return", CLEAN.replace(b"\nT060", b"\rT060"), "R", Code.FILE_LINE_END),
    case("43 mixed line ends", CLEAN.replace(b"\nT060", b"\r\nT060"), "N", Code.FILE_LINE_END),
    case("44 newline in quotes", with_line('"T0\n60",0.5'), "R", Code.FILE_QUOTE),
    case("45 unclosed quote", with_line('"T060,0.5'), "R", Code.FILE_QUOTE),
    case("45b text after the quote", with_line('"T060"x,0.5'), "R", Code.FILE_QUOTE),
    case("45c quote inside a bare field", with_line('T0"60,0.5'), "R", Code.FILE_QUOTE),
    case("46 doubled quotes", with_id('"A""B"'), "A"),
    case("46b everything quoted", text([",".join(f'"{f}"' for f in r.split(",")) for r in rows()]), "A"),
    case("47 comment line", text([*rows()[:60], "# my model", *rows()[60:]]), "R", Code.ROW_RAGGED),
    case("47b comment first", b"# my model\n" + CLEAN, "R", Code.FILE_HEADER),
)
IDENTIFIERS = (
    case("48 ticker NA", with_id("NA"), "A"),
    case(
        "49 NULL, None, nan, TRUE, INF",
        text([*rows()[:110], "NULL,0.1", "None,0.2", "nan,0.3", "TRUE,0.4", "INF,0.5"]),
        "A",
    ),
    case("50 zeros in front", with_id("0005"), "A"),
    case("51 looks like a number", with_id("1E5"), "A"),
    case("52 unknown ticker", with_id("ZZZZ"), "N", Code.ID_UNKNOWN),
    case("52b too many unknown", text(rows([*TICKERS[:99], *(f"Z{i}" for i in range(30))])), "R", Code.COVERAGE_TOO_LOW),
    case("53 all unknown", text(rows([f"Z{i}" for i in range(120)])), "R", Code.COVERAGE_TOO_LOW),
    case("54 row twice", text([*rows(), rows()[60]]), "R", Code.ID_DUPLICATE),
    case("55 id twice, other value", text([*rows(), "T060,0.123"]), "R", Code.ID_DUPLICATE),
    case("55b unknown id twice", text([*rows(), "ZZZZ,0.1", "ZZZZ,0.2"]), "R", Code.ID_DUPLICATE),
    case("56 other case", with_id("aapl"), "R", Code.ID_UNKNOWN),
    case("57 space in front", with_id(" T060"), "R", Code.ID_SPACE),
    case("57b space behind", with_id("T060 "), "R", Code.ID_SPACE),
    case("57c no-break space behind", with_id("T060\u00a0"), "R", Code.ID_SPACE),
    case("57d space at the file's edges", text([" T000,0.5", *rows()[1:]]), "R", Code.ID_SPACE),
    case("58 Cyrillic look-alike", with_id("\u0410APL"), "R", Code.ID_UNKNOWN),
    case("59 accent in two characters", with_id("CAFE\u0301 FR"), "R", Code.ID_UNKNOWN),
    case("59b accent in one character", with_id("CAF\u00c9 FR"), "A"),
    case("60 zero-width space", with_id("T0\u200b60"), "R", Code.ID_SPACE),
    case("60b right-to-left mark", with_id("T060\u200f"), "R", Code.ID_SPACE),
    case("61 formula", with_id('=HYPERLINK(""x"")'.replace('""', "'")), "R", Code.ID_UNKNOWN),
    case("61b plus", with_id("+T060"), "R", Code.ID_UNKNOWN),
    case("61c minus", with_id("-T060"), "R", Code.ID_UNKNOWN),
    case("61d at", with_id("@T060"), "R", Code.ID_UNKNOWN),
    case("61e tab", with_id("\tT060"), "R", Code.ID_SPACE),
    case("62 65 characters", with_id("A" * 65), "R", Code.ID_LENGTH),
    case("62b empty", with_id(""), "R", Code.ID_EMPTY),
    case("63 delisted yesterday", text(rows([*TICKERS[:119], "GONE"])), "N", Code.ID_UNKNOWN),
    case("64 yesterday's universe", text(rows([*TICKERS[:105], *(f"OLD{i}" for i in range(15))])), "N", Code.ID_UNKNOWN),
    case("65 another round's ids", text(rows(CLASSIC_IDS)), "R", Code.COVERAGE_TOO_LOW),
    case(
        "65b another classic round's ids",
        text(rows([f"nf{i:013x}" for i in range(120)]), header="id,prediction"),
        "R",
        Code.ID_MISSING,
        CLASSIC_FORMAT,
    ),
    case(
        "65c one classic id missing", text(rows(CLASSIC_IDS[1:]), header="id,prediction"), "R", Code.ID_MISSING, CLASSIC_FORMAT
    ),
    case("65d classic, clean", CLASSIC_CLEAN, "A", None, CLASSIC_FORMAT),
    case("65e classic, probability", text(rows(CLASSIC_IDS), header="id,probability"), "A", None, CLASSIC_FORMAT),
    case(
        "65f classic, one id too many",
        text(rows([*CLASSIC_IDS, "nffffffffffffff"]), header="id,prediction"),
        "N",
        Code.ID_UNKNOWN,
        CLASSIC_FORMAT,
    ),
)
VALUES = (
    case("66 empty", with_value(""), "R", Code.VALUE_MISSING),
    case("67 nan", with_value("nan"), "R", Code.VALUE_NOT_FINITE),
    case("67b NaN", with_value("NaN"), "R", Code.VALUE_NOT_FINITE),
    case("67c -nan(ind)", with_value("-nan(ind)"), "R", Code.VALUE_NOT_FINITE),
    case("68 inf", with_value("inf"), "R", Code.VALUE_NOT_FINITE),
    case("68b -Infinity", with_value("-Infinity"), "R", Code.VALUE_NOT_FINITE),
    case("69 1e400", with_value("1e400"), "R", Code.VALUE_NOT_FINITE),
    case("70 1e-400", with_value("1e-400"), "N", Code.VALUE_UNDERFLOW),
    case("71 minus zero", with_value("-0.0"), "A"),
    case("72 exactly 0", with_value("0"), "A"),
    case("72b exactly 1", with_value("1"), "A"),
    case("72c 0.0 and 1.0", text(["T000,0.0", "T001,1.0", *rows()[2:]]), "A"),
    case("73 just over 1", with_value("1.0000000001"), "R", Code.VALUE_RANGE),
    case("73b just under 0", with_value("-0.0000000001"), "R", Code.VALUE_RANGE),
    case("74 decimal comma", with_value("0,5"), "R", Code.ROW_RAGGED),
    case("74b quoted decimal comma", with_value('"0,5"'), "R", Code.VALUE_NOT_A_NUMBER),
    case("75 thousands separator", with_value('"1,000"'), "R", Code.VALUE_NOT_A_NUMBER),
    case("76 percent", with_value("10%"), "R", Code.VALUE_NOT_A_NUMBER),
    case("77 dollars", with_value("$0.1"), "R", Code.VALUE_NOT_A_NUMBER),
    case("78 date", with_value("2016-01-04"), "R", Code.VALUE_NOT_A_NUMBER),
    case("79 True", with_value("True"), "R", Code.VALUE_NOT_A_NUMBER),
    case("80 hexadecimal", with_value("0x10"), "R", Code.VALUE_NOT_A_NUMBER),
    case("81 underscore", with_value("1_000"), "R", Code.VALUE_NOT_A_NUMBER),
    case("82 Arabic digits", with_value("\u0660.\u0665"), "R", Code.VALUE_NOT_A_NUMBER),
    case("82b full-width digits", with_value("\uff10.\uff15"), "R", Code.VALUE_NOT_A_NUMBER),
    case("83 other minus", with_value("\u22120.5"), "R", Code.VALUE_NOT_A_NUMBER),
    case("83b space before", with_value(" 0.5"), "R", Code.VALUE_NOT_A_NUMBER),
    case("83c no digit before the point", with_value(".5"), "R", Code.VALUE_NOT_A_NUMBER),
    case("83d plus sign", with_value("+0.5"), "R", Code.VALUE_NOT_A_NUMBER),
    case("84 40 digits", with_value("1" * 40), "R", Code.VALUE_LENGTH),
    case("84b 40 zeros", with_value("0" * 40), "R", Code.VALUE_LENGTH),
    case("85 10,000 digits", with_value("9" * 10_000), "R", Code.VALUE_LENGTH),
    case("86 25 decimals", with_value("0.1234567890123456789012345"), "A"),
    case("86b 40 characters", with_value("0." + "1" * 38), "A"),
    case("86c 41 characters", with_value("0." + "1" * 39), "R", Code.VALUE_LENGTH),
    case("86d small with exponent", with_value("1.5e-05"), "A"),
    case("87 constant", _constant("0.5", "0.5"), "R", Code.NO_VARIANCE),
    case("88 constant up to rounding", _constant("0.1", "0.10000000000000001"), "R", Code.NO_VARIANCE),
    case("88b constant up to one unit", _constant("0.3", "0.30000000000000004"), "R", Code.NO_VARIANCE),
    case("89 two distinct values", _constant("0.1", "0.9"), "A"),
    case("90 99 rows", text(rows(TICKERS[:99])), "R", Code.ROWS_TOO_FEW),
    case("90b 100 rows", text(rows(TICKERS[:100])), "A"),
)
UPLOADS = (*ENCODING, *WHOLE, *SHAPE, *IDENTIFIERS, *VALUES)
