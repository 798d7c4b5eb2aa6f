"""What the world did: calendars, price panels, universes, exposures, targets, and the numeric primitives of both sides.

Pure: arrays, tables and frozen dataclasses in, the same out. Nothing here loads pandas, pyarrow, scipy or exchange_calendars
when it is imported; the function that needs one does.
"""

from market.arrays import BoolArray, DateArray, FloatArray, IntArray, StrArray, readonly
from market.calendars import SessionCalendar, session_calendar
from market.edits import Edit, edit_after
from market.exposure_history import exposure_history
from market.exposures import DEFAULT_STYLES, Exposures, compute_exposures
from market.leakage import Cache, Leak, LeakReport, find_leaks, of_view
from market.panel import NOT_DELISTED, AssetTable, PanelView, PointInTimePanel, build_panel
from market.pivot import to_tables
from market.projection import orthonormal_basis, project_out, residualize
from market.ranks import five_bins, gaussianize, mean_places, quantile_bins, tie_kept_rank
from market.synthetic import SyntheticSpec, generate_market, oracle_scores
from market.targets import coverage, forward_returns, neutral_target
from market.universe import Universe, UniverseRule, select_universe

__all__ = [
    "DEFAULT_STYLES",
    "NOT_DELISTED",
    "AssetTable",
    "BoolArray",
    "Cache",
    "DateArray",
    "Edit",
    "Exposures",
    "FloatArray",
    "IntArray",
    "Leak",
    "LeakReport",
    "PanelView",
    "PointInTimePanel",
    "SessionCalendar",
    "StrArray",
    "SyntheticSpec",
    "Universe",
    "UniverseRule",
    "build_panel",
    "compute_exposures",
    "coverage",
    "edit_after",
    "exposure_history",
    "find_leaks",
    "five_bins",
    "forward_returns",
    "gaussianize",
    "generate_market",
    "mean_places",
    "neutral_target",
    "of_view",
    "oracle_scores",
    "orthonormal_basis",
    "project_out",
    "quantile_bins",
    "readonly",
    "residualize",
    "select_universe",
    "session_calendar",
    "tie_kept_rank",
    "to_tables",
]
