"""What the crowd says: rounds, submissions, neutralization, scores, meta-model, classic data. Arrays and bytes in and out."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# At once, because the first import of the module of the same name would otherwise put itself in the function's place.
from signals.neutralize import neutralize

if TYPE_CHECKING:
    from signals.frame import score_frame as score_frame
    from signals.parse import CLASSIC_FORMAT as CLASSIC_FORMAT
    from signals.parse import SIGNALS_FORMAT as SIGNALS_FORMAT
    from signals.parse import parse_csv as parse_csv
    from signals.submission import judge as judge

_HOMES = {
    "score_frame": "signals.frame",
    "CLASSIC_FORMAT": "signals.parse",
    "SIGNALS_FORMAT": "signals.parse",
    "parse_csv": "signals.parse",
    "judge": "signals.submission",
}
__all__ = ["CLASSIC_FORMAT", "SIGNALS_FORMAT", "judge", "neutralize", "parse_csv", "score_frame"]


def __getattr__(name: str) -> Any:
    """Load a public name at its first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'signals' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
