"""What a season came to: ``summary.json`` for scripts and ``tearsheet.html`` for people.

The summary holds no wall time, path or version, so that the same seed gives the same bytes. Amounts are text.
"""

import json
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crowdalpha.ids import UNSETTLED, Tournament
from service import queries
from service.atomic import write_file
from service.context import Platform
from service.metamodels import meta_model_detail
from service.store import fund, ledger, resolutions, rounds
from service.store.records import FundDayRecord
from staking import BURNED, TREASURY, format_amount

DRIFT_QUANTILE = 0.99


@dataclass(frozen=True, slots=True)
class Summary:
    """What a season came to.

    Attributes
    ----------
    data : dict
        The content of ``summary.json``.
    paths : dict
        Where the reports lie, by name: ``summary`` and ``tearsheet``.
    """

    data: dict[str, Any]
    paths: dict[str, Path]


def write_reports(platform: Platform, verdicts: dict[str, int], seed: int) -> Summary:
    """Write both reports into the home's ``reports/`` and return the summary."""
    from service.replay.sheet import render

    data: dict[str, Any] = _finite(summarize(platform, verdicts, seed))
    paths = {
        name: platform.home.reports / file for name, file in (("summary", "summary.json"), ("tearsheet", "tearsheet.html"))
    }
    for name, text in (
        ("summary", json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n"),
        ("tearsheet", render(platform, data)),
    ):
        write_file(paths[name], text.encode())
    return Summary(data, paths)


def summarize(platform: Platform, verdicts: dict[str, int], seed: int) -> dict[str, Any]:
    """Return the content of ``summary.json``."""
    board = [line for t in Tournament for line in queries.leaderboard(platform, t)]
    with platform.store.read() as connection:
        states = {t.label: _states(rounds.list_rounds(connection, t)) for t in Tournament}
        balances = ledger.balances(connection)
        days = fund.fund_days(connection)
        decisions = fund.list_rebalances(connection)
        settled = resolutions.list_resolutions(connection)
    return {
        "seed": seed,
        "market": {"source": platform.desk.panel.source, "flags": sorted(platform.desk.panel.flags)},
        "rounds": states,
        "models": len(board),
        "submissions": verdicts,
        "leaderboard": board,
        "providers": _providers(board),
        "stake_flows": {
            "deposited_atoms": str(-balances.get("external", 0)),
            "in_wallets_atoms": str(_sum(balances, "provider:")),
            "staked_atoms": str(_sum(balances, "stake:")),
            "reserved_atoms": str(_sum(balances, "reserve:")),
            "paid_atoms": str(sum(r.total_payout for r in settled)),
            "burned_atoms": str(balances.get(BURNED, 0)),
            "treasury_atoms": str(balances.get(TREASURY, 0)),
            "ledger_sum_atoms": str(sum(balances.values())),
        },
        "fund": _fund(platform, days) | {"rebalances": _count(d.status for d in decisions)},
        "meta_model": meta_model_detail(platform),
    }


def _finite(value: Any) -> Any:
    """Return ``value`` with None for every number that JSON has no word for, such as the Sharpe ratio of a flat line."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _states(records: list[Any]) -> dict[str, int]:
    return _count(r.state.value for r in records) | {"pending": sum(r.state in UNSETTLED for r in records)}


def _count(words: Any) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for word in words:
        found[word] += 1
    return dict(sorted(found.items()))


def _sum(balances: dict[str, int], prefix: str) -> int:
    return sum(v for a, v in balances.items() if a.startswith(prefix))


def _providers(board: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return stake flows a provider, with the mean share of positive payouts that its models kept."""
    from staking import parse_amount

    totals: dict[str, dict[str, Any]] = {}
    for line in board:
        mine = totals.setdefault(line["provider"], {"staked": 0, "paid": 0, "burned": 0, "kept": []})
        for name in ("stake", "paid", "burned"):
            mine[{"stake": "staked"}.get(name, name)] += parse_amount(line[f"{name}_tokens"])
        if line["retention_mean"] is not None:
            mine["kept"].append(line["retention_mean"])
    return [
        {
            "provider": name,
            "staked": format_amount(mine["staked"]),
            "paid": format_amount(mine["paid"]),
            "burned": format_amount(mine["burned"]),
            "net": format_amount(mine["paid"] - mine["burned"]),
            "retention_mean": sum(mine["kept"]) / len(mine["kept"]) if mine["kept"] else None,
        }
        for name, mine in sorted(totals.items(), key=lambda item: (item[1]["burned"] - item[1]["paid"], item[0]))
    ]


def _fund(platform: Platform, days: list[FundDayRecord]) -> dict[str, Any]:
    """Return the fund's statistics: result before and after costs, costs by kind, drift of exposures, ex-post beta."""
    initial = platform.settings.fund.initial_capital
    found: dict[str, Any] = {"initial_capital": initial, "sessions": len(days)}
    if not days:
        return found
    equity = np.array([d.equity for d in days])
    found |= {"equity": float(equity[-1]), "gross_pnl": float(sum(d.gross_pnl for d in days))}
    found["costs"] = {k: float(sum(d.costs[k] for d in days)) for k in days[0].costs}
    found |= queries.fund_statistics(initial, equity)
    found["drift_99"] = _drift(days)
    if len(days) > 2:
        from portfolio.performance import beta_with_error

        before = np.concatenate([[initial], equity[:-1]])
        beta, error = beta_with_error(equity / before - 1.0, np.array([d.exposures["market_return"] for d in days]))
        found |= {"beta": float(beta), "beta_error": float(error)}
    return found


def _drift(days: list[FundDayRecord]) -> dict[str, float]:
    """Return the 99 % quantile of each exposure's absolute value over all closes, between rebalances included."""
    names = sorted({n for d in days for n in d.exposures if n == "net" or n.startswith("factor:")})
    return {
        n.removeprefix("factor:"): float(np.quantile([abs(d.exposures.get(n, 0.0)) for d in days], DRIFT_QUANTILE))
        for n in names
    }
