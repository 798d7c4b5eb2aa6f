"""What a walk came to: figures for a table, series to keep, and a tear sheet. Nothing is decided or stored here."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from market.arrays import FloatArray
from portfolio.drift import DriftReport, drift_between_decisions
from portfolio.mandate import SESSIONS_PER_YEAR
from portfolio.page import Table
from portfolio.performance import beta_with_error, performance, session_returns
from portfolio.sheetsections import CapacityPoint
from portfolio.simulate import COST_KINDS
from portfolio.tearsheet import TearSheetData, render_tearsheet
from portfolio.trials import DeflatedSharpe
from service.backtest.spec import BacktestSpec
from service.backtest.walk import Walk, WalkDecision

SHOWN = (
    "total_return",
    "annual_return",
    "annual_volatility",
    "sharpe",
    "sharpe_error",
    "max_drawdown",
    "drawdown_sessions_max",
    "skewness",
    "kurtosis",
)


def figures(walk: Walk) -> dict[str, Any]:
    """Return the figures of a walk as JSON values; None where one has no meaning.

    ``gross_sharpe`` and ``gross_annual_return`` are of the same trades, had they been free; costs and turnover are parts of the
    mean equity, and multiples of it, a year; ``beta`` is that of the net returns on the mean return of the universe.
    """
    result = walk.result
    path = np.concatenate([[result.initial_equity], result.equity])
    gross_path = np.concatenate([[result.initial_equity], result.gross_equity])
    net, gross = performance(path), performance(gross_path)
    beta = beta_with_error(session_returns(path), walk.market_returns)
    yearly = SESSIONS_PER_YEAR / len(walk.sessions) / float(path.mean())
    held = [len(d.weights) for d in walk.decisions]
    found: dict[str, Any] = {
        "from": str(walk.sessions[0]),
        "to": str(walk.sessions[-1]),
        "sessions": len(walk.sessions),
        "decisions": len(walk.decisions),
        "silent": walk.silent,
        "statuses": dict(sorted(Counter(d.status for d in walk.decisions).items())),
        "outside_bands": sum(bool(d.beyond) for d in walk.decisions),
        "outside_bands_max": max((v for d in walk.decisions for v in d.beyond.values()), default=0.0),
        **{name: getattr(net, name) for name in SHOWN},
        "gross_annual_return": gross.annual_return,
        "gross_sharpe": gross.sharpe,
        "beta": beta.beta,
        "beta_error": beta.error,
        "turnover": float(result.turnover.sum()) * SESSIONS_PER_YEAR / len(walk.sessions),
        "costs": {kind: float(result.costs[kind].sum()) * yearly for kind in COST_KINDS},
        "gross_exposure": float(np.mean(result.long_exposure - result.short_exposure)),
        "holdings": float(np.mean(held)) if held else 0.0,
        "ic": float(np.mean([d.ic for d in walk.decisions])),
        "forced_closes": len(result.forced_closes),
        "unfilled": int(result.unfilled.sum()),
        "net_pnl": float(result.equity[-1] - result.initial_equity),
        "bankrupt": result.bankrupt,
    }
    return {name: _finite(value) for name, value in found.items()}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def decision_lines(walk: Walk) -> list[dict[str, Any]]:
    """Return one mapping a decision, of JSON values."""
    return [_line(decision) for decision in walk.decisions]


def _line(decision: WalkDecision) -> dict[str, Any]:
    return {
        "session": decision.session.isoformat(),
        "fill_session": decision.fill_session.isoformat(),
        "status": decision.status,
        "broken": {name: _finite(value) for name, value in decision.broken.items()},
        "ic": decision.ic,
        "gross": float(np.abs(decision.weights).sum()),
        "turnover": decision.turnover,
        "holdings": len(decision.weights),
        "exposures": dict(zip(decision.factors, decision.exposures.tolist(), strict=True)),
        "beyond": decision.beyond,
        "frozen": len(decision.frozen),
    }


def series(walk: Walk) -> dict[str, npt.NDArray[Any]]:
    """Return what is kept of a walk, by name: one value a session, and the capital before the first."""
    result = walk.result
    return {
        "sessions": walk.sessions,
        "capital": np.array(result.initial_equity),
        "equity": result.equity,
        "gross_pnl": result.gross_pnl,
        "turnover": result.turnover,
        "long": result.long_exposure,
        "short": result.short_exposure,
        "market": walk.market_returns,
        **{f"cost_{kind}": result.costs[kind] for kind in COST_KINDS},
    }


def tearsheet(
    walk: Walk,
    spec: BacktestSpec,
    flags: frozenset[str],
    deflated: DeflatedSharpe | None = None,
    trials: int = 1,
    capacity: Sequence[CapacityPoint] = (),
) -> str:
    """Return the tear sheet of a walk as one HTML page.

    Parameters
    ----------
    flags : frozenset of str
        Of the panel that was walked on.
    deflated : DeflatedSharpe or None
        Among all trials on these prices, where it is known.
    trials : int
        How many these are.
    capacity : sequence of CapacityPoint
        The same backtest at other sizes; see :func:`service.backtest.capacity.kept_capacity`.
    """
    result = walk.result
    free = "" if spec.costs else ", no costs"
    dead = f", {spec.deaths_percent:g} % deaths a year (seed {spec.seed})" if spec.deaths_percent else ""
    exposures: dict[str, FloatArray] = {
        "gross": result.long_exposure - result.short_exposure,
        "net": result.long_exposure + result.short_exposure,
    }
    data = TearSheetData(
        title=f"Backtest of {spec.source}",
        subtitle=f"{spec.mandate.name} mandate, filled at the next {spec.fill.value}{free}{dead}",
        sessions=walk.sessions,
        initial_equity=result.initial_equity,
        equity=result.equity,
        gross_pnl=result.gross_pnl,
        costs=result.costs,
        turnover=result.turnover,
        exposures=exposures,
        factor_exposures={
            name: np.nan_to_num(walk.factor_exposures[:, k]) for k, name in enumerate(walk.factors) if name != "market"
        },
        market_returns=walk.market_returns,
        flags=sorted(flags),
        tables=[_trial_table(walk, trials)],
        by_factor=walk.by_factor,
        by_model=walk.by_model,
        drift=_drift(walk, spec),
        deflated=deflated,
        capacity=capacity,
    )
    return render_tearsheet(data)


def _drift(walk: Walk, spec: BacktestSpec) -> DriftReport:
    """Return how the factor exposures moved between the decisions that were filled."""
    kinds = {name: kind for d in walk.decisions for name, kind in zip(d.factors, d.kinds, strict=True) if kind != "market"}
    bands = spec.mandate.factor_bands
    filled = np.array([d.fill_session for d in walk.decisions], dtype="datetime64[D]")
    return drift_between_decisions(
        walk.sessions,
        {name: walk.factor_exposures[:, k] for k, name in enumerate(walk.factors) if name in kinds},
        np.isin(walk.sessions, filled),
        {name: bands[kind] for name, kind in kinds.items() if kind in bands},
    )


def _trial_table(walk: Walk, trials: int) -> Table:
    statuses = Counter(d.status for d in walk.decisions)
    outside = sum(bool(d.beyond) for d in walk.decisions)
    rows = [
        ["Decisions", str(len(walk.decisions))],
        *[[f"… {status}", str(count)] for status, count in sorted(statuses.items())],
        ["… with an exposure outside its band", str(outside)],
        ["Closed by delistings", str(len(walk.result.forced_closes))],
        ["Trials on these prices", str(trials)],
    ]
    return Table("The trial", ("", ""), rows)
