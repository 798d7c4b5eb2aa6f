"""The kinds of score, each as one vector: what is projected is the target, never the predictions.

With g the Gaussian values of a model's ranks, s = sign(g)|g|^1.5 the stressed ones and f the stressed ones of its re-ranked
feature-neutral part, every kind is one dot product with a vector that all models share, over a length of the model's own:

==============  ======  ==================================================  =================
kind            values  vector                                              length
==============  ======  ==================================================  =================
corr            s       t' − mean(t'), t' the stressed centred target       ‖s − mean‖ ‖vector‖
mmc, bmc        g       (t − m (m't)/(m'm)) / n, t in bins −2 to 2          1
neutral_corr    g       t less its part in the exposures                    ‖residual of g‖ ‖t‖
neutral_mmc     g       as mmc, with t and m less their part there          1
fnc             f       as corr                                             as corr
alpha           s       (V t − V N N' V t) / n                              1
mpc             s       as alpha, of t less its part in the portfolio       1
==============  ======  ==================================================  =================

A length of zero is a score of zero. Formulas: those of numerai-tools 0.7.2 (``scoring.py``); see ``docs/scores.md``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import FloatArray
from market.projection import NOTHING_LEFT
from signals.constancy import CONSTANT_SPREAD, WHOLLY_EXPLAINED, is_constant
from signals.places import places_of, stress
from signals.sides import LARGEST
from signals.sums import dot, dots, project_out

if TYPE_CHECKING:
    from signals.prepared import PreparedRound

Values = Literal["gauss", "stressed", "features"]

NEUTRAL_KINDS = frozenset({"neutral_corr", "neutral_mmc"})

SMALLEST = 1e-100
"""A target below it is brought to size before it is correlated, which a correlation does not feel."""

NOTHING_HELD = 1e-12
"""Books that cancel leave rounding of this part of what each holds alone; its direction is no portfolio."""

MPC_SCALE = 50.0
"""Brings ``mpc`` to the size of the other kinds; the library divides by the same number."""


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """A kind of score, as one dot product a model.

    Attributes
    ----------
    values : str
        Which values of a model are multiplied: ``gauss``, ``stressed`` or ``features``.
    vector : (n,) float64
        What they are multiplied with.
    lengths : (m,) float64 or None
        What each product is divided by, 0 for a score of 0; None for 1.
    """

    values: Values
    vector: FloatArray
    lengths: FloatArray | None = None


def corr(on: "PreparedRound", target: FloatArray, centre: float, *, stress_target: bool = True) -> Projection:
    """Pearson of the stressed predictions with the stressed target."""
    vector, length = tails(target, centre, stress_target)
    return Projection("stressed", vector, on.stressed_lengths * length)


def fnc(on: "PreparedRound", target: FloatArray, centre: float) -> Projection:
    """Return :func:`corr` of the ranks of what the features leave of a model."""
    vector, length = tails(target, centre, stressed=True)
    return Projection("features", vector, kept(on.feature_lengths, "features") * length)


def mmc(on: "PreparedRound", target: FloatArray, centre: float) -> Projection:
    """Return the covariance of the target with what a model adds to the meta-model."""
    del centre
    return Projection("gauss", _contribution(in_bins(target), gauss_of(on, on.sides.meta_model, "a meta-model")))


def bmc(on: "PreparedRound", target: FloatArray, centre: float) -> Projection:
    """Return :func:`mmc` with the benchmark in the meta-model's place."""
    del centre
    return Projection("gauss", _contribution(in_bins(target), gauss_of(on, on.sides.benchmark, "a benchmark")))


def neutral_corr(on: "PreparedRound", target: FloatArray, centre: float) -> Projection:
    """Pearson of the target with the residual of the Gaussian predictions."""
    del centre
    sized = target / unit_of(target)
    centred = less(sized, float(sized.mean()))
    # The residuals are centred and have no part in the basis, so the target's part in it does not matter either.
    vector = project_out(centred, kept(on.basis, "exposures"))
    return Projection("gauss", vector, kept(on.residual_lengths, "exposures") * np.sqrt(dot(centred, centred)))


def neutral_mmc(on: "PreparedRound", target: FloatArray, centre: float) -> Projection:
    """Return :func:`mmc` with target and meta-model less their part in the exposures."""
    del centre
    basis = kept(on.basis, "exposures")
    whole = gauss_of(on, on.sides.meta_model, "a meta-model")
    meta = project_out(whole, basis)
    if np.max(np.abs(meta), initial=0.0) <= WHOLLY_EXPLAINED * np.max(np.abs(whole), initial=0.0):
        meta = np.zeros_like(meta)
    vector = _contribution(project_out(in_bins(target), basis), meta)
    return Projection("gauss", vector, (kept(on.residual_lengths, "exposures") > 0).astype(np.float64))


def alpha(on: "PreparedRound", target: FloatArray, centre: float) -> Projection:
    """Return the mean product of the target with a model's neutral weights."""
    return Projection("stressed", neutral_weights_of(on, less(target, centre)) / len(target))


def mpc(on: "PreparedRound", target: FloatArray, centre: float) -> Projection:
    """Return the gradient of the staked portfolio's score with respect to a model's stake."""
    del centre
    centred, portfolio = less(target, float(target.mean())), kept(on.portfolio, "stakes")
    size, shares, v = dot(portfolio, portfolio), kept(on.sides.stake_shares(), "stakes"), on.sides.sample_weights
    alone = dot(shares, on.stressed_lengths) * float(np.max(np.abs(kept(v, "sample weights"))))
    if np.sqrt(size) <= NOTHING_HELD * alone:
        return Projection("stressed", np.zeros_like(target))
    rest = centred - portfolio * (dot(portfolio, centred) / size)
    return Projection("stressed", neutral_weights_of(on, rest - rest.mean()) / (np.sqrt(size) * MPC_SCALE))


PROJECTIONS: dict[str, "Callable[[PreparedRound, FloatArray, float], Projection]"] = {
    "corr": corr,
    "mmc": mmc,
    "bmc": bmc,
    "fnc": fnc,
    "neutral_corr": neutral_corr,
    "neutral_mmc": neutral_mmc,
    "alpha": alpha,
    "mpc": mpc,
}


def neutral_weights_of(on: "PreparedRound", values: FloatArray) -> FloatArray:
    """Return V x − V N N' V x of values x (n,), with the exposures as N and the sample weights as diag V.

    The map from stressed predictions to weights, V − V N N' V, is symmetric: so it may act on the target instead.
    """
    n_rows, v = kept(on.sides.exposures, "exposures").T, kept(on.sides.sample_weights, "sample weights")
    inside = dots((v * values)[None, :], np.ascontiguousarray(n_rows))[0]
    return np.asarray(v * (values - np.sum(inside[:, None] * n_rows, axis=0)), dtype=np.float64)


def less(values: FloatArray, centre: float) -> FloatArray:
    """Return ``values`` less a number; zeros when what is left is rounding; refuses what has no square."""
    peak = _peak(values)
    rest = values - centre
    if np.max(np.abs(rest), initial=0.0) <= CONSTANT_SPREAD * peak:
        return np.zeros_like(rest)
    return np.asarray(rest, dtype=np.float64)


def unit_of(target: FloatArray) -> float:
    """Return in which unit float64 can hold a target's squares: 1, or its largest value if that is tiny."""
    peak = _peak(target)
    return peak if 0.0 < peak < SMALLEST else 1.0


def _peak(values: FloatArray) -> float:
    peak = float(np.max(np.abs(values), initial=0.0))
    if not peak <= LARGEST**1.5:  # stressed values come here, too
        raise InputRejected(Code.VALUE_NOT_FINITE, f"Values to be scored by are finite and at most {LARGEST:.0e}.")
    return peak


def tails(target: FloatArray, centre: float, stressed: bool) -> tuple[FloatArray, float]:
    """Return the target less ``centre``, stressed if asked, centred again; and its length, 0 for a constant target."""
    unit = unit_of(target)
    centred = less(target / unit, centre / unit)
    tails = stress(centred) if stressed else centred
    vector = less(tails, float(tails.mean()))
    return vector, 0.0 if is_constant(target) else float(np.sqrt(dot(vector, vector)))


def in_bins(target: FloatArray) -> FloatArray:
    """Bins 0..1 become 0..4, then the mean goes: so that five bins run from −2 to 2."""
    scaled = target * 4 if bool((target >= 0).all() and (target <= 1).all()) else target
    return less(scaled, float(scaled.mean()))


def gauss_of(on: "PreparedRound", vector: FloatArray | None, what: str) -> FloatArray:
    """Return the Gaussian values of a vector's ranks (n,)."""
    return np.asarray(np.take(on.tables.gauss, places_of(kept(vector, what)[None, :])[0]), dtype=np.float64)


def _contribution(target: FloatArray, meta: FloatArray) -> FloatArray:
    """Return (t − m (m't)/(m'm)) / n: the projection off the meta-model, carried over to the target; 0 without a meta-model."""
    strength = dot(meta, meta)
    if strength == 0.0:
        return np.zeros_like(target)
    rest = target - meta * (dot(meta, target) / strength)
    if np.max(np.abs(rest), initial=0.0) <= NOTHING_LEFT * np.max(np.abs(target), initial=0.0):
        return np.zeros_like(target)  # the meta-model is the target: what is left is rounding
    return np.asarray(rest / len(target), dtype=np.float64)


def kept(part: FloatArray | None, what: str) -> FloatArray:
    """Return a part of the state, or refuse the kind that needs it."""
    if part is None:
        raise InputRejected(Code.SCORE_INPUT_INVALID, f"The round was prepared without {what}, which a kind needs.")
    return part
