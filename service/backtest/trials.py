"""Trials: every backtest of a home, kept as two files under its identity, so that none is forgotten when one is believed.

``reports/backtests/<identity>.json`` says what it was and what came of it; ``<identity>.npz`` holds its series, and is written
first: a trial without its JSON does not exist. Both are written whole or not at all, so a sweep that is killed keeps what it
has finished, and two processes that finish the same trial write the same bytes.
"""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, InvariantBroken
from market.arrays import FloatArray
from portfolio.trials import DeflatedSharpe, deflated_sharpes
from service.atomic import write_file
from service.home import Home

FORMAT = 1
FOLDER = "backtests"
SESSIONS_MIN = 20
"""Trials that share fewer sessions than a month cannot be told alike or not."""


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """A stored backtest.

    Attributes
    ----------
    id : str
        Its identity; see :mod:`service.backtest.spec`.
    told : dict
        The JSON: ``spec``, ``hashes``, ``flags``, ``figures``, ``decisions``, ``version``.
    """

    id: str
    told: dict[str, Any]

    @property
    def figures(self) -> dict[str, Any]:
        """What came of it, as plain numbers."""
        figures: dict[str, Any] = self.told["figures"]
        return figures


class Trials:
    """The trials of a home."""

    def __init__(self, home: Home) -> None:
        self.folder: Path = home.reports / FOLDER

    def get(self, identity: str) -> Trial | None:
        """Return the trial of that identity, or None.

        Raises
        ------
        InvariantBroken
            BLOB_BROKEN when its file is no JSON of ours.
        """
        path = self.folder / f"{identity}.json"
        if not path.is_file():
            return None
        try:
            return Trial(identity, json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise InvariantBroken(Code.BLOB_BROKEN, f"The trial {identity} cannot be read: {error}.") from error

    def put(self, identity: str, told: dict[str, Any], series: dict[str, npt.NDArray[Any]]) -> Trial:
        """Keep a trial; one of the same identity is replaced by the same."""
        self.folder.mkdir(exist_ok=True)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **series)  # type: ignore[arg-type]
        write_file(self.folder / f"{identity}.npz", buffer.getvalue())
        text = json.dumps({"format": FORMAT, "id": identity, **told}, sort_keys=True, indent=1, allow_nan=False)
        write_file(self.folder / f"{identity}.json", text.encode())
        return Trial(identity, json.loads(text))

    def series(self, identity: str) -> dict[str, npt.NDArray[Any]]:
        """Return the series of a trial by name."""
        with np.load(self.folder / f"{identity}.npz", allow_pickle=False) as arrays:
            return dict(arrays)

    def on_data(self, data_sha256: str) -> list[Trial]:
        """Return all trials on the same prices, by identity."""
        if not self.folder.is_dir():
            return []
        found = [self.get(path.stem) for path in sorted(self.folder.glob("*.json"))]
        return [trial for trial in found if trial is not None and trial.told["hashes"]["data"] == data_sha256]

    def deflated(self, trials: Sequence[Trial]) -> dict[str, DeflatedSharpe | None]:
        """Return the deflated Sharpe ratio of each trial, by identity, as one among all trials on its prices.

        Only sessions that all of them have are looked at; None where they share too few, and for a trial without variance.
        """
        if not trials:
            return {}
        data = {trial.told["hashes"]["data"] for trial in trials}
        if len(data) > 1:
            raise InputRejected(Code.REQUEST_INVALID, "Trials on different prices cannot be set beside each other.")
        together = self.on_data(data.pop())
        returns = self._returns([trial.id for trial in together])
        if returns.shape[1] < SESSIONS_MIN:
            return dict.fromkeys((trial.id for trial in trials), None)
        judged = dict(zip((t.id for t in together), deflated_sharpes(returns), strict=True))
        return {trial.id: judged[trial.id] if np.isfinite(judged[trial.id].probability) else None for trial in trials}

    def _returns(self, identities: Sequence[str]) -> FloatArray:
        """Return net returns (m, T) on the sessions that all trials share."""
        series = [self.series(identity) for identity in identities]
        common = series[0]["sessions"]
        for one in series[1:]:
            common = np.intersect1d(common, one["sessions"])
        rows = []
        for one in series:
            before = np.concatenate([[float(one["capital"])], one["equity"][:-1]])
            rows.append((one["equity"] / before - 1.0)[np.isin(one["sessions"], common)])
        return np.vstack(rows)


def probability(judged: DeflatedSharpe | None) -> float | None:
    """Return the deflated Sharpe ratio as a number, None where there is none."""
    return None if judged is None else judged.probability
