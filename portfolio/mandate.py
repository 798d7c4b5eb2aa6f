"""The mandate: under which limits, costs and appetite for risk a fund is run.

It is the fund's contract with itself: plain numbers, frozen, read once from a mapping in which an unknown key is an error. It
is not a rebalance problem: limits here are relative to capital and hold for years, while
:class:`portfolio.problem.RebalanceProblem` holds the arrays of one decision. No file is read here.

Units: weights and exposures are fractions of equity (an exposure is Σ Bᵢ wᵢ, so with standardized styles 0.05 means that the
book leans by five hundredths of a standard deviation per unit of capital); costs are one-way basis points of traded value;
yearly rates are basis points a year of 252 sessions.
"""

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from crowdalpha.codes import Code
from crowdalpha.errors import Finding, InputRejected

SESSIONS_PER_YEAR = 252
"""Trading sessions that a year is counted with wherever a yearly figure becomes one of a session, or back."""

RELAXABLE = ("turnover", "style", "sector", "country", "gross")
"""Limits that the ladder may relax. Never among them: position caps, the dollar and the beta equality."""

_POSITIVE = ("aum", "gross_max", "position_max", "adv_participation_max")
_COUNTS = ("sessions_per_rebalance", "holding_period_sessions")


@dataclass(frozen=True, slots=True)
class Mandate:
    """Limits, costs and appetite of one fund.

    Attributes
    ----------
    name : str
        Name under which it is stored and shown.
    aum : float
        Capital at the start, in the panel's currency; must be positive.
    gross_max : float
        Most that Σ|w| may be, as a fraction of equity.
    net_band : float
        Most that |Σw| may be; 0 makes dollar neutrality an equality.
    position_max : float
        Most that |wᵢ| may be.
    beta_band, sector_band, country_band, style_band : float
        Most that the absolute exposure to a factor of that kind may be; 0 makes it an equality (styles: each one but beta).
    turnover_max : float
        Most that Σ|w − w0| may be at one rebalance (both sides counted; closing dead names is exempt).
    adv_participation_max : float
        Most of a name's average daily dollar volume that one rebalance may trade.
    risk_aversion : float
        γ in α'w − γ·w'Σw − costs, all per rebalance period.
    half_spread_bps : float
        Half of the bid-ask spread, paid on every traded dollar.
    impact_coefficient : float
        c in c·σ·|trade|·√(|trade|/ADV), σ the volatility of one session; 0 turns impact off.
    borrow_bps_per_year, cash_bps_per_year : float
        Fee on the value sold short; interest on cash.
    information_coefficient : float
        Prior of the correlation between score and outcome, used before there is a record.
    ic_prior_rounds : float
        How many resolved rounds the prior weighs as.
    sessions_per_rebalance : int
        Length of one rebalance period.
    holding_period_sessions : int
        Time over which a trade's cost is spread when it is compared with the alpha of one period.
    relaxation : tuple of str
        Order in which limits are relaxed when they contradict each other; each is one of :data:`RELAXABLE`.
    """

    name: str
    aum: float = 100_000_000.0
    gross_max: float = 2.0
    net_band: float = 0.0
    position_max: float = 0.015
    beta_band: float = 0.0
    sector_band: float = 0.02
    country_band: float = 0.02
    style_band: float = 0.05
    turnover_max: float = 0.6
    adv_participation_max: float = 0.05
    risk_aversion: float = 2.0
    half_spread_bps: float = 5.0
    impact_coefficient: float = 0.5
    borrow_bps_per_year: float = 50.0
    cash_bps_per_year: float = 0.0
    information_coefficient: float = 0.02
    ic_prior_rounds: float = 52.0
    sessions_per_rebalance: int = 5
    holding_period_sessions: int = 20
    relaxation: tuple[str, ...] = RELAXABLE

    def __post_init__(self) -> None:
        findings = _findings(self)
        if findings:
            first = findings[0].message
            raise InputRejected(Code.MANDATE_INVALID, f"Mandate {self.name!r} is not usable: {first}", findings)

    @property
    def dollar_neutral(self) -> bool:
        """True when longs and shorts must balance exactly."""
        return self.net_band == 0.0

    @property
    def cost_amortization(self) -> float:
        """Part of a trade's cost that is charged to one rebalance period in the optimizer."""
        return min(1.0, self.sessions_per_rebalance / self.holding_period_sessions)


def _findings(mandate: Mandate) -> list[Finding]:
    """Return everything that contradicts itself, one finding a key."""
    found: list[Finding] = []

    def note(key: str, message: str) -> None:
        value = str(getattr(mandate, key))[:64]
        found.append(Finding(Code.MANDATE_INVALID, f"{key} {message}.", column=key, value=value))

    if not mandate.name:
        note("name", "is empty")
    for field in fields(mandate):
        value = getattr(mandate, field.name)
        if isinstance(value, float) and (not math.isfinite(value) or value < 0):
            note(field.name, "is a finite number and not negative")
        elif (field.name in _POSITIVE or field.name in _COUNTS) and value <= 0:
            note(field.name, "is above zero")
    if mandate.position_max > mandate.gross_max:
        note("position_max", "is not above gross_max")
    if mandate.information_coefficient > 1:
        note("information_coefficient", "is a correlation and at most 1")
    unknown = [kind for kind in mandate.relaxation if kind not in RELAXABLE]
    if unknown or len(set(mandate.relaxation)) != len(mandate.relaxation):
        note("relaxation", f"names each of {', '.join(RELAXABLE)} at most once and nothing else")
    return found


def _typed(key: str, value: Any, kind: str) -> Any:
    """Return ``value`` as the field's type, or raise TypeError; a bool is never a number."""
    if kind == "float" and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind == "int" and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind == "str" and isinstance(value, str):
        return value
    if kind.startswith("tuple") and isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
        return tuple(value)
    raise TypeError(f"{key} is of the wrong kind: {type(value).__name__} instead of {kind}")


def mandate_from_mapping(data: Mapping[str, Any], source: str = "") -> Mandate:
    """Build a mandate from plain values, strictly.

    Parameters
    ----------
    data : mapping
        Keys are the attributes of :class:`Mandate`; ``name`` is needed, the rest has defaults.
    source : str
        Where the values come from, for the sentence of the error.

    Raises
    ------
    InputRejected
        MANDATE_INVALID with one finding per unknown, missing, ill-typed or contradictory key.

    Examples
    --------
    >>> mandate_from_mapping({"name": "small", "gross_max": 1}).gross_max
    1.0
    """
    known = {field.name: field for field in fields(Mandate)}
    found: list[Finding] = []
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key not in known:
            found.append(Finding(Code.MANDATE_INVALID, f"There is no key {key!r}.", column=key))
            continue
        try:
            values[key] = _typed(key, value, str(getattr(known[key].type, "__name__", known[key].type)))
        except TypeError as error:
            found.append(Finding(Code.MANDATE_INVALID, f"{error}.", column=key, value=str(value)[:64]))
    for key, field in known.items():
        if field.default is MISSING and key not in data:
            found.append(Finding(Code.MANDATE_INVALID, f"The key {key!r} is missing.", column=key))
    if found:
        where = f" in {source}" if source else ""
        raise InputRejected(Code.MANDATE_INVALID, f"The mandate{where} is not usable: {found[0].message}", found)
    return Mandate(**values)
