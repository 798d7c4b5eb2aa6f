"""The verdict on an upload: bytes and a universe in, a validated signal or all reasons against it out.

1. Read the bytes (:mod:`signals.parse`).
2. Place the values on the round's universe (:mod:`signals.align`), by the scheme that the file's column names where the round
   froze its labels (:mod:`signals.labels`).
3. Judge identifiers and coverage. In the signals tournament a stranger among the identifiers is a notice, unless it is plainly
   a mistyped or forged one; in the classic tournament every identifier of the round must be there.
4. Judge the values: if all are equal, there is nothing to rank.
5. Accepted values become tie-kept ranks; assets without a value stand in the middle.

It does not know the clock: whether a file is on time is decided where the file is stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from crowdalpha.canonical import sha256_hex
from crowdalpha.codes import Code
from crowdalpha.errors import Finding
from crowdalpha.terms import ScoringTerms
from market.arrays import BoolArray, FloatArray, IntArray, readonly
from market.ranks import tie_kept_rank
from signals.align import Aligned, align, align_at
from signals.constancy import is_constant
from signals.dialect import FileFormat, ParsedFile
from signals.findings import FindingList
from signals.labels import NO_SCHEMES, LabelScheme
from signals.parse import parse_csv

FILL_RANK = 0.5
"""The middle of all ranks: no opinion."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t")
"""What a spreadsheet would run; no label of a universe that starts so would be unknown by chance."""

STRANGERS_SHARE = 0.5
"""From this part of unknown identifiers on, the file is likely one of another round."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A validated vector on a round's universe.

    Attributes
    ----------
    values : (n,) float64, read-only
        Tie-kept ranks in (0, 1) of the values that were sent; 0.5 where none was.
    present : (n,) bool, read-only
        True where a value was sent.
    """

    values: FloatArray
    present: BoolArray


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of an upload.

    Attributes
    ----------
    accepted : bool
        True when no finding refuses the file.
    findings : tuple of Finding
        Refusals first, then notices, by row; at most 100.
    signal : Signal or None
        The validated vector; None for a refused file.
    coverage : float
        Part of the universe that got a value, 0 to 1.
    sha256 : str
        Hash of the bytes, in hexadecimal.
    findings_total : int
        How many findings there were in all.
    rows : int
        Number of valid rows.
    """

    accepted: bool
    findings: tuple[Finding, ...]
    signal: Signal | None
    coverage: float
    sha256: str
    findings_total: int
    rows: int


def judge(
    data: bytes,
    fmt: FileFormat,
    universe_ids: Sequence[str],
    scoring: ScoringTerms,
    schemes: Mapping[str, LabelScheme] = NO_SCHEMES,
) -> Verdict:
    r"""Judge an uploaded file.

    Parameters
    ----------
    data : bytes
        The file as it was sent; any content.
    fmt : FileFormat
        ``SIGNALS_FORMAT`` or ``CLASSIC_FORMAT``.
    universe_ids : sequence of str, length n
        Labels that the file may use, in the order of the round's frozen universe.
    scoring : ScoringTerms
        The round's terms; ``ids_min`` is the least number of valid identifiers.
    schemes : mapping of str to LabelScheme, optional
        What the identifiers of a column of that name stand for; those of any other column are ``universe_ids``.

    Returns
    -------
    Verdict
        Never an exception for anything that the bytes hold.

    Examples
    --------
    >>> from signals.parse import SIGNALS_FORMAT
    >>> terms = ScoringTerms(kinds=("corr",), ids_min=2)
    >>> verdict = judge(b"ticker,signal\nA,0.1\nB,0.9\nX,0.5\n", SIGNALS_FORMAT, ["A", "B", "C"], terms)
    >>> verdict.accepted, verdict.signal.values.tolist(), [f.code.value for f in verdict.findings]
    (True, [0.25, 0.75, 0.5], ['id_unknown'])
    """
    parsed = parse_csv(data, fmt)
    findings = FindingList()
    findings.include(parsed.findings, parsed.findings_total, refused=parsed.refused)
    scheme = schemes.get(parsed.id_column)
    if scheme is None:
        placed = align(parsed.ids, parsed.values, universe_ids)
    else:
        positions = _positions(parsed, scheme, findings)
        placed = align_at(positions, parsed.ids, parsed.values, scheme.names(universe_ids))
    present = ~np.isnan(placed.values)
    known = int(present.sum())
    if parsed.ids:
        _judge_ids(parsed, placed, fmt, scheme, universe_ids, findings)
        _judge_coverage(known, len(parsed.ids), scoring.ids_min, findings)
        _judge_spread(placed.values[present] if known else parsed.values, findings)
        if fmt.complete or known < scoring.ids_min:
            _name_missing(placed.missing, findings)
    elif not findings.refused:
        findings.refuse(Code.ROWS_TOO_FEW, "The file has no valid row.")
    signal = None if findings.refused else _signal(placed.values, present)
    coverage = known / len(universe_ids) if universe_ids else 0.0
    return Verdict(not findings.refused, findings.shown(), signal, coverage, sha256_hex(data), findings.total, len(parsed.ids))


def _positions(parsed: ParsedFile, scheme: LabelScheme, findings: FindingList) -> IntArray:
    """Return the place of each identifier, −1 for none; a second one for an asset refuses the file and has none."""
    positions = scheme.positions(parsed.ids)
    first: dict[int, int] = {}
    for at, position in enumerate(positions.tolist()):
        earlier = first.setdefault(position, at)
        if position >= 0 and earlier != at:
            message = (
                f"The identifier is of the asset that {parsed.ids[earlier]!r} on row {parsed.rows[earlier]} names already."
            )
            findings.refuse(Code.ID_DUPLICATE, message, int(parsed.rows[at]), parsed.id_column, parsed.ids[at])
            positions[at] = -1
    return positions


def _judge_ids(
    parsed: ParsedFile,
    placed: Aligned,
    fmt: FileFormat,
    scheme: LabelScheme | None,
    universe_ids: Sequence[str],
    findings: FindingList,
) -> None:
    if fmt.complete:
        _judge_complete(parsed, placed, findings)
        return
    if not placed.unknown:
        return
    known = LabelScheme.of_universe(universe_ids) if scheme is None else scheme
    spelled = {label.casefold(): label for label in known.members}
    for label, at in zip(placed.unknown, placed.unknown_at.tolist(), strict=True):
        row = int(parsed.rows[at])
        meant = spelled.get(label.casefold())
        if meant == label:
            continue  # a second name of an asset, which was told
        if meant is not None:
            message = f"The identifier differs in case from {meant!r}; identifiers are compared exactly."
            findings.refuse(Code.ID_UNKNOWN, message, row=row, value=label)
        elif not label.isascii():
            message = "The identifier holds characters that look like others, and is not in this round's universe."
            findings.refuse(Code.ID_UNKNOWN, message, row=row, value=label)
        elif label.startswith(FORMULA_STARTS):
            findings.refuse(Code.ID_UNKNOWN, "The identifier looks like a spreadsheet's formula.", row=row, value=label)
        else:
            code, why = known.why_unknown(label)
            findings.notice(code, f"{why}; the row was dropped.", row=row, value=label)


def _judge_complete(parsed: ParsedFile, placed: Aligned, findings: FindingList) -> None:
    for label, at in zip(placed.unknown, placed.unknown_at.tolist(), strict=True):
        message = "Not an identifier of this round; the row was dropped."
        findings.notice(Code.ID_UNKNOWN, message, row=int(parsed.rows[at]), value=label)
    if placed.missing:
        # Sorted, not in the order of the universe: that one would tell which asset an identifier is.
        shown = ", ".join(sorted(placed.missing)[:3])
        hint = ""
        if len(placed.unknown) >= STRANGERS_SHARE * len(parsed.ids):
            hint = " The identifiers look like those of another round: use the latest live data."
        findings.refuse(Code.ID_MISSING, f"{len(placed.missing):,} identifiers of the round are missing: {shown} …{hint}")


def _judge_coverage(known: int, valid: int, ids_min: int, findings: FindingList) -> None:
    if valid < ids_min:
        findings.refuse(Code.ROWS_TOO_FEW, f"The file has {valid:,} valid rows; the round asks for at least {ids_min:,}.")
    elif known < ids_min:
        hint = " The file looks like one for another round." if known <= (1 - STRANGERS_SHARE) * valid else ""
        message = f"{known:,} of {valid:,} identifiers are in this round's universe; at least {ids_min:,} are needed.{hint}"
        findings.refuse(Code.COVERAGE_TOO_LOW, message)


def _name_missing(missing: tuple[str, ...], findings: FindingList) -> None:
    """Name what is missing after what refuses the file: notices, so that they crowd out no refusal of a row."""
    for label in sorted(missing):  # a universe's own order would tell which asset a classic id is
        findings.notice(Code.ID_MISSING, "The file does not name this identifier of the round.", value=label)


def _judge_spread(values: FloatArray, findings: FindingList) -> None:
    if is_constant(values):
        findings.refuse(Code.NO_VARIANCE, "All values are equal: there is nothing to rank.")


def _signal(values: FloatArray, present: BoolArray) -> Signal:
    ranks = tie_kept_rank(values)
    return Signal(readonly(np.where(present, ranks, FILL_RANK)), readonly(present))
