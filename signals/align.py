"""Labels become positions, once: after this, the place of a value in an array is its asset.

Labels are compared by exact bytes; nothing is trimmed, folded or guessed here. What was dropped is reported.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InvariantBroken
from market.arrays import FloatArray, IntArray

UNIVERSES_KEPT = 4
"""Both tournaments' open rounds and their predecessors; each is about a megabyte."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """Values on a universe.

    Attributes
    ----------
    values : (n,) float64
        One value an asset of the universe, in its order; NaN where there is none.
    unknown : tuple of str
        Labels that the universe does not have, in the order given.
    unknown_at : (u,) int64
        Their places among the labels given.
    missing : tuple of str
        Labels of the universe that were not given, in its order.
    """

    values: FloatArray
    unknown: tuple[str, ...]
    unknown_at: IntArray
    missing: tuple[str, ...]


def align(ids: Sequence[str], values: FloatArray, universe_ids: Sequence[str]) -> Aligned:
    """Place labelled values on a universe.

    Parameters
    ----------
    ids : sequence of str
        Labels without repetition.
    values : (len(ids),) float64
        Their values, in the same order.
    universe_ids : sequence of str, length n
        Labels of the universe in the order of its assets, without repetition.

    Raises
    ------
    InvariantBroken
        If a label stands twice on either side, or the lengths differ: the reading of a file refuses both before.

    Examples
    --------
    >>> placed = align(["MSFT", "GONE"], np.array([0.75, 0.5]), ["AAPL", "MSFT"])
    >>> placed.values.tolist(), placed.unknown, placed.missing
    ([nan, 0.75], ('GONE',), ('AAPL',))
    """
    position_of = _positions(tuple(universe_ids))
    if len(position_of) != len(universe_ids) or len(ids) != len(values):
        raise InvariantBroken(Code.INTERNAL, "The universe names an asset twice, or labels and values differ in number.")
    positions = np.fromiter(map(position_of.get, ids, repeat(-1)), dtype=np.int64, count=len(ids))
    return align_at(positions, ids, values, universe_ids)


def align_at(positions: IntArray, ids: Sequence[str], values: FloatArray, universe_ids: Sequence[str]) -> Aligned:
    """Place values on a universe as :func:`align` does, by positions (len(ids),) that are known; −1 is none."""
    known = positions >= 0
    placed = np.full(len(universe_ids), np.nan)
    placed[positions[known]] = values[known]
    taken = np.zeros(len(universe_ids), dtype=np.bool_)
    taken[positions[known]] = True
    if np.count_nonzero(taken) != np.count_nonzero(known):
        raise InvariantBroken(Code.INTERNAL, "A label stands twice among those to be aligned.")
    unknown_at = np.flatnonzero(~known).astype(np.int64)
    missing = () if taken.all() else tuple(universe_ids[i] for i in np.flatnonzero(~taken).tolist())
    return Aligned(placed, tuple(ids[i] for i in unknown_at.tolist()), unknown_at, missing)


@lru_cache(maxsize=UNIVERSES_KEPT)
def _positions(universe_ids: tuple[str, ...]) -> dict[str, int]:
    """Return the place of each label; kept, since a round's files all meet the same universe. Never changed by a caller."""
    return dict(zip(universe_ids, range(len(universe_ids)), strict=True))
