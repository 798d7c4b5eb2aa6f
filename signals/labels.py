"""What the identifiers of an upload stand for in a round, where the round froze a ticker map.

Not here: who had a label when (``market.assets``). A scheme is one kind of label, such as SEDOL codes or Numerai tickers, as it
was known when the round opened: what a map learns later changes nothing in the round.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from types import MappingProxyType
from typing import Any

import numpy as np

from crowdalpha.canonical import Plain
from crowdalpha.codes import Code
from market.arrays import IntArray


@dataclass(frozen=True, slots=True)
class LabelScheme:
    """The labels of one kind.

    Attributes
    ----------
    members : mapping of str to int
        Position in the round's universe of the asset that a label names; several may name one.
    outside : frozenset of str
        Labels of assets that are not in the universe.
    expired, ambiguous : frozenset of str
        Labels that named an asset before; labels of more than one asset.
    by_map : bool
        False where labels are those of the universe itself, so that nothing else is known of any.
    """

    members: Mapping[str, int]
    outside: frozenset[str] = frozenset()
    expired: frozenset[str] = frozenset()
    ambiguous: frozenset[str] = frozenset()
    by_map: bool = True

    @staticmethod
    def of_universe(universe_ids: Sequence[str]) -> "LabelScheme":
        """Return the scheme in which the labels of the universe are the only ones."""
        return LabelScheme(dict(zip(universe_ids, range(len(universe_ids)), strict=True)), by_map=False)

    def positions(self, labels: Sequence[str]) -> IntArray:
        """Return the position (k,) of each label's asset in the universe, −1 for none."""
        return np.fromiter(map(self.members.get, labels, repeat(-1)), dtype=np.int64, count=len(labels))

    def names(self, universe_ids: Sequence[str]) -> tuple[str, ...]:
        """Return what each asset of the universe is called: its first label in order, or its label in the universe."""
        names = list(universe_ids)
        for label in sorted(self.members, reverse=True):
            names[self.members[label]] = label
        return tuple(names)

    def why_unknown(self, label: str) -> tuple[Code, str]:
        """Say why a label is none of the universe's."""
        if label in self.ambiguous:
            return Code.LABEL_AMBIGUOUS, "The identifier names more than one asset"
        if label in self.expired:
            return Code.LABEL_EXPIRED, "The identifier named an asset before, and does so no longer"
        if self.by_map and label not in self.outside:
            return Code.LABEL_UNKNOWN, "No asset is known by this identifier"
        return Code.ID_UNKNOWN, "Not in this round's universe"

    def plain(self) -> Plain:
        """Return the scheme as canonical values; :meth:`from_plain` reads them."""
        sets = {name: sorted(getattr(self, name)) for name in ("outside", "expired", "ambiguous")}
        return {"members": dict(self.members), **sets}

    @staticmethod
    def from_plain(plain: Mapping[str, Any]) -> "LabelScheme":
        """Return the scheme that :meth:`plain` wrote."""
        sets = {name: frozenset(plain[name]) for name in ("outside", "expired", "ambiguous")}
        return LabelScheme(plain["members"], sets["outside"], sets["expired"], sets["ambiguous"])


NO_SCHEMES: Mapping[str, LabelScheme] = MappingProxyType({})
"""Where no map was frozen: the labels of the universe hold in every column."""
