"""Settings of a platform: what ``config/`` and the environment say, checked once at the start and frozen.

Unknown keys are refused with the nearest known one. Settings never reach the mathematics: workflows pass numbers on.
"""

from service.settings.load import load_settings
from service.settings.mandate import lines_of, load_mandate
from service.settings.places import shipped_config
from service.settings.schedule import Schedule, load_schedule
from service.settings.sections import Settings, TournamentSettings
from service.settings.terms import load_terms

__all__ = [
    "Schedule",
    "Settings",
    "TournamentSettings",
    "lines_of",
    "load_mandate",
    "load_schedule",
    "load_settings",
    "load_terms",
    "shipped_config",
]
