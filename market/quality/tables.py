"""Row checks of a long price table: which rows can be prices at all.

Not here yet: judgements across rows (spikes, stale prices, coverage). A row that cannot be a price is left out and counted;
a table that contradicts itself (two rows for one asset and session) is refused, since no rule says which row is right.
"""

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import FINDINGS_SHOWN_MAX, Finding, InputRejected
from market.arrays import BoolArray, DateArray, FloatArray, IntArray, StrArray


def priced_rows(open_: FloatArray, close: FloatArray, adj_close: FloatArray, volume: FloatArray) -> BoolArray:
    """Tell which rows can be prices: all three prices finite and positive, volume finite and not negative.

    Parameters
    ----------
    open_, close, adj_close, volume : (rows,) float64
        Currency units and shares; NaN for an empty cell.

    Returns
    -------
    (rows,) bool
        A judgement of each row alone, so that a finding at t uses nothing later than t.
    """
    good = np.isfinite(volume) & (volume >= 0)
    for column in (open_, close, adj_close):
        good &= np.isfinite(column) & (column > 0)
    return np.asarray(good, dtype=np.bool_)


def refuse_duplicates(cells: IntArray, n_assets: int, sessions: DateArray, tickers: StrArray) -> None:
    """Refuse a table in which an asset has two rows for one session.

    Parameters
    ----------
    cells : (rows,) int64
        ``session index * n_assets + asset index`` of each row.
    n_assets : int
        Number of assets.
    sessions : (T,) datetime64[D]
        Labels for the findings.
    tickers : (n,) str
        Labels for the findings.

    Raises
    ------
    InputRejected
        ``prices_invalid`` with one finding for each repeated cell (the first hundred).
    """
    counts = np.bincount(cells, minlength=1)
    repeated = np.flatnonzero(counts > 1)
    if repeated.size == 0:
        return
    findings = [
        Finding(
            Code.PRICES_INVALID,
            f"{tickers[cell % n_assets]} has {counts[cell]} rows for {sessions[cell // n_assets]}.",
            column="date",
            value=str(tickers[cell % n_assets]),
        )
        for cell in repeated[:FINDINGS_SHOWN_MAX]
    ]
    message = f"{repeated.size} pairs of ticker and date stand on more than one row."
    raise InputRejected(Code.PRICES_INVALID, message, findings)
