"""What a diagnosis says: records of eras, and their summary. It computes statistics of what was measured and nothing else.

Who measures is :mod:`service.workflows.diagnose`; who shows are :mod:`service.diagnosispage` and the command line. A figure of
the example model always stands beside the signal's, from the same eras and assets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date as Date  # noqa: N812 - a field is called so
from enum import StrEnum

import numpy as np

from crowdalpha.errors import Finding
from crowdalpha.terms import ScoringTerms
from market.arrays import FloatArray
from signals.diagnostics import ScoreSummary, overlap_lags, summarize

EXAMPLE = "momentum"
"""The example model: the return from a year ago to a month ago, as ``examples/first_signal.py`` sends it."""

AGAINST_EXAMPLE = "bmc"
"""What a signal adds to the example model; the example adds nothing to itself."""


class EraState(StrEnum):
    """What stands of an era."""

    SCORED = "scored"
    PENDING = "pending"  # its target's last session is not known yet
    HELD = "held"  # too few returns of its universe are known


@dataclass(frozen=True, slots=True)
class SignalEra:
    """One signal in one era.

    Attributes
    ----------
    scores : mapping of kind to float
        Empty unless the era is scored; kinds against the meta-model only where one is stored and public.
    exposure_max : float
        The correlation with a factor that is largest in size, with its sign.
    exposure_max_factor : str
        That factor.
    churn, neutral_churn : float or None
        Against the era before; None for the first, and where the universes differ too much.
    retention : float or None
        Part of a positive payout that the neutral churn leaves under the tournament's terms; None for the first era.
    turnover : float or None
        Of the neutral book of gross one; None for the first era.
    """

    scores: Mapping[str, float]
    exposure_max: float
    exposure_max_factor: str
    churn: float | None
    neutral_churn: float | None
    retention: float | None
    turnover: float | None


@dataclass(frozen=True, slots=True)
class EraLine:
    """One era of a history.

    Attributes
    ----------
    date, session : date
        As the file has it, and the session that it stands for.
    state : EraState
    rows, covered, outside, unknown : int
        Rows of the date; those in the universe; those of assets that were not eligible then; those that the panel lacks.
    universe : int
        Assets that were eligible.
    coverage : float
        covered / universe.
    signal, example : SignalEra
    """

    date: Date
    session: Date
    state: EraState
    rows: int
    covered: int
    outside: int
    unknown: int
    universe: int
    coverage: float
    signal: SignalEra
    example: SignalEra


@dataclass(frozen=True, slots=True)
class KindSummary:
    """Statistics of one kind of score: of the signal, the example model, and their difference era by era."""

    signal: ScoreSummary
    example: ScoreSummary
    difference: ScoreSummary


@dataclass(frozen=True, slots=True)
class Exposure:
    """Correlation with one factor over eras: its mean, the mean of its size, and its largest size."""

    mean: float
    mean_size: float
    largest: float


@dataclass(frozen=True, slots=True)
class FactorLine:
    """Exposure to one factor over the ``eras`` whose universe has it; ``largest_on`` is the signal's era of the largest."""

    name: str
    eras: int
    signal: Exposure
    example: Exposure
    largest_on: Date


@dataclass(frozen=True, slots=True)
class ChangeSummary:
    """Means over the eras that have one; None where none has."""

    churn: float | None
    neutral_churn: float | None
    retention: float | None
    turnover: float | None


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is said of a history.

    Attributes
    ----------
    file : str
        Name of the file.
    rows, dates : int
        Of the file.
    eras : tuple of EraLine
        By session; those that could not be measured are among the findings.
    scores : mapping of kind to KindSummary
    factors : tuple of FactorLine
        The largest mean size first.
    signal_change, example_change : ChangeSummary
    coverage_mean : float
    scored, pending, held, left_out : int
        Eras by what stands of them; dates that could not be measured.
    step_sessions, horizon_sessions, lag_sessions, lags : int
        Median sessions from era to era; the target's window; L of the adjusted Sharpe ratio.
    findings : tuple of Finding
        Notices, at most 100, and how many there were in all.
    flags : tuple of str
        What a report must say of the prices.
    example : str
        Name of the example model.
    source : str
        Of the prices.
    """

    file: str
    rows: int
    dates: int
    eras: tuple[EraLine, ...]
    scores: Mapping[str, KindSummary]
    factors: tuple[FactorLine, ...]
    signal_change: ChangeSummary
    example_change: ChangeSummary
    coverage_mean: float
    scored: int
    pending: int
    held: int
    left_out: int
    step_sessions: int
    horizon_sessions: int
    lag_sessions: int
    lags: int
    findings: tuple[Finding, ...]
    findings_total: int
    flags: tuple[str, ...]
    source: str
    example: str = EXAMPLE


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredEra:
    """A line with what the summary needs besides: the panel's row, the factors, and signal's and example's (2, k) with them."""

    line: EraLine
    row: int
    names: tuple[str, ...]
    factors: FloatArray


def score_summaries(lines: Sequence[EraLine], lags: int) -> dict[str, KindSummary]:
    """Return the statistics of every kind that an era has, each over the eras that have it."""
    kinds = list(dict.fromkeys(kind for line in lines for kind in line.signal.scores))
    found = {}
    for kind in kinds:
        having = [line for line in lines if kind in line.signal.scores]
        own = np.array([line.signal.scores[kind] for line in having], dtype=np.float64)
        example = np.array([line.example.scores[kind] for line in having], dtype=np.float64)
        found[kind] = KindSummary(summarize(own, lags), summarize(example, lags), summarize(own - example, lags))
    return found


def factor_lines(eras: Sequence[MeasuredEra]) -> tuple[FactorLine, ...]:
    """Return the exposure to every factor, the largest mean size of the signal first."""
    by_name: dict[str, list[tuple[float, float, Date]]] = {}
    for era in eras:
        for name, (own, example) in zip(era.names, era.factors.T.tolist(), strict=True):
            by_name.setdefault(name, []).append((own, example, era.line.date))
    lines = []
    for name, values in by_name.items():
        own, example, days = zip(*values, strict=True)
        largest_on = days[int(np.argmax(np.abs(own)))]
        lines.append(FactorLine(name, len(values), _exposure(own), _exposure(example), largest_on))
    return tuple(sorted(lines, key=lambda line: (-line.signal.mean_size, line.name)))


def _exposure(values: Sequence[float]) -> Exposure:
    sizes = np.abs(values)
    return Exposure(float(np.mean(values)), float(sizes.mean()), float(sizes.max()))


def change_summary(eras: Sequence[SignalEra]) -> ChangeSummary:
    """Return the means of what changed from era to era."""

    def mean(name: str) -> float | None:
        known = [value for era in eras if (value := getattr(era, name)) is not None]
        return float(np.mean(known)) if known else None

    return ChangeSummary(mean("churn"), mean("neutral_churn"), mean("retention"), mean("turnover"))


def step_and_lags(eras: Sequence[MeasuredEra], terms: ScoringTerms) -> tuple[int, int]:
    """Return the median sessions from era to era, and L."""
    rows = [era.row for era in eras]
    step = max(int(np.median(np.diff(rows))), 1) if len(rows) > 1 else terms.horizon_sessions
    return step, overlap_lags(terms.horizon_sessions, terms.lag_sessions, step)
