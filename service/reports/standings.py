"""Leaderboards by reputation, by return on stake and by season: rows in, JSON-ready lines out.

The rules are those of :mod:`service.reports.ranking`; here it is decided which rounds and lines they are applied to.
``paid`` is the kind that a round's own terms pay on: the sum of multiplier times score, before factor, clip and retention.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.ids import UNSETTLED, RoundKey, RoundState, Tournament
from crowdalpha.terms import PAYING_KINDS, PPB, RoundTerms
from service.context import Platform
from service.reports.ranking import YEAR_DAYS, SettledLine, provider_reputations, reputations, returns_on_stake, season
from service.store import models, providers, resolutions, rounds, scores, stakes
from service.store.records import ModelRecord, RoundRecord
from service.workflows.accounts import model_named

PAID = "paid"
RETURN = "return"
KINDS = (PAID, *PAYING_KINDS)
"""What a reputation can be of."""

WINDOWS_DAYS = {"1d": 1, "1w": 7, "3m": 91, "1y": YEAR_DAYS}
"""Spans over which returns on stake are shown, besides all time."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The resolved rounds of a tournament, oldest first, and what they published of each model."""

    rounds: tuple[RoundRecord, ...]
    lines: tuple[SettledLine, ...]

    def since(self, instant: datetime) -> "Settled":
        """Return the part that was resolved after ``instant``."""
        kept = _since(self.rounds, instant)
        names = {str(r.key) for r in kept}
        return Settled(tuple(kept), tuple(line for line in self.lines if line.round_id in names))

    @property
    def round_ids(self) -> list[str]:
        """The names of the rounds."""
        return [str(r.key) for r in self.rounds]


def settled(
    connection: Connection, tournament: Tournament, found: Sequence[RoundRecord], model_id: str | None = None
) -> Settled:
    """Return what ``found``, resolved rounds of a tournament, published: of every model, or of one alone."""
    owner = {m.id: m.provider_id for m in models.list_models(connection, tournament)}
    if model_id is None:
        published = [s for r in found for s in scores.scores_of_round(connection, r.key)]
        frozen = {(r.key, a.model_id): a for r in found for a in stakes.at_risk_of_round(connection, r.key)}
        paid = {(r.key, x.model_id): x.payout_atoms for r in found for x in resolutions.lines_of_round(connection, r.key)}
    else:
        published = scores.scores_of_model(connection, model_id)
        frozen = {(key, model_id): a for key, a in stakes.at_risk_of_model(connection, model_id).items()}
        paid = {(key, model_id): x.payout_atoms for key, x in resolutions.lines_of_model(connection, model_id)}
    multipliers = {r.key: dict(RoundTerms.from_dict(r.terms).payout.multipliers_ppb) for r in found}
    by_line: dict[tuple[RoundKey, str], dict[str, int | Fraction]] = {}
    for score in published:
        if score.round in multipliers:
            by_line.setdefault((score.round, score.model_id), {})[score.kind] = score.score_ppb
    lines = []
    for (key, model), own in by_line.items():
        at = frozen.get((key, model))
        pays = multipliers[key] | dict((at.chosen_ppb if at is not None else None) or {})
        own[PAID] = Fraction(sum(m * int(own.get(kind, 0)) for kind, m in pays.items()), PPB)
        amounts = (0, 0) if at is None else (at.stake_atoms, at.at_risk_atoms)
        lines.append(SettledLine(str(key), model, owner[model], own, *amounts, paid.get((key, model), 0)))
    return Settled(tuple(found), tuple(lines))


def standings(platform: Platform, tournament: Tournament, by: str = PAID) -> list[dict[str, Any]]:
    """Return one line a model: its reputation in every kind, and its returns on stake; best first by ``by``.

    Parameters
    ----------
    by : str
        A kind of :data:`KINDS` for the reputation in it, or ``return`` for the return on stake over a year.

    Raises
    ------
    InputRejected
        ``request_invalid`` for another word.
    """
    _check_kind(by, (*KINDS, RETURN))
    with platform.store.read() as connection:
        now = platform.clock.now(connection)
        known = models.list_models(connection, tournament)
        owners = {p.id: p.name for p in providers.list_providers(connection)}
        whole = settled(connection, tournament, _resolved(connection, tournament))
        lines = _lines(whole, known, owners, now)
    lines.sort(key=lambda line: _order(line["returns"]["1y"] if by == RETURN else line["reputation"].get(by), line["model"]))
    return [{"rank": rank} | line for rank, line in enumerate(lines, 1)]


def model_line(platform: Platform, model_name: str) -> dict[str, Any]:
    """Return how one model stands, without its rank: that would ask for all of them. Raises InputRejected MODEL_UNKNOWN."""
    with platform.store.read() as connection:
        model = model_named(connection, model_name)
        owners = {p.id: p.name for p in providers.list_providers(connection)}
        own = settled(connection, model.tournament, _resolved(connection, model.tournament), model.id)
        return _lines(own, [model], owners, platform.clock.now(connection))[0]


def _lines(whole: Settled, known: Sequence[ModelRecord], owners: Mapping[str, str], now: datetime) -> list[dict[str, Any]]:
    """Return a line for each of the models, in their order: reputation in every kind of the year, returns in every window."""
    year = whole.since(now - timedelta(days=YEAR_DAYS))
    reputation = {kind: reputations(year.round_ids, year.lines, kind) for kind in _kinds(year)}
    returns = {name: returns_on_stake(whole.since(now - timedelta(days=d)).lines) for name, d in WINDOWS_DAYS.items()}
    returns["all"] = returns_on_stake(whole.lines)
    count = Counter(line.model_id for line in year.lines)
    return [
        {
            "model": m.name,
            "provider": owners[m.provider_id],
            "tournament": m.tournament.label,
            "rounds_in_year": count[m.id],
            "rounds_of_year": len(year.rounds),
            "reputation": {kind: _from_ppb(values.get(m.id)) for kind, values in reputation.items()},
            "returns": {name: _number(values.get(m.id)) for name, values in returns.items()},
        }
        for m in known
    ]


def provider_standings(platform: Platform, tournament: Tournament, by: str = PAID) -> list[dict[str, Any]]:
    """Return one line a provider with a file in the last year: the stake-weighted reputation of its models; best first."""
    _check_kind(by, KINDS)
    with platform.store.read() as connection:
        now = platform.clock.now(connection)
        of_year = _since(_resolved(connection, tournament), now - timedelta(days=YEAR_DAYS))
        year = settled(connection, tournament, of_year)
        names = {p.id: p.name for p in providers.list_providers(connection)}
    found = provider_reputations(year.round_ids, year.lines, by)
    order = sorted(found, key=lambda p: (-found[p], names[p]))
    return [
        {"rank": rank, "provider": names[p], "tournament": tournament.label, "reputation": _from_ppb(found[p])}
        for rank, p in enumerate(order, 1)
    ]


def season_standings(platform: Platform, tournament: Tournament, year: int, by: str = PAID) -> dict[str, Any]:
    """Return a season: its year, how many rounds it has so far, and one line a provider."""
    _check_kind(by, KINDS)
    with platform.store.read() as connection:
        now = platform.clock.now(connection)
        of_season = [r for r in _resolved(connection, tournament) if r.base_session.year == year]
        part = settled(connection, tournament, of_season)
        pending = [r for r in rounds.list_rounds(connection, tournament, UNSETTLED) if r.base_session.year == year]
        names = {p.id: p.name for p in providers.list_providers(connection)}
    board = season(part.round_ids, part.lines, by)
    return {
        "season": year,
        "tournament": tournament.label,
        "by": by,
        "rounds": len(part.rounds),
        "over": not pending and now >= datetime(year + 1, 1, 1, tzinfo=UTC),
        "providers": [
            {
                "rank": s.rank,
                "title": s.title,
                "provider": names[s.provider_id],
                "score": _from_ppb(s.score_ppb),
                "rounds_at_risk": s.rounds_at_risk,
            }
            for s in board
        ],
    }


def _resolved(connection: Connection, tournament: Tournament) -> list[RoundRecord]:
    return rounds.list_rounds(connection, tournament, (RoundState.RESOLVED,))


def _since(resolved: Sequence[RoundRecord], instant: datetime) -> list[RoundRecord]:
    """Return those that were resolved after ``instant``."""
    return [r for r in resolved if r.resolved_at is not None and r.resolved_at > instant]


def _check_kind(kind: str, known: Sequence[str]) -> None:
    if kind not in known:
        raise InputRejected(Code.REQUEST_INVALID, f"There is no standing by '{kind[:40]}'; there are: {', '.join(known)}.")


def _order(value: float | None, name: str) -> tuple[bool, float, str]:
    """Return the key that puts the highest value first, those without one last, and equals by name."""
    return value is None, 0.0 if value is None else -value, name


def _kinds(part: Settled) -> Sequence[str]:
    seen = {kind for line in part.lines for kind in line.scores_ppb}
    return [kind for kind in KINDS if kind in seen]


def _from_ppb(value: Fraction | None) -> float | None:
    return None if value is None else float(value / PPB)


def _number(value: Fraction | None) -> float | None:
    return None if value is None else float(value)
