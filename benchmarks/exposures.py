"""Exposures of ten years: 5,000 stocks × 520 weekly dates, all at once beside one date after the other.

    python -m benchmarks.exposures

The peer is our own :func:`market.exposures.compute_exposures`, which is what a round freezes; each way has a process of
its own. Prices are random walks of fifteen years, five of them before the first date, so that every style is at work; they and
what is derived from them (returns, dollar volumes) are made outside the clock. The sample weights and the condensed basis of
each date are timed apart. ``--stocks`` and ``--weeks`` make it smaller.
"""

import argparse
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from benchmarks.harness import SEED, contend, repeat, show, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from market.exposures import Exposures
    from market.panel import PointInTimePanel

STOCKS, WEEKS, STEP = 5_000, 520, 5
LEAD_SESSIONS = 1_260
"""Sessions before the first date: five years for the long reversal."""

YOUNG_SHARE = 0.1
"""Stocks that are listed on the way: they have gaps, as in any universe of ten years."""


def make_panel(stocks: int, weeks: int) -> "PointInTimePanel":
    """Make the prices and all that is derived from them."""
    import numpy as np

    from market.calendars import session_calendar, to_instant
    from market.panel import NOT_DELISTED, AssetTable, PointInTimePanel
    from market.quotes import Quotes

    rng = np.random.default_rng(SEED)
    count, first = LEAD_SESSIONS + STEP * weeks, date(2003, 1, 2)
    calendar = session_calendar("XNYS", first, first + timedelta(days=int(count * 1.5) + 30))
    market = rng.normal(3e-4, 0.01, count)[:, None]
    moves = market * rng.uniform(0.5, 1.5, stocks) + rng.uniform(0.01, 0.03, stocks) * rng.standard_normal((count, stocks))
    close = 50.0 * np.exp(np.cumsum(moves, axis=0))
    volume = np.exp(rng.normal(13.0, 1.0, stocks) + 0.5 * rng.standard_normal((count, stocks)))
    for asset in range(int(YOUNG_SHARE * stocks)):
        listed = int(rng.integers(0, count))
        close[:listed, asset] = volume[:listed, asset] = np.nan
    names = np.array([f"T{i:05d}" for i in range(stocks)])
    panel = PointInTimePanel(
        assets=AssetTable(
            asset_ids=names, tickers=names.copy(), sectors=np.array([f"Sector {i % 11}" for i in range(stocks)]),
            countries=np.full(stocks, "US"), exchanges=np.full(stocks, "XNYS"), currencies=np.full(stocks, "USD"),
            shares=np.where(rng.random(stocks) < 0.05, np.nan, np.exp(rng.normal(18.0, 1.0, stocks))),
        ),
        calendar=calendar, sessions=calendar.sessions[:count].copy(), known_at=calendar.closes[:count].copy(),
        quotes=Quotes(open=close, close=close, volume=volume, splits=None, dividends=None),
        delisting_index=np.full(stocks, NOT_DELISTED, dtype=np.int64), delisting_return=np.full(stocks, np.nan),
        price_basis="split_adjusted", flags=frozenset(), source="synthetic",
    )  # fmt: skip
    view = panel.as_of(to_instant(panel.known_at[-1]))
    for derive in (view.total_returns, view.dollar_volume, view.market_cap, view.history_sessions):
        derive()
    return panel


def run(stocks: int, weeks: int, together: bool, repeats: int) -> dict[str, Any]:
    """Compute the exposures of all dates, together or one after the other; tell how far apart both are."""
    import numpy as np

    from market.calendars import to_date, to_instant
    from market.exposure_history import exposure_history
    from market.exposures import compute_exposures
    from market.neutralizers import neutralizers_of, sample_weights
    from market.universe import UniverseRule, select_members

    panel = make_panel(stocks, weeks)
    rows = [LEAD_SESSIONS - 1 + STEP * week for week in range(1, weeks + 1)]
    views = [panel.as_of(to_instant(panel.known_at[row])) for row in rows]
    members = [select_members(view, UniverseRule(size=stocks)) for view in views]

    def alone() -> "Iterator[Exposures]":
        return (compute_exposures(view, m) for view, m in zip(views, members, strict=True))

    def at_once() -> "Iterator[Exposures]":
        return exposure_history(panel, [to_date(panel.sessions[row]) for row in rows], members)

    def last(found: "Iterator[Exposures]") -> None:
        """Go through all dates and keep none: who works on ten years does not hold them."""
        for _ in found:
            pass

    found: dict[str, Any]
    found, _ = repeat(lambda: last(at_once() if together else alone()), repeats, warm=False)
    if together:
        apart = max(float(np.abs(a.values - b.values).max()) for a, b in zip(at_once(), alone(), strict=True))
        some = [(view, m, compute_exposures(view, m).values) for view, m in zip(views[::20], members[::20], strict=True)]
        basis, worst = repeat(
            lambda: max(_unlike(neutralizers_of(b, v), v) for view, m, b in some for v in [sample_weights(view, m)]), 3
        )
        found |= {"apart": apart, "worst": worst, "each": min(basis["wall"]) / len(some)}
    return found | {"members": [min(map(len, members)), max(map(len, members))]}


def _unlike(basis: Any, weights: Any) -> float:
    """Return the largest entry of |N'VN − I|."""
    import numpy as np

    return float(np.abs(basis.T @ (weights[:, None] * basis) - np.eye(basis.shape[1])).max())


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.exposures")
    parser.add_argument("--stocks", type=int, default=STOCKS)
    parser.add_argument("--weeks", type=int, default=WEEKS)
    options = parser.parse_args(arguments)
    sizes = {"stocks": options.stocks, "weeks": options.weeks}
    ours = contend("exposure_history", "exposures", "run", **sizes, together=True, repeats=3)
    peer = contend("compute_exposures, date by date", "exposures", "run", **sizes, together=False, repeats=1)
    low, high = ours.found["members"]
    notes = [
        f"{options.weeks} dates, {low:,} to {high:,} stocks; values at most {ours.found['apart']:.0e} apart.",
        f"Sample weights and condensed basis of a date: {ours.found['each'] * 1e3:.3g} ms, N'VN − I {ours.found['worst']:.0e}.",
    ]
    show("Exposures of ten years", "python -m benchmarks.exposures", table([ours, peer]), notes=notes)


if __name__ == "__main__":
    main()
