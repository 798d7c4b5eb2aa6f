"""Trials: every backtest of a home, kept as two files under its identity, so that none is forgotten when one is believed.

``reports/backtests/<identity>.json`` says what it was and what came of it; ``<identity>.npz`` holds its series, and is written
first: a trial without its JSON does not exist. Both are written whole or not at all, so a sweep that is killed keeps what it
has finished, and two processes that finish the same trial write the same bytes.

All trials of a home count as tries on one history: its market goes on, and is corrected, while one tries. What exactly each saw
is in its hashes.
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
from crowdalpha.errors import InvariantBroken
from market.arrays import FloatArray
from portfolio.trials import SESSIONS_MIN, DeflatedSharpe, deflated_sharpes
from service.atomic import write_file
from service.home import Home

FORMAT = 1
FOLDER = "backtests"


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

    def everything(self) -> list[Trial]:
        """Return all trials of the home, by identity."""
        if not self.folder.is_dir():
            return []
        found = [self.get(path.stem) for path in sorted(self.folder.glob("*.json"))]
        return [trial for trial in found if trial is not None]

    def deflated(self, trials: Sequence[Trial]) -> dict[str, DeflatedSharpe | None]:
        """Return the deflated Sharpe ratio of each trial, by identity, as one among all trials of the home.

        Each is judged on its own sessions. None for a trial of less than a month, which is no try either, and for one without
        variance.
        """
        together = {trial.id: self._returns(trial.id) for trial in self.everything()}
        long = {name: returns for name, returns in together.items() if len(returns) >= SESSIONS_MIN}
        if not long:
            return dict.fromkeys((trial.id for trial in trials), None)
        sessions = np.unique(np.concatenate([returns[:, 0] for returns in long.values()]))
        table = np.full((len(long), len(sessions)), np.nan)
        for row, returns in zip(table, long.values(), strict=True):
            row[np.searchsorted(sessions, returns[:, 0])] = returns[:, 1]
        judged = dict(zip(long, deflated_sharpes(table), strict=True))
        found = {trial.id: judged.get(trial.id) for trial in trials}
        return {name: one if one is not None and np.isfinite(one.probability) else None for name, one in found.items()}

    def _returns(self, identity: str) -> FloatArray:
        """Return sessions, as days since 1970, and net returns of a trial, (T, 2)."""
        one = self.series(identity)
        before = np.concatenate([[float(one["capital"])], one["equity"][:-1]])
        days = one["sessions"].astype("datetime64[D]").astype(np.float64)
        return np.column_stack([days, one["equity"] / before - 1.0])


def probability(judged: DeflatedSharpe | None) -> float | None:
    """Return the deflated Sharpe ratio as a number, None where there is none."""
    return None if judged is None else judged.probability
