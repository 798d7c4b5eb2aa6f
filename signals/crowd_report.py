"""How a meta-model came to be, in numbers that name no asset: who weighs how much, and which factors it leans on.

It knows providers by an opaque word each and decides nothing about who may see what.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import FloatArray
from signals.constancy import constant_rows, is_constant


@dataclass(frozen=True, slots=True)
class Concentration:
    """How weight is spread over models and over their providers; all zero without any weight.

    Attributes
    ----------
    hhi_models, hhi_providers : float
        Herfindahl-Hirschman index, Σ share²: from 1/number, all equal, to 1, one alone.
    effective_models, effective_providers : float
        1 / HHI: so many of equal weight would be as concentrated.
    largest_model, largest_provider : float
        The largest share.
    """

    hhi_models: float
    hhi_providers: float
    effective_models: float
    effective_providers: float
    largest_model: float
    largest_provider: float


def concentration(weights: FloatArray, owners: Sequence[str]) -> Concentration:
    """Measure how weight is spread.

    Parameters
    ----------
    weights : (m,) float64
        Not negative, any unit.
    owners : sequence of str, length m
        Provider of each model.

    Raises
    ------
    InputRejected
        ``score_input_invalid`` if lengths differ, or a weight is negative or not finite.

    Examples
    --------
    >>> found = concentration(np.array([1.0, 1.0, 2.0]), ["a", "a", "b"])
    >>> found.effective_providers, round(found.effective_models, 3), found.largest_model
    (2.0, 2.667, 0.5)
    """
    if weights.shape != (len(owners),) or not np.isfinite(weights).all() or (weights < 0).any():
        raise InputRejected(Code.SCORE_INPUT_INVALID, "Each model has one owner, and a weight that is finite and not negative.")
    total = float(weights.sum())
    if total == 0:
        return Concentration(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    _, owner = np.unique(np.asarray(owners, dtype=str), return_inverse=True)
    models, providers = weights / total, np.bincount(owner, weights=weights) / total
    hhi_models, hhi_providers = float(models @ models), float(providers @ providers)
    return Concentration(
        hhi_models, hhi_providers, 1.0 / hhi_models, 1.0 / hhi_providers, float(models.max()), float(providers.max())
    )


def factor_exposures(vector: FloatArray, exposures: FloatArray) -> FloatArray:
    """Return the correlation of a vector with every factor.

    Parameters
    ----------
    vector : (n,) float64
    exposures : (n, k) float64

    Returns
    -------
    (k,) float64
        In −1 to 1; 0 where the vector or the factor does not vary.

    Examples
    --------
    >>> factor_exposures(np.array([1.0, 2.0, 3.0]), np.array([[1.0, 7.0], [2.0, 7.0], [3.0, 7.0]])).round(9).tolist()
    [1.0, 0.0]
    """
    if is_constant(vector):
        return np.zeros(exposures.shape[1])
    centred = vector - vector.mean()
    columns = exposures - exposures.mean(axis=0)
    norms = np.linalg.norm(columns, axis=0) * np.linalg.norm(centred)
    varies = ~constant_rows(exposures.T) & (norms > 0)
    found = np.zeros(exposures.shape[1])
    found[varies] = (columns.T @ centred)[varies] / norms[varies]
    return found
