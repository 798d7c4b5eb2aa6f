"""Synthetic deaths: a panel on which some assets fail that did not, because nobody who failed is in it.

Data of survivors flatter every strategy that would have held the dead. Here each listed asset dies with the same probability
on each session, whatever it is; real companies that fail are small, volatile and have fallen before. So a result that stands
the test is not thereby free of the bias: one that does not stand it was made of it.

1. Each asset draws the number of sessions that it lives from its first price on, from a geometric distribution.
2. From that session on it has no prices, and nothing is said of it any more, later words included.
3. On that session a delisting is booked, with the return of delistings for bad performance. It is known when the session is.
"""

from dataclasses import replace

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.delistings import PERFORMANCE_RETURN
from market.panel import NOT_DELISTED, PointInTimePanel
from market.quotes import NOTHING, Quotes

SYNTHETIC_DEATHS = "synthetic_deaths"
"""Flag of a panel on which assets were made to fail."""

SESSIONS_A_YEAR = 252


def with_deaths(
    panel: PointInTimePanel, share_per_year: float, rng: np.random.Generator, delisting_return: float = PERFORMANCE_RETURN
) -> PointInTimePanel:
    """Return a panel on which a part of the assets dies each year.

    Parameters
    ----------
    panel : PointInTimePanel
        Stays as it is.
    share_per_year : float
        Probability that a listed asset dies within 252 sessions, at least 0 and below 1.
    rng : numpy.random.Generator
        One draw an asset, in the panel's order.
    delisting_return : float
        What holders get relative to the last price, at least −1.

    Returns
    -------
    PointInTimePanel
        With the flag ``synthetic_deaths``; an asset that is delisted earlier in ``panel`` keeps its own delisting.

    Raises
    ------
    InputRejected
        ``setting_invalid`` for a share or a return outside its range.

    Notes
    -----
    The probability of a session is 1 − (1 − share)^(1/252).
    """
    if not 0.0 <= share_per_year < 1.0 or not delisting_return >= -1.0:
        raise InputRejected(Code.SETTING_INVALID, "Deaths are a share from 0 to below 1 a year, with a return of at least −1.")
    sessions, n = panel.close.shape
    priced = np.isfinite(panel.close)
    hazard = 1.0 - (1.0 - share_per_year) ** (1.0 / SESSIONS_A_YEAR)
    lives = rng.geometric(hazard, n) if hazard > 0 else np.full(n, sessions)
    # A life may be longer than any integer: beyond the panel's end its length does not matter.
    row = np.argmax(priced, axis=0) + np.minimum(lives, sessions)
    earlier = (panel.delisting_index != NOT_DELISTED) & (panel.delisting_index <= row)
    dies = priced.any(axis=0) & (row < sessions) & ~earlier
    row = np.where(dies, row, sessions)
    gone = np.arange(sessions)[:, None] >= row
    quotes = {name: np.where(gone, NOTHING[name], values) for name, values in panel.quotes.arrays().items()}
    said = panel.revisions
    kept = said.rows < row[said.assets]
    columns = (said.known_at, said.field_index, said.rows, said.assets, said.values)
    told = panel.delisting_known_at
    if told is not None:
        told = told.copy()
        told[dies] = panel.known_at[row[dies]]
    return replace(
        panel,
        quotes=Quotes(**quotes),
        revisions=type(said)(*(column[kept] for column in columns)),
        delisting_index=np.where(dies, row, panel.delisting_index),
        delisting_return=np.where(dies, delisting_return, panel.delisting_return),
        delisting_known_at=told,
        flags=panel.flags | {SYNTHETIC_DEATHS},
    )
