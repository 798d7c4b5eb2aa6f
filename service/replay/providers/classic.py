"""What a strategy of the classic tournament sees: the live era's published table and moments of past eras with targets.

It holds nothing that is not in the published files: ids and feature names are the obfuscated ones, and a past era enters the
archive only when its target was published. An archive keeps moments, not rows, so that a ridge regression over a hundred
eras costs one addition and one small solve:

1. features and target are centred at the middle of their bins (2 and 0.5), which is what a rank score needs of an intercept;
2. an era of n rows leaves ``XᵀX`` (k, k), ``Xᵀy`` (k,) and its n;
3. the moments of any set of eras are sums of theirs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import FloatArray, readonly

ERA_COLUMN, ID_COLUMN, TARGET_COLUMN = "era", "id", "target"
FEATURE_PREFIX = "feature_"
FEATURE_MIDDLE = 2.0
TARGET_MIDDLE = 0.5


@dataclass(frozen=True, slots=True)
class PublishedEra:
    """One era as everybody can download it.

    Attributes
    ----------
    era : str
        Name of the era.
    ids : tuple of str
        The era's obfuscated ids, in file order.
    feature_names : tuple of str
        Names of the feature columns, in file order.
    features : (ids, features) float64
        Bins 0 to 4, centred at zero.
    target : (ids,) float64 or None
        Target in 0 to 1, centred at zero; NaN where none is known; None for a live era.
    """

    era: str
    ids: tuple[str, ...]
    feature_names: tuple[str, ...]
    features: FloatArray
    target: FloatArray | None


@dataclass(frozen=True, slots=True)
class EraMoments:
    """What a linear model needs of a resolved era: rows counted, ``XᵀX`` (k, k) and ``Xᵀy`` (k,)."""

    era: str
    rows: int
    gram: FloatArray
    cross: FloatArray


@dataclass(frozen=True, slots=True)
class ClassicArchive:
    """All eras whose targets are published, oldest first, as moments. Adding an era gives a new archive."""

    feature_names: tuple[str, ...] = ()
    eras: tuple[EraMoments, ...] = ()

    def with_era(self, table: pa.Table) -> "ClassicArchive":
        """Return the archive with one more resolved era.

        Raises
        ------
        InputRejected
            ``request_invalid`` if the table has no target, or other features than the eras before it.
        """
        published = read_era(table)
        if published.target is None:
            raise InputRejected(Code.REQUEST_INVALID, f"Era {published.era} has no target column yet.")
        if self.feature_names and self.feature_names != published.feature_names:
            raise InputRejected(Code.REQUEST_INVALID, f"Era {published.era} has other features than the eras before it.")
        known = np.isfinite(published.target)
        features, target = published.features[known], published.target[known]
        moments = EraMoments(
            era=published.era,
            rows=int(known.sum()),
            gram=readonly(features.T @ features),
            cross=readonly(features.T @ target),
        )
        return ClassicArchive(published.feature_names, (*self.eras, moments))

    def last(self, eras: int) -> Sequence[EraMoments]:
        """Return the newest ``eras`` eras, oldest first; fewer if there are fewer."""
        return self.eras[-eras:] if eras > 0 else ()


@dataclass(frozen=True, slots=True)
class ClassicInput:
    """What one strategy gets for one round: the live era, the archive and its own randomness."""

    live: PublishedEra
    archive: ClassicArchive
    rng: np.random.Generator


ClassicStrategy = Callable[[ClassicInput], FloatArray]
"""(ids,) float64 on any finite scale, higher is better, in the live era's order."""


def read_era(table: pa.Table) -> PublishedEra:
    """Read a published table: columns era, id, the features, and maybe target.

    Parameters
    ----------
    table : pyarrow.Table
        One era; feature columns are integers in 0 to 4 without nulls.

    Raises
    ------
    InputRejected
        ``request_invalid`` if the table holds no row, several eras or no feature.
    """
    names = tuple(name for name in table.column_names if name.startswith(FEATURE_PREFIX))
    eras = table.column(ERA_COLUMN).unique().to_pylist()
    if len(eras) != 1 or not names:
        raise InputRejected(Code.REQUEST_INVALID, "A published table holds the rows of one era and at least one feature.")
    features = np.empty((table.num_rows, len(names)))
    for column, name in enumerate(names):
        features[:, column] = table.column(name).to_numpy()
    target = None
    if TARGET_COLUMN in table.column_names:
        target = readonly(table.column(TARGET_COLUMN).to_numpy().astype(np.float64) - TARGET_MIDDLE)
    return PublishedEra(
        era=str(eras[0]),
        ids=tuple(table.column(ID_COLUMN).to_pylist()),
        feature_names=names,
        features=readonly(features - FEATURE_MIDDLE),
        target=target,
    )
