"""Scores of a signal as a portfolio: its neutral weights, what they earn (``alpha``) and add (``mpc``), how they move.

With s the stressed Gaussian ranks, N the neutralizers and V the diagonal of sample weights, the weights are
w = V (s − N N'V s): an exact projection if N'VN = I, which is how a round publishes its neutralizers
(:mod:`market.neutralizers`).

The formulas are ``generate_neutralized_weights``, ``alpha``, ``meta_portfolio_contribution`` and ``turnover`` of numerai-tools
0.7.2.
"""

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import FloatArray
from market.ranks import gaussianize, tie_kept_rank
from signals.constancy import constant_rows
from signals.places import stress
from signals.scores import score_kinds


def alpha(predictions: FloatArray, neutralizers: FloatArray, sample_weights: FloatArray, target: FloatArray) -> FloatArray:
    """Return what each prediction's neutral weights earn.

    Parameters
    ----------
    predictions : (m, n) float64
        One row a model, any scale; an asset where any row is NaN is dropped for all.
    neutralizers : (n, k) float64
        Taken as they are; assets with a NaN are dropped.
    sample_weights : (n,) float64
        The diagonal of V; assets where it is NaN are dropped.
    target : (n,) float64
        NaN where unknown; its mean over all known assets is taken off.

    Returns
    -------
    (m,) float64
        w't / n, n the assets that count; w is neither centred nor scaled. 0 for a constant prediction.

    Raises
    ------
    InputRejected
        ``coverage_too_low`` if too few assets count; ``score_input_invalid`` for wrong shapes.
    """
    found = score_kinds(("alpha",), predictions, target, exposures=neutralizers, sample_weights=sample_weights)
    return found["alpha"]


def mpc(
    predictions: FloatArray,
    stakes: FloatArray,
    neutralizers: FloatArray,
    sample_weights: FloatArray,
    target: FloatArray,
) -> FloatArray:
    """Return how much more the staked portfolio would earn for a little more stake on each model.

    Parameters
    ----------
    predictions, neutralizers, sample_weights, target
        As for :func:`alpha`.
    stakes : (m,) float64
        Any unit, not negative; NaN is none.

    Returns
    -------
    (m,) float64
        The gradient of v't/‖v‖ with respect to the shares of stake, over 50; v the stake-weighted sum of centred weights.
        0 for all if there is no portfolio: nobody has a stake, or the weights cancel.

    Raises
    ------
    InputRejected
        As for :func:`alpha`, and ``score_input_invalid`` for a negative stake.
    """
    found = score_kinds(("mpc",), predictions, target, exposures=neutralizers, sample_weights=sample_weights, stakes=stakes)
    return found["mpc"]


def neutral_weights(
    predictions: FloatArray, neutralizers: FloatArray, sample_weights: FloatArray, *, normalize: bool = False
) -> FloatArray:
    """Return each prediction's neutral weights.

    Parameters
    ----------
    predictions : (m, n) float64
        One row a model; NaN not allowed.
    neutralizers : (n, k) float64
        Taken as they are.
    sample_weights : (n,) float64
        The diagonal of V.
    normalize : bool
        Centre the weights and bring the sum of their absolute values to 1.

    Returns
    -------
    (m, n) float64
        Zeros for a constant prediction.
    """
    if neutralizers.ndim != 2 or not len(neutralizers) == len(sample_weights) == predictions.shape[1]:
        raise InputRejected(Code.SCORE_INPUT_INVALID, "Predictions, neutralizers and sample weights are on the same assets.")
    stressed = stress(gaussianize(tie_kept_rank(predictions)))
    stressed[constant_rows(predictions)] = 0.0
    weights = (stressed - ((stressed * sample_weights) @ neutralizers) @ neutralizers.T) * sample_weights
    return as_books(weights) if normalize else np.asarray(weights, dtype=np.float64)


def as_books(weights: FloatArray) -> FloatArray:
    """Return (m, n) weights centred, the sum of their absolute values brought to 1; zeros for a constant row.

    Examples
    --------
    >>> as_books(np.array([[0.0, 1.0, 5.0], [0.1, 0.1, 0.1]])).round(3).tolist()
    [[-0.333, -0.167, 0.5], [0.0, 0.0, 0.0]]
    """
    centred = weights - weights.mean(axis=1, keepdims=True)
    centred[constant_rows(weights)] = 0.0
    gross = np.sum(np.abs(centred), axis=1, keepdims=True)
    return np.where(gross > 0, centred / np.where(gross > 0, gross, 1.0), 0.0)


def turnover(a: FloatArray, b: FloatArray) -> float:
    """Return half the sum of absolute changes between two books of weights on the same assets, both (n,).

    Examples
    --------
    >>> turnover(np.array([0.5, -0.5]), np.array([-0.5, 0.5]))
    1.0
    """
    return float(np.sum(np.abs(a - b))) / 2.0
