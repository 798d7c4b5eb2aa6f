"""A backtest of given weights: the NumPy twin beside vectorbt's rust engine, on what both can express.

Weekly targets of a dollar-neutral book with gross 1.6, a proportional cost, no halts, no delistings. vectorbt runs through our
adapter, which gives it its fastest form (orders sequenced beforehand, one group, shared cash). Its time is told twice: the
whole call, with prices made from returns and the book rebuilt from orders, and ``Portfolio.from_orders`` alone.
"""

import argparse
from time import perf_counter, process_time
from typing import Any

from benchmarks.harness import SEED, Outcome, contend, repeat, show, table

STEP_SESSIONS = 5
GROSS = 1.6
HALF_SPREAD = 5e-4
CAPITAL = 1e8
"""That of a fund, because vectorbt takes trades below absolute thresholds for none."""


def _given(assets: int, sessions: int) -> tuple[Any, Any, dict[int, Any], Any]:
    import numpy as np

    from portfolio.book import TradingCosts

    rng = np.random.default_rng(SEED)
    overnight = np.clip(0.003 * rng.standard_t(4, (sessions, assets)), -0.2, 0.2)
    intraday = np.clip(0.004 * rng.standard_t(4, (sessions, assets)), -0.2, 0.2)
    raw = np.zeros(assets)
    targets = {}
    for row in range(0, sessions, STEP_SESSIONS):
        raw = 0.9 * raw + rng.standard_normal(assets)
        centred = raw - raw.mean()
        targets[row] = GROSS * centred / np.abs(centred).sum()
    return overnight, intraday, targets, TradingCosts(half_spread=HALF_SPREAD)


def ours(assets: int, sessions: int) -> dict[str, Any]:
    """Run the twin."""
    from portfolio.simulate import backtest

    given = _given(assets, sessions)
    seconds, result = repeat(lambda: backtest(*given, initial=CAPITAL))
    return {**seconds, "equity": result.equity.tolist()}


def vectorbt(assets: int, sessions: int) -> dict[str, Any]:
    """Run the adapter, and clock vectorbt inside it as well."""
    from vectorbt import Portfolio

    from portfolio.vectorbt_adapter import backtest_vectorbt

    inner: list[tuple[float, float]] = []
    from_orders = Portfolio.from_orders

    def clocked(*arguments: Any, **options: Any) -> Any:
        begin, begin_cpu = perf_counter(), process_time()
        portfolio = from_orders(*arguments, **options)
        inner.append((perf_counter() - begin, process_time() - begin_cpu))
        return portfolio

    Portfolio.from_orders = clocked
    given = _given(assets, sessions)
    seconds, result = repeat(lambda: backtest_vectorbt(*given, initial=CAPITAL))
    wall, cpu = zip(*inner[1:], strict=True)
    return {**seconds, "equity": result.equity.tolist(), "inner_wall": wall, "inner_cpu": cpu}


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.twin")
    parser.add_argument("--assets", type=int, default=1_000)
    parser.add_argument("--sessions", type=int, default=1_260)
    size = vars(parser.parse_args(arguments))
    mine = contend("crowdalpha, NumPy twin", "twin", "ours", **size)
    whole = contend("vectorbt, whole adapter call", "twin", "vectorbt", **size)
    inner = Outcome(
        "vectorbt, from_orders alone", tuple(whole.found["inner_wall"]), tuple(whole.found["inner_cpu"]), whole.peak_bytes
    )
    apart = max(abs(a / b - 1) for a, b in zip(mine.found["equity"], whole.found["equity"], strict=True))
    show(
        f"Backtest of given weights, {size['assets']:,} stocks × {size['sessions']:,} sessions, traded weekly",
        f"python -m benchmarks.twin --assets {size['assets']} --sessions {size['sessions']}",
        table([mine, inner, whole]),
        packages=("vectorbt", "vectorbt-rust", "pandas"),
        notes=[f"The two equity curves differ by {apart:.1e}, relatively, at most."],
    )


if __name__ == "__main__":
    main()
