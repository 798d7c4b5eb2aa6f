"""The book of daily scores: every score of every day, in columns, one Parquet file a day and round.

SQL holds the last score of each round, which is what pays; this book holds the way there. Files lie in
``data/scores/<day>/<round>.parquet`` with the columns ``model_id``, ``kind``, ``day`` and ``value`` (float64).
Writing a day's file again replaces it whole, so that a scoring may be repeated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.atomic import write_file

if TYPE_CHECKING:
    from market.arrays import FloatArray


@dataclass(frozen=True, slots=True)
class DayScores:
    """The scores of one round on one day.

    Attributes
    ----------
    round : str
        Name of the round, such as ``signals-7``.
    day : int
        Sessions of return that are in the scores.
    model_ids : sequence of str, length m
    values : mapping of kind to (m,) float64
        Finite.
    """

    round: str
    day: int
    model_ids: Sequence[str]
    values: "Mapping[str, FloatArray]"


@dataclass(frozen=True, slots=True)
class ScoreBook:
    """The daily scores of a home.

    Attributes
    ----------
    folder : Path
        ``data/scores`` of a home; made on the first write.
    sync : bool
        Whether a write waits for the disk.
    """

    folder: Path
    sync: bool = True

    def put(self, known_on: date, scores: DayScores) -> Path:
        """Write what was scored on ``known_on`` for one round; return the file."""
        from service.vendors.files import parquet_bytes

        path = self.folder / known_on.isoformat() / f"{scores.round}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, parquet_bytes(_table(scores)), sync=self.sync)
        return path

    def read_day(self, known_on: date) -> Any:
        """Return all scores of a day as an Arrow table with a column ``round``; None for a day without any."""
        import pyarrow as pa

        tables = [_with_round(path) for path in sorted((self.folder / known_on.isoformat()).glob("*.parquet"))]
        return pa.concat_tables(tables) if tables else None

    def history(self, round_name: str, model_id: str) -> list[dict[str, Any]]:
        """Return one model's scores in one round, day by day: ``known_on``, ``day``, and a value for each kind."""
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        found = []
        for path in sorted(self.folder.glob(f"*/{round_name}.parquet")):
            table = pq.read_table(path)
            mine = table.filter(pc.equal(table.column("model_id"), model_id)).to_pylist()
            if mine:
                values = {row["kind"]: row["value"] for row in mine}
                found.append({"known_on": path.parent.name, "day": mine[0]["day"], "scores": values})
        return found


def _table(scores: DayScores) -> Any:
    import numpy as np
    import pyarrow as pa

    kinds, count = tuple(scores.values), len(scores.model_ids)
    models = pa.DictionaryArray.from_arrays(
        np.tile(np.arange(count, dtype=np.int32), len(kinds)), pa.array(scores.model_ids, pa.string())
    )
    named = pa.DictionaryArray.from_arrays(np.repeat(np.arange(len(kinds), dtype=np.int8), count), pa.array(kinds, pa.string()))
    values = np.concatenate([np.asarray(scores.values[k], dtype=np.float64) for k in kinds]) if kinds else np.zeros(0)
    return pa.table(
        {"model_id": models, "kind": named, "day": np.full(len(values), scores.day, dtype=np.int16), "value": values}
    )


def _with_round(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    return table.append_column("round", pa.array([path.stem] * table.num_rows, pa.string()))
