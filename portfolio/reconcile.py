"""Two accounts of one book compared: what we believe is held, and what the broker says.

It only tells differences; which of the two is right is for a person to find out, and nothing is corrected here.
"""

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import Finding
from portfolio.book import BookState


def compare_books(ours: BookState, theirs: BookState, tolerance: float) -> tuple[Finding, ...]:
    """Return one finding for each position, and one for cash, that differs by more than a part of our equity.

    Parameters
    ----------
    ours, theirs : BookState
        At the same close, over any assets: what one of them lacks counts as 0 there.
    tolerance : float
        Part of our equity up to which a difference is rounding.

    Examples
    --------
    >>> ours = BookState(np.array(["a", "b"]), np.array([50.0, -50.0]), 100.0)
    >>> theirs = BookState(np.array(["a"]), np.array([50.0]), 50.0)
    >>> [f.value for f in compare_books(ours, theirs, 1e-6)]
    ['b', 'cash']
    """
    assets = np.union1d(ours.asset_ids, theirs.asset_ids)
    names = [*map(str, assets), "cash"]
    believed = np.append(ours.reindexed(assets).positions, ours.cash)
    told = np.append(theirs.reindexed(assets).positions, theirs.cash)
    apart = np.abs(believed - told) > tolerance * abs(ours.equity)
    return tuple(
        Finding(
            Code.BOOKS_DIFFER,
            f"The book holds {believed[i]:,.2f} of {names[i]}, the broker {told[i]:,.2f}.",
            column="asset",
            value=names[i][:64],
        )
        for i in np.flatnonzero(apart)
    )
