"""What a solution's limits are worth: the solver's dual values, in units of the mandate and in words.

A dual value says what the optimum would gain by one unit more of a limit, the rest being equal. It holds for small changes
only: after a while another limit binds. What it is not: a judgement whether a book keeps to the limits
(:mod:`portfolio.verify`), and no forecast: it is as good as the alphas.

1. :mod:`portfolio.convex` reads the duals of its statement and scales them back (:class:`ShadowPrices`);
2. :func:`binding_limits` turns them into the worth of one step of each limit, in expected return of a year;
3. :func:`told_limits` says it in a sentence for each, and says what gave way or why a book was held.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from market.arrays import FloatArray
from portfolio.problem import SUMS, RebalanceProblem, volatility

if TYPE_CHECKING:
    from portfolio.ladder import Solution

WORTH_MIN = 1e-7
"""Expected return of a year, a thousandth of a basis point, below which a limit is said not to bind."""
PART = 0.01
"""The step of a limit that has a figure: one per cent of it."""
ROOM = 0.01
"""The step of an equality: a hundredth of equity, or of exposure."""
CAPITAL = 1e-4
"""The step of the bounds of single names: a basis point of equity for each of them."""
AT_TARGET = 1e-3
"""A volatility closer to its target than this part of it is held down by it."""

_NAMES = {
    "turnover": "turnover",
    "gross": "gross",
    "short": "the limit on shorts",
    "net": "the limit on net",
    "volatility": "the volatility target",
    "position": "caps or volume",
    "beta": "beta",
    "style": "style bands",
    "sector": "sector bands",
    "country": "country bands",
    "market": "the market band",
}


@dataclass(frozen=True, slots=True)
class ShadowPrices:
    """Change of the optimum, per period, for one unit more of a bound's value: positive where an upper bound is active.

    Attributes
    ----------
    gross, turnover, short, net : float
        Of the limits on Σ|w|, Σ|w − w0|, Σ max(−w, 0) and of the active end of the band of Σw.
    position : (n,) float64
        Of the active bound of each name; 0 for names that are pinned.
    exposure : (k,) float64
        Of the active end of each factor's band.
    """

    gross: float
    turnover: float
    short: float
    net: float
    position: FloatArray
    exposure: FloatArray


@dataclass(frozen=True, slots=True)
class BindingLimit:
    """What one step of a limit is worth.

    Attributes
    ----------
    word : str
        The limit, as in ``relaxation``.
    step : str
        ``part``: one per cent of the figure; ``room``: a hundredth of equity or exposure beside an equality; ``capital``: a
        basis point of equity in each name.
    worth_per_year : float
        Gain of the objective in a year, as a fraction of equity.
    count : int
        How many names, or factors, are at it; 1 for a limit on a sum.
    """

    word: str
    step: str
    worth_per_year: float
    count: int = 1


def binding_limits(problem: RebalanceProblem, weights: FloatArray, prices: ShadowPrices) -> tuple[BindingLimit, ...]:
    """Return the limits that hold ``weights`` back, the dearest first.

    Parameters
    ----------
    problem : RebalanceProblem
        Without dead names; its γ is the one that ``weights`` is optimal for.
    weights : (n,) float64
    prices : ShadowPrices
    """
    found = [*_sums(problem, weights, prices), *_bounds(problem, prices), *_factors(problem, prices)]
    binding = [limit for limit in found if limit.worth_per_year >= WORTH_MIN]
    return tuple(sorted(binding, key=lambda limit: -limit.worth_per_year))


def _sums(p: RebalanceProblem, w: FloatArray, prices: ShadowPrices) -> Iterator[BindingLimit]:
    """Yield the limits on one number. That of variance is γ, so that of volatility σ is 2γσ."""
    year = p.periods_per_year
    for word in ("gross", "turnover", "short"):
        figure = getattr(p, SUMS[word])
        if np.isfinite(figure):
            yield BindingLimit(word, "part", abs(getattr(prices, word)) * PART * figure * year)
    step = PART * p.net_band if p.net_band > 0 else ROOM
    yield BindingLimit("net", "part" if p.net_band > 0 else "room", abs(prices.net) * step * year)
    reached = volatility(p, w)
    if np.isfinite(p.volatility_max) and reached >= (1 - AT_TARGET) * p.volatility_max:
        yield BindingLimit("volatility", "part", 2 * p.risk_aversion * reached * PART * p.volatility_max * year)


def _bounds(p: RebalanceProblem, prices: ShadowPrices) -> Iterator[BindingLimit]:
    worth = np.abs(prices.position) * CAPITAL * p.periods_per_year
    yield BindingLimit("position", "capital", float(worth.sum()), int((worth >= WORTH_MIN).sum()))


def _factors(p: RebalanceProblem, prices: ShadowPrices) -> Iterator[BindingLimit]:
    width = (p.exposure_upper - p.exposure_lower) / 2
    for kind in dict.fromkeys(p.factor_kinds):
        rows = p.exposure_rows(kind) & np.isfinite(width)
        for step, chosen in (("part", rows & (width > 0)), ("room", rows & (width == 0))):
            size = PART * width[chosen] if step == "part" else ROOM
            worth = np.abs(prices.exposure[chosen]) * size * p.periods_per_year
            yield BindingLimit(kind, step, float(worth.sum()), int((worth >= WORTH_MIN).sum()))


def told_limits(solution: "Solution") -> list[str]:
    """Say in sentences what held a book back, what gave way, or why the book was held.

    Parameters
    ----------
    solution : Solution

    Returns
    -------
    list of str
        One sentence a limit, the dearest first, each without a full stop.

    Examples
    --------
    >>> from portfolio.ladder import Solution
    >>> book = Solution(np.zeros(1), "solved", (), limits=(BindingLimit("turnover", "part", 3e-4),))
    >>> told_limits(book)
    ['turnover binds: 1 % more is worth 3 bp a year']
    """
    if solution.status == "held":
        return [f"held: {solution.rungs[-1].reason.rstrip('.')}"]
    gave_way = [f"{_NAMES[word]} gave way by {excess:.3g}" for word, excess in solution.violations.items() if word in _NAMES]
    return gave_way + [_told(limit) for limit in solution.limits] or ["no limit binds"]


def _told(limit: BindingLimit) -> str:
    name, worth = _NAMES[limit.word], f"worth {limit.worth_per_year * 1e4:.2g} bp a year"
    several = limit.word in {"position", "style", "sector", "country"}
    binds = "bind" if several else "binds"
    at = f" on {limit.count} {'name' if limit.word == 'position' else 'factor'}{'s' * (limit.count != 1)}" if several else ""
    more = {"part": "1 % more is", "room": f"{ROOM:g} of room is", "capital": "a basis point of capital more in each is"}[
        limit.step
    ]
    return f"{name} {binds}{at}: {more} {worth}"
