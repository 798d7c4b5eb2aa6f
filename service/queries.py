"""What the doors show: plain read functions that return JSON-ready values. They decide nothing and write nothing.

Amounts are decimal strings of tokens, instants ISO text in UTC. What is secret stays out: no one's signal, no score and no
meta-model of a round that has not closed. What may be known of meta-models stands in :mod:`service.metamodels`.
"""

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.ids import RoundKey, RoundState, Tournament
from market.universe import membership_change
from service.context import Platform
from service.frames import RoundFrame, get_frame
from service.halted import halted_since
from service.metamodels import public_contributions
from service.store import fund, gated, ledger, models, occurrences, resolutions, scores, stakes, submissions
from service.store import orders as order_rows
from service.store import rounds as round_rows
from service.store.guards import missing_guards
from service.store.records import RebalanceRecord, RoundRecord
from service.workflows.keep_head import head_problems
from staking import format_amount

OVERDUE_AFTER = timedelta(seconds=60)
"""An event that is due for longer and not done means that no scheduler works."""
AFTER_CLOSE = frozenset({RoundState.CLOSED, RoundState.SCORING, RoundState.RESOLVED, RoundState.VOID})


def rounds(platform: Platform, tournament: Tournament) -> list[dict[str, Any]]:
    """Return the tournament's rounds, newest first."""
    with platform.store.read() as connection:
        return [_round(r) for r in reversed(round_rows.list_rounds(connection, tournament))]


def round_detail(platform: Platform, key: RoundKey) -> dict[str, Any]:
    """Return one round: times, terms, and what may be known of it in its state.

    Raises
    ------
    InputRejected
        ROUND_UNKNOWN.
    """
    with platform.store.read() as connection:
        record = round_rows.round_by_key(connection, key)
        if record is None:
            raise InputRejected(Code.ROUND_UNKNOWN, f"There is no round {key}.")
        hashes = {"terms_hash": record.terms_hash, "universe_hash": record.universe_hash}
        detail = _round(record) | {"terms": record.terms} | hashes
        frame = get_frame(connection, platform.blobs, key)
        detail["universe_size"] = len(frame.asset_ids)
        detail["universe_change"] = _universe_change(platform, connection, key, frame)
        bases = {} if frame.sessions is None else frame.sessions.bases
        detail["base_sessions"] = {exchange: base.isoformat() for exchange, base in sorted(bases.items())}
        if record.state not in AFTER_CLOSE:
            return detail | {"models": []}
        names = {m.id: m.name for m in models.list_models(connection)}
        detail["submissions"] = len(submissions.selected_submissions(connection, key))
        detail["submissions_root"] = record.submissions_root
        detail["models"] = _round_models(connection, key, names, public_contributions(platform, connection, record))
    return detail


def leaderboard(platform: Platform, tournament: Tournament) -> list[dict[str, Any]]:
    """Return one line a model: mean final scores over resolved rounds, what was paid and burned, stake; best paid first."""
    with platform.store.read() as connection:
        board = scores.leaderboard(connection, tournament)
        kept = scores.mean_retentions(connection, tournament)
    board.sort(key=lambda row: (row.burn_atoms - row.payout_atoms, row.model.name))
    return [
        {
            "rank": rank,
            "model": row.model.name,
            "provider": row.provider.name,
            "tournament": tournament.label,
            "rounds": row.rounds_resolved,
            "scores": dict(row.mean_scores),
            "stake_tokens": format_amount(row.stake_atoms),
            "at_risk_tokens": format_amount(row.at_risk_atoms),
            "paid_tokens": format_amount(row.payout_atoms),
            "burned_tokens": format_amount(row.burn_atoms),
            "net_tokens": format_amount(row.payout_atoms - row.burn_atoms),
            "retention_mean": kept.get(row.model.id),
        }
        for rank, row in enumerate(board, 1)
    ]


def model_history(platform: Platform, name: str, key: RoundKey) -> list[dict[str, Any]]:
    """Return one model's scores in one round, day by day; raises InputRejected MODEL_UNKNOWN."""
    with platform.store.read() as connection:
        model = models.model_by_name(connection, name)
    if model is None:
        raise InputRejected(Code.MODEL_UNKNOWN, f"There is no model '{name[:40]}'.")
    return platform.scorebook.history(str(key), model.id)


def model_scores(platform: Platform, name: str) -> list[dict[str, Any]]:
    """Return the scores of one model, newest round first; raises InputRejected MODEL_UNKNOWN."""
    with platform.store.read() as connection:
        model = models.model_by_name(connection, name)
        if model is None:
            raise InputRejected(Code.MODEL_UNKNOWN, f"There is no model '{name[:40]}'.")
        by_round: dict[RoundKey, dict[str, Any]] = {}
        for score in scores.scores_of_model(connection, model.id):
            line = by_round.setdefault(
                score.round, {"round": str(score.round), "day": score.day, "final": score.final, "scores": {}}
            )
            line["scores"][score.kind] = score.value
    return [by_round[key] for key in sorted(by_round, reverse=True)]


def fund_curve(platform: Platform) -> dict[str, Any]:
    """Return the fund's settled sessions: equity after costs, gross of costs, exposures, and the data's flags."""
    with platform.store.read() as connection:
        days = fund.fund_days(connection)
        rebalances = fund.list_rebalances(connection)
        halted = halted_since(connection)
    equity = np.array([d.equity for d in days], dtype=np.float64)
    return {
        "sessions": [d.session.isoformat() for d in days],
        "equity": equity.tolist(),
        "gross": _gross_curve(platform, days),
        "exposures": [dict(d.exposures) for d in days],
        "costs": [dict(d.costs) for d in days],
        "flags": _flags(platform),
        "halted_since": _text(halted),
        "rebalances": [_rebalance(r) for r in rebalances],
        "statistics": fund_statistics(platform.settings.fund.initial_capital, equity),
    }


def rebalance_detail(platform: Platform, rebalance_id: str | None = None) -> dict[str, Any]:
    """Return one rebalance, the latest by default, as its operator sees it: approval, findings, orders, rounding error.

    Raises
    ------
    InputRejected
        REBALANCE_UNKNOWN.
    """
    from service.decisions import read_decision
    from service.workflows.approve_rebalance import find_rebalance

    with platform.store.read() as connection:
        record = find_rebalance(connection, rebalance_id)
        sent = order_rows.orders_of(connection, record.id)
    evidence = read_decision(platform, record).evidence
    reasons = Counter(o.fill.reason for o in sent if o.fill is not None and o.fill.reason)
    return _rebalance(record) | {
        "id": record.id,
        "net": evidence["net"],
        "gross": evidence["gross"],
        "turnover": evidence["turnover"],
        "holdings": evidence["holdings"],
        "rounding": evidence.get("rounding", {}),
        "orders": dict(sorted(Counter(o.state for o in sent).items())),
        "not_filled_whole": dict(sorted(reasons.items())),
        "findings": [dict(f) for f in record.findings],
    }


def _rebalance(record: RebalanceRecord) -> dict[str, Any]:
    """Return what may be public of a rebalance: of findings their codes and how many, since an asset would tell a position."""
    return {
        "as_of": record.as_of.isoformat(),
        "fill_session": None if record.fill_session is None else record.fill_session.isoformat(),
        "status": record.status,
        "state": record.state,
        "decided_at": record.decided_at.isoformat(),
        "approved_by": record.approved_by,
        "approved_at": _text(record.approved_at),
        "expires_at": _text(record.expires_at),
        "sent_at": _text(record.sent_at),
        "reconciled_at": _text(record.reconciled_at),
        "checks": dict(sorted(Counter(str(f["code"]) for f in record.findings).items())),
    }


def fund_statistics(initial: float, equity: np.ndarray) -> dict[str, float]:
    """Return total return, yearly return and volatility, Sharpe ratio and largest drawdown of an equity path."""
    if equity.size < 2:
        return {}
    from portfolio.performance import performance

    result = performance(np.concatenate([[initial], equity]))
    return {
        name: float(getattr(result, name))
        for name in ("total_return", "annual_return", "annual_volatility", "sharpe", "sharpe_error", "max_drawdown")
    }


HEADS_LOOKED_AT = 2
"""A rewritten ledger misfits the last head as well; all of them are the matter of ``ledger verify``."""


def health(platform: Platform) -> dict[str, Any]:
    """Return how the platform is: ``ok``, ``late`` (an event was not claimed), or ``broken``.

    Broken is a ledger that is off zero or has lost its guards in the database, and a kept head that is gone or does not fit.
    """
    with platform.store.read() as connection:
        now = platform.clock.now(connection)
        balances = ledger.balances(connection)
        overdue = len(occurrences.overdue(connection, now - OVERDUE_AFTER))
        problems = len(missing_guards(connection) + head_problems(platform, connection, HEADS_LOOKED_AT))
    total = sum(balances.values())
    status = "broken" if total or problems else ("late" if overdue else "ok")
    return {
        "status": status,
        "now": now.isoformat(),
        "ledger_sum_atoms": str(total),
        "ledger_problems": problems,
        "overdue": overdue,
    }


def _round(record: RoundRecord) -> dict[str, Any]:
    return {
        "round": str(record.key),
        "tournament": record.key.tournament.label,
        "number": record.key.number,
        "state": record.state.value,
        "opens_at": record.opens_at.isoformat(),
        "closes_at": record.closes_at.isoformat(),
        "base_session": record.base_session.isoformat(),
        "resolve_session": record.resolve_session.isoformat(),
        "resolved_at": _text(record.resolved_at),
    }


def _universe_change(platform: Platform, connection: Connection, key: RoundKey, frame: RoundFrame) -> dict[str, Any] | None:
    """Return who entered and who left since the round before, and the churn; a classic round names no asset."""
    if key.number == 1:
        return None
    before = get_frame(connection, platform.blobs, RoundKey(key.tournament, key.number - 1))
    entered, left, churn = membership_change(before.asset_ids, frame.asset_ids)
    change: dict[str, Any] = {"churn": churn, "entered": len(entered), "left": len(left)}
    if key.tournament is Tournament.SIGNALS:
        change |= {"entered_ids": entered.tolist(), "left_ids": left.tolist()}
    return change


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


def _round_models(
    connection: Connection, key: RoundKey, names: dict[str, str], contributions: dict[str, float]
) -> list[dict[str, Any]]:
    lines: dict[str, dict[str, Any]] = defaultdict(lambda: {"scores": {}, "at_risk_tokens": "0", "payout_tokens": None})
    for score in scores.scores_of_round(connection, key):
        lines[score.model_id]["scores"][score.kind] = score.value
        lines[score.model_id]["day"] = score.day
    for frozen in stakes.at_risk_of_round(connection, key):
        lines[frozen.model_id]["at_risk_tokens"] = format_amount(frozen.at_risk_atoms)
    for kept in scores.retentions_of_round(connection, key):
        lines[kept.model_id]["churn"] = kept.churn
        lines[kept.model_id]["retention_ppb"] = kept.retention_ppb
    for barred in gated.gated_of_round(connection, key):
        lines[barred.model_id]["gated"] = barred.code
    for paid in resolutions.lines_of_round(connection, key):
        lines[paid.model_id]["payout_tokens"] = format_amount(paid.payout_atoms)
    for model_id, added in contributions.items():
        lines[model_id]["contribution"] = added
    return sorted(({"model": names[m]} | line for m, line in lines.items()), key=lambda line: str(line["model"]))


def _gross_curve(platform: Platform, days: list[Any]) -> list[float]:
    initial = platform.settings.fund.initial_capital
    return (initial + np.cumsum([d.gross_pnl for d in days])).tolist() if days else []


def _flags(platform: Platform) -> list[str]:
    from service.vendors.ingested import ingested_flags

    return ingested_flags(platform.home)
