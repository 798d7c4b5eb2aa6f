"""The obfuscated data set: rows without a link from era to era, features under names without a meaning.

It holds the secret only while it runs; where the secret is kept, and when a file is published, is the shell's business.

1. An id is a keyed hash (HMAC-SHA-256) of era and asset. Whoever lacks the secret cannot tell which asset it is, nor which
   ids of two eras are one asset.
2. Rows are sorted by id and columns by published name, so neither order says anything.
3. A feature's published name is chosen by a keyed hash of its internal name and stays the same for as long as the secret does.
4. Features are cut into five bins of equal size within the era, 0 to 4; what is missing stands in the middle.
5. Sets of features are the first few in the order of another keyed hash: being in one tells nothing of a feature either.
"""

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from crowdalpha.codes import Code
from crowdalpha.errors import InvariantBroken
from market.arrays import FloatArray, IntArray, readonly
from market.panel import PanelView
from market.ranks import quantile_bins
from signals.classic.features import raw_features
from signals.classic.words import ADJECTIVES, NOUNS

if TYPE_CHECKING:
    import pyarrow as pa

BINS = 5
MISSING_AS = 2
ID_DIGITS = 14
"""56 bits: two of 20,000 ids of an era coincide once in 400 million eras."""

SECRET_BYTES_MIN = 16

FEATURE_SETS: Mapping[str, int] = {"small": 12, "medium": 36}
"""Features in each set; beside them there is ``all``."""

FeatureArray = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Era:
    """One era as it is published, with the map back that is not.

    Attributes
    ----------
    era : str
        Its label, such as the base session's date.
    ids : tuple of str, length n
        Sorted.
    positions : (n,) int64, read-only
        Row i is the member at ``positions[i]`` of the universe. Secret.
    feature_names : tuple of str, length k
        Published names, sorted.
    features : (n, k) int8, read-only
        0 to 4.
    """

    era: str
    ids: tuple[str, ...]
    positions: IntArray
    feature_names: tuple[str, ...]
    features: FeatureArray

    @property
    def design(self) -> FloatArray:
        """The features in the order of the universe's members, (n, k) float64. Secret, as the way back is."""
        return self.on_members(self.features.T.astype(np.float64)).T

    def on_members(self, values: FloatArray) -> FloatArray:
        """Bring values (..., n) from the order of ids into the order of the universe's members."""
        return to_members(values, self.positions)


def live_era(view: PanelView, members: IntArray, secret: bytes, era: str) -> Era:
    """Build the era that is published at a round's opening.

    Parameters
    ----------
    view : PanelView
        What was known at the opening, the decision instant.
    members : (n,) int64
        Positions of the universe in the view's assets.
    secret : bytes
        At least 16 bytes; the same for all eras, so that features keep their names.
    era : str
        Label that no other era has.

    Returns
    -------
    Era
        Ids, names and bins, with the way back.

    Raises
    ------
    InvariantBroken
        If the secret is too short or two ids coincide.
    """
    asset_ids = [str(asset) for asset in view.assets.asset_ids[members]]
    ids = obfuscation(secret, era, asset_ids)
    order = np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.int64)
    internal, raw = raw_features(view, members)
    published = feature_names(secret, internal)
    columns = sorted(range(len(published)), key=published.__getitem__)
    bins = quantile_bins(raw.T[columns], BINS).T.astype(np.int8)
    bins[bins < 0] = MISSING_AS
    return Era(
        era,
        tuple(ids[i] for i in order.tolist()),
        readonly(order),
        tuple(published[j] for j in columns),
        readonly(np.ascontiguousarray(bins[order])),
    )


def obfuscation(secret: bytes, era: str, asset_ids: Sequence[str]) -> tuple[str, ...]:
    """Return the id of each asset in one era, in the order given.

    Parameters
    ----------
    secret : bytes
        At least 16 bytes.
    era : str
        The era's label.
    asset_ids : sequence of str
        Without repetition.

    Raises
    ------
    InvariantBroken
        If the secret is too short or two ids coincide.

    Examples
    --------
    >>> one, other = (obfuscation(b"sixteen bytes ok", era, ["AAPL"])[0] for era in ("0001", "0002"))
    >>> len(one), one[0], one == other
    (15, 'n', False)
    """
    if len(secret) < SECRET_BYTES_MIN:
        raise InvariantBroken(Code.INTERNAL, f"The secret of the classic data set has less than {SECRET_BYTES_MIN} bytes.")
    ids = tuple("n" + _keyed(secret, f"id|{era}|{asset}").hex()[:ID_DIGITS] for asset in asset_ids)
    if len(set(ids)) != len(ids):
        raise InvariantBroken(Code.INTERNAL, f"Two assets have the same id in era {era}.")
    return ids


def ids_to_positions(secret: bytes, era: str, asset_ids: Sequence[str], ids: Sequence[str]) -> IntArray:
    """Return for each id the place of its asset in ``asset_ids``; −1 for an id that is none of theirs.

    Examples
    --------
    >>> secret = b"sixteen bytes ok"
    >>> known = obfuscation(secret, "0001", ["AAPL", "MSFT"])
    >>> ids_to_positions(secret, "0001", ["AAPL", "MSFT"], [known[1], "n0"]).tolist()
    [1, -1]
    """
    place_of = {label: i for i, label in enumerate(obfuscation(secret, era, asset_ids))}
    return np.array([place_of.get(label, -1) for label in ids], dtype=np.int64)


def to_members(values: FloatArray, positions: IntArray) -> FloatArray:
    """Bring values (..., n) from the order of ids into that of members: value i goes to ``positions[i]``."""
    out = np.empty_like(values)
    out[..., positions] = values
    return out


def feature_names(secret: bytes, internal: Sequence[str]) -> tuple[str, ...]:
    """Return the published name of each feature, in the order given; no two are equal.

    A name that is taken already is drawn again, so appending features leaves the names before as they are.
    """
    return _distinct(internal, lambda name, attempt: _words(_keyed(secret, f"feature|{name}|{attempt}")))


def target_names(secret: bytes, internal: Sequence[str]) -> tuple[str, ...]:
    """Return the word by which each way to make a target is published, in the order given; no two are equal.

    A published target is ``target_<word>_<sessions>``: the word says nothing, the sessions are the horizon.
    """
    return _distinct(internal, lambda name, attempt: NOUNS[_keyed(secret, f"target|{name}|{attempt}")[0] % len(NOUNS)])


def feature_sets(secret: bytes, published: Sequence[str]) -> dict[str, list[str]]:
    """Return which features stand in which set, each in the order of their names; a smaller set is part of a larger one."""
    order = sorted(published, key=lambda name: _keyed(secret, f"set|{name}"))
    return {name: sorted(order[:count]) for name, count in FEATURE_SETS.items()} | {"all": sorted(published)}


def to_table(
    era: Era,
    target: FloatArray | None = None,
    others: Mapping[str, FloatArray] | None = None,
    data_type: str | None = None,
) -> "pa.Table":
    """Return the era as the table that is published.

    Parameters
    ----------
    era : Era
        Features and ids.
    target : (n,) float64, optional
        In the order of the universe's **members**; bins 0 to 1, NaN where unknown. Only for an era that was resolved.
    others : mapping of column name to (n,) float64, optional
        Further targets, likewise; they follow in the order of their names.
    data_type : str, optional
        ``train``, ``validation`` or ``live``: a column of that word.

    Returns
    -------
    pyarrow.Table
        Columns ``era``, ``id`` and maybe ``data_type`` (text), one int8 column a feature, and ``target`` and others (float32,
        null where unknown) when given.
    """
    import pyarrow as pa

    columns: dict[str, Any] = {"era": pa.array([era.era] * len(era.ids), pa.string()), "id": pa.array(era.ids, pa.string())}
    if data_type is not None:
        columns["data_type"] = pa.array([data_type] * len(era.ids), pa.string())
    for j, name in enumerate(era.feature_names):
        columns[name] = pa.array(np.ascontiguousarray(era.features[:, j]))
    targets = {} if target is None else {"target": target}
    for name, values in (targets | dict(sorted((others or {}).items()))).items():
        columns[name] = pa.array(values[era.positions].astype(np.float32), from_pandas=True)
    return pa.table(columns)


def _distinct(internal: Sequence[str], word_of: Callable[[str, int], str]) -> tuple[str, ...]:
    """Return a word for each name; one that is taken already is drawn again, so what is appended leaves the words before."""
    taken: dict[str, None] = {}
    for name in internal:
        attempt = 0
        while (word := word_of(name, attempt)) in taken:
            attempt += 1
        taken[word] = None
    return tuple(taken)


def _keyed(secret: bytes, message: str) -> bytes:
    return hmac.digest(secret, message.encode(), "sha256")


def _words(digest: bytes) -> str:
    adjective = ADJECTIVES[digest[0] % len(ADJECTIVES)]
    return f"feature_{adjective}_{NOUNS[digest[1] % len(NOUNS)]}"
