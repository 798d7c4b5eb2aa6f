"""Settings say what they mean or are refused. Method: the shipped files read back, one wrong key or value at a time."""

import dataclasses
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.terms import RoundTerms
from portfolio.ladder import HELD, RELAXED, SOLVED
from portfolio.pretrade import CHECKS
from portfolio.riskmodel import RiskParameters
from service.desk import risk_parameters
from service.settings import Settings, load_mandate, load_schedule, load_settings, load_terms, shipped_config
from service.settings.reading import Key, convert
from service.settings.sections import PRETRADE_CHECKS, SCHEMA, SOLUTION_STATUSES

CONFIG = shipped_config()
TOKEN = 10**18


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the shipped configuration that a test may spoil."""
    return Path(shutil.copytree(CONFIG, tmp_path / "config"))


def spoil(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def refused(call: Any, *arguments: Any, **named: Any) -> InputRejected:
    with pytest.raises(InputRejected) as caught:
        call(*arguments, **named)
    assert "\n" not in caught.value.message
    return caught.value


# --- what ships ----------------------------------------------------------------------------------------------------------


def test_the_shipped_settings_are_these() -> None:
    settings = load_settings(env={})
    assert settings.database.url == ""
    assert (settings.market.calendar, settings.market.vendor_delay_minutes) == ("XNYS", 60)
    assert dataclasses.astuple(settings.universe) == ("", "refuse", 1000, 252, 63, 5, 0, 0, 0, 0, 0, 0)
    assert (settings.serve.host, settings.serve.port) == ("127.0.0.1", 8420)
    assert dataclasses.astuple(settings.fund.approval) == ("automatic", "solved", 1.0, 2.5, 0)
    assert dataclasses.astuple(settings.fund.orders) == ("fractional", "", "", "", 0, 5, 0.2, 0.1, 0.02, 1e-6, 0)
    assert (settings.scheduler.lease_seconds, settings.scheduler.poll_seconds) == (300, 15)
    assert settings.limits.upload_bytes_max == 10 * 1024 * 1024
    assert settings.metamodel.signals_share + settings.metamodel.classic_share == 1
    assert settings.config_dir == CONFIG


def test_the_words_of_the_fund_are_those_of_the_portfolio() -> None:
    assert tuple(c.value for c in CHECKS) == PRETRADE_CHECKS
    assert set(SOLUTION_STATUSES) == {SOLVED, RELAXED, HELD}
    for key, value in (("approval.mode", "never"), ("approval.statuses", "solved lucky"), ("orders.shares", "half")):
        assert refused(load_settings(env={}).with_overrides, {f"fund.{key}": value}).code is Code.SETTING_INVALID
    assert refused(load_settings(env={}).with_overrides, {"fund.orders.notices": "x"}).code is Code.SETTING_INVALID


def test_the_shipped_signals_terms_are_these() -> None:
    terms = load_terms("signals-weekly")
    assert terms.name == "signals-weekly"
    assert terms.scoring.kinds == ("corr", "mmc", "neutral_corr", "neutral_mmc")
    assert (terms.scoring.horizon_sessions, terms.scoring.lag_sessions, terms.scoring.ids_min) == (20, 2, 100)
    assert terms.payout.multipliers_ppb == (("neutral_corr", 500_000_000), ("neutral_mmc", 2_000_000_000))
    assert (terms.payout.clip_ppb, terms.payout.stake_threshold_atoms) == (50_000_000, 72_000 * TOKEN)
    assert terms.payout.budget_atoms == 20_000 * TOKEN
    assert (terms.payout.retention, terms.payout.retention_threshold_ppb) == ("neutral_churn", 200_000_000)
    assert terms.payout.retention_slope == 10


def test_the_shipped_classic_terms_are_these() -> None:
    payout = load_terms("classic-weekly").payout
    assert payout.multipliers_ppb == (("corr", 750_000_000), ("mmc", 2_250_000_000))
    assert payout.retention == "none"


@pytest.mark.parametrize("path", sorted((CONFIG / "terms").glob("*.toml")), ids=lambda path: path.stem)
def test_every_preset_is_usable_and_survives_storage(path: Path) -> None:
    terms = load_terms(path.stem)
    assert RoundTerms.from_dict(terms.as_dict()) == terms


def test_the_shipped_schedule_ends_with_the_terms_horizon() -> None:
    schedule = load_schedule("weekly")
    assert (schedule.open_after_close_minutes, schedule.window_minutes) == (120, 1440)
    assert schedule.score_days == (5, 10, 15, 20)
    assert schedule.score_days[-1] == load_terms("signals-weekly").scoring.horizon_sessions
    assert schedule.open_after_close_minutes >= load_settings(env={}).market.vendor_delay_minutes


def test_a_mandate_is_handed_on_as_it_stands() -> None:
    values, source = load_mandate("market-neutral")
    assert values["name"] == "market-neutral"
    assert source == str(CONFIG / "mandates" / "market-neutral.toml")


@pytest.mark.parametrize("path", sorted(CONFIG.rglob("*.toml")), ids=lambda path: path.name)
def test_every_key_is_commented(path: Path) -> None:
    """A comment stands above each key, or above the group of keys that it explains."""
    above = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if re.match(r"[A-Za-z0-9_.]+\s*=", line):
            assert above.startswith("#") or re.match(r"[A-Za-z0-9_.]+\s*=", above), f"{path.name}: {line}"
        above = line


# --- the environment and overrides ---------------------------------------------------------------------------------------


def test_the_environment_overrides_the_file() -> None:
    env = {
        "CROWDALPHA_SERVE__PORT": "9000",
        "CROWDALPHA_FUND__INITIAL_CAPITAL": "2.5e0".replace("e0", ""),
        "CROWDALPHA_TOURNAMENTS__SIGNALS__TERMS": "classic-weekly",
        "CROWDALPHA_DATABASE__URL": "postgresql+psycopg://me:secret@db/x",
        "CROWDALPHA_HOME": "/srv/alpha",
        "CROWDALPHA_CI": "1",
        "CROWDALPHA_TEST_DATA": "/x",
        "CROWDALPHA_TEST_POSTGRES": "",
        "OTHER__THING": "1",
    }
    settings = load_settings(env=env)
    assert settings.serve.port == 9000
    assert settings.fund.initial_capital == 2.5
    assert settings.tournaments.signals.terms == "classic-weekly"
    assert settings.database.url == "postgresql+psycopg://me:secret@db/x"


@pytest.mark.parametrize(
    ("variable", "value", "code", "hint"),
    [
        ("CROWDALPHA_SERVE__PROT", "1", Code.SETTING_UNKNOWN, "did you mean 'serve.port'"),
        ("CROWDALPHA_FUND__", "1", Code.SETTING_UNKNOWN, "CROWDALPHA_FUND__"),
        ("CROWDALPHA_TOURNAMENTS__CRYPTO__TERMS", "x", Code.SETTING_UNKNOWN, "tournaments"),
        ("CROWDALPHA_SERVE__PORT", "", Code.SETTING_INVALID, "serve.port"),
        ("CROWDALPHA_SERVE__PORT", "80.0", Code.SETTING_INVALID, "CROWDALPHA_SERVE__PORT"),
        ("CROWDALPHA_SERVE__PORT", "70000", Code.SETTING_INVALID, "at most 65535"),
        ("CROWDALPHA_UNIVERSE__SIZE", "-5", Code.SETTING_INVALID, "at least"),
        ("CROWDALPHA_UNIVERSE__STALE_SESSIONS_MAX", "0", Code.SETTING_INVALID, "at least 1"),
        ("CROWDALPHA_UNIVERSE__HYSTERESIS", "1", Code.SETTING_INVALID, "below 1"),
        ("CROWDALPHA_UNIVERSE__ADJUSTED_LEVELS", "allow", Code.SETTING_INVALID, "refuse, flag"),
        ("CROWDALPHA_MARKET__DELISTING_PERFORMANCE_RETURN", "-1.5", Code.SETTING_INVALID, "at least -1"),
        ("CROWDALPHA_METAMODEL__SIGNALS_SHARE", "0.6", Code.SETTING_INVALID, "sum to 1"),
        ("CROWDALPHA_METAMODEL__SIGNALS_SHARE", "nan", Code.SETTING_INVALID, "number"),
        ("CROWDALPHA_FUND__MANDATE", "aggressive", Code.SETTING_UNKNOWN, "market-neutral"),
        ("CROWDALPHA_FUND__MANDATE", "../terms/signals-weekly", Code.SETTING_UNKNOWN, "mandates"),
    ],
)
def test_a_wrong_variable_is_refused_by_name(variable: str, value: str, code: Code, hint: str) -> None:
    error = refused(load_settings, env={variable: value})
    assert error.code is code
    assert hint in error.message


def test_overrides_meet_the_same_checks_and_leave_the_original() -> None:
    settings = load_settings(env={})
    small = settings.with_overrides({"universe.size": 200, "serve.port": "1", "metamodel.publish_min_providers": 2})
    assert (small.universe.size, small.serve.port, small.universe.min_history_sessions) == (200, 1, 252)
    assert settings.universe.size == 1000
    assert settings.with_overrides({}) == settings
    for wrong in ({"universe.sice": 1}, {"universe": {}}, {"universe.size": 1.5}, {"serve.port": True}, {"fund.mandate": 3}):
        refused(settings.with_overrides, wrong)


def test_an_upper_bound_of_the_universe_is_not_below_the_lower_one_unless_it_is_none() -> None:
    settings = load_settings(env={})
    for what in ("price", "market_cap"):
        bounds = {f"universe.{what}_min": "5", f"universe.{what}_max": "4"}
        assert f"universe.{what}_max" in refused(settings.with_overrides, bounds).message
        settings.with_overrides(bounds | {f"universe.{what}_max": "0"})


def test_settings_cannot_be_changed_in_place() -> None:
    settings = load_settings(env={})
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.universe.size = 1  # type: ignore[misc]


# --- the files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(SCHEMA))
def test_every_setting_must_stand_in_the_file(folder: Path, name: str) -> None:
    *tables, key = name.split(".")
    lines = (folder / "default.toml").read_text().splitlines()
    inside, kept = "", []
    for line in lines:
        inside = line.strip("[]") if line.startswith("[") else inside
        if not (inside == ".".join(tables) and line.startswith(f"{key} =")):
            kept.append(line)
    assert len(kept) == len(lines) - 1
    (folder / "default.toml").write_text("\n".join(kept))
    error = refused(load_settings, folder, {})
    assert error.code is Code.SETTING_INVALID
    assert f"'{name}'" in error.message
    assert str(folder / "default.toml") in error.message


@pytest.mark.parametrize(
    ("old", "new", "code", "hint"),
    [
        ("poll_seconds", "pol_seconds", Code.SETTING_UNKNOWN, "did you mean 'scheduler.poll_seconds'"),
        ("[serve]", "[serve]\ncolour = 1", Code.SETTING_UNKNOWN, "serve.colour"),
        ("[serve]", "[nothing]\n[serve]", Code.SETTING_UNKNOWN, "'nothing'"),
        ("[serve]", "[server]", Code.SETTING_UNKNOWN, "server."),
        ("port = 8420", 'port = "8420"', Code.SETTING_INVALID, "'serve.port' must be a whole number"),
        ("port = 8420", "port = 8420.0", Code.SETTING_INVALID, "serve.port"),
        ("port = 8420", "port = true", Code.SETTING_INVALID, "serve.port"),
        ("port = 8420", "port = 8420\nport = 1", Code.SETTING_INVALID, "TOML"),
        ('calendar = "XNYS"', "calendar = 3", Code.SETTING_INVALID, "market.calendar"),
        ('url = ""', 'url = "postgresql+psycopg://me:secret@host/x"', Code.SETTING_INVALID, "CROWDALPHA_DATABASE__URL"),
        ("size = 1000", "size = inf", Code.SETTING_INVALID, "universe.size"),
        ("initial_capital = 100_000_000.0", "initial_capital = nan", Code.SETTING_INVALID, "fund.initial_capital"),
    ],
)
def test_a_wrong_file_is_refused_by_file_and_key(folder: Path, old: str, new: str, code: Code, hint: str) -> None:
    spoil(folder / "default.toml", old, new)
    error = refused(load_settings, folder, {})
    assert error.code is code
    assert hint in error.message
    assert "default.toml" in error.message
    assert "secret" not in error.message


def test_the_risk_model_of_the_file_is_that_of_the_code() -> None:
    """The defaults stand twice, for operators in the file and for notebooks in the code: they are the same."""
    assert risk_parameters(load_settings(env={}).fund.risk) == RiskParameters()
    changed = load_settings(env={"CROWDALPHA_FUND__RISK__SPECIFIC_LAGS": "0"}).fund.risk
    assert risk_parameters(changed) == RiskParameters(specific_lags=0)
    refusal = refused(load_settings().with_overrides, {"fund.risk.regression_weights": "capital"})
    assert refusal.code is Code.SETTING_INVALID
    assert "liquidity, equal" in refusal.message


def test_a_folder_without_the_file_is_one_sentence(tmp_path: Path) -> None:
    assert str(tmp_path) in refused(load_settings, tmp_path, {}).message


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ('clip = "0.05"', "clip = 0.05", "'clip' must be a plain decimal in quotes"),
        ('clip = "0.05"', 'clip = "5e-2"', "clip"),
        ('clip = "0.05"', 'clip = "0.0500000001"', "at most 9 decimals"),
        ('clip = "0.05"', 'clip = "1.5"', "at most 1"),
        ('clip = "0.05"', 'clip = "0"', "clip lies between"),
        ('clip = "0.05"', 'klip = "0.05"', "did you mean 'clip'"),
        ('clip = "0.05"', "", "'clip' is missing"),
        ('budget_tokens = "20000"', 'budget_tokens = "-1"', "budget_tokens"),
        ('budget_tokens = "20000"', 'budget_tokens = "0.0000000000000000001"', "at most 18 decimals"),
        ('multiplier.neutral_corr = "0.5"', 'multiplier.tc = "0.5"', "multiplier.tc"),
        ('multiplier.neutral_corr = "0.5"', 'multiplier.fnc = "0.5"', "pays on ['fnc'] without scoring it"),
        (
            'stake_threshold_tokens = "72000"',
            'stake_threshold_tokens = "all"',
            "'stake_threshold_tokens' must be a plain decimal",
        ),
        ('stake_threshold_tokens = "72000"', "stake_threshold_tokens = 72000", "'stake_threshold_tokens' must be text"),
        ('stake_threshold_tokens = "72000"', 'stake_threshold_tokens = "0"', "the threshold is not zero"),
        ('clip = "0.05"', 'clip = "0.05"\nchurn_max = "2.1"', "'churn_max' must be at most 2"),
        ('clip = "0.05"', 'clip = "0.05"\nturnover_max = 0.2', "turnover_max"),
        ('clip = "0.05"', 'clip = "0.05"\nchoices.neutral_mmc = ["0", "1"]', "multipliers to choose from"),
        ('clip = "0.05"', 'clip = "0.05"\nchoices.neutral_mmc = [2]', "choices.neutral_mmc"),
        ('clip = "0.05"', 'clip = "0.05"\nchoices.tc = ["0"]', "choices.tc"),
        ('kinds = ["corr", "mmc", "neutral_corr", "neutral_mmc"]', 'kinds = ["corr", "mmc"]', "without scoring it"),
        ('kinds = ["corr", "mmc", "neutral_corr", "neutral_mmc"]', "kinds = []", "kinds"),
        ("bin_shares_percent = [5, 20, 50, 20, 5]", "bin_shares_percent = [5, 20, 50, 20]", "sum to 100"),
        ("horizon_sessions = 20", "horizon_sessions = 0", "horizon_sessions"),
        ("horizon_sessions = 20", "horizon_sessions = 251", "at most 252 sessions"),
        ("horizon_sessions = 20", "horizon_sessions = 1500000", "at most 252 sessions"),
        ("lag_sessions = 2", "lag_sessions = 999999999999999999", "at most 252 sessions"),
        ('kinds = ["corr", "mmc"', 'kinds = ["corr", "corr", "mmc"', "corr is named twice"),
        ('clip = "0.05"', 'clip = "0.05"\nchoices.neutral_mmc = ["2", "0", "2.0"]', "of neutral_mmc to choose"),
        ("retention_slope = 10", f"retention_slope = 1{'0' * 400}", "'retention_slope' must be at most"),
        ('retention = "neutral_churn"', 'retention = "half"', "retention"),
        ("retention_slope = 10", "", "'retention_slope' is missing"),
    ],
)
def test_wrong_terms_are_refused_by_file_and_key(folder: Path, old: str, new: str, hint: str) -> None:
    spoil(folder / "terms" / "signals-weekly.toml", old, new)
    error = refused(load_terms, "signals-weekly", folder)
    assert hint in error.message
    assert "signals-weekly.toml" in error.message


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("score_days = [5, 10, 15, 20]", "score_days = [5, 5]", "must ascend"),
        ("score_days = [5, 10, 15, 20]", "score_days = [0, 5]", "at least 1"),
        ("score_days = [5, 10, 15, 20]", "score_days = []", "score_days"),
        ("score_days = [5, 10, 15, 20]", "score_days = 5", "list"),
        ("window_minutes = 1440", "window_minutes = 0", "window_minutes"),
        ("window_minutes = 1440", "window_hours = 24", "window_hours"),
    ],
)
def test_a_wrong_schedule_is_refused_by_file_and_key(folder: Path, old: str, new: str, hint: str) -> None:
    spoil(folder / "schedules" / "weekly.toml", old, new)
    error = refused(load_schedule, "weekly", folder)
    assert hint in error.message
    assert "weekly.toml" in error.message


@pytest.mark.parametrize("load", [load_terms, load_schedule, load_mandate])
@pytest.mark.parametrize("name", ["", "nothing", "../default", "weekly.toml", "/etc/passwd", "a\x00b", "x" * 300])
def test_a_name_that_no_file_has_is_refused_and_never_a_path(load: Any, name: str) -> None:
    error = refused(load, name)
    assert error.code is Code.SETTING_UNKNOWN
    assert len(error.message) < 400


def test_amounts_are_read_exactly() -> None:
    """A double holds 16 digits; these have more."""
    key = Key("exact", decimals=18)
    assert convert("123456789012345678.123456789012345678", key, "x") == 123456789012345678123456789012345678
    assert convert("0.1", Key("exact", decimals=9), "x") == 100_000_000


def test_a_list_may_come_from_a_variable() -> None:
    assert convert("5, 10", Key("wholes"), "x", from_text=True) == (5, 10)
    assert convert("a,b", Key("texts"), "x", from_text=True) == ("a", "b")


def test_settings_are_read_in_the_same_way_every_time(folder: Path) -> None:
    assert isinstance(load_settings(folder, {}), Settings)
    assert load_settings(folder, {}) == load_settings(folder, {})


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ('auditor_key = ""', f'auditor_key = "{"0" * 64}"', "nobody's"),
        ('auditor_key = ""', f'auditor_key = "01{"0" * 62}"', "nobody's"),
        ('auditor_key = ""', 'auditor_key = "ab"', "64 lower-case"),
        ("reveal_after_days = 0", "reveal_after_days = 36501", "reveal_after_days"),
        ("reveal_after_days = 0", "reveal_after_days = 100000000000", "reveal_after_days"),
    ],
)
def test_terms_that_could_never_be_proved_are_refused_when_they_are_read(folder: Path, old: str, new: str, hint: str) -> None:
    spoil(folder / "terms" / "classic-weekly.toml", old, new)
    found = refused(load_terms, "classic-weekly", folder)
    assert "classic-weekly.toml" in found.message
    assert hint in found.message
