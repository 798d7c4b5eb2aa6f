"""How labelled signals changed since those before: what :func:`signals.frame.score_frame` shows of it.

It compares one round with one other. Which rounds are compared, and what a retention is worth, is said elsewhere.

1. Models are matched by their name. One that has no former signal has nothing to compare: NaN, and everything is retained.
2. Labels are matched as in :mod:`signals.matching`: for ``churn`` those of the two signals; for the others each signal
   with its own round's factors first, then the results with each other.
3. For ``turnover`` a signal is ranked on all its labels before those without factors are dropped, for ``neutral_churn`` after,
   as in the library.

The formulas are in :mod:`signals.churn` and :mod:`signals.portfolio_scores`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import FloatArray
from signals.churn import churns, neutral_churns, retention
from signals.matching import all_at_once, known, placed, require
from signals.portfolio_scores import as_books, neutral_weights

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """Signals of one round and what they are neutralized with; tables that are clean.

    Attributes
    ----------
    signals : DataFrame, asset index, one column a model
    factors : DataFrame, asset index, or None
        Neutralizers of that round.
    weights : Series, asset index, or None
        Sample weights of that round.
    """

    signals: "pd.DataFrame"
    factors: "pd.DataFrame | None" = None
    weights: "pd.Series[Any] | None" = None


def changes(now: Snapshot, then: Snapshot, threshold: float, slope: float) -> dict[str, FloatArray]:
    """Compare the signals of two rounds, model by model.

    Parameters
    ----------
    now, then : Snapshot
        The later and the earlier round.
    threshold, slope : float
        As for :func:`signals.churn.retention`.

    Returns
    -------
    dict of str to (m,) float64
        In the order of the models of ``now``. ``churn``; ``turnover`` if ``now`` has factors and weights: both books are made
        with their own round's, or with those of ``now`` where ``then`` lacks either; ``neutral_churn`` and ``retention`` if
        both have factors. NaN for a model without a former signal, but for its retention of 1.

    Raises
    ------
    InputRejected
        ``coverage_too_low``, with what is missing; ``score_input_invalid`` for a model that stands twice, a negative threshold
        or slope.
    """
    models = now.signals.columns
    if not (models.is_unique and then.signals.columns.is_unique):
        raise InputRejected(Code.SCORE_INPUT_INVALID, "A model stands twice, so that its former signal is not known.")
    if not (threshold >= 0.0 and slope >= 0.0):
        raise InputRejected(Code.SCORE_INPUT_INVALID, "The threshold and the slope of a retention are not negative.")
    former = then.signals.dropna(axis=1, how="all")
    at = np.flatnonzero(models.isin(former.columns))
    a, b = now.signals.iloc[:, at], former[models[at]]
    compared: dict[str, Callable[[], FloatArray]] = {"churn": lambda: _churns(a, b)}
    if now.factors is not None and now.weights is not None:
        own = (now.factors, now.weights)
        other = own if then.factors is None or then.weights is None else (then.factors, then.weights)
        compared["turnover"] = lambda: _turnovers(a, own, b, other)
    if now.factors is not None and then.factors is not None:
        beside = (now.factors, then.factors)
        compared["neutral_churn"] = lambda: _neutral_churns(a, beside[0], b, beside[1])
    found = {kind: np.full(len(models), np.nan) for kind in compared}
    for kind, compare in compared.items():
        if at.size:
            found[kind][at] = compare()
    if "neutral_churn" in found:
        known_churns = (None if np.isnan(churn) else float(churn) for churn in found["neutral_churn"])
        found["retention"] = np.array([retention(churn, threshold, slope) for churn in known_churns])
    return found


def _churns(a: Any, b: Any) -> FloatArray:
    both = all_at_once(a, b)
    return churns(_rows(a, both), _rows(b, both))


def _turnovers(a: Any, own: tuple[Any, Any], b: Any, other: tuple[Any, Any]) -> FloatArray:
    books_a, labels_a = _books(a, *own)
    books_b, labels_b = _books(b, *other)
    both = labels_a.intersection(labels_b)
    require(both, labels_a, labels_b)
    moved = books_a[:, labels_a.get_indexer(both)] - books_b[:, labels_b.get_indexer(both)]
    return np.asarray(np.sum(np.abs(moved), axis=1) / 2.0, dtype=np.float64)


def _books(signals: Any, factors: Any, weights: Any) -> tuple[FloatArray, Any]:
    """Return the book of each model, (m, n), and its labels."""
    ranked = known(signals)
    both = ranked.intersection(known(factors)).intersection(known(weights))
    require(both, signals.index, factors.index, weights.index)
    # An asset without a sample weight takes part in the ranks and in nothing else.
    v, beside = (np.nan_to_num(placed(side, both, ranked), nan=0.0) for side in (weights, factors))
    book = neutral_weights(_rows(signals, ranked), beside, v)
    return as_books(book[:, ranked.get_indexer(both)]), both


def _neutral_churns(a: Any, factors_a: Any, b: Any, factors_b: Any) -> FloatArray:
    labels_a, labels_b = all_at_once(a, factors_a), all_at_once(b, factors_b)
    require(labels_a.intersection(labels_b), labels_a, labels_b)
    sides = [
        (_rows(s, at), list(at), f.loc[at].to_numpy()) for s, at, f in ((a, labels_a, factors_a), (b, labels_b, factors_b))
    ]
    found = neutral_churns(*sides[0], *sides[1])
    return np.zeros(0) if found is None else found


def _rows(signals: Any, labels: Any) -> FloatArray:
    return np.ascontiguousarray(signals.loc[labels].to_numpy().T)
