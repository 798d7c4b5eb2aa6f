"""Bundles of a round that nobody played: twelve models, terms of the default preset, made of integers alone."""

from dataclasses import replace
from typing import Any

import numpy as np

from crowdalpha.canonical import canonical_bytes, sha256_hex
from crowdalpha.merkle import merkle_root
from crowdalpha.terms import ATOMS_PER_TOKEN, PPB, RoundTerms
from service.bundles.archive import PUBLIC, array_bytes, write_bundle
from service.bundles.contents import LEDGER, RESOLUTION, ROUND, SCORES, SUBMISSIONS
from service.receipts import Signer
from service.settings import load_terms
from staking import AtRisk, LedgerRecord, StakeLine, append, reservation, reserve, resolve

ROUND_ID = "signals-7"
CLOSED_AT, RESOLVED_AT = "2016-01-09T23:00:00.000000Z", "2016-02-12T23:00:00.000000Z"
MODELS = tuple(f"model-{i:02d}" for i in range(12))


def invented_files(
    scores: dict[str, dict[str, int]] | None = None, retention: str = "neutral_churn", kept_ppb: int = PPB
) -> dict[str, bytes]:
    """Return the files of a public bundle whose money is right; every third model burns."""
    terms = load_terms("signals-weekly")
    terms = replace(terms, payout=replace(terms.payout, retention=retention))
    table = scores or {
        model: dict.fromkeys(terms.scoring.kinds, (-1) ** (i % 3 == 0) * (i + 1) * 2000000) for i, model in enumerate(MODELS)
    }
    submissions = [
        {"model_id": model, "sha256": sha256_hex(model.encode()), "received_at": "2016-01-09T20:00:00.000000Z"}
        for model in MODELS
    ]
    lines = [replace(line, retention_ppb=kept_ppb) for line in _lines(terms, table)]
    resolution = resolve(ROUND_ID, lines, terms.payout, RESOLVED_AT)
    told = {
        "round": ROUND_ID,
        "outcome": "resolved",
        "void_reason": None,
        "opens_at": "2016-01-09T14:00:00.000000Z",
        "closes_at": CLOSED_AT,
        "base_session": "2016-01-08",
        "resolve_session": "2016-02-11",
        "universe_hash": "ab" * 32,
        "terms": terms.as_dict(),
        "terms_hash": terms.hash,
        "submissions_root": merkle_root([canonical_bytes(s) for s in submissions]),
        "meta_model_withheld": True,
    }
    rows = [{"model_id": m, "scores_ppb": table[m], "retention_ppb": kept_ppb} for m in MODELS]
    return {
        ROUND: canonical_bytes(told),
        SUBMISSIONS: canonical_bytes(submissions),
        RESOLUTION: resolution.canonical(),
        SCORES: canonical_bytes(rows),
        LEDGER: canonical_bytes([record_as_plain(r) for r in sealed(lines, resolution.transfers)]),
    } | invented_yardstick()


def invented_yardstick() -> dict[str, bytes]:
    """Return what belongs to a resolved round beside the money; nothing is scored by it."""
    arrays = {"target": np.zeros(3), "exposures": np.zeros((3, 1)), "neutralizers": np.zeros((3, 1)), "weights_v": np.ones(3)}
    files = {f"yardstick/{name}.npy": array_bytes(array) for name, array in arrays.items()}
    return files | {"yardstick/labels.json": canonical_bytes(["AAA", "BBB", "CCC"])}


def _lines(terms: RoundTerms, table: dict[str, dict[str, int]]) -> list[StakeLine]:
    return [
        StakeLine(m, (i + 1) * ATOMS_PER_TOKEN, reservation((i + 1) * ATOMS_PER_TOKEN, terms.payout.clip_ppb), table[m])
        for i, m in enumerate(MODELS)
    ]


def sealed(lines: list[StakeLine], transfers: Any) -> list[LedgerRecord]:
    """Return the transfers of a round, its reservation first, sealed one after the other."""
    frozen = [AtRisk(x.model_id, x.at_risk_atoms, x.at_risk_atoms, x.reserved_atoms) for x in lines]
    records: list[LedgerRecord] = []
    for transfer in (reserve(ROUND_ID, frozen, CLOSED_AT), *transfers):
        records.append(append(records[-1] if records else None, transfer))
    return records


def record_as_plain(record: LedgerRecord) -> dict[str, Any]:
    """Return a sealed transfer as a bundle has it."""
    return {
        "sequence": record.sequence,
        "previous_hash": record.previous_hash,
        "hash": record.hash,
        "transfer": record.transfer.as_plain(),
    }


def invented_bundle(signer: Signer) -> bytes:
    """Return the bundle of :func:`invented_files`."""
    return write_bundle(PUBLIC, ROUND_ID, invented_files(), signer)
