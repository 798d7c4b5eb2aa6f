"""What predictions are scored beside: exposures, meta-model, benchmark, features, weights, stakes; and which kinds they allow.

Arrays on one universe; nothing is computed here but shares of stakes.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import BoolArray, FloatArray, IntArray

LARGEST = 1e100
"""Beyond it a value has no square in float64; no return, weight or stake comes near."""

NEEDS: dict[str, tuple[str, ...]] = {
    "corr": (),
    "mmc": ("meta_model",),
    "bmc": ("benchmark",),
    "fnc": ("features",),
    "neutral_corr": ("exposures",),
    "neutral_mmc": ("meta_model", "exposures"),
    "alpha": ("exposures", "sample_weights"),
    "mpc": ("exposures", "sample_weights", "stakes"),
}
"""What each kind needs beside predictions and a target, in the order in which scores are listed."""


@dataclass(frozen=True, slots=True, eq=False)
class Sides:
    """What predictions are scored beside; whatever is None is not there, and the kinds that need it are not either.

    Attributes
    ----------
    exposures : (n, k) float64
        Neutralizers. ``alpha`` and ``mpc`` take the columns as they are (the condensed basis N, with N'VN = I), the
        neutral kinds the space that they and an intercept span.
    meta_model, benchmark : (n,) float64
        Any scale.
    features : (n, f) float64
        What ``fnc`` takes out, with an intercept.
    sample_weights : (n,) float64
        The diagonal of V.
    stakes : (m,) float64
        Not negative; NaN is no stake.
    """

    exposures: FloatArray | None = None
    meta_model: FloatArray | None = None
    benchmark: FloatArray | None = None
    features: FloatArray | None = None
    sample_weights: FloatArray | None = None
    stakes: FloatArray | None = None

    def on(self, assets: IntArray) -> "Sides":
        """Return the same on the assets at the positions given, in that order."""

        def picked(side: FloatArray | None) -> FloatArray | None:
            return None if side is None else side[assets]

        beside = (self.exposures, self.meta_model, self.benchmark, self.features, self.sample_weights)
        exposures, meta_model, benchmark, features, sample_weights = map(picked, beside)
        return Sides(exposures, meta_model, benchmark, features, sample_weights, self.stakes)

    def allowed_kinds(self) -> tuple[str, ...]:
        """Return the kinds whose inputs are all there."""
        return tuple(kind for kind, needs in NEEDS.items() if all(getattr(self, need) is not None for need in needs))

    def known(self, needs: Collection[str]) -> BoolArray | None:
        """Return at which assets all the sides named are known; None if none of them is of assets."""
        named = [np.asarray(getattr(self, need)) for need in needs if need != "stakes"]
        if not named:
            return None
        known = np.ones(len(named[0]), dtype=np.bool_)
        for side in named:
            known &= ~np.isnan(side).reshape(len(side), -1).any(axis=1)
        return known

    def stake_shares(self) -> FloatArray | None:
        """Return each model's share of the stakes; zeros if nobody has one."""
        if self.stakes is None:
            return None
        known = np.where(np.isnan(self.stakes), 0.0, self.stakes)
        total = float(known.sum())
        return known / total if total > 0 else known


def check_inputs(predictions: npt.NDArray[Any], sides: Sides, asked: Collection[str]) -> None:
    """Refuse predictions that are no (m, n) float64, sides of other shapes, and kinds that are unknown or lack a side."""
    if predictions.ndim != 2 or predictions.dtype != np.float64:
        message = "Predictions are (models × assets) in float64: anything narrower merges values that differ."
        raise InputRejected(Code.SCORE_INPUT_INVALID, message)
    m, n = predictions.shape
    shapes = {"meta_model": (n,), "benchmark": (n,), "sample_weights": (n,), "stakes": (m,)}
    for name, shape in shapes.items():
        side = getattr(sides, name)
        if side is not None and np.shape(side) != shape:
            raise InputRejected(Code.SCORE_INPUT_INVALID, f"The {name} must be of shape {shape}.")
    for name in ("exposures", "features"):
        side = getattr(sides, name)
        if side is not None and (np.ndim(side) != 2 or len(side) != n):
            raise InputRejected(Code.SCORE_INPUT_INVALID, f"The {name} are (assets × columns), on the same assets.")
    if sides.stakes is not None and ((sides.stakes < 0) | (sides.stakes > LARGEST)).any():
        raise InputRejected(Code.SCORE_INPUT_INVALID, "A stake is negative or infinite.")
    if not {"alpha", "mpc"}.isdisjoint(asked):
        _refuse_without_square(sides)
    for kind in asked:
        if kind not in NEEDS:
            raise InputRejected(Code.SCORE_INPUT_INVALID, f"There is no kind of score {kind!r}.")
        missing = [need for need in NEEDS[kind] if getattr(sides, need) is None]
        if missing:
            raise InputRejected(Code.SCORE_INPUT_INVALID, f"The kind {kind} needs {' and '.join(missing)}.")


def _refuse_without_square(sides: Sides) -> None:
    """Refuse exposures and weights that are infinite or nearly so, where they count as they are and not by rank or space."""
    for name, side in (("exposures", sides.exposures), ("sample weights", sides.sample_weights)):
        if side is not None and (np.abs(side) > LARGEST).any():
            raise InputRejected(Code.VALUE_NOT_FINITE, f"The {name} are finite and at most {LARGEST:.0e}.")


def refuse_huge(target: FloatArray) -> None:
    """Refuse a target whose squares have no float64; NaN, where it is unknown, passes."""
    if (np.abs(target) > LARGEST).any():
        raise InputRejected(Code.VALUE_NOT_FINITE, f"Values of a target are finite and at most {LARGEST:.0e}.")
