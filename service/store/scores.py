"""Scores: the last one of each round, model and kind; what of a payout is retained; and the leaderboard made of them.

Daily histories are files. A score that was marked final pays, so it never changes again.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Table, Text, func, literal, select

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict
from crowdalpha.ids import RoundKey, RoundState, Tournament
from crowdalpha.terms import PPB
from service.store.records import LeaderboardRow, ModelRecord, ProviderRecord, RetentionRecord, ScoreRecord
from service.store.schema import (
    at_risk,
    balances,
    models,
    of_round,
    providers,
    resolution_lines,
    retentions,
    round_values,
    rounds,
    scores,
)
from service.store.stakes import SETTLED
from service.store.upsert import upsert_into
from staking.accounts import stake_account


def _score(row: Row[Any]) -> ScoreRecord:
    key = RoundKey(Tournament(row.tournament), row.number)
    return ScoreRecord(key, row.model_id, row.kind, row.day, row.value, row.score_ppb, row.final)


def put_scores(connection: Connection, records: Sequence[ScoreRecord]) -> None:
    """Keep scores; each takes the place of the earlier one of its round, model and kind.

    Raises
    ------
    Conflict
        ROUND_STATE if a final score would change. The same final score again is no change.
    """
    for key in {record.round for record in records}:
        _put(connection, key, [_row(record) for record in records if record.round == key])


def put_day(
    connection: Connection,
    key: RoundKey,
    day: int,
    model_ids: Sequence[str],
    columns: Mapping[str, tuple[Sequence[float], Sequence[int]]],
    *,
    final: bool,
) -> None:
    """Keep the scores of a whole round as :func:`put_scores` does; ``columns`` has each kind's values and their ppb."""
    about = {**round_values(key), "day": day, "final": final}
    rows = [
        {**about, "model_id": model_id, "kind": kind, "value": value, "score_ppb": ppb}
        for kind, (values, parts) in columns.items()
        for model_id, value, ppb in zip(model_ids, values, parts, strict=True)
    ]
    _put(connection, key, rows)


def _row(record: ScoreRecord) -> dict[str, Any]:
    about = {"day": record.day, "value": record.value, "score_ppb": record.score_ppb, "final": record.final}
    return {**round_values(record.round), "model_id": record.model_id, "kind": record.kind, **about}


def _put(connection: Connection, key: RoundKey, rows: list[dict[str, Any]]) -> None:
    final = select(scores).where(scores.c.final & of_round(scores, key))
    standing = {(s.model_id, s.kind): _row(s) for s in map(_score, connection.execute(final))}
    for row in rows if standing else ():
        if standing.get((row["model_id"], row["kind"]), row) != row:
            raise Conflict(Code.ROUND_STATE, f"The {row['kind']} scores of round {key} are final.")
    if rows:
        connection.execute(upsert_into(connection, scores), rows)


def scores_of_round(connection: Connection, key: RoundKey) -> list[ScoreRecord]:
    """Return the last scores of a round, by model id and kind."""
    rows = connection.execute(select(scores).where(of_round(scores, key)))
    found = [ScoreRecord(key, r.model_id, r.kind, r.day, r.value, r.score_ppb, r.final) for r in rows]
    return sorted(found, key=lambda s: (s.model_id, s.kind))


def scores_by_model(
    connection: Connection, key: RoundKey, model_id: str | None = None
) -> tuple[dict[str, dict[str, int]], int, bool]:
    """Return the last integer scores of a round by model id and kind, their newest day, and whether all of them are final.

    Without scores the day is 0, and nothing is final. With ``model_id`` only that model's are read.
    """
    columns = (scores.c.model_id, scores.c.kind, scores.c.score_ppb, scores.c.day, scores.c.final)
    own = of_round(scores, key) if model_id is None else of_round(scores, key) & (scores.c.model_id == model_id)
    found: dict[str, dict[str, int]] = {}
    day, final = 0, True
    for model_id, kind, score_ppb, of_day, is_final in connection.execute(select(*columns).where(own)):
        found.setdefault(model_id, {})[kind] = score_ppb
        day, final = max(day, of_day), final and is_final
    return found, day, final and bool(found)


def scores_of_model(connection: Connection, model_id: str) -> list[ScoreRecord]:
    """Return the last scores of a model in each of its rounds, by round and kind."""
    rows = connection.execute(select(scores).where(scores.c.model_id == model_id))
    return sorted((_score(row) for row in rows), key=lambda s: (s.round, s.kind))


def put_retentions(connection: Connection, records: Sequence[RetentionRecord]) -> None:
    """Keep what each model retains in its round; the last word holds."""
    rows = [
        {
            **round_values(record.round),
            "model_id": record.model_id,
            "churn": record.churn,
            "retention_ppb": record.retention_ppb,
        }
        for record in records
    ]
    if rows:
        connection.execute(upsert_into(connection, retentions), rows)


def retentions_of_round(connection: Connection, key: RoundKey) -> list[RetentionRecord]:
    """Return what the models retain in a round, by model id."""
    rows = connection.execute(select(retentions).where(of_round(retentions, key)))
    records = [RetentionRecord(key, row.model_id, row.churn, row.retention_ppb) for row in rows]
    return sorted(records, key=lambda record: record.model_id)


def retentions_of_model(connection: Connection, model_id: str) -> list[RetentionRecord]:
    """Return what a model retains in each of its rounds, by round."""
    rows = connection.execute(select(retentions).where(retentions.c.model_id == model_id))
    records = [
        RetentionRecord(RoundKey(Tournament(row.tournament), row.number), model_id, row.churn, row.retention_ppb)
        for row in rows
    ]
    return sorted(records, key=lambda record: record.round)


def mean_retentions(connection: Connection, tournament: Tournament) -> dict[str, float]:
    """Return for each model of a tournament the mean share of a positive payout that it keeps, 0 to 1."""
    columns = retentions.c
    statement = (
        select(columns.model_id, func.count().label("n"), func.sum(columns.retention_ppb).label("total"))
        .where(columns.tournament == int(tournament))
        .group_by(columns.model_id)
    )
    return {row.model_id: int(row.total) / (row.n * PPB) for row in connection.execute(statement)}


def leaderboard(connection: Connection, tournament: Tournament) -> list[LeaderboardRow]:
    """Return the standing of each model of a tournament, by name; the order of merit is the caller's.

    Notes
    -----
    A mean is the sum of ``score_ppb`` over the resolved rounds, an exact integer on both databases, divided once. The stake
    is what is free and what open rounds have reserved.
    """
    means, resolved = _means(connection, tournament)
    scored = _rounds_scored(connection, tournament)
    frozen = _frozen(connection, tournament)
    paid = _paid(connection, tournament)
    free = balances.c.balance.label("free_atoms")
    account = literal(stake_account("?").removesuffix("?"), Text) + models.c.id
    statement = (
        select(models, providers.c.name.label("provider_name"), providers.c.created_at.label("provider_since"), free)
        .join(providers, providers.c.id == models.c.provider_id)
        .outerjoin(balances, balances.c.account == account)
        .where(models.c.tournament == int(tournament))
    )
    board = [
        LeaderboardRow(
            model=ModelRecord(row.id, row.provider_id, row.name, tournament, row.created_at),
            provider=ProviderRecord(row.provider_id, row.provider_name, row.provider_since),
            rounds_scored=scored.get(row.id, 0),
            rounds_resolved=resolved.get(row.id, 0),
            mean_scores=means.get(row.id, {}),
            stake_atoms=(row.free_atoms or 0) + frozen[row.id][1],
            at_risk_atoms=frozen[row.id][0],
            payout_atoms=paid[row.id][0],
            burn_atoms=paid[row.id][1],
        )
        for row in connection.execute(statement)
    ]
    return sorted(board, key=lambda row: row.model.name)


def _same_round(table: Table) -> Any:
    return (table.c.tournament == rounds.c.tournament) & (table.c.number == rounds.c.number)


def _means(connection: Connection, tournament: Tournament) -> tuple[dict[str, dict[str, float]], dict[str, int]]:
    statement = (
        select(scores.c.model_id, scores.c.kind, func.count().label("n"), func.sum(scores.c.score_ppb).label("total"))
        .join(rounds, _same_round(scores))
        .where(scores.c.tournament == int(tournament), rounds.c.state == RoundState.RESOLVED.value)
        .group_by(scores.c.model_id, scores.c.kind)
    )
    means: dict[str, dict[str, float]] = defaultdict(dict)
    resolved: dict[str, int] = {}
    for row in connection.execute(statement):
        means[row.model_id][row.kind] = int(row.total) / (row.n * PPB)
        resolved[row.model_id] = max(resolved.get(row.model_id, 0), row.n)
    return {model: dict(sorted(kinds.items())) for model, kinds in means.items()}, resolved


def _rounds_scored(connection: Connection, tournament: Tournament) -> dict[str, int]:
    statement = (
        select(scores.c.model_id, func.count(scores.c.number.distinct()).label("n"))
        .where(scores.c.tournament == int(tournament))
        .group_by(scores.c.model_id)
    )
    return {row.model_id: row.n for row in connection.execute(statement)}


def _frozen(connection: Connection, tournament: Tournament) -> dict[str, tuple[int, int]]:
    """Return for each model what is at risk and what is reserved in rounds that are not settled."""
    statement = (
        select(at_risk.c.model_id, at_risk.c.at_risk_atoms, at_risk.c.reserved_atoms)
        .join(rounds, _same_round(at_risk))
        .where(at_risk.c.tournament == int(tournament), rounds.c.state.not_in([state.value for state in SETTLED]))
    )
    frozen: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for row in connection.execute(statement):
        risk, reserved = frozen[row.model_id]
        frozen[row.model_id] = (risk + row.at_risk_atoms, reserved + row.reserved_atoms)
    return frozen


def _paid(connection: Connection, tournament: Tournament) -> dict[str, tuple[int, int]]:
    """Return for each model the sums of its payouts and of its burns, both positive."""
    lines = resolution_lines.c
    statement = select(lines.model_id, lines.payout_atoms).where(lines.tournament == int(tournament))
    paid: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for row in connection.execute(statement):
        payout, burn = paid[row.model_id]
        paid[row.model_id] = (payout + max(row.payout_atoms, 0), burn + max(-row.payout_atoms, 0))
    return paid
