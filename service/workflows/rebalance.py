"""Propose the fund's next book: meta-models in, target weights and orders out, to be traded at the next session's open.

1. *load* the meta-models of the rounds that closed on the latest session, the record of resolved rounds, the fund's book. The
   book is settled through that session first: what an earlier rebalance has filled is held.
2. *decide*: blend the tournaments (:mod:`service.workflows.blend`), estimate the risk model on the past weeks, scale the
   blend to an alpha, solve; size the orders, and check them.
3. *commit* the target weights with their orders and evidence (files), then the rebalance's row, as proposed.

What becomes of a proposal is the matter of :mod:`service.workflows.approve_rebalance` and :mod:`service.workflows.send_orders`.

Decision instant: the clock's; prices up to the last session known then, resolved rounds up to then. The fill is the next open
after it, never earlier; on a date on which not all exchanges trade, the assets of the others stay as they are. Deciding again
for the same session, one of the exchange that the rounds keep to, returns the standing decision, unless that one has ended
without being traded.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict
from crowdalpha.ids import RoundState, Tournament
from market.arrays import FloatArray, IntArray
from market.panel import PanelView
from portfolio.alpha import shrunk_ic
from portfolio.book import BookState
from portfolio.evidence import told_limits
from portfolio.ladder import Solution, solve
from portfolio.lifecycle import ENDED, RebalanceState
from portfolio.riskmodel import RiskModel
from portfolio.sizing import OrderSizes, rounding_error, size_orders
from service.book import ShareCount, counted_now, read_book, read_shares, refuse_ruin, weights_of
from service.broker import PaperBroker
from service.context import Platform
from service.decide import decision_market, decision_problem
from service.decisions import Decision, load_fund_mandate, put_decision, read_decision, refuse_other_capital
from service.orders import WHOLE, last_prices, refuse_total_return
from service.ownership import ScoreParts, owned_weights, put_owners, score_parts
from service.pretrade import pretrade_findings
from service.store import audit, fund, rounds
from service.store.records import RebalanceRecord, RoundRecord
from service.tradelists import no_short_names, restricted_names
from service.workflows.blend import fund_view, record_of_scores
from service.workflows.settle_fund import refuse_behind, settle_fund

__all__ = ["Decision", "load_fund_mandate", "read_decision", "rebalance"]


def _wait_for_decision(platform: Platform, view: PanelView, minutes: int) -> None:
    """Refuse to decide earlier after the session's close than the mandate says."""
    session = platform.desk.home_session(view)
    due = platform.desk.home_calendar(view.instant).close_at(session) + timedelta(minutes=minutes)
    if view.instant < due:
        raise Conflict(Code.ROUND_NOT_DUE, f"The mandate decides on {session} no earlier than {due:%Y-%m-%d %H:%M} UTC.")


def rebalance(platform: Platform, as_of: date | None = None, *, dry_run: bool = False) -> Decision:
    """Propose the book to be traded at the open after ``as_of``.

    Parameters
    ----------
    as_of : date, optional
        The session to decide on; it must be the last one known now. None takes that one.
    dry_run : bool
        When true nothing is stored; the book must have been settled.

    Raises
    ------
    Conflict
        ROUND_NOT_DUE when ``as_of`` is not the last session known; ROUND_STATE when no round closed on it; FUND_RUINED when
        the fund's equity is not above zero, or a hundredth of what it holds; BOOK_BEHIND for a dry run on a book that is not
        settled.
    InputRejected
        PRICE_BASIS when whole shares are to be traded and prices hold dividends.
    """
    now = platform.clock.now()
    view = platform.desk.view(now)
    session = platform.desk.home_session(view)
    if as_of is not None and as_of != session:
        raise Conflict(Code.ROUND_NOT_DUE, f"The last session known now is {session}; a book is decided on it, not on {as_of}.")
    if platform.settings.fund.orders.shares == WHOLE:
        refuse_total_return(view)
    fill = platform.desk.calendar(now).next_open_after(now)
    if dry_run:
        refuse_behind(platform, view)
    else:
        settle_fund(platform)
    with platform.store.read() as connection:
        standing = fund.latest_rebalance(connection)
        if standing is not None and _stands(standing, session) and not dry_run:
            return replace(read_decision(platform, standing), standing=True)
        sources = _closed_on(connection, session)
        if not sources:
            raise Conflict(Code.ROUND_STATE, f"No round has closed on the prices of {session}: there is nothing to trade on.")
        fund_says = fund_view(platform, connection, sources, now)
        record_ic = record_of_scores(platform, connection)
        book, _ = read_book(connection, platform)
        book = _revalued(platform, view, book, read_shares(connection, platform))
        refuse_ruin(book)
        ids = fund_says.asset_ids
        asset_ids = np.union1d(ids, book.asset_ids[book.positions != 0])
        split = score_parts(platform, connection, sources, fund_says.evidence["weights"], ids, asset_ids)
    positions = platform.desk.positions_of(asset_ids)
    on_axis = np.zeros(len(asset_ids))
    on_axis[np.searchsorted(asset_ids, ids)] = fund_says.score
    decision = _decide(platform, view, asset_ids, positions, on_axis, np.isin(asset_ids, ids), record_ic, book, split)
    decision.evidence["sources"] = {s.key.tournament.label: s.key.number for s in sources}
    decision.evidence["blend"] = fund_says.evidence
    result = Decision(session, fill, asset_ids, decision.weights, decision.evidence, sizes=decision.sizes)
    with platform.store.read() as connection:
        result = replace(result, findings=pretrade_findings(platform, connection, PaperBroker(platform), view, result))
    return result if dry_run else _commit(platform, result)


def _revalued(platform: Platform, view: PanelView, book: BookState, shares: Mapping[str, ShareCount]) -> BookState:
    """Return a book in shares at the prices known now: they, or splits, may have come or changed since its settlement."""
    if not shares:
        return book
    positions = platform.desk.positions_of(book.asset_ids)
    worth = counted_now(shares, book.asset_ids, view.shares_grown(-1)[positions]) * last_prices(view, positions)
    return replace(book, positions=np.where(np.isfinite(worth), worth, book.positions))


def _stands(record: RebalanceRecord, session: date) -> bool:
    return record.as_of == session and RebalanceState(record.state) not in ENDED


@dataclass(frozen=True, slots=True)
class _Decided:
    weights: FloatArray
    evidence: dict[str, Any]
    sizes: OrderSizes


def _decide(
    platform: Platform,
    view: PanelView,
    asset_ids: np.ndarray,
    positions: IntArray,
    score: FloatArray,
    in_universe: np.ndarray,
    past_ic: list[float],
    book: BookState,
    split: ScoreParts,
) -> _Decided:
    mandate = load_fund_mandate(platform)
    refuse_other_capital(platform, mandate)
    if mandate.decision_minutes_after_close > 0:
        _wait_for_decision(platform, view, mandate.decision_minutes_after_close)
    market = decision_market(platform.desk, view, positions)
    withheld = restricted_names(platform, view, asset_ids) & ~market.dead
    no_short = no_short_names(platform, view, asset_ids)
    market = replace(market, frozen=market.frozen | withheld, no_short=no_short)
    model, horizon = market.model, _horizon(platform)
    w0, equity = weights_of(book, asset_ids), book.equity
    ic = shrunk_ic(past_ic, mandate.information_coefficient, mandate.ic_prior_rounds)
    problem = decision_problem(
        mandate,
        market,
        score,
        w0,
        equity=equity,
        ic=ic,
        in_universe=in_universe,
        horizon_sessions=horizon,
    )
    solution = solve(problem)
    evidence = _evidence(solution, model, w0, ic)
    # A holding that is frozen is in the book whatever was decided: who reads the book must be told which those are.
    evidence["frozen"] = {str(asset_ids[i]): float(w0[i]) for i in np.flatnonzero(problem.frozen)}
    evidence["exposures_sha256"] = platform.blobs.put_array(model.B)
    evidence["risk_model"] = {"sessions": model.sessions, **asdict(platform.settings.fund.risk)}
    evidence["bands"] = mandate.factor_bands
    owned = owned_weights(
        split,
        model,
        problem,
        solution,
        ic=ic,
        horizon_sessions=horizon,
        period_sessions=mandate.sessions_per_rebalance,
        leaving=~in_universe,
    )
    evidence |= put_owners(platform, split, owned)
    sizes = size_orders(
        solution.weights,
        w0,
        equity,
        last_prices(view, positions),
        trade_min=platform.settings.fund.orders.trade_min,
        withheld=withheld,
    )
    evidence["rounding"] = {
        "applied": platform.settings.fund.orders.shares,
        "fractional": rounding_error(sizes, model.B, model.factor_names, whole=False),
        "whole": rounding_error(sizes, model.B, model.factor_names, whole=True),
    }
    return _Decided(solution.weights, evidence, sizes)


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
        "factors": list(model.factor_names),
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


def _commit(platform: Platform, decision: Decision) -> Decision:
    sha = put_decision(platform, decision)
    with platform.store.write() as connection:
        standing = fund.latest_rebalance(connection)
        if standing is not None and _stands(standing, decision.as_of):
            return replace(read_decision(platform, standing), standing=True)
        now = platform.clock.now(connection)
        record = RebalanceRecord(
            id=platform.ids.new(),
            decided_at=now,
            as_of=decision.as_of,
            state=RebalanceState.PROPOSED.value,
            status=str(decision.evidence["status"]),
            sha256=sha,
            fill_session=decision.fill_session,
            expires_at=platform.desk.calendar(now).open_at(decision.fill_session),
            findings=tuple(f.as_dict() for f in decision.findings),
        )
        fund.add_rebalance(connection, record)
        audit.record(connection, now, "schedule", "rebalance", record.id, {"evidence": sha, "findings": len(decision.findings)})
    return replace(decision, record=record)
