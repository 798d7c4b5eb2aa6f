"""What a round froze at its opening and at its close, as files: the one place that knows their names and layouts.

At opening: ``universe`` (asset ids and the labels that files are matched with), ``universe_rule`` (the date and the rule that
the universe's hash is over, beside its ids), ``exposures``, ``weights_v`` and
``neutralizers`` (sample weights, and the condensed basis made with them), ``labels`` (what identifiers of other schemes stand
for) where the home has a ticker map, ``sessions`` (where assets trade and each exchange's s₀) unless all trade on the exchange
that the rounds keep to, and for the classic tournament ``live`` (the era's table). At close: ``models`` (their order),
``weights``, ``metamodel`` (its two vectors) and ``prepared`` (what the daily scores need, see :mod:`signals.prepared`): a
manifest that names an array each by its hash, among them the ranks of all models in two bytes a value. Each is a
content-addressed blob; the round's rows name the hashes,
and whatever is read is checked against its hash.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
from sqlalchemy import Connection

from crowdalpha.canonical import Plain, canonical_bytes
from crowdalpha.codes import Code
from crowdalpha.errors import InvariantBroken, Unavailable
from crowdalpha.ids import RoundKey, Tournament
from market.arrays import FloatArray, StrArray
from market.neutralizers import neutralizers_of
from service.blobs import Blobs
from service.store import rounds
from signals.labels import NO_SCHEMES, LabelScheme
from signals.prepared import PreparedRound

PREPARED_FORMAT = 1

NOT_FEATURES = ("era", "id", "target")
"""Columns of a live table that are no features."""

SCHEMES_KEPT = 2
"""Rounds whose frozen labels stay read: the one that takes files, and its predecessor."""


@dataclass(frozen=True, slots=True)
class RoundSessions:
    """By which sessions the returns of a round are counted.

    Attributes
    ----------
    exchanges : (n,) array of str
        ISO 10383 code of where each asset of the universe trades.
    bases : mapping of str to date
        s₀ of each of these exchanges: its last session whose close precedes the round's close.
    """

    exchanges: StrArray
    bases: Mapping[str, date]


@dataclass(frozen=True, slots=True)
class RoundFrame:
    """What a round froze when it opened.

    Attributes
    ----------
    asset_ids : (n,) array of str
        The universe, sorted.
    labels : tuple of str
        What a file calls each asset: tickers in ``signals``, the era's ids in ``classic``.
    exposures : (n, k) float64
        In standard deviations or 0/1, as known at the opening.
    names, kinds : tuple of str
        Name and kind (``sector``, ``country`` or ``style``) of each column.
    weights_v : (n,) float64
        Sample weights, mean 1; see :func:`market.neutralizers.sample_weights`.
    neutralizers : (n, rank) float64
        N of the exposures and an intercept, with N'VN = I; see :func:`market.neutralizers.neutralizers_of`.
    sessions : RoundSessions or None
        None where all assets trade on the exchange that the rounds keep to, whose s₀ is the round's base session.
    """

    asset_ids: np.ndarray
    labels: tuple[str, ...]
    exposures: FloatArray
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    weights_v: FloatArray
    neutralizers: FloatArray
    sessions: RoundSessions | None = None


@dataclass(frozen=True, slots=True)
class ClosedBook:
    """What a round froze when it closed.

    Attributes
    ----------
    model_ids : tuple of str
        The models with a valid on-time submission, sorted.
    weights : (m,) float64
        Tokens at risk, 0 for the unstaked.
    raw, neutral : (n,) float64
        The two meta-model vectors.
    """

    model_ids: tuple[str, ...]
    weights: FloatArray
    raw: FloatArray
    neutral: FloatArray


def put_frame(blobs: Blobs, frame: RoundFrame) -> dict[str, str]:
    """Write the files of an opening; return their hashes by artifact name."""
    universe: Plain = {
        "asset_ids": [str(a) for a in frame.asset_ids],
        "labels": list(frame.labels),
        "factors": [{"name": n, "kind": k} for n, k in zip(frame.names, frame.kinds, strict=True)],
    }
    files = {
        "universe": blobs.put(canonical_bytes(universe)),
        "exposures": blobs.put_array(frame.exposures),
        "weights_v": blobs.put_array(frame.weights_v),
        "neutralizers": blobs.put_array(frame.neutralizers),
    }
    if frame.sessions is not None:
        bases: Plain = {exchange: base.isoformat() for exchange, base in frame.sessions.bases.items()}
        sessions: Plain = {"exchanges": frame.sessions.exchanges.tolist(), "base_sessions": bases}
        files["sessions"] = blobs.put(canonical_bytes(sessions))
    return files


def get_frame(connection: Connection, blobs: Blobs, key: RoundKey) -> RoundFrame:
    """Read back what :func:`put_frame` wrote for round ``key``."""
    files = rounds.artifacts(connection, key)
    universe = json.loads(blobs.get(_need(files, "universe", key)))
    exposures = blobs.get_array(_need(files, "exposures", key))
    if "weights_v" in files:
        weights_v, basis = (blobs.get_array(_need(files, name, key)) for name in ("weights_v", "neutralizers"))
    else:  # a round of before there were sample weights: every asset weighs one
        weights_v = np.ones(len(exposures))
        basis = neutralizers_of(exposures, weights_v)
    return RoundFrame(
        asset_ids=np.array(universe["asset_ids"]),
        labels=tuple(universe["labels"]),
        exposures=exposures,
        names=tuple(f["name"] for f in universe["factors"]),
        kinds=tuple(f["kind"] for f in universe["factors"]),
        weights_v=weights_v,
        neutralizers=basis,
        sessions=_sessions(blobs, files["sessions"]) if "sessions" in files else None,
    )


def _sessions(blobs: Blobs, sha: str) -> RoundSessions:
    kept = json.loads(blobs.get(sha))
    bases = {exchange: date.fromisoformat(base) for exchange, base in kept["base_sessions"].items()}
    return RoundSessions(np.array(kept["exchanges"]), bases)


def get_labels(connection: Connection, blobs: Blobs, key: RoundKey) -> tuple[str, ...]:
    """Return the labels of round ``key`` alone: all that an upload is judged by."""
    return tuple(json.loads(blobs.get(_need(rounds.artifacts(connection, key), "universe", key)))["labels"])


@dataclass(frozen=True, slots=True)
class LiveTable:
    """A classic round's live era as everybody has it.

    Attributes
    ----------
    ids : tuple of str, length n
        In the order of the published rows, which is not that of the universe.
    names : tuple of str, length f
    features : (n, f) float64
    """

    ids: tuple[str, ...]
    names: tuple[str, ...]
    features: FloatArray


def get_live(connection: Connection, blobs: Blobs, key: RoundKey) -> LiveTable:
    """Return the live table of the classic round ``key``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(pa.BufferReader(blobs.get(_need(rounds.artifacts(connection, key), "live", key))))
    names = tuple(name for name in table.column_names if name not in NOT_FEATURES)
    columns = np.column_stack([table.column(name).to_numpy() for name in names]).astype(np.float64)
    return LiveTable(tuple(table.column("id").to_pylist()), names, columns)


def get_features(connection: Connection, blobs: Blobs, key: RoundKey, frame: RoundFrame) -> FloatArray:
    """Return what ``fnc`` takes out, (n, f) on the round's assets: the exposures, or the features of the classic era."""
    if key.tournament is not Tournament.CLASSIC:
        return frame.exposures
    live = get_live(connection, blobs, key)
    row_of = {label: row for row, label in enumerate(live.ids)}
    features: FloatArray = live.features[[row_of[label] for label in frame.labels]]
    return features


def put_schemes(blobs: Blobs, schemes: Mapping[str, LabelScheme]) -> dict[str, str]:
    """Write what identifiers stand for in a round; return the file's hash by artifact name, none where there is nothing."""
    if not schemes:
        return {}
    return {"labels": blobs.put(canonical_bytes({name: scheme.plain() for name, scheme in schemes.items()}))}


def get_schemes(connection: Connection, blobs: Blobs, key: RoundKey) -> Mapping[str, LabelScheme]:
    """Read back what :func:`put_schemes` wrote for round ``key``; empty for a round that froze no ticker map."""
    sha = rounds.artifacts(connection, key).get("labels")
    return NO_SCHEMES if sha is None else _schemes(blobs.get(sha))


@lru_cache(maxsize=SCHEMES_KEPT)
def _schemes(data: bytes) -> Mapping[str, LabelScheme]:
    return {name: LabelScheme.from_plain(plain) for name, plain in json.loads(data).items()}


def put_book(blobs: Blobs, book: ClosedBook) -> dict[str, str]:
    """Write the files of a close; return their hashes by artifact name."""
    return {
        "models": blobs.put(canonical_bytes({"model_ids": list(book.model_ids)})),
        "weights": blobs.put_array(book.weights),
        "metamodel": blobs.put_array(np.vstack([book.raw, book.neutral])),
    }


def get_book(connection: Connection, blobs: Blobs, key: RoundKey) -> ClosedBook:
    """Read back what :func:`put_book` wrote for round ``key``."""
    names = rounds.artifacts(connection, key)
    vectors = blobs.get_array(_need(names, "metamodel", key))
    return ClosedBook(
        model_ids=tuple(json.loads(blobs.get(_need(names, "models", key)))["model_ids"]),
        weights=blobs.get_array(_need(names, "weights", key)),
        raw=vectors[0],
        neutral=vectors[1],
    )


def put_prepared(blobs: Blobs, prepared: PreparedRound) -> dict[str, str]:
    """Write the state that daily scores start from; return its manifest's hash by artifact name."""
    arrays: Plain = {name: blobs.put_array(array) for name, array in prepared.to_arrays().items()}
    return {"prepared": blobs.put(canonical_bytes({"format": PREPARED_FORMAT, "arrays": arrays}))}


def get_prepared(connection: Connection, blobs: Blobs, key: RoundKey) -> PreparedRound:
    """Return what :func:`put_prepared` wrote for round ``key``, as memory maps that were checked against their hashes.

    Raises
    ------
    InvariantBroken
        ``blob_broken`` for a file that is gone or was changed, or a manifest of another format.
    """
    manifest = json.loads(blobs.get(_need(rounds.artifacts(connection, key), "prepared", key)))
    if manifest["format"] != PREPARED_FORMAT:
        raise InvariantBroken(Code.BLOB_BROKEN, f"The prepared state of round {key} has format {manifest['format']}.")
    return PreparedRound.from_arrays({name: blobs.map_array(sha) for name, sha in manifest["arrays"].items()})


def _need(names: dict[str, str], name: str, key: RoundKey) -> str:
    if name not in names:
        raise Unavailable(Code.ROUND_STATE, f"Round {key} has no file '{name}' yet.")
    return names[name]
