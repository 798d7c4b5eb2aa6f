"""The settings as values: one frozen dataclass a table of ``default.toml``, each field a key of the same name.

The meaning of each key stands beside it in the file, and only there. Nothing here has a default: the file holds every key.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.settings.places import named_file, refuse_unknown
from service.settings.reading import Key, Kind, convert, flat
from staking.amount import parse_amount

_KINDS: dict[Any, Kind] = {int: "whole", float: "number", str: "text"}
_PASSWORD = re.compile(r"://[^/@]*:[^/@]+@")
SHARES_TOLERANCE = 1e-9
"""Two decimal shares that sum to 1 may miss it by a rounding of binary fractions, and by no more."""

META_MODEL_VARIANTS = ("stake", "equal", "stake_min", "provider_cap")
BLEND_MODES = ("fixed", "stake", "walk_forward")
ADJUSTED_LEVELS = ("refuse", "flag")
REGRESSION_WEIGHTS = ("liquidity", "equal")
APPROVAL_MODES = ("automatic", "by_hand")
SOLUTION_STATUSES = ("solved", "relaxed", "held")
ORDER_SIZES = ("fractional", "whole")
PRETRADE_CHECKS = (
    "price_stale",
    "price_jump",
    "order_over_adv",
    "gross_after_fill",
    "net_after_fill",
    "beta_after_fill",
    "asset_restricted",
    "short_forbidden",
    "split_before_fill",
    "list_entry_unknown",
    "books_differ",
)
"""The codes of :data:`portfolio.pretrade.CHECKS`; a test keeps the two equal. Settings load no numbers library."""


def _bounded(minimum: int, maximum: int | None = None) -> Any:
    return field(metadata={"minimum": minimum, "maximum": maximum})


def _refuse_other_words(name: str, words: Sequence[str], known: Sequence[str]) -> None:
    for word in words:
        if word not in known:
            text = f"The setting '{name}' knows no '{word[:40]}'; there are: {', '.join(known)}."
            raise InputRejected(Code.SETTING_INVALID, text)


def _refuse_no_amount(name: str, text: str) -> None:
    try:
        parse_amount(text)
    except InputRejected as error:
        raise InputRejected(Code.SETTING_INVALID, f"The setting '{name}' is no amount: {error.message}") from error


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Table ``database``."""

    url: str


@dataclass(frozen=True, slots=True)
class MarketSettings:
    """Table ``market``."""

    calendar: str
    currency: str
    vendor_delay_minutes: int = _bounded(0, 7 * 24 * 60)
    fx_carry_days_max: int = _bounded(0, 366)
    delisting_performance_return: float = _bounded(-1, 0)


@dataclass(frozen=True, slots=True)
class VendorsSettings:
    """Table ``vendors``."""

    requests_per_second: float = _bounded(0, 1_000)
    part_tickers: int = _bounded(1, 50)
    attempts_max: int = _bounded(1, 20)
    timeout_seconds: int = _bounded(1, 600)
    overlap_sessions: int = _bounded(1, 250)
    restatement_min: float = _bounded(0, 1)


@dataclass(frozen=True, slots=True)
class RoundsSettings:
    """Table ``rounds``."""

    void_after_days: int = _bounded(1, 3_650)


@dataclass(frozen=True, slots=True)
class UniverseSettings:
    """Table ``universe``."""

    countries: str
    adjusted_levels: str
    size: int = _bounded(2)
    min_history_sessions: int = _bounded(2)
    adv_window_sessions: int = _bounded(1)
    stale_sessions_max: int = _bounded(1)
    adv_min: float = _bounded(0)
    market_cap_min: float = _bounded(0)
    market_cap_max: float = _bounded(0)
    price_min: float = _bounded(0)
    price_max: float = _bounded(0)
    hysteresis: float = _bounded(0, 1)

    def __post_init__(self) -> None:
        wrong = {
            "hysteresis": self.hysteresis == 1,
            "market_cap_max": 0 < self.market_cap_max < self.market_cap_min,
            "price_max": 0 < self.price_max < self.price_min,
        }
        for key in (key for key, bad in wrong.items() if bad):
            why = "must be below 1" if key == "hysteresis" else "lies below its least value"
            raise InputRejected(Code.SETTING_INVALID, f"The setting 'universe.{key}' {why}.")
        _refuse_other_words("universe.adjusted_levels", [self.adjusted_levels], ADJUSTED_LEVELS)


@dataclass(frozen=True, slots=True)
class TournamentSettings:
    """Tables ``tournaments.signals`` and ``tournaments.classic``."""

    terms: str
    schedule: str


@dataclass(frozen=True, slots=True)
class TournamentsSettings:
    """Table ``tournaments``: one field a tournament, named by its label."""

    signals: TournamentSettings
    classic: TournamentSettings


@dataclass(frozen=True, slots=True)
class ScoringSettings:
    """Table ``scoring``."""

    threads: int = _bounded(1, 64)


@dataclass(frozen=True, slots=True)
class MetamodelSettings:
    """Table ``metamodel``."""

    variant: str
    stake_min_tokens: str
    blend: str
    candidates: str
    provider_share_max: float = _bounded(0, 1)
    signals_share: float = _bounded(0, 1)
    classic_share: float = _bounded(0, 1)
    ensemble_rounds_min: int = _bounded(2)
    ensemble_rounds_max: int = _bounded(2)
    ensemble_risk_penalty: float = _bounded(0)
    ensemble_turnover_penalty: float = _bounded(0)
    ensemble_prior_rounds: float = _bounded(0)
    publish_min_providers: int = _bounded(1)

    def __post_init__(self) -> None:
        for key, words, known in (
            ("variant", [self.variant], META_MODEL_VARIANTS),
            ("candidates", self.candidates.split(), META_MODEL_VARIANTS),
            ("blend", [self.blend], BLEND_MODES),
        ):
            _refuse_other_words(f"metamodel.{key}", words, known)
        if self.provider_share_max == 0:
            raise InputRejected(Code.SETTING_INVALID, "The setting 'metamodel.provider_share_max' must be above 0.")
        if self.ensemble_rounds_max < self.ensemble_rounds_min:
            raise InputRejected(
                Code.SETTING_INVALID, "The setting 'metamodel.ensemble_rounds_max' is below 'metamodel.ensemble_rounds_min'."
            )
        _refuse_no_amount("metamodel.stake_min_tokens", self.stake_min_tokens)


@dataclass(frozen=True, slots=True)
class TreasurySettings:
    """Table ``treasury``."""

    credit_tokens: str

    def __post_init__(self) -> None:
        _refuse_no_amount("treasury.credit_tokens", self.credit_tokens)


@dataclass(frozen=True, slots=True)
class DatasetsSettings:
    """Table ``datasets``."""

    weeks: int = _bounded(1)
    train_share: float = _bounded(0, 1)


@dataclass(frozen=True, slots=True)
class RiskSettings:
    """Table ``fund.risk``: the weights of the regressions, and the fields of ``portfolio.riskmodel.RiskParameters``."""

    regression_weights: str
    volatility_half_life_sessions: float = _bounded(1)
    correlation_half_life_sessions: float = _bounded(1)
    volatility_lags: int = _bounded(0, 250)
    correlation_lags: int = _bounded(0, 250)
    specific_half_life_sessions: float = _bounded(1)
    specific_lags: int = _bounded(0, 250)
    specific_prior_sessions: float = _bounded(0)
    eigenvalue_simulations: int = _bounded(0, 100_000)
    eigenvalue_scale: float = _bounded(0, 10)

    def __post_init__(self) -> None:
        _refuse_other_words("fund.risk.regression_weights", [self.regression_weights], REGRESSION_WEIGHTS)


@dataclass(frozen=True, slots=True)
class ApprovalSettings:
    """Table ``fund.approval``."""

    mode: str
    statuses: str
    turnover_max: float = _bounded(0)
    gross_max: float = _bounded(0)
    names_max: int = _bounded(0)

    def __post_init__(self) -> None:
        _refuse_other_words("fund.approval.mode", [self.mode], APPROVAL_MODES)
        _refuse_other_words("fund.approval.statuses", self.statuses.split(), SOLUTION_STATUSES)


@dataclass(frozen=True, slots=True)
class OrdersSettings:
    """Table ``fund.orders``."""

    shares: str
    restricted_list: str
    no_short_list: str
    notices: str
    trade_min: float = _bounded(0)
    idle_sessions_max: int = _bounded(0)
    price_jump_max: float = _bounded(0)
    adv_share_max: float = _bounded(0)
    after_fill_slack: float = _bounded(0)
    reconcile_tolerance: float = _bounded(0, 1)
    paper_adv_share_max: float = _bounded(0)

    def __post_init__(self) -> None:
        _refuse_other_words("fund.orders.shares", [self.shares], ORDER_SIZES)
        _refuse_other_words("fund.orders.notices", self.notices.split(), PRETRADE_CHECKS)


@dataclass(frozen=True, slots=True)
class FundSettings:
    """Table ``fund``."""

    approval: ApprovalSettings
    orders: OrdersSettings
    mandate: str
    risk: RiskSettings
    initial_capital: float = _bounded(1)
    risk_weeks: int = _bounded(2)


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Table ``serve``."""

    host: str
    port: int = _bounded(1, 65_535)


@dataclass(frozen=True, slots=True)
class SchedulerSettings:
    """Table ``scheduler``."""

    lease_seconds: int = _bounded(1)
    poll_seconds: int = _bounded(1)


@dataclass(frozen=True, slots=True)
class LimitsSettings:
    """Table ``limits``."""

    upload_bytes_max: int = _bounded(1)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a platform, checked.

    Attributes
    ----------
    config_dir : Path
        Folder they were read from; terms, schedules and mandates are looked up there. The other fields are the tables.
    """

    config_dir: Path
    database: DatabaseSettings
    market: MarketSettings
    vendors: VendorsSettings
    universe: UniverseSettings
    rounds: RoundsSettings
    tournaments: TournamentsSettings
    scoring: ScoringSettings
    metamodel: MetamodelSettings
    treasury: TreasurySettings
    datasets: DatasetsSettings
    fund: FundSettings
    serve: ServeSettings
    scheduler: SchedulerSettings
    limits: LimitsSettings

    def __post_init__(self) -> None:
        shares = self.metamodel.signals_share + self.metamodel.classic_share
        if abs(shares - 1) > SHARES_TOLERANCE:
            raise InputRejected(
                Code.SETTING_INVALID, "The settings 'metamodel.signals_share' and 'metamodel.classic_share' must sum to 1."
            )
        for tournament in (self.tournaments.signals, self.tournaments.classic):
            named_file(self.config_dir, "terms", tournament.terms)
            named_file(self.config_dir, "schedules", tournament.schedule)
        named_file(self.config_dir, "mandates", self.fund.mandate)

    def with_overrides(self, overrides: Mapping[str, Any]) -> "Settings":
        """Return settings with some values replaced, under the same checks as a file.

        Parameters
        ----------
        overrides : mapping of dotted key to value
            Such as ``{"universe.size": 200}``; text is read as from an environment variable.

        Raises
        ------
        InputRejected
            ``SETTING_UNKNOWN`` or ``SETTING_INVALID``.
        """
        values = flat({item.name: asdict(getattr(self, item.name)) for item in fields(self) if item.name != "config_dir"})
        for name, value in overrides.items():
            values[name] = override(name, value, "An override")
        return from_values(values, self.config_dir)


def schema_of(kind: type, prefix: str = "") -> dict[str, Key]:
    """Return the dotted keys of a dataclass of settings and what each may hold."""
    keys: dict[str, Key] = {}
    hints = get_type_hints(kind)
    for item in fields(kind):
        hint = hints[item.name]
        if isinstance(hint, type) and is_dataclass(hint):
            keys |= schema_of(hint, f"{prefix}{item.name}.")
        elif hint in _KINDS:
            keys[f"{prefix}{item.name}"] = Key(_KINDS[hint], **item.metadata)
    return keys


SCHEMA = schema_of(Settings)
"""Every setting by its dotted key."""


def override(name: str, value: Any, where: str) -> Any:
    """Return the checked value of one setting given outside a file; ``where`` is how errors call it."""
    if name not in SCHEMA:
        refuse_unknown(f"{where}: there is no setting '{name}'", name, SCHEMA)
    return convert(value, SCHEMA[name], f"{where}: '{name}'", from_text=isinstance(value, str))


def from_values(values: Mapping[str, Any], config_dir: Path) -> Settings:
    """Build the settings from checked values by dotted key."""
    tables = {
        item.name: _build(get_type_hints(Settings)[item.name], values, f"{item.name}.")
        for item in fields(Settings)
        if item.name != "config_dir"
    }
    return Settings(config_dir, **tables)


def _build(kind: type, values: Mapping[str, Any], prefix: str) -> Any:
    hints = get_type_hints(kind)
    return kind(
        **{
            item.name: _build(hints[item.name], values, f"{prefix}{item.name}.")
            if is_dataclass(hints[item.name])
            else values[f"{prefix}{item.name}"]
            for item in fields(kind)
        }
    )


def refuse_password(url: str, source: str) -> None:
    """Refuse a database address with a password in a file: files are copied, committed and backed up."""
    if _PASSWORD.search(url):
        raise InputRejected(
            Code.SETTING_INVALID,
            f"{source}: 'database.url' holds a password; give the address in CROWDALPHA_DATABASE__URL instead.",
        )
