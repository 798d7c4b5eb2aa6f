"""A whole tear sheet's data from a generator: a factor market, a book that decisions of named models fill and that drifts, with
every optional section."""

import numpy as np

from portfolio.attribution import by_factor, session_of, stacked
from portfolio.book import BookState, Liquidity, TradingCosts
from portfolio.drift import drift_between_decisions
from portfolio.ownership import OwnedFill, Owners, by_model, filled_positions
from portfolio.sheetsections import CapacityPoint
from portfolio.simulate import collect, step
from portfolio.tearsheet import TearSheetData
from portfolio.trials import deflated_sharpe
from tests.builders.books import factor_columns, random_paths

SECTORS = ("energy", "materials", "industrials", "health", "banks", "technology")
STYLES = ("size", "momentum", "reversal", "volatility", "liquidity")
NAMES = ("market", *(f"sector:{s}" for s in SECTORS), "beta", *STYLES)
CAPITAL = 1e8


def full_sheet(sessions: int = 300, *, n: int = 40, models: int = 27, seed: int = 77) -> TearSheetData:
    """Return the data of a fund that decides each fifth session for so many models of two tournaments."""
    rng = np.random.default_rng(seed)
    B, kinds = factor_columns(rng, n, len(SECTORS), len(STYLES))
    factors = 0.004 * rng.standard_normal((sessions, len(NAMES)))
    overnight, noise = random_paths(rng, sessions, n)
    intraday = np.clip(factors @ B.T + 0.4 * noise, -0.4, 0.6)
    costs, liquidity = TradingCosts(0.0001, 0.05, 0.005, 0.0), Liquidity(np.full(n, 5e8), np.full(n, 0.02))
    labels = tuple(f"model_{k:02d}" for k in range(models))
    groups = tuple("signals" if k % 3 else "classic" for k in range(models))
    state, owners = BookState.opening(np.arange(n).astype(str), CAPITAL), Owners.inheriting(np.zeros(n))
    records, factor_lines, owned, weights = [], [], [], np.zeros((sessions, n))
    for row in range(sessions):
        target, parts = None, None
        if row % 5 == 0:
            # Some models see a little of what comes: a chart of noise alone would not look like a fund's.
            ahead = intraday[row : row + 5].sum(axis=0)
            parts = rng.standard_normal((models + 1, n)) + 0.012 * rng.random((models + 1, 1)) * ahead / 0.02
            parts -= parts.mean(axis=1, keepdims=True)
            parts *= 1.2 / np.abs(parts.sum(axis=0)).sum()
            target = parts.sum(axis=0)
        before = state
        state, day = step(before, overnight[row], intraday[row], costs, target=target, liquidity=liquidity)
        returns, fill = session_of(overnight[row], intraday[row]), None
        if target is not None:
            filled = filled_positions(state.positions, returns.intraday, target * day.equity_open)
            fill = OwnedFill(labels, groups, parts, filled, day.equity_open)
        owners, lines = by_model(owners, returns, day.costs, fill)
        owned.append(lines)
        factor_lines.append(
            by_factor(before.positions, returns, B, factors[row], NAMES, kinds, gross_pnl=day.gross_pnl, costs=day.costs)
        )
        records.append(day)
        weights[row] = state.weights
    result = collect(CAPITAL, records)
    days = np.arange("2014-01-02", "2032-01-01", dtype="datetime64[D]")
    days = days[np.is_busday(days)][:sessions]
    exposures = {name: (weights @ B)[:, j] for j, name in enumerate(NAMES) if name != "market"}
    trials = np.vstack([result.net_returns, 0.01 * rng.standard_normal((23, sessions))])
    points = [
        CapacityPoint(aum, multiple, 1.8 - 0.2 * np.log10(aum / 1e7), aum * (0.08 - 0.01 * multiple * (aum / 1e7) ** 0.4), 1.6)
        for aum in (1e7, 5e7, 1e8, 5e8, 1e9, 5e9)
        for multiple in (0.5, 1.0, 2.0)
    ]
    return TearSheetData(
        title="Fund tear sheet",
        subtitle="market-neutral mandate, generated prices, seed 77",
        sessions=days,
        initial_equity=CAPITAL,
        equity=result.equity,
        gross_pnl=result.gross_pnl,
        costs=result.costs,
        turnover=result.turnover,
        exposures={"gross": result.long_exposure - result.short_exposure, "net": result.long_exposure + result.short_exposure},
        factor_exposures=exposures,
        market_returns=intraday.mean(axis=1),
        flags=("synthetic", "survivors_only", "assumed"),
        by_factor=stacked(factor_lines),
        by_model=stacked(owned),
        drift=drift_between_decisions(days, exposures, np.arange(sessions) % 5 == 0, dict.fromkeys(STYLES, 0.05)),
        deflated=deflated_sharpe(result.net_returns, trials),
        capacity=points,
    )
