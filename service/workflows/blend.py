"""The fund's one view: which meta-models a rebalance listens to, and in which proportion.

It reads files of closed and resolved rounds and writes none but the vectors that :func:`put_fund_vectors` is given at a close.

1. Each round that closed on the session offers candidates: its neutral meta-model under the fund's variant and, for the
   walk-forward ensemble, under the further variants that the settings name.
2. ``fixed`` takes the settings' shares, ``stake`` what is at risk in each tournament, ``walk_forward`` the weights that
   :mod:`portfolio.ensemble` fits on the scores of rounds that had resolved at the decision instant, shrunk towards the stakes.
3. The vectors are standardized and mixed (:func:`signals.metamodel.blend`); mode, weights and rounds used are the evidence.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection

from crowdalpha.canonical import canonical_bytes
from crowdalpha.ids import RoundKey, RoundState, Tournament
from crowdalpha.terms import PPB
from market.arrays import FloatArray
from portfolio.ensemble import EnsembleResult, EnsembleSettings, ensemble_weights
from service.blobs import Blobs
from service.context import Platform
from service.frames import get_book, get_frame
from service.settings.sections import MetamodelSettings
from service.store import fund, rounds, stakes
from service.store.records import RoundRecord
from signals.constancy import is_constant
from signals.metamodel import STAKE, blend

FUND_VECTOR, FUND_VARIANTS = "fundvector", "fundvariants"


@dataclass(frozen=True, slots=True)
class FundView:
    """What the fund believes of each asset at a decision.

    Attributes
    ----------
    asset_ids : (n,) array of str
        Sorted union of the rounds' universes.
    score : (n,) float64
        Weighted mean of standardized vectors; zeros when nobody says anything.
    evidence : dict
        ``mode``, ``weights`` by candidate, ``rounds_used``, and for the ensemble why and on which rounds; plain JSON values.
    """

    asset_ids: np.ndarray
    score: FloatArray
    evidence: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A neutral vector on the common assets, the tournament it comes from, and the weights it was built with."""

    tournament: Tournament
    variant: str
    vector: FloatArray
    is_default: bool

    @property
    def label(self) -> str:
        return f"{self.tournament.label}:{self.variant}"


def fund_variants(settings: MetamodelSettings) -> tuple[str, ...]:
    """Return the variants that the fund may use, its own first, each once."""
    return tuple(dict.fromkeys([settings.variant, *settings.candidates.split()]))


def put_fund_vectors(blobs: Blobs, vectors: Mapping[str, FloatArray]) -> dict[str, str]:
    """Write (n,) neutral vectors by variant; return the hashes by artifact name."""
    names = sorted(vectors)
    return {
        FUND_VECTOR: blobs.put_array(np.vstack([vectors[v] for v in names])),
        FUND_VARIANTS: blobs.put(canonical_bytes({"variants": names})),
    }


def fund_vectors(connection: Connection, blobs: Blobs, key: RoundKey) -> dict[str, FloatArray]:
    """Read back what :func:`put_fund_vectors` wrote for round ``key``; empty where it wrote nothing."""
    files = rounds.artifacts(connection, key)
    if FUND_VECTOR not in files:
        return {}
    names = json.loads(blobs.get(files[FUND_VARIANTS]))["variants"]
    return dict(zip(names, blobs.get_array(files[FUND_VECTOR]), strict=True))


def fund_view(platform: Platform, connection: Connection, sources: Sequence[RoundRecord], now: datetime) -> FundView:
    """Blend the rounds that closed on one session.

    Parameters
    ----------
    sources : sequence of RoundRecord
        At most one a tournament, closed.
    now : datetime
        The decision instant: a round that resolved later is not looked at.
    """
    ids, candidates = _candidates(platform, connection, sources)
    settings = platform.settings.metamodel
    mode = settings.blend
    evidence: dict[str, Any] = {"mode": mode, "rounds_used": 0}
    if mode == "walk_forward":
        weights, fitted = _walk_forward(platform, connection, sources, candidates, now)
        evidence |= fitted
    else:
        candidates = [c for c in candidates if c.is_default]
        shares = _fixed_shares(settings) if mode == "fixed" else _stake_shares(connection, sources)
        weights = _among_speaking(candidates, [shares[c.tournament] for c in candidates])
    evidence["weights"] = {c.label: float(w) for c, w in zip(candidates, weights, strict=True)}
    return FundView(ids, blend([(c.vector, float(w)) for c, w in zip(candidates, weights, strict=True)]), evidence)


def record_of_scores(platform: Platform, connection: Connection, by: datetime | None = None) -> list[float]:
    """Return the meta-models' own final scores of all rounds resolved by then, or by now; oldest first in each tournament."""
    values, files = [], rounds.artifacts_named(connection, "metascore")
    for record in rounds.list_rounds(connection, None, (RoundState.RESOLVED,)):
        sha = files.get(record.key)
        due = by is None or (record.resolved_at is not None and record.resolved_at <= by)
        if sha is not None and due:
            values.append(json.loads(platform.blobs.get(sha))["metamodel_corr_ppb"] / PPB)
    return values


def past_scores(
    connection: Connection, blobs: Blobs, wanted: Sequence[tuple[Tournament, str]], now: datetime
) -> tuple[list[date], FloatArray]:
    """Return what candidates scored in the rounds that had resolved at ``now``.

    Parameters
    ----------
    wanted : sequence of (Tournament, str)
        Tournament and variant of each candidate.

    Returns
    -------
    sessions : list of date, length r
        Base sessions on which each candidate's round had resolved and its vector said something; oldest first.
    history : (r, k) float64
        Their ``corr``.
    """
    by_session: dict[date, dict[tuple[Tournament, str], float]] = {}
    files = rounds.artifacts_named(connection, "metascore")
    for tournament in dict.fromkeys(t for t, _ in wanted):
        for record in rounds.list_rounds(connection, tournament, (RoundState.RESOLVED,)):
            sha = files.get(record.key)
            if sha is None or record.resolved_at is None or record.resolved_at > now:
                continue
            for variant, ppb in json.loads(blobs.get(sha)).get("corr_ppb_by_variant", {}).items():
                by_session.setdefault(record.base_session, {})[tournament, variant] = ppb / PPB
    whole = sorted(s for s, found in by_session.items() if all(w in found for w in wanted))
    history = np.array([[by_session[s][w] for w in wanted] for s in whole], dtype=np.float64)
    return whole, history.reshape(len(whole), len(wanted))


def _candidates(
    platform: Platform, connection: Connection, sources: Sequence[RoundRecord]
) -> tuple[np.ndarray, list[_Candidate]]:
    """Return the sorted union of the rounds' universes, and each round's vectors on it, zero outside its own universe."""
    frames = [get_frame(connection, platform.blobs, s.key) for s in sources]
    ids = np.unique(np.concatenate([f.asset_ids for f in frames]))
    found = []
    for record, frame in zip(sources, frames, strict=True):
        vectors = {STAKE: get_book(connection, platform.blobs, record.key).neutral}
        vectors |= fund_vectors(connection, platform.blobs, record.key)
        # A round that closed under other settings lacks today's variant: the paying meta-model stands in.
        known = [v for v in fund_variants(platform.settings.metamodel) if v in vectors] or [STAKE]
        for variant in known:
            vector = np.zeros(len(ids))
            vector[np.searchsorted(ids, frame.asset_ids)] = vectors[variant]
            found.append(_Candidate(record.key.tournament, variant, vector, variant == known[0]))
    return ids, found


def _fixed_shares(settings: MetamodelSettings) -> dict[Tournament, float]:
    return {Tournament.SIGNALS: settings.signals_share, Tournament.CLASSIC: settings.classic_share}


def _stake_shares(connection: Connection, sources: Sequence[RoundRecord]) -> dict[Tournament, float]:
    """Return each tournament's part of all that is at risk on the session; zeros when nothing is."""
    at_risk = {s.key.tournament: sum(a.at_risk_atoms for a in stakes.at_risk_of_round(connection, s.key)) for s in sources}
    total = sum(at_risk.values())
    return {tournament: atoms / total if total else 0.0 for tournament, atoms in at_risk.items()}


def _among_speaking(candidates: Sequence[_Candidate], shares: Sequence[float]) -> FloatArray:
    """Return the shares with those of silent candidates given to the others in proportion; zeros if none is left."""
    kept = np.array([0.0 if is_constant(c.vector) else s for c, s in zip(candidates, shares, strict=True)])
    total = float(kept.sum())
    return kept / total if total > 0 else kept


def _walk_forward(
    platform: Platform,
    connection: Connection,
    sources: Sequence[RoundRecord],
    candidates: Sequence[_Candidate],
    now: datetime,
) -> tuple[FloatArray, dict[str, Any]]:
    """Return a weight for each candidate, and what the weights rest on."""
    by_stake = _stake_shares(connection, sources)
    prior = _among_speaking(candidates, [by_stake[c.tournament] if c.is_default else 0.0 for c in candidates])
    speaking = [i for i, c in enumerate(candidates) if not is_constant(c.vector)]
    weights = np.zeros(len(candidates))
    if not speaking or not prior.any():
        return weights, {"reason": "nobody_speaks"}
    chosen = [candidates[i] for i in speaking]
    sessions, history = past_scores(connection, platform.blobs, [(c.tournament, c.variant) for c in chosen], now)
    fitted = _fit(platform, history, prior[speaking], _former_weights(platform, connection, chosen, now))
    weights[speaking] = fitted.weights
    used = sessions[len(sessions) - fitted.rounds_used :]
    return weights, {
        "reason": fitted.reason,
        "rounds_used": fitted.rounds_used,
        "rounds_from": used[0].isoformat() if used else None,
        "rounds_to": used[-1].isoformat() if used else None,
        "stake_weights": {c.label: float(p) for c, p in zip(candidates, prior, strict=True)},
    }


def _fit(platform: Platform, history: FloatArray, prior: FloatArray, former: FloatArray) -> EnsembleResult:
    s = platform.settings.metamodel
    settings = EnsembleSettings(
        rounds_min=s.ensemble_rounds_min,
        rounds_max=s.ensemble_rounds_max,
        risk_penalty=s.ensemble_risk_penalty,
        turnover_penalty=s.ensemble_turnover_penalty,
        prior_rounds=s.ensemble_prior_rounds,
    )
    return ensemble_weights(history, prior, former if former.any() else prior, settings)


def _former_weights(platform: Platform, connection: Connection, candidates: Sequence[_Candidate], now: datetime) -> FloatArray:
    """Return what the last decision by ``now`` gave to these candidates, as parts of 1; zeros where it gave them nothing."""
    standing = [record for record in fund.list_rebalances(connection) if record.decided_at <= now]
    if not standing:
        return np.zeros(len(candidates))
    evidence = json.loads(platform.blobs.get(standing[-1].sha256))["evidence"]
    given = evidence.get("blend", {}).get("weights", {})
    former = np.array([given.get(c.label, 0.0) for c in candidates], dtype=np.float64)
    total = float(former.sum())
    return former / total if total > 0 else former
