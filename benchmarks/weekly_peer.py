"""The weekly backtest in cvxportfolio: a script for an environment of its own, which has cvxportfolio and nothing of ours.

``python -P weekly_peer.py DATA.npz SOLVER REPEATS`` prints what it measured as one line of JSON. Only the public interface is
used. The clock runs over ``MarketSimulator.backtest`` alone; its tables are made before.
"""

import json
import resource
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time

import cvxportfolio as cvx
import numpy as np
import pandas as pd

WEEK_DAYS = 7


def made(data, solver):
    """Return a simulator, a policy, and the dates of the first and the last trade."""
    weeks, assets = data["returns"].shape
    dates = pd.date_range("2014-01-01", periods=weeks, freq=f"{WEEK_DAYS}D", tz="UTC")
    names = [f"A{i:04d}" for i in range(assets)]
    factors = [f"F{k:02d}" for k in range(data["exposures"].shape[1])]
    returns = pd.DataFrame(data["returns"], index=dates, columns=names)
    returns["cash"] = 0.0
    exposures = pd.DataFrame(data["exposures"].T, index=factors, columns=names)
    percent_a_year = 100 * float(data["borrow_per_year"])

    def costs():
        # An object that serves both the policy and the simulator is an error, so each gets its own.
        found = [cvx.TransactionCost(a=float(data["half_spread"]))]
        if percent_a_year:
            found.append(cvx.HoldingCost(short_fees=percent_a_year, periods_per_year=float(data["weeks_per_year"])))
        return found

    risk = cvx.FactorModelCovariance(
        F=exposures,
        Sigma_F=pd.DataFrame(data["covariance"], index=factors, columns=factors),
        d=pd.Series(data["specific"], index=names),
    )
    forecast = cvx.ReturnsForecast(r_hat=pd.DataFrame(data["alpha"], index=dates, columns=names))
    objective = forecast - float(data["risk_aversion"]) * risk
    for cost in costs():
        objective = objective - cost
    limits = [
        cvx.DollarNeutral(),
        cvx.LeverageLimit(float(data["gross_max"])),
        cvx.MaxWeights(float(data["weight_max"])),
        cvx.MinWeights(-float(data["weight_max"])),
        cvx.TurnoverLimit(float(data["turnover_max"]) / 2),  # its turnover is half of the sum of trades
        cvx.FactorNeutral(exposures.loc[factors[0]]),
    ]
    for factor in factors[1:]:
        limits.append(cvx.FactorMaxLimit(exposures.loc[factor], float(data["band"])))
        limits.append(cvx.FactorMinLimit(exposures.loc[factor], -float(data["band"])))
    chosen = {} if solver == "default" else {"solver": solver}
    policy = cvx.SinglePeriodOptimization(objective, limits, include_cash_return=False, **chosen)
    simulator = cvx.MarketSimulator(
        returns=returns,
        costs=costs(),
        cash_key="cash",
        min_history=pd.Timedelta(0),
        base_location=Path(tempfile.mkdtemp()),
    )
    return simulator, policy, dates


def main():
    """Backtest as often as asked for, and tell the seconds and the value at each trade."""
    path, solver, repeats = sys.argv[1:]
    data = dict(np.load(path))
    wall, cpu, values = [], [], None
    for _ in range(int(repeats)):
        simulator, policy, dates = made(data, solver)
        begin, begin_cpu = perf_counter(), process_time()
        result = simulator.backtest(policy, start_time=dates[0], end_time=dates[-1], initial_value=float(data["capital"]))
        wall.append(perf_counter() - begin)
        cpu.append(process_time() - begin_cpu)
        values = result.v.to_numpy().tolist()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"wall": wall, "cpu": cpu, "equity": values, "peak_bytes": peak}))


if __name__ == "__main__":
    main()
