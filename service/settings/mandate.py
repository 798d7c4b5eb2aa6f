"""Finds and parses a mandate file of ``config/mandates``. What its keys mean and whether they fit is portfolio's to say."""

import tomllib
from pathlib import Path
from typing import Any

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.settings.places import named_file


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
        return tomllib.loads(path.read_text(encoding="utf-8")), str(path)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputRejected(Code.SETTING_INVALID, f"{path} cannot be read as TOML: {error}.") from error
