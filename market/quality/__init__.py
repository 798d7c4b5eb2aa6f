"""The quality gate: a vendor's batch is judged here before anything uses it.

``docs/data-quality.md`` lists the faults and tells how a row that was set aside comes free.
"""

from market.quality.faults import (
    ACCEPTED,
    QUARANTINED,
    UNUSED,
    Fault,
    Found,
    QualityFinding,
    Severity,
    html_page,
    rate_limited,
    schema_changed,
)
from market.quality.gate import judge_batch
from market.quality.judgement import Judgement, Releases, coverage_of
from market.quality.known import KnownMarket, Trail
from market.quality.rules import QualityRules
from market.quality.tables import priced_rows, refuse_duplicates

__all__ = [
    "ACCEPTED",
    "QUARANTINED",
    "UNUSED",
    "Fault",
    "Found",
    "Judgement",
    "KnownMarket",
    "QualityFinding",
    "QualityRules",
    "Releases",
    "Severity",
    "Trail",
    "coverage_of",
    "html_page",
    "judge_batch",
    "priced_rows",
    "rate_limited",
    "refuse_duplicates",
    "schema_changed",
]
