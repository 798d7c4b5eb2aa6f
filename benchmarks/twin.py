"""A backtest of given weights: the NumPy twin beside vectorbt's rust engine, on what both can express, and with all frictions.

Weekly targets of a dollar-neutral book with gross 1.6, a proportional cost, no halts, no delistings. vectorbt runs through our
adapter, which gives it its fastest form (one group, shared cash, default order of columns). Its time is told three times:
``Portfolio.from_orders`` alone, which stops at order records; with ``value()``, the equity curve that ours returns; and the
adapter's whole call, with prices made from returns and the book rebuilt from orders.

Then the twin alone with everything at once: square-root impact, fee on shorts, interest, names that halt (one in five hundred,
half of them without a return), and 2 % of the names a year delisted, without returns from then on.
"""

import argparse
from typing import Any

from benchmarks.harness import SEED, Outcome, contend, repeat, show, table

STEP_SESSIONS = 5
GROSS = 1.6
HALF_SPREAD = 5e-4
CAPITAL = 1e8
"""That of a fund, because vectorbt takes trades below absolute thresholds for none."""
DEATHS_PER_YEAR = 0.02
HALTED = 0.002


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


def _hardened(overnight: Any, intraday: Any, targets: dict[int, Any]) -> tuple[Any, dict[str, Any]]:
    """Return costs and keyword arguments of a backtest with all frictions; returns of halted and dead names become NaN."""
    import numpy as np

    from portfolio.book import Liquidity, TradingCosts

    rng = np.random.default_rng(SEED + 1)
    sessions, assets = overnight.shape
    traded = rng.random(overnight.shape) >= HALTED
    for returns in (overnight, intraday):
        returns[~traded & (rng.random(overnight.shape) < 0.5)] = np.nan
    doomed = rng.random(assets) < DEATHS_PER_YEAR * sessions / 252
    rows = np.where(doomed, rng.integers(1, sessions, assets), -1)
    for asset in np.flatnonzero(doomed):
        overnight[rows[asset] :, asset] = intraday[rows[asset] :, asset] = np.nan
        traded[rows[asset] :, asset] = False
    liquidity = {row: Liquidity(10 ** rng.uniform(6, 8, assets), rng.uniform(0.01, 0.04, assets)) for row in targets}
    costs = TradingCosts(rng.uniform(2e-4, 1e-3, assets), 0.5, 0.01, 0.02)
    returned = rng.uniform(-1.0, 0.1, assets)
    return costs, {"traded": traded, "delisting_rows": rows, "delisting_returns": returned, "liquidity": liquidity}


def ours(assets: int, sessions: int, *, frictions: bool = False) -> dict[str, Any]:
    """Run the twin; tell also how large its data are."""
    from portfolio.simulate import backtest

    overnight, intraday, targets, costs = _given(assets, sessions)
    extras: dict[str, Any] = {}
    data = overnight.nbytes + intraday.nbytes + sum(target.nbytes for target in targets.values())
    if frictions:
        costs, extras = _hardened(overnight, intraday, targets)
        data += extras["traded"].nbytes + sum(x.adv_dollars.nbytes + x.sigma.nbytes for x in extras["liquidity"].values())
    seconds, result = repeat(lambda: backtest(overnight, intraday, targets, costs, initial=CAPITAL, **extras))
    return {**seconds, "equity": result.equity.tolist(), "data_bytes": data}


def vectorbt(assets: int, sessions: int) -> dict[str, Any]:
    """Run the adapter, then what it asks of vectorbt by itself."""
    from vectorbt import Portfolio

    from portfolio.vectorbt_adapter import backtest_vectorbt

    asked: dict[str, Any] = {}
    from_orders = Portfolio.from_orders

    def noted(**options: Any) -> Any:
        asked.update(options)
        return from_orders(**options)

    given = _given(assets, sessions)
    Portfolio.from_orders = noted
    seconds, result = repeat(lambda: backtest_vectorbt(*given, initial=CAPITAL))
    Portfolio.from_orders = from_orders
    alone, _ = repeat(lambda: from_orders(**asked))
    valued, curve = repeat(lambda: from_orders(**asked).value())
    worst = float(abs(curve.to_numpy() / asked["init_cash"] * CAPITAL / result.equity - 1).max())
    return {**seconds, "equity": result.equity.tolist(), "alone": alone, "valued": valued, "rebuilt_apart": worst}


def main(arguments: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.twin")
    parser.add_argument("--assets", type=int, default=1_000)
    parser.add_argument("--sessions", type=int, default=1_260)
    size = vars(parser.parse_args(arguments))
    mine = contend("crowdalpha, NumPy twin", "twin", "ours", **size)
    whole = contend("vectorbt, whole adapter call", "twin", "vectorbt", **size)
    parts = [
        Outcome(name, tuple(whole.found[part]["wall"]), tuple(whole.found[part]["cpu"]), whole.peak_bytes)
        for name, part in (("vectorbt, `from_orders` alone", "alone"), ("vectorbt, `from_orders` and `value()`", "valued"))
    ]
    apart = max(abs(a / b - 1) for a, b in zip(mine.found["equity"], whole.found["equity"], strict=True))
    measured = f"{size['assets']:,} stocks × {size['sessions']:,} sessions, traded weekly"
    command = f"python -m benchmarks.twin --assets {size['assets']} --sessions {size['sessions']}"
    notes = [f"The equity curves of twin and adapter differ by {apart:.1e}, relatively, at most."]
    notes.append(f"The adapter's differs from vectorbt's own `value()` by {whole.found['rebuilt_apart']:.1e}.")
    shown, packages = table([mine, *parts, whole]), ("vectorbt", "vectorbt-rust", "pandas")
    show(f"Backtest of given weights, {measured}", command, shown, packages=packages, notes=notes)
    hard = contend("the same with all frictions", "twin", "ours", **size, frictions=True)
    beyond = {"beyond the data": lambda o: f"{(o.peak_bytes - o.found['data_bytes']) / 1e6:.0f} MB"}
    show(f"The twin with all frictions, {measured}", command, table([mine, hard], beyond))


if __name__ == "__main__":
    main()
