"""Scores of labelled tables, for notebooks and for anyone who checks our numbers.

The arithmetic is in :mod:`signals.scores` and :mod:`signals.similarity`; here labels are matched (:mod:`signals.matching`) by
the rules of the numerai-tools library, so that a table that it scores gets the same numbers, and one that it refuses for too
little overlap is refused.

1. Each kind matches the sides that it uses. ``mmc`` and ``bmc`` match theirs in pairs; ``fnc``, ``alpha`` and ``mpc`` match
   predictions with one side, then the result with the other.
2. The arrays on those labels, sorted, go to the kernels.
3. Where former signals are given, :mod:`signals.changes` says how much changed.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from signals.changes import Snapshot, changes
from signals.matching import all_at_once, clean, known, placed, require
from signals.scores import score_kinds
from signals.sides import NEEDS
from signals.similarity import cwmm, max_feature_corr, model_corrs

if TYPE_CHECKING:
    import pandas as pd


def score_frame(
    predictions: "pd.DataFrame",
    target: "pd.Series[Any]",
    *,
    meta_model: "pd.Series[Any] | None" = None,
    benchmark: "pd.Series[Any] | None" = None,
    neutralizers: "pd.DataFrame | None" = None,
    features: "pd.DataFrame | None" = None,
    sample_weights: "pd.Series[Any] | None" = None,
    stakes: "pd.Series[Any] | None" = None,
    previous: "pd.DataFrame | None" = None,
    previous_neutralizers: "pd.DataFrame | None" = None,
    previous_sample_weights: "pd.Series[Any] | None" = None,
    retention_threshold: float = 0.1,
    retention_slope: float = 10.0,
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
        What the neutral kinds take out, with an intercept; ``alpha`` and ``mpc`` take the columns as they are.
    features : DataFrame, asset index, one column a feature, optional
        What ``fnc`` takes out, with an intercept, and ``max_feature_corr`` looks for.
    sample_weights : Series, asset index, optional
        Weights of the assets in ``alpha`` and ``mpc``.
    stakes : Series, model index, optional
        Shares of the portfolio that ``mpc`` is measured against, in any unit; a model that is not there has none.
    previous : DataFrame, asset index, one column a model, optional
        Signals of an earlier round; a model is matched by its column's name. A column of NaN is no signal.
    previous_neutralizers : DataFrame, asset index, one column a factor, optional
        Neutralizers of that round.
    previous_sample_weights : Series, asset index, optional
        Sample weights of that round.
    retention_threshold, retention_slope : float
        Neutral churn up to which everything is retained, and steepness of the fall beyond it; a round's terms hold its own.

    Returns
    -------
    DataFrame, one row a model, one column a kind
        ``corr`` always; ``mmc`` and ``cwmm`` with a meta-model; ``bmc`` with a benchmark; ``fnc`` and ``max_feature_corr`` with
        features; ``neutral_corr`` with neutralizers, ``neutral_mmc`` with a meta-model as well, ``alpha`` with sample weights
        as well and ``mpc`` with stakes besides; ``max_model_corr`` and ``mean_model_corr`` from two models on. No NaN: a
        constant prediction scores 0.

        With previous signals also ``churn``; ``turnover`` with neutralizers and sample weights (the former book is made with
        those of its own round if both are given, else with today's); ``neutral_churn`` and ``retention`` with neutralizers
        and previous ones. These three changes, and nothing else, are NaN for a model without a former signal; its
        ``retention`` is 1. A signal without an order has a churn of 1.

    Raises
    ------
    InputRejected
        ``coverage_too_low`` if a kind's inputs share less than 80 % of any of them, with a finding for each label that is
        missing; ``score_input_invalid`` for repeated or unsortable labels, for values that are not numbers, for stakes that
        are negative or of models that are not there; ``value_not_finite`` for an infinity.

    Examples
    --------
    >>> import pandas as pd
    >>> target = pd.Series([0.0, 0.25, 0.5, 0.75, 1.0], index=list("abcde"))
    >>> crowd = pd.Series([0.1, 0.5, 0.2, 0.6, 0.7], index=list("abcde"))
    >>> score_frame(pd.DataFrame({"wise": target, "flat": 0.5}), target, meta_model=crowd).round(3)
           corr    mmc   cwmm  max_model_corr  mean_model_corr
    wise  0.996  0.186  0.827             0.0              0.0
    flat  0.000  0.000  0.000             0.0              0.0
    """
    import pandas as pd

    p, t = clean(predictions), clean(target)
    meta, bench, factors, traits, weights = (
        None if x is None else clean(x) for x in (meta_model, benchmark, neutralizers, features, sample_weights)
    )
    sides: dict[str, Any] = {"meta_model": meta, "benchmark": bench, "exposures": factors, "features": traits}
    sides |= {"sample_weights": weights, "stakes": None if stakes is None else _stakes(stakes, p)}
    out: dict[str, Any] = {}
    for kind, needs in _COLUMNS.items():
        if all(sides[name] is not None for name in needs):
            out |= _SCORERS.get(kind, _by_target)(kind, p, t, {name: sides[name] for name in needs})
    if previous is not None:
        beside = (None if x is None else clean(x) for x in (previous_neutralizers, previous_sample_weights))
        then = Snapshot(clean(previous), *beside)
        out |= changes(Snapshot(p, factors, weights), then, retention_threshold, retention_slope)
    return pd.DataFrame(out, index=predictions.columns)


def _by_target(kind: str, p: Any, t: Any, sides: dict[str, Any]) -> dict[str, Any]:
    """Score a kind by its kernel, which sees the whole target: the mean is taken before assets are dropped."""
    beside = {name: side for name, side in sides.items() if name != "stakes"}
    match: Callable[..., Any] = _MATCHED.get(kind, all_at_once)
    both = match(p, t, *beside.values())
    labels = t.index if kind != "fnc" else t.index.union(both)
    given = {name: placed(side, both, labels) for name, side in beside.items()}
    if "stakes" in sides:
        given["stakes"] = sides["stakes"]
    # What is not among the labels that count is NaN there, and was judged here: by the library's rule, not the kernel's.
    return score_kinds((kind,), placed(p, both, labels).T, t.reindex(labels).to_numpy(), overlap_min=0.0, **given)


def _by_meta_model(kind: str, p: Any, t: Any, sides: dict[str, Any]) -> dict[str, Any]:
    del t
    both = all_at_once(p, sides["meta_model"])
    return {kind: cwmm(p.loc[both].to_numpy().T, sides["meta_model"].loc[both].to_numpy())}


def _by_features(kind: str, p: Any, t: Any, sides: dict[str, Any]) -> dict[str, Any]:
    del t
    both = all_at_once(p, sides["features"])
    return {kind: max_feature_corr(p.loc[both].to_numpy().T, sides["features"].loc[both].to_numpy())[1]}


def _by_each_other(kind: str, p: Any, t: Any, sides: dict[str, Any]) -> dict[str, Any]:
    del kind, t, sides
    if p.shape[1] < 2:
        return {}
    largest, mean = model_corrs(p.loc[all_at_once(p)].to_numpy().T)
    return {"max_model_corr": largest, "mean_model_corr": mean}


_COLUMNS: dict[str, tuple[str, ...]] = NEEDS | {
    "max_feature_corr": ("features",),
    "cwmm": ("meta_model",),
    "model_corrs": (),
}
_Scorer = Callable[[str, Any, Any, dict[str, Any]], dict[str, Any]]
_SCORERS: dict[str, _Scorer] = {"max_feature_corr": _by_features, "cwmm": _by_meta_model, "model_corrs": _by_each_other}


def _stakes(stakes: Any, predictions: Any) -> Any:
    if not stakes.index.is_unique or not stakes.index.isin(predictions.columns).all():
        raise InputRejected(Code.SCORE_INPUT_INVALID, "Stakes are of models among the predictions, each once.")
    return stakes.reindex(predictions.columns).to_numpy(dtype=np.float64)


def _in_pairs(p: Any, t: Any, meta: Any) -> Any:
    first = all_at_once(p, meta)
    both = first.intersection(known(t))
    require(both, t.index, first)
    return both


def _features_first(p: Any, t: Any, features: Any) -> Any:
    """Match predictions with features; the target narrows the ranks only, in the kernel."""
    first = all_at_once(p, features)
    require(first.intersection(known(t)), t.index, first)
    return first


def _target_first(p: Any, t: Any, factors: Any, weights: Any) -> Any:
    first = all_at_once(p, t)
    both = first.intersection(known(factors)).intersection(known(weights))
    require(both, first, factors.index, weights.index)
    return both


_MATCHED: dict[str, Callable[..., Any]] = {
    "mmc": _in_pairs,
    "bmc": _in_pairs,
    "fnc": _features_first,
    "alpha": _target_first,
    "mpc": _target_first,
}
