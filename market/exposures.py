"""Factor exposures as known on an evening: sector and country dummies, and styles from prices and volume.

Not here: factor returns and covariances (``portfolio.riskmodel``). Decision instant: ``view.instant``; row t of a window is
the last visible session.

1. Cut the last year of total returns to the members; a session before the listing counts as missing.
2. Compute each style's raw value; too few observations give NaN.
3. Winsorize at the median ± 3 scaled median absolute deviations, fill NaN by the sector's median (how many is told),
   standardize to mean 0 and deviation 1 over the members.
4. A dummy column stands for every sector present (and country, where there are several). Together they equal the intercept:
   who projects must reveal the rank, as :mod:`market.projection` does.

Styles:

=============  =========================================================================================================
beta           slope of 252 daily returns on the members' equal-weighted mean return
size           log market capitalization; without shares, log median dollar volume of 252 sessions, moved to that scale
momentum       log total return from t−252 to t−21 ("12-1")
reversal       log total return of the last 21 sessions (a past return: a positive exposure is a recent winner)
volatility     standard deviation of 63 daily returns less beta × mean return, so that it does not repeat beta
liquidity      log median dollar volume of 63 sessions less its least-squares fit on size, so that it does not repeat size
long_reversal  log total return from t−1260, or the first price, to t−252; known from 252 observed returns there on
=============  =========================================================================================================

Sources and reasons: ``docs/exposures.md``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import BoolArray, FloatArray, IntArray, StrArray, readonly
from market.medians import column_medians, median
from market.panel import AssetTable, PanelView

YEAR_SESSIONS = 252
MONTH_SESSIONS = 21
QUARTER_SESSIONS = 63
LONG_SESSIONS = 1260
"""Five years, at whose beginning the window of the long reversal begins."""

LONG_OBSERVED_MIN_SESSIONS = YEAR_SESSIONS
"""The window of four years need not be whole: few panels reach back so far. A year of it says what the last year does not."""

OBSERVED_MIN_SHARE = 0.5
"""A style whose window is less than half observed says more about the gaps than about the asset."""

WINSOR_DEVIATIONS = 3.0
"""In scaled median absolute deviations: beyond it lie bad ticks and events that a linear model must not follow."""

CACHED_ASSETS = 1_024
"""Assets whose quarter of returns stays in a processor's second cache."""

MAD_TO_DEVIATION = 1.482602218505602
"""1/Φ⁻¹(3/4): makes the median absolute deviation of a normal sample its standard deviation."""


SIZE_FROM_VOLUME = "size_from_volume"
"""Flag of exposures in which an asset's size is made of its dollar volume, because nobody told its shares."""


@dataclass(frozen=True, slots=True, eq=False)
class Exposures:
    """Loadings of a universe on named factors.

    Attributes
    ----------
    names : tuple of str
        ``sector:<name>``, ``country:<name>``, or a style's name.
    kinds : tuple of str
        ``sector``, ``country`` or ``style`` for each name.
    values : (n, k) float64
        Dummies are 0 or 1; styles have mean 0 and deviation 1 over the n members, or are all 0 where nothing varies. No NaN.
    filled : tuple of int
        For each name how many assets have their sector's median instead of a value of their own; n if nobody has one, and 0
        for a dummy.
    flags : frozenset of str
        What a report must say: the flags of the data, and ``size_from_volume``.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    values: FloatArray
    filled: tuple[int, ...]
    flags: frozenset[str]

    def style(self, name: str) -> FloatArray:
        """Return the column (n,) of the factor ``name``; raises InputRejected ``not_found`` for an unknown one."""
        if name not in self.names:
            raise InputRejected(Code.NOT_FOUND, f"There is no factor {name!r} among {', '.join(self.names)}.")
        return self.values[:, self.names.index(name)]

    def columns(self, kind: str) -> FloatArray:
        """Return the columns (n, m) of one kind, in the order of :attr:`names`; m may be 0."""
        return self.values[:, [i for i, k in enumerate(self.kinds) if k == kind]]


@dataclass(frozen=True, slots=True, eq=False)
class _Year:
    """The last year of a view, cut to the members. Missing returns are 0 in ``returns`` and False in ``observed``."""

    returns: FloatArray  # (t, n)
    observed: BoolArray  # (t, n)
    market: FloatArray  # (t,) equal-weighted mean of the observed returns
    dollar_volume: FloatArray  # (t, n)
    market_cap: FloatArray  # (n,)
    beta: FloatArray  # (n,)
    before: Callable[[], FloatArray]  # (u, n) returns of the four years before this one, as many as there are; NaN is missing

    def seen(self, rows: slice, wanted: int) -> BoolArray:
        return np.asarray(self.observed[rows].sum(axis=0) >= OBSERVED_MIN_SHARE * wanted, dtype=np.bool_)

    def median_volume(self) -> FloatArray:
        return column_medians(self.dollar_volume)


def _year(view: PanelView, members: IntArray) -> _Year:
    returns = view.total_returns()[-YEAR_SESSIONS:, members]
    observed = ~np.isnan(returns)
    returns = np.where(observed, returns, 0.0)
    market = returns.sum(axis=1) / np.maximum(observed.sum(axis=1), 1)
    return _Year(
        returns=returns,
        observed=observed,
        market=market,
        dollar_volume=view.dollar_volume()[-YEAR_SESSIONS:, members],
        market_cap=view.market_cap()[-1, members],
        beta=_slope(returns, observed, market),
        before=lambda: view.total_returns()[-LONG_SESSIONS:-YEAR_SESSIONS, members],
    )


def _slope(returns: FloatArray, observed: BoolArray, market: FloatArray) -> FloatArray:
    """Least-squares slope (n,) of each column on ``market`` over its own observed rows; NaN where too few."""
    seen = observed.astype(np.float64)
    return slope_of_sums(observed.sum(axis=0), market @ seen, (market * market) @ seen, returns.sum(axis=0), market @ returns)


def slope_of_sums(
    count: FloatArray | IntArray, market: FloatArray, square: FloatArray, returns: FloatArray, product: FloatArray
) -> FloatArray:
    """Return the slope on the market from sums over an asset's observed sessions, of any shape; NaN where too few.

    Parameters
    ----------
    count, market, square, returns, product
        Sums of 1, m, m², r and m·r, with m the market's and r the asset's return.
    """
    n = np.maximum(count, 1)
    mean = market / n
    variance = square / n - mean * mean
    covariance = product / n - mean * (returns / n)
    enough = (count >= OBSERVED_MIN_SHARE * YEAR_SESSIONS) & (variance > 0)
    return np.where(enough, covariance / np.where(variance > 0, variance, 1.0), np.nan)


def _log(values: FloatArray) -> FloatArray:
    """Natural logarithm, NaN where there is none."""
    return np.log(np.where(values > 0, values, np.nan))


def _beta(year: _Year) -> FloatArray:
    return year.beta


def _size(year: _Year) -> FloatArray:
    return size_of(year.market_cap, year.median_volume)


def size_of(market_cap: FloatArray, median_volume: Callable[[], FloatArray]) -> FloatArray:
    """Return the size (n,) of assets; ``median_volume`` is asked for the year's median dollar volumes only if one is needed."""
    size = _log(market_cap)
    lacking = np.isnan(size)
    if lacking.any():
        size = size.copy()
        traded = _log(median_volume())
        both = ~lacking & ~np.isnan(traded)
        shift = float(np.median((size - traded)[both])) if both.any() else 0.0
        size[lacking] = traded[lacking] + shift
    return size


def _past_return(year: _Year, rows: slice, wanted: int) -> FloatArray:
    # a factor of exactly zero would be a total loss, which ends a listing and is never a price
    total = np.log(np.prod(1.0 + year.returns[rows], axis=0))
    return np.where(year.seen(rows, wanted), total, np.nan)


def _momentum(year: _Year) -> FloatArray:
    return _past_return(year, slice(None, -MONTH_SESSIONS), YEAR_SESSIONS - MONTH_SESSIONS)


def _reversal(year: _Year) -> FloatArray:
    return _past_return(year, slice(-MONTH_SESSIONS, None), MONTH_SESSIONS)


def _long_reversal(year: _Year) -> FloatArray:
    returns = year.before()
    observed = ~np.isnan(returns)
    total = np.log(np.prod(np.where(observed, 1.0 + returns, 1.0), axis=0))
    return np.where(observed.sum(axis=0) >= LONG_OBSERVED_MIN_SESSIONS, total, np.nan)


def _volatility(year: _Year) -> FloatArray:
    rows = slice(-QUARTER_SESSIONS, None)
    return specific_deviation(year.returns[rows], year.observed[rows], year.market[rows], year.beta)


def specific_deviation(returns: FloatArray, observed: BoolArray, market: FloatArray, beta: FloatArray) -> FloatArray:
    """Return the deviation (n,) of the last quarter's returns less beta × market: both (t, n), then (t,) and (n,)."""
    beta = np.where(np.isnan(beta), 1.0, beta)
    seen = observed.sum(axis=0)
    out = np.full(beta.shape, np.nan)
    for lo in range(0, len(beta), CACHED_ASSETS):
        part = slice(lo, lo + CACHED_ASSETS)
        residual = returns[:, part] - market[:, None] * beta[part]
        residual[~observed[:, part]] = 0.0
        count = np.maximum(seen[part], 1)
        mean = residual.sum(axis=0) / count
        out[part] = np.sqrt(np.maximum(np.einsum("ij,ij->j", residual, residual) / count - mean * mean, 0.0))
    return np.where(seen >= OBSERVED_MIN_SHARE * QUARTER_SESSIONS, out, np.nan)


def _liquidity(year: _Year) -> FloatArray:
    return liquidity_of(column_medians(year.dollar_volume[-QUARTER_SESSIONS:]), _size(year))


def liquidity_of(median_volume: FloatArray, size: FloatArray) -> FloatArray:
    """Return the log of the quarter's median dollar volumes (n,) less its least-squares fit on size."""
    traded = _log(median_volume)
    both = ~np.isnan(traded) & ~np.isnan(size)
    if not both.any():
        return traded
    x, y = size[both] - size[both].mean(), traded[both] - traded[both].mean()
    spread = float(x @ x)
    out = np.full(traded.shape[0], np.nan)
    out[both] = y - x * (float(x @ y) / spread if spread > 0 else 0.0)
    return out


_STYLES: Mapping[str, Callable[[_Year], FloatArray]] = {
    "beta": _beta,
    "size": _size,
    "momentum": _momentum,
    "reversal": _reversal,
    "volatility": _volatility,
    "liquidity": _liquidity,
    "long_reversal": _long_reversal,
}

DEFAULT_STYLES = tuple(_STYLES)


def standardize(raw: FloatArray, groups: StrArray) -> FloatArray:
    """Winsorize, fill by the group's median and standardize one style over a universe.

    Parameters
    ----------
    raw : (n,) float64
        Any scale; NaN is missing.
    groups : (n,) str
        The group, here the sector, whose median fills a gap; a group without any value takes the median of all.

    Returns
    -------
    (n,) float64
        Mean 0, standard deviation 1 (divisor n); all 0 where the values do not vary. No NaN.
    """
    known = ~np.isnan(raw)
    if not known.any():
        return np.zeros(raw.shape[0])
    middle = median(raw[known])
    reach = WINSOR_DEVIATIONS * MAD_TO_DEVIATION * median(np.abs(raw[known] - middle))
    out = np.clip(raw, middle - reach, middle + reach) if reach > 0 else raw.copy()
    for group in np.unique(groups[~known]):
        inside = groups == group
        values = out[inside & known]
        out[inside & ~known] = median(values) if values.size else middle
    out -= out.mean()
    deviation = float(out.std())
    # equal values have a deviation of rounding noise, which must not be blown up to one
    if deviation <= 1e-12 * max(abs(middle), float(np.abs(out).max())):
        return np.zeros(raw.shape[0])
    return out / deviation


def compute_exposures(view: PanelView, members: IntArray, styles: Sequence[str] = DEFAULT_STYLES) -> Exposures:
    """Compute the exposures of ``members`` from what ``view`` knows.

    Parameters
    ----------
    view : PanelView
        What was known at the decision instant.
    members : (n,) int64
        Positions on the panel's asset axis, the frozen universe.
    styles : sequence of str
        Which styles, in this order.

    Returns
    -------
    Exposures
        Sector dummies, country dummies where there are several countries, then the styles.

    Raises
    ------
    InputRejected
        ``history_too_short`` when less than a year is visible; ``setting_unknown`` for an unknown style;
        ``universe_too_small`` for no member.
    """
    check_request(styles, len(view.sessions), members)
    year = _year(view, members)
    flags = flags_of(view.flags, year.market_cap, styles)
    return assemble(view.assets, members, {name: _STYLES[name](year) for name in styles}, flags)


def check_request(styles: Sequence[str], sessions: int, members: IntArray) -> None:
    """Refuse what has no exposures: an unknown style, less than a year of ``sessions``, an empty universe."""
    unknown = [name for name in styles if name not in _STYLES]
    if unknown:
        raise InputRejected(Code.SETTING_UNKNOWN, f"There is no style {', '.join(map(repr, unknown))}.")
    if sessions < YEAR_SESSIONS:
        raise InputRejected(Code.HISTORY_TOO_SHORT, f"Exposures need {YEAR_SESSIONS} sessions; {sessions} are known.")
    if members.shape[0] == 0:
        raise InputRejected(Code.UNIVERSE_TOO_SMALL, "Exposures of an empty universe do not exist.")


def flags_of(data: frozenset[str], market_cap: FloatArray, styles: Sequence[str]) -> frozenset[str]:
    """Return what a report must say of exposures on data with these flags; ``market_cap`` (n,) is the members'."""
    sized = not {"size", "liquidity"}.isdisjoint(styles)
    return data | {SIZE_FROM_VOLUME} if sized and not (market_cap > 0).all() else data


def assemble(assets: AssetTable, members: IntArray, raw: Mapping[str, FloatArray], flags: frozenset[str]) -> Exposures:
    """Put dummies and standardized styles together; ``raw`` holds each style's (n,) values over the members."""
    sectors, countries = assets.sectors[members], assets.countries[members]
    labels = [("sector", *np.unique(sectors, return_inverse=True))]
    if (countries != countries[0]).any():
        labels.append(("country", *np.unique(countries, return_inverse=True)))
    names = [f"{kind}:{name}" for kind, present, _ in labels for name in present]
    kinds = [kind for kind, present, _ in labels for _ in present]
    values, first = np.zeros((len(members), len(names) + len(raw))), 0
    for _, present, place in labels:
        values[np.arange(len(members)), first + place] = 1.0
        first += len(present)
    for column, style in enumerate(raw.values(), start=first):
        values[:, column] = standardize(style, sectors)
    filled = [0] * len(names) + [int(np.isnan(column).sum()) for column in raw.values()]
    return Exposures((*names, *raw), (*kinds, *(["style"] * len(raw))), readonly(values), tuple(filled), flags)
