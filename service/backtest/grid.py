"""A sweep's grid: a TOML file whose lists are crossed into backtests.

Keys, each with the default of ``crowdalpha backtest run``: ``signals`` (files beside the grid, or ``meta-model``),
``mandates``, ``costs``, ``fills``, ``deaths_percent``, ``seeds`` as lists; ``from`` and ``to`` as dates; and a table
``mandate`` whose keys are those of a mandate, each with a list of values.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.backtest.spec import BacktestSpec, Fill, named_mandate
from service.settings import Settings

META_MODEL = "meta-model"
MANDATES = "mandate"
"""The fill of a grid that names none: each mandate's own."""
LISTS = ("signals", "mandates", "costs", "fills", "deaths_percent", "seeds")
DATES = ("from", "to")
CELLS_MAX = 10_000
"""A grid of more is a slip of the pen: it would run for weeks."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One backtest of a sweep, and what of it the grid varies, by name."""

    varied: dict[str, Any]
    spec: BacktestSpec


def read_grid(path: Path, settings: Settings) -> list[Cell]:
    """Return the cells of a grid, in the order of its lists.

    Parameters
    ----------
    path : Path
    settings : Settings
        Names the default mandate, and the folder of the others.

    Raises
    ------
    InputRejected
        REQUEST_INVALID for a file that cannot be read or is no TOML; SETTING_UNKNOWN and SETTING_INVALID for a key or a value
        that no grid has; MANDATE_INVALID for what no mandate has.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputRejected(Code.REQUEST_INVALID, f"The grid '{path.name}' cannot be read: {error}.") from error
    unknown = sorted(set(values) - {*LISTS, *DATES, "mandate"})
    if unknown:
        known = ", ".join((*LISTS, *DATES, "mandate"))
        raise InputRejected(Code.SETTING_UNKNOWN, f"A grid has no key {unknown[0]!r}; its keys are {known}.")
    axes = _axes(values, settings)
    count = 1
    for _, choices in axes:
        count *= len(choices)
    if count > CELLS_MAX:
        raise InputRejected(Code.SETTING_INVALID, f"The grid has {count:,} cells, more than {CELLS_MAX:,}.")
    first, last = (_date(values.get(name), name) for name in DATES)
    varying = {name for name, choices in axes if len(choices) > 1}
    cells = []
    for chosen in product(*(choices for _, choices in axes)):
        named = dict(zip((name for name, _ in axes), chosen, strict=True))
        spec = _spec(named, path.parent, settings, first, last)
        cells.append(Cell({name: value for name, value in named.items() if name in varying}, spec))
    return cells


def _axes(values: Mapping[str, Any], settings: Settings) -> list[tuple[str, list[Any]]]:
    """Return the grid's lists with their defaults, those of the mandate's keys last."""
    defaults: dict[str, list[Any]] = {
        "signals": [META_MODEL],
        "mandates": [settings.fund.mandate],
        "costs": [True],
        "fills": [MANDATES],
        "deaths_percent": [0.0],
        "seeds": [0],
    }
    kinds: dict[str, tuple[type, ...]] = {
        "signals": (str,),
        "mandates": (str,),
        "costs": (bool,),
        "fills": (str,),
        "deaths_percent": (int, float),
        "seeds": (int,),
    }
    axes = [(name, _list(name, values.get(name, default), kinds[name])) for name, default in defaults.items()]
    changes = values.get("mandate", {})
    if not isinstance(changes, dict):
        raise InputRejected(Code.SETTING_INVALID, "A grid's 'mandate' is a table whose keys are lists of values.")
    return axes + [(f"mandate.{name}", _list(f"mandate.{name}", given, None)) for name, given in changes.items()]


def _list(name: str, given: Any, kinds: tuple[type, ...] | None) -> list[Any]:
    fits = isinstance(given, list) and bool(given)
    # A truth value is an integer in Python, and no number here.
    if fits and kinds is not None:
        fits = all(isinstance(v, kinds) and (bool in kinds or not isinstance(v, bool)) for v in given)
    if not fits:
        raise InputRejected(Code.SETTING_INVALID, f"A grid's {name!r} is a list of at least one value of its kind.")
    return list(given)


def _date(given: Any, name: str) -> date | None:
    if given is None or type(given) is date:
        return given
    try:
        return date.fromisoformat(given)
    except (TypeError, ValueError) as error:
        raise InputRejected(Code.DATE_INVALID, f"A grid's {name!r} is a date, YYYY-MM-DD.") from error


def _spec(named: Mapping[str, Any], folder: Path, settings: Settings, first: date | None, last: date | None) -> BacktestSpec:
    changes = {name.removeprefix("mandate."): value for name, value in named.items() if name.startswith("mandate.")}
    if named["fills"] not in [MANDATES, *Fill]:
        raise InputRejected(Code.SETTING_INVALID, f"A fill is 'open' or 'close', not {named['fills']!r}.")
    mandate = named_mandate(settings, named["mandates"], changes)
    return BacktestSpec(
        mandate=mandate,
        signal=None if named["signals"] == META_MODEL else folder / named["signals"],
        first=first,
        last=last,
        costs=named["costs"],
        fill=Fill(mandate.fill if named["fills"] == MANDATES else named["fills"]),
        deaths_percent=float(named["deaths_percent"]),
        seed=named["seeds"],
    )
