"""Reads a preset of round terms from ``config/terms``: quoted decimals become integers, exactly.

A preset is only where a round's terms come from. At opening they are copied into the round, and the file is not looked at
again.
"""

from pathlib import Path
from typing import Any

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.terms import PAYING_KINDS, PayoutTerms, ProofTerms, RoundTerms, ScoringTerms
from service.settings.places import named_file
from service.settings.reading import Key, check, convert, read_toml

_MULTIPLIER = "multiplier."
_RATIO_DECIMALS = 9
_CHOICES = "choices."
_TOKEN_DECIMALS = 18
_NONE = "none"
REVEAL_DAYS_MAX = 36_500
"""A hundred years. Whoever means never says 0."""

RETENTION_SLOPE_MAX = 1_000_000
"""Far steeper than a step in churns of nine decimals needs, and a number that a double holds."""

TERMS_SCHEMA: dict[str, Key] = {
    "kinds": Key("texts"),
    "horizon_sessions": Key("whole", minimum=1),
    "lag_sessions": Key("whole", minimum=0),
    "bin_shares_percent": Key("wholes", minimum=1, maximum=100),
    "coverage_min": Key("exact", minimum=0, maximum=1, decimals=_RATIO_DECIMALS),
    "ids_min": Key("whole", minimum=1),
    "clip": Key("exact", minimum=0, maximum=1, decimals=_RATIO_DECIMALS),
    "stake_threshold_tokens": Key("text"),
    "budget_tokens": Key("exact", minimum=0, decimals=_TOKEN_DECIMALS),
    "stake_min_tokens": Key("exact", minimum=0, decimals=_TOKEN_DECIMALS),
    "retention": Key("text"),
    "retention_threshold": Key("exact", minimum=0, maximum=2, decimals=_RATIO_DECIMALS, optional=True),
    "retention_slope": Key("whole", minimum=0, maximum=RETENTION_SLOPE_MAX, optional=True),
    "churn_max": Key("exact", minimum=0, maximum=2, decimals=_RATIO_DECIMALS, optional=True),
    "turnover_max": Key("exact", minimum=0, maximum=1, decimals=_RATIO_DECIMALS, optional=True),
    "auditor_key": Key("text", optional=True),
    "reveal_after_days": Key("whole", minimum=0, maximum=REVEAL_DAYS_MAX, optional=True),
}
TERMS_SCHEMA |= {f"{_MULTIPLIER}{kind}": Key("exact", decimals=_RATIO_DECIMALS, optional=True) for kind in PAYING_KINDS}
TERMS_SCHEMA |= {f"{_CHOICES}{kind}": Key("exacts", decimals=_RATIO_DECIMALS, optional=True) for kind in PAYING_KINDS}
"""Every key of a preset. The two of the retention may be left out where it is ``none``; at least one multiplier is needed."""

_THRESHOLD = Key("exact", minimum=0, decimals=_TOKEN_DECIMALS)


def load_terms(name: str, config_dir: Path | None = None) -> RoundTerms:
    """Read the preset ``name``.

    Parameters
    ----------
    name : str
        Name of the file in ``terms/``, without its ending.
    config_dir : Path, optional
        Configuration folder; by default the one that came with the program.

    Returns
    -------
    RoundTerms
        Under the preset's name.

    Raises
    ------
    InputRejected
        ``SETTING_UNKNOWN``, ``SETTING_INVALID`` or ``TERMS_INVALID``, naming the file, and the key where one is at fault.
    """
    path = named_file(config_dir, "terms", name)
    values = check(read_toml(path), TERMS_SCHEMA, str(path))
    lacking = [key for key in ("retention_threshold", "retention_slope") if key not in values]
    if values["retention"] != "none" and lacking:
        raise InputRejected(Code.SETTING_INVALID, f"{path}: the setting '{lacking[0]}' is missing.")
    if values["stake_threshold_tokens"] == _NONE:
        threshold = None
    else:
        threshold = convert(values["stake_threshold_tokens"], _THRESHOLD, f"{path}: 'stake_threshold_tokens'")
    try:
        terms = RoundTerms(name, _scoring(values), _payout(values, threshold), _proof(values))
        terms.refuse_for_new()
    except InputRejected as error:
        raise InputRejected(error.code, f"{path}: {error.message}") from error
    return terms


def _scoring(values: dict[str, Any]) -> ScoringTerms:
    return ScoringTerms(
        kinds=values["kinds"],
        horizon_sessions=values["horizon_sessions"],
        lag_sessions=values["lag_sessions"],
        bin_shares_percent=values["bin_shares_percent"],
        coverage_min_ppb=values["coverage_min"],
        ids_min=values["ids_min"],
    )


def _payout(values: dict[str, Any], threshold_atoms: int | None) -> PayoutTerms:
    multipliers = {kind: values.get(f"{_MULTIPLIER}{kind}") for kind in PAYING_KINDS}
    choices = {kind: values.get(f"{_CHOICES}{kind}") for kind in PAYING_KINDS}
    return PayoutTerms(
        multipliers_ppb=tuple((kind, value) for kind, value in multipliers.items() if value is not None),
        clip_ppb=values["clip"],
        stake_threshold_atoms=threshold_atoms,
        budget_atoms=values["budget_tokens"],
        retention=values["retention"],
        retention_threshold_ppb=values.get("retention_threshold", 0),
        retention_slope=values.get("retention_slope", 0),
        stake_min_atoms=values["stake_min_tokens"],
        choices_ppb=tuple((kind, among) for kind, among in choices.items() if among is not None),
        churn_max_ppb=values.get("churn_max", 0),
        turnover_max_ppb=values.get("turnover_max", 0),
    )


def _proof(values: dict[str, Any]) -> ProofTerms:
    proof = ProofTerms(values.get("auditor_key", ""), values.get("reveal_after_days", 0))
    if proof.auditor_key:
        from service.bundles.sealed import seal_to

        seal_to(b"", proof.auditor_key)  # a key of somebody's takes a message; found out here, not when a round is settled
    return proof
