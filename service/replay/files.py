"""Files as a provider writes them: a clean CSV, and the same file damaged in the ways that real files are.

It is not the platform's parser and shares no code with it: what a provider writes and what the platform reads meet only in
the published format. A damaged file is made from the clean one, so that it differs in the one thing that is wrong.
"""

from collections.abc import Callable, Sequence

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InvariantBroken
from crowdalpha.ids import Tournament
from market.arrays import FloatArray

HEADERS = {Tournament.SIGNALS: ("numerai_ticker", "signal"), Tournament.CLASSIC: ("id", "prediction")}
"""Column names that the two tournaments ask for."""

Damage = Callable[[list[str], np.random.Generator], bytes]


def write_csv(ids: Sequence[str], values: FloatArray, header: tuple[str, str] = HEADERS[Tournament.SIGNALS]) -> bytes:
    r"""Return a CSV file with one row for each id.

    Parameters
    ----------
    ids : sequence of str, length n
        Labels of the round, none of which needs quoting.
    values : (n,) float64
        Inside (0, 1); no NaN. Written with as many digits as it takes to read the same number back, at most 17.
    header : (str, str)
        The two column names.

    Raises
    ------
    InvariantBroken
        ``value_range`` if a value is not inside (0, 1): the crowd ranks before it writes.

    Examples
    --------
    >>> write_csv(["AAPL", "IBM"], np.array([0.25, 0.75]))
    b'numerai_ticker,signal\nAAPL,0.25\nIBM,0.75\n'
    """
    if not np.all((values > 0.0) & (values < 1.0)):
        raise InvariantBroken(Code.VALUE_RANGE, "A provider's values lie inside 0 to 1 before they are written.")
    rows = [f"{label},{value!r}" for label, value in zip(ids, values.tolist(), strict=True)]
    return "\n".join([",".join(header), *rows, ""]).encode()


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    """Return ``data`` with one kind of damage from :data:`DAMAGES`, chosen by ``rng``; every kind is refused as a whole."""
    kinds = tuple(DAMAGES)
    return damaged(data, kinds[int(rng.integers(len(kinds)))], rng)


def damaged(data: bytes, kind: str, rng: np.random.Generator) -> bytes:
    """Return ``data`` with the named damage; ``rng`` chooses the row."""
    return DAMAGES[kind](data.decode().splitlines(), rng)


def _joined(lines: Sequence[str]) -> bytes:
    return "\n".join([*lines, ""]).encode()


def _row(lines: Sequence[str], rng: np.random.Generator) -> int:
    return 1 + int(rng.integers(len(lines) - 1))


def _with_value(lines: list[str], row: int, value: str) -> bytes:
    label = lines[row].partition(",")[0]
    return _joined([*lines[:row], f"{label},{value}", *lines[row + 1 :]])


def _bad_header(lines: list[str], _: np.random.Generator) -> bytes:
    return _joined(["symbol;score", *lines[1:]])


def _repeated_id(lines: list[str], rng: np.random.Generator) -> bytes:
    return _joined([*lines, lines[_row(lines, rng)]])


def _not_a_number(lines: list[str], rng: np.random.Generator) -> bytes:
    return _with_value(lines, _row(lines, rng), "NaN")


def _latin_1(lines: list[str], rng: np.random.Generator) -> bytes:
    row = _row(lines, rng)
    return "\n".join([*lines[:row], f"NESTL\xc9{lines[row]}", *lines[row + 1 :], ""]).encode("latin-1")


def _semicolons(lines: list[str], _: np.random.Generator) -> bytes:
    return _joined([line.replace(",", ";") for line in lines])


def _cut_off(lines: list[str], _: np.random.Generator) -> bytes:
    return _joined(lines)[: -1 - len(lines[-1].partition(",")[2]) - 1]


def _out_of_range(lines: list[str], rng: np.random.Generator) -> bytes:
    return _with_value(lines, _row(lines, rng), "1.7")


def _empty_value(lines: list[str], rng: np.random.Generator) -> bytes:
    return _with_value(lines, _row(lines, rng), "")


DAMAGES: dict[str, Damage] = {
    "bad_header": _bad_header,
    "repeated_id": _repeated_id,
    "not_a_number": _not_a_number,
    "latin_1": _latin_1,
    "semicolons": _semicolons,
    "cut_off": _cut_off,
    "out_of_range": _out_of_range,
    "empty_value": _empty_value,
}
"""What goes wrong with files, by name. The cut-off file ends inside its last row, as an interrupted upload does."""
