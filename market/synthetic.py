"""A seeded synthetic market for the demo and for tests. It looks like a market; it says nothing about any real one.

Everything that it makes carries the source and the flag ``synthetic``. The same :class:`SyntheticSpec` gives the same bytes:
each part draws from a stream of its own, derived from the seed and the part's name, so that no part's draws move another's.

1. Give each asset a sector, country, beta, specific volatility, size and turnover.
2. Draw the market (with clustered volatility), country, sector and style factors, and Student-t specific returns.
3. Walk forward from a year before the start. Each week, compute characteristics from the past path alone; each carries a small
   premium over the coming week, so that an honest strategy that finds it has a true, modest edge.
4. Split each total return into a night and a day; draw persistent lognormal dollar volumes that rise with large moves.
5. Pay dividends, split shares, halt, list and delist: prices are raw, splits and dividends stand beside them, and a delisting
   has a return of its own.
6. Quote each asset on the sessions of its own exchange, in its own currency (:mod:`market.synthetic_venues`): over a holiday
   its path goes on, and the next session has the whole move.

Premia: an asset of specific volatility σ a day and a characteristic z (mean 0, deviation 1) is expected to earn
weight · IC · σ · z / √20 a session on top of the market, so that the correlation of z with the returns of 20 sessions is about
weight · IC, a little less for factor noise.
"""

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple
from zlib import crc32

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import BoolArray, FloatArray, IntArray, StrArray
from market.panel import NOT_DELISTED, AssetTable, PointInTimePanel
from market.quotes import Quotes
from market.synthetic_venues import Venues, venues
from market.targets import forward_returns
from market.windows import days_known

SOURCE = "synthetic"

SECTORS = (
    "Communication",
    "Consumer Goods",
    "Energy",
    "Finance",
    "Health Care",
    "Industrials",
    "Materials",
    "Real Estate",
    "Technology",
    "Utilities",
)
SECTOR_SHARES = (0.06, 0.16, 0.07, 0.16, 0.13, 0.14, 0.07, 0.05, 0.12, 0.04)

PREMIA = {
    "momentum": 0.9,
    "reversal": 3.0,
    "low_volatility": 1.0,
    "near_high": 1.0,
    "volume_trend": 0.8,
    "night_drift": 1.2,
    "small": 1.6,
    "illiquid": 0.8,
}
"""Weight of each characteristic's premium. Some are styles that the platform neutralizes, some are not, so that the neutral
meta-model has something to find as well. A characteristic that fades inside 20 sessions, or that another one works against, has
a larger weight for the same edge."""

STYLE_FACTORS = ("momentum", "low_volatility", "small")
"""Characteristics that also carry a common risk: factor returns without a mean of their own."""

YEAR = 252
MONTH = 21
WEEK = 5
HORIZON = 20

VOLATILITY_PERSISTENCE = 0.97
VOLATILITY_SPREAD = 0.35
"""Persistence a day and stationary deviation of the logarithm of market volatility."""

VOLUME_PERSISTENCE = 0.97
VOLUME_SPREAD = 0.45

LOG_RETURN_MAX = 1.2
"""A heavier draw of the Student-t tail is cut here: a fall to 30 % or a rise to 330 % in one session."""

PRICE_DECIMALS = 4
DIVIDEND_DECIMALS = 6
"""Prices are rounded as a vendor's are, which also absorbs the last bits in which machines differ."""

SPLIT_RATIOS = (2.0, 3.0, 1.5, 0.1)
SPLIT_CHANCES = (0.6, 0.2, 0.1, 0.1)
HALT_SESSIONS_MAX = 10
TAKEOVER_CHANCE = 0.5
"""Half of the delistings are takeovers at 0 to +30 %, the others failures at −100 to −30 %."""


@dataclass(frozen=True, slots=True)
class SyntheticSpec:
    """What is generated. Rates are a year, volatilities annualized, shares parts of one.

    Attributes
    ----------
    seed : int
        Not negative.
    n_assets : int
        Assets over the whole time; at least 10.
    countries : tuple of str
        ISO codes of the countries of listing, dealt out evenly; each trades on its own exchange in its own currency.
    start, end : date
        First and last date with prices.
    market_drift, market_volatility : float
        Mean and deviation of the market's yearly log return.
    sector_volatility, country_volatility, style_volatility : float
        Of each factor.
    specific_volatility_min, specific_volatility_max : float
        Range over the assets.
    tail_degrees : float
        Degrees of freedom of the specific returns, above 2.
    information_coefficient : float
        Scale of the premia, see the module's docstring; 0 makes a market without any edge.
    listing_share, delisting_share : float
        Parts of the assets that appear, or vanish, inside the time.
    splits_per_year, halts_per_year : float
        Mean number for an asset.
    payer_share : float
        Part of the assets that pays a dividend each quarter.
    vendor_delay_minutes : int
        ``known_at`` is the session's close plus this.
    currency_volatility : float
        Of the value of each currency in the fund's.
    """

    seed: int = 0
    n_assets: int = 260
    countries: tuple[str, ...] = ("US",)
    start: date = date(2015, 1, 2)
    end: date = date(2017, 12, 29)
    market_drift: float = 0.06
    market_volatility: float = 0.16
    sector_volatility: float = 0.08
    country_volatility: float = 0.05
    style_volatility: float = 0.03
    specific_volatility_min: float = 0.25
    specific_volatility_max: float = 0.45
    tail_degrees: float = 4.0
    information_coefficient: float = 0.03
    listing_share: float = 0.08
    delisting_share: float = 0.05
    splits_per_year: float = 0.1
    halts_per_year: float = 0.15
    payer_share: float = 0.6
    vendor_delay_minutes: int = 60
    currency_volatility: float = 0.08

    def __post_init__(self) -> None:
        wrong = [
            (self.seed < 0, "the seed is negative"),
            (self.n_assets < 10, "there are fewer than 10 assets"),
            (not self.countries, "no country is named"),
            (self.tail_degrees <= 2, "two degrees of freedom or fewer have no variance"),
            (self.listing_share + self.delisting_share > 0.9, "hardly an asset lives through"),
            (self.specific_volatility_min > self.specific_volatility_max, "the range of volatilities is empty"),
        ]
        for bad, why in wrong:
            if bad:
                raise InputRejected(Code.SETTING_INVALID, f"The synthetic market cannot be made: {why}.")
        if self.start > self.end:
            raise InputRejected(Code.DATE_INVALID, f"{self.start.isoformat()} is after {self.end.isoformat()}.")

    def stream(self, part: str) -> np.random.Generator:
        """Return the generator of one part, independent of all others."""
        return np.random.default_rng([self.seed, crc32(part.encode())])


class _Traits(NamedTuple):
    """What an asset is born with, each (n,)."""

    sector: IntArray
    country: IntArray
    beta: FloatArray
    specific: FloatArray  # daily volatility
    cap: FloatArray  # market value at the start
    price: FloatArray  # at the start
    turnover: FloatArray  # part of the value traded a day


def _traits(spec: SyntheticSpec) -> _Traits:
    rng, n = spec.stream("traits"), spec.n_assets
    low, high = spec.specific_volatility_min, spec.specific_volatility_max
    shares = np.array(SECTOR_SHARES) / sum(SECTOR_SHARES)
    return _Traits(
        sector=rng.choice(len(SECTORS), n, p=shares).astype(np.int64),
        country=rng.permutation(np.arange(n) % len(spec.countries)).astype(np.int64),
        beta=np.clip(rng.normal(1.0, 0.3, n), 0.2, 2.0),
        specific=rng.uniform(low, high, n) / np.sqrt(YEAR),
        cap=rng.lognormal(np.log(3e9), 1.2, n),
        price=rng.lognormal(np.log(40.0), 0.6, n),
        turnover=rng.lognormal(np.log(0.006), 0.5, n),
    )


def _autoregressive(shocks: FloatArray, persistence: float, spread: float) -> FloatArray:
    """A stationary AR(1) path along axis 0 with deviation ``spread``, from standard normal shocks."""
    out = np.empty_like(shocks)
    out[0] = spread * shocks[0]
    step = spread * np.sqrt(1.0 - persistence * persistence)
    for t in range(1, shocks.shape[0]):
        out[t] = persistence * out[t - 1] + step * shocks[t]
    return out


def _factor_part(spec: SyntheticSpec, traits: _Traits, t: int) -> FloatArray:
    """Market, country and sector parts (t, n) of the log returns."""
    rng, day = spec.stream("factors"), 1.0 / np.sqrt(YEAR)
    log_volatility = _autoregressive(rng.standard_normal(t), VOLATILITY_PERSISTENCE, VOLATILITY_SPREAD)
    level = np.exp(log_volatility - VOLATILITY_SPREAD**2)  # mean square one
    market = spec.market_drift / YEAR + spec.market_volatility * day * level * rng.standard_normal(t)
    sector = spec.sector_volatility * day * rng.standard_normal((t, len(SECTORS)))
    country = spec.country_volatility * day * rng.standard_normal((t, len(spec.countries)))
    if len(spec.countries) == 1:
        country[:] = 0.0  # a lone country's factor is the market
    parts = market[:, None] * traits.beta + sector[:, traits.sector] + country[:, traits.country]
    return np.asarray(parts, dtype=np.float64)


def _standard(x: FloatArray) -> FloatArray:
    centered = x - x.mean()
    deviation = centered.std()
    if deviation == 0:
        return np.zeros_like(x)
    return np.asarray(np.clip(centered / deviation, -3.0, 3.0), dtype=np.float64)


class _Paths(NamedTuple):
    """Latent paths over the burn-in and the time, each (t, n) in logarithms."""

    growth: FloatArray  # total-return index
    night: FloatArray  # part of the session's return before the open
    dollars: FloatArray  # dollar volume


def _characteristics(index: FloatArray, busy: FloatArray, tilt: FloatArray, traits: _Traits, t: int) -> dict[str, FloatArray]:
    """What is known at the end of session t − 1, each (n,) standardized; a higher value is expected to earn more."""
    year = index[t - YEAR : t]
    moves = np.diff(year[-3 * MONTH :], axis=0)
    raw = {
        "momentum": year[-MONTH] - year[0],
        "reversal": year[-MONTH] - year[-1],
        "low_volatility": -np.log(moves.std(axis=0)),
        "near_high": year[-1] - year.max(axis=0),
        "volume_trend": busy[t - MONTH : t].mean(axis=0) - busy[t - YEAR : t].mean(axis=0),
        "night_drift": tilt[t - 1],
        "illiquid": -np.log(traits.turnover) - busy[t - 3 * MONTH : t].mean(axis=0),
        "small": -np.log(traits.cap) - (year[-1] - index[0]),
    }
    return {name: _standard(x) for name, x in raw.items()}


def _walk(spec: SyntheticSpec, traits: _Traits, t: int) -> _Paths:
    """Draw all paths over ``t`` sessions, the first year of which has no premia and is cut off later."""
    rng, shape = spec.stream("specific"), (t, spec.n_assets)
    df = spec.tail_degrees
    shocks = rng.standard_t(df, shape) * np.sqrt((df - 2.0) / df)
    moves = _factor_part(spec, traits, t) + traits.specific * shocks
    quiet = spec.stream("volume")
    busy = _autoregressive(quiet.standard_normal(shape), VOLUME_PERSISTENCE, VOLUME_SPREAD)
    nights = spec.stream("nights")
    tilt = _autoregressive(nights.standard_normal(shape), 0.98, 1.0)
    style_noise = spec.stream("styles").standard_normal((t, len(STYLE_FACTORS))) * spec.style_volatility / np.sqrt(YEAR)
    edge = spec.information_coefficient / np.sqrt(HORIZON) * traits.specific
    index = np.cumsum(np.clip(moves, -LOG_RETURN_MAX, LOG_RETURN_MAX), axis=0)
    expected = np.zeros(spec.n_assets)
    styles = np.zeros((len(STYLE_FACTORS), spec.n_assets))
    for now in range(YEAR, t):
        if (now - YEAR) % WEEK == 0:
            known = _characteristics(index, busy, tilt, traits, now)
            expected = edge * sum(PREMIA[name] * z for name, z in known.items())
            styles = np.stack([known[name] for name in STYLE_FACTORS])
        moves[now] += expected + style_noise[now] @ styles
        index[now] = index[now - 1] + np.clip(moves[now], -LOG_RETURN_MAX, LOG_RETURN_MAX)
    moves = np.diff(index, axis=0, prepend=0.0)
    night = 0.35 * moves + traits.specific * (0.15 * tilt + 0.4 * nights.standard_normal(shape))
    surprise = 0.25 * np.minimum(np.abs(shocks), 8.0) + 0.25 * quiet.standard_normal(shape)
    dollars = np.log(traits.cap * traits.turnover) + busy + surprise + 0.5 * (index - index[YEAR])
    return _Paths(index[YEAR:], night[YEAR:], dollars[YEAR:])


def _some(rng: np.random.Generator, n: int, share: float, pool: IntArray) -> IntArray:
    """About ``share`` of ``n`` assets out of ``pool``, at least one when the share is not zero."""
    count = min(max(1, round(share * n)), pool.shape[0]) if share > 0 else 0
    return np.asarray(rng.choice(pool, count, replace=False), dtype=np.int64)


class _Life(NamedTuple):
    """When assets have a price, and how they end."""

    priced: BoolArray  # (t, n)
    delisting_index: IntArray
    delisting_return: FloatArray


def _life(spec: SyntheticSpec, t: int) -> _Life:
    rng, n = spec.stream("life"), spec.n_assets
    rows = np.arange(t)[:, None]
    listed = _some(rng, n, spec.listing_share, np.arange(n))
    first = np.zeros(n, dtype=np.int64)
    first[listed] = rng.integers(1, max(2, t // 2), listed.shape[0])
    ending = _some(rng, n, spec.delisting_share, np.setdiff1d(np.arange(n), listed))
    index, returns = np.full(n, NOT_DELISTED, dtype=np.int64), np.full(n, np.nan)
    index[ending] = rng.integers(max(1, t // 3), max(2, t), ending.shape[0])
    taken = rng.random(ending.shape[0]) < TAKEOVER_CHANCE
    outcome = np.where(taken, rng.uniform(0.0, 0.3, ending.shape[0]), rng.uniform(-1.0, -0.3, ending.shape[0]))
    returns[ending] = np.round(outcome, 4)
    priced = (rows >= first) & ((index == NOT_DELISTED) | (rows < index))
    halts = rng.poisson(spec.halts_per_year * n * t / YEAR) if spec.halts_per_year > 0 else 0
    for asset, begin, length in zip(
        rng.integers(0, n, halts), rng.integers(1, max(2, t), halts), rng.integers(1, HALT_SESSIONS_MAX + 1, halts), strict=True
    ):
        # a halt neither hides the listing nor runs into the end: both stay visible in the prices
        end = min(begin + length, t - 1, index[asset] - 1 if index[asset] != NOT_DELISTED else t)
        priced[max(begin, first[asset] + 1) : end, asset] = False
    return _Life(priced, index, returns)


def _split_ratios(spec: SyntheticSpec, priced: BoolArray) -> FloatArray:
    """New shares for each old one (t, n); a split becomes effective on a session with a price."""
    rng = spec.stream("splits")
    rate = spec.splits_per_year / YEAR
    ratios = rng.choice(SPLIT_RATIOS, priced.shape, p=SPLIT_CHANCES)
    happens = (rng.random(priced.shape) < rate) & priced
    happens[0] = False
    return np.where(happens, ratios, 1.0)


def _dividend_yields(spec: SyntheticSpec, shape: tuple[int, int]) -> FloatArray:
    """Dividend over the previous price (t, n), once a quarter for payers."""
    rng, (t, n) = spec.stream("dividends"), shape
    payer = rng.random(n) < spec.payer_share
    quarter, offset = 3 * MONTH, rng.integers(0, 3 * MONTH, n)
    pays = (np.arange(t)[:, None] % quarter == offset) & payer
    pays[0] = False
    return np.where(pays, rng.uniform(0.003, 0.01, n), 0.0)


def _prices(spec: SyntheticSpec, traits: _Traits, paths: _Paths, venue: Venues, priced: BoolArray) -> dict[str, FloatArray]:
    """Prices in each asset's currency, with its splits and dividends, where ``priced`` (t, n) says that there is one."""
    shape = paths.growth.shape
    splits = _split_ratios(spec, priced)
    fx = np.ones((1, 1)) if venue.fx is None else venue.fx
    total = traits.price / fx[0] * np.exp(paths.growth - paths.growth[0])
    # the total return is the price return before the payment: ex-dividend prices fall by the yield
    yields = np.where(priced, _dividend_yields(spec, shape), 0.0)
    kept = np.cumprod((1.0 - yields) / splits, axis=0)
    close = np.maximum(np.round(total * kept, PRICE_DECIMALS), 10.0**-PRICE_DECIMALS)
    day = np.diff(paths.growth, axis=0, prepend=paths.growth[:1]) - paths.night
    open_ = np.maximum(np.round(close * np.exp(-day), PRICE_DECIMALS), 10.0**-PRICE_DECIMALS)
    volume = np.maximum(np.rint(np.exp(paths.dollars) / (close * fx)), 1.0)
    columns = {"open": open_, "close": close, "volume": volume}
    for column in columns.values():
        column[~priced] = np.nan
    dividends = np.nan_to_num(np.round(close * yields / (1.0 - yields), DIVIDEND_DECIMALS))
    return {**columns, "splits": splits, "dividends": dividends}


def _asset_table(spec: SyntheticSpec, traits: _Traits, venue: Venues) -> AssetTable:
    width = max(4, len(str(spec.n_assets)))
    ids: StrArray = np.array([f"SYN{i:0{width}d}" for i in range(1, spec.n_assets + 1)])
    return AssetTable(
        asset_ids=ids,
        tickers=ids.copy(),
        sectors=np.array(SECTORS)[traits.sector],
        countries=np.array(spec.countries)[traits.country],
        exchanges=venue.exchanges,
        currencies=venue.currencies,
        shares=np.rint(traits.cap / traits.price),
    )


def generate_market(spec: SyntheticSpec) -> PointInTimePanel:
    """Generate the market of ``spec``.

    Parameters
    ----------
    spec : SyntheticSpec
        Seed, size, time and character.

    Returns
    -------
    PointInTimePanel
        Raw prices with splits and dividends; source and flag ``synthetic``. ``notes`` counts
        ``listings``, ``delistings``, ``splits`` and ``halted_cells``.

    Raises
    ------
    InputRejected
        ``date_invalid`` without a session in the time; ``calendar_end`` beyond an exchange's known rules; ``country_unknown``
        for a country without an exchange that is known.
    """
    traits = _traits(spec)
    countries = np.array(spec.countries)[traits.country]
    venue = venues(countries, spec.start, spec.end, spec.currency_volatility, spec.stream)
    t = venue.open_for.shape[0]
    paths = _walk(spec, traits, t + YEAR)
    life = _life(spec, t)
    prices = _prices(spec, traits, paths, venue, life.priced & venue.open_for)
    gone = life.delisting_index != NOT_DELISTED
    begun = np.maximum.accumulate(life.priced, axis=0)
    alive = begun & ((np.arange(t)[:, None] < life.delisting_index) | ~gone)
    closes = venue.calendar.closes[venue.rows]
    return PointInTimePanel(
        assets=_asset_table(spec, traits, venue),
        calendar=venue.calendar,
        sessions=venue.calendar.sessions[venue.rows].copy(),
        known_at=(closes + np.timedelta64(spec.vendor_delay_minutes, "m")).astype("datetime64[s]"),
        quotes=Quotes(**prices),
        delisting_index=life.delisting_index,
        delisting_return=life.delisting_return,
        price_basis="raw",
        flags=frozenset({"synthetic"}),
        source=SOURCE,
        trading=venue.trading,
        fx=venue.fx,
        notes={
            "listings": int((~begun[0]).sum()),
            "delistings": int(gone.sum()),
            "splits": int((prices["splits"] != 1.0).sum()),
            "halted_cells": int((alive & ~life.priced & venue.open_for).sum()),
        },
    )


def oracle_scores(
    panel: PointInTimePanel,
    base_session: date,
    members: IntArray,
    rng: np.random.Generator,
    *,
    horizon: int = HORIZON,
    lag: int = 2,
    noise: float = 8.0,
) -> FloatArray:
    """Look into the future of a synthetic market: standardized returns to come, under noise.

    It is an oracle, not a strategy: it needs the whole panel and knows what no provider can. It exists so that the demo can
    show that skill is paid, and is named an oracle wherever its scores appear.

    Parameters
    ----------
    panel : PointInTimePanel
        A panel of source ``synthetic``, the future included.
    base_session : date
        s₀ of the round.
    members : (n,) int64
        Positions on the panel's asset axis.
    rng : numpy.random.Generator
        Source of the noise.
    horizon, lag : int
        Window of the target, in own sessions. Where the panel ends inside the window, what is left of it is used.
    noise : float
        Deviation of the noise over that of the truth: the correlation with the truth is 1/√(1 + noise²), 0.12 by default.

    Returns
    -------
    (n,) float64
        Higher is better; no NaN. Pure noise where no return of the window is in the panel.

    Raises
    ------
    InputRejected
        ``request_invalid`` for a panel that is not synthetic.
    """
    if panel.source != SOURCE:
        raise InputRejected(Code.REQUEST_INVALID, "An oracle exists for the synthetic market only.")
    shade: FloatArray = np.asarray(noise * rng.standard_normal(members.shape[0]), dtype=np.float64)
    index = panel.calendar.columns(panel.assets.exchanges)
    known = min(horizon, days_known(panel.calendar, index, base_session, lag, panel.last_session))
    if known < 1:
        return shade
    everything = panel.as_of(panel.calendar.close_at(panel.calendar.next_session(panel.last_session)))
    truth = np.nan_to_num(forward_returns(everything, members, base_session, known, lag))
    return np.asarray(_standard(truth) + shade, dtype=np.float64)
