"""Reads the settings: ``default.toml`` first, then what the environment overrides.

1. The file is checked against the schema; every key must be there, and no other.
2. ``CROWDALPHA_SECTION__KEY`` overrides ``key`` in ``[section]``; a variable of that form that names no setting is refused.
3. Variables without a double underscore, such as ``CROWDALPHA_HOME``, are no settings and none of ours to check.

This is the only module that reads the environment.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from service.settings.places import MAIN_FILE, shipped_config
from service.settings.reading import check, read_toml
from service.settings.sections import SCHEMA, Settings, from_values, override, refuse_password

PREFIX = "CROWDALPHA_"


def load_settings(config_dir: Path | None = None, env: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Parameters
    ----------
    config_dir : Path, optional
        Folder with ``default.toml``, ``terms/``, ``schedules/``, ``mandates/``; by default the one that came with the program.
    env : mapping, optional
        The environment; by default that of the process.

    Returns
    -------
    Settings

    Raises
    ------
    InputRejected
        ``SETTING_UNKNOWN`` or ``SETTING_INVALID``, naming file or variable and key.
    """
    folder = config_dir or shipped_config()
    source = folder / MAIN_FILE
    values = check(read_toml(source), SCHEMA, str(source))
    refuse_password(values["database.url"], str(source))
    variables = os.environ if env is None else env
    for variable in sorted(variables):
        if variable.startswith(PREFIX) and "__" in variable:
            name = variable.removeprefix(PREFIX).lower().replace("__", ".")
            values[name] = override(name, variables[variable], variable)
    return from_values(values, folder)
