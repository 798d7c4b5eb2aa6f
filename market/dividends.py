"""Dividends that a vendor's adjusted closes imply.

Some sources give closes adjusted for splits, and beside them closes adjusted for dividends as well. The levels of the latter
tell of every later payment; the changes tell of each payment on its day, and only these are used.

1. Between two neighbouring prices of an asset, R is the ratio of the adjusted closes and P that of the closes (times the new
   shares for an old one, where splits are known).
2. Where R exceeds P by more than rounding, the difference is what was paid: (p + d) s / p_before = R, hence
   d = p_before R / s − p.
3. A fall of R below P is no payment: it is left at 0 and counted.
"""

import numpy as np

from market.arrays import FloatArray
from market.quotes import carried

ROUNDING = 5e-6
"""Relative. Prices in four bytes or with six decimals are off by a millionth; no dividend is below a hundredth of a percent."""


def inferred_dividends(close: FloatArray, adj_close: FloatArray, splits: FloatArray | None = None) -> tuple[FloatArray, int]:
    """Return the dividends that lie between closes and adjusted closes.

    Parameters
    ----------
    close, adj_close : (T, n) float64
        Positive; NaN where there was no price.
    splits : (T, n) float64, optional
        New shares for each old one; without them the closes are adjusted for splits.

    Returns
    -------
    (T, n) float64, int
        Dividend a share on its ex-date, in units of ``close``, 0 for none; and the number of cells on which the adjusted close
        fell behind the close.

    Examples
    --------
    >>> found, refused = inferred_dividends(np.array([[10.0], [9.9], [9.9]]), np.array([[9.9], [9.9], [9.9]]))
    >>> found.round(6).tolist(), refused
    ([[0.0], [0.1], [0.0]], 0)
    """
    grown = np.ones_like(close) if splits is None else np.cumprod(splits, axis=0)
    value, adjusted = carried(close * grown), carried(adj_close)
    with np.errstate(invalid="ignore"):  # before the first price both are NaN
        excess = value[:-1] * (adjusted[1:] / adjusted[:-1]) - value[1:]
        off = np.abs(excess) > ROUNDING * value[1:]
    found = np.zeros_like(close)
    found[1:] = np.where(off & (excess > 0), excess / grown[1:], 0.0)
    return found, int(np.count_nonzero(off & (excess < 0)))
