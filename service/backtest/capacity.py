"""Capacity: how much money a signal can carry before its own trades eat what it earns.

1. The walk is repeated for each size of the fund, from ten million to five billion. Each time the optimizer knows the size: it
   trades less of what it would move, so the gross that is reached falls before the result does.
2. All of it with half, once and twice the mandate's impact coefficient, which nobody knows better than that.
3. The *capacity* at a coefficient is the size with the largest net profit a year. It is not defined where a fund of ten million
   earns nothing (:func:`portfolio.sheetsections.defined`): what loses money small has no size at which it earns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from crowdalpha import __version__
from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from portfolio.mandate import SESSIONS_PER_YEAR
from portfolio.sheetsections import CapacityPoint, defined
from service.backtest.finish import Workers, finish
from service.backtest.spec import BacktestSpec
from service.context import Platform
from service.progress import Progress, Silent
from service.workflows.backtest import BacktestRoom

MILLION = 1e6
AUMS = (10 * MILLION, 30 * MILLION, 100 * MILLION, 300 * MILLION, 1_000 * MILLION, 2_500 * MILLION, 5_000 * MILLION)
IMPACT_FACTORS = (0.5, 1.0, 2.0)
NOT_DEFINED = "not defined"


@dataclass(frozen=True, slots=True)
class Capacity:
    """What each size of the fund came to.

    Attributes
    ----------
    rows : tuple of dict
        One a size and coefficient: ``impact_factor``, ``aum``, ``gross`` (what was reached, of equity, in the mean),
        ``net_pnl`` (money a year), ``annual_return``, ``sharpe``, ``sharpe_error``, ``costs`` (of equity a year), ``trial``.
    capacities : dict
        By the factor as text: the size with the largest net profit, ``at least`` the largest tried where that is it, or ``not
        defined``.
    computed : int
        Walks that were made now.
    """

    rows: tuple[dict[str, Any], ...]
    capacities: dict[str, str]
    computed: int

    @property
    def points(self) -> tuple[CapacityPoint, ...]:
        """What a table shows of the rows."""
        return tuple(_point(row) for row in self.rows)


def run_capacity(
    platform: Platform,
    spec: BacktestSpec,
    aums: Sequence[float] = AUMS,
    workers: Workers | None = None,
    progress: Progress | None = None,
) -> Capacity:
    """Walk a signal at each size of the fund.

    Parameters
    ----------
    spec : BacktestSpec
        Its mandate's size is replaced, and its impact coefficient multiplied; its costs are on.
    aums : sequence of float
        Sizes, ascending, in the currency of the prices.
    workers : Workers, optional
    progress : Progress, optional

    Raises
    ------
    InputRejected
        REQUEST_INVALID without costs or without impact, or for sizes that do not ascend from above zero; further as
        :func:`service.backtest.finish.finish`.
    """
    if not spec.costs or spec.mandate.impact_coefficient == 0:
        raise InputRejected(
            Code.REQUEST_INVALID, "Without costs, or a mandate without impact, a fund has no size that is too large."
        )
    if not aums or aums[0] <= 0 or any(after <= before for before, after in pairwise(aums)):
        raise InputRejected(Code.REQUEST_INVALID, "The sizes of the fund are above zero and ascend.")
    cells = [(factor, aum) for factor in IMPACT_FACTORS for aum in aums]
    named = [(f"{aum / MILLION:,.0f} M, impact × {factor:g}", _sized(spec, factor, aum)) for factor, aum in cells]
    done = finish(BacktestRoom(platform), named, workers or Workers(), progress or Silent())
    rows = [_row(factor, aum, t.id, t.figures) for (factor, aum), t in zip(cells, done.trials, strict=True)]
    return Capacity(tuple(rows), {f"{factor:g}": _capacity(rows, factor) for factor in IMPACT_FACTORS}, done.computed)


def kept_capacity(room: BacktestRoom, spec: BacktestSpec) -> tuple[CapacityPoint, ...]:
    """Return what the home's trials tell of a backtest at several sizes; nothing where they hold no second size.

    Parameters
    ----------
    spec : BacktestSpec
        Trials that differ from it in nothing but the size of the fund, and an impact coefficient multiplied as a search for
        capacity multiplies it, are its points, whoever asked for them.
    """
    told = {**room.hashes(spec), "version": __version__}
    factors = {spec.mandate.impact_coefficient * factor: factor for factor in IMPACT_FACTORS}
    if not spec.costs or len(factors) < len(IMPACT_FACTORS):
        return ()
    points = []
    for trial in room.trials.everything():
        mandate = trial.told["spec"]["mandate"]
        factor = factors.get(mandate["impact_coefficient"])
        if factor is None or {**trial.told["hashes"], "version": trial.told["version"]} != told:
            continue
        aum = mandate["aum"]
        if trial.told["spec"] == _sized(spec, factor, aum).plain():
            points.append(_point(_row(factor, aum, trial.id, trial.figures)))
    return tuple(points) if len({point.aum for point in points}) > 1 else ()


def _sized(spec: BacktestSpec, factor: float, aum: float) -> BacktestSpec:
    coefficient = spec.mandate.impact_coefficient * factor
    return replace(spec, mandate=replace(spec.mandate, aum=float(aum), impact_coefficient=coefficient))


def _row(factor: float, aum: float, trial: str, figures: dict[str, Any]) -> dict[str, Any]:
    return {
        "impact_factor": factor,
        "aum": aum,
        "gross": figures["gross_exposure"],
        "net_pnl": figures["net_pnl"] * SESSIONS_PER_YEAR / figures["sessions"],
        "annual_return": figures["annual_return"],
        "sharpe": figures["sharpe"],
        "sharpe_error": figures["sharpe_error"],
        "costs": sum(figures["costs"].values()),
        "trial": trial[:12],
    }


def _point(row: dict[str, Any]) -> CapacityPoint:
    sharpe = float("nan") if row["sharpe"] is None else row["sharpe"]
    return CapacityPoint(row["aum"], row["impact_factor"], row["gross"], row["net_pnl"], sharpe)


def _capacity(rows: Sequence[dict[str, Any]], factor: float) -> str:
    tried = [row for row in rows if row["impact_factor"] == factor]
    if not defined([(row["aum"], row["net_pnl"]) for row in tried]):
        return NOT_DEFINED
    best = max(tried, key=lambda row: float(row["net_pnl"]))
    return f"{'at least ' if best is tried[-1] else ''}{best['aum'] / MILLION:,.0f} M"
