"""Scores of many models against one target: ``corr``, ``mmc``, ``neutral_corr``, ``neutral_mmc``.

It scores arrays on one universe; labels, files and stakes are unknown here. For tables with labels see :mod:`signals.frame`.

1. An asset counts if its target is known, no prediction lacks it and, where they are used, meta-model and exposures are known
   there. If less than 80 % of the universe counts, nothing is scored.
2. Predictions are ranked with ties kept and Gaussianized, once for all kinds.
3. Whatever is linear in the Gaussian values is projected on the side of the target, one vector, instead of on the side of
   the predictions, a matrix: ``mmc``, ``neutral_mmc`` and the numerator of ``neutral_corr`` are each one product of
   the matrix with a projected target.
4. A Pearson correlation needs the length of each model's vector as well: for the neutral kinds its square is the length before
   less that of the projection on an orthonormal basis of the exposures.

A prediction that is constant, or that the exposures explain wholly, scores 0; so does everything against a constant target, and
every contribution to a constant meta-model scores 0. No score is NaN.

The formulas are those of ``numerai_corr``, ``correlation_contribution``, ``neutral_correlation`` and ``neutral_contribution``
in numerai-tools 0.7.2, which the tests compare to 1e-12; it gives NaN in the constant cases.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import BoolArray, FloatArray
from market.projection import orthonormal_basis, project_out
from market.ranks import gaussianize, tie_kept_rank
from signals.constancy import constant_rows, is_constant

OVERLAP_MIN = 1 - 0.2
"""Least part of the universe that counts; written as the rule states it, so that exactly 80 % passes."""

WHOLLY_EXPLAINED = 1e-10
"""A residual this small beside its vector is what rounding left, not an opinion."""

CANCELLATION = 1e-2
"""Below this share the difference of two squared lengths loses digits; the residual is then formed itself."""

NEUTRAL_KINDS = frozenset({"neutral_corr", "neutral_mmc"})
META_KINDS = frozenset({"mmc", "neutral_mmc"})


def corr(predictions: FloatArray, target: FloatArray) -> FloatArray:
    """Correlate predictions with a target, both with stressed tails.

    Parameters
    ----------
    predictions : (m, n) float64
        One row a model, any scale; an asset where any row is NaN is dropped for all.
    target : (n,) float64
        NaN where unknown.

    Returns
    -------
    (m,) float64
        Pearson correlation of sign(g)|g|^1.5 and sign(t)|t|^1.5, with g the Gaussianized tie-kept rank of the prediction and t
        the target less its mean over all known assets. 0 for a constant row or target.

    Raises
    ------
    InputRejected
        ``coverage_too_low`` if less than 80 % of the assets count; ``score_input_invalid`` for wrong shapes.

    Examples
    --------
    >>> p = np.arange(1.0, 6.0)[None, :]
    >>> [round(float(corr(q, p[0])[0]), 6) + 0.0 for q in (p, 1 - p, np.ones((1, 5)))]
    [0.996488, -0.996488, 0.0]
    """
    return score_kinds(("corr",), predictions, target)["corr"]


def mmc(predictions: FloatArray, meta_model: FloatArray, target: FloatArray) -> FloatArray:
    """Return what each prediction adds to a meta-model's covariance with the target.

    Parameters
    ----------
    predictions : (m, n) float64
        As for :func:`corr`.
    meta_model : (n,) float64
        Any scale; ranked and Gaussianized here; assets where it is NaN are dropped.
    target : (n,) float64
        NaN where unknown. If all known values lie in 0 to 1 it is multiplied by four, as bins 0 to 4.

    Returns
    -------
    (m,) float64
        p⊥'t / n with p⊥ = p − m (p'm)/(m'm), p and m Gaussianized tie-kept ranks, t centred; n the assets that count.
        0 for a constant row, target or meta-model.

    Raises
    ------
    InputRejected
        As for :func:`corr`.
    """
    return score_kinds(("mmc",), predictions, target, meta_model=meta_model)["mmc"]


def neutral_corr(predictions: FloatArray, exposures: FloatArray, target: FloatArray) -> FloatArray:
    """Correlate the factor-neutral part of predictions with a target.

    Parameters
    ----------
    predictions : (m, n) float64
        As for :func:`corr`.
    exposures : (n, k) float64
        May be rank deficient; an intercept is added; assets with a NaN are dropped.
    target : (n,) float64
        NaN where unknown.

    Returns
    -------
    (m,) float64
        Pearson correlation of the target with the residual of the Gaussianized ranks; no power of 1.5, no second ranking.
        0 for a row without a part of its own.

    Raises
    ------
    InputRejected
        As for :func:`corr`.
    """
    return score_kinds(("neutral_corr",), predictions, target, exposures=exposures)["neutral_corr"]


def neutral_mmc(predictions: FloatArray, meta_model: FloatArray, exposures: FloatArray, target: FloatArray) -> FloatArray:
    """Return :func:`mmc` with predictions and meta-model neutralized to ``exposures`` after they were Gaussianized."""
    return score_kinds(("neutral_mmc",), predictions, target, meta_model=meta_model, exposures=exposures)["neutral_mmc"]


def score_kinds(
    kinds: Sequence[str],
    predictions: FloatArray,
    target: FloatArray,
    meta_model: FloatArray | None = None,
    exposures: FloatArray | None = None,
) -> dict[str, FloatArray]:
    """Return several kinds of score at once: the ranks and the projection are shared.

    Parameters
    ----------
    kinds : sequence of str
        Of ``corr``, ``mmc``, ``neutral_corr``, ``neutral_mmc``.
    predictions, target, meta_model, exposures
        As for the function of each kind; the last two may be left out when no kind needs them.

    Returns
    -------
    dict of str to (m,) float64
        In the order of ``kinds``.

    Raises
    ------
    InputRejected
        ``coverage_too_low`` or ``score_input_invalid``, also for a kind that is unknown or lacks an input.
    """
    _check(kinds, predictions, target, meta_model, exposures)
    stage = _Stage(np.asarray(predictions, dtype=np.float64), np.asarray(target, dtype=np.float64), meta_model, exposures)
    by_kind = {"corr": stage.corr, "mmc": stage.mmc, "neutral_corr": stage.neutral_corr, "neutral_mmc": stage.neutral_mmc}
    return {kind: by_kind[kind]() for kind in kinds}


@dataclass(slots=True)
class _Counted:
    """The assets that count for one kind, with the Gaussian values on them."""

    counts: BoolArray
    gauss: FloatArray  # (m, c)
    target: FloatArray  # (c,)
    basis: FloatArray | None = None  # (c, r), orthonormal, intercept included


@dataclass(slots=True)
class _Stage:
    """What the kinds share: each set of counted assets is ranked once."""

    predictions: FloatArray
    target: FloatArray
    meta_model: FloatArray | None
    exposures: FloatArray | None
    counted: dict[bytes, _Counted] = field(default_factory=dict)

    def corr(self) -> FloatArray:
        on = self._on(neutral=False, meta=False)
        stressed = _stress(on.gauss)
        stressed -= stressed.mean(axis=1, keepdims=True)
        target = _stress(on.target - float(np.mean(self.target[~np.isnan(self.target)])))
        target -= target.mean()
        return _ratio(_dots(stressed, target), np.sqrt(np.sum(stressed * stressed, axis=1)) * _length(target, on.target))

    def mmc(self) -> FloatArray:
        on = self._on(neutral=False, meta=True)
        return self._contribution(on, self._meta_on(on), _contribution_target(on.target))

    def neutral_corr(self) -> FloatArray:
        on = self._on(neutral=True, meta=False)
        basis = self._basis_of(on)
        target = on.target - on.target.mean()
        length = _length(target, on.target)
        # The residuals are centred and have no part in the basis, so the target's part in it does not matter either.
        return _ratio(_dots(on.gauss, project_out(target, basis)), _residual_lengths(on.gauss, basis) * length)

    def neutral_mmc(self) -> FloatArray:
        on = self._on(neutral=True, meta=True)
        basis = self._basis_of(on)
        meta = project_out(self._meta_on(on), basis)
        return self._contribution(on, meta, project_out(_contribution_target(on.target), basis), basis)

    def _contribution(self, on: _Counted, meta: FloatArray, target: FloatArray, basis: FloatArray | None = None) -> FloatArray:
        """p⊥'t / n, with the projection on the meta-model carried over to the target."""
        strength = float(meta @ meta)
        if strength == 0.0:
            return np.zeros(on.gauss.shape[0])
        scores = _dots(on.gauss, target - meta * (float(meta @ target) / strength)) / len(target)
        if basis is not None:
            scores[_residual_lengths(on.gauss, basis) == 0.0] = 0.0
        return np.asarray(scores, dtype=np.float64)

    def _on(self, *, neutral: bool, meta: bool) -> _Counted:
        counts = ~np.isnan(self.target) & ~np.isnan(self.predictions).any(axis=0)
        if meta and self.meta_model is not None:
            counts &= ~np.isnan(self.meta_model)
        if neutral and self.exposures is not None:
            counts &= ~np.isnan(self.exposures).any(axis=1)
        key = counts.tobytes()
        if key not in self.counted:
            self.counted[key] = self._prepare(counts)
        return self.counted[key]

    def _prepare(self, counts: BoolArray) -> _Counted:
        total, counted = len(counts), int(counts.sum())
        if total == 0 or counted / total < OVERLAP_MIN:
            message = f"Target and predictions are known for {counted:,} of {total:,} assets; at least 80 % are needed."
            raise InputRejected(Code.COVERAGE_TOO_LOW, message)
        on_counted = self.predictions if counted == total else self.predictions[:, counts]
        gauss = gaussianize(tie_kept_rank(on_counted))
        gauss[constant_rows(on_counted)] = 0.0
        return _Counted(counts, gauss, self.target[counts])

    def _meta_on(self, on: _Counted) -> FloatArray:
        if self.meta_model is None:
            raise InputRejected(Code.SCORE_INPUT_INVALID, "A contribution needs a meta-model.")
        meta = self.meta_model[on.counts]
        return np.zeros_like(meta) if is_constant(meta) else gaussianize(tie_kept_rank(meta))

    def _basis_of(self, on: _Counted) -> FloatArray:
        if self.exposures is None:
            raise InputRejected(Code.SCORE_INPUT_INVALID, "A neutral score needs exposures.")
        if on.basis is None:
            exposures = self.exposures[on.counts]
            on.basis = orthonormal_basis(np.column_stack([np.ones(len(exposures)), exposures]))
        return on.basis


def _dots(rows: FloatArray, vector: FloatArray) -> FloatArray:
    """Dot product of each row with ``vector``, summed in pairs: unlike a BLAS product, the same wherever a row stands."""
    return np.asarray(np.sum(rows * vector, axis=1), dtype=np.float64)


def _stress(values: FloatArray) -> FloatArray:
    """sign(x)|x|^1.5, as x times the root of |x|: far cheaper than a power."""
    return np.asarray(values * np.sqrt(np.abs(values)), dtype=np.float64)


def _length(centred: FloatArray, raw: FloatArray) -> float:
    """Length of a centred target; 0 when what centring left is rounding."""
    if is_constant(raw):
        return 0.0
    return float(np.sqrt(centred @ centred))


def _ratio(numerators: FloatArray, lengths: FloatArray) -> FloatArray:
    there = lengths > 0
    return np.where(there, numerators / np.where(there, lengths, 1.0), 0.0)


def _contribution_target(target: FloatArray) -> FloatArray:
    """Bins 0..1 become 0..4, then the mean goes: so that five bins run from −2 to 2."""
    in_bins = bool((target >= 0).all() and (target <= 1).all())
    if is_constant(target):
        return np.zeros_like(target)
    scaled = target * 4 if in_bins else target
    return np.asarray(scaled - scaled.mean(), dtype=np.float64)


def _residual_lengths(gauss: FloatArray, basis: FloatArray) -> FloatArray:
    """Length of what the basis leaves of each row; 0 where that is rounding."""
    whole = np.sum(gauss * gauss, axis=1)
    inside = gauss @ basis
    squares = whole - np.sum(inside * inside, axis=1)
    unsafe = squares < CANCELLATION * whole
    if unsafe.any():
        rest = project_out(gauss[unsafe], basis)
        squares[unsafe] = np.sum(rest * rest, axis=1)
    squares[squares <= WHOLLY_EXPLAINED**2 * whole] = 0.0
    return np.asarray(np.sqrt(squares), dtype=np.float64)


def _check(
    kinds: Sequence[str],
    predictions: FloatArray,
    target: FloatArray,
    meta_model: FloatArray | None,
    exposures: FloatArray | None,
) -> None:
    known = {"corr", "mmc", "neutral_corr", "neutral_mmc"}
    wrong = sorted(set(kinds) - known)
    if wrong:
        raise InputRejected(Code.SCORE_INPUT_INVALID, f"Unknown kinds of score: {', '.join(wrong)}.")
    if np.ndim(predictions) != 2 or np.ndim(target) != 1 or np.shape(predictions)[1] != np.shape(target)[0]:
        raise InputRejected(Code.SCORE_INPUT_INVALID, "Predictions are (models × assets) and the target is (assets,).")
    n = np.shape(target)[0]
    if meta_model is not None and np.shape(meta_model) != (n,):
        raise InputRejected(Code.SCORE_INPUT_INVALID, "The meta-model is (assets,), like the target.")
    if exposures is not None and (np.ndim(exposures) != 2 or np.shape(exposures)[0] != n):
        raise InputRejected(Code.SCORE_INPUT_INVALID, "Exposures are (assets × factors), on the target's assets.")
    for needed, given, what in ((META_KINDS, meta_model, "a meta-model"), (NEUTRAL_KINDS, exposures, "exposures")):
        if given is None and needed.intersection(kinds):
            raise InputRejected(Code.SCORE_INPUT_INVALID, f"The kinds asked for need {what}.")
