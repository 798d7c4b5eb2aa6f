"""What each model had the fund decide: the models' parts of a decision, computed when it is made and kept beside it.

1. The fund's score is a mix of the rounds' neutral vectors, each a weighted mean of signals less its exposures. That is linear
   in the signals, so each model has a part, computed from what the rounds froze at their close (:func:`score_parts`).
2. The optimizer's book is split over the parts by :func:`portfolio.ownership.model_weights` (:func:`owned_weights`).
3. The split is a file; its hash and the models' names go into the decision's evidence under ``owners`` (:func:`put_owners`).

It decides nothing: a decision is the same with and without it. What the parts earn is in :mod:`service.attribution`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection

from market.arrays import FloatArray, StrArray
from market.projection import residualize
from portfolio.ladder import Solution
from portfolio.ownership import model_alphas, model_weights
from portfolio.problem import RebalanceProblem
from portfolio.riskmodel import RiskModel
from service.context import Platform
from service.frames import get_book, get_frame, get_prepared
from service.store import models
from service.store.records import RoundRecord
from service.workflows.metareport import owners_of, weights_under
from signals.constancy import is_constant
from signals.metamodel import mean_of, shares_of

MODELS_MAX = 500
"""Models of a round with a part of their own, those with the largest shares: 500 rows of 5,000 names are 20 MB a decision. The
others share one part, called ``others``."""
OTHERS = "others"
KEY = "owners"


@dataclass(frozen=True, slots=True)
class ScoreParts:
    """The fund's score, split.

    Attributes
    ----------
    names, tournaments : tuple of str, length m
    parts : (m, n) float64
        On the decision's assets; they sum to the score up to a constant and rounding.
    """

    names: tuple[str, ...]
    tournaments: tuple[str, ...]
    parts: FloatArray


def score_parts(
    platform: Platform,
    connection: Connection,
    sources: Sequence[RoundRecord],
    blend: Mapping[str, float],
    universe: StrArray,
    asset_ids: StrArray,
) -> ScoreParts:
    """Split the fund's score over the models of the rounds that it listened to.

    Parameters
    ----------
    sources : sequence of RoundRecord
        Closed, at most one a tournament.
    blend : mapping of ``tournament:variant`` to float
        What the decision gave to each vector, as its evidence says.
    universe : (u,) array of str
        Sorted union of the rounds' universes, on which the vectors were standardized.
    asset_ids : (n,) array of str
        Sorted, holding ``universe``: the decision's assets.
    """
    names: list[str] = []
    tournaments: list[str] = []
    rows: list[FloatArray] = []
    known = {m.id: m.name for m in models.list_models(connection)}
    place = np.searchsorted(asset_ids, universe)
    for source in sources:
        label = source.key.tournament.label
        weights = {name.partition(":")[2]: w for name, w in blend.items() if name.partition(":")[0] == label and w > 0}
        if not weights:
            continue
        ids, vectors = _of_round(platform, connection, source, weights, universe)
        on_axis = np.zeros((len(ids), len(asset_ids)))
        on_axis[:, place] = vectors
        names += [known.get(i, i) for i in ids]
        tournaments += [label] * len(ids)
        rows.append(on_axis)
    parts = np.concatenate(rows) if rows else np.zeros((0, len(asset_ids)))
    return ScoreParts(tuple(names), tuple(tournaments), parts)


def _of_round(
    platform: Platform, connection: Connection, source: RoundRecord, weights: Mapping[str, float], universe: StrArray
) -> tuple[list[str], FloatArray]:
    """Return the models of a round that have a say, and their parts (m, u) under the variants that were listened to."""
    frame, book = get_frame(connection, platform.blobs, source.key), get_book(connection, platform.blobs, source.key)
    prepared, owners = get_prepared(connection, platform.blobs, source.key), owners_of(connection, book.model_ids)
    shares = {v: shares_of(len(owners), weights_under(platform, v, book, owners)) for v in weights}
    most = np.max(list(shares.values()), axis=0)
    order = np.argsort(-most, kind="stable")
    own, rest = np.sort(order[:MODELS_MAX][most[order[:MODELS_MAX]] > 0]), order[MODELS_MAX:]
    total = np.zeros((len(own) + 1, len(universe)))
    for variant, weight in weights.items():
        others = np.zeros_like(most)
        others[rest] = shares[variant][rest]
        rows = np.vstack(
            [shares[variant][own, None] * prepared.gauss(own), mean_of(prepared.gauss, others, len(frame.asset_ids))]
        )
        parts = np.zeros_like(total)
        parts[:, np.searchsorted(universe, frame.asset_ids)] = residualize(rows, frame.exposures)
        whole = parts.sum(axis=0)
        if not is_constant(whole):
            # As signals.metamodel.blend does it to the whole vector: mean 0, standard deviation 1, times its weight.
            total += weight * (parts - parts.mean(axis=1, keepdims=True)) / whole.std()
    ids = [book.model_ids[i] for i in own]
    return ([*ids, OTHERS], total) if total[-1].any() else (ids, total[:-1])


def owned_weights(
    split: ScoreParts,
    model: RiskModel,
    problem: RebalanceProblem,
    solution: Solution,
    *,
    ic: float,
    horizon_sessions: int,
    period_sessions: int,
    leaving: np.ndarray,
) -> FloatArray:
    """Split a decided book over the models, (m + 1, n) float64, the last row being what nobody owns.

    Parameters
    ----------
    split : ScoreParts
        On the decision's assets.
    model, problem, solution, ic, horizon_sessions
        Of the decision.
    period_sessions : int
        Sessions of a rebalance.
    leaving : (n,) bool
        Names without an alpha, because they leave.
    """
    alphas = model_alphas(split.parts, model, ic, horizon_sessions, period_sessions=period_sessions, leaving=leaving)
    return model_weights(problem, solution, alphas)


def put_owners(platform: Platform, split: ScoreParts, weights: FloatArray) -> dict[str, Any]:
    """Write each model's weights of a decision, from :func:`owned_weights`; return what goes into its evidence.

    Returns
    -------
    dict
        ``owners``: names, tournaments, and the hash of the weights.
    """
    return {
        KEY: {
            "names": list(split.names),
            "tournaments": list(split.tournaments),
            "weights_sha256": platform.blobs.put_array(weights),
        }
    }
