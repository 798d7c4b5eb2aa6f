"""How alike a model is to the crowd, to other models and to the features: correlations in which no target stands.

1. ``cwmm`` is the correlation with the meta-model, ``max_model_corr`` and ``mean_model_corr`` those with the other models: of
   stressed Gaussian ranks, as ``corr`` has them. The meta-model is taken as it is.
2. ``max_feature_corr`` is the largest absolute Pearson correlation of the values themselves with a feature.

What is constant correlates with nothing: 0. A lone model has no others: 0.

Sources: ``max_feature_correlation`` of numerai-tools 0.7.2; for the others the definitions of the Numerai documentation (CWMM,
MCWNM, APCWNM).
"""

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import FloatArray, IntArray
from signals.constancy import constant_rows
from signals.kinds import Projection, kept, less
from signals.places import look_up
from signals.prepared import PreparedRound, multiply, prepare
from signals.sides import Sides
from signals.sums import dot

ROWS = 1_024
"""Models compared with as many others by one product: large enough to be fast, 40 MB for 5,000 assets."""


def cwmm(predictions: FloatArray, meta_model: FloatArray) -> FloatArray:
    """Correlate predictions with a meta-model.

    Parameters
    ----------
    predictions : (m, n) float64
        One row a model, any scale; NaN not allowed.
    meta_model : (n,) float64
        Taken as it is, not ranked; NaN not allowed.

    Returns
    -------
    (m,) float64
        Pearson correlation of sign(g)|g|^1.5 with the meta-model; 0 where either is constant.

    Examples
    --------
    >>> cwmm(np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [1.0, 1.0, 1.0]]), np.array([-1.0, 0.0, 1.0])).round(9).tolist()
    [1.0, -1.0, 0.0]
    """
    return cwmm_of(_prepared(predictions, Sides(meta_model=meta_model)))


def cwmm_of(prepared: PreparedRound, workers: int = 1) -> FloatArray:
    """Return :func:`cwmm` for all models of a round that was prepared with its meta-model; (m,) float64."""
    given = kept(prepared.sides.meta_model, "a meta-model")
    peak = float(np.max(np.abs(given), initial=0.0))
    if not np.isfinite(peak):
        raise InputRejected(Code.VALUE_NOT_FINITE, "The meta-model holds values that are not finite numbers.")
    meta = given / peak if peak > 0 else given  # the square of a huge or tiny value has no float
    vector = less(meta, float(meta.mean()))
    length = np.sqrt(dot(vector, vector))
    return multiply(prepared, {"cwmm": Projection("stressed", vector, prepared.stressed_lengths * length)}, workers)["cwmm"]


def model_corrs(predictions: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the largest and the mean correlation of each model with the others.

    Parameters
    ----------
    predictions : (m, n) float64
        One row a model, any scale; NaN not allowed.

    Returns
    -------
    (m,), (m,) float64
        ``max_model_corr`` (signed) and ``mean_model_corr``, of stressed Gaussian ranks.

    Examples
    --------
    >>> largest, mean = model_corrs(np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [3.0, 2.0, 1.0]]))
    >>> largest.round(9).tolist(), (mean.round(9) + 0.0).tolist()
    ([1.0, 1.0, -1.0], [0.0, 0.0, -1.0])
    """
    return model_corrs_of(_prepared(predictions, Sides()))


def model_corrs_of(prepared: PreparedRound) -> tuple[FloatArray, FloatArray]:
    """Return :func:`model_corrs` for all models of a prepared round: m² / 2 dot products, in blocks of :data:`ROWS` models."""
    m, n = prepared.places.shape
    largest, total, own = np.full(m, -np.inf), np.zeros(n), np.zeros(m)
    parts = [slice(lo, min(lo + ROWS, m)) for lo in range(0, m, ROWS)]
    if m < 2:
        return np.zeros(m), np.zeros(m)
    for i, part in enumerate(parts):
        rows = _unit_rows(prepared, part)
        total += rows.sum(axis=0)
        own[part] = np.vecdot(rows, rows)
        for other in parts[i:]:
            table = rows @ (rows if other is part else _unit_rows(prepared, other)).T
            if other is part:
                np.fill_diagonal(table, -np.inf)
            largest[part] = np.maximum(largest[part], table.max(axis=1))
            largest[other] = np.maximum(largest[other], table.max(axis=0))
    mean = np.concatenate([_unit_rows(prepared, part) @ total for part in parts])
    return np.clip(largest, -1.0, 1.0), (mean - own) / (m - 1)


def max_feature_corr(predictions: FloatArray, features: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return for each model the feature that it is most alike, and how much.

    Parameters
    ----------
    predictions : (m, n) float64
        One row a model; the values themselves count, not their ranks. NaN not allowed.
    features : (n, f) float64
        f at least 1; NaN not allowed.

    Returns
    -------
    (m,) int64, (m,) float64
        Position of the feature, the first of several; absolute Pearson correlation, 0 for a constant model.

    Raises
    ------
    InputRejected
        ``score_input_invalid`` for shapes that do not fit; ``value_not_finite`` for NaN or infinities.
    """
    if features.ndim != 2 or features.shape[1] == 0 or predictions.shape[1:] != features.shape[:1]:
        raise InputRejected(Code.SCORE_INPUT_INVALID, "Predictions are (models × assets), features (assets × columns).")
    if not (np.isfinite(predictions).all() and np.isfinite(features).all()):
        raise InputRejected(Code.VALUE_NOT_FINITE, "Predictions or features hold values that are not finite numbers.")
    table = np.abs(_centred_units(predictions) @ _centred_units(features.T).T)
    at = np.argmax(table, axis=1)
    return at, np.minimum(np.take_along_axis(table, at[:, None], axis=1)[:, 0], 1.0)


def _prepared(predictions: FloatArray, sides: Sides) -> PreparedRound:
    m, n = predictions.shape
    return prepare(predictions, np.arange(n), np.empty(m, dtype=np.str_), np.empty(n, dtype=np.str_), sides, ())


def _unit_rows(prepared: PreparedRound, part: slice) -> FloatArray:
    rows = look_up(prepared.tables.stressed, prepared.places[part].astype(np.intp))
    rows -= rows.mean(axis=1, keepdims=True)
    lengths = prepared.stressed_lengths[part]
    rows *= np.where(lengths > 0, 1.0 / np.where(lengths > 0, lengths, 1.0), 0.0)[:, None]
    return rows


def _centred_units(rows: FloatArray) -> FloatArray:
    peak = np.max(np.abs(rows), axis=1, keepdims=True)
    units = rows / np.where(peak > 0, peak, 1.0)  # the square of a huge or tiny value has no float
    flat = constant_rows(units)
    units -= units.mean(axis=1, keepdims=True)
    lengths = np.sqrt(np.vecdot(units, units))
    units *= np.where(flat | (lengths == 0), 0.0, 1.0 / np.where(lengths > 0, lengths, 1.0))[:, None]
    return units
