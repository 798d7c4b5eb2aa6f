"""Who asks, and for what: the platform behind the request, the provider behind its API key, and the parameters of its address.

It decides nothing itself: whether a key holds is the answer of :func:`service.workflows.accounts.authenticate`.
"""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.context import Platform
from service.store.records import ProviderRecord
from service.workflows import accounts

KEY_SCHEME = "token"
KEY_CHARS_MAX = 200
"""Longer than any key that was ever given out; what is longer is not even hashed."""


def platform_of(request: Request) -> Platform:
    """Return the platform that the app was made for."""
    platform: Platform = request.app.state.platform
    return platform


OurPlatform = Annotated[Platform, Depends(platform_of)]


async def refuse_unknown_parameters(request: Request) -> None:
    """Refuse a query parameter that the route does not declare: a misspelt ``round`` would send a file to another round.

    Raises
    ------
    InputRejected
        REQUEST_INVALID, naming the parameter and those that there are; also for one that stands twice.
    """
    declared = get_flat_params(request.scope["route"].dependant)
    known = sorted(field.alias for field in declared if isinstance(field.field_info, Query))
    unknown = [name for name in request.query_params if name not in known]
    doubled = [name for name in known if len(request.query_params.getlist(name)) > 1]
    if doubled:
        raise InputRejected(Code.REQUEST_INVALID, f"The parameter '{doubled[0]}' stands more than once in the address.")
    if unknown:
        told = f"there are: {', '.join(known)}" if known else "there are none"
        raise InputRejected(Code.REQUEST_INVALID, f"This address takes no parameter '{unknown[0][:40]}'; {told}.")


def provider_with(scope: str) -> Callable[[Request], ProviderRecord]:
    """Return a dependency that gives the provider whose key the request carries, if the key has ``scope``.

    The key stands in ``Authorization: Token PREFIX$SECRET``. The dependency raises InputRejected KEY_INVALID (401) where it is
    absent, malformed, unknown or revoked, and KEY_SCOPE (403) where it lacks the scope.
    """

    def provider(request: Request) -> ProviderRecord:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        key = key.strip()
        if scheme.lower() != KEY_SCHEME or not key or len(key) > KEY_CHARS_MAX or not key.isascii():
            raise InputRejected(Code.KEY_INVALID, "This address wants an API key: 'Authorization: Token PREFIX$SECRET'.")
        return accounts.authenticate(platform_of(request), key, scope)

    return provider


Submitter = Annotated[ProviderRecord, Depends(provider_with("submit"))]
