"""Goal: over HTTP a check is the workflow's own answer, for the key's own models, and stores nothing.

Method: real uploads to the small platform, compared with the workflow on the same bytes and with what the store holds.
"""

import pytest

from crowdalpha.ids import Tournament
from service.store import submissions
from service.workflows.check import check
from tests.builders.histories import close_latest, csv_of, drift, open_next, universe
from tests.builders.platforms import SIGNALS_OPEN, TICKERS, Served, signals_csv

PATH = "/v1/models/alice_momentum/check"


def key_of(served: Served, name: str) -> dict[str, str]:
    return {"Authorization": f"Token {served.keys[name, 'submit']}"}


def test_the_answer_is_the_workflows(served: Served, client) -> None:
    close_latest(served, {"alice_momentum": csv_of(drift(TICKERS, 0)), "bobby_reversal": signals_csv(shift=5)})
    open_next(served, universe(1), seed=1)
    data = csv_of(drift(universe(1), 1))
    answer = client.post(PATH, content=data, headers=key_of(served, "alice"))
    assert answer.status_code == 200
    assert answer.json() == check(served.platform, data, model_name="alice_momentum").as_dict()
    assert answer.json()["figures"]["history"]["rounds"] == [str(SIGNALS_OPEN)]
    assert answer.json()["figures"]["history"]["neutral_churn"] > 0.0
    form = client.post(PATH, files={"file": ("mine.csv", data)}, headers=key_of(served, "alice"))
    assert form.json() == answer.json()


def test_a_classic_file_is_checked_for_a_classic_model(served: Served, client) -> None:
    rows = "".join(f"{i:016x},{(i + 0.5) / 120}\n" for i in range(120))
    answer = client.post("/v1/models/alice_ridge/check", content=f"id,prediction\n{rows}", headers=key_of(served, "alice"))
    body = answer.json()
    assert (body["accepted"], body["round"]) == (True, "classic-1")
    assert body["figures"]["neutralization"]["against"] == "features"
    assert "beta" not in answer.text


@pytest.mark.parametrize("data", [b"", signals_csv(99), b"ticker,signal\n" + b"".join(f"{t},0.5\n".encode() for t in TICKERS)])
def test_a_file_that_would_be_refused_is_an_answer_and_no_error(served: Served, client, data: bytes) -> None:
    answer = client.post(PATH, content=data, headers=key_of(served, "alice"))
    assert answer.status_code == 200
    body = answer.json()
    assert (body["accepted"], body["figures"]) == (False, None)
    assert any(finding["refuses"] for finding in body["findings"])


def test_nobody_checks_for_a_model_that_is_not_theirs(served: Served, client) -> None:
    assert client.post(PATH, content=signals_csv()).status_code == 401
    foreign = client.post(PATH, content=signals_csv(), headers=key_of(served, "bobby"))
    assert foreign.status_code == 404
    assert foreign.json()["error"]["code"] == "model_unknown"
    read_only = {"Authorization": f"Token {served.keys['alice', 'read']}"}
    assert client.post(PATH, content=signals_csv(), headers=read_only).status_code == 403


def test_a_check_leaves_no_submission(served: Served, client) -> None:
    assert client.post(PATH, content=signals_csv(), headers=key_of(served, "alice")).status_code == 200
    with served.platform.store.read() as connection:
        assert submissions.submissions_of_round(connection, SIGNALS_OPEN) == []


def test_a_round_that_takes_no_files_has_nothing_to_check_for(served: Served, client) -> None:
    import sqlite3

    with sqlite3.connect(served.platform.home.database) as connection:
        connection.execute("UPDATE rounds SET state = 'void' WHERE number = 2 AND tournament = ?", (int(Tournament.SIGNALS),))
    answer = client.post(PATH, content=signals_csv(), headers=key_of(served, "alice"))
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "round_not_open"
