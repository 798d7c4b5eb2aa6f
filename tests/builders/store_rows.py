"""Rows for store tests: each function adds the least that its noun needs, with fixed ids and instants."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from crowdalpha.ids import RoundKey, RoundState, Tournament
from service.store import models, providers, rounds
from service.store.records import ModelRecord, ProviderRecord, RoundRecord, SubmissionRecord
from staking.ledger import LedgerEntry, Transfer

T0 = datetime(2016, 1, 4, 21, 0, 0, 123456, tzinfo=UTC)
TERMS: Mapping[str, Any] = {"name": "plain", "scoring": {"kinds": ["corr"]}, "payout": {"clip_ppb": 50_000_000}}
TOKEN = 10**18


def later(seconds: float) -> datetime:
    """Return the instant ``seconds`` after the first."""
    return T0 + timedelta(seconds=seconds)


def add_model(connection: Any, name: str = "alpha", tournament: Tournament = Tournament.SIGNALS) -> ModelRecord:
    """Add a model called ``name`` with a provider of its own."""
    provider = ProviderRecord(f"provider-{name}", f"owner_{name}", T0)
    model = ModelRecord(f"model-{name}", provider.id, name, tournament, T0)
    providers.add_provider(connection, provider)
    models.add_model(connection, model)
    return model


def round_record(
    number: int = 1, tournament: Tournament = Tournament.SIGNALS, state: RoundState = RoundState.OPEN
) -> RoundRecord:
    """Return a round of ``tournament`` with that number."""
    return RoundRecord(
        key=RoundKey(tournament, number),
        state=state,
        opens_at=later(number),
        closes_at=later(number + 3600),
        base_session=date(2016, 1, 4) + timedelta(days=7 * number),
        resolve_session=date(2016, 2, 4) + timedelta(days=7 * number),
        terms=TERMS,
        terms_hash="a" * 64,
        universe_hash="b" * 64,
        opened_at=later(number + 1),
    )


def add_round(connection: Any, number: int = 1, state: RoundState = RoundState.OPEN) -> RoundKey:
    """Add a round of the signals tournament and return its key."""
    record = round_record(number, state=state)
    rounds.add_round(connection, record)
    return record.key


def submission(
    key: RoundKey, model: ModelRecord, sha: str, *, on_time: bool = True, accepted: bool = True, tag: str = ""
) -> SubmissionRecord:
    """Return an upload of bytes whose hash starts with ``sha``."""
    return SubmissionRecord(
        id=f"submission-{key}-{model.name}-{sha}{tag}",
        round=key,
        model_id=model.id,
        sha256=sha.ljust(64, "0"),
        filename="file.csv",
        received_at=later(5),
        on_time=on_time,
        accepted=accepted,
        findings=[{"code": "id_unknown", "message": "Eine unbekannte Kennung: ä.", "row": 3, "refuses": False}],
        vector_sha="c" * 64 if accepted else None,
        receipt={"signature": "ff", "sequence": 1} if accepted else None,
    )


def deposit(transfer_id: str, account: str, atoms: int) -> Transfer:
    """Return a transfer of ``atoms`` from outside to ``account``."""
    entries = (LedgerEntry("external", -atoms), LedgerEntry(account, atoms))
    return Transfer(transfer_id, "deposit", "2016-01-04T21:00:00Z", entries, "test")


def stake(transfer_id: str, provider: str, model: str, atoms: int) -> Transfer:
    """Return a transfer of ``atoms`` from a provider's wallet onto a model."""
    entries = (LedgerEntry(f"provider:{provider}", -atoms), LedgerEntry(f"stake:{model}", atoms))
    return Transfer(transfer_id, "stake", "2016-01-04T21:00:00Z", entries, "test")
