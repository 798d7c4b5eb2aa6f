"""Names of the ledger's accounts. An account is text: its class, then whom it belongs to.

::

    external                     the world outside: where deposits come from
    treasury                     the operator's purse: pays payouts
    burned                       where burns go, never to leave again
    provider:<provider>          free tokens of a provider
    pool:<provider>              stake of a provider that is on none of its models yet
    stake:<model>                stake of a model that no open round holds
    reserve:<round>:<model>      what a round holds of a model until it resolves
"""

AccountId = str

EXTERNAL: AccountId = "external"
TREASURY: AccountId = "treasury"
BURNED: AccountId = "burned"

OVERDRAWN_ALLOWED = frozenset({EXTERNAL, TREASURY})
"""The two accounts that may stand below zero: what came in from outside, and what the operator owes."""

_PARTS = {"external": 1, "treasury": 1, "burned": 1, "provider": 2, "pool": 2, "stake": 2, "reserve": 3}

CLASSES = tuple(_PARTS)
"""Every class of account."""

SPOKEN = {
    "provider": "The wallet",
    "pool": "The pool",
    "stake": "The stake",
    "reserve": "The reserve",
    "burned": "What is burned",
}
"""How a provider knows the accounts that can be too low."""


def provider_account(provider_id: str) -> AccountId:
    """Return the account of a provider's free tokens."""
    return f"provider:{provider_id}"


def pool_account(provider_id: str) -> AccountId:
    """Return the account of a provider's pool: what its weights have put on no model."""
    return f"pool:{provider_id}"


def stake_account(model_id: str) -> AccountId:
    """Return the account of a model's free stake."""
    return f"stake:{model_id}"


def reserve_account(round_id: str, model_id: str) -> AccountId:
    """Return the account of what a round holds of a model."""
    return f"reserve:{round_id}:{model_id}"


def account_class(account: AccountId) -> str:
    """Return the class of an account, or the empty string if the text names no account."""
    name = account.partition(":")[0]
    whole = _PARTS.get(name) == account.count(":") + 1 and "::" not in account and not account.endswith(":")
    return name if whole else ""
