"""What contradicts itself in a mandate: rules between its figures, each told with the keys that it is about.

What it is not: a reader of kinds and files (:mod:`portfolio.mandate`). It looks at a mapping from key to value in which every
key is there and of its kind.

A limit has a word, under which ``relaxation`` names it, and one or two keys. ``hard`` maps keys to the figure that is never
exceeded, where it differs from the figure that is aimed at. The words of :data:`RELAXABLE` may give way without one, then
without a bound; the others only up to theirs.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

RELAXABLE = ("volatility", "turnover", "style", "sector", "country", "gross")
"""Limits that may give way without a hard figure, in the usual order. Never among them: caps, net, beta, shorts. Volatility is
first: it is a forecast, and a book that is as calm as the other limits allow is better than the one from before the storm."""

LIMIT_KEYS: Mapping[str, tuple[str, ...]] = {
    "turnover": ("turnover_max",),
    "style": ("style_band",),
    "sector": ("sector_band",),
    "country": ("country_band",),
    "gross": ("gross_max",),
    "net": ("net_band",),
    "beta": ("beta_band",),
    "position": ("position_max", "adv_participation_max"),
    "short": ("short_max",),
    "volatility": ("volatility_target",),
}
"""The word of each limit and its keys. Caps and the volume limit give way together: both are bounds of a single name."""

FILLS = ("open", "close")
"""Where a book may be traded in the session after the decision."""

_WORD_OF = {key: word for word, keys in LIMIT_KEYS.items() for key in keys}
_ABOVE_ZERO = (
    "aum",
    "gross_max",
    "position_max",
    "adv_participation_max",
    "sessions_per_rebalance",
    "holding_period_sessions",
)
_SIGNED = ("net_target", "beta_target")


class Contradiction(NamedTuple):
    """Keys that do not fit, the one to change first, and what is wrong, as the rest of a sentence about that key."""

    keys: tuple[str, ...]
    message: str


def contradictions(values: Mapping[str, Any]) -> list[Contradiction]:
    """Return everything in a mandate's values that cannot be or cannot be meant.

    Parameters
    ----------
    values : mapping
        Every key of :class:`portfolio.mandate.Mandate`, each of its kind.
    """
    found = _single(values)
    # Rules between figures make no sense of figures that are none.
    return found or [*_between(values), *_hard(values), *_relaxation(values)]


def _single(values: Mapping[str, Any]) -> list[Contradiction]:
    """Return the values that are out of range whatever the others are."""
    found = []
    for key, value in {**values, **{f"hard.{key}": value for key, value in values["hard"].items()}}.items():
        if isinstance(value, float) and not math.isfinite(value):
            found.append(Contradiction((key,), "is a finite number"))
        elif isinstance(value, float | int) and value < 0 and key not in _SIGNED:
            found.append(Contradiction((key,), "is not negative"))
        elif key in _ABOVE_ZERO and value <= 0:
            found.append(Contradiction((key,), "is above zero"))
    if not values["name"]:
        found.append(Contradiction(("name",), "is empty"))
    if values["fill"] not in FILLS:
        found.append(Contradiction(("fill",), f"is one of {', '.join(FILLS)}"))
    if values["information_coefficient"] > 1:
        found.append(Contradiction(("information_coefficient",), "is a correlation and at most 1"))
    return found


def _between(values: Mapping[str, Any]) -> list[Contradiction]:
    found = []
    if values["position_max"] > values["gross_max"]:
        found.append(Contradiction(("position_max", "gross_max"), "is not above gross_max"))
    if values["gross_max"] < abs(values["net_target"]):
        found.append(Contradiction(("gross_max", "net_target"), "is not below net_target"))
    if values["gross_max"] < values["net_band"]:
        found.append(Contradiction(("gross_max", "net_band"), "is not below net_band"))
    if values["short_max"] < -(values["net_target"] + values["net_band"]):
        found.append(Contradiction(("short_max", "net_target"), "is not below the net short that is asked for"))
    if values["short_max"] == 0 and values["net_target"] + values["net_band"] <= 0:
        message = "without which, and without a net long, nothing can be held at all"
        found.append(Contradiction(("short_max", "net_target", "net_band"), message))
    if values["sector_band"] == 0 and abs(values["net_target"]) > values["net_band"]:
        message = "keeps net at 0, as every name is in a sector, and net_target and net_band leave 0 out"
        found.append(Contradiction(("sector_band", "net_target", "net_band"), message))
    if values["turnover_max"] == 0 and not values["hard"].get("turnover_max", 0.0):
        found.append(Contradiction(("turnover_max",), "is above zero, or its hard figure is: else nothing is ever traded"))
    dollar_neutral = values["net_target"] == 0 == values["net_band"]
    if dollar_neutral and abs(values["beta_target"]) > values["beta_band"]:
        message = "and beta_band keep zero beta inside, as longs and shorts balance exactly"
        found.append(Contradiction(("beta_target", "beta_band"), message))
    return found


def _hard(values: Mapping[str, Any]) -> list[Contradiction]:
    """Return what is wrong with the hard figures: of no limit, below what is aimed at, or of a limit that never gives way."""
    found = []
    hard = values["hard"]
    for key, figure in hard.items():
        if key not in _WORD_OF:
            found.append(Contradiction((f"hard.{key}",), f"names no limit; there are: {', '.join(_WORD_OF)}"))
        elif key == "volatility_target" and values[key] == 0:
            found.append(Contradiction((f"hard.{key}",), "needs a volatility_target"))
        elif figure < values[key]:
            message = f"is not below what is aimed at, {key} = {values[key]:g}"
            found.append(Contradiction((f"hard.{key}", key), message))
        elif figure > values[key] and _WORD_OF[key] not in values["relaxation"]:
            message = f"needs the word {_WORD_OF[key]!r} in relaxation, which says when {key} gives way"
            found.append(Contradiction((f"hard.{key}", "relaxation"), message))
    return found


def _relaxation(values: Mapping[str, Any]) -> list[Contradiction]:
    words = values["relaxation"]
    if len(set(words)) != len(words) or not set(words) <= set(LIMIT_KEYS):
        message = f"names each of {', '.join(LIMIT_KEYS)} at most once and nothing else"
        return [Contradiction(("relaxation",), message)]
    bounded = {_WORD_OF.get(key) for key in values["hard"]}
    return [
        Contradiction(("relaxation",), f"may name {word!r} only where hard says how far: hard.{LIMIT_KEYS[word][0]}")
        for word in words
        if word not in RELAXABLE and word not in bounded
    ]
