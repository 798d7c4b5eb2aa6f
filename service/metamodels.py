"""What may be known of the meta-models: weights and concentration always, exposures and contributions among enough providers.

It reads and writes nothing else; the doors show what it returns. Amounts are decimal strings of tokens.

The rule of what is public, in the order of a round's life:

1. Before the close: nothing.
2. After the close: each model's share and how concentrated the shares are. They follow from stakes, which are public anyway,
   and say nothing about anybody's file. The exposures of both vectors as well, to four decimals, if the effective number of
   providers, (Σw)²/Σw², is at least ``metamodel.publish_min_providers``.
3. After the resolution, under the same condition: the meta-model's own score, each model's contribution, and the two vectors.

Below that number the exposures and all of 3 stay withheld for good. Of two providers each knows its own half of an average,
and that does not change when the round is over: a vector would hand the other half over, and exposures and contributions
would be measurements of it.
"""

import json
from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

import numpy as np
from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.ids import RoundKey, RoundState, Tournament
from market.arrays import FloatArray
from service.context import Platform
from service.frames import get_book, get_frame
from service.store import models, rounds, stakes
from service.store.records import RoundRecord
from service.workflows.metareport import from_ppb, read_report
from staking import format_amount

CLOSED = (RoundState.CLOSED, RoundState.SCORING, RoundState.RESOLVED)
EXPOSURE_DECIMALS = 4
PROVIDERS_TOLERANCE = 1e-6
"""Shares are published in parts per billion: seven equal providers must not miss seven by the last digit."""


def meta_report(platform: Platform, key: RoundKey) -> dict[str, Any]:
    """Return how a closed round's meta-model came to be: shares a model, concentration, exposures, contributions.

    Raises
    ------
    InputRejected
        ROUND_UNKNOWN; NOT_FOUND before the round has closed, and for a void one.
    """
    with platform.store.read() as connection:
        record = _closed_round(connection, key)
        report = read_report(platform, connection, key)
        added = public_contributions(platform, connection, record)
        names = {m.id: m.name for m in models.list_models(connection)}
        line = _line(platform, connection, record, report)
    shown = [
        {
            "model": names[m["model_id"]],
            "share": from_ppb(m["share_ppb"]),
            "fund_share": from_ppb(m["fund_share_ppb"]),
            "contribution": added.get(m["model_id"]),
        }
        for m in sorted(report["models"], key=lambda m: (-m["share_ppb"], names[m["model_id"]]))
    ]
    return line | {"models": shown}


def meta_model_history(platform: Platform, tournament: Tournament) -> list[dict[str, Any]]:
    """Return one line a closed round, newest first: concentration, exposures to every factor, and its score once resolved."""
    with platform.store.read() as connection:
        closed = rounds.list_rounds(connection, tournament, CLOSED)
        return [_line(platform, connection, r, read_report(platform, connection, r.key)) for r in reversed(closed)]


def meta_model_detail(platform: Platform) -> dict[str, Any]:
    """Return, by tournament, the line of the latest closed round."""
    found: dict[str, Any] = {}
    with platform.store.read() as connection:
        for tournament in Tournament:
            closed = rounds.list_rounds(connection, tournament, CLOSED)
            if closed:
                report = read_report(platform, connection, closed[-1].key)
                found[tournament.label] = _line(platform, connection, closed[-1], report)
    return found


def published_meta_model(platform: Platform, key: RoundKey) -> dict[str, Any]:
    """Return the meta-model vectors of a resolved round, by the labels that files of the round use.

    Raises
    ------
    InputRejected
        ROUND_UNKNOWN; NOT_FOUND before the resolution, or when fewer providers stand behind the round than the settings ask
        for.
    """
    with platform.store.read() as connection:
        record = rounds.round_by_key(connection, key)
        if record is None:
            raise InputRejected(Code.ROUND_UNKNOWN, f"There is no round {key}.")
        if record.state is not RoundState.RESOLVED:
            raise InputRejected(Code.NOT_FOUND, f"The meta-model of round {key} is public once the round has resolved.")
        line = _line(platform, connection, record, read_report(platform, connection, key))
        if line["withheld"]:
            raise InputRejected(Code.NOT_FOUND, f"Too few providers stand behind round {key} for its meta-model to be public.")
        labels = get_frame(connection, platform.blobs, key).labels
        book = get_book(connection, platform.blobs, key)
    # By label: in the order of the universe a classic round's ids would tell which asset each of them is.
    order = sorted(range(len(labels)), key=labels.__getitem__)
    return line | {"ids": [labels[i] for i in order], "raw": book.raw[order].tolist(), "neutral": book.neutral[order].tolist()}


def public_vectors(platform: Platform, tournament: Tournament) -> list[tuple[RoundRecord, list[str], FloatArray]]:
    """Return round, labels and raw meta-model of every resolved round whose vectors are public, oldest first.

    Labels are sorted, and the vector goes with them, as in :func:`published_meta_model`.
    """
    found = []
    with platform.store.read() as connection:
        for record in rounds.list_rounds(connection, tournament, (RoundState.RESOLVED,)):
            if not _enough_providers(platform, read_report(platform, connection, record.key)):
                continue
            labels = get_frame(connection, platform.blobs, record.key).labels
            order = sorted(range(len(labels)), key=labels.__getitem__)
            raw = get_book(connection, platform.blobs, record.key).raw
            found.append((record, [labels[i] for i in order], raw[order]))
    return found


def is_withheld(platform: Platform, connection: Connection, record: RoundRecord) -> bool:
    """Say whether the vectors of a round stay away from the public for good, or for now because it has not resolved."""
    if record.state is not RoundState.RESOLVED:
        return True
    return not _enough_providers(platform, read_report(platform, connection, record.key))


def latest_public(platform: Platform, connection: Connection, tournament: Tournament) -> RoundRecord | None:
    """Return the latest resolved round of the tournament whose vectors are public, or None while there is none."""
    for record in reversed(rounds.list_rounds(connection, tournament, (RoundState.RESOLVED,))):
        if _enough_providers(platform, read_report(platform, connection, record.key)):
            return record
    return None


def published_raw_vectors(
    platform: Platform, tournament: Tournament, sessions: Collection[date]
) -> dict[date, tuple[np.ndarray, FloatArray]]:
    """Return the ``raw`` vectors that are public, with their asset ids, by the base session of their round."""
    found: dict[date, tuple[np.ndarray, FloatArray]] = {}
    with platform.store.read() as connection:
        for record in rounds.list_rounds(connection, tournament, (RoundState.RESOLVED,)):
            if record.base_session not in sessions or not _enough_providers(
                platform, read_report(platform, connection, record.key)
            ):
                continue
            asset_ids = get_frame(connection, platform.blobs, record.key).asset_ids
            found[record.base_session] = asset_ids, get_book(connection, platform.blobs, record.key).raw
    return found


def public_contributions(platform: Platform, connection: Connection, record: RoundRecord) -> dict[str, float]:
    """Return each model's contribution to a resolved round, by model id; empty while or where it is not public."""
    sha = rounds.artifacts(connection, record.key).get("contribution")
    if record.state is not RoundState.RESOLVED or sha is None:
        return {}
    if not _enough_providers(platform, read_report(platform, connection, record.key)):
        return {}
    found = json.loads(platform.blobs.get(sha))["contribution_ppb"]
    return {model_id: from_ppb(value) for model_id, value in found.items()}


def _closed_round(connection: Connection, key: RoundKey) -> RoundRecord:
    record = rounds.round_by_key(connection, key)
    if record is None:
        raise InputRejected(Code.ROUND_UNKNOWN, f"There is no round {key}.")
    if record.state not in CLOSED:
        raise InputRejected(Code.NOT_FOUND, f"Round {key} is {record.state.value}: it has no meta-model.")
    return record


def _enough_providers(platform: Platform, report: Mapping[str, Any]) -> bool:
    least = platform.settings.metamodel.publish_min_providers
    return float(from_ppb(report["concentration_ppb"]["effective_providers"])) >= least - PROVIDERS_TOLERANCE


def _line(platform: Platform, connection: Connection, record: RoundRecord, report: Mapping[str, Any]) -> dict[str, Any]:
    public = _enough_providers(platform, report)
    at_risk = sum(a.at_risk_atoms for a in stakes.at_risk_of_round(connection, record.key))
    exposures = report["exposures_ppb"]
    return {
        "round": str(record.key),
        "base_session": record.base_session.isoformat(),
        "state": record.state.value,
        "models": len(report["models"]),
        "at_risk_tokens": format_amount(at_risk),
        "fund_variant": report["fund_variant"],
        **{name: from_ppb(value) for name, value in report["concentration_ppb"].items()},
        "withheld": not public,
        "score": _own_score(platform, connection, record) if public else None,
        "exposures": _shown(exposures["raw"]) if public else None,
        "exposures_neutral": _shown(exposures["neutral"]) if public else None,
    }


def _shown(exposures_ppb: Mapping[str, int]) -> dict[str, float]:
    # Adding zero turns a negative zero, which rounding leaves of a neutral exposure, into a plain one.
    return {name: round(from_ppb(value), EXPOSURE_DECIMALS) + 0.0 for name, value in exposures_ppb.items()}


def _own_score(platform: Platform, connection: Connection, record: RoundRecord) -> float | None:
    sha = rounds.artifacts(connection, record.key).get("metascore")
    if record.state is not RoundState.RESOLVED or sha is None:
        return None
    return from_ppb(json.loads(platform.blobs.get(sha))["metamodel_corr_ppb"])
