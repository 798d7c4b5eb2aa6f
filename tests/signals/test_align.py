"""Labels become positions without a guess; what was dropped is named.

Independent source: pandas' reindex.
"""

import numpy as np
import pandas as pd
import pytest

from crowdalpha.errors import InvariantBroken
from signals.align import align


def test_alignment_equals_a_reindex():
    seed = 5
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    universe = [f"A{i:03d}" for i in range(50)]
    for _ in range(50):
        pool = rng.permutation([*universe, *(f"Z{i}" for i in range(20))])[: int(rng.integers(0, 70))].tolist()
        values = rng.random(len(pool))
        placed = align(pool, values, universe)
        assert np.array_equal(placed.values, pd.Series(values, index=pool, dtype=float).reindex(universe), equal_nan=True)
        assert placed.unknown == tuple(label for label in pool if label not in universe)
        assert placed.unknown == tuple(pool[i] for i in placed.unknown_at)
        assert placed.missing == tuple(label for label in universe if label not in pool)


def test_a_universe_is_known_by_its_labels_not_by_its_object():
    universe = ["A", "B"]
    assert align(["B"], np.array([0.5]), universe).missing == ("A",)
    universe.reverse()
    assert align(["B"], np.array([0.5]), universe).values[0] == 0.5
    for size in range(2, 12):
        labels = tuple(f"T{i}" for i in range(size))
        assert align([labels[-1]], np.array([0.5]), labels).missing == labels[:-1]


@pytest.mark.parametrize(
    ("ids", "values", "universe"),
    [(["A", "A"], [0.1, 0.2], ["A", "B"]), (["A"], [0.1], ["A", "A"]), (["A"], [0.1, 0.2], ["A"])],
)
def test_repeated_labels_are_a_bug(ids, values, universe):
    with pytest.raises(InvariantBroken):
        align(ids, np.array(values), universe)
