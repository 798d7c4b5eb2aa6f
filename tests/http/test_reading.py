"""Goal: what is public can be read and nothing more, and every error leaves in one envelope. Method: the small platform's known
rows against the answers, and requests that are wrong in every way we could think of."""

import io
from datetime import datetime

import pyarrow.parquet as pq
import pytest

from crowdalpha.terms import RoundTerms
from service import queries
from service.http.frame import STRICT_HEADERS
from tests.builders.platforms import TICKERS, Served


def test_health_answers_without_a_key(reader) -> None:
    answer = reader.get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"


def test_a_platform_that_is_not_well_answers_503(reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "health", lambda platform: {"status": "broken"})
    assert reader.get("/health").status_code == 503


def test_the_universe_of_a_signals_round_is_public_and_a_classic_one_is_not(reader) -> None:
    body = reader.get("/v1/rounds/signals/2/universe").json()
    assert body["ids"] == list(TICKERS)
    refused = reader.get("/v1/rounds/classic/1/universe")
    assert refused.status_code == 404
    assert "STOCK" not in refused.text


def test_the_live_table_comes_as_parquet(reader) -> None:
    answer = reader.get("/v1/rounds/classic/1/live")
    table = pq.read_table(io.BytesIO(answer.content))
    assert table.column_names == ["era", "id", "feature_0", "feature_1", "feature_2"]
    assert table.num_rows == 120
    assert "STOCK" not in str(table.column("id").to_pylist())
    assert reader.get("/v1/rounds/signals/2/live").status_code == 404


def test_an_open_round_shows_nobodys_part(reader) -> None:
    body = reader.get("/v1/rounds/signals/2").json()
    assert body["state"] == "open"
    assert body["models"] == []
    assert "submissions" not in body
    resolved = reader.get("/v1/rounds/signals/1").json()
    assert len(resolved["models"]) == 5


def test_what_is_to_be_noted_of_a_round_is_public_when_it_is_fixed(reader) -> None:
    """The hash of the terms from the opening on, the root of the files from the close on."""
    opened, resolved = (reader.get(f"/v1/rounds/signals/{number}").json() for number in (2, 1))
    for told in (opened, resolved):
        assert told["terms_hash"] == RoundTerms.from_dict(told["terms"]).hash
        assert datetime.fromisoformat(told["closes_at"]).tzinfo is not None
    assert "submissions_root" not in opened
    assert "submissions_root" in resolved


def test_scores_and_leaderboard_show_what_was_resolved(reader) -> None:
    lines = reader.get("/v1/leaderboard/signals").json()["models"]
    paid = {line["model"]: line["net_tokens"] for line in lines}
    assert paid["alice_momentum"] == "7"
    assert paid["bobby_reversal"] == "-3"
    assert lines[0]["model"] == "alice_momentum"
    scores = reader.get("/v1/models/alice_momentum/scores").json()["scores"]
    assert [s["round"] for s in scores] == ["signals-1"]
    assert set(scores[0]["scores"]) == {"corr", "mmc", "neutral_corr", "neutral_mmc"}


def test_the_fund_shows_its_curve_and_its_flags(reader) -> None:
    body = reader.get("/v1/fund").json()
    assert len(body["sessions"]) == len(body["equity"]) == len(body["gross"]) == 40
    assert set(body["flags"]) == {"survivors_only", "assumed"}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1", 404, "not_found"),
        ("GET", "/v1/rounds/signals/99", 404, "round_unknown"),
        ("GET", "/v1/rounds/signals/0", 404, "round_unknown"),
        ("GET", "/v1/rounds/signals/-1", 404, "round_unknown"),
        ("GET", "/v1/rounds/signals/" + "9" * 30, 404, "round_unknown"),
        ("GET", "/v1/rounds/signals/" + "9" * 5000, 422, "request_invalid"),
        ("GET", "/v1/rounds/signals/x", 422, "request_invalid"),
        ("GET", "/v1/rounds/futures/1", 404, "not_found"),
        ("GET", "/v1/rounds", 422, "request_invalid"),
        ("GET", "/v1/rounds?tournament=' OR 1=1 --", 404, "not_found"),
        ("GET", "/v1/leaderboard/%00", 404, "not_found"),
        ("GET", "/v1/fund?from=2016-01-01", 422, "request_invalid"),
        ("GET", "/v1/rounds?tournament=signals&stat=open", 422, "request_invalid"),
        ("GET", "/v1/rounds/signals/1?tournament=classic", 422, "request_invalid"),
        ("GET", "/v1/standings/signals?" + "b" * 5000 + "=corr", 422, "request_invalid"),
        ("GET", "/v1/standings/signals?by=foo", 422, "request_invalid"),
        ("GET", "/v1/models/nobody/scores", 404, "model_unknown"),
        ("GET", "/v1/models/" + "a" * 5000 + "/scores", 404, "model_unknown"),
        ("GET", "/v1/models/%F0%9F%98%80%00/scores", 404, "model_unknown"),
        ("DELETE", "/v1/fund", 405, "request_invalid"),
        ("PUT", "/v1/models/alice_momentum/submissions", 405, "request_invalid"),
        ("POST", "/health", 405, "request_invalid"),
        ("GET", "/static/../pages.py", 404, "not_found"),
        ("GET", "/static/%2e%2e/pages.py", 404, "not_found"),
        ("GET", "/static/nothing.css", 404, "not_found"),
    ],
)
def test_every_error_leaves_in_the_one_envelope(reader, method: str, path: str, status: int, code: str) -> None:
    answer = reader.request(method, path)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    error = answer.json()["error"]
    assert sorted(error) == ["code", "details", "message", "request_id"]
    assert error["code"] == code
    assert error["request_id"] == answer.headers["x-request-id"] != ""
    assert "Traceback" not in answer.text
    assert len(answer.text) < 2_000
    for name, value in STRICT_HEADERS.items():
        assert answer.headers[name] == value


def test_a_failure_inside_tells_nothing_of_itself(reader, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    def fails(platform: object) -> None:
        raise RuntimeError("SELECT secret FROM /home/me/crowdalpha.db")

    monkeypatch.setattr(queries, "fund_curve", fails)
    answer = reader.get("/v1/fund")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal"
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json()["error"]["request_id"] in caplog.text
    page = reader.get("/fund", headers={"Accept": "text/html"})
    assert page.status_code == 500
    assert "secret" not in page.text
    assert "text/html" in page.headers["content-type"]


def test_a_database_that_is_away_answers_503_with_a_hint_when_to_retry(served: Served, client) -> None:
    served.platform.store.dispose()
    served.platform.home.database.rename(served.platform.home.database.with_suffix(".gone"))
    served.platform.home.database.mkdir()
    answer = client.get("/v1/leaderboard/signals")
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "database_unavailable"
    assert answer.headers["retry-after"] == "5"
    assert "crowdalpha.db" not in answer.text
