"""What a bundle holds, gathered from a settled round. Each name is written here and read in the two modules that check.

``public`` and ``complete``:

- ``round.json``: key, outcome, instants, sessions, terms and their hash, root of the submissions, whether vectors are withheld
- ``submissions.json``: model, SHA-256 and instant of every file that counted: the leaves of the Merkle tree, in its order
- ``resolution.json``: the canonical bytes that the resolution was booked by, every line with every input
- ``scores.json``: final scores in ppb and retention of every model, staked or not
- ``ledger.json``: the sealed transfers of the round: what was reserved, burned, released and paid
- ``yardstick/…``: what a file of the round is scored beside, as far as it is public (see :func:`yardstick`)

``complete`` alone: ``files/<sha256>.csv`` as received, and ``frozen/…``, all that the close and the final score used, with the
rule that the hash of the universe is over. What becomes public of a classic round is less: see :func:`revealed_files`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sqlalchemy import Connection

from crowdalpha.canonical import canonical_bytes
from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected
from crowdalpha.ids import RoundKey, RoundState, Tournament
from crowdalpha.terms import RoundTerms
from market.arrays import IntArray
from service.bundles.archive import array_bytes, read_array
from service.clock import instant_text
from service.context import Platform
from service.frames import RoundFrame, get_book, get_features, get_frame
from service.metamodels import is_withheld
from service.store import ledger, resolutions, rounds, scores, submissions
from service.store.records import ResolutionRecord, RoundRecord, SubmissionRecord

ROUND, SUBMISSIONS, RESOLUTION, SCORES, LEDGER = (
    f"{name}.json" for name in ("round", "submissions", "resolution", "scores", "ledger")
)
RULE = "frozen/universe_rule.json"
"""Date and rule of the universe, which its hash is over beside the asset ids."""
TRANSFERS = ("reserve", "burn", "release", "payout")
"""The transfers of a round in the order in which they are booked; what moved nothing was not booked."""


def settled_round(connection: Connection, key: RoundKey) -> tuple[RoundRecord, ResolutionRecord]:
    """Return a round that is resolved or void, and its settlement.

    Raises
    ------
    InputRejected
        ROUND_UNKNOWN.
    Conflict
        ROUND_NOT_DUE before.
    """
    record = rounds.round_by_key(connection, key)
    if record is None:
        raise InputRejected(Code.ROUND_UNKNOWN, f"There is no round {key}.")
    resolution = resolutions.resolution_of_round(connection, key)
    if resolution is None:
        raise Conflict(Code.ROUND_NOT_DUE, f"Round {key} is {record.state.value}: its bundle is made once it is settled.")
    return record, resolution


def public_files(platform: Platform, connection: Connection, key: RoundKey) -> dict[str, bytes]:
    """Return the files of the public bundle of a settled round, by name. The same round gives the same bytes for ever."""
    record, resolution = settled_round(connection, key)
    withheld = is_withheld(platform, connection, record)
    files = {
        ROUND: canonical_bytes(_round(record, withheld=withheld)),
        # A round that was voided before its close counted nothing, and committed to nothing.
        SUBMISSIONS: canonical_bytes([leaf_of(s) for s in selected(connection, key)] if record.submissions_root else []),
        RESOLUTION: platform.blobs.get(resolution.sha256),
        SCORES: canonical_bytes(_scores(connection, key)),
        LEDGER: canonical_bytes(_transfers(connection, key)),
    }
    if record.state is RoundState.RESOLVED:
        files |= yardstick(platform, connection, record, withheld=withheld)
    return files


def complete_files(platform: Platform, connection: Connection, key: RoundKey) -> dict[str, bytes]:
    """Return the files of the complete bundle: the public ones, every file as received, and all that was frozen."""
    files = public_files(platform, connection, key)
    record, _ = settled_round(connection, key)
    frame = get_frame(connection, platform.blobs, key)
    artifacts = rounds.artifacts(connection, key)
    if record.submissions_root:
        files |= {f"files/{s.sha256}.csv": platform.blobs.get(s.sha256) for s in selected(connection, key)}
    arrays: dict[str, Any] = {
        "exposures": frame.exposures,
        "weights_v": frame.weights_v,
        "neutralizers": frame.neutralizers,
    }
    if "fnc" in RoundTerms.from_dict(record.terms).scoring.kinds:
        arrays["features"] = get_features(connection, platform.blobs, key, frame)
    if "target" in artifacts:
        arrays["target"] = platform.blobs.get_array(artifacts["target"])
    if "metamodel" in artifacts:
        book = get_book(connection, platform.blobs, key)
        arrays |= {"metamodel_raw": book.raw, "metamodel_neutral": book.neutral}
    files |= {f"frozen/{name}.npy": array_bytes(array) for name, array in arrays.items()}
    files["frozen/universe.json"] = canonical_bytes(
        {"asset_ids": [str(a) for a in frame.asset_ids], "labels": list(frame.labels)}
    )
    if "universe_rule" in artifacts:  # a round of before rules were kept has none
        files[RULE] = platform.blobs.get(artifacts["universe_rule"])
    if "labels" in artifacts:
        files["frozen/schemes.json"] = platform.blobs.get(artifacts["labels"])
    return files


def revealed_files(platform: Platform, connection: Connection, key: RoundKey) -> dict[str, bytes]:
    """Return the files of the bundle that becomes public after a while: the complete one, less what names a classic id's asset.

    A classic round shows the files of its providers, its target and its meta-model, row by row in the order of the ids. Its
    assets, their exposures and weights, and the meta-model made neutral to these, stay with the auditor for ever.
    """
    whole = complete_files(platform, connection, key)
    if key.tournament is Tournament.SIGNALS:
        return whole
    frame = get_frame(connection, platform.blobs, key)
    order = _by_label(frame)
    files = {name: data for name, data in whole.items() if not name.startswith("frozen/")}
    for name in ("target", "metamodel_raw", "features"):
        if f"frozen/{name}.npy" in whole:
            files[f"frozen/{name}.npy"] = array_bytes(read_array(whole[f"frozen/{name}.npy"])[order])
    return files | {"frozen/universe.json": canonical_bytes({"labels": [frame.labels[int(i)] for i in order]})}


def _by_label(frame: RoundFrame) -> IntArray:
    """Return the order of the ids: that of the universe would tell which asset each of them is."""
    return np.argsort(np.array(frame.labels), kind="stable")


def yardstick(platform: Platform, connection: Connection, record: RoundRecord, *, withheld: bool) -> dict[str, bytes]:
    """Return what a provider's own file is scored beside: labels, target, and what else of it is public.

    Exposures belong to assets, so a classic round, whose assets are never named, gives none; its rows are sorted by their ids,
    because in the order of the universe these would tell which asset each of them is. The meta-model stays away where too few
    providers stand behind it.
    """
    frame = get_frame(connection, platform.blobs, record.key)
    artifacts = rounds.artifacts(connection, record.key)
    named = record.key.tournament is Tournament.SIGNALS
    order = np.arange(len(frame.labels)) if named else _by_label(frame)
    arrays: dict[str, Any] = {"target": platform.blobs.get_array(artifacts["target"])}
    if not withheld:
        arrays["metamodel_raw"] = get_book(connection, platform.blobs, record.key).raw
    if named:
        arrays |= {"exposures": frame.exposures, "neutralizers": frame.neutralizers, "weights_v": frame.weights_v}
    if "fnc" in RoundTerms.from_dict(record.terms).scoring.kinds:
        arrays["features"] = get_features(connection, platform.blobs, record.key, frame)
    files = {f"yardstick/{name}.npy": array_bytes(array[order]) for name, array in arrays.items()}
    files["yardstick/labels.json"] = canonical_bytes([frame.labels[int(i)] for i in order])
    if named and "labels" in artifacts:
        files["yardstick/schemes.json"] = platform.blobs.get(artifacts["labels"])
    return files


def selected(connection: Connection, key: RoundKey) -> list[SubmissionRecord]:
    """Return the submissions that counted, by model id: the order of the tree's leaves."""
    return [submission for _, submission in sorted(submissions.selected_submissions(connection, key).items())]


def leaf_of(submission: SubmissionRecord) -> dict[str, str]:
    """Return what the close commits to of one submission."""
    return {
        "model_id": submission.model_id,
        "sha256": submission.sha256,
        "received_at": instant_text(submission.received_at),
    }


def _round(record: RoundRecord, *, withheld: bool) -> Mapping[str, Any]:
    return {
        "round": str(record.key),
        "outcome": record.state.value,
        "void_reason": record.void_reason,
        "opens_at": instant_text(record.opens_at),
        "closes_at": instant_text(record.closes_at),
        "base_session": record.base_session.isoformat(),
        "resolve_session": record.resolve_session.isoformat(),
        "terms": record.terms,
        "terms_hash": record.terms_hash,
        "universe_hash": record.universe_hash,
        "submissions_root": record.submissions_root,
        "meta_model_withheld": withheld,
    }


def _scores(connection: Connection, key: RoundKey) -> list[dict[str, Any]]:
    kept = {r.model_id: r.retention_ppb for r in scores.retentions_of_round(connection, key)}
    by_model: dict[str, dict[str, int]] = {}
    for score in scores.scores_of_round(connection, key):
        if score.final:
            by_model.setdefault(score.model_id, {})[score.kind] = score.score_ppb
    return [
        {"model_id": model_id, "scores_ppb": by_model[model_id], "retention_ppb": kept.get(model_id)}
        for model_id in sorted(by_model)
    ]


def _transfers(connection: Connection, key: RoundKey) -> list[dict[str, Any]]:
    found = [ledger.transfer_by_id(connection, f"{key}:{name}") for name in TRANSFERS]
    return [
        {"sequence": r.sequence, "previous_hash": r.previous_hash, "hash": r.hash, "transfer": r.transfer.as_plain()}
        for r in found
        if r is not None
    ]
