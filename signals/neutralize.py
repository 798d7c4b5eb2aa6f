"""Neutralization for notebooks: take factor exposures out of values, labelled or not.

The arithmetic is :func:`market.projection.residualize`; here tables are matched by their labels first. Ranking is the caller's
business: nothing is ranked before or after.
"""

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.projection import residualize

if TYPE_CHECKING:
    import pandas as pd

Values = TypeVar("Values", "pd.Series[Any]", "pd.DataFrame", "np.ndarray[Any, np.dtype[np.float64]]")


def neutralize(values: Values, exposures: Any, proportion: float = 1.0) -> Values:
    """Take the least-squares fit on an intercept and ``exposures`` out of ``values``.

    Parameters
    ----------
    values : Series or DataFrame (asset index, one column a model), or (n,) or (m, n) float64
        Any finite scale; NaN not allowed.
    exposures : DataFrame or Series (asset index, one column a factor), or (n, k) or (n,) float64
        Labelled when ``values`` is; must have every asset of ``values``, and may have more. May be rank deficient.
    proportion : float
        Part of the fit that is taken out; 1 leaves no exposure.

    Returns
    -------
    same type, labels and order as ``values``
        y − proportion · fit; zeros where the exposures explain a column wholly, a constant one for example.

    Raises
    ------
    InputRejected
        ``score_input_invalid`` if labels are missing, repeated or on one side only; ``value_not_finite`` for what is no number.

    Examples
    --------
    >>> neutralize(np.array([1.0, 2.0, 4.0, 9.0]), np.array([[0.0], [0.0], [1.0], [1.0]])).round(9).tolist()
    [-0.5, 0.5, -2.5, 2.5]
    """
    if not np.isfinite(proportion):
        raise InputRejected(Code.VALUE_NOT_FINITE, "The proportion of a fit that is taken out is a finite number.")
    if isinstance(values, np.ndarray):
        if hasattr(exposures, "index"):
            raise InputRejected(Code.SCORE_INPUT_INVALID, "Labelled exposures need labelled values.")
        _check_length(values.shape[-1], len(exposures))
        return residualize(values, np.asarray(exposures, dtype=np.float64), proportion)
    rest: Values = _neutralize_labelled(values, exposures, proportion)
    return rest


def _neutralize_labelled(values: Any, exposures: Any, proportion: float) -> Any:
    if not hasattr(exposures, "index"):
        raise InputRejected(Code.SCORE_INPUT_INVALID, "Labelled values need labelled exposures.")
    if not (values.index.is_unique and exposures.index.is_unique):
        raise InputRejected(Code.SCORE_INPUT_INVALID, "An asset stands twice in the index.")
    if not values.index.isin(exposures.index).all():
        raise InputRejected(Code.SCORE_INPUT_INVALID, "The exposures lack assets of the values.")
    matched = exposures.loc[values.index].to_numpy(dtype=np.float64)
    rest = residualize(values.to_numpy(dtype=np.float64).T, matched, proportion)
    out = values.astype(np.float64)
    out[:] = rest.T
    return out


def _check_length(values: int, exposures: int) -> None:
    if values != exposures:
        raise InputRejected(Code.SCORE_INPUT_INVALID, f"Values are on {values} assets and exposures on {exposures}.")
