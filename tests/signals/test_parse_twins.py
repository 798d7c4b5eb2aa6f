"""The quick and the careful reading of an upload are one reading, and no bytes whatever raise.

Method: clean files are mutated by seeded byte flips, splices, deletions and repetitions; wherever the quick way answers, the
careful way must give the same result, and every mutant must get a verdict. Numbers that are hard to round, and texts that only
look like numbers, are tried apart; the independent source for a number's value is Python's ``float``.
"""

from decimal import Context, Decimal

import numpy as np
import pytest

from crowdalpha.errors import Finding
from signals.careful import parse_carefully
from signals.parse import CLASSIC_FORMAT, SIGNALS_FORMAT, ParsedFile, parse_csv, parse_plain
from signals.submission import judge
from tests.corpus.uploads import CLEAN, SCORING, UNIVERSE, UPLOADS, text

SEED = 20_140_101
MUTANTS = 3_000
SPLICES = [
    b'"', b"\r", b"\r\n", b"\n", b"\n\n", b",", b" ", b"\t", b"\x00", b"\xef\xbb\xbf", b"\xc3", b"\xe2\x80\x8b", b"nan", b"-",
    b"1e400", b"e-400", b"0", b"1.", b".", b"E", b"+", b";", b"ticker,signal\n", b"signal,ticker\n", b"T001,0.5\n", b"-0.0",
    b"\xd9\xa1", b"_", b"1" * 50, b"0" * 30, b"#", b"'", b"=", b"0.0", b"0e5", b"0.00",
]  # fmt: skip


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, len(out) + 1))
        what = int(rng.integers(0, 5))
        if what == 0 and at < len(out):
            out[at] = int(rng.integers(0, 256))
        elif what == 1:
            out[at:at] = SPLICES[int(rng.integers(0, len(SPLICES)))]
        elif what == 2:
            del out[at : at + int(rng.integers(1, 12))]
        elif what == 3:
            width = int(rng.integers(1, 40))
            out[at:at] = out[at : at + width]
        elif at < len(out):
            out[at] = int(rng.choice(list(b'0123456789.,-eE\n\r "')))
    return bytes(out)


def small_file() -> bytes:
    return text([f"T{i:03d},0.{i * 7 % 100:02d}1" for i in range(12)])


def same(a: ParsedFile, b: ParsedFile) -> bool:
    return (
        a.ids == b.ids
        and np.array_equal(a.values, b.values)
        and np.array_equal(np.signbit(a.values), np.signbit(b.values))
        and np.array_equal(a.rows, b.rows)
        and (a.findings, a.findings_total, a.refused) == (b.findings, b.findings_total, b.refused)
        and a.id_column == b.id_column
    )


def test_quick_and_careful_reading_agree_on_mutants():
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    answered = 0
    for _ in range(MUTANTS):
        data = mutate(small_file(), rng)
        quick = parse_plain(data, SIGNALS_FORMAT)
        if quick is not None:
            answered += 1
            assert same(quick, parse_carefully(data, SIGNALS_FORMAT)), data
    assert answered > MUTANTS // 10


def test_quick_and_careful_reading_agree_on_the_corpus():
    for upload in UPLOADS:
        data = upload.make()
        quick = parse_plain(data, upload.fmt)
        if quick is not None:
            assert same(quick, parse_carefully(data, upload.fmt)), upload.name


@pytest.mark.parametrize("value", ["0", "1", "0.0", "1.0", "0.5", "1e-5", "5E-324", "0.30000000000000004", "1E0"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_quick_reading_takes_ordinary_files(value, end):
    data = text([f"A,{value}", "B,0.25"], end=end)
    quick = parse_plain(data, SIGNALS_FORMAT)
    assert quick is not None
    assert quick.values.tolist() == [float(value), 0.25]
    assert same(quick, parse_carefully(data, SIGNALS_FORMAT))


def hard_numbers(rng: np.random.Generator, count: int) -> list[str]:
    """Texts of at most 40 characters: shortest and long forms, and decimals next to the middle of two float64."""
    texts = []
    for value in (rng.random(count) * 10.0 ** -rng.integers(0, 320, count).astype(float)).tolist():
        middle = (Decimal(value) + Decimal(float(np.nextafter(value, 1.0)))) / 2
        digits = int(rng.integers(15, 33))
        near = Context(prec=digits).create_decimal(middle)
        texts += [repr(value), f"{value:.38f}", f"{value:.{digits}e}", f"{near:.{digits - 1}e}", f"{near:f}"[:40]]
    return [text for text in texts if len(text) <= 40 and text[-1] != "."]


def test_quick_reading_rounds_each_number_as_float_does():
    print(f"seed {SEED + 3}")
    texts = [t for t in hard_numbers(np.random.default_rng(SEED + 3), 4_000) if 0.0 < float(t) <= 1.0]
    for first in range(0, len(texts), 5_000):
        part = texts[first : first + 5_000]
        quick = parse_plain(text([f"T{i},{number}" for i, number in enumerate(part)]), SIGNALS_FORMAT)
        assert quick is not None
        assert quick.values.tobytes() == np.array([float(number) for number in part]).tobytes()
    assert len(texts) > 10_000


def test_quick_and_careful_reading_agree_on_texts_that_look_like_numbers():
    print(f"seed {SEED + 4}")
    rng = np.random.default_rng(SEED + 4)
    answered = 0
    for _ in range(20_000):
        number = "".join(rng.choice(list("00123459..eE+-"), int(rng.integers(1, 9))).tolist())
        data = text(["A,0.25", f"B,{number}"])
        quick = parse_plain(data, SIGNALS_FORMAT)
        if quick is not None:
            answered += 1
            assert same(quick, parse_carefully(data, SIGNALS_FORMAT)), data
    assert answered > 500


@pytest.mark.parametrize(
    "number", ["0" * 20 + "1", "0" * 21 + ".5", "1.", ".5", "0..5", "0.5.5", "1e", "+1", "-0", "1e5", "0x1", "1_0"]
)
def test_quick_reading_leaves_odd_numbers_to_the_careful_one(number):
    assert parse_plain(text([f"A,{number}", "B,0.25"]), SIGNALS_FORMAT) is None


@pytest.mark.parametrize(
    "line", [" A,0.5", "A ,0.5", "A, 0.5", "A,0.5 ", ",0.5", "A,", "A", "A,0.5,", "B,0.5", "A" * 65 + ",0.5"]
)
@pytest.mark.parametrize("last", [False, True])
def test_quick_reading_leaves_odd_rows_to_the_careful_one(line, last):
    rows = ["B,0.25", line] if last else [line, "B,0.25"]
    for data in (text(rows), text(rows)[:-1]):
        assert parse_plain(data, SIGNALS_FORMAT) is None


def test_longest_plain_file_is_still_read_quickly():
    rows = [f"{i:064d},0.{i:038d}" for i in range(1, 20_001)]
    data = text(rows, header="bloomberg_ticker,prediction", end="\r\n")
    quick = parse_plain(data, SIGNALS_FORMAT)
    assert quick is not None
    assert same(quick, parse_carefully(data, SIGNALS_FORMAT))


def test_no_mutant_raises_and_accepted_ones_mean_the_same_signal_again():
    print(f"seed {SEED + 1}")
    rng = np.random.default_rng(SEED + 1)
    verdicts = {True: 0, False: 0}
    for _ in range(MUTANTS):
        data = mutate(CLEAN, rng)
        verdict = judge(data, SIGNALS_FORMAT, UNIVERSE, SCORING)
        verdicts[verdict.accepted] += 1
        assert all(isinstance(finding, Finding) for finding in verdict.findings)
        if verdict.signal is not None:
            parsed = parse_csv(data, SIGNALS_FORMAT)
            quoted = [identifier.replace('"', '""') for identifier in parsed.ids]
            again = text([f'"{label}",{value!r}' for label, value in zip(quoted, parsed.values.tolist(), strict=True)])
            second = judge(again, SIGNALS_FORMAT, UNIVERSE, SCORING)
            assert second.signal is not None
            assert np.array_equal(second.signal.values, verdict.signal.values)
    assert min(verdicts.values()) > 0


@pytest.mark.parametrize("fmt", [SIGNALS_FORMAT, CLASSIC_FORMAT])
def test_random_bytes_never_raise(fmt):
    print(f"seed {SEED + 2}")
    rng = np.random.default_rng(SEED + 2)
    for size in rng.integers(0, 400, 300).tolist():
        assert parse_csv(rng.bytes(size), fmt).refused
