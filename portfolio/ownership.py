"""Which model owns what part of a book, and so what each model earned.

1. At a decision alpha is the sum of its models' parts (:func:`model_alphas`), and the book is affine in alpha around its
   optimum: model m owns M·α_m (:mod:`portfolio.activeset`). What limits, holdings kept by what trading costs or by the turnover
   limit, and rounding made of the book is ``limits and inherited``, one line, never spread over models (:func:`model_weights`).
2. At the fill each model owns its weights in dollars where the fill carried the decision out. Where it could not (a halt), and
   before a first decision, all that is held is inherited (:func:`refill`).
3. Between decisions a model's dollars drift with the asset's returns, and become cash with a delisted asset (:func:`carry`).
4. A session's lines are each owner's profit before costs, then the kinds of cost: costs are not split over models, because a
   trade serves the sum of all views (:func:`by_model`). They sum to the session's profit up to rounding.

A decision stores what :func:`model_weights` returns (one array, a row a model and one for what is inherited) beside its
weights; with it, and the returns of the sessions, everything here can be computed later. Nothing here decides or opens a file.

Decision instant: M and the models' alphas are those of the decision; a session's lines use its own returns.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from market.arrays import BoolArray, FloatArray
from market.projection import residualize
from portfolio.activeset import active_set
from portfolio.alpha import CONSTANT_SPREAD
from portfolio.attribution import COST, Lines, SessionReturns, stacked
from portfolio.ladder import HELD, Solution
from portfolio.problem import RebalanceProblem
from portfolio.riskmodel import RiskModel

INHERITED = "limits and inherited"
MOVED_MIN = 1e-12
"""Change of a position, as a part of equity, below which a fill did not touch it: rounding of a division."""


def model_alphas(
    score_parts: FloatArray,
    risk_model: RiskModel,
    ic: float,
    horizon_sessions: int,
    *,
    period_sessions: int | None = None,
    leaving: BoolArray | None = None,
) -> FloatArray:
    """Split :func:`portfolio.alpha.alpha_from_signal` over the parts of its score.

    Parameters
    ----------
    score_parts : (m, n) float64
        Weight × signal of each model, on the score's scale: they sum to the score that the fund acted on.
    risk_model, ic, horizon_sessions
        As that function got them.
    period_sessions : int, optional
        Sessions of a rebalance; the alpha is scaled to it as :func:`portfolio.build.build_problem` does. By default it stays
        over the horizon.
    leaving : (n,) bool, optional
        Names that leave the universe: no alpha.

    Returns
    -------
    (m, n) float64
        Each model's part; they sum to the alpha of the whole. Zeros when the score says nothing.

    Notes
    -----
    All steps but one are linear: the score is divided by its own standard deviation, which is that of the sum.
    """
    score = score_parts.sum(axis=0)
    if score.size == 0 or np.ptp(score) <= CONSTANT_SPREAD * float(np.abs(score).max()):
        return np.zeros_like(score_parts)
    centred = score_parts - score_parts.mean(axis=1, keepdims=True)
    scaled = ic * np.sqrt(risk_model.D * horizon_sessions) * centred / score.std()
    alphas = residualize(scaled, risk_model.B)
    if leaving is not None:
        alphas = np.where(leaving, 0.0, alphas)
    period = horizon_sessions if period_sessions is None else period_sessions
    return alphas * (period / horizon_sessions)


def model_weights(problem: RebalanceProblem, solution: Solution, alphas: FloatArray) -> FloatArray:
    """Split a decided book over models.

    The result is what a decision stores, so that its sessions can be attributed later: one array blob of (m + 1) × n, with the
    models' names and tournaments in the order of its rows. The alphas themselves need not be kept.

    Parameters
    ----------
    problem : RebalanceProblem
        As it was solved.
    solution : Solution
        Its book.
    alphas : (m, n) float64
        Each model's part of ``problem.alpha``; see :func:`model_alphas`.

    Returns
    -------
    (m + 1, n) float64
        Row by row M·α_m, and last what is inherited or due to limits; the rows sum to ``solution.weights``. A book that was
        held is inherited whole.
    """
    owned = np.zeros_like(alphas)
    if solution.status != HELD:
        solved = replace(problem, risk_aversion=solution.risk_aversion)
        owned = active_set(solved, solution.weights).apply(alphas)
    return np.vstack([owned, solution.weights - owned.sum(axis=0)])


def carry(parts: FloatArray, returns: FloatArray, gone: BoolArray | None = None) -> tuple[FloatArray, FloatArray]:
    """Let dollars of several owners earn one return.

    Parameters
    ----------
    parts : (m, n) float64
        Dollars by owner.
    returns : (n,) float64
        Without NaN.
    gone : (n,) bool, optional
        Names that become cash after it.

    Returns
    -------
    after : (m, n) float64
    profit : (m,) float64
    """
    after = parts * (1.0 + returns)
    if gone is not None:
        after[:, gone] = 0.0
    return after, parts @ returns


def refill(parts: FloatArray, filled: FloatArray, weights: FloatArray, equity_open: float) -> FloatArray:
    """Give each model the dollars that a fill carried out for it.

    Parameters
    ----------
    parts : (m + 1, n) float64
        Dollars by owner at the open, before the fill; they sum to the positions then.
    filled : (n,) float64
        Positions after the fill.
    weights : (m' + 1, n) float64
        Of the decision, from :func:`model_weights`: the models of this decision, and the inherited row last.
    equity_open : float
        What the weights are parts of.

    Returns
    -------
    (m' + 1, n) float64
        Dollars by owner; they sum to ``filled``.
    """
    before = parts.sum(axis=0)
    wanted = weights.sum(axis=0) * equity_open
    room = MOVED_MIN * max(abs(equity_open), 1.0)
    done = (np.abs(filled - before) > room) | (np.abs(wanted - before) <= room)
    owned = np.where(done, weights[:-1] * equity_open, 0.0)
    return np.vstack([owned, filled - owned.sum(axis=0)])


def filled_positions(after: FloatArray, intraday: FloatArray, wanted: FloatArray) -> FloatArray:
    """Return the positions right after a session's fill, (n,) float64, from those at its close.

    Parameters
    ----------
    after : (n,) float64
        Dollars at the close.
    intraday : (n,) float64
        Open to close, without NaN.
    wanted : (n,) float64
        Target dollars, taken where a name lost everything after the open and its close says nothing.
    """
    lived = intraday > -1.0
    return np.where(lived, after / np.where(lived, 1.0 + intraday, 1.0), wanted)


@dataclass(frozen=True, slots=True)
class Owners:
    """Dollars of a book by owner at a close.

    Attributes
    ----------
    names, groups : tuple of str, length m + 1
        Models and their tournaments; the last is what is inherited.
    parts : (m + 1, n) float64
        They sum to the book's positions.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    parts: FloatArray

    @classmethod
    def inheriting(cls, positions: FloatArray) -> "Owners":
        """Return a book that no model has a part in."""
        return cls((INHERITED,), (INHERITED,), positions[None, :].copy())


@dataclass(frozen=True, slots=True)
class OwnedFill:
    """A decision that a session filled.

    Attributes
    ----------
    names, groups : tuple of str, length m
        Its models and their tournaments.
    weights : (m + 1, n) float64
        From :func:`model_weights`, on the axis of the session's assets.
    filled : (n,) float64
        Positions after the fill.
    equity_open : float
        Equity at the open, before trading.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    weights: FloatArray
    filled: FloatArray
    equity_open: float


def by_model(
    owners: Owners, returns: SessionReturns, costs: Mapping[str, float], fill: OwnedFill | None = None
) -> tuple[Owners, Lines]:
    """Split one session over models, what is inherited, and costs.

    Parameters
    ----------
    owners : Owners
        At the close before, on the axis of the session's assets.
    returns : SessionReturns
    costs : mapping of kind to float
        Paid in the session.
    fill : OwnedFill, optional
        The decision that was filled at the open.

    Returns
    -------
    Owners
        At the close.
    Lines
        One session; they sum to the profit after costs. Models of the decision before the fill keep their night.
    """
    parts, night = carry(owners.parts, returns.overnight, returns.gone)
    night = night + owners.parts @ returns.paid
    first = Lines(owners.names, owners.groups, night[None, :])
    now = owners
    if fill is not None:
        parts = refill(parts, fill.filled, fill.weights, fill.equity_open)
        now = Owners((*fill.names, INHERITED), (*fill.groups, INHERITED), parts)
    parts, day = carry(parts, returns.intraday)
    second = Lines(now.names, now.groups, day[None, :])
    paid = Lines(tuple(costs), tuple(COST for _ in costs), np.array([[-cost for cost in costs.values()]]).reshape(1, -1))
    legs = stacked([first, second, paid])
    return Owners(now.names, now.groups, parts), Lines(legs.names, legs.groups, legs.values.sum(axis=0, keepdims=True))
