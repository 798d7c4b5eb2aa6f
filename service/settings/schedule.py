"""Reads when the rounds of a tournament open, close and are scored, from ``config/schedules``."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.settings.places import named_file
from service.settings.reading import Key, check, read_toml

MINUTES_OF_A_WEEK = 7 * 24 * 60

SCHEDULE_SCHEMA: dict[str, Key] = {
    "open_after_close_minutes": Key("whole", minimum=0, maximum=MINUTES_OF_A_WEEK),
    "window_minutes": Key("whole", minimum=1, maximum=MINUTES_OF_A_WEEK),
    "score_days": Key("wholes", minimum=1),
    "score_after_minutes": Key("whole", minimum=0, maximum=MINUTES_OF_A_WEEK),
    "settle_after_minutes": Key("whole", minimum=0, maximum=MINUTES_OF_A_WEEK),
}


@dataclass(frozen=True, slots=True)
class Schedule:
    """When rounds open, close and are scored; the meaning of each field stands beside its key in the file.

    Attributes
    ----------
    name : str
        Of the file, without its ending.
    open_after_close_minutes, window_minutes : int
    score_days : tuple of int
        Ascending.
    score_after_minutes, settle_after_minutes : int
    """

    name: str
    open_after_close_minutes: int
    window_minutes: int
    score_days: tuple[int, ...]
    score_after_minutes: int
    settle_after_minutes: int


def load_schedule(name: str, config_dir: Path | None = None) -> Schedule:
    """Read the schedule ``name``.

    Raises
    ------
    InputRejected
        ``SETTING_UNKNOWN`` or ``SETTING_INVALID``, naming the file and the key.
    """
    path = named_file(config_dir, "schedules", name)
    schedule = Schedule(name, **check(read_toml(path), SCHEDULE_SCHEMA, str(path)))
    if any(later <= earlier for earlier, later in pairwise(schedule.score_days)):
        raise InputRejected(Code.SETTING_INVALID, f"{path}: 'score_days' must ascend.")
    return schedule
