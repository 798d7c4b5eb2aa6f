"""The library numerai-tools 0.7.2 called on a labelled round, kind by kind: what our scores are compared with.

Where the library wants its tables matched before the call, they are matched here by the rule that it has elsewhere.
"""

import warnings
from collections.abc import Callable
from functools import lru_cache

import numerai_tools.scoring as scoring
import numerai_tools.signals as over_time
import numpy as np
import pandas as pd

from tests.builders.rounds import LabelledRound

OVERLAP_MIN = 0.8


class Refused(Exception):
    """Too few labels are shared."""


def by_library(given: LabelledRound, kinds: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Return each kind's scores, NaN where the library has none; raise Refused where it finds too little overlap."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return {kind: np.asarray(_refusing(KINDS[kind], given), dtype=np.float64) for kind in kinds}


def shared(*tables: pd.DataFrame | pd.Series) -> pd.Index:
    """Return the sorted labels known in all tables, or raise Refused."""
    both = tables[0].dropna().index
    for table in tables[1:]:
        both = both.intersection(table.dropna().index)
    if any(len(both) / len(table) < OVERLAP_MIN for table in tables):
        raise Refused
    return both.sort_values()


def _refusing(score: Callable, given: LabelledRound) -> pd.Series:
    try:
        return score(given)
    except AssertionError as error:
        if "overlapping ids" in str(error):
            raise Refused from error
        raise


def _varied(r: LabelledRound, score: Callable[[pd.DataFrame], pd.Series]) -> pd.Series:
    """Score a table in which a constant column, which the library refuses here, has made way for one that counts up."""
    flat = [c for c in r.predictions if r.predictions.dropna()[c].nunique() == 1]
    found = score(r.predictions.assign(**{c: np.arange(len(r.predictions)) / 7 for c in flat}).where(r.predictions.notna()))
    return found.where(~found.index.isin(flat))


def _fnc(r: LabelledRound) -> pd.Series:
    both = shared(r.predictions, r.features)
    return _varied(r, lambda p: scoring.feature_neutral_corr(p.loc[both], r.features.loc[both], r.target))


def _of_weights(r: LabelledRound) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Predictions, neutralizers and weights on the labels of all: the library does not match its targets again."""
    first = shared(r.predictions, r.target)
    both = first.intersection(r.neutralizers.dropna().index).intersection(r.sample_weights.dropna().index)
    if any(len(both) / len(side) < OVERLAP_MIN for side in (first, r.neutralizers, r.sample_weights)):
        raise Refused
    return r.predictions.loc[both], r.neutralizers.loc[both], r.sample_weights.loc[both]


def _alpha(r: LabelledRound) -> pd.Series:
    predictions, neutralizers, weights = _of_weights(r)
    target = scoring.center(r.target).loc[predictions.index].rename("target")
    # Its own first step would centre the target again on fewer assets, so the last step is done here.
    found = scoring.generate_neutralized_weights(predictions, neutralizers, weights)
    return found.apply(lambda w: w @ target) / len(target)


def _mpc(r: LabelledRound) -> pd.Series:
    predictions, neutralizers, weights = _of_weights(r)
    return scoring.meta_portfolio_contribution(predictions, r.stakes, neutralizers, weights, r.target.loc[predictions.index])


def _max_feature(r: LabelledRound) -> list[float]:
    both = shared(r.predictions, r.features)
    p, x = r.predictions.loc[both], r.features.loc[both]
    return [np.nan if p[c].nunique() == 1 else scoring.max_feature_correlation(p[c], x)[1] for c in p]


def _each(r: LabelledRound, compare: Callable[[str, pd.DataFrame, pd.DataFrame], float]) -> list[float]:
    """Compare each model with its former signal; NaN where one of both has no order."""
    now, then = r.predictions.dropna(), r.previous.dropna()
    shared(r.predictions, r.previous)
    flat = [now[c].nunique() == 1 or then[c].nunique() == 1 for c in now]
    return [np.nan if is_flat else compare(c, now, then) for c, is_flat in zip(now, flat, strict=True)]


@lru_cache(maxsize=1)
def _neutral_churn(r: LabelledRound) -> list[float]:
    # Also where no model has an order and the library is not asked.
    now, then = shared(r.predictions, r.neutralizers), shared(r.previous, r.previous_neutralizers)
    shared(now.to_series(), then.to_series())
    return _each(r, lambda c, a, b: over_time.neutral_churn(a[c], b[c], r.neutralizers, r.previous_neutralizers))


def _turnover(r: LabelledRound) -> list[float]:
    def books(signal: pd.DataFrame, neutralizers: pd.DataFrame, weights: pd.Series) -> pd.DataFrame:
        sides = (signal.dropna().sort_index(), neutralizers.dropna(), weights.dropna())
        both = sides[0].index.intersection(sides[1].index).intersection(sides[2].index)
        if any(len(both) / len(side) < OVERLAP_MIN for side in (signal, neutralizers, weights)):
            raise Refused
        return scoring.generate_neutralized_weights(*sides, center_and_normalize=True)

    now = books(r.predictions, r.neutralizers, r.sample_weights)
    then = books(r.previous, r.previous_neutralizers, r.previous_sample_weights)
    return [over_time.turnover(now[c].fillna(0), then[c].fillna(0)) for c in now]


KINDS: dict[str, Callable[[LabelledRound], pd.Series | list[float]]] = {
    "corr": lambda r: scoring.numerai_corr(r.predictions, r.target),
    "mmc": lambda r: scoring.correlation_contribution(r.predictions, r.meta_model, r.target),
    "bmc": lambda r: scoring.correlation_contribution(r.predictions, r.benchmark, r.target),
    "fnc": _fnc,
    "neutral_corr": lambda r: _varied(r, lambda p: scoring.neutral_correlation(p, r.neutralizers, r.target)),
    "neutral_mmc": lambda r: _varied(r, lambda p: scoring.neutral_contribution(p, r.meta_model, r.neutralizers, r.target)),
    "alpha": _alpha,
    "mpc": _mpc,
    "max_feature_corr": _max_feature,
    "churn": lambda r: _each(r, lambda c, a, b: over_time.churn(a[c], b[c])),
    "turnover": _turnover,
    "neutral_churn": _neutral_churn,
    "retention": lambda r: [
        np.nan if np.isnan(c) else over_time.neutral_churn_penalty(min(max(c, 0.0), 2.0)) for c in _neutral_churn(r)
    ],
}
