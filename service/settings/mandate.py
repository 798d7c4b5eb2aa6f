"""Finds and parses a mandate file of ``config/mandates``. What its keys mean and whether they fit is portfolio's to say."""

import tomllib
from pathlib import Path
from typing import Any

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.settings.places import named_file
from service.settings.reading import flat


def load_mandate(name: str, config_dir: Path | None = None) -> tuple[dict[str, Any], str]:
    """Read the mandate ``name``.

    Returns
    -------
    values : dict
        The file's keys and values as they stand there.
    source : str
        Path of the file, for error messages.

    Raises
    ------
    InputRejected
        ``SETTING_UNKNOWN`` if there is no such mandate, ``SETTING_INVALID`` if the file is not TOML.
    """
    path = named_file(config_dir, "mandates", name)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig")), str(path)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputRejected(Code.SETTING_INVALID, f"{path} cannot be read as TOML: {error}.") from error


def lines_of(source: str) -> dict[str, int]:
    """Return the line on which each key of a TOML file begins, a key of a table as ``table.key``; nothing for a broken file.

    It is the parser itself that is asked: a key begins behind the longest beginning of the file that is TOML without it.
    """
    text = Path(source).read_text(encoding="utf-8-sig").splitlines()
    found: dict[str, int] = {}
    behind = 0
    for end in range(1, len(text) + 1):
        try:
            keys = flat(tomllib.loads("\n".join(text[:end])))
        except tomllib.TOMLDecodeError:
            continue  # the line lies inside of a value that goes on
        first = next(
            (row for row in range(behind, end) if text[row].strip() and not text[row].lstrip().startswith("#")), behind
        )
        found |= dict.fromkeys(keys.keys() - found.keys(), first + 1)
        behind = end
    return found
