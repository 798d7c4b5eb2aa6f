"""The smallest aversion to risk whose book keeps to a volatility target.

A second-order cone would state the target in one problem. But only the second solver could take it, and with impact that one
gives up now and then; quadratic programs in a row stay with the first one, and each of them is a book to fall back on.

The volatility of the best book falls as γ rises: like 1/γ where nothing else binds, and hardly at all where limits decide. So
the search goes by the logarithms of both:

1. from the first γ in strides that double, until one book is above the target and one keeps to it, or the range ends;
2. then by false position between the two, an end that stays being halved (the Illinois rule).

Each question is a whole rebalance, so it ends as soon as the volatility is close enough from below. γ at the end is the dual
value of the limit on variance.
"""

import math
from collections.abc import Callable

CLOSE_ENOUGH = 1e-3
"""Part of the target by which the volatility may stay below it: forecasts are not that good, and a question less is a tenth."""
STRIDE_FIRST = 0.2
"""Added to the first stride, so that a book that is only just off does not take many small ones."""
RANGE = 1e4
"""Factor from the first γ at which the search gives up: at the lower end the other limits hold the book down, at the upper end
nothing but variance counts."""
QUESTIONS_MAX = 20
EXCESS_MOST = 50.0
"""Most that a logarithm of volatility over target counts as, so that none is infinite."""


def aversion_for(volatility_at: Callable[[float], float | None], target: float, start: float) -> float | None:
    """Return the smallest γ that was asked for whose book keeps to ``target``.

    Parameters
    ----------
    volatility_at : callable
        Volatility of the best book under γ; None where there is no book, which ends the search.
    target : float
        Most volatility, in the unit of the answers.
    start : float
        γ to begin with; 1 where it is not above zero.

    Returns
    -------
    float or None
        None when no book that was found keeps to the target.

    Examples
    --------
    >>> round(aversion_for(lambda gamma: 0.1 / gamma, 0.02, 1.0), 2)
    5.0
    """
    place = math.log(start) if start > 0 else 0.0
    bottom, top = place - math.log(RANGE), place + math.log(RANGE)
    # Ends of the search: log γ of a book above the target and of one that keeps to it, each with its distance from the aim.
    above: tuple[float, float] | None = None
    kept: tuple[float, float] | None = None
    best: float | None = None
    stride, last_was_above = 0.0, None
    for _ in range(QUESTIONS_MAX):
        answer = volatility_at(math.exp(place))
        if answer is None:
            break
        excess = _excess(answer, target)
        is_above = excess > 0
        distance = excess + CLOSE_ENOUGH / 2
        if is_above:
            above, kept = (place, distance), _halved(kept, last_was_above is True)
        else:
            above, kept, best = _halved(above, last_was_above is False), (place, distance), math.exp(place)
        last_was_above = is_above
        at_the_end = (above is None and place <= bottom) or (kept is None and place >= top)
        if at_the_end or -CLOSE_ENOUGH <= excess <= 0:
            break
        if above is None or kept is None:
            stride = 2 * stride if stride else abs(excess) + STRIDE_FIRST
            place = min(max(place + math.copysign(stride, excess), bottom), top)
        else:
            place = above[0] + (kept[0] - above[0]) * above[1] / (above[1] - kept[1])
    return best


def _excess(volatility: float, target: float) -> float:
    """Return the logarithm of volatility over target."""
    if volatility <= 0:
        return -EXCESS_MOST
    return min(max(math.log(volatility / target), -EXCESS_MOST), EXCESS_MOST) if target > 0 else EXCESS_MOST


def _halved(end: tuple[float, float] | None, again: bool) -> tuple[float, float] | None:
    """Return an end with half its distance when the other one has moved twice in a row."""
    return (end[0], end[1] / 2) if end is not None and again else end
