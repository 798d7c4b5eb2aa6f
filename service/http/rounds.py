"""Routes about tournaments and rounds: what runs, what a round's terms are, and what providers need to take part.

A classic round's assets are never named: providers see its published table, and nothing else of it.
"""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from crowdalpha.canonical import sha256_hex
from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.ids import ROUND_NUMBER_MAX, RoundKey, Tournament
from service import metamodels, queries
from service.context import Platform
from service.frames import get_frame
from service.http.access import OurPlatform
from service.store import rounds
from service.workflows.publish_bundle import bundle_of

router = APIRouter(tags=["rounds"])

PARQUET = "application/vnd.apache.parquet"


def tournament_of(label: str) -> Tournament:
    """Return the tournament of an address; raises InputRejected NOT_FOUND for another word."""
    try:
        return Tournament.from_label(label)
    except KeyError as error:
        raise InputRejected(Code.NOT_FOUND, "There is no such tournament.") from error


def round_key_of(label: str, number: int) -> RoundKey:
    """Return the round of an address; raises InputRejected NOT_FOUND or ROUND_UNKNOWN for one that cannot be."""
    tournament = tournament_of(label)
    if not 1 <= number <= ROUND_NUMBER_MAX:
        raise InputRejected(Code.ROUND_UNKNOWN, "There is no such round.")
    return RoundKey(tournament, number)


@router.get("/tournaments")
def list_tournaments() -> dict[str, Any]:
    """List the tournaments; the ids are those that numerapi sends."""
    return {"tournaments": [{"id": int(t), "name": t.label} for t in Tournament]}


@router.get("/rounds")
def list_rounds(platform: OurPlatform, tournament: str) -> dict[str, Any]:
    """List the rounds of ``tournament`` with their states and times."""
    return {"rounds": queries.rounds(platform, tournament_of(tournament))}


@router.get("/rounds/{tournament}/{number}")
def show_round(platform: OurPlatform, tournament: str, number: int) -> dict[str, Any]:
    """Show one round: state, times, terms, and what has been published of it."""
    return queries.round_detail(platform, round_key_of(tournament, number))


@router.get("/rounds/{tournament}/{number}/universe")
def show_universe(platform: OurPlatform, tournament: str, number: int) -> dict[str, Any]:
    """Give the identifiers that a signals file of this round may name."""
    key = round_key_of(tournament, number)
    if key.tournament is not Tournament.SIGNALS:
        raise InputRejected(Code.NOT_FOUND, "Only signals rounds name their assets; a classic round publishes its live table.")
    with platform.store.read() as connection:
        record = rounds.round_by_key(connection, key)
        if record is None:
            raise InputRejected(Code.ROUND_UNKNOWN, f"There is no round {key}.")
        frame = get_frame(connection, platform.blobs, key)
    return {"round": str(key), "universe_hash": record.universe_hash, "ids": sorted(frame.labels)}


@router.get("/rounds/{tournament}/{number}/live", response_class=Response)
def download_live(platform: OurPlatform, tournament: str, number: int) -> Response:
    """Give a classic round's live table: ids and features, as Parquet."""
    return _artifact(platform, round_key_of(tournament, number), "live")


@router.get("/rounds/{tournament}/{number}/era", response_class=Response)
def download_era(platform: OurPlatform, tournament: str, number: int) -> Response:
    """Give a classic round's table with its target, as Parquet, once the target is final."""
    return _artifact(platform, round_key_of(tournament, number), "era")


@router.get("/rounds/{tournament}/{number}/metamodel")
def show_meta_model(platform: OurPlatform, tournament: str, number: int) -> dict[str, Any]:
    """Give a resolved round's meta-model vectors, if enough providers stand behind them."""
    return metamodels.published_meta_model(platform, round_key_of(tournament, number))


@router.get("/rounds/{tournament}/{number}/metareport")
def show_meta_report(platform: OurPlatform, tournament: str, number: int) -> dict[str, Any]:
    """Give a closed round's weights, concentration and exposures, and once resolved what each model added."""
    return metamodels.meta_report(platform, round_key_of(tournament, number))


@router.get("/rounds/{tournament}/{number}/bundle", response_class=Response)
def download_bundle(platform: OurPlatform, tournament: str, number: int) -> Response:
    """Give a settled round's bundle, from which anybody recomputes it: the complete one once its terms reveal all files."""
    return _bundle(platform, round_key_of(tournament, number), sealed=False)


@router.get("/rounds/{tournament}/{number}/bundle/sealed", response_class=Response)
def download_sealed_bundle(platform: OurPlatform, tournament: str, number: int) -> Response:
    """Give the complete bundle of a settled round as it was sealed to the auditor that its terms name."""
    return _bundle(platform, round_key_of(tournament, number), sealed=True)


def _bundle(platform: Platform, key: RoundKey, *, sealed: bool) -> Response:
    data = bundle_of(platform, key, sealed=sealed)
    ending = "sealed" if sealed else "zip"
    headers = {"Content-Disposition": f'attachment; filename="bundle-{key}.{ending}"', "ETag": f'"{sha256_hex(data)}"'}
    return Response(data, media_type="application/octet-stream" if sealed else "application/zip", headers=headers)


def _artifact(platform: Platform, key: RoundKey, name: str) -> Response:
    with platform.store.read() as connection:
        if rounds.round_by_key(connection, key) is None:
            raise InputRejected(Code.ROUND_UNKNOWN, f"There is no round {key}.")
        sha = rounds.artifacts(connection, key).get(name)
    if sha is None:
        raise InputRejected(Code.NOT_FOUND, f"Round {key} publishes no {name} table.")
    return _parquet(platform, sha, f"{name}-{key}")


def _parquet(platform: Platform, sha: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}.parquet"', "ETag": f'"{sha}"'}
    return Response(platform.blobs.get(sha), media_type=PARQUET, headers=headers)
