"""Scores on the extremes of a model alone: its highest and its lowest values, each model on assets of its own.

These are for looking at tails; no round pays on them. What is cut is the vector that the kind's last product would take: the
stressed values for ``corr`` and ``fnc``, the residual for ``neutral_corr``, what a model adds for the contributions. Ties at
the edge of a cut are broken by the order of assets, as a stable sort does.

Because each model has assets of its own, nothing can be projected on the target's side: the matrix itself is.
"""

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import FloatArray, IntArray
from signals.constancy import constant_rows
from signals.kinds import gauss_of, in_bins, kept, tails, unit_of
from signals.places import look_up
from signals.prepared import PreparedRound
from signals.sums import dots, project_out

CUT_KINDS = ("corr", "mmc", "bmc", "fnc", "neutral_corr", "neutral_mmc")


def cut_scores(
    kind: str, on: PreparedRound, target: FloatArray, centre: float, top_bottom: int, *, stress_target: bool = True
) -> FloatArray:
    """Return one kind of score on each model's ``top_bottom`` lowest and highest values.

    Parameters
    ----------
    kind : str
        Of :data:`CUT_KINDS`.
    on : PreparedRound
        On the assets that count.
    target : (n,) float64
        Known on all of them.
    centre : float
        What ``corr`` and ``fnc`` take off the target first.
    top_bottom : int
        Values of each end.
    stress_target : bool
        Whether ``corr`` and ``fnc`` stress the target's tails.

    Returns
    -------
    (m,) float64
        For the correlations 0 where values or target are constant on a model's extremes.

    Raises
    ------
    InputRejected
        ``score_input_invalid`` if the two ends would overlap, or there is nothing in them.
    """
    if kind in {"corr", "fnc"}:
        places = on.places if kind == "corr" else on.feature_places
        values = look_up(on.tables.stressed, np.asarray(places).astype(np.intp))
        return _pearson(values, tails(target, centre, stress_target)[0], top_bottom)
    gauss = look_up(on.tables.gauss, on.places.astype(np.intp))
    if kind in {"neutral_corr", "neutral_mmc"}:
        gauss = _residuals(gauss, kept(on.basis, "exposures"))
    if kind == "neutral_corr":
        return _pearson(gauss, target / unit_of(target), top_bottom)
    meta = gauss_of(on, on.sides.benchmark if kind == "bmc" else on.sides.meta_model, "a meta-model")
    if kind == "neutral_mmc":
        meta = project_out(meta, kept(on.basis, "exposures"))
    strength = float(meta @ meta)
    if strength == 0.0:
        return np.zeros(len(gauss))
    added = gauss - dots(gauss, meta[None, :]) / strength * meta
    at = extremes(added, top_bottom)
    return np.asarray(np.mean(np.take_along_axis(added, at, axis=1) * in_bins(target)[at], axis=1), dtype=np.float64)


def extremes(values: FloatArray, top_bottom: int) -> IntArray:
    """Return for each row of (m, n) the positions of its ``top_bottom`` lowest and highest values; (m, 2·top_bottom)."""
    if not 1 <= top_bottom <= values.shape[1] // 2:
        message = f"The {top_bottom} highest and lowest of {values.shape[1]} assets are not two ends."
        raise InputRejected(Code.SCORE_INPUT_INVALID, message)
    order = np.argsort(values, axis=1, kind="stable")
    return np.concatenate([order[:, :top_bottom], order[:, -top_bottom:]], axis=1)


def _pearson(values: FloatArray, target: FloatArray, top_bottom: int) -> FloatArray:
    at = extremes(values, top_bottom)
    x, y = _centred(np.take_along_axis(values, at, axis=1)), _centred(target[at])
    scale = np.sqrt(np.sum(x * x, axis=1) * np.sum(y * y, axis=1))
    return np.where(scale > 0, np.sum(x * y, axis=1) / np.where(scale > 0, scale, 1.0), 0.0)


def _residuals(rows: FloatArray, basis: FloatArray) -> FloatArray:
    return np.array([project_out(row, basis) for row in rows]).reshape(rows.shape)


def _centred(rows: FloatArray) -> FloatArray:
    rest = rows - rows.mean(axis=1, keepdims=True)
    rest[constant_rows(rows)] = 0.0
    return np.asarray(rest, dtype=np.float64)
