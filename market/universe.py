"""Which assets are eligible at a date: the most traded ones that a rule admits, frozen per round under a hash.

Not here: a vendor's index membership. Decision instant: ``view.instant``.

1. Leave out what is delisted, what has too few sessions since its first price, what did not trade lately, and what lies in no
   country of the rule.
2. Order the rest by the median dollar volume of the trailing window; a session without trade counts as zero, so an asset
   that traded on less than half of them is out. An asset whose source has no volumes comes after all others. Out is also what
   lies below the rule's least volume, and whose price or market capitalization lies outside the rule's bounds or is unknown
   where there are bounds.
3. Keep the first ``size``; equal volumes are ordered by asset id. Given the former universe, a member stays up to the rank
   size · (1 + h) and another asset enters from the rank size · (1 − h) on, so that assets at the edge do not come and go.
4. Members are stored sorted by asset id; who entered and who left is told.

Recent sessions, those without a trade and those of the trailing window, are counted on each asset's own exchange: a week of
holidays in Tokyo leaves no share of Tokyo out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date

import numpy as np

from crowdalpha.canonical import Plain, canonical_hash
from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import BoolArray, FloatArray, IntArray, StrArray, readonly
from market.batch import RAW, TOTAL_RETURN
from market.medians import column_medians
from market.panel import NOT_DELISTED, PanelView

ADJUSTED_PRICE_RULE = "adjusted_price_rule"
"""Flag of a universe that a rule on price levels chose from adjusted prices: later splits and dividends are in them."""

RANK_TOLERANCE = 1e-9
"""size · (1 ± h) of decimal settings may miss a whole number by a rounding of binary fractions, and by no more."""


@dataclass(frozen=True, slots=True)
class UniverseRule:
    """The rule by which a universe is chosen.

    Attributes
    ----------
    size : int
        Most assets that are taken; with hysteresis the number that they keep around.
    min_history_sessions : int
        Least sessions since an asset's first price.
    adv_window_sessions : int
        Trailing sessions over which the median dollar volume is taken.
    stale_sessions_max : int
        An asset without a trade in this many last sessions is out.
    size_min : int
        With fewer eligible assets there is no universe: nothing can be ranked or neutralized among so few.
    countries : tuple of str
        Countries of the asset table that are admitted; empty for all.
    adv_min : float
        Least median dollar volume.
    market_cap_min, market_cap_max : float
        Bounds of the market capitalization, both included, in the currency of the view.
    price_min, price_max : float
        Bounds of the last price, both included.
    hysteresis : float
        h, from 0 to below 1.
    allow_adjusted : bool
        Whether bounds may be put on levels that the view's price basis distorts; the universe is flagged then. Without it they
        are refused: a share that split later looks like a penny stock before.
    """

    size: int = 1000
    min_history_sessions: int = 252
    adv_window_sessions: int = 63
    stale_sessions_max: int = 5
    size_min: int = 20
    countries: tuple[str, ...] = ()
    adv_min: float = 0.0
    market_cap_min: float = 0.0
    market_cap_max: float = float("inf")
    price_min: float = 0.0
    price_max: float = float("inf")
    hysteresis: float = 0.0
    allow_adjusted: bool = False

    def __post_init__(self) -> None:
        pairs = ((self.market_cap_min, self.market_cap_max), (self.price_min, self.price_max))
        if not 0 <= self.hysteresis < 1 or any(not 0 <= low <= high for low, high in pairs):
            raise InputRejected(Code.SETTING_INVALID, "The universe's hysteresis or one of its bounds contradicts itself.")

    @property
    def bounds_price(self) -> bool:
        """Whether the rule puts bounds on the price."""
        return self.price_min > 0 or self.price_max < float("inf")

    @property
    def bounds_cap(self) -> bool:
        """Whether the rule puts bounds on the market capitalization."""
        return self.market_cap_min > 0 or self.market_cap_max < float("inf")


@dataclass(frozen=True, slots=True, eq=False)
class Universe:
    """The eligible assets of a date.

    Attributes
    ----------
    as_of : date
        Last session whose data decided.
    members : (k,) int64
        Positions on the panel's asset axis, ascending, hence in the order of asset ids.
    asset_ids : (k,) str
        The same assets by identity.
    hash : str
        SHA-256 of the date, the rule and the ids.
    entered, left : (…,) str
        Asset ids that the former universe lacks, and that only it has; empty without a former one.
    churn : float or None
        Part of the two universes' places that changed hands: (entered + left) ÷ (former size + size). 0 for the same
        members, 1 for none in common, None without a former universe.
    flags : frozenset of str
        ``adjusted_price_rule``, where the rule allowed it and needed it.
    """

    as_of: date
    members: IntArray
    asset_ids: StrArray
    hash: str
    entered: StrArray
    left: StrArray
    churn: float | None = None
    flags: frozenset[str] = frozenset()

    def __len__(self) -> int:
        """Return the number of members."""
        return int(self.members.shape[0])


def rule_as_plain(rule: UniverseRule) -> dict[str, Plain]:
    """Return a rule as it is hashed and published.

    Numbers that may have decimals are the shortest text that reads back as the same number.
    """
    plain: dict[str, Plain] = {}
    for key in fields(rule):
        value = getattr(rule, key.name)
        plain[key.name] = repr(float(value)) if isinstance(key.default, float) else value
    return plain


def universe_hash(as_of: date, asset_ids: StrArray, rule: UniverseRule) -> str:
    """Return the hash under which a universe is frozen: over its date, its rule and its sorted asset ids."""
    return plain_universe_hash(as_of.isoformat(), asset_ids.tolist(), rule_as_plain(rule))


def plain_universe_hash(as_of: str, asset_ids: Sequence[str], rule: Mapping[str, Plain]) -> str:
    """Return :func:`universe_hash` of what was published of a universe: ISO date, sorted asset ids, :func:`rule_as_plain`."""
    return canonical_hash({"as_of": as_of, "asset_ids": list(asset_ids), "rule": dict(rule)})


def select_universe(view: PanelView, rule: UniverseRule, former: Universe | None = None) -> Universe:
    """Choose the universe from what ``view`` knows; parameters and errors are those of :func:`select_members`."""
    flags = _judge_basis(view.price_basis, rule)
    members = select_members(view, rule, former)
    asset_ids = readonly(view.assets.asset_ids[members])
    before = asset_ids if former is None else former.asset_ids
    entered, left, churn = membership_change(before, asset_ids)
    return Universe(
        as_of=view.last_session,
        members=members,
        asset_ids=asset_ids,
        hash=universe_hash(view.last_session, asset_ids, rule),
        entered=readonly(entered),
        left=readonly(left),
        churn=None if former is None else churn,
        flags=flags,
    )


def membership_change(before: StrArray, after: StrArray) -> tuple[StrArray, StrArray, float]:
    """Return which ids only ``after`` holds, which only ``before`` does, and the churn: their number ÷ the places of both."""
    entered, left = np.setdiff1d(after, before), np.setdiff1d(before, after)
    return entered, left, (entered.shape[0] + left.shape[0]) / max(after.shape[0] + before.shape[0], 1)


def select_members(view: PanelView, rule: UniverseRule, former: Universe | None = None) -> IntArray:
    """Choose a universe's members without freezing it: its hash takes longer than the choice.

    Parameters
    ----------
    view : PanelView
        What was known at the decision instant.
    rule : UniverseRule
        Thresholds.
    former : Universe, optional
        The universe before, decided at an earlier instant: its members stay longer, where the rule has a hysteresis.

    Returns
    -------
    (k,) int64
        Positions on the panel's asset axis, ascending.

    Raises
    ------
    InputRejected
        ``history_too_short`` when the view is shorter than the rule's history; ``universe_too_small`` when fewer than
        ``size_min`` assets are eligible; ``price_basis`` for bounds on levels that the price basis distorts.
    """
    if len(view.sessions) < rule.min_history_sessions:
        needs = f"{rule.min_history_sessions} sessions before {view.last_session.isoformat()}"
        raise InputRejected(Code.HISTORY_TOO_SHORT, f"A universe needs {needs}; {len(view.sessions)} are known.")
    _judge_basis(view.price_basis, rule)
    ranked = _ranked(view, rule)
    if ranked.shape[0] < rule.size_min:
        found = f"{ranked.shape[0]} assets are eligible on {view.last_session.isoformat()}"
        raise InputRejected(Code.UNIVERSE_TOO_SMALL, f"Only {found}; at least {rule.size_min} are needed.")
    taken = _taken(view.assets.asset_ids[ranked], rule, former)
    return readonly(np.sort(ranked[taken]).astype(np.int64))


def _judge_basis(price_basis: str, rule: UniverseRule) -> frozenset[str]:
    """Refuse, or flag, bounds on levels that the basis distorts.

    Later splits move an adjusted price, but neither its product with shares nor that with volume on the same basis; later
    dividends move all three.
    """
    distorted = []
    if rule.bounds_price and price_basis != RAW:
        distorted.append("price")
    if rule.bounds_cap and price_basis == TOTAL_RETURN:
        distorted.append("market capitalization")
    if rule.adv_min > 0 and price_basis == TOTAL_RETURN:
        distorted.append("dollar volume")
    if distorted and not rule.allow_adjusted:
        what = " and ".join(distorted)
        raise InputRejected(Code.PRICE_BASIS, f"The universe bounds the {what}, but the prices are {price_basis}.")
    return frozenset({ADJUSTED_PRICE_RULE}) if distorted else frozenset()


def _ranked(view: PanelView, rule: UniverseRule) -> IntArray:
    """Positions of the eligible assets, the most traded first, equal volumes by asset id."""
    listed = (view.delisting_index == NOT_DELISTED) & (view.history_sessions() >= rule.min_history_sessions)
    fresh = np.zeros(len(view.assets), dtype=np.bool_)
    for e, rows in _recent(view, rule.stale_sessions_max):
        fresh |= (view.exchange_index == e) & view.traded[rows].any(axis=0)
    admitted = np.isin(view.assets.countries, rule.countries) if rule.countries else np.ones(len(view.assets), dtype=bool)
    candidates = np.flatnonzero(listed & fresh & admitted)
    volume, silent = np.empty(candidates.shape[0]), np.zeros(candidates.shape[0], dtype=np.bool_)
    for e, rows in _recent(view, rule.adv_window_sessions):
        here = view.exchange_index[candidates] == e
        if here.any():
            cells = (rows[:, None], candidates[here])
            volume[here] = column_medians(view.dollar_volume()[cells])
            silent[here] = ~np.isfinite(view.quotes.volume[cells]).any(axis=0)
    good = ((volume > 0) | silent) & (volume >= rule.adv_min)
    if rule.bounds_cap:
        good &= _within(view.market_cap()[-1, candidates], rule.market_cap_min, rule.market_cap_max)
    if rule.bounds_price:
        good &= _within(_last_prices(view, candidates), rule.price_min, rule.price_max)
    candidates, volume = candidates[good], volume[good]
    return candidates[np.lexsort((candidates, -volume))].astype(np.int64)


def _recent(view: PanelView, count: int) -> Iterator[tuple[int, IntArray]]:
    """Yield the number of each exchange, and the rows of its last ``count`` sessions."""
    for e in range(len(view.exchange_names)):
        yield e, np.flatnonzero(view.trading[:, e])[-count:]


def _within(values: FloatArray, low: float, high: float) -> BoolArray:
    return np.asarray((values >= low) & (values <= high), dtype=np.bool_)  # an unknown value is NaN, and compares as false


def _last_prices(view: PanelView, candidates: IntArray) -> FloatArray:
    """Price of each candidate's last session with one; it has one among the last sessions, for it traded there."""
    close = view.close[:, candidates]
    last = close.shape[0] - 1 - np.isfinite(close)[::-1].argmax(axis=0)
    return np.asarray(close[last, np.arange(candidates.shape[0])], dtype=np.float64)


def _taken(ranked_ids: StrArray, rule: UniverseRule, former: Universe | None) -> BoolArray:
    """Which of the ranked assets are members."""
    rank = np.arange(1, ranked_ids.shape[0] + 1)
    if former is None:
        return rank <= rule.size
    known = np.isin(ranked_ids, former.asset_ids)
    enters = rank <= rule.size * (1.0 - rule.hysteresis) + RANK_TOLERANCE
    stays = rank <= rule.size * (1.0 + rule.hysteresis) + RANK_TOLERANCE
    return np.where(known, stays, enters)
