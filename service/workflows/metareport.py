"""What a round writes down about its meta-model: at the close how it came to be, with the final score what it was worth.

It decides nothing about who may see it; :mod:`service.metamodels` does. Numbers in the files are integers, parts per billion.

At the close: ``metareport`` (shares, concentration, exposures of both vectors) and, where the settings ask for other weights
than the stakes, ``fundvector`` with ``fundvariants`` (one neutral vector a variant, for the fund alone).
With the final score: ``metascore`` (the meta-model's own ``corr``, and that of each vector that the fund may use) and
``contribution`` (what each model added).
"""

import json
from typing import Any

import numpy as np
from sqlalchemy import Connection

from crowdalpha.canonical import canonical_bytes
from crowdalpha.ids import RoundKey
from crowdalpha.terms import ATOMS_PER_TOKEN, PPB
from market.arrays import FloatArray
from service.context import Platform
from service.frames import ClosedBook, RoundFrame, get_book, get_frame, get_prepared
from service.store import models, rounds
from service.workflows.blend import fund_variants, fund_vectors, put_fund_vectors
from signals.constancy import is_constant
from signals.contribution import contributions_of, vector_score
from signals.crowd_report import concentration, factor_exposures
from signals.metamodel import STAKE, meta_model_of, variant_weights
from signals.prepared import PreparedRound
from signals.quantize import score_ppb
from staking import parse_amount

FORMAT = 1


def closing_files(
    platform: Platform, connection: Connection, frame: RoundFrame, book: ClosedBook, prepared: PreparedRound
) -> dict[str, str]:
    """Write what a close leaves about the meta-model; return the hashes by artifact name.

    The vectors for the fund are built on the same files and exposures as the paying one; they enter no score.
    """
    owners = owners_of(connection, book.model_ids)
    files = {"metareport": platform.blobs.put(canonical_bytes(report_of(platform, frame, book, owners)))}
    others = [v for v in fund_variants(platform.settings.metamodel) if v != STAKE]
    if others:
        vectors = {
            v: meta_model_of(prepared, weights_under(platform, v, book, owners), frame.exposures).neutral for v in others
        }
        files |= put_fund_vectors(platform.blobs, vectors)
    return files


def report_of(platform: Platform, frame: RoundFrame, book: ClosedBook, owners: list[str]) -> dict[str, Any]:
    """Return the content of ``metareport``: plain values, parts per billion."""
    variant = platform.settings.metamodel.variant
    shares, fund_shares = _parts(book.weights), _parts(weights_under(platform, variant, book, owners))
    spread = concentration(book.weights, owners)
    return {
        "format": FORMAT,
        "fund_variant": variant,
        "models": [
            {"model_id": m, "share_ppb": score_ppb(float(s)), "fund_share_ppb": score_ppb(float(f))}
            for m, s, f in zip(book.model_ids, shares, fund_shares, strict=True)
        ],
        "concentration_ppb": {name: score_ppb(getattr(spread, name)) for name in type(spread).__slots__},
        "exposures_ppb": {name: _by_factor(vector, frame) for name, vector in (("raw", book.raw), ("neutral", book.neutral))},
    }


def read_report(platform: Platform, connection: Connection, key: RoundKey) -> dict[str, Any]:
    """Return a closed round's ``metareport``; for a round that closed without one, the same from its frozen files."""
    sha = rounds.artifacts(connection, key).get("metareport")
    if sha is not None:
        report: dict[str, Any] = json.loads(platform.blobs.get(sha))
        return report
    book = get_book(connection, platform.blobs, key)
    return report_of(platform, get_frame(connection, platform.blobs, key), book, owners_of(connection, book.model_ids))


def final_files(platform: Platform, key: RoundKey, frame: RoundFrame, target: FloatArray) -> dict[str, str]:
    """Write what the final target says about the meta-model; return the hashes by artifact name.

    A vector without an opinion, as of a tournament without stakes, scores 0 and is left out of what the fund may look back on.
    """
    with platform.store.read() as connection:
        book = get_book(connection, platform.blobs, key)
        prepared = get_prepared(connection, platform.blobs, key)
        vectors = {STAKE: book.neutral} | fund_vectors(connection, platform.blobs, key)
    by_variant = {v: score_ppb(vector_score(x, target)) for v, x in vectors.items() if not is_constant(x)}
    own = by_variant.get(STAKE, 0)
    added = contributions_of(prepared, book.weights, frame.exposures, target)
    by_model = {m: score_ppb(float(c)) for m, c in zip(book.model_ids, added, strict=True)}
    return {
        "metascore": platform.blobs.put(canonical_bytes({"metamodel_corr_ppb": own, "corr_ppb_by_variant": by_variant})),
        "contribution": platform.blobs.put(canonical_bytes({"format": FORMAT, "contribution_ppb": by_model})),
    }


def owners_of(connection: Connection, model_ids: tuple[str, ...]) -> list[str]:
    """Return the provider of each model."""
    owner = {m.id: m.provider_id for m in models.list_models(connection)}
    return [owner[m] for m in model_ids]


def weights_under(platform: Platform, variant: str, book: ClosedBook, owners: list[str]) -> FloatArray:
    """Return what each model of a closed round weighs under a variant, with the settings of now."""
    settings = platform.settings.metamodel
    return variant_weights(
        variant,
        book.weights,
        owners,
        minimum=parse_amount(settings.stake_min_tokens) / ATOMS_PER_TOKEN,
        provider_share_max=settings.provider_share_max,
    )


def _parts(weights: FloatArray) -> FloatArray:
    total = float(weights.sum())
    return weights / total if total > 0 else np.zeros(weights.shape)


def _by_factor(vector: FloatArray, frame: RoundFrame) -> dict[str, int]:
    values = factor_exposures(vector, frame.exposures)
    return {name: score_ppb(float(value)) for name, value in zip(frame.names, values, strict=True)}


def from_ppb(value: int) -> float:
    """Return parts per billion as a number."""
    return value / PPB
