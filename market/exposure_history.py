"""Exposures of many dates at once: the numbers of :func:`market.exposures.compute_exposures`, dates after dates.

What neighbouring dates share is computed once. Decision instant of each date: that at which its session was learnt
(``known_at``). Its exposures use rows up to it only, however late the last date is.

1. Dates that lie near each other, and knew the same of former rows, form a block; the block's sessions, cut to the assets
   that are a member on any of its dates, are copied once.
2. Each date's market is a matrix product: returns (sessions × assets) times membership (assets × dates), over the number of
   members observed.
3. The sums of a year behind beta, and the log growth of momentum and both reversals, are products as well: windows
   (dates × sessions) times returns (sessions × assets).
4. Medians and the specific deviation are taken date by date on slices of the copy; standardizing is that of one date.

Blocks depend on nothing but their dates, so that several threads may each go through a stretch of dates of their own. The last
bits of a product may depend on its size, hence on the other dates of a block: what is frozen or paid on comes from
:func:`~market.exposures.compute_exposures`.
"""

from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InvariantBroken
from market.arrays import FloatArray, IntArray
from market.calendars import to_instant
from market.exposures import (
    DEFAULT_STYLES,
    LONG_OBSERVED_MIN_SESSIONS,
    LONG_SESSIONS,
    MONTH_SESSIONS,
    OBSERVED_MIN_SHARE,
    QUARTER_SESSIONS,
    YEAR_SESSIONS,
    Exposures,
    assemble,
    check_request,
    flags_of,
    liquidity_of,
    size_of,
    slope_of_sums,
    specific_deviation,
)
from market.medians import column_medians
from market.panel import PanelView, PointInTimePanel

BLOCK_DATES = 16
BLOCK_REACH_SESSIONS = 126
"""A block holds as many dates, from first to last as many sessions apart: beside the year before, the copy stays small."""


def exposure_history(
    panel: PointInTimePanel,
    sessions: Sequence[date],
    members_by_session: Sequence[IntArray],
    styles: Sequence[str] = DEFAULT_STYLES,
) -> Iterator[Exposures]:
    """Compute the exposures of each session's members as known when that session was learnt.

    Parameters
    ----------
    panel : PointInTimePanel
    sessions : sequence of date
        Sessions of the panel, best in ascending order: neighbours share their work.
    members_by_session : sequence of (n,) int64
        For each session the positions of its members on the panel's asset axis.
    styles : sequence of str
        Which styles, in this order.

    Yields
    ------
    Exposures
        One a session, in the order given; equal to those of :func:`compute_exposures` on the session's view up to rounding.

    Raises
    ------
    InputRejected
        As :func:`compute_exposures`, and ``date_outside_panel`` for a date that is no session of the panel.
    InvariantBroken
        If sessions and members differ in number.
    """
    rows = [panel.index_of(session) for session in sessions]
    if len(rows) != len(members_by_session):
        raise InvariantBroken(Code.INTERNAL, "Sessions and their members differ in number.")
    for row, members in zip(rows, members_by_session, strict=True):
        check_request(styles, row + 1, members)
    for part in _blocks(rows, [panel.revisions.known_by(panel.known_at[row]) for row in rows]):
        # The block's view ends with its last date; each date looks at the rows up to its own.
        view = panel.as_of(to_instant(panel.known_at[max(rows[part])]))
        block = _Block(view, rows[part], members_by_session[part], styles)
        for place in range(len(block.rows)):
            members = block.members[place]
            flags = flags_of(view.flags, block.market_cap(place), styles)
            yield assemble(view.assets, members, {name: block.style(name, place) for name in styles}, flags)


def _blocks(rows: Sequence[int], corrections: Sequence[int]) -> Iterator[slice]:
    """Cut the dates where a block is full or would reach too far, and where something was learnt anew of former rows."""
    begin = 0
    for end in range(1, len(rows) + 1):
        block = rows[begin : end + 1]
        full = end == len(rows) or end - begin == BLOCK_DATES or max(block) - min(block) > BLOCK_REACH_SESSIONS
        if full or corrections[end] != corrections[begin]:
            yield slice(begin, end)
            begin = end


class _Block:
    """The sessions that a few dates look back on, and what they share. Axes: d dates, t sessions, n assets of any date."""

    def __init__(self, view: PanelView, rows: Sequence[int], members: Sequence[IntArray], styles: Sequence[str]) -> None:
        self.view, self.rows, self.members = view, rows, members
        self.first = min(rows) + 1 - YEAR_SESSIONS
        self.assets = np.unique(np.concatenate(members))
        self.at = [np.searchsorted(self.assets, m) for m in members]
        returns = view.total_returns()[self.first :, self.assets]
        self.observed = ~np.isnan(returns)
        self.returns = np.where(self.observed, returns, 0.0)
        self.dollar_volume = view.dollar_volume()[self.first :, self.assets]
        self.young = np.flatnonzero(~self.observed.all(axis=0))
        self.market = self._market()
        self.raw = {"beta": self._beta()}
        growth = np.log1p(self.returns)  # prices are positive, so no return is −1
        for name, begin, end in (("momentum", YEAR_SESSIONS, MONTH_SESSIONS), ("reversal", MONTH_SESSIONS, 0)):
            if name in styles:
                windows = self._windows(begin, end)
                enough = self._sums_where_seen(windows) >= OBSERVED_MIN_SHARE * (begin - end)
                self.raw[name] = np.where(enough, windows @ growth, np.nan)
        if "long_reversal" in styles:
            self.raw["long_reversal"] = self._long_reversal()

    def style(self, name: str, place: int) -> FloatArray:
        """Return the raw values of a style for the members of the date at ``place``; NaN where too little was observed."""
        if name in {"size", "liquidity"}:
            size = size_of(self.market_cap(place), lambda: self._median_volume(place, YEAR_SESSIONS))
            return size if name == "size" else liquidity_of(self._median_volume(place, QUARTER_SESSIONS), size)
        of_all = self._deviation(place) if name == "volatility" else self.raw[name][place]
        return np.asarray(of_all[self.at[place]], dtype=np.float64)

    def market_cap(self, place: int) -> FloatArray:
        """Return the market capitalization of the members of the date at ``place``."""
        return np.asarray(self.view.market_cap()[self.rows[place], self.members[place]], dtype=np.float64)

    def _window(self, place: int, begin: int, end: int = 0) -> slice:
        """Rows of the copy from ``begin`` sessions before the date's last one to ``end`` before it, that one for 0."""
        stop = self.rows[place] + 1 - self.first
        return slice(stop - begin, stop - end)

    def _windows(self, begin: int, end: int = 0) -> FloatArray:
        """Return (d, t): 1 in the window of each date, else 0."""
        out = np.zeros((len(self.rows), self.returns.shape[0]))
        for place in range(len(self.rows)):
            out[place, self._window(place, begin, end)] = 1.0
        return out

    def _sums_where_seen(self, weights: FloatArray) -> FloatArray:
        """Return (d, n): the sum of each date's weights (d, t) over the sessions on which an asset was observed."""
        sums = np.repeat(weights.sum(axis=1)[:, None], len(self.assets), axis=1)
        sums[:, self.young] = weights @ self.observed[:, self.young].astype(np.float64)
        return sums

    def _market(self) -> FloatArray:
        """Return (d, t): the mean of the observed returns of each date's members, session by session."""
        inside = np.zeros((len(self.assets), len(self.rows)))
        for place, at in enumerate(self.at):
            inside[at, place] = 1.0
        unseen = (~self.observed[:, self.young]).astype(np.float64) @ inside[self.young]
        count = inside.sum(axis=0) - unseen
        return np.ascontiguousarray(((self.returns @ inside) / np.maximum(count, 1.0)).T)

    def _beta(self) -> FloatArray:
        """Return (d, n)."""
        year = self._windows(YEAR_SESSIONS)
        market = year * self.market
        count, first, second = (self._sums_where_seen(w) for w in (year, market, market * market))
        return slope_of_sums(count, first, second, year @ self.returns, market @ self.returns)

    def _long_reversal(self) -> FloatArray:
        """Return (d, n): the log growth of the four years before each date's last one, as far back as the panel reaches."""
        first, last = max(min(self.rows) + 1 - LONG_SESSIONS, 0), max(self.rows) + 1 - YEAR_SESSIONS
        returns = self.view.total_returns()[first:last, self.assets]
        inside = np.zeros((len(self.rows), len(returns)))
        for place, row in enumerate(self.rows):
            inside[place, max(row + 1 - LONG_SESSIONS - first, 0) : row + 1 - YEAR_SESSIONS - first] = 1.0
        observed = ~np.isnan(returns)
        young = np.flatnonzero(~observed.all(axis=0))
        count = np.repeat(inside.sum(axis=1)[:, None], len(self.assets), axis=1)
        count[:, young] = inside @ observed[:, young].astype(np.float64)
        growth = inside @ np.log1p(np.where(observed, returns, 0.0))
        return np.where(count >= LONG_OBSERVED_MIN_SESSIONS, growth, np.nan)

    def _deviation(self, place: int) -> FloatArray:
        rows = self._window(place, QUARTER_SESSIONS)
        return specific_deviation(self.returns[rows], self.observed[rows], self.market[place, rows], self.raw["beta"][place])

    def _median_volume(self, place: int, sessions: int) -> FloatArray:
        """Return the members' median dollar volumes of the last sessions."""
        return column_medians(self.dollar_volume[self._window(place, sessions), self.at[place]])
