"""The numbers of a panel, session by session, and what follows from them row by row.

:class:`Quotes` is what vendors said: prices, volumes, splits and dividends, each (sessions × assets). :class:`Derived` is what
follows causally: row t of each of its arrays depends on rows up to t only, so that whoever slices them sees no future.

Returns are made of prices and events, never of a vendor's adjusted prices, whose levels tell of events to come:

    R_t = (p_t + d_t) s_t / p_{t−1} · e_t / e_{t−1} − 1

with p the close carried over sessions without a trade, d the dividend a share on the ex-date, s the new shares for an old one,
and e the value of the asset's currency in the fund's. A price carried over a split is divided by it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InvariantBroken
from market.arrays import BoolArray, FloatArray, IntArray, readonly


@dataclass(frozen=True, slots=True, eq=False)
class Quotes:
    """What was said of each asset on each session; every array is (T, n) float64, on the panel's price basis.

    Attributes
    ----------
    open, close : (T, n)
        Units of the asset's currency; NaN where there was no price.
    volume : (T, n)
        Shares; NaN where there was no price.
    high, low : (T, n) or None
        As ``open``.
    splits : (T, n) or None
        New shares for each old one, effective at that session's open, 1 for none; None on an adjusted basis.
    dividends : (T, n) or None
        Currency units a share (after a split of the same session) on the ex-date, 0 for none; None where none is known.
    """

    open: FloatArray
    close: FloatArray
    volume: FloatArray
    high: FloatArray | None = None
    low: FloatArray | None = None
    splits: FloatArray | None = None
    dividends: FloatArray | None = None

    def __post_init__(self) -> None:
        if any(array.shape != self.close.shape for array in self.arrays().values()) or self.close.ndim != 2:
            raise InvariantBroken(Code.INTERNAL, "The arrays of a panel's quotes differ in shape.")
        for array in self.arrays().values():
            readonly(array)

    def arrays(self) -> dict[str, FloatArray]:
        """Return the arrays that are there, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}

    def first_rows(self, count: int) -> "Quotes":
        """Return the first ``count`` sessions: slices, no copies."""
        return replace(self, **{name: array[:count] for name, array in self.arrays().items()})

    def of_assets(self, assets: IntArray) -> "Quotes":
        """Return the quotes of some assets: copies."""
        return replace(self, **{name: array[:, assets] for name, array in self.arrays().items()})

    def with_cells(self, cells: Mapping[str, tuple[IntArray, IntArray, FloatArray]]) -> "Quotes":
        """Return a copy in which the cells at (rows, assets) of each array named, none of them twice, hold other values."""
        changed: dict[str, FloatArray] = {}
        for name, (rows, assets, values) in cells.items():
            array = getattr(self, name)
            changed[name] = np.full(self.close.shape, NOTHING[name]) if array is None else array.copy()
            changed[name][rows, assets] = values
        return replace(self, **changed)


NOTHING: dict[str, float] = {
    "open": np.nan,
    "close": np.nan,
    "volume": np.nan,
    "high": np.nan,
    "low": np.nan,
    "splits": 1.0,
    "dividends": 0.0,
}
"""What a cell holds of which nothing was said, by array; the order of the names is that of the fields of revisions."""

FIELDS = tuple(NOTHING)


def carried(prices: FloatArray) -> FloatArray:
    """Return prices (T, n) carried forward over NaN; row t depends on rows up to t."""
    gaps = np.isnan(prices)
    if not gaps.any():
        return prices
    rows = np.arange(prices.shape[0])[:, None]
    last = np.maximum.accumulate(np.where(gaps, 0, rows), axis=0)
    return np.take_along_axis(prices, last, axis=0)


REVISED_SHARE_MAX = 0.25
"""Part of the assets beyond which computing all columns costs less than copying most and computing the rest apart."""

SharesOf = Callable[[FloatArray | None], FloatArray]
"""Shares outstanding before the first split, from what one share has become by splits."""


class Derived:
    """Arrays that follow from a panel's quotes, computed when first asked for; each (T, n) and causal in t.

    Parameters
    ----------
    quotes : Quotes
    shares : callable
        Given what one share of the first session has become by splits on each (T, n), or None, returns the shares outstanding
        before the first split, (n,) or by row (T, n); then row t depends on rows up to t.
    fx : (T, n) float64 or None
        Value of one unit of each asset's currency in the fund's; None where all are the fund's own.
    """

    __slots__ = ("_cache", "_former", "_fx", "_quotes", "_shares")

    def __init__(self, quotes: Quotes, shares: SharesOf, fx: FloatArray | None) -> None:
        self._quotes, self._shares, self._fx = quotes, shares, fx
        self._cache: dict[str, Any] = {}
        self._former: dict[str, tuple[Any, IntArray]] = {}

    def revised(self, quotes: Quotes, assets: IntArray) -> "Derived":
        """Return what follows from ``quotes``, which differ from these in some ``assets`` only.

        An asset's column follows from its own quotes alone, so that the columns of all others are copied, not computed.
        """
        found = Derived(quotes, self._shares, self._fx)
        if len(assets) <= REVISED_SHARE_MAX * quotes.close.shape[1]:
            found._former = {name: (array, np.union1d(changed, assets)) for name, (array, changed) in self._former.items()}
            found._former |= {name: (array, assets) for name, array in self._cache.items()}
        return found

    def _once(self, name: str, compute: Callable[[], Any]) -> Any:
        if name not in self._cache:
            former = self._former.pop(name, None)
            # Numbers that no market has overflow; what comes of them is not finite, on their rows and later ones only.
            with np.errstate(over="ignore", invalid="ignore"):
                self._cache[name] = readonly(compute() if former is None else self._mended(name, *former))
        return self._cache[name]

    def _mended(self, name: str, former: Any, assets: IntArray) -> Any:
        part = Derived(
            self._quotes.of_assets(assets),
            lambda _: self._shares(self._shares_grown)[..., assets],
            None if self._fx is None else self._fx[:, assets],
        )
        mended = former.copy()
        mended[..., assets] = getattr(part, name)
        return mended

    @property
    def traded(self) -> BoolArray:
        """A price, and a volume above zero or unknown."""
        q = self._quotes
        out: BoolArray = self._once("traded", lambda: np.isfinite(q.close) & ~(q.volume <= 0))
        return out

    @property
    def _shares_grown(self) -> FloatArray | None:
        """What one share of the first session has become by splits alone; None on an adjusted basis."""
        splits = self._quotes.splits
        return None if splits is None else self._once("_shares_grown", lambda: np.cumprod(splits, axis=0))

    @property
    def _value(self) -> FloatArray:
        """Last known price of what one share of the first session has become by splits, local currency."""

        def compute() -> FloatArray:
            grown, close = self._shares_grown, self._quotes.close
            return carried(close if grown is None else close * grown)

        out: FloatArray = self._once("_value", compute)
        return out

    @property
    def total(self) -> FloatArray:
        """Close-to-close total return in the fund's currency; NaN up to and including the first price."""
        out: FloatArray = self._once("total", self._total)
        return out

    def _total(self) -> FloatArray:
        value, paid, grown = self._value, self._quotes.dividends, self._shares_grown
        out = np.full(value.shape, np.nan)
        gained = value[1:]
        if paid is not None:
            gained = gained + (paid[1:] if grown is None else paid[1:] * grown[1:])
        np.divide(gained, value[:-1], out=out[1:])
        if self._fx is not None:
            out[1:] *= self._fx[1:] / self._fx[:-1]
        out[1:] -= 1.0
        return out

    def paid_out(self, row: int) -> FloatArray:
        """Return what the dividends of a session add to its total return, (n,); 0 for none, also without a price before."""
        paid, grown, value = self._quotes.dividends, self._shares_grown, self._value
        if paid is None or row == 0:
            return np.zeros(value.shape[1])
        worth = paid[row] if grown is None else paid[row] * grown[row]
        if self._fx is not None:
            worth = worth * self._fx[row] / self._fx[row - 1]
        found: FloatArray = np.nan_to_num(worth / value[row - 1])
        return found

    def shares_grown(self, row: int) -> FloatArray:
        """Return what a share of the panel's first session has become by splits at a session, (n,)."""
        grown = self._shares_grown
        return np.ones(self._value.shape[1]) if grown is None else grown[row]

    def share_prices(self, row: int) -> FloatArray:
        """Return the price of one share at a session, carried over those without a trade, in the fund's currency, (n,)."""
        value, grown = self._value, self._shares_grown
        price: FloatArray = value[row] if grown is None else value[row] / grown[row]
        return price if self._fx is None else price * self._fx[row]

    @property
    def index(self) -> FloatArray:
        """Worth of one share of the first price, dividends reinvested, from that price on; NaN where there was no price."""

        def compute() -> FloatArray:
            growth = np.cumprod(1.0 + np.nan_to_num(self.total), axis=0)
            rows = np.minimum(self.first_row, len(growth) - 1)
            worth = np.take_along_axis(self._quotes.close, rows[None, :], axis=0)
            return np.where(np.isfinite(self._quotes.close), worth * growth, np.nan)

        out: FloatArray = self._once("index", compute)
        return out

    @property
    def intraday(self) -> FloatArray:
        """Open to close; NaN before the first price, 0 on a later session without one."""

        def compute() -> FloatArray:
            close = self._quotes.close
            out = close / self._quotes.open - 1.0
            listed = np.maximum.accumulate(np.isfinite(close), axis=0)
            out[np.isnan(out) & listed] = 0.0
            return out

        found: FloatArray = self._once("intraday", compute)
        return found

    @property
    def overnight(self) -> FloatArray:
        """Previous close to open, with dividends, splits and currency."""
        out: FloatArray = self._once("overnight", lambda: (1.0 + self.total) / (1.0 + self.intraday) - 1.0)
        return out

    @property
    def dollar_volume(self) -> FloatArray:
        """Close × volume in the fund's currency; 0 where nothing was traded."""

        def compute() -> FloatArray:
            traded = self._quotes.close * self._quotes.volume
            return np.nan_to_num(traded if self._fx is None else traded * self._fx, copy=False, nan=0.0)

        out: FloatArray = self._once("dollar_volume", compute)
        return out

    @property
    def market_cap(self) -> FloatArray:
        """Shares × last price in the fund's currency; a split moves both at once."""

        def compute() -> FloatArray:
            cap = self._value * self._shares(self._shares_grown)
            return cap if self._fx is None else cap * self._fx

        out: FloatArray = self._once("market_cap", compute)
        return out

    @property
    def first_row(self) -> IntArray:
        """(n,) row of the first price; T for an asset that never had one. A view compares it with its own end."""

        def compute() -> IntArray:
            priced = np.isfinite(self._quotes.close)
            first: IntArray = np.where(priced.any(axis=0), priced.argmax(axis=0), priced.shape[0]).astype(np.int64)
            return first

        out: IntArray = self._once("first_row", compute)
        return out
