"""The page on data quality names every fault with its severity, and every limit. Method: read the page's tables."""

import re
from dataclasses import fields
from pathlib import Path

from market.quality import Fault, QualityRules

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "data-quality.md").read_text(encoding="utf-8")


def test_every_fault_stands_on_the_page_with_its_severity():
    documented = dict(re.findall(r"^\| `(\w+)` \| ([a-z, ]+) \|", PAGE, re.MULTILINE))
    for fault in Fault:
        assert fault.severity.value in documented.get(fault.value, ""), fault


def test_the_page_names_no_limit_that_is_not_there():
    names = {f.name for f in fields(QualityRules)}
    limits = set(re.findall(r"`(\w+_(?:min|max|share|sessions|required|log_min|log_max|log))`", PAGE)) - {
        f.value for f in Fault
    }
    assert len(limits) > 15
    assert limits <= names
