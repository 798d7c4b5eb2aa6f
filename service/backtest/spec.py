"""What one backtest is: everything that its numbers depend on, as plain values, and the identity that follows from them.

The identity is a hash over the spec, the settings that a decision reads, the prices, the signal and the program's version: the
same identity means the same numbers, on any machine. It is the name under which a trial is kept.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any

from crowdalpha import __version__
from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from portfolio.mandate import Mandate, mandate_from_mapping
from service.settings import Settings, lines_of, load_mandate, load_terms

PERCENT = 0.01
SETTINGS_READ = ("market", "universe", "metamodel")
"""Tables of the settings that a decision depends on; of ``fund`` only what the risk model is."""


class Fill(StrEnum):
    """When a book that was decided on a close is traded: at the open or at the close of the next session."""

    OPEN = "open"
    CLOSE = "close"


@dataclass(frozen=True, slots=True)
class BacktestSpec:
    """One backtest.

    Attributes
    ----------
    mandate : Mandate
    signal : Path or None
        File of a signal's history; None for the meta-models of the home's rounds.
    first, last : date or None
        Decisions lie between them, both included; the walk ends with the last session up to ``last``.
    costs : bool
        When false trading and holding cost nothing, and the optimizer knows it.
    fill : Fill
    deaths_percent : float
        Synthetic deaths a year, in percent of the listed assets.
    seed : int
        Of the deaths.
    """

    mandate: Mandate
    signal: Path | None = None
    first: date | None = None
    last: date | None = None
    costs: bool = True
    fill: Fill = Fill.OPEN
    deaths_percent: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.first is not None and self.last is not None and self.first > self.last:
            raise InputRejected(Code.DATE_INVALID, f"The first date, {self.first}, is after the last, {self.last}.")
        if not 0.0 <= self.deaths_percent < 100.0 or self.seed < 0:
            raise InputRejected(Code.SETTING_INVALID, "Deaths are 0 to below 100 percent a year, and a seed is not negative.")

    @property
    def source(self) -> str:
        """What decides: the name of the signal's file without its ending, or ``meta-model``."""
        return "meta-model" if self.signal is None else self.signal.stem

    @property
    def acting_mandate(self) -> Mandate:
        """The mandate that the optimizer and the books act on: the mandate itself, or the same without any cost."""
        if self.costs:
            return self.mandate
        free: dict[str, Any] = {
            "half_spread_bps": 0.0,
            "impact_coefficient": 0.0,
            "borrow_bps_per_year": 0.0,
            "cash_bps_per_year": 0.0,
        }
        return replace(self.mandate, **free)

    def plain(self) -> dict[str, Any]:
        """Return the spec as JSON values; the signal by its name alone, since a path says nothing on another machine."""
        return {
            "source": self.source,
            "mandate": {name: _plain(value) for name, value in asdict(self.mandate).items()},
            "first": None if self.first is None else self.first.isoformat(),
            "last": None if self.last is None else self.last.isoformat(),
            "costs": self.costs,
            "fill": self.fill.value,
            "deaths_percent": self.deaths_percent,
            "seed": self.seed,
        }


def _plain(value: Any) -> Any:
    """Return a mandate's figure as a JSON value; a limit that is none has no number there."""
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def named_mandate(settings: Settings, name: str | None = None, changes: Mapping[str, Any] | None = None) -> Mandate:
    """Return the mandate ``name``, or the settings' own, with some keys changed; what is refused is told with its line."""
    values, source = load_mandate(name or settings.fund.mandate, settings.config_dir)
    changed = dict(changes or {})
    lines = {key: line for key, line in lines_of(source).items() if key not in changed}
    return mandate_from_mapping(values | changed, source, lines)


def settings_hash(settings: Settings) -> str:
    """Return the SHA-256 over the settings and terms that a decision reads."""
    terms = load_terms(settings.tournaments.signals.terms, settings.config_dir)
    told: dict[str, Any] = {name: asdict(getattr(settings, name)) for name in SETTINGS_READ}
    told |= {"risk_weeks": settings.fund.risk_weeks, "risk": asdict(settings.fund.risk), "scoring": terms.as_dict()}
    return _hash(told)


def trial_id(spec: BacktestSpec, settings: Settings, data_sha256: str, signal_sha256: str) -> str:
    """Return the identity of a backtest, 64 hexadecimal digits.

    Parameters
    ----------
    data_sha256 : str
        Of the panel as it is kept, without synthetic deaths: these follow from the spec.
    signal_sha256 : str
        Of the signal's file, or of the meta-models.
    """
    told = {
        "spec": {k: v for k, v in spec.plain().items() if k != "source"},
        "settings": settings_hash(settings),
        "data": data_sha256,
        "signal": signal_sha256,
        "version": __version__,
    }
    return _hash(told)


def _hash(value: Any) -> str:
    # Floats stand as the shortest text that reads back as the same number, which is the same everywhere.
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
