"""Labels of tables are matched by the overlap rules of the numerai-tools library, before any array is made.

1. A label counts on a side if its whole row is known there: a NaN in one column drops the row for all columns.
2. The labels that count on every side must be at least 80 % of each side; the refusal names those that are missing.

Which sides a kind matches, and in which order, is said in :mod:`signals.frame` and :mod:`signals.changes`.
"""

from typing import Any

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import Finding, InputRejected
from signals.prepared import OVERLAP_MIN

NAMED_MAX = 100
"""More missing labels than a person reads."""


def clean(table: Any) -> Any:
    """Return a table of pandas in floats, sorted by label.

    Raises
    ------
    InputRejected
        ``score_input_invalid`` for repeated or unsortable labels and for what is not a number; ``value_not_finite`` for an
        infinity: it has a rank, but no mean, no length and no projection.
    """
    if not table.index.is_unique:
        raise InputRejected(Code.SCORE_INPUT_INVALID, "An asset stands twice in an index.")
    try:
        out = table.astype(np.float64).sort_index()
    except (TypeError, ValueError) as error:
        raise InputRejected(Code.SCORE_INPUT_INVALID, f"A table cannot be read as sorted numbers: {error}.") from error
    if np.isinf(out.to_numpy()).any():
        raise InputRejected(Code.VALUE_NOT_FINITE, "A table holds an infinity; leave out what is not known.")
    return out


def placed(side: Any, both: Any, labels: Any) -> Any:
    """Return the values of a side at ``labels``, NaN where a label is not among ``both``."""
    return side.loc[both].reindex(labels).to_numpy()


def known(side: Any) -> Any:
    """Return the labels whose whole row is known."""
    gaps = np.isnan(side.to_numpy())
    return side.index[~(gaps if gaps.ndim == 1 else gaps.any(axis=1))]


def all_at_once(*sides: Any) -> Any:
    """Return the labels that count on every side, or refuse."""
    both = known(sides[0])
    for side in sides[1:]:
        both = both.intersection(known(side))
    require(both, *(side.index for side in sides))
    return both


def require(common: Any, *sides: Any) -> None:
    """Refuse labels in common that are less than 80 % of those of a side: ``coverage_too_low``, with what is missing."""
    for side in sides:
        if len(side) == 0 or len(common) / len(side) < OVERLAP_MIN:
            message = f"The tables share {len(common):,} assets; one has {len(side):,}, and at least 80 % must be shared."
            missing = side.difference(common)
            findings = [
                Finding(Code.ID_MISSING, f"{label} is not known everywhere.", value=str(label)[:64]) for label in missing
            ]
            raise InputRejected(Code.COVERAGE_TOO_LOW, message, findings[:NAMED_MAX])
