"""A closed round made ready to be scored each day: prepare once, score daily.

Predictions do not change after a round's close; the target does, each day. So what is slow is done at the close:

1. Assets are put into the order of their ids. Predictions become doubled places (:mod:`signals.places`): two bytes a value,
   exact, so that ties stay ties and nothing else becomes one.
2. Gaussian and stressed values are tables of the place. Each model's lengths are kept: that of its stressed values, and that
   of what the exposures leave of its Gaussian ones.
3. The exposures get an orthonormal basis (:mod:`signals.sums`); the staked portfolio becomes one vector.
4. ``fnc`` ranks again what the features leave, so it alone keeps a second matrix of places.

A day then projects the target for each kind (:mod:`signals.kinds`) and reads the matrix once: look up, multiply, add. Where the
target lacks assets, ranks and lengths are those of the assets that count, so the state is first taken :meth:`~PreparedRound.on`
them: ranked again from the places, which is exact. Fewer than 80 % of the assets are refused.

Paying scores do not depend, bit for bit, on the size of blocks, on threads, nor on the order in which models or assets come.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, InvariantBroken
from market.arrays import BoolArray, FloatArray, IntArray
from market.projection import orthonormal_basis
from signals.blocks import each_block
from signals.constancy import DIGITS_KEPT, WHOLLY_EXPLAINED
from signals.kinds import NEUTRAL_KINDS, PROJECTIONS, Projection, less, neutral_weights_of
from signals.places import PlaceArray, Tables, look_up, places_of, places_of_places, tables
from signals.sides import NEEDS, Sides, check_inputs, refuse_huge
from signals.sums import dots, orthonormal_rows, squares

OVERLAP_MIN = 1 - 0.2
"""Least part of the assets that counts; written as the rule states it, so that exactly 80 % passes."""

CANCELLATION = 1e-2
"""Below this share the difference of two squared lengths loses digits; the residual is then formed itself."""

SCORED_ROWS = 32
"""Models looked up at a time: enough for a thread to be at work most of the time, few enough for its processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class PreparedRound:
    """What a round's daily scores need; arrays may be memory maps.

    Attributes
    ----------
    model_ids : (m,) str
        In the order given.
    asset_ids : (n,) str
        Sorted; targets come in this order.
    places : (m, n) uint16
        Doubled tie-kept places.
    tables : Tables
        Gaussian and stressed value of each place.
    sides : Sides
        Without the features, whose work is done.
    stressed_lengths : (m,) float64
        Length of the centred stressed values.
    residual_lengths : (m,) float64 or None
        Length of what the exposures leave of the Gaussian values; 0 where that is rounding.
    basis : (r, n) float64 or None
        Orthonormal rows that span the exposures and an intercept.
    portfolio : (n,) float64 or None
        Centred stake-weighted neutral weights.
    feature_places : (m, n) uint16 or None
        Doubled places of what the features leave.
    feature_lengths : (m,) float64 or None
        Length of its centred stressed values.
    """

    model_ids: npt.NDArray[np.str_]
    asset_ids: npt.NDArray[np.str_]
    places: PlaceArray
    tables: Tables
    sides: Sides
    stressed_lengths: FloatArray
    residual_lengths: FloatArray | None = None
    basis: FloatArray | None = None
    portfolio: FloatArray | None = None
    feature_places: PlaceArray | None = None
    feature_lengths: FloatArray | None = None

    def on(self, counted: BoolArray, workers: int = 1) -> "PreparedRound":
        """Return the round on the assets that count, (n,) bool, as if it had been prepared there.

        ``fnc`` is the exception, as it is in the library: the features were taken out on all assets, and only ranked here.
        """
        at = np.flatnonzero(counted)
        features = self.feature_places

        def ranked(part: slice) -> PlaceArray:
            return places_of_places(self.places[part][:, at])

        def ranked_features(part: slice, gauss: FloatArray) -> PlaceArray:
            del gauss
            return places_of_places(features[part][:, at]) if features is not None else np.empty((0, 0), dtype=np.uint16)

        builder = _Builder(
            self.model_ids, self.asset_ids[at], self.sides.on(at), ranked, None if features is None else ranked_features,
            neutral=self.basis is not None,
        )  # fmt: skip
        return builder.build(workers)

    def gauss(self, rows: slice | IntArray) -> FloatArray:
        """Return the Gaussian values of the models at ``rows``, (k, n) float64."""
        return look_up(self.tables.gauss, self.places[rows].astype(np.intp))

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return every array that is there by its name; all have plain dtypes."""
        held = {"gauss_table": self.tables.gauss, "stressed_table": self.tables.stressed}
        held |= {f"side_{f.name}": getattr(self.sides, f.name) for f in fields(Sides)}
        held |= {f.name: getattr(self, f.name) for f in fields(self) if f.name not in {"tables", "sides"}}
        return {name: array for name, array in held.items() if array is not None}

    @staticmethod
    def from_arrays(arrays: Mapping[str, npt.NDArray[Any]]) -> "PreparedRound":
        """Return the round that :meth:`to_arrays` gave; whoever stored the arrays answers for their bytes.

        Raises
        ------
        InvariantBroken
            ``blob_broken`` if an array is missing or one too many.
        """
        rest = dict(arrays)
        try:
            table = Tables(rest.pop("gauss_table"), rest.pop("stressed_table"))
            sides = Sides(**{f.name: rest.pop(f"side_{f.name}", None) for f in fields(Sides)})
            return PreparedRound(tables=table, sides=sides, **rest)
        except (KeyError, TypeError) as error:
            raise InvariantBroken(Code.BLOB_BROKEN, "The arrays of a prepared round are not all there, or too many.") from error


def prepare_round(
    predictions: npt.NDArray[np.float64],
    asset_ids: Sequence[str],
    model_ids: Sequence[str],
    exposures: FloatArray | None = None,
    meta_model: FloatArray | None = None,
    features: FloatArray | None = None,
    sample_weights: FloatArray | None = None,
    stakes: FloatArray | None = None,
    *,
    benchmark: FloatArray | None = None,
    kinds: Collection[str] | None = None,
    workers: int = 1,
) -> PreparedRound:
    """Prepare a round, as at its close.

    Parameters
    ----------
    predictions : (m, n) float64
        One row a model, any scale; may be a memory map, and is read once, in blocks. NaN not allowed: gaps were filled.
    asset_ids, model_ids : sequence of str, length n and m
        Without repetition; assets in any order.
    exposures, meta_model, features, sample_weights, stakes, benchmark
        As in :class:`Sides`, on the assets in the order given; NaN not allowed but among the stakes.
    kinds : collection of str, optional
        Which kinds will be asked for; by default all that the inputs allow.
    workers : int
        Threads.

    Raises
    ------
    InputRejected
        ``score_input_invalid`` for wrong shapes, repeated ids, NaN, or numbers narrower than float64, which merge ties.
    """
    sides = Sides(exposures, meta_model, benchmark, features, sample_weights, stakes)
    assets, models = np.asarray(asset_ids, dtype=np.str_), np.asarray(model_ids, dtype=np.str_)
    order = np.argsort(assets, kind="stable")
    if np.shape(predictions) != (len(models), len(assets)):
        raise InputRejected(Code.SCORE_INPUT_INVALID, "Predictions are (models × assets), with an id for each.")
    if (assets[order][1:] == assets[order][:-1]).any() or len(set(models.tolist())) < len(models):
        raise InputRejected(Code.SCORE_INPUT_INVALID, "An asset or a model stands twice.")
    return prepare(predictions, order, models, assets[order], sides, kinds, workers)


def prepare(
    predictions: npt.NDArray[np.float64],
    at: IntArray,
    model_ids: npt.NDArray[np.str_],
    asset_ids: npt.NDArray[np.str_],
    sides: Sides,
    kinds: Collection[str] | None = None,
    workers: int = 1,
    basis: FloatArray | None = None,
) -> PreparedRound:
    """Prepare the assets at the positions given, in that order: the common way of :func:`prepare_round` and of the kernels.

    Who has orthonormal rows that span the exposures and an intercept already, (r, n) on the assets in that order, gives them as
    ``basis``. Scores that pay do not: their bits are those of :func:`signals.sums.orthonormal_rows`.
    """
    asked = set(sides.allowed_kinds() if kinds is None else kinds)
    check_inputs(predictions, sides, asked)
    whole = len(at) == predictions.shape[1] and bool((np.diff(at) > 0).all())
    on = replace(sides, features=sides.features if "fnc" in asked else None).on(at)
    if any(not known.all() for known in (on.known([need]) for kind in asked for need in NEEDS[kind]) if known is not None):
        raise InputRejected(Code.SCORE_INPUT_INVALID, "What predictions are scored beside holds a NaN.")

    def ranked(part: slice) -> PlaceArray:
        rows = np.asarray(predictions[part])
        return places_of(rows if whole else rows[:, at])

    neutral = not NEUTRAL_KINDS.isdisjoint(asked)
    ranked_features = None if on.features is None else _feature_ranker(on.features)
    return _Builder(model_ids, asset_ids, on, ranked, ranked_features, neutral, "mpc" in asked, basis).build(workers)


def score_prepared(
    prepared: PreparedRound,
    target: FloatArray,
    kinds: Sequence[str] | None = None,
    *,
    centre: float | None = None,
    overlap_min: float = OVERLAP_MIN,
    workers: int = 1,
) -> dict[str, FloatArray]:
    """Score all models of a prepared round against a target.

    Parameters
    ----------
    prepared : PreparedRound
        As the close left it.
    target : (n,) float64
        On ``prepared.asset_ids``; NaN where unknown.
    kinds : sequence of str, optional
        Of :data:`signals.kinds.NEEDS`; by default all that the round was prepared for.
    centre : float, optional
        Mean of the target over more assets than the round has, if it is known on more.
    overlap_min : float
        Least part of the assets whose target is known.
    workers : int
        Threads; no score depends on them.

    Returns
    -------
    dict of str to (m,) float64
        Finite, in the order of ``kinds``.

    Raises
    ------
    InputRejected
        ``coverage_too_low`` for too few known assets; ``score_input_invalid`` for a kind that was not prepared;
        ``value_not_finite`` for an infinite target.
    """
    t = np.asarray(target, dtype=np.float64)
    refuse_huge(t)
    counted = ~np.isnan(t)
    require_overlap(counted, overlap_min)
    on = prepared if counted.all() else prepared.on(counted, workers)
    known, middle = t[counted], float(t[counted].mean()) if centre is None else centre
    # The features themselves are not kept, so that the sides no longer tell of them.
    features = () if on.feature_places is None else ("fnc",)
    asked = (*on.sides.allowed_kinds(), *features) if kinds is None else kinds
    return multiply(on, {kind: _projection(kind)(on, known, middle) for kind in asked}, workers)


def multiply(on: PreparedRound, projections: Mapping[str, Projection], workers: int = 1) -> dict[str, FloatArray]:
    """Read the matrix once: for each model the product with each projection's vector, over its length."""
    groups = {v: [k for k, p in projections.items() if p.values == v] for v in ("gauss", "stressed", "features")}
    vectors = {v: np.array([projections[k].vector for k in names]) for v, names in groups.items() if names}
    products = {v: np.empty((len(on.model_ids), len(stack))) for v, stack in vectors.items()}

    places = {
        "gauss": on.places,
        "stressed": on.places,
        "features": on.places if on.feature_places is None else on.feature_places,
    }
    table = {"gauss": on.tables.gauss, "stressed": on.tables.stressed, "features": on.tables.stressed}

    def work(parts: Iterator[slice]) -> None:
        # Memory of the thread's own: fresh memory for each block would cost as much as the look-up.
        index, values = np.empty((SCORED_ROWS, on.places.shape[1]), np.intp), np.empty((SCORED_ROWS, on.places.shape[1]))
        for part in parts:
            at, found = index[: part.stop - part.start], values[: part.stop - part.start]
            for name, stack in vectors.items():
                if name != "stressed" or "gauss" not in vectors:  # both stand in the same places
                    at[...] = places[name][part]
                products[name][part] = dots(look_up(table[name], at, found), stack)

    each_block(len(on.model_ids), work, workers, SCORED_ROWS)
    columns = {kind: products[v][:, i] for v, names in groups.items() for i, kind in enumerate(names)}
    return {kind: _over(columns[kind], p.lengths) for kind, p in projections.items()}


def require_overlap(counted: BoolArray, overlap_min: float) -> None:
    """Refuse a universe of which less than ``overlap_min`` counts."""
    total, known = len(counted), int(counted.sum())
    if known == 0 or known / total < overlap_min:
        message = f"Target and predictions are known for {known:,} of {total:,} assets; at least {overlap_min:.0%} are needed."
        raise InputRejected(Code.COVERAGE_TOO_LOW, message)


@dataclass(frozen=True, slots=True, eq=False)
class _Builder:
    """Makes the state from whatever ranks a block of models: predictions at the close, places when assets drop out."""

    model_ids: npt.NDArray[np.str_]
    asset_ids: npt.NDArray[np.str_]
    sides: Sides
    ranked: Callable[[slice], PlaceArray]
    ranked_features: Callable[[slice, FloatArray], PlaceArray] | None
    neutral: bool
    staked: bool = True
    basis: FloatArray | None = None

    def build(self, workers: int) -> PreparedRound:
        m, n = len(self.model_ids), len(self.asset_ids)
        sides = replace(self.sides, features=None)
        basis = self.basis if self.neutral else None
        if basis is None and self.neutral and sides.exposures is not None:
            basis = orthonormal_rows(np.column_stack([np.ones(n), sides.exposures]))
        features = self.ranked_features
        blank = np.zeros(m)
        out = PreparedRound(
            self.model_ids, self.asset_ids, np.empty((m, n), dtype=np.uint16), tables(n), sides, blank,
            residual_lengths=None if basis is None else blank.copy(),
            basis=basis,
            feature_places=None if features is None else np.empty((m, n), dtype=np.uint16),
            feature_lengths=None if features is None else blank.copy(),
        )  # fmt: skip
        shares = sides.stake_shares() if self.staked and "mpc" in sides.allowed_kinds() else None
        crowds: dict[int, FloatArray] = {}

        def work(parts: Iterator[slice]) -> None:
            for part in parts:
                out.places[part] = self.ranked(part)
                index = out.places[part].astype(np.intp)
                stressed = look_up(out.tables.stressed, index)
                out.stressed_lengths[part] = _centred_lengths(stressed)
                if shares is not None and shares[part].any():
                    crowds[part.start] = np.sum(shares[part, None] * stressed, axis=0)
                if basis is None and features is None:
                    continue
                gauss = look_up(out.tables.gauss, index)
                if basis is not None and out.residual_lengths is not None:
                    out.residual_lengths[part] = _residual_lengths(gauss, basis)
                if features is not None and out.feature_places is not None and out.feature_lengths is not None:
                    out.feature_places[part] = features(part, gauss)
                    of_features = look_up(out.tables.stressed, out.feature_places[part].astype(np.intp))
                    out.feature_lengths[part] = _centred_lengths(of_features)

        each_block(m, work, workers)
        if shares is None:
            return out
        crowd = np.sum([crowds[start] for start in sorted(crowds)], axis=0) if crowds else np.zeros(n)
        weights = neutral_weights_of(out, crowd)
        return replace(out, portfolio=less(weights, float(weights.mean())))


def _feature_ranker(features: FloatArray) -> Callable[[slice, FloatArray], PlaceArray]:
    basis = orthonormal_basis(np.column_stack([np.ones(len(features)), features]))
    along = np.ascontiguousarray(basis.T)

    def ranked(part: slice, gauss: FloatArray) -> PlaceArray:
        del part
        rest = gauss - (gauss @ basis) @ along
        largest = np.max(np.abs(rest), axis=1, keepdims=True)
        kept = largest > WHOLLY_EXPLAINED * np.max(np.abs(gauss), axis=1, keepdims=True)
        # As signals.constancy.settled, in place: what the features leave tied but for rounding stays tied.
        rest *= np.where(kept, 10.0**DIGITS_KEPT / np.where(kept, largest, 1.0), 0.0)
        return places_of(np.rint(rest, out=rest))

    return ranked


def _centred_lengths(rows: FloatArray) -> FloatArray:
    sums = dots(rows, np.ones((1, rows.shape[1])))[:, 0]
    return np.asarray(np.sqrt(np.maximum(squares(rows) - sums * sums / rows.shape[1], 0.0)), dtype=np.float64)


def _residual_lengths(gauss: FloatArray, basis: FloatArray) -> FloatArray:
    """Length of what the basis leaves of each row; 0 where that is rounding."""
    whole = squares(gauss)
    left = whole - squares(dots(gauss, basis))
    for row in np.flatnonzero(left < CANCELLATION * whole):
        rest = gauss[row]
        for _ in range(2):
            rest = rest - np.sum(dots(rest[None, :], basis)[0][:, None] * basis, axis=0)
        left[row] = squares(rest[None, :])[0]
    left[left <= WHOLLY_EXPLAINED**2 * whole] = 0.0
    return np.asarray(np.sqrt(left), dtype=np.float64)


def _over(products: FloatArray, lengths: FloatArray | None) -> FloatArray:
    if lengths is None:
        return products.copy()
    there = lengths > 0
    return np.where(there, products / np.where(there, lengths, 1.0), 0.0)


def _projection(kind: str) -> Callable[[PreparedRound, FloatArray, float], Projection]:
    if kind not in PROJECTIONS:
        raise InputRejected(Code.SCORE_INPUT_INVALID, f"There is no kind of score {kind!r}.")
    return PROJECTIONS[kind]
