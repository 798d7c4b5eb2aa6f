"""The mandate: under which limits, costs and appetite for risk a fund is run.

It is the fund's contract with itself: plain numbers, frozen, read once from a mapping in which an unknown key is an error. It
is not a rebalance problem: limits here are relative to capital and hold for years, while
:class:`portfolio.problem.RebalanceProblem` holds the arrays of one decision. No file is read here.

The key of a limit is the figure that is aimed at. Where limits contradict each other, those that ``relaxation`` names give way
in its order, each up to its figure in ``hard``, which is never exceeded.

Units: weights and exposures are fractions of equity (an exposure is Σ Bᵢ wᵢ, so with standardized styles 0.05 means that the
book leans by five hundredths of a standard deviation per unit of capital); costs are one-way basis points of traded value;
yearly rates are basis points a year of 252 sessions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from crowdalpha.codes import Code
from crowdalpha.errors import Finding, InputRejected
from portfolio.contradictions import LIMIT_KEYS, RELAXABLE, Contradiction, contradictions

SESSIONS_PER_YEAR = 252
"""Trading sessions that a year is counted with wherever a yearly figure becomes one of a session, or back."""


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
    net_target, net_band : float
        |Σw − net_target| is at most net_band; both 0 make dollar neutrality an equality.
    position_max : float
        Most that |wᵢ| may be.
    beta_target, beta_band : float
        The exposure to beta is at most beta_band away from beta_target.
    sector_band, country_band, style_band : float
        Most that the absolute exposure to a factor of that kind may be; 0 makes it an equality (styles: each one but beta).
    short_max : float
        Most that shorts may be in sum, Σ max(−w, 0); from ``gross_max`` on it is no limit of its own.
    turnover_max : float
        Most that Σ|w − w0| may be at one rebalance (both sides counted; closing dead names is exempt).
    adv_participation_max : float
        Most of a name's average daily dollar volume that one rebalance may trade.
    risk_aversion : float
        γ in α'w − γ·w'Σw − costs, all per rebalance period; not looked at with a volatility target.
    volatility_target : float
        Most forecast volatility of the book, a year: γ is then the smallest one that keeps to it. 0: none.
    half_spread_bps : float
        Half of the bid-ask spread, paid on every traded dollar.
    impact_coefficient : float
        c in c·σ·|trade|·√(|trade|/ADV), σ the volatility of one session; 0 turns impact off.
    borrow_bps_per_year, cash_bps_per_year : float
        Fee on the value sold short; interest on cash, which a dollar that is net long forgoes.
    information_coefficient : float
        Prior of the correlation between score and outcome, used before there is a record.
    ic_prior_rounds : float
        How many resolved rounds the prior weighs as.
    sessions_per_rebalance : int
        Length of one rebalance period: a book is decided this often.
    holding_period_sessions : int
        Time over which a trade's cost is spread when it is compared with the alpha of one period.
    decision_minutes_after_close : int
        Minutes after the close of a session before which no book is decided on it.
    fill : str
        ``open`` or ``close`` of the next session, where the decided book is traded.
    relaxation : tuple of str
        Order in which limits give way when they contradict each other; words of
        :data:`portfolio.contradictions.LIMIT_KEYS`. Those of :data:`RELAXABLE` need no hard figure.
    hard : mapping of str to float
        By a limit's key the figure that is never exceeded, where that is not the one that is aimed at.
    """

    name: str
    aum: float = 100_000_000.0
    gross_max: float = 2.0
    net_target: float = 0.0
    net_band: float = 0.0
    position_max: float = 0.015
    beta_target: float = 0.0
    beta_band: float = 0.0
    sector_band: float = 0.02
    country_band: float = 0.02
    style_band: float = 0.05
    short_max: float = 100.0
    turnover_max: float = 0.6
    adv_participation_max: float = 0.05
    risk_aversion: float = 2.0
    volatility_target: float = 0.0
    half_spread_bps: float = 5.0
    impact_coefficient: float = 0.5
    borrow_bps_per_year: float = 50.0
    cash_bps_per_year: float = 0.0
    information_coefficient: float = 0.02
    ic_prior_rounds: float = 52.0
    sessions_per_rebalance: int = 5
    holding_period_sessions: int = 20
    decision_minutes_after_close: int = 0
    fill: str = "open"
    relaxation: tuple[str, ...] = RELAXABLE
    hard: Mapping[str, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        values = {known.name: getattr(self, known.name) for known in fields(self)}
        _refuse([_finding(c, values, {}) for c in contradictions(values)], f"mandate {self.name!r}")

    @property
    def dollar_neutral(self) -> bool:
        """True when longs and shorts must balance exactly."""
        return self.net_target == 0.0 == self.net_band

    @property
    def cost_amortization(self) -> float:
        """Part of a trade's cost that is charged to one rebalance period in the optimizer."""
        return min(1.0, self.sessions_per_rebalance / self.holding_period_sessions)

    @property
    def factor_bands(self) -> dict[str, float]:
        """Half-width of the band of a factor, by the factor's kind; the intercept has none."""
        return {kind: getattr(self, f"{kind}_band") for kind in ("beta", "sector", "country", "style")}

    def hard_figure(self, key: str) -> float:
        """Return what the limit ``key`` may never exceed, where ``hard`` or the absence of room in it says so."""
        figure: float = self.hard.get(key, getattr(self, key))
        return figure

    def room(self) -> dict[str, float]:
        """Return, by the word of each limit with a hard figure, how far that is from what is aimed at, in the limit's unit."""
        return {
            word: self.hard[keys[0]] - getattr(self, keys[0])
            for word, keys in LIMIT_KEYS.items()
            if keys[0] in self.hard and word != "position"
        }


def _finding(wrong: Contradiction, values: Mapping[str, Any], lines: Mapping[str, int]) -> Finding:
    """Return a contradiction as a finding on its first key, at the line of the first of its keys that has one."""
    key = wrong.keys[0]
    value = values["hard"].get(key.removeprefix("hard.")) if key.startswith("hard.") else values[key]
    row = next((lines[k] for k in wrong.keys if k in lines), None)
    return Finding(Code.MANDATE_INVALID, f"{key} {wrong.message}.", row=row, column=key, value=str(value)[:64])


def _refuse(findings: Sequence[Finding], which: str) -> None:
    """Raise InputRejected when there are findings; the sentence is the first one's, with its line."""
    if findings:
        first = findings[0]
        where = f"{which}, line {first.row}," if first.row else which
        raise InputRejected(Code.MANDATE_INVALID, f"The {where} is not usable: {first.message}", findings)


_WORDS = {"float": "a number", "int": "a whole number", "str": "a text", "tuple": "a list of texts", "Mapping": "a table"}
"""What a value must be, as whoever writes TOML calls it."""

_DIGITS_MAX = 18
"""Of a whole number: more is a slip of the pen, and beyond 308 no float."""


def _wrong(key: str, kind: str) -> TypeError:
    return TypeError(f"{key} is of the wrong kind: it must be {_WORDS[kind]}")


def _whole(key: str, value: int) -> int:
    if abs(value) >= 10**_DIGITS_MAX:
        raise TypeError(f"{key} is out of range: a whole number has at most {_DIGITS_MAX} digits")
    return value


def _number(key: str, value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(_whole(key, value) if isinstance(value, int) else value)
    raise _wrong(key, "float")


def _typed(key: str, value: Any, kind: str) -> Any:
    """Return ``value`` as the field's type, or raise TypeError; a bool is never a number."""
    if kind == "float":
        return _number(key, value)
    if kind == "int" and isinstance(value, int) and not isinstance(value, bool):
        return _whole(key, value)
    if kind == "str" and isinstance(value, str):
        return value
    if kind == "tuple" and isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if kind == "Mapping" and isinstance(value, Mapping):
        return dict(value)
    raise _wrong(key, kind)


def _default(known: Field[Any]) -> Any:
    return known.default if known.default is not MISSING else {}


def mandate_from_mapping(data: Mapping[str, Any], source: str = "", lines: Mapping[str, int] | None = None) -> Mandate:
    """Build a mandate from plain values, strictly.

    Parameters
    ----------
    data : mapping
        Keys are the attributes of :class:`Mandate`; ``name`` is needed, the rest has defaults.
    source : str
        Where the values come from, for the sentence of the error.
    lines : mapping of str to int, optional
        The line of each key in the source, those of ``hard`` as ``hard.<key>``; findings then carry it as their row.

    Raises
    ------
    InputRejected
        MANDATE_INVALID with one finding per unknown, missing, ill-typed or contradictory key.

    Examples
    --------
    >>> mandate_from_mapping({"name": "small", "gross_max": 1}).gross_max
    1.0
    """
    known, lines = {field.name: field for field in fields(Mandate)}, lines or {}
    found: list[Finding] = []
    values: dict[str, Any] = {}

    def note(key: str, message: str, value: Any = None) -> None:
        shown = None if value is None else str(value)[:64]
        found.append(Finding(Code.MANDATE_INVALID, message, row=lines.get(key), column=key, value=shown))

    for key, value in data.items():
        if key not in known:
            near = get_close_matches(key, known, n=1)
            note(key, f"There is no key {key!r}; did you mean {near[0]!r}?" if near else f"There is no key {key!r}.")
            continue
        try:
            values[key] = _typed(key, value, str(getattr(known[key].type, "__name__", known[key].type)))
        except TypeError as error:
            note(key, f"{error}.", value)
    for key, value in values.get("hard", {}).items():
        try:
            values["hard"][key] = _number(f"hard.{key}", value)
        except TypeError as error:
            note(f"hard.{key}", f"{error}.", value)
    for key, about in known.items():
        if about.default is MISSING and about.default_factory is MISSING and key not in data:
            note(key, f"The key {key!r} is missing.")
    if values.get("volatility_target") and "risk_aversion" in data:
        note("risk_aversion", "risk_aversion follows from volatility_target: leave one of them out.", data["risk_aversion"])
    if not found:
        whole = {key: _default(field) for key, field in known.items()} | values
        found = [_finding(wrong, whole, lines) for wrong in contradictions(whole)]
    _refuse(found, f"mandate in {source}" if source else "mandate")
    return Mandate(**values)
