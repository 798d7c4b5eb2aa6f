"""What a stake earned beside what the fund made of it: a line a round, money of both kinds side by side.

For each resolved round with something of the model at risk: what was paid or burned, the fund's own return over the sessions
that the round's returns span, and what the model's share of the book earned in them, before costs that are booked as their
own lines (see :mod:`service.attribution`). A stake may be paid for a signal that the fund could not trade, and the other way
round: that is what the report is for.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from sqlalchemy import Connection

from crowdalpha.terms import RoundTerms
from market.arrays import FloatArray, IntArray
from service.attribution import read_lines
from service.context import Platform
from service.store import fund, resolutions, rounds, stakes
from service.store.records import AtRiskRecord, ResolutionLine
from service.workflows.accounts import model_named
from staking import format_amount


@dataclass(frozen=True, slots=True)
class FundPath:
    """The fund's sessions: equity before and at each close, and what one model's part earned.

    Attributes
    ----------
    sessions : tuple of date, length T
    before, equity : (T,) float64
        In the currency of the fund.
    earned : mapping of str to (T,) float64
        By the model's name; a session of before there were lines is NaN.
    """

    sessions: tuple[date, ...]
    before: FloatArray
    equity: FloatArray
    earned: dict[str, FloatArray]

    def scored(self, base: date, last: date, lag_sessions: int) -> IntArray:
        """Return the positions of the sessions that a round's returns span: those after s₀ + lag, up to ``last``."""
        return np.flatnonzero([base < s <= last for s in self.sessions])[lag_sessions:]


def earned_by(platform: Platform, model_name: str) -> dict[str, Any]:
    """Return what the stakes of a model earned, round by round, newest first, with sums.

    Raises
    ------
    InputRejected
        ``model_unknown``.
    """
    with platform.store.read() as connection:
        model = model_named(connection, model_name)
        path = _path(platform, connection)
        frozen = stakes.at_risk_of_model(connection, model.id)
        paid = resolutions.lines_of_model(connection, model.id)
        lines = [_line(connection, path, model_name, frozen[key], line) for key, line in paid]
    total = sum(line.pop("payout_atoms") for line in lines)
    own = path.earned.get(model_name)
    attributed = None if own is None else float(np.nansum(own))
    return {
        "model": model_name,
        "tournament": model.tournament.label,
        "payout_tokens": format_amount(total),
        "attributed": attributed,
        "rounds": lines[::-1],
    }


def _line(connection: Connection, path: FundPath, name: str, frozen: AtRiskRecord, line: ResolutionLine) -> dict[str, Any]:
    record = rounds.round_by_key(connection, frozen.round)
    found: dict[str, Any] = {
        "round": str(frozen.round),
        "payout_atoms": line.payout_atoms,
        "stake_tokens": format_amount(frozen.stake_atoms),
        "at_risk_tokens": format_amount(line.at_risk_atoms),
        "payout_tokens": format_amount(line.payout_atoms),
        "return_on_at_risk": line.payout_atoms / line.at_risk_atoms if line.at_risk_atoms else None,
        "fund_return": None,
        "attributed": None,
    }
    if record is None:
        return found
    lag = RoundTerms.from_dict(record.terms).scoring.lag_sessions
    at = path.scored(record.base_session, record.resolve_session, lag)
    if at.size:
        found["fund_return"] = float(path.equity[at[-1]] / path.before[at[0]] - 1.0)
        own = path.earned.get(name)
        if own is not None and np.isfinite(own[at]).any():
            found["attributed"] = float(np.nansum(own[at]))
    return found | {"from": record.base_session.isoformat(), "to": record.resolve_session.isoformat()}


def _path(platform: Platform, connection: Connection) -> FundPath:
    days = fund.fund_days(connection)
    equity = np.array([d.equity for d in days], dtype=np.float64)
    before = np.concatenate([[platform.settings.fund.initial_capital], equity[:-1]]) if days else equity
    sessions = tuple(d.session for d in days)
    lines = read_lines(connection, platform)
    earned: dict[str, FloatArray] = {}
    if lines is not None:
        place = {session: i for i, session in enumerate(sessions)}
        rows = [place[s] for s in lines.sessions if s in place]
        kept = [i for i, s in enumerate(lines.sessions) if s in place]
        for column, name in enumerate(lines.by_model.names):
            values = np.full(len(sessions), np.nan)
            values[rows] = lines.by_model.values[kept, column]
            earned[name] = values
    return FundPath(sessions, before, equity, earned)
