"""Who earned what: a session's profit in money, split over factors and over models, and periods linked to the total return.

There are two splits of one and the same profit; each sums to it up to rounding, session by session.

*By factor*, on the holdings at the start of the session (dollars p, exposures B, factor returns f, total returns r):

1. factor k earned (B'p)ₖ·fₖ; what is left of p'r is specific;
2. ``trading`` is what the session's trades earned from the fill to the close;
3. each kind of cost is a line of its own, negative when paid.

*By model*: :mod:`portfolio.ownership`, which tells what part of the book each model had the fund hold.

Not here: statistics of a path (:mod:`portfolio.performance`). Decision instant: a session's lines use its own returns, and
factor returns estimated from them, so they are known after its close.

References
----------
Carino, Combining Attribution Effects Over Time, Journal of Performance Measurement 3(4), 1999, pages 5-14, for the linking;
Grinold and Kahn, Active Portfolio Management (2nd ed., 2000), chapter 17, for the factor split.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import BoolArray, FloatArray

SPECIFIC, TRADING, COST = "specific", "trading", "cost"
"""Groups of lines that are no factors."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of L contributions over T sessions, in money.

    Attributes
    ----------
    names, groups : tuple of str, length L
        What earned, and what it belongs to: a factor's kind, ``specific``, ``trading``, ``cost``; a model's tournament.
    values : (T, L) float64
        Profit of each session; costs negative.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    values: FloatArray

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or not len(self.names) == len(self.groups) == self.values.shape[1]:
            raise InputRejected(Code.PROBLEM_INVALID, "Lines of an attribution have one name, one group and one column each.")

    @property
    def sums(self) -> FloatArray:
        """The session's profit, (T,) float64."""
        total: FloatArray = self.values.sum(axis=1)
        return total

    def grouped(self) -> "Lines":
        """Return one line for each group, in the order of their first line."""
        groups = tuple(dict.fromkeys(self.groups))
        columns = [self.values[:, [g == group for g in self.groups]].sum(axis=1) for group in groups]
        values = np.column_stack(columns) if columns else np.zeros((self.values.shape[0], 0))
        return Lines(groups, groups, values)


def stacked(parts: Sequence[Lines]) -> Lines:
    """Put sessions one after the other; a line that a part does not have is zero there.

    Parameters
    ----------
    parts : sequence of Lines
        In order of time; factors and models may come and go. A line is its name and its group together.
    """
    keys = list(dict.fromkeys(key for part in parts for key in zip(part.groups, part.names, strict=True)))
    where = {key: j for j, key in enumerate(keys)}
    values = np.zeros((sum(part.values.shape[0] for part in parts), len(keys)))
    row = 0
    for part in parts:
        columns = [where[key] for key in zip(part.groups, part.names, strict=True)]
        values[row : row + part.values.shape[0], columns] = part.values
        row += part.values.shape[0]
    return Lines(tuple(name for _, name in keys), tuple(group for group, _ in keys), values)


@dataclass(frozen=True, slots=True)
class SessionReturns:
    """Returns of one session as a book earned them, without NaN; see :func:`session_of`.

    Attributes
    ----------
    overnight, intraday : (n,) float64
        Close to open and open to close; 0 where unknown. A delisted name has its delisting return and 0.
    gone : (n,) bool
        Names that became cash before the open.
    paid : (n,) float64
        What was paid in cash beside them, as a part of the position at the close before.
    """

    overnight: FloatArray
    intraday: FloatArray
    gone: BoolArray
    paid: FloatArray

    @property
    def total(self) -> FloatArray:
        """Close to close with what was paid, (n,) float64."""
        return (1.0 + self.overnight) * (1.0 + self.intraday) - 1.0 + self.paid


def session_of(
    overnight: FloatArray, intraday: FloatArray, delisting: FloatArray | None = None, paid: FloatArray | None = None
) -> SessionReturns:
    """Return the returns that :func:`portfolio.simulate.step` books, from the same four arrays, (n,) float64 each."""
    gone = np.isfinite(delisting) if delisting is not None else np.zeros(overnight.shape, dtype=bool)
    first = np.where(gone, delisting if delisting is not None else 0.0, np.nan_to_num(overnight))
    apart = np.zeros(overnight.shape) if paid is None else np.where(gone, 0.0, paid)
    return SessionReturns(first, np.where(gone, 0.0, np.nan_to_num(intraday)), gone, apart)


def by_factor(
    positions: FloatArray,
    returns: SessionReturns,
    exposures: FloatArray,
    factor_returns: FloatArray,
    names: Sequence[str],
    kinds: Sequence[str],
    *,
    gross_pnl: float,
    costs: Mapping[str, float],
) -> Lines:
    """Split one session over factors, specific, trading and costs.

    Parameters
    ----------
    positions : (n,) float64
        Dollars at the start of the session, at the close before.
    returns : SessionReturns
        Of the same assets.
    exposures : (n, k) float64
        Known at the close before; NaN (an asset outside the risk model) counts as none, so that all it earns is specific.
    factor_returns : (k,) float64
        Of the session, close to close; NaN counts as 0.
    names, kinds : sequence of str, length k
        Of the factors.
    gross_pnl : float
        Profit before costs of the session, as booked.
    costs : mapping of kind to float
        Paid in the session, interest earned negative.

    Returns
    -------
    Lines
        One session: k factors, ``specific``, ``trading``, then the kinds of cost. They sum to ``gross_pnl`` less costs.
    """
    earned = (np.nan_to_num(exposures).T @ positions) * np.nan_to_num(factor_returns)
    held = float(positions @ returns.total)
    line_names = (*names, SPECIFIC, TRADING, *costs)
    groups = (*kinds, SPECIFIC, TRADING, *(COST for _ in costs))
    values = [*earned, held - float(earned.sum()), gross_pnl - held, *(-paid for paid in costs.values())]
    return Lines(line_names, groups, np.array([values], dtype=np.float64))


def carino_linked(lines: FloatArray, equity_before: FloatArray) -> FloatArray:
    """Link contributions of sessions so that they sum to the total return.

    Parameters
    ----------
    lines : (T, L) float64
        Money of each session, all lines of one split: they sum to the session's profit.
    equity_before : (T,) float64
        Equity at the start of each session.

    Returns
    -------
    (L,) float64
        Parts of the total return, Σ = Π(1 + rₜ) − 1. NaN when equity was ever at or below zero.

    Notes
    -----
    With contributions cᵢₜ = lineᵢₜ / equityₜ and rₜ = Σᵢ cᵢₜ: linkedᵢ = Σₜ cᵢₜ·kₜ/k, where kₜ = ln(1 + rₜ)/rₜ and
    k = ln(1 + R)/R, each 1 where its return is 0 (Carino 1999).

    Examples
    --------
    Two sessions of +10 %: the first line earned all of one, the second all of the other; each is owed half of 21 %.

    >>> carino_linked(np.array([[10.0, 0.0], [0.0, 11.0]]), np.array([100.0, 110.0])).round(6).tolist()
    [0.105, 0.105]
    """
    if lines.shape[0] != equity_before.shape[0]:
        raise InputRejected(Code.PROBLEM_INVALID, "Linking needs the equity before each session.")
    if (equity_before <= 0).any():
        return np.full(lines.shape[1], np.nan)
    contributions = lines / equity_before[:, None]
    returns = contributions.sum(axis=1)
    if (returns <= -1.0).any():
        return np.full(lines.shape[1], np.nan)
    growth = np.log1p(returns)
    total = float(growth.sum())
    linked: FloatArray = (contributions * _slope(growth, returns)[:, None]).sum(axis=0)
    return linked / float(_slope(np.array([total]), np.expm1([total]))[0])


def _slope(growth: FloatArray, returns: FloatArray) -> FloatArray:
    """Return ln(1 + r)/r, and 1 where r is 0."""
    still = returns == 0.0
    return np.where(still, 1.0, growth / np.where(still, 1.0, returns))
