"""Decide the fund's next book: meta-models in, target weights out, to be traded at the next session's open.

1. *load* the meta-models of the rounds that closed on the latest session, the record of resolved rounds, the fund's book.
2. *decide*: blend the tournaments (:mod:`service.workflows.blend`), estimate the risk model on the past weeks, scale the
   blend to an alpha, solve.
3. *commit* the target weights with their evidence (files), then the rebalance's row.

Decision instant: the clock's; prices up to the last session known then, resolved rounds up to then. The fill is the next open
after it, never earlier; on a date on which not all exchanges trade, the assets of the others stay as they are. Deciding again
for the same session, one of the exchange that the rounds keep to, returns the standing decision.
"""

import json
import math
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected
from crowdalpha.ids import RoundState, Tournament
from market.arrays import FloatArray, IntArray
from market.panel import PanelView
from portfolio.alpha import alpha_from_signal, shrunk_ic
from portfolio.book import BookState
from portfolio.build import build_problem
from portfolio.evidence import told_limits
from portfolio.ladder import Solution, solve
from portfolio.mandate import Mandate, mandate_from_mapping
from portfolio.riskmodel import RiskModel, estimate_risk_model
from service.book import read_book, weights_of
from service.context import Platform
from service.settings import lines_of, load_mandate
from service.store import audit, fund, rounds
from service.store.records import RebalanceRecord, RoundRecord
from service.workflows.blend import fund_view, record_of_scores


@dataclass(frozen=True, slots=True)
class Decision:
    """A decided book, before and after it is stored.

    Attributes
    ----------
    as_of : date
        Last session whose prices were known.
    fill_session : date
        Session at whose open the book is traded.
    asset_ids : (n,) array of str
    weights : (n,) float64
        Fractions of equity.
    evidence : dict
        Everything that the solver's verdict rests on, as plain JSON values.
    record : RebalanceRecord or None
        The stored row; None for a dry run.
    """

    as_of: date
    fill_session: date
    asset_ids: np.ndarray
    weights: FloatArray
    evidence: dict[str, Any]
    record: RebalanceRecord | None = None


def load_fund_mandate(platform: Platform) -> Mandate:
    """Return the mandate that the settings name, strictly read.

    Raises
    ------
    InputRejected
        MANDATE_INVALID, naming file, line and key; also for a fill at the close, which the live fund does not do.
    """
    values, source = load_mandate(platform.settings.fund.mandate, platform.settings.config_dir)
    lines = lines_of(source)
    mandate = mandate_from_mapping(values, source, lines)
    if mandate.fill != "open":
        what = f"{source}, line {lines['fill']}: the fund trades at the open; fill = {mandate.fill!r} is for backtests only."
        raise InputRejected(Code.MANDATE_INVALID, what)
    return mandate


def _wait_for_decision(platform: Platform, view: PanelView, minutes: int) -> None:
    """Refuse to decide earlier after the session's close than the mandate says."""
    session = platform.desk.home_session(view)
    due = platform.desk.home_calendar(view.instant).close_at(session) + timedelta(minutes=minutes)
    if view.instant < due:
        raise Conflict(Code.ROUND_NOT_DUE, f"The mandate decides on {session} no earlier than {due:%Y-%m-%d %H:%M} UTC.")


def rebalance(platform: Platform, as_of: date | None = None, *, dry_run: bool = False) -> Decision:
    """Decide the book to be traded at the open after ``as_of``.

    Parameters
    ----------
    as_of : date, optional
        The session to decide on; it must be the last one known now. None takes that one.
    dry_run : bool
        When true nothing is stored.

    Raises
    ------
    Conflict
        ROUND_NOT_DUE when ``as_of`` is not the last session known; ROUND_STATE when no round closed on it.
    """
    now = platform.clock.now()
    view = platform.desk.view(now)
    session = platform.desk.home_session(view)
    if as_of is not None and as_of != session:
        raise Conflict(Code.ROUND_NOT_DUE, f"The last session known now is {session}; a book is decided on it, not on {as_of}.")
    fill = platform.desk.calendar(now).next_open_after(now)
    with platform.store.read() as connection:
        standing = fund.latest_rebalance(connection)
        if standing is not None and standing.as_of == session and not dry_run:
            return read_decision(platform, standing)
        sources = _closed_on(connection, session)
        if not sources:
            raise Conflict(Code.ROUND_STATE, f"No round has closed on the prices of {session}: there is nothing to trade on.")
        fund_says = fund_view(platform, connection, sources, now)
        record_ic = record_of_scores(platform, connection)
        book, _ = read_book(connection, platform)
    ids = fund_says.asset_ids
    held = book.asset_ids[book.positions != 0]
    asset_ids = np.union1d(ids, held)
    positions = platform.desk.positions_of(asset_ids)
    on_axis = np.zeros(len(asset_ids))
    on_axis[np.searchsorted(asset_ids, ids)] = fund_says.score
    decision = _decide(platform, view, asset_ids, positions, on_axis, np.isin(asset_ids, ids), record_ic, book)
    decision.evidence["sources"] = {s.key.tournament.label: s.key.number for s in sources}
    decision.evidence["blend"] = fund_says.evidence
    result = Decision(session, fill, asset_ids, decision.weights, decision.evidence)
    return result if dry_run else _commit(platform, result)


@dataclass(frozen=True, slots=True)
class _Decided:
    weights: FloatArray
    evidence: dict[str, Any]


def _decide(
    platform: Platform,
    view: PanelView,
    asset_ids: np.ndarray,
    positions: IntArray,
    score: FloatArray,
    in_universe: np.ndarray,
    past_ic: list[float],
    book: BookState,
) -> _Decided:
    mandate = load_fund_mandate(platform)
    if mandate.decision_minutes_after_close > 0:
        _wait_for_decision(platform, view, mandate.decision_minutes_after_close)
    w0, equity = weights_of(book, asset_ids), book.equity
    exposures = platform.desk.exposures(view, positions)
    periods = platform.desk.factor_periods(view, exposures.names, platform.settings.fund.risk_weeks)
    model = estimate_risk_model(periods, exposures.values, positions, exposures.names, exposures.kinds)
    ic = shrunk_ic(past_ic, mandate.information_coefficient, mandate.ic_prior_rounds)
    horizon = _horizon(platform)
    dead = view.delisting_index[positions] >= 0
    problem = build_problem(
        mandate,
        model,
        alpha_from_signal(score, model, ic, horizon),
        w0,
        alpha_horizon_sessions=horizon,
        equity=equity,
        adv_dollars=_median_dollar_volume(platform, view, positions),
        # A name that did not trade on the last session cannot be counted on to trade at the next open.
        frozen=~view.traded[-1, positions] & ~dead,
        leaving=~in_universe,
        dead=dead,
    )
    solution = solve(problem)
    evidence = _evidence(solution, model, w0, ic)
    evidence["exposures_sha256"] = platform.blobs.put_array(model.B)
    evidence["bands"] = {
        "beta": mandate.beta_band,
        "sector": mandate.sector_band,
        "country": mandate.country_band,
        "style": mandate.style_band,
    }
    return _Decided(solution.weights, evidence)


def _evidence(solution: Solution, model: RiskModel, w0: FloatArray, ic: float) -> dict[str, Any]:
    w = solution.weights
    exposure = model.B.T @ w
    return {
        "status": solution.status,
        # Seconds are a fact about the machine: the same decision is the same bytes.
        "rungs": [{k: _json_number(v) for k, v in asdict(r).items() if k != "seconds"} for r in solution.rungs],
        "violations": dict(solution.violations),
        "objective": _json_number(solution.objective),
        "risk_aversion": _json_number(solution.risk_aversion),
        "limits": [asdict(limit) for limit in solution.limits],
        "limits_told": told_limits(solution),
        "information_coefficient": float(ic),
        "net": float(w.sum()),
        "gross": float(np.abs(w).sum()),
        "turnover": float(np.abs(w - w0).sum()),
        "holdings": int(np.count_nonzero(w)),
        "volatility_per_session": math.sqrt(max(float(exposure @ model.F @ exposure + model.D @ w**2), 0.0)),
        "exposures": {n: float(e) for n, e in zip(model.factor_names, exposure, strict=True)},
        "exposure_kinds": dict(zip(model.factor_names, model.factor_kinds, strict=True)),
    }


def _json_number(value: Any) -> Any:
    """Return None for a float that JSON has no word for."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _closed_on(connection: Connection, session: date) -> list[RoundRecord]:
    """Return, per tournament, the latest closed round, if it is based on ``session``."""
    found = []
    for tournament in Tournament:
        latest = rounds.latest_round(connection, tournament)
        if latest is not None and latest.base_session == session and latest.state in {RoundState.CLOSED, RoundState.SCORING}:
            found.append(latest)
    return found


def _horizon(platform: Platform) -> int:
    from service.settings import load_terms

    return load_terms(platform.settings.tournaments.signals.terms, platform.settings.config_dir).scoring.horizon_sessions


def _median_dollar_volume(platform: Platform, view: PanelView, positions: IntArray) -> FloatArray:
    window = platform.settings.universe.adv_window_sessions
    recent = np.nan_to_num(view.dollar_volume()[-window:, positions], nan=0.0)
    median: FloatArray = np.median(recent, axis=0)
    return median


def _commit(platform: Platform, decision: Decision) -> Decision:
    payload = {
        "evidence": decision.evidence,
        "asset_ids": [str(a) for a in decision.asset_ids],
        "weights": [float(w) for w in decision.weights],
        "fill_session": decision.fill_session.isoformat(),
    }
    sha = platform.blobs.put(json.dumps(payload, sort_keys=True).encode())
    with platform.store.write() as connection:
        standing = fund.latest_rebalance(connection)
        if standing is not None and standing.as_of == decision.as_of:
            return read_decision(platform, standing)
        now = platform.clock.now(connection)
        record = RebalanceRecord(
            id=platform.ids.new(),
            decided_at=now,
            as_of=decision.as_of,
            state="approved",
            status=str(decision.evidence["status"]),
            sha256=sha,
            fill_session=decision.fill_session,
        )
        fund.add_rebalance(connection, record)
        audit.record(connection, now, "schedule", "rebalance", record.id, {"evidence": sha})
    return Decision(**{**_fields(decision), "record": record})


def read_decision(platform: Platform, record: RebalanceRecord) -> Decision:
    """Read a stored decision back."""
    payload = json.loads(platform.blobs.get(record.sha256))
    return Decision(
        as_of=record.as_of,
        fill_session=date.fromisoformat(payload["fill_session"]),
        asset_ids=np.array(payload["asset_ids"]),
        weights=np.array(payload["weights"], dtype=np.float64),
        evidence=payload["evidence"],
        record=record,
    )


def _fields(decision: Decision) -> dict[str, Any]:
    return {name: getattr(decision, name) for name in Decision.__slots__}
