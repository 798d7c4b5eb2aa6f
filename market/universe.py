"""Which assets are eligible at a date: the most traded ones with enough history, frozen per round under a hash.

Not here: a vendor's index membership. Decision instant: ``view.instant``.

1. Leave out what is delisted, what has too few sessions since its first price, and what did not trade lately.
2. Order the rest by the median dollar volume of the trailing window; a session without trade counts as zero, so an asset
   that traded on less than half of them is out.
3. Keep the first ``size``; equal volumes are ordered by asset id. Members are stored sorted by asset id.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np

from crowdalpha.canonical import canonical_hash
from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import IntArray, StrArray, readonly
from market.medians import column_medians
from market.panel import NOT_DELISTED, PanelView


@dataclass(frozen=True, slots=True)
class UniverseRule:
    """The rule by which a universe is chosen.

    Attributes
    ----------
    size : int
        Most assets that are taken.
    min_history_sessions : int
        Least sessions since an asset's first price.
    adv_window_sessions : int
        Trailing sessions over which the median dollar volume is taken.
    stale_sessions_max : int
        An asset without a trade in this many last sessions is out.
    size_min : int
        With fewer eligible assets there is no universe: nothing can be ranked or neutralized among so few.
    """

    size: int = 1000
    min_history_sessions: int = 252
    adv_window_sessions: int = 63
    stale_sessions_max: int = 5
    size_min: int = 20


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
        SHA-256 of the date and the ids.
    """

    as_of: date
    members: IntArray
    asset_ids: StrArray
    hash: str

    def __len__(self) -> int:
        """Return the number of members."""
        return int(self.members.shape[0])


def universe_hash(as_of: date, asset_ids: StrArray) -> str:
    """Return the hash under which a universe is frozen: over its date and its sorted asset ids."""
    return canonical_hash({"as_of": as_of.isoformat(), "asset_ids": asset_ids.tolist()})


def select_universe(view: PanelView, rule: UniverseRule) -> Universe:
    """Choose the universe from what ``view`` knows; parameters and errors are those of :func:`select_members`."""
    members = select_members(view, rule)
    asset_ids = readonly(view.assets.asset_ids[members])
    return Universe(view.last_session, members, asset_ids, universe_hash(view.last_session, asset_ids))


def select_members(view: PanelView, rule: UniverseRule) -> IntArray:
    """Choose a universe's members without freezing it: its hash takes longer than the choice.

    Parameters
    ----------
    view : PanelView
        What was known at the decision instant.
    rule : UniverseRule
        Thresholds.

    Returns
    -------
    (k,) int64
        Positions on the panel's asset axis, ascending.

    Raises
    ------
    InputRejected
        ``history_too_short`` when the view is shorter than the rule's history; ``universe_too_small`` when fewer than
        ``size_min`` assets are eligible.
    """
    if len(view.sessions) < rule.min_history_sessions:
        needs = f"{rule.min_history_sessions} sessions before {view.last_session.isoformat()}"
        raise InputRejected(Code.HISTORY_TOO_SHORT, f"A universe needs {needs}; {len(view.sessions)} are known.")
    listed = (view.delisting_index == NOT_DELISTED) & (view.history_sessions() >= rule.min_history_sessions)
    fresh = view.traded[-rule.stale_sessions_max :].any(axis=0)
    candidates = np.flatnonzero(listed & fresh)
    volume = column_medians(view.dollar_volume()[-rule.adv_window_sessions :, candidates])
    candidates, volume = candidates[volume > 0], volume[volume > 0]
    if candidates.shape[0] < rule.size_min:
        found = f"{candidates.shape[0]} assets are eligible on {view.last_session.isoformat()}"
        raise InputRejected(Code.UNIVERSE_TOO_SMALL, f"Only {found}; at least {rule.size_min} are needed.")
    order = np.lexsort((candidates, -volume))[: rule.size]
    return readonly(np.sort(candidates[order]).astype(np.int64))
