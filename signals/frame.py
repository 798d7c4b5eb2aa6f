"""Scores of labelled tables, for notebooks and for anyone who checks our numbers.

The arithmetic is in :mod:`signals.scores`; here labels are matched by the overlap rules of the numerai-tools library, so that a
table that it scores gets the same numbers, and one that it refuses is refused.

1. A label counts on a side if its whole row is known there: a NaN in one column drops the row for all columns.
2. The labels that count on every side that a kind uses must be at least 80 % of each side.
3. The arrays on those labels, sorted, go to the kernels.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from signals.scores import OVERLAP_MIN, score_kinds

if TYPE_CHECKING:
    import pandas as pd


def score_frame(
    predictions: "pd.DataFrame",
    target: "pd.Series[Any]",
    *,
    meta_model: "pd.Series[Any] | None" = None,
    benchmark: "pd.Series[Any] | None" = None,
    neutralizers: "pd.DataFrame | None" = None,
) -> "pd.DataFrame":
    """Score each column of ``predictions`` by every kind that the inputs allow.

    Parameters
    ----------
    predictions : DataFrame, asset index, one column a model
        Any scale, any order of rows.
    target : Series, asset index
        NaN where unknown.
    meta_model, benchmark : Series, asset index, optional
        What ``mmc`` and ``bmc`` are measured against.
    neutralizers : DataFrame, asset index, one column a factor, optional
        What the neutral kinds take out; an intercept is added.

    Returns
    -------
    DataFrame, one row a model, one column a kind
        ``corr`` always; ``mmc`` with a meta-model; ``bmc`` with a benchmark; ``neutral_corr`` with neutralizers;
        ``neutral_mmc`` with neutralizers and a meta-model. A constant prediction scores 0.

    Raises
    ------
    InputRejected
        ``coverage_too_low`` if a kind's inputs share less than 80 % of any of them; ``score_input_invalid`` for repeated or
        unsortable labels and for values that are not numbers.

    Examples
    --------
    >>> import pandas as pd
    >>> target = pd.Series([0.0, 0.25, 0.5, 0.75, 1.0], index=list("abcde"))
    >>> score_frame(pd.DataFrame({"wise": target, "flat": 0.5}), target)["corr"].round(3).tolist()
    [0.996, 0.0]
    """
    import pandas as pd

    p, t = _clean(predictions), _clean(target)
    meta, bench, factors = (None if x is None else _clean(x) for x in (meta_model, benchmark, neutralizers))
    out: dict[str, Any] = {"corr": _score("corr", p, t, None, None)}
    if meta is not None:
        out["mmc"] = _score("mmc", p, t, meta, None)
    if bench is not None:
        out["bmc"] = _score("mmc", p, t, bench, None)
    if factors is not None:
        out["neutral_corr"] = _score("neutral_corr", p, t, None, factors)
        if meta is not None:
            out["neutral_mmc"] = _score("neutral_mmc", p, t, meta, factors)
    return pd.DataFrame(out, index=predictions.columns)


def _clean(table: Any) -> Any:
    """Sort by label and turn into floats."""
    if not table.index.is_unique:
        raise InputRejected(Code.SCORE_INPUT_INVALID, "An asset stands twice in an index.")
    try:
        return table.astype(np.float64).sort_index()
    except (TypeError, ValueError) as error:
        raise InputRejected(Code.SCORE_INPUT_INVALID, f"A table cannot be read as sorted numbers: {error}.") from error


def _score(kind: str, predictions: Any, target: Any, meta: Any, factors: Any) -> Any:
    if kind == "mmc":
        # This kind alone matches its inputs in pairs, one pair after the other.
        first = _known(predictions).intersection(_known(meta))
        _require(first, predictions, meta)
        both = first.intersection(_known(target))
        _require(both, target, first)
    else:
        sides = [side for side in (target, predictions, meta, factors) if side is not None]
        both = _known(sides[0])
        for side in sides[1:]:
            both = both.intersection(_known(side))
        _require(both, *sides)
    # The kernel sees the whole target: corr takes its mean before assets are dropped. What is not in `both` is NaN there.
    labels = target.index
    on = predictions.loc[both].reindex(labels).to_numpy().T
    meta_on = None if meta is None else meta.loc[both].reindex(labels).to_numpy()
    factors_on = None if factors is None else factors.loc[both].reindex(labels).to_numpy()
    return score_kinds((kind,), on, target.to_numpy(), meta_on, factors_on)[kind]


def _known(side: Any) -> Any:
    return side.dropna().index


def _require(common: Any, *sides: Any) -> None:
    for side in sides:
        if len(side) == 0 or len(common) / len(side) < OVERLAP_MIN:
            message = f"The tables share {len(common):,} assets; one has {len(side):,}, and at least 80 % must be shared."
            raise InputRejected(Code.COVERAGE_TOO_LOW, message)
