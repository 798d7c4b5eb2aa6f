"""The quick and the careful reading of an upload are one reading, and no bytes whatever raise.

Method: clean files are mutated by seeded byte flips, splices, deletions and repetitions; wherever the quick way answers, the
careful way must give the same result, and every mutant must get a verdict.
"""

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
