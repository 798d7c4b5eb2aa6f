"""How far a book's exposures wander between two decisions, and when that is worth a finding.

A decision brings every exposure inside its band; then prices move and the book drifts until the next one. Here are the size of
that movement and the places where an exposure left its *drift band*, three times the mandate's unless told otherwise. It
repairs nothing and looks at no price: exposures at the closes are handed in.

Decision instant: a close's exposure is known at that close.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import Finding, InputRejected
from market.arrays import BoolArray, DateArray, FloatArray

DRIFT_MULTIPLE = 3.0
"""Drift band over the mandate's band."""
DRIFT_BAND_MIN = 0.03
"""Drift band of an exposure that is zero at each decision (dollar, beta): no book of stocks stays closer for a week."""
DRIFT_QUANTILE = 0.99


@dataclass(frozen=True, slots=True)
class Drift:
    """What the drift of one exposure was.

    Attributes
    ----------
    name : str
    band, drift_band : float
        The mandate's, and what the close is held against; inf where there is none.
    typical, high : float
        Median and 99 % quantile of |exposure at the close − exposure at the first close of the decision|; NaN without a close
        after a decision.
    largest : float
        Largest |exposure| at any close.
    past : int
        Closes past the drift band.
    """

    name: str
    band: float
    drift_band: float
    typical: float
    high: float
    largest: float
    past: int


@dataclass(frozen=True, slots=True)
class DriftReport:
    """Drift of each exposure, and a finding for each that left its drift band."""

    lines: tuple[Drift, ...]
    findings: tuple[Finding, ...]


def drift_between_decisions(
    sessions: DateArray,
    exposures: Mapping[str, FloatArray],
    decided: BoolArray,
    bands: Mapping[str, float],
    *,
    multiple: float = DRIFT_MULTIPLE,
    band_min: float = DRIFT_BAND_MIN,
) -> DriftReport:
    """Measure how exposures drift.

    Parameters
    ----------
    sessions : (T,) datetime64[D]
    exposures : mapping of name to (T,) float64
        At each close, as parts of equity; NaN where unknown, which counts nowhere.
    decided : (T,) bool
        Sessions at whose open a decision was filled. Sessions before the first are not looked at.
    bands : mapping of name to float
        The mandate's half-widths; a name without one has no drift band.
    multiple : float
        Drift band over band.
    band_min : float
        Least drift band.

    Returns
    -------
    DriftReport
        One line for each exposure in order, and a finding EXPOSURE_DRIFT for each that was past its drift band, with its worst
        session.

    Raises
    ------
    InputRejected
        PROBLEM_INVALID for series of another length than the sessions.
    """
    if any(values.shape != sessions.shape for values in (decided, *exposures.values())):
        raise InputRejected(Code.PROBLEM_INVALID, "Drift needs one exposure and one mark for each session.")
    start = np.maximum.accumulate(np.where(decided, np.arange(sessions.size), -1))
    after = start >= 0
    lines: list[Drift] = []
    findings: list[Finding] = []
    for name, values in exposures.items():
        band = float(bands.get(name, np.inf))
        room = max(multiple * band, band_min)
        moved = np.abs(values - values[np.maximum(start, 0)])[after & ~decided]
        moved = moved[np.isfinite(moved)]
        size = np.where(after & np.isfinite(values), np.abs(values), 0.0)
        typical, high = np.quantile(moved, [0.5, DRIFT_QUANTILE]) if moved.size else (np.nan, np.nan)
        past = int(np.count_nonzero(size > room))
        lines.append(Drift(name, band, room, float(typical), float(high), float(size.max(initial=0.0)), past))
        if past:
            findings.append(_finding(lines[-1], sessions[size.argmax()], values[size.argmax()], int(after.sum())))
    return DriftReport(tuple(lines), tuple(findings))


def _finding(line: Drift, session: np.datetime64, worst: float, closes: int) -> Finding:
    message = (
        f"The exposure to {line.name} was {worst:+.3f} at the close of {session}, past its drift band of "
        f"{line.drift_band:.3f}; so it was at {line.past} of {closes} closes."
    )
    return Finding(Code.EXPOSURE_DRIFT, message, column=line.name, value=f"{worst:+.6f}", refuses=False)
