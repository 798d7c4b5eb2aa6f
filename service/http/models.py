"""Routes about models: checking and sending files, scores, the leaderboard, the fund, the key that receipts are signed with."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.ids import RoundKey
from service import queries
from service.http.access import OurPlatform, Submitter
from service.http.errors import envelope
from service.http.rounds import round_key_of, tournament_of
from service.http.uploads import FileUpload
from service.workflows import check as check_workflow
from service.workflows import submit as submit_workflow
from service.workflows.submit import SubmitOutcome

router = APIRouter(tags=["models"])

MODEL_NAME_CHARS_MAX = 40


@router.post("/models/{name}/submissions", status_code=HTTPStatus.CREATED, response_class=JSONResponse)
def submit_file(
    request: Request,
    platform: OurPlatform,
    provider: Submitter,
    upload: FileUpload,
    name: str,
    round_name: Annotated[str, Query(alias="round")] = "",
) -> Response:
    """Submit a CSV file for a model of the key's owner, to ``round`` (``signals-12``) or to the latest round.

    The file is the raw body, or the one file of a multipart form. Accepted: 201 with the verdict and the signed receipt.
    Refused: 422 with every finding in ``details``.
    """
    outcome = submit_workflow.submit(
        platform, model_name(name), upload.data, upload.filename, _round_key(round_name), provider_id=provider.id
    )
    verdict = _verdict(outcome)
    if not outcome.accepted:
        code = next((f.code for f in outcome.findings if f.refuses), Code.REQUEST_INVALID)
        message = f"The file was refused: {code.meaning}"
        return envelope(request.scope, HTTPStatus.UNPROCESSABLE_ENTITY, code.value, message, verdict)
    return JSONResponse(verdict, status_code=HTTPStatus.CREATED)


@router.post("/models/{name}/check")
def check_file(platform: OurPlatform, provider: Submitter, upload: FileUpload, name: str) -> dict[str, Any]:
    """Tell of a CSV file for a model of the key's owner what can be known before it is sent; nothing is stored.

    The file comes as for a submission, and is judged for the latest round. The answer is 200 for a file that would be refused
    as well: ``accepted`` is false and ``figures`` null.
    """
    return check_workflow.check(platform, upload.data, model_name=model_name(name), provider_id=provider.id).as_dict()


@router.get("/models/{name}/scores")
def show_scores(platform: OurPlatform, name: str) -> dict[str, Any]:
    """Show the scores of one model, round by round."""
    return {"model": name, "scores": queries.model_scores(platform, model_name(name))}


@router.get("/models/{name}/scores/{tournament}/{number}")
def show_score_history(platform: OurPlatform, name: str, tournament: str, number: int) -> dict[str, Any]:
    """Show one model's scores in one round, day by day."""
    key = round_key_of(tournament, number)
    return {"model": name, "round": str(key), "days": queries.model_history(platform, model_name(name), key)}


@router.get("/leaderboard/{tournament}")
def show_leaderboard(platform: OurPlatform, tournament: str) -> dict[str, Any]:
    """Show the models of ``tournament``, best first."""
    return {"tournament": tournament, "models": queries.leaderboard(platform, tournament_of(tournament))}


@router.get("/fund")
def show_fund(platform: OurPlatform) -> dict[str, Any]:
    """Show the fund's curve, its statistics, and the flags of the data under it."""
    return queries.fund_curve(platform)


@router.get("/receipts/public-key")
def show_public_key(platform: OurPlatform) -> dict[str, str]:
    """Give the Ed25519 key that receipts are verified with."""
    return {"algorithm": "Ed25519", "public_key": platform.signer.public_key}


def _verdict(outcome: SubmitOutcome) -> dict[str, Any]:
    return {
        "accepted": outcome.accepted,
        "late": outcome.late,
        "round": str(outcome.submission.round),
        "submission_id": outcome.submission.id,
        "sha256": outcome.submission.sha256,
        "received_at": outcome.submission.received_at.isoformat(),
        "findings": [f.as_dict() for f in outcome.findings],
        "receipt": None if outcome.receipt is None else outcome.receipt.as_dict(),
    }


def model_name(name: str) -> str:
    """Return the model's name of an address; raises InputRejected MODEL_UNKNOWN for one that is too long to be one."""
    if len(name) > MODEL_NAME_CHARS_MAX:
        raise InputRejected(Code.MODEL_UNKNOWN, f"There is no model '{name[:MODEL_NAME_CHARS_MAX]}'.")
    return name


def _round_key(text: str) -> RoundKey | None:
    """Return the round that ``signals-12`` names; None for an empty text, which means the latest."""
    if not text:
        return None
    label, _, number = text.partition("-")
    if not (number.isascii() and number.isdigit() and len(number) <= 8):
        raise InputRejected(Code.ROUND_UNKNOWN, "A round is named like 'signals-12'.")
    return round_key_of(label, int(number))
