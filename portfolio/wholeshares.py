"""A book in whole shares, on the terms of a book in money: what a session does to positions when shares are what is held.

Money that is carried by total returns holds its dividends in more shares than were bought: after a dividend of 5 % a thousand
shares would look like 1,050, and closing them would sell short. So, of a book in shares,

1. a position is its shares times their price, as it is known now: what was corrected since the close before comes with it;
2. dividends are paid in cash on the ex-date, and a short pays them;
3. a split multiplies the shares; what is no whole share, left by it or by a time as a book in money, is paid in cash at the
   price before;
4. the shares then earn the return of their price.

All of it is said as two figures a name, the growth of its position up to the open and what is paid in cash, both as parts of
the position at the close before (:func:`share_session`). It knows no order and no broker. Decision instant: none.
"""

from dataclasses import dataclass

import numpy as np

from market.arrays import FloatArray

WHOLE_WITHIN = 1e-3
"""Shares. Money over a price is a whole number of shares but for rounding, which stays far below it for any holding."""


@dataclass(frozen=True, slots=True)
class ShareSession:
    """What a session does to n positions in shares, as parts of each position at the close before.

    Attributes
    ----------
    overnight : (n,) float64
        Growth from there to the open, with corrections; NaN where the name did not open.
    paid : (n,) float64
        What is paid in cash before the open.
    """

    overnight: FloatArray
    paid: FloatArray


def share_session(
    positions: FloatArray,
    shares: FloatArray,
    price_before: FloatArray,
    split: FloatArray,
    total: FloatArray,
    intraday: FloatArray,
    dividend: FloatArray,
) -> ShareSession:
    """Return growth and payments of a session.

    Parameters
    ----------
    positions : (n,) float64
        At the close before, as they were booked.
    shares : (n,) float64
        Held then; shorts negative, 0 for none.
    price_before : (n,) float64
        Of one share at the close before, as known now; NaN where none is known: there the position stays as it was booked.
    split : (n,) float64
        New shares for an old one at the session's open, 1 for none.
    total, intraday : (n,) float64
        Total return of the session and its part from the open on.
    dividend : (n,) float64
        The part of ``total`` that is a dividend.

    Examples
    --------
    A hundred shares at 10 pay 0.50 each, open at 9.50 and close there:

    >>> one = share_session(*(np.array([x]) for x in (1000.0, 100.0, 10.0, 1.0, 0.0, 0.0, 0.05)))
    >>> one.overnight.round(12).tolist(), one.paid.tolist()
    ([-0.05], [0.05])
    """
    booked = np.where(positions != 0, positions, 1.0)
    worth = shares * price_before
    corrected = np.where((positions != 0) & np.isfinite(worth) & (worth != 0), worth / booked, 1.0)
    grown = shares * split
    whole = np.trunc(snapped(grown))
    kept = np.where(grown != 0, whole / np.where(grown != 0, grown, 1.0), 1.0)
    price_return = (1.0 + total - dividend) / (1.0 + intraday) - 1.0
    overnight = corrected * kept * (1.0 + price_return) - 1.0
    return ShareSession(overnight, corrected * (np.nan_to_num(dividend) * kept + (1.0 - kept)))


def snapped(shares: FloatArray) -> FloatArray:
    """Return whole numbers of shares where rounding alone parts them from one, the others as they are."""
    near = np.rint(shares)
    return np.where(np.abs(shares - near) <= WHOLE_WITHIN, near, shares)


def shares_of(positions: FloatArray, prices: FloatArray, before: FloatArray) -> FloatArray:
    """Return how many shares positions are at ``prices``; ``before`` where no price is known. All (n,) float64."""
    known = np.isfinite(prices) & (prices > 0)
    return np.where(known, snapped(positions / np.where(known, prices, 1.0)), before)
