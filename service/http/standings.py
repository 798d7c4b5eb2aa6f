"""Routes about standings: reputation, seasons, pending payouts, and what a model's stakes earned. All of it is public."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from service.http.access import OurPlatform
from service.http.models import model_name
from service.http.rounds import tournament_of
from service.reports.earned import earned_by
from service.reports.pending import pending_payouts, pending_total
from service.reports.ranking import YEAR_MAX, YEAR_MIN
from service.reports.standings import PAID, provider_standings, season_standings, standings

router = APIRouter(tags=["standings"])

ByQuery = Annotated[str, Query(max_length=40)]


@router.get("/standings/{tournament}")
def show_standings(platform: OurPlatform, tournament: str, by: ByQuery = PAID) -> dict[str, Any]:
    """Rank the models of ``tournament`` by the reputation of a year in the kind ``by``, or by ``return`` on stake."""
    return {"tournament": tournament, "by": by, "models": standings(platform, tournament_of(tournament), by)}


@router.get("/standings/{tournament}/providers")
def show_provider_standings(platform: OurPlatform, tournament: str, by: ByQuery = PAID) -> dict[str, Any]:
    """Rank the providers of ``tournament`` by the stake-weighted reputation of their models."""
    return {"tournament": tournament, "by": by, "providers": provider_standings(platform, tournament_of(tournament), by)}


@router.get("/standings/{tournament}/seasons/{year}")
def show_season(
    platform: OurPlatform, tournament: str, year: Annotated[int, Path(ge=YEAR_MIN, le=YEAR_MAX)], by: ByQuery = PAID
) -> dict[str, Any]:
    """Show the season of a calendar year: rank, title, score and rounds at risk of each provider."""
    return season_standings(platform, tournament_of(tournament), year, by)


@router.get("/pending")
def show_pending(platform: OurPlatform) -> dict[str, Any]:
    """Show what open rounds would pay or burn on today's scores, by round and model; every session replaces it."""
    found = pending_payouts(platform)
    return {"pending": found, "total_tokens": pending_total(found)}


@router.get("/models/{name}/pending")
def show_pending_of_model(platform: OurPlatform, name: str) -> dict[str, Any]:
    """Show what open rounds would pay or burn for one model on today's scores."""
    found = pending_payouts(platform, model_name(name))
    return {"model": name, "pending": found, "total_tokens": pending_total(found)}


@router.get("/models/{name}/report")
def show_report(platform: OurPlatform, name: str) -> dict[str, Any]:
    """Show what one model's stakes earned, round by round, beside the fund's return and the model's part in it."""
    return earned_by(platform, model_name(name))
