"""A season as a tear sheet: gathers what :func:`portfolio.tearsheet.render_tearsheet` shows."""

from dataclasses import replace
from typing import Any

import numpy as np
from sqlalchemy import Connection

from portfolio.drift import DriftReport, drift_between_decisions
from portfolio.page import Table
from portfolio.tearsheet import TearSheetData, render_tearsheet
from service.attribution import read_lines
from service.context import Platform
from service.replay.providers.oracle import ORACLE_NAME
from service.store import fund
from service.store.records import FundDayRecord
from service.workflows.rebalance import read_decision

LEADERS_SHOWN = 15


def render(platform: Platform, summary: dict[str, Any]) -> str:
    """Return the tear sheet of the home's fund with the season's rounds and stakes, as one HTML page.

    Parameters
    ----------
    summary : dict
        The content of ``summary.json``.
    """
    with platform.store.read() as connection:
        days = fund.fund_days(connection)
        lines = read_lines(connection, platform)
        drift = _drift(platform, connection, days)
    if not days:
        return "<!doctype html><title>Tear sheet</title><p>The fund has not traded yet.</p>"
    factors = [n for n in days[-1].exposures if n.startswith("factor:") and n != "factor:market"]
    data = TearSheetData(
        title="Fund tear sheet",
        subtitle=f"{platform.settings.fund.mandate} mandate, {platform.desk.panel.source} prices, seed {summary['seed']}",
        sessions=np.array([d.session for d in days], dtype="datetime64[D]"),
        initial_equity=platform.settings.fund.initial_capital,
        equity=np.array([d.equity for d in days]),
        gross_pnl=np.array([d.gross_pnl for d in days]),
        costs={kind: np.array([d.costs[kind] for d in days]) for kind in days[0].costs},
        turnover=np.array([d.exposures["turnover"] for d in days]),
        exposures={name: np.array([d.exposures[name] for d in days]) for name in ("gross", "net")},
        factor_exposures={
            name.removeprefix("factor:"): np.array([d.exposures.get(name, 0.0) for d in days]) for name in factors
        },
        market_returns=np.array([d.exposures["market_return"] for d in days]),
        flags=summary["market"]["flags"],
        tables=[_rounds(summary), _leaders(summary), _flows(summary)],
        drift=drift,
    )
    if lines is not None and lines.sessions == tuple(d.session for d in days):
        data = replace(data, by_factor=lines.by_factor, by_model=lines.by_model)
    return render_tearsheet(data)


def _drift(platform: Platform, connection: Connection, days: list[FundDayRecord]) -> DriftReport | None:
    """Return how the factor exposures moved between the decisions that were filled; None before the first."""
    sessions = [d.session for d in days]
    filled = {r.fill_session: r for r in fund.list_rebalances(connection) if r.fill_session in sessions}
    if not filled:
        return None
    evidence = read_decision(platform, filled[max(s for s in sessions if s in filled)]).evidence
    kinds = {name: kind for name, kind in evidence["exposure_kinds"].items() if kind != "market"}
    return drift_between_decisions(
        np.array(sessions, dtype="datetime64[D]"),
        {name: np.array([d.exposures.get(f"factor:{name}", np.nan) for d in days]) for name in kinds},
        np.array([session in filled for session in sessions], dtype=bool),
        {name: evidence["bands"][kind] for name, kind in kinds.items() if kind in evidence["bands"]},
    )


def _rounds(summary: dict[str, Any]) -> Table:
    states = sorted({state for counts in summary["rounds"].values() for state in counts if state != "pending"})
    rows = [[label, *(str(counts.get(s, 0)) for s in states)] for label, counts in summary["rounds"].items()]
    note = "A round that is not resolved is pending: its stakes stay locked."
    return Table("Rounds", ["Tournament", *states], rows, note)


def _leaders(summary: dict[str, Any]) -> Table:
    board = sorted(summary["leaderboard"], key=lambda line: -float(line["net_tokens"]))[:LEADERS_SHOWN]
    rows = [
        [
            line["model"],
            line["tournament"],
            *(_signed(line["scores"].get(kind)) for kind in ("corr", "mmc", "neutral_corr", "neutral_mmc")),
            f"{float(line['stake_tokens']):,.1f}",
            f"{float(line['net_tokens']):+,.2f}",
        ]
        for line in board
    ]
    columns = ["Model", "Tournament", "Corr", "MMC", "Neutral corr", "Neutral MMC", "Stake", "Paid less burned"]
    note = f"The {len(rows)} best of {summary['models']} models; mean scores of resolved rounds."
    if any(line["model"] == ORACLE_NAME for line in board):
        note += f" {ORACLE_NAME} is shown the generated future through noise; everybody else sees the past only."
    return Table("Leaderboard", columns, rows, note)


def _flows(summary: dict[str, Any]) -> Table:
    rows = [
        [line["provider"], *(f"{float(line[k]):,.2f}" for k in ("staked", "paid", "burned", "net"))]
        for line in summary["providers"]
    ]
    return Table("Stake flows", ["Provider", "Staked", "Paid", "Burned", "Net"], rows, "Tokens.")


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.4f}"
