"""One rebalance without impact, 50 factors: our whole call beside the same problem as one would write it down in cvxpy.

Ours is ``portfolio.solve``: checks, statement, solver, polish and verification. The peer's is the textbook statement, in which
the factor risk ‖L'B'w‖² repeats the dense block of the bands, and each |·| is an atom of its own; it is solved by what cvxpy
picks and, to tell the statement from the solver, by each of our solvers. Making the data is outside the clock, building the
problem inside. Every book is judged by ``portfolio.verify`` and valued by ``portfolio.objective``.
"""

from importlib import import_module
from typing import Any

from benchmarks.harness import SEED, Outcome, contend, repeat, show, table

SIZES = (1_000, 5_000)
SECTORS, STYLES = 24, 24
"""With the market and beta they make 50 factors."""
GROSS_HELD = 1.2


def _problem(assets: int) -> Any:
    """Return a weekly problem that starts from a neutral book, drifted by some days."""
    from dataclasses import replace

    import numpy as np

    from market.projection import residualize
    from tests.builders.books import random_problem

    rng = np.random.default_rng(SEED)
    problem = random_problem(rng, assets, sectors=SECTORS, styles=STYLES, drifted=False)
    neutral = residualize(np.clip(rng.standard_normal(assets), -2, 2), problem.B)
    held = GROSS_HELD * neutral / np.abs(neutral).sum()
    drifted = held * (1 + 0.03 * rng.standard_normal(assets))
    return replace(problem, w0=drifted, turnover_max=0.6)


def _judged(problem: Any, weights: Any) -> dict[str, Any]:
    from portfolio.problem import objective
    from portfolio.verify import excesses

    over = excesses(problem, weights)
    worst = max(over, key=lambda kind: over[kind])
    return {"objective": objective(problem, weights), "violation": over[worst], "limit": worst}


def ours(assets: int) -> dict[str, Any]:
    """Solve, polish and verify."""
    from portfolio.ladder import solve

    problem = _problem(assets)
    seconds, solution = repeat(lambda: solve(problem))
    return {**seconds, **_judged(problem, solution.weights), "status": solution.status, "solver": solution.rungs[-1].name}


def naive(assets: int, solver: str | None) -> dict[str, Any]:
    """Solve the textbook statement with ``solver``, or with what cvxpy picks."""
    import numpy as np

    from portfolio.scaled import covariance_root

    cp: Any = import_module("cvxpy")
    p = _problem(assets)
    pinned = p.exposure_lower == p.exposure_upper
    banded = np.isfinite(p.exposure_upper) & ~pinned

    def book() -> Any:
        w = cp.Variable(p.n)
        trade, exposure = w - p.w0, p.B.T @ w
        risk = cp.sum_squares((p.B @ covariance_root(p.F)).T @ w) + cp.sum_squares(cp.multiply(np.sqrt(p.D), w))
        cost = p.half_spread @ cp.abs(trade) + p.borrow @ cp.neg(w)
        limits = [cp.sum(w) == 0, cp.norm1(w) <= p.gross_max, cp.norm1(trade) <= p.turnover_max]
        limits += [w >= p.position_lower, w <= p.position_upper, exposure[pinned] == p.exposure_upper[pinned]]
        limits += [exposure[banded] >= p.exposure_lower[banded], exposure[banded] <= p.exposure_upper[banded]]
        program = cp.Problem(cp.Maximize(p.alpha @ w - p.risk_aversion * risk - cost), limits)
        program.solve(solver=solver)
        return w.value, program

    seconds, (weights, program) = repeat(book)
    return {**seconds, **_judged(p, weights), "status": program.status, "solver": program.solver_stats.solver_name}


def _table(outcomes: list[Outcome]) -> str:
    best = outcomes[0].found["objective"]
    return table(
        outcomes,
        {
            "answer": lambda o: f"{o.found['status']}, {o.found['solver']}",
            "objective": lambda o: f"{1e4 * o.found['objective']:.6f} bp",
            "less ours": lambda o: f"{o.found['objective'] / best - 1:+.1e}",
            "largest violation": lambda o: f"{o.found['violation']:.1e} ({o.found['limit']})",
        },
    )


def main() -> None:
    """Print a table for each size."""
    for assets in SIZES:
        outcomes = [
            contend("crowdalpha, solve", "rebalance", "ours", assets=assets),
            contend("textbook form, cvxpy's default", "rebalance", "naive", assets=assets, solver=None),
            contend("textbook form, Clarabel", "rebalance", "naive", assets=assets, solver="CLARABEL"),
            contend("textbook form, PIQP", "rebalance", "naive", assets=assets, solver="PIQP"),
        ]
        title = f"One rebalance, {assets:,} stocks, {2 + SECTORS + STYLES} factors, no impact"
        show(title, "python -m benchmarks.rebalance", _table(outcomes), packages=("cvxpy", "clarabel", "piqp"))


if __name__ == "__main__":
    main()
