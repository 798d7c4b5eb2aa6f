"""Goal: authorization is total: each route declares what each kind of caller gets, and a route that nobody declared fails.
Method: a matrix against the routes that the application really has; bodies of foreign and absent things are compared."""

import re

import pytest

from service.workflows import accounts
from tests.builders.platforms import Served, signals_csv

PUBLIC = 200
"""Expected of anonymous callers; a route with a scope answers them 401."""

ROUTES = {
    ("GET", "/health"): PUBLIC,
    ("GET", "/v1/openapi.json"): PUBLIC,
    ("GET", "/v1/tournaments"): PUBLIC,
    ("GET", "/v1/rounds?tournament=signals"): PUBLIC,
    ("GET", "/v1/rounds/signals/1"): PUBLIC,
    ("GET", "/v1/rounds/signals/2/universe"): PUBLIC,
    ("GET", "/v1/rounds/classic/1/live"): PUBLIC,
    ("GET", "/v1/rounds/classic/1/era"): PUBLIC,
    ("GET", "/v1/rounds/signals/1/metamodel"): PUBLIC,
    ("GET", "/v1/rounds/signals/1/metareport"): PUBLIC,
    ("GET", "/v1/standings/signals"): PUBLIC,
    ("GET", "/v1/standings/signals/providers"): PUBLIC,
    ("GET", "/v1/standings/classic/seasons/2016"): PUBLIC,
    ("GET", "/v1/pending"): PUBLIC,
    ("GET", "/v1/models/alice_momentum/pending"): PUBLIC,
    ("GET", "/v1/models/alice_momentum/report"): PUBLIC,
    ("GET", "/models/alice_momentum"): PUBLIC,
    ("GET", "/v1/rounds/signals/1/bundle"): PUBLIC,
    ("GET", "/v1/rounds/signals/1/bundle/sealed"): PUBLIC,
    ("GET", "/v1/datasets"): PUBLIC,
    ("GET", "/v1/datasets/classic"): PUBLIC,
    ("GET", "/v1/datasets/classic/v1.0/train.parquet"): PUBLIC,
    ("POST", "/v1/models/alice_momentum/submissions"): "submit",
    ("POST", "/v1/models/alice_momentum/check"): "submit",
    ("GET", "/v1/models/alice_momentum/scores"): PUBLIC,
    ("GET", "/v1/models/alice_momentum/scores/signals/1"): PUBLIC,
    ("GET", "/v1/leaderboard/signals"): PUBLIC,
    ("GET", "/v1/fund"): PUBLIC,
    ("GET", "/v1/receipts/public-key"): PUBLIC,
    ("GET", "/"): PUBLIC,
    ("GET", "/rounds"): PUBLIC,
    ("GET", "/rounds/signals/1"): PUBLIC,
    ("GET", "/fund"): PUBLIC,
    ("GET", "/favicon.ico"): PUBLIC,
    ("GET", "/static/style.css"): PUBLIC,
}


def routes_of(client) -> set[tuple[str, str]]:
    """Return every (method, path template) that the application answers, mounted folders as their prefix."""
    found: set[tuple[str, str]] = set()
    pending = list(client.app.routes)
    while pending:
        route = pending.pop()
        methods = getattr(route, "methods", None)
        if methods:
            found |= {(m, route.path) for m in methods if m != "HEAD"}
        elif hasattr(route, "original_router"):
            prefix = route.include_context.prefix
            found |= {(m, prefix + r.path) for r in route.original_router.routes for m in r.methods if m != "HEAD"}
        else:
            found.add(("GET", route.path + "/{file}"))
    return found


def declares(template: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", template), path.partition("?")[0]) is not None


def test_every_route_is_declared_and_every_declaration_is_a_route(client) -> None:
    templates = routes_of(client)
    for method, template in templates:
        assert any(m == method and declares(template, path) for m, path in ROUTES), f"{method} {template} is not declared"
    for method, path in ROUTES:
        assert any(m == method and declares(template, path) for m, template in templates), f"{method} {path} is no route"


@pytest.mark.parametrize(("route", "expected"), ROUTES.items(), ids=lambda v: " ".join(v) if isinstance(v, tuple) else str(v))
def test_each_caller_gets_what_is_declared(shared: Served, reader, route: tuple[str, str], expected: object) -> None:
    method, path = route
    body = signals_csv() if method == "POST" else None
    accounts.revoke_key(shared.platform, shared.keys["bobby", "submit"].partition("$")[0])
    callers = {
        "anonymous": None,
        "revoked": shared.keys["bobby", "submit"],
        **{scope: shared.keys["alice", scope] for scope in accounts.SCOPES},
    }
    for caller, key in callers.items():
        headers = {} if key is None else {"Authorization": f"Token {key}"}
        status = reader.request(method, path, content=body, headers=headers).status_code
        if expected is PUBLIC:
            wanted = 200
        elif caller in {"anonymous", "revoked"}:
            wanted = 401
        else:
            made = 201 if path.endswith("/submissions") else 200
            wanted = made if caller in {expected, "admin"} else 403
        assert status == wanted, f"{caller} got {status} from {method} {path}"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Token",
        "Token ",
        "Token x",
        "Token $",
        "Bearer {key}",
        "{key}",
        "Token {prefix}$",
        "Token {prefix}$wrong",
        "Token {prefix}${secret}x",
        "Token nobody${secret}",
        "Token {prefix}$" + "a" * 5000,
        "Token ' OR 1=1 --$x",
    ],
)
def test_a_key_that_does_not_hold_is_refused_in_one_form(served: Served, client, header: str | None) -> None:
    prefix, _, secret = served.keys["alice", "submit"].partition("$")
    headers = {}
    if header is not None:
        headers["Authorization"] = header.format(key=f"{prefix}${secret}", prefix=prefix, secret=secret)
    answer = client.post("/v1/models/alice_momentum/submissions", content=signals_csv(), headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Token"
    assert answer.json()["error"]["code"] == "key_invalid"
    assert secret not in answer.text


@pytest.mark.parametrize("route", ["submissions", "check"])
def test_a_foreign_model_answers_like_an_absent_one(served: Served, client, route: str) -> None:
    headers = {"Authorization": f"Token {served.keys['alice', 'submit']}"}
    bodies = []
    for name in ("bobby_reversal", "nobody_at_all"):
        answer = client.post(f"/v1/models/{name}/{route}", content=signals_csv(), headers=headers)
        assert answer.status_code == 404
        error = answer.json()["error"]
        assert error.pop("request_id")
        error["message"] = error["message"].replace(name, "NAME")
        bodies.append(error)
    assert bodies[0] == bodies[1]
    assert bodies[0]["code"] == "model_unknown"
