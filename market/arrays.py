"""Array aliases of the numeric packages, and the one way to freeze an array.

This is not a place for arithmetic: see :mod:`market.ranks` and :mod:`market.projection` for that.
"""

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
StrArray = npt.NDArray[np.str_]
DateArray = npt.NDArray[np.datetime64]
"""Dates are datetime64[D]; instants inside arrays are datetime64[s], UTC, without a zone."""

_Array = TypeVar("_Array", bound=npt.NDArray[Any])


def readonly(array: _Array) -> _Array:
    """Freeze ``array`` and return it: any later write to it raises ValueError.

    Parameters
    ----------
    array : ndarray, any shape and dtype
        Frozen in place. A view taken before stays writeable: freeze what nobody else holds.

    Returns
    -------
    ndarray
        The same object.

    Examples
    --------
    >>> readonly(np.zeros(2)).flags.writeable
    False
    """
    array.flags.writeable = False
    return array
