"""Accounts: providers, their models, their API keys. Every creation is one transaction and leaves an audit line."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected
from crowdalpha.ids import Tournament
from service.clock import instant_text
from service.context import Platform
from service.store import audit, keys, ledger, models, providers
from service.store.records import KeyRecord, ModelRecord, ProviderRecord
from service.workflows.overdue import refuse_wallet_while_closing
from staking import Transfer, deposit, provider_account, stake, withdraw

NAME = re.compile(r"[a-z][a-z0-9_]{2,39}")
SCOPES = ("read", "submit", "stake", "admin")
KEY_PREFIX_BYTES = 6
KEY_SECRET_BYTES = 32


def create_provider(platform: Platform, name: str, deposit_atoms: int = 0) -> ProviderRecord:
    """Open an account for ``name`` and credit its wallet with ``deposit_atoms`` from outside.

    Raises
    ------
    InputRejected
        NAME_INVALID, or AMOUNT_INVALID for a negative deposit.
    Conflict
        PROVIDER_EXISTS.
    """
    _check_name(name)
    if deposit_atoms < 0:
        raise InputRejected(Code.AMOUNT_INVALID, "A deposit is not negative.")
    with platform.store.write() as connection:
        if providers.provider_by_name(connection, name) is not None:
            raise Conflict(Code.PROVIDER_EXISTS, f"There is a provider '{name}' already.")
        now = platform.clock.now(connection)
        provider = ProviderRecord(platform.ids.new(), name, now)
        providers.add_provider(connection, provider)
        if deposit_atoms:
            ledger.post(connection, [deposit(platform.ids.new(), provider.id, deposit_atoms, instant_text(now), name)])
        audit.record(connection, now, name, "create_provider", provider.id, {"deposit_atoms": str(deposit_atoms)})
    return provider


def deposit_tokens(platform: Platform, provider_name: str, atoms: int) -> int:
    """Credit a provider's wallet with ``atoms`` from outside, and return what it holds.

    Raises
    ------
    InputRejected
        PROVIDER_UNKNOWN; AMOUNT_INVALID for an amount that is not positive.
    Conflict
        ROUND_CLOSING while a close is due that may fill a fixed stake from the wallet.
    """
    return _move(platform, provider_name, atoms, deposit, "deposit")


def withdraw_tokens(platform: Platform, provider_name: str, atoms: int) -> int:
    """Take ``atoms`` of a provider's wallet out of the platform, and return what is left in it.

    Raises
    ------
    InputRejected
        PROVIDER_UNKNOWN; AMOUNT_INVALID for an amount that is not positive.
    Conflict
        BALANCE_TOO_LOW: what is staked is not in the wallet; ROUND_CLOSING as above.
    """
    return _move(platform, provider_name, atoms, withdraw, "withdraw")


def _move(platform: Platform, provider_name: str, atoms: int, transfer: Callable[..., Transfer], what: str) -> int:
    if atoms <= 0:
        raise InputRejected(Code.AMOUNT_INVALID, "What is moved is a positive amount.")
    with platform.store.write() as connection:
        provider = provider_named(connection, provider_name)
        now = platform.clock.now(connection)
        refuse_wallet_while_closing(connection, provider.id, now)
        ledger.post(connection, [transfer(platform.ids.new(), provider.id, atoms, instant_text(now), provider_name)])
        audit.record(connection, now, provider_name, what, provider.id, {"atoms": str(atoms)})
        return ledger.balance(connection, provider_account(provider.id))


def create_model(
    platform: Platform, provider_name: str, name: str, tournament: Tournament, stake_atoms: int = 0
) -> ModelRecord:
    """Create a model of ``provider_name`` and stake ``stake_atoms`` of the provider's wallet on it.

    Raises
    ------
    InputRejected
        NAME_INVALID or PROVIDER_UNKNOWN.
    Conflict
        MODEL_EXISTS; BALANCE_TOO_LOW when the wallet does not hold the stake; ROUND_CLOSING.
    """
    _check_name(name)
    if stake_atoms < 0:
        raise InputRejected(Code.AMOUNT_INVALID, "A stake is not negative.")
    with platform.store.write() as connection:
        provider = provider_named(connection, provider_name)
        if models.model_by_name(connection, name) is not None:
            raise Conflict(Code.MODEL_EXISTS, f"There is a model '{name}' already.")
        now = platform.clock.now(connection)
        model = ModelRecord(platform.ids.new(), provider.id, name, tournament, now)
        models.add_model(connection, model)
        if stake_atoms:
            refuse_wallet_while_closing(connection, provider.id, now)
            ledger.post(connection, [stake(platform.ids.new(), provider.id, model.id, stake_atoms, instant_text(now), name)])
        audit.record(connection, now, provider_name, "create_model", model.id, {"stake_atoms": str(stake_atoms)})
    return model


def create_key(platform: Platform, provider_name: str, scopes: Sequence[str]) -> tuple[KeyRecord, str]:
    """Make an API key; its text is returned this once and only its hash is kept.

    Returns
    -------
    record : KeyRecord
    text : str
        ``PREFIX$SECRET``, as it stands behind ``Authorization: Token``.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise InputRejected(Code.KEY_SCOPE, f"A scope is one of {', '.join(SCOPES)}; not {', '.join(unknown) or 'nothing'}.")
    secret = secrets.token_urlsafe(KEY_SECRET_BYTES)
    prefix = secrets.token_hex(KEY_PREFIX_BYTES)
    with platform.store.write() as connection:
        provider = provider_named(connection, provider_name)
        now = platform.clock.now(connection)
        record = KeyRecord(platform.ids.new(), provider.id, prefix, _hash(secret), tuple(scopes), now, None)
        keys.add_key(connection, record)
        audit.record(connection, now, provider_name, "create_key", prefix, {"scopes": list(scopes)})
    return record, f"{prefix}${secret}"


def revoke_key(platform: Platform, prefix: str) -> None:
    """Revoke the key with ``prefix`` at once; revoking it again changes nothing."""
    with platform.store.write() as connection:
        record = keys.key_by_prefix(connection, prefix)
        if record is None:
            raise InputRejected(Code.KEY_INVALID, "There is no such key.")
        if record.revoked_at is None:
            now = platform.clock.now(connection)
            keys.revoke_key(connection, prefix, now)
            audit.record(connection, now, record.provider_id, "revoke_key", prefix, {})


def authenticate(platform: Platform, token: str, scope: str) -> ProviderRecord:
    """Return the provider whose key ``token`` is, if the key has ``scope``.

    An unknown prefix costs the same hash and comparison as a known one, and gets the same answer as a wrong secret.

    Raises
    ------
    InputRejected
        KEY_INVALID for an unknown, wrong or revoked key; KEY_SCOPE where the key lacks the scope.
    """
    prefix, _, secret = token.partition("$")
    with platform.store.read() as connection:
        record = keys.key_by_prefix(connection, prefix)
        expected = record.secret_hash if record is not None else _hash("")
        matches = hmac.compare_digest(_hash(secret), expected)
        if record is None or not matches or not secret or record.revoked_at is not None:
            raise InputRejected(Code.KEY_INVALID, "The API key is unknown or revoked.")
        if scope not in record.scopes and "admin" not in record.scopes:
            raise InputRejected(Code.KEY_SCOPE, f"The API key lacks the scope '{scope}'.")
        provider = providers.provider_by_id(connection, record.provider_id)
    if provider is None:
        raise InputRejected(Code.KEY_INVALID, "The API key is unknown or revoked.")
    return provider


def provider_named(connection: Connection, name: str) -> ProviderRecord:
    """Return the provider ``name``; raises InputRejected PROVIDER_UNKNOWN."""
    provider = providers.provider_by_name(connection, name)
    if provider is None:
        raise InputRejected(Code.PROVIDER_UNKNOWN, f"There is no provider '{name}'.")
    return provider


def model_named(connection: Connection, name: str) -> ModelRecord:
    """Return the model ``name``; raises InputRejected MODEL_UNKNOWN."""
    model = models.model_by_name(connection, name)
    if model is None:
        raise InputRejected(Code.MODEL_UNKNOWN, f"There is no model '{name}'.")
    return model


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise InputRejected(Code.NAME_INVALID, f"'{name[:40]}' is not a name: {Code.NAME_INVALID.meaning}")


def _hash(secret: str) -> str:
    # A 256-bit random secret needs no slow hash: there is nothing to guess.
    return hashlib.sha256(secret.encode()).hexdigest()
