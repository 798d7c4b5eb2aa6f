"""Each frozen answer of the field's library is given by our own functions, and by the library as it is installed.

Independent source: library.json beside this file: calls of numerai-tools 0.7.2 with inputs and outputs, and payouts worked out
from published formulas. Every case is mapped to a function of ours; where we say something else on purpose, ``DIFFERENT`` says
what. Uploads are in test_library_verdicts.py.
"""

import json
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numerai_tools.scoring as scoring
import numerai_tools.signals as over_time
import numpy as np
import pandas as pd
import pytest

from crowdalpha.errors import CrowdalphaError, InputRejected, InvariantBroken
from crowdalpha.terms import ATOMS_PER_TOKEN, PPB, PayoutTerms
from market.assettable import AssetTable
from market.exposures import assemble
from market.ranks import gaussianize, mean_places, tie_kept_rank
from portfolio.performance import performance
from signals import neutralize, score_frame
from signals.churn import (
    RoundSignal,
    churn,
    max_churn_and_turnover,
    mean_neutral_churn,
    neutral_churn,
    retention,
)
from signals.crowd_report import factor_exposures
from signals.cuts import extremes
from signals.kinds import less
from signals.metamodel import blend, shares_of
from signals.places import stress
from signals.portfolio_scores import as_books, neutral_weights, turnover
from signals.quantize import retention_ppb, score_ppb
from signals.scores import corr, mmc
from signals.sums import project_out
from staking import payout

HELD = json.loads(Path(__file__).with_name("library.json").read_text(encoding="utf-8"))
TOLERANCE = 1e-12
SESSIONS_PER_YEAR = 252
CALLS = [case for case in HELD["cases"] if case["file"] != "05"]


def unpacked(part: Any) -> Any:
    """A table or series of pandas where the file holds one by reference; anything else as it stands."""
    if not isinstance(part, dict):
        return part
    if "index" in part:
        index = HELD["indices"][part["index"]]
        if "columns" in part:
            return pd.DataFrame({name: HELD["vectors"][at] for name, at in part["columns"].items()}, index=index)
        return pd.Series(HELD["vectors"][part["values"]], index=index, name=part["name"], dtype=np.float64)
    return {name: unpacked(inner) for name, inner in part.items()}


def arguments(case: dict) -> dict[str, Any]:
    """What the library was called with."""
    given = {name: unpacked(part) for name, part in case["inputs"].items()}
    if case["function"] == "orthogonalize":
        return {name: np.array(part) for name, part in given.items()}
    if case["function"] == "neutral_churn_penalty" and given["neutral_churn"] is None:
        given["neutral_churn"] = np.nan
    return given | case["params"]


def by_column(kernel: Callable[[np.ndarray], np.ndarray]) -> Callable[..., Any]:
    """A function of one row of values, for a table or a series of pandas."""

    def call(**given: Any) -> Any:
        table = next(iter(given.values()))
        if isinstance(table, pd.Series):
            return pd.Series(kernel(table.to_numpy()), index=table.index)
        return pd.DataFrame({name: kernel(table[name].to_numpy(dtype=float)) for name in table}, index=table.index)

    return call


def of_places(s: pd.Series, method: str) -> pd.Series:
    """The library's other ranks; ours keep ties, and no score of ours uses these."""
    values = s.to_numpy()
    if method == "dense":
        places = mean_places(np.unique(values))[np.searchsorted(np.unique(values), values)]
    else:
        tied = (values[:, None] == values).sum(axis=1)
        places = mean_places(values) - (tied - 1) / 2
    return pd.Series((places - 0.5) / len(values), index=s.index)


def ties_broken(row: np.ndarray) -> np.ndarray:
    """Ranks with ties broken by place: our tie-kept rank of each value's place in a stable order."""
    return tie_kept_rank(np.argsort(np.argsort(row, kind="stable")).astype(float))


def scale_only(row: np.ndarray) -> np.ndarray:
    """Values over their deviation: a blend of one vector, which is also centred, with its mean put back."""
    return blend([(row, 1.0)]) + row.mean() / row.std()


def sharpe(s: pd.Series) -> float:
    """A performance's ratio over a year, brought back to one session and to a deviation over n; in steps that ruin nobody."""
    equity = np.cumprod(np.concatenate([[1.0], 1 + 0.01 * s.to_numpy()]))
    return performance(equity).sharpe / np.sqrt(SESSIONS_PER_YEAR) * np.sqrt(len(s) / (len(s) - 1))


def ends(s: pd.Series, top_bottom: int) -> list[pd.Series]:
    at = extremes(s.to_numpy()[None, :], top_bottom)[0]
    return [s.iloc[part].sort_index() for part in (at[top_bottom:], at[:top_bottom])]


def dummies(df: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    (column,) = columns
    words = df[column].to_numpy(dtype=str)
    ids, same = np.arange(len(words)).astype("U9"), np.full(len(words), "one")
    made = assemble(
        AssetTable(np.sort(ids), ids, words, same, same, same, np.ones(len(words))), np.arange(len(words)), {}, frozenset()
    )
    labels = [f"{column}_{name.removeprefix('sector:')}" for name in made.names]
    return df.drop(columns=column).assign(**dict(zip(labels, made.values.T, strict=True)))


def staked_mean(predictions: pd.DataFrame, stakes: pd.Series) -> pd.Series:
    rows, weights = predictions.to_numpy().T, stakes.reindex(predictions.columns).fillna(0.0).to_numpy()
    return pd.Series(shares_of(len(rows), weights) @ rows, index=predictions.index)


def on_all(*sides: Any) -> tuple[Any, ...]:
    """Arrays on all labels of all sides, NaN where a side lacks one; models become rows."""
    labels = sides[0].index
    for side in sides[1:]:
        labels = labels.union(side.index)
    return tuple(side.reindex(labels).to_numpy().T for side in sides)


def numerai_corr(
    predictions: pd.DataFrame,
    targets: pd.Series,
    *,
    max_filtered_index_ratio: float = 0.2,
    target_pow15: bool = True,
    **cut: int,
) -> pd.Series:
    p, t = on_all(predictions, targets)
    found = corr(p, t, stress_target=target_pow15, overlap_min=1 - max_filtered_index_ratio, **cut)
    return pd.Series(found, index=predictions.columns)


def contribution(predictions: pd.DataFrame, meta_model: pd.Series, live_targets: pd.Series, **cut: int) -> pd.Series:
    p, m, t = on_all(predictions, meta_model, live_targets)
    return pd.Series(mmc(p, m, t, **cut), index=predictions.columns)


def framed(kind: str) -> Callable[..., pd.Series]:
    def call(predictions: pd.DataFrame, targets: Any = None, live_targets: Any = None, **sides: Any) -> pd.Series:
        return score_frame(predictions, live_targets if targets is None else targets, **sides)[kind]

    return call


def neutral_gauss(df: pd.DataFrame, neutralizers: pd.DataFrame) -> pd.DataFrame:
    gauss = df.apply(lambda column: gaussianize(tie_kept_rank(column.to_numpy())))
    return by_column(lambda row: blend([(row, 1.0)]))(df=neutralize(gauss, neutralizers))


def pearson(a: pd.Series, b: np.ndarray) -> float:
    return float(factor_exposures(a.to_numpy(), b[:, None])[0])


def weights_of(
    predictions: pd.DataFrame, neutralizers: pd.DataFrame, sample_weights: pd.Series, *, center_and_normalize: bool = False
) -> pd.DataFrame:
    found = neutral_weights(
        predictions.to_numpy().T, neutralizers.to_numpy(), sample_weights.to_numpy(), normalize=center_and_normalize
    )
    return pd.DataFrame(found.T, index=predictions.index, columns=predictions.columns)


def on_both(s1: pd.Series, s2: pd.Series, kernel: Callable[[np.ndarray, np.ndarray], float]) -> float:
    both = s1.index.intersection(s2.index)
    return kernel(s1.loc[both].to_numpy(), s2.loc[both].to_numpy())


def churn_of_frame(s1: pd.Series, s2: pd.Series, top_bottom: int | None = None) -> float:
    if top_bottom is not None:
        return on_both(s1, s2, lambda a, b: churn(a, b, top_bottom=top_bottom))
    return float(score_frame(s1.to_frame("m"), s1.rename("t"), previous=s2.to_frame("m"))["churn"].iloc[0])


def in_round(sent: pd.Series, factors: pd.DataFrame, weights: pd.Series) -> RoundSignal:
    ranks = tie_kept_rank(sent.reindex(weights.index).to_numpy())
    filled = np.where(np.isnan(ranks), 0.5, ranks)
    return RoundSignal(list(weights.index), filled, factors.loc[weights.index].to_numpy(), weights.to_numpy())


def over_rounds(compare: Callable[[RoundSignal, list[RoundSignal]], Any]) -> Callable[..., Any]:
    def call(
        curr_sub: pd.Series,
        curr_neutralizer: pd.DataFrame,
        curr_sample_weight: pd.Series,
        prev_subs: dict[str, pd.Series],
        prev_neutralizers: dict[str, pd.DataFrame],
        prev_sample_weights: dict[str, pd.Series],
    ) -> Any:
        former = [in_round(prev_subs[d], prev_neutralizers[d], prev_sample_weights[d]) for d in prev_subs]
        return compare(in_round(curr_sub, curr_neutralizer, curr_sample_weight), former)

    return call


def of_two_rounds(s1: pd.Series, s2: pd.Series, neutralizers1: pd.DataFrame, neutralizers2: pd.DataFrame) -> float | None:
    return neutral_churn(
        s1.to_numpy(), list(s1.index), neutralizers1.to_numpy(), s2.to_numpy(), list(s2.index), neutralizers2.to_numpy()
    )


OURS: dict[str, Callable[..., Any]] = {
    "tie_kept_rank": by_column(tie_kept_rank),
    "tie_broken_rank": by_column(ties_broken),
    "rank": of_places,
    "gaussian": by_column(gaussianize),
    "power": lambda df, p: by_column(stress)(df=df) if p == 1.5 else None,
    "tie_kept_rank__gaussianize__pow_1_5": by_column(lambda row: stress(gaussianize(tie_kept_rank(row)))),
    "variance_normalize": by_column(scale_only),
    "standardize": by_column(lambda row: blend([(row, 1.0)])),
    "weight_normalize": by_column(lambda row: as_books(row[None, :])[0]),
    "center": by_column(lambda row: less(row, float(row.mean()))),
    "sharpe_ratio": sharpe,
    "filter_sort_top_bottom": ends,
    "filter_sort_top_bottom_concat": lambda s, top_bottom: pd.concat(ends(s, top_bottom)).sort_index(),
    "orthogonalize": lambda v, u: np.array([project_out(row, u[None, :] / np.linalg.norm(u)) for row in v.T]).T,
    "one_hot_encode": dummies,
    "stake_weight": staked_mean,
    "numerai_corr": numerai_corr,
    "spearman_correlation": lambda target, predictions: 1 - churn(target.to_numpy(), predictions.to_numpy()),
    "pearson_correlation": lambda target, predictions: pearson(target, predictions.to_numpy()),
    "tie_broken_rank_correlation": lambda target, predictions: pearson(target, ties_broken(predictions.to_numpy())),
    "correlation_contribution": contribution,
    "neutralize": lambda df, neutralizers, proportion=1.0: neutralize(df, neutralizers, proportion),
    "tie_kept_rank__gaussianize__neutralize__variance_normalize": neutral_gauss,
    "feature_neutral_corr": framed("fnc"),
    "neutral_correlation": framed("neutral_corr"),
    "neutral_contribution": framed("neutral_mmc"),
    "max_feature_correlation": lambda s, features: [
        str(np.abs(factor_exposures(s.to_numpy(), features.to_numpy())).argmax()),
        score_frame(s.to_frame("m"), s.rename("t"), features=features)["max_feature_corr"].iloc[0],
    ],
    "generate_neutralized_weights": weights_of,
    "alpha": framed("alpha"),
    "meta_portfolio_contribution": framed("mpc"),
    "churn": churn_of_frame,
    "turnover": lambda s1, s2: on_both(s1, s2, turnover),
    "neutral_churn": of_two_rounds,
    "calculate_mean_neutral_churn": over_rounds(mean_neutral_churn),
    "calculate_max_churn_and_turnover": over_rounds(max_churn_and_turnover),
    "neutral_churn_penalty": lambda neutral_churn, threshold=0.1, scaling_factor=10.0: retention(
        neutral_churn, threshold, scaling_factor
    ),
}
"""Each function of the library in terms of ours."""
WITHOUT_COUNTERPART = {"min_max_normalize"}
"""No score of ours scales by a range."""

IN_ORDER = pd.Series(
    {f"id{i:04d}": value for i, value in enumerate((0.05, 0.6, 0.6, 0.95, 0.25, 0.25, 0.25, 0.85, 0.75, 0.45))}
)
DIFFERENT: dict[str, Any] = {
    # A rank of ours does not know labels: what a table's order is cannot matter.
    "unsorted_index_raises": IN_ORDER[::-1],
    # Kernels take no gaps; a score drops the asset for all models before.
    "power_nan_raises": "NaN stays NaN",
    # A constant has no exposure and no residual: zeros and a score of 0 instead of NaN.
    "corr_constant_prediction": 0.0,
    "neutralize_zero_std": 0.0,
    # No order that could have been kept: unrelated.
    "churn_constant_raises": 1.0,
    # There is no history; the library says that everything changed.
    "max_churn_turnover_no_history": None,
    "mean_neutral_churn_no_history": None,
}
"""Cases in which we do not give what the library gives, with what we give."""
REFUSED = {
    "corr_25pct_missing_raises": InputRejected,
    "churn_30pct_missing_raises": InputRejected,
    "penalty_nan_raises": InvariantBroken,
}
"""Cases which both refuse, with our error."""


def named(case: dict) -> str:
    return f"{case['file']}-{case['case']}"


def same(found: Any, expected: Any) -> bool:
    """Whether two answers agree to 1e-12; labels and NaN included."""
    if isinstance(expected, pd.DataFrame):
        if list(found.columns) != list(expected.columns):
            return False
        return all(same(found[name], expected[name]) for name in expected)
    if isinstance(expected, pd.Series):
        if list(found.index) != list(expected.index):
            return False
        found, expected = found.to_numpy(dtype=float), expected.to_numpy(dtype=float)
    if isinstance(expected, list | tuple) and expected and isinstance(expected[0], pd.Series):
        return all(same(a, b) for a, b in zip(found, expected, strict=True))
    if isinstance(expected, list | tuple) and isinstance(expected[0], str):
        return found[0] in expected[0] and same(found[1], expected[1])
    return bool(np.allclose(np.asarray(found, float), np.asarray(expected, float), rtol=0, atol=TOLERANCE, equal_nan=True))


def expected_of(case: dict) -> Any:
    result = case["result"]
    return [unpacked(part) for part in result] if isinstance(result, list) else unpacked(result)


@pytest.mark.parametrize("case", [case for case in CALLS if case["function"] not in WITHOUT_COUNTERPART], ids=named)
def test_our_functions_give_the_frozen_answers(case: dict) -> None:
    ours, given, name = OURS[case["function"]], arguments(case), case["case"]
    if name in REFUSED:
        assert "error" in case
        with pytest.raises(CrowdalphaError) as refusal:
            ours(**given)
        assert isinstance(refusal.value, REFUSED[name])
        return
    found = ours(**given)
    if name not in DIFFERENT:
        assert same(found, expected_of(case))
        return
    instead = DIFFERENT[name]
    if instead is None or isinstance(instead, pd.Series):
        assert found is None if instead is None else same(found, instead)
    elif isinstance(instead, str):
        assert same(found.isna(), given["df"].isna())
    elif "error" in case:
        assert found == instead
    else:
        assert same(found, expected_of(case).fillna(instead))
        assert not same(found, expected_of(case))


def test_every_difference_is_one() -> None:
    names = {case["case"] for case in CALLS}
    assert set(DIFFERENT) | set(REFUSED) <= names
    assert {case["case"] for case in CALLS if "error" in case} <= set(DIFFERENT) | set(REFUSED)
    assert {case["function"] for case in CALLS} == set(OURS) | WITHOUT_COUNTERPART


@pytest.mark.parametrize("case", CALLS, ids=named)
def test_the_installed_library_gives_the_frozen_answers(case: dict) -> None:
    function = getattr(scoring, case["function"], None) or getattr(over_time, case["function"])
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if "error" in case:
            with pytest.raises(AssertionError):
                function(**arguments(case))
        else:
            found = function(**_with_column_names(arguments(case)))
            assert same(_plain_names(found), expected_of(case))


def _with_column_names(given: dict[str, Any]) -> dict[str, Any]:
    """The library reads a former file's column from the name of its index."""
    for name in ("curr_sub", "curr_sample_weight"):
        if name in given:
            given[name] = given[name].rename_axis("numerai_ticker")
    for name in ("prev_subs", "prev_sample_weights"):
        if name in given:
            given[name] = {date: side.rename_axis("numerai_ticker") for date, side in given[name].items()}
    return given


def _plain_names(found: Any) -> Any:
    return [found[0], found[1]] if isinstance(found, tuple) and isinstance(found[0], str) else found


KINDS = ("corr", "mmc")
"""A payout knows only that there are two kinds: the terms name them as they are named here."""


@pytest.mark.parametrize("row", HELD["payouts"], ids=lambda row: f"{row['at_risk']}-{row['payout']}")
def test_payouts_are_those_of_the_published_formulas(row: dict) -> None:
    multipliers = tuple((kind, int(Fraction(m) * PPB)) for kind, m in zip(KINDS, row["multipliers"].values(), strict=True))
    at_risk = row["at_risk"] * ATOMS_PER_TOKEN
    total = max(at_risk, (row["total"] or 0) * ATOMS_PER_TOKEN)
    threshold = (row["threshold"] or 10**9) * ATOMS_PER_TOKEN
    terms = PayoutTerms(multipliers, int(Fraction(row["clip"]) * PPB), threshold, 10**9 * ATOMS_PER_TOKEN)
    scores = {kind: score_ppb(score) for kind, score in zip(KINDS, row["scores"].values(), strict=True)}
    found = payout(at_risk, scores, retention_ppb(row["retention"]), total, terms)
    expected = Fraction(str(row["payout"])) * ATOMS_PER_TOKEN
    # A retention is published in ppb, and the row is rounded to ten digits; else the payout is the formula's to the atom.
    slack = 0 if row["retention"] == 1.0 else Fraction(row["clip"]) * at_risk / PPB
    assert abs(found - expected) <= slack
