"""Is the risk that the model forecasts the risk that comes: bias statistics on real prices, out of sample.

    python -m benchmarks.riskmodel --prices us_daily.parquet --meta equity_meta.csv.gz

It measures judgement and not speed, so nothing here is timed.

1. The panel is cut into blocks of five sessions. On the evening before each, the universe is chosen by the platform's rule, and
   its exposures and sample weights are computed, all as known then.
2. On each evening with 104 blocks behind it the risk model is estimated from those, and forecasts the volatility of five
   sessions: its variance of a session times five.
3. What came is divided by it: factor returns, regressed as the model does it; and returns of books that are held for the block.
   Book returns are raw, unknown ones 0: what is drawn in for the regression is not drawn in here.
4. The bias statistic of each series (:mod:`portfolio.forecastbias`), clipped at ±3 and not, should be 1; the share of series
   within 1 ± 2 standard errors about 95 %.

The books, a hundred of each kind, drawn once for all blocks with a seed:

- neutral: dollar-neutral, a normal weight for each asset;
- optimized: least variance for a random alpha of each asset;
- optimized, factors: the same for an alpha that is a random mix of exposures, which goes where the factor covariance is lowest;
- long only: uniform weights. It says how the market was forecast, a hundred times over, and so it is shown and not judged.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import machine

if TYPE_CHECKING:
    import numpy as np

    from market.exposures import Exposures
    from market.panel import PointInTimePanel
    from portfolio.factorreturns import FactorPeriod
    from portfolio.riskmodel import RiskModel, RiskParameters

LAST = date(2018, 7, 18)
"""Last session of the panel that the figures of the docs are made with."""
BLOCK_SESSIONS = 5
HISTORY_BLOCKS = 104
UNIVERSE = 1_000
BOOKS = 100
SEED = 20_130
CLIP = 3.0
KINDS = ("factors", "neutral", "optimized", "optimized, factors", "long only")
WEIGHTS = ("liquidity", "equal", "√ capitalization")


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One evening: who is in the universe and what was known of them, and the five sessions that follow, of all n assets."""

    members: "np.ndarray"  # (m,)
    exposures: "Exposures"
    weights: "dict[str, np.ndarray]"  # (m,) by name of the weighting
    returns: "np.ndarray"  # (5, n), raw

    def period(self, weighting: str) -> "FactorPeriod":
        """Return the block as the risk model takes it."""
        import numpy as np

        from portfolio.factorreturns import FactorPeriod

        n = self.returns.shape[1]
        exposures, weights = np.full((n, self.exposures.values.shape[1]), np.nan), np.full(n, np.nan)
        exposures[self.members], weights[self.members] = self.exposures.values, self.weights[weighting]
        inside = np.zeros(n, dtype=bool)
        inside[self.members] = True
        return FactorPeriod(self.returns, exposures, inside, weights)


def read_panel(prices: Path, meta: Path, last: date = LAST) -> "PointInTimePanel":
    """Return the panel up to ``last``, judged as an ingest judges it."""
    from service.settings import load_settings
    from service.vendors.ingested import panel_of_files

    return panel_of_files(load_settings(), prices, meta, last)


def blocks_of(panel: "PointInTimePanel", universe: int = UNIVERSE) -> list[Block]:
    """Return all blocks from the first session with a year behind it; the last one ends with the panel."""
    import numpy as np

    from market.calendars import to_date, to_instant
    from market.exposure_history import exposure_history
    from market.exposures import YEAR_SESSIONS
    from market.neutralizers import sample_weights
    from market.universe import UniverseRule, select_members

    last = len(panel.sessions) - 1
    rows = range(last - BLOCK_SESSIONS * ((last - YEAR_SESSIONS) // BLOCK_SESSIONS), last, BLOCK_SESSIONS)
    members, weights = [], []
    for row in rows:  # a view at a time: each has tables of its own where something was learnt late
        view = panel.as_of(to_instant(panel.known_at[row]))
        inside = select_members(view, UniverseRule(size=universe))
        cap = view.market_cap()[-1, inside]
        cap = np.where(np.isnan(cap), np.nanmedian(cap), cap)
        members.append(inside)
        weights.append((sample_weights(view, inside), np.ones(len(inside)), np.sqrt(cap / cap.mean())))
    returns = panel.as_of(to_instant(panel.known_at[-1])).total_returns()
    found = exposure_history(panel, [to_date(panel.sessions[row]) for row in rows], members)
    return [
        Block(inside, exposures, dict(zip(WEIGHTS, kinds, strict=True)), returns[row + 1 : row + 1 + BLOCK_SESSIONS])
        for row, inside, kinds, exposures in zip(rows, members, weights, found, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Forecasts:
    """What came over what was forecast, by kind of series, (blocks, series) each; and the factors' names."""

    standardized: "dict[str, np.ndarray]"
    names: tuple[str, ...]


def forecasts_of(
    blocks: Sequence[Block],
    parameters: "RiskParameters",
    weighting: str = WEIGHTS[0],
    history: int = HISTORY_BLOCKS,
) -> Forecasts:
    """Estimate the model before each block that has ``history`` blocks behind it, and standardize what came."""
    import numpy as np

    from portfolio.riskmodel import MARKET, estimate_risk_model

    periods = [block.period(weighting) for block in blocks]
    names, kinds = blocks[-1].exposures.names, blocks[-1].exposures.kinds
    if any(block.exposures.names != names for block in blocks):
        raise SystemExit("The sectors of the universe change over the blocks; a factor's series would have holes.")
    rng = np.random.default_rng(SEED)
    tastes = _Tastes.drawn(rng, blocks[0].returns.shape[1], 1 + len(names))
    found: dict[str, list[np.ndarray]] = {kind: [] for kind in KINDS}
    for now in range(history, len(blocks)):
        block, past = blocks[now], periods[now - history : now]
        model = estimate_risk_model(
            past, block.exposures.values, block.members, names, kinds, parameters=parameters, rng=np.random.default_rng(now)
        )
        sigma = np.sqrt(BLOCK_SESSIONS * np.diag(model.F))
        # A factor that nobody was exposed to, as the long reversal in a panel's first years, has nothing to be judged by.
        sigma[sigma == 0.0] = np.nan
        found["factors"].append(_factors_that_came(periods[now], kinds).sum(axis=0) / sigma)
        came = np.nan_to_num(block.returns[:, block.members]).sum(axis=0)
        for kind, weights in tastes.books(model, block.members).items():
            found[kind].append((came @ weights) / _forecast(model, weights))
    return Forecasts({kind: np.array(rows) for kind, rows in found.items()}, (MARKET, *names))


def _factors_that_came(period: "FactorPeriod", kinds: Sequence[str]) -> "np.ndarray":
    from portfolio.factorreturns import drawn_in, factor_returns, groups_of

    inside = period.in_universe
    weights = None if period.weights is None else period.weights[inside]
    return factor_returns(drawn_in(period.returns[:, inside]), period.exposures[inside], weights, groups_of(kinds))[0]


def _forecast(model: "RiskModel", weights: "np.ndarray") -> "np.ndarray":
    """Return the forecast volatility of five sessions of each column of ``weights``, (m, q)."""
    import numpy as np

    exposure = model.B.T @ weights
    variance = np.sum(exposure * (model.F @ exposure), axis=0) + model.D @ weights**2
    return np.sqrt(BLOCK_SESSIONS * variance)


@dataclass(frozen=True, slots=True, eq=False)
class _Tastes:
    """What the random books want of every asset of the panel, the same at all times."""

    neutral: "np.ndarray"  # (n, BOOKS)
    long: "np.ndarray"  # (n, BOOKS)
    assets: "np.ndarray"  # (n, BOOKS)
    factors: "np.ndarray"  # (k, BOOKS)

    @classmethod
    def drawn(cls, rng: "np.random.Generator", n: int, k: int) -> "_Tastes":
        normal = rng.standard_normal
        return cls(normal((n, BOOKS)), rng.random((n, BOOKS)), normal((n, BOOKS)), normal((k, BOOKS)))

    def books(self, model: "RiskModel", members: "np.ndarray") -> "dict[str, np.ndarray]":
        neutral = self.neutral[members]
        return {
            "neutral": neutral - neutral.mean(axis=0),
            "optimized": least_variance(model, self.assets[members]),
            "optimized, factors": least_variance(model, model.B @ self.factors),
            "long only": self.long[members],
        }


def least_variance(model: "RiskModel", alpha: "np.ndarray") -> "np.ndarray":
    """Return the books (m, q) of least variance for unit alpha each, up to their size: V⁻¹α, V = B F B' + D.

    By Woodbury's identity with F = LL', which need not have an inverse.
    """
    import numpy as np

    values, vectors = np.linalg.eigh(model.F)
    loaded = model.B @ (vectors * np.sqrt(np.maximum(values, 0.0)))
    scaled = loaded / model.D[:, None]
    inner = np.eye(loaded.shape[1]) + loaded.T @ scaled
    books: np.ndarray = alpha / model.D[:, None] - scaled @ np.linalg.solve(inner, scaled.T @ alpha)
    return books


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one kind of series: mean bias statistic, and the share within 1 ± 2 standard errors."""

    mean: float
    share: float


def verdict(standardized: "np.ndarray", clip: float | None = CLIP) -> Verdict:
    """Judge the series of one kind, (blocks, series)."""
    import numpy as np

    from portfolio.forecastbias import bias_statistics

    bias, error = bias_statistics(standardized, clip)
    return Verdict(float(bias.mean()), float(np.mean(np.abs(bias - 1.0) <= 2.0 * error)))


def loss(standardized: "np.ndarray") -> float:
    """Return the mean loss of the series; lower is better, and only differences between models mean something."""
    from portfolio.forecastbias import q_likelihood

    return float(q_likelihood(standardized).mean())


def models() -> "dict[str, tuple[RiskParameters, str]]":
    """Return the models that are compared: the default one, one thing changed at a time, and the one from before."""
    from dataclasses import replace

    from portfolio.riskmodel import RiskParameters

    default = RiskParameters()
    former = RiskParameters(126, 126, 0, 0, 63, 0)
    plain = replace(default, volatility_lags=0, correlation_lags=0, specific_lags=0)
    return {
        "default": (default, "liquidity"),
        "eigenvalues adjusted": (replace(default, eigenvalue_simulations=100), "liquidity"),
        "regressions weighted equally": (default, "equal"),
        "regressions weighted by √ capitalization": (default, "√ capitalization"),
        "no Newey–West": (plain, "liquidity"),
        "one half-life of 126, no Newey–West, equal weights": (former, "equal"),
    }


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str] | None = None) -> None:
    """Print the verdicts of every model, and the factors of the default one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.riskmodel")
    for name in ("prices", "meta"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args(arguments)
    blocks = blocks_of(read_panel(options.prices, options.meta))
    judged = len(blocks) - HISTORY_BLOCKS
    print(f"{judged} forecasts of {BLOCK_SESSIONS} sessions, {UNIVERSE:,} assets, {BOOKS} books a kind\n\n{machine()}\n")
    print(_row("model", "series", "bias, clipped", "within 2 errors", "bias, unclipped", "within 2 errors", "loss"))
    print(f"|{'---|' * 7}")
    default: Any = None
    for name, (parameters, weighting) in models().items():
        found = forecasts_of(blocks, parameters, weighting)
        default = default or found
        for kind in KINDS:
            z = found.standardized[kind]
            clipped, whole = verdict(z), verdict(z, None)
            shares = [f"{clipped.mean:.3f}", f"{clipped.share:.0%}", f"{whole.mean:.3f}", f"{whole.share:.0%}"]
            print(_row(name, kind, *shares, f"{loss(z):.3f}"), flush=True)
    print(f"\n{_row('factor', 'bias, clipped', 'error', 'bias, unclipped', 'error')}\n|{'---|' * 5}")
    from portfolio.forecastbias import bias_statistics

    pairs = [bias_statistics(default.standardized["factors"], clip) for clip in (CLIP, None)]
    for at, name in enumerate(default.names):
        print(_row(name, *(f"{values[at]:.3f}" for pair in pairs for values in pair)))


if __name__ == "__main__":
    main()
