"""A weekly backtest, decisions included: 500 stocks, five years, 20 given factors, beside cvxportfolio.

Each week one convex problem under the limits that cvxportfolio can express too: dollar-neutral, neutral to one factor and
within a band of the other nineteen, gross, cap on each name, turnover; linear cost and fee on shorts. Both get returns,
alphas and risk model, drift between decisions, and trade at the start of the week whose return they then earn. Ours is
``portfolio.solve`` (cvxpy, polish and verification) and :func:`portfolio.step`; exposures do not change, which suits a program
that is compiled once, as theirs is.

cvxportfolio is GPL-3. It is never a part of the project: the benchmark makes an environment of its own for it under ``build/``,
with pip, and runs :mod:`benchmarks.weekly_peer` there as a process of its own, which gets arrays in a file and answers in JSON.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, SEED, Outcome, contend, repeat, run_command, show, table

PEER = ("cvxportfolio==1.5.1", "piqp==0.7.0")
"""PIQP so that the peer can also be run with the solver that ours picks."""
HOME = ROOT / "build" / "cvxportfolio-1.5.1"
WEEKS_PER_YEAR = 365.24 / 7
FACTORS = 20


def _given(assets: int, weeks: int, borrow: float) -> dict[str, Any]:
    """Return the case as arrays, by the names under which both contenders look for them."""
    import numpy as np

    from tests.builders.books import factor_covariance

    rng = np.random.default_rng(SEED)
    kinds = ("beta", *["style"] * (FACTORS - 1))
    exposures = rng.standard_normal((assets, FACTORS))
    covariance = factor_covariance(rng, kinds)
    specific = (0.03 * np.exp(0.35 * rng.standard_normal(assets))) ** 2
    moved = rng.multivariate_normal(np.zeros(FACTORS), covariance, weeks) @ exposures.T
    own = rng.standard_normal((weeks, assets)) * np.sqrt(specific)
    view = np.zeros((weeks, assets))
    for week in range(weeks):
        view[week] = 0.9 * view[week - 1] + np.sqrt(1 - 0.81) * rng.standard_normal(assets)
    alpha = 0.02 * np.sqrt(specific) * view
    return {
        "returns": np.clip(moved + own + alpha, -0.5, 0.5),
        "alpha": alpha,
        "exposures": exposures,
        "covariance": covariance,
        "specific": specific,
        "risk_aversion": 5.0,
        "half_spread": 5e-4,
        "borrow_per_year": borrow,
        "weeks_per_year": WEEKS_PER_YEAR,
        "gross_max": 2.0,
        "weight_max": 0.02,
        "turnover_max": 0.4,
        "band": 0.05,
        "capital": 1e8,
    }


def _problem(given: dict[str, Any], week: int, held: Any) -> Any:
    """Return the decision of one week."""
    import numpy as np

    from portfolio.problem import RebalanceProblem

    assets = len(held)
    band = np.array([0.0] + [given["band"]] * (FACTORS - 1))
    return RebalanceProblem(
        alpha=given["alpha"][week],
        B=given["exposures"],
        F=given["covariance"],
        D=given["specific"],
        w0=held,
        exposure_lower=-band,
        exposure_upper=band,
        factor_kinds=("beta", *["style"] * (FACTORS - 1)),
        position_lower=np.full(assets, -given["weight_max"]),
        position_upper=np.full(assets, given["weight_max"]),
        gross_max=given["gross_max"],
        turnover_max=given["turnover_max"],
        half_spread=np.full(assets, given["half_spread"]),
        impact=np.zeros(assets),
        borrow=np.full(assets, given["borrow_per_year"] / given["weeks_per_year"]),
        dead=np.zeros(assets, dtype=bool),
        risk_aversion=given["risk_aversion"],
    )


def ours(assets: int, weeks: int, borrow: float, repeats: int) -> dict[str, Any]:
    """Decide and trade each week; a week is one session of the twin."""
    import numpy as np

    from portfolio.book import BookState, TradingCosts
    from portfolio.ladder import solve
    from portfolio.mandate import SESSIONS_PER_YEAR
    from portfolio.simulate import step

    given = _given(assets, weeks, borrow)
    costs = TradingCosts(given["half_spread"], borrow_per_year=borrow / given["weeks_per_year"] * SESSIONS_PER_YEAR)
    still, ids = np.zeros(assets), np.arange(assets).astype(np.str_)

    def lived() -> tuple[list[float], list[str]]:
        book, equity, rungs = BookState.opening(ids, given["capital"]), [given["capital"]], []
        for week in range(weeks - 1):
            solution = solve(_problem(given, week, book.weights))
            rungs.append(solution.status)
            book, day = step(book, still, given["returns"][week], costs, target=solution.weights)
            equity.append(day.equity)
        return equity, rungs

    seconds, (equity, statuses) = repeat(lived, repeats, warm=False)
    return {**seconds, "equity": equity, "statuses": sorted(set(statuses))}


def _peer_python() -> Path:
    """Make the peer's environment if it is not there, and return its interpreter."""
    python = HOME / "bin" / "python"
    if not (HOME / "made").exists():
        run_command([sys.executable, "-m", "venv", HOME])
        run_command([python, "-m", "pip", "install", "--quiet", *PEER])
        (HOME / "made").write_text("\n".join(PEER))
    return python


def peer(name: str, solver: str, case: Path, repeats: int) -> Outcome:
    """Run cvxportfolio with ``solver`` in its own environment."""
    script = ROOT / "benchmarks" / "weekly_peer.py"
    _, _, peak, said = run_command([_peer_python(), "-P", script, case, solver, str(repeats)])
    found = json.loads(said.splitlines()[-1])
    return Outcome(name, tuple(found["wall"]), tuple(found["cpu"]), peak, found)


def main(arguments: list[str] | None = None) -> None:
    """Print a table with the fee on shorts, and one without."""
    import numpy as np

    parser = argparse.ArgumentParser(prog="python -m benchmarks.weekly")
    parser.add_argument("--assets", type=int, default=500)
    parser.add_argument("--weeks", type=int, default=260)
    parser.add_argument("--repeats", type=int, default=3, help="whole backtests of each contender; one takes ten seconds")
    options = vars(parser.parse_args(arguments))
    repeats, size = options.pop("repeats"), options
    for borrow in (0.01, 0.0):
        mine = contend("crowdalpha, `solve` and `step`", "weekly", "ours", **size, borrow=borrow, repeats=repeats)
        with tempfile.TemporaryDirectory() as folder:
            case = Path(folder) / "case.npz"
            np.savez(case, **_given(**size, borrow=borrow))
            others = [
                peer("cvxportfolio, cvxpy's default solver", "default", case, repeats),
                peer("cvxportfolio, Clarabel", "CLARABEL", case, repeats),
                peer("cvxportfolio, PIQP", "PIQP", case, repeats),
            ]
        last = mine.found["equity"][-1]
        columns = {
            "a week": lambda o: f"{o.seconds / (size['weeks'] - 1) * 1e3:.3g} ms",
            "final value": lambda o: f"{o.found['equity'][-1] / 1e6:.6f} M",
            "less ours": lambda o, last=last: f"{o.found['equity'][-1] / last - 1:+.1e}",
        }
        fee = f"fee on shorts {borrow:.0%} a year" if borrow else "no fee on shorts"
        title = f"Weekly backtest, {size['assets']:,} stocks × {size['weeks']} weeks, {FACTORS} factors, {fee}"
        command = f"python -m benchmarks.weekly --assets {size['assets']} --weeks {size['weeks']}"
        show(title, command, table([mine, *others], columns), packages=("cvxpy", "piqp"), notes=[f"Peer: {', '.join(PEER)}."])


if __name__ == "__main__":
    main()
