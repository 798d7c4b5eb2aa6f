"""What the world did: calendars, price panels, universes, exposures, targets, and the numeric primitives of both sides.

Pure: arrays, tables and frozen dataclasses in, the same out. Nothing here loads pandas, pyarrow, scipy or exchange_calendars
when it is imported; the function that needs one does.
"""

from market.arrays import BoolArray, DateArray, FloatArray, IntArray, StrArray, readonly
from market.assets import AssetBook, Resolution, Spell
from market.calendars import SessionCalendar, joint_calendar, session_calendar
from market.countries import VENUES, Venue, venue_of
from market.delistings import delisting_returns, traded_before
from market.edits import Edit, edit_after
from market.exposure_history import exposure_history
from market.exposures import DEFAULT_STYLES, Exposures, compute_exposures
from market.facts import DatedFacts
from market.fx import FxTable, fx_table, in_fund_currency
from market.leakage import Cache, Leak, LeakReport, find_leaks, of_view
from market.neutralizers import condensed, neutralizers_of, sample_weights
from market.panel import NOT_DELISTED, AssetTable, PanelView, PointInTimePanel
from market.pivot import build_panel, to_tables
from market.projection import orthonormal_basis, project_out, residualize
from market.ranks import five_bins, gaussianize, mean_places, quantile_bins, tie_kept_rank
from market.synthetic import SyntheticSpec, generate_market, oracle_scores
from market.targets import coverage, forward_returns, neutral_target, priced_share, raw_target, window_returns
from market.tickermap import parse_ticker_map
from market.universe import Universe, UniverseRule, select_universe
from market.windows import windows

__all__ = [
    "DEFAULT_STYLES",
    "NOT_DELISTED",
    "VENUES",
    "AssetBook",
    "AssetTable",
    "BoolArray",
    "Cache",
    "DateArray",
    "DatedFacts",
    "Edit",
    "Exposures",
    "FloatArray",
    "FxTable",
    "IntArray",
    "Leak",
    "LeakReport",
    "PanelView",
    "PointInTimePanel",
    "Resolution",
    "SessionCalendar",
    "Spell",
    "StrArray",
    "SyntheticSpec",
    "Universe",
    "UniverseRule",
    "Venue",
    "build_panel",
    "compute_exposures",
    "condensed",
    "coverage",
    "delisting_returns",
    "edit_after",
    "exposure_history",
    "find_leaks",
    "five_bins",
    "forward_returns",
    "fx_table",
    "gaussianize",
    "generate_market",
    "in_fund_currency",
    "joint_calendar",
    "mean_places",
    "neutral_target",
    "neutralizers_of",
    "of_view",
    "oracle_scores",
    "orthonormal_basis",
    "parse_ticker_map",
    "priced_share",
    "project_out",
    "quantile_bins",
    "raw_target",
    "readonly",
    "residualize",
    "sample_weights",
    "select_universe",
    "session_calendar",
    "tie_kept_rank",
    "to_tables",
    "traded_before",
    "venue_of",
    "window_returns",
    "windows",
]
