"""Scores of many models against one target, as array kernels on (models × assets).

Labels, files and accounts are unknown here; for tables with labels see :mod:`signals.frame`.

1. An asset counts for a kind if its target is known, no prediction lacks it, and whatever the kind needs beside predictions is
   known there. If less than 80 % of the universe counts, nothing is scored. For ``fnc`` alone the features are taken out on
   all assets with predictions and features, and ranks are those of the assets that have a target as well.
2. Kinds with the same assets share one :class:`signals.prepared.PreparedRound`, made here and thrown away.
3. That is scored as a closed round is each day.

A prediction that is constant, or that the exposures explain wholly, scores 0; so does everything against a constant target, and
every contribution to a constant meta-model. No score is NaN.

The formulas are those of numerai-tools 0.7.2, which the tests compare to 1e-12; it gives NaN in the constant cases.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import FloatArray
from signals.cuts import CUT_KINDS, cut_scores
from signals.kinds import PROJECTIONS
from signals.kinds import corr as project_corr
from signals.prepared import OVERLAP_MIN, PreparedRound, multiply, prepare, require_overlap
from signals.sides import NEEDS, Sides, check_inputs, refuse_huge


def corr(
    predictions: FloatArray,
    target: FloatArray,
    *,
    top_bottom: int | None = None,
    stress_target: bool = True,
    overlap_min: float = OVERLAP_MIN,
) -> FloatArray:
    """Correlate predictions with a target, both with stressed tails.

    Parameters
    ----------
    predictions : (m, n) float64
        One row a model, any scale; an asset where any row is NaN is dropped for all.
    target : (n,) float64
        NaN where unknown.
    top_bottom : int, optional
        Score each model on this many of its lowest and of its highest values alone.
    stress_target : bool
        False for a target in returns, whose tails are long already.
    overlap_min : float
        Least part of the assets that must count.

    Returns
    -------
    (m,) float64
        Pearson correlation of sign(g)|g|^1.5 and sign(t)|t|^1.5, with g the Gaussianized tie-kept rank of the prediction and t
        the target less its mean over all known assets. 0 for a constant row or target.

    Raises
    ------
    InputRejected
        ``coverage_too_low`` if too few assets count; ``score_input_invalid`` for wrong shapes; ``value_not_finite`` for a
        target with an infinity or a value beyond 1e100.

    Examples
    --------
    >>> p = np.arange(1.0, 6.0)[None, :]
    >>> [round(float(corr(q, p[0])[0]), 6) + 0.0 for q in (p, 1 - p, np.ones((1, 5)))]
    [0.996488, -0.996488, 0.0]
    """
    case = _case(("corr",), predictions, target, Sides(), overlap_min)
    if top_bottom is not None:
        return cut_scores("corr", case.on, case.target, case.centre, top_bottom, stress_target=stress_target)
    return multiply(case.on, {"corr": project_corr(case.on, case.target, case.centre, stress_target=stress_target)})["corr"]


def mmc(predictions: FloatArray, meta_model: FloatArray, target: FloatArray, *, top_bottom: int | None = None) -> FloatArray:
    """Return what each prediction adds to a meta-model's covariance with the target.

    With a benchmark in the place of the meta-model this is ``bmc``.

    Parameters
    ----------
    predictions : (m, n) float64
        As for :func:`corr`.
    meta_model : (n,) float64
        Any scale; ranked and Gaussianized here; assets where it is NaN are dropped.
    target : (n,) float64
        NaN where unknown. If all known values lie in 0 to 1 it is multiplied by four, as bins 0 to 4.
    top_bottom : int, optional
        As for :func:`corr`; the values are those of p⊥, and n is 2·top_bottom.

    Returns
    -------
    (m,) float64
        p⊥'t / n with p⊥ = p − m (p'm)/(m'm), p and m Gaussianized tie-kept ranks, t centred; n the assets that count.
        0 for a constant row, target or meta-model.

    Raises
    ------
    InputRejected
        As for :func:`corr`.
    """
    return _score("mmc", predictions, target, Sides(meta_model=meta_model), top_bottom)


def neutral_corr(
    predictions: FloatArray, exposures: FloatArray, target: FloatArray, *, top_bottom: int | None = None
) -> FloatArray:
    """Correlate the factor-neutral part of predictions with a target.

    Parameters
    ----------
    predictions : (m, n) float64
        As for :func:`corr`.
    exposures : (n, k) float64
        May be rank deficient; an intercept is added; assets with a NaN are dropped.
    target : (n,) float64
        NaN where unknown.
    top_bottom : int, optional
        As for :func:`corr`; the values are those of the residual.

    Returns
    -------
    (m,) float64
        Pearson correlation of the target with the residual of the Gaussianized ranks; no power of 1.5, no second ranking.
        0 for a row without a part of its own.

    Raises
    ------
    InputRejected
        As for :func:`corr`.
    """
    return _score("neutral_corr", predictions, target, Sides(exposures=exposures), top_bottom)


def neutral_mmc(
    predictions: FloatArray,
    meta_model: FloatArray,
    exposures: FloatArray,
    target: FloatArray,
    *,
    top_bottom: int | None = None,
) -> FloatArray:
    """Return :func:`mmc` with predictions and meta-model neutralized to ``exposures`` after they were Gaussianized."""
    return _score("neutral_mmc", predictions, target, Sides(exposures=exposures, meta_model=meta_model), top_bottom)


def fnc(predictions: FloatArray, features: FloatArray, target: FloatArray, *, top_bottom: int | None = None) -> FloatArray:
    """Return :func:`corr` of what the features leave of predictions, ranked again.

    Parameters
    ----------
    predictions : (m, n) float64
        As for :func:`corr`.
    features : (n, f) float64
        May be rank deficient; an intercept is added; assets with a NaN are dropped.
    target : (n,) float64
        NaN where unknown. The features are taken out on assets without a target, too.
    top_bottom : int, optional
        As for :func:`corr`.

    Returns
    -------
    (m,) float64
        0 for a row that the features explain wholly. Residuals that differ by rounding alone are ties.

    Raises
    ------
    InputRejected
        As for :func:`corr`.
    """
    return _score("fnc", predictions, target, Sides(features=features), top_bottom)


def score_kinds(
    kinds: Sequence[str],
    predictions: FloatArray,
    target: FloatArray,
    meta_model: FloatArray | None = None,
    exposures: FloatArray | None = None,
    *,
    benchmark: FloatArray | None = None,
    features: FloatArray | None = None,
    sample_weights: FloatArray | None = None,
    stakes: FloatArray | None = None,
    overlap_min: float = OVERLAP_MIN,
    workers: int = 1,
) -> dict[str, FloatArray]:
    """Return several kinds of score at once: ranks, lengths and projections are shared.

    Parameters
    ----------
    kinds : sequence of str
        Of :data:`signals.sides.NEEDS`.
    predictions, target
        As for the function of each kind.
    meta_model, exposures, benchmark, features, sample_weights, stakes
        As in :class:`signals.sides.Sides`; may be left out when no kind needs them.
    overlap_min : float
        Least part of the assets that must count.
    workers : int
        Threads; no score depends on them.

    Returns
    -------
    dict of str to (m,) float64
        In the order of ``kinds``.

    Raises
    ------
    InputRejected
        ``coverage_too_low`` or ``score_input_invalid``, also for a kind that is unknown or lacks an input.
    """
    sides = Sides(exposures, meta_model, benchmark, features, sample_weights, stakes)
    p, t = _as_arrays(predictions, target)
    check_inputs(p, sides, kinds)
    groups: dict[tuple[bytes, bool], list[str]] = {}
    for kind in kinds:
        known = sides.known(NEEDS[kind])
        groups.setdefault((b"" if known is None else known.tobytes(), kind == "fnc"), []).append(kind)
    found: dict[str, FloatArray] = {}
    for group in groups.values():
        case = _case(group, p, t, sides, overlap_min, workers)
        projections = {kind: PROJECTIONS[kind](case.on, case.target, case.centre) for kind in group}
        found |= multiply(case.on, projections, workers)
    return {kind: found[kind] for kind in kinds}


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """The assets that count for some kinds, prepared; the target on them; its mean over all assets where it is known."""

    on: PreparedRound
    target: FloatArray
    centre: float


def _case(
    kinds: Sequence[str],
    predictions: FloatArray,
    target: FloatArray,
    sides: Sides,
    overlap_min: float = OVERLAP_MIN,
    workers: int = 1,
) -> _Case:
    """Prepare the assets that count for ``kinds``, which all need the same sides; ``fnc`` stands alone."""
    p, t = _as_arrays(predictions, target)
    check_inputs(p, sides, kinds)
    has_target = ~np.isnan(t)
    known = ~np.isnan(p).any(axis=0)
    for kind in kinds:
        beside = sides.known(NEEDS[kind])
        known &= True if beside is None else beside
    require_overlap(known & has_target, overlap_min)
    labels = np.empty(len(p), dtype=np.str_), np.empty(len(t), dtype=np.str_)
    late = "fnc" in kinds
    at = np.flatnonzero(known if late else known & has_target)
    on = prepare(p, at, labels[0], labels[1][at], sides, kinds, workers)
    if late and not has_target[at].all():
        on = on.on(has_target[at], workers)
    return _Case(on, t[known & has_target], float(t[has_target].mean()))


def _score(kind: str, predictions: FloatArray, target: FloatArray, sides: Sides, top_bottom: int | None) -> FloatArray:
    case = _case((kind,), predictions, target, sides)
    if top_bottom is None:
        return multiply(case.on, {kind: PROJECTIONS[kind](case.on, case.target, case.centre)})[kind]
    if kind not in CUT_KINDS:
        raise InputRejected(Code.SCORE_INPUT_INVALID, f"There are no extremes of {kind}.")
    return cut_scores(kind, case.on, case.target, case.centre, top_bottom)


def _as_arrays(predictions: npt.ArrayLike, target: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    given, t = np.asarray(predictions), np.asarray(target, dtype=np.float64)
    # Whole numbers and truth values lose nothing; a float that is narrower has lost it already.
    p = given if given.dtype.kind == "f" else given.astype(np.float64)
    if p.ndim != 2 or t.shape != p.shape[1:]:
        raise InputRejected(Code.SCORE_INPUT_INVALID, "Predictions are (models × assets) and the target is (assets,).")
    refuse_huge(t)
    return p, t
