"""Where configuration lies: in ``config/`` beside the packages, else in the copy that a wheel carries."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected

MAIN_FILE = "default.toml"

_BESIDE = Path(__file__).resolve().parents[2] / "config"
_INSIDE = Path(__file__).resolve().parent / "defaults"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def shipped_config() -> Path:
    """Return the folder of the configuration that came with the program."""
    return _BESIDE if (_BESIDE / MAIN_FILE).is_file() else _INSIDE


def named_file(config_dir: Path | None, folder: str, name: str) -> Path:
    """Return the file ``<folder>/<name>.toml`` of a configuration folder.

    Raises
    ------
    InputRejected
        ``SETTING_UNKNOWN`` if there is no such file, with the names that exist. A name is never read as a path.
    """
    parent = (config_dir or shipped_config()) / folder
    path = parent / f"{name}.toml"
    if not _NAME.fullmatch(name) or not path.is_file():
        known = sorted(p.stem for p in parent.glob("*.toml"))
        refuse_unknown(f"There is no '{name[:64]}' in {parent}", name, known)
    return path


def refuse_unknown(what: str, name: str, known: Iterable[str]) -> NoReturn:
    """Raise InputRejected (``SETTING_UNKNOWN``) for ``name``, with the nearest of the ``known`` names, or all if few."""
    from difflib import get_close_matches

    names = list(known)
    near = get_close_matches(name, names, n=1)
    if near:
        hint = f"; did you mean '{near[0]}'?"
    elif 0 < len(names) <= 10:
        hint = f"; there are: {', '.join(names)}."
    else:
        hint = "."
    raise InputRejected(Code.SETTING_UNKNOWN, what + hint)
