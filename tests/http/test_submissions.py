"""Goal: a file sent by HTTP meets the same judgement as anywhere, and leaves with its verdict, findings and signed receipt;
abuse leaves nothing behind. Method: real uploads to a small platform, checked against its store and its public key."""

import hashlib
import threading
from datetime import timedelta

import numpy as np
import pytest

from crowdalpha.terms import ScoringTerms
from service.receipts import Receipt, verify_receipt
from service.store import submissions
from signals.parse import CLASSIC_FORMAT
from signals.submission import judge
from tests.builders.platforms import CLASSIC_OPEN, CLOSES_AT, SIGNALS_OPEN, TICKERS, Served, signals_csv

PATH = "/v1/models/alice_momentum/submissions"


def as_alice(served: Served) -> dict[str, str]:
    return {"Authorization": f"Token {served.keys['alice', 'submit']}"}


def stored(served: Served, key=SIGNALS_OPEN) -> list:
    with served.platform.store.read() as connection:
        return submissions.submissions_of_round(connection, key)


def test_an_accepted_file_comes_back_with_a_receipt_that_verifies(served: Served, client) -> None:
    data = signals_csv()
    answer = client.post(PATH, content=data, headers=as_alice(served), params={"filename": "mine.csv"})
    assert answer.status_code == 201
    body = answer.json()
    assert body["accepted"] is True
    assert body["late"] is False
    assert body["round"] == "signals-2"
    assert body["sha256"] == hashlib.sha256(data).hexdigest()
    verify_receipt(Receipt.from_dict(body["receipt"]), client.get("/v1/receipts/public-key").json()["public_key"])
    assert [(s.id, s.accepted, s.filename) for s in stored(served)] == [(body["submission_id"], True, "mine.csv")]


@pytest.mark.parametrize("route", [PATH, "/v1/models/alice_momentum/check"])
def test_a_misspelt_parameter_is_refused_and_files_nothing(served: Served, client, route: str) -> None:
    answer = client.post(route, content=signals_csv(), headers=as_alice(served), params={"rnd": "signals-2"})
    assert answer.status_code == 422
    there_are = "filename" if route.endswith("check") else "filename, round"
    message = f"This address takes no parameter 'rnd'; there are: {there_are}."
    assert (answer.json()["error"]["code"], answer.json()["error"]["message"]) == ("request_invalid", message)
    assert stored(served) == []


def test_a_form_upload_is_the_same_upload(served: Served, client) -> None:
    raw = client.post(PATH, content=signals_csv(), headers=as_alice(served)).json()
    form = client.post(PATH, files={"file": ("..\\..\\etc/pass\u202ewd.csv", signals_csv())}, headers=as_alice(served))
    assert form.status_code == 201
    assert form.json()["receipt"] == raw["receipt"]
    client.post(PATH, files={"file": ("..\\..\\etc/pass\u202ewd.csv", signals_csv(shift=1))}, headers=as_alice(served))
    assert [s.filename for s in stored(served)] == ["upload.csv", "passwd.csv"]


def test_a_refused_file_names_every_finding_with_its_row(served: Served, client) -> None:
    lines = signals_csv().decode().splitlines()
    lines[3], lines[7], lines[9] = "STOCK002,1.5", "STOCK006,abc", "STOCK008,"
    answer = client.post(PATH, content="\n".join(lines).encode(), headers=as_alice(served))
    assert answer.status_code == 422
    error = answer.json()["error"]
    found = {(f["code"], f["row"]) for f in error["details"]["findings"] if f["refuses"]}
    assert found == {("value_range", 4), ("value_not_a_number", 8), ("value_missing", 10)}
    assert error["details"]["receipt"] is None
    assert error["code"] in {code for code, _ in found}
    assert not any(s.accepted for s in stored(served))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "file_empty"),
        (b"PK\x03\x04" + b"\x00" * 50, "file_not_text"),
        (b"<!doctype html><html></html>", "file_not_text"),
        (b'{"ticker": "A", "signal": 0.5}', None),
        (b"\xff\xfe\x00t\x00i", None),
        (b"ticker,signal\n" + b"A,0.5\n" * 25_000, None),
        (b"ticker,signal\n" + b"9" * 1_000_000, None),
    ],
)
def test_what_is_no_file_of_signals_is_refused(served: Served, client, data: bytes, code: str | None) -> None:
    answer = client.post(PATH, content=data, headers=as_alice(served))
    assert answer.status_code == 422
    codes = [f["code"] for f in answer.json()["error"]["details"]["findings"]]
    assert code is None or code in codes
    assert not any(s.accepted for s in stored(served))


def test_missing_classic_ids_are_named_in_an_order_that_says_nothing_of_their_assets() -> None:
    """A universe is sorted by asset. Were missing ids named in its order, a few short files would sort all ids by asset."""
    ids = [f"n{i:03d}" for i in range(150)]
    data = ("id,prediction\n" + "".join(f"{label},0.{i + 1:03d}\n" for i, label in enumerate(ids[:120]))).encode()
    rng = np.random.default_rng(2)
    verdicts = [judge(data, CLASSIC_FORMAT, rng.permutation(ids).tolist(), ScoringTerms(("corr",))) for _ in range(4)]
    assert {v.findings for v in verdicts} == {verdicts[0].findings}
    assert "n120, n121, n122" in verdicts[0].findings[0].message


def test_a_file_after_the_close_is_kept_and_marked_late(served: Served, client) -> None:
    served.clock.advance_to(CLOSES_AT)
    answer = client.post(PATH, content=signals_csv(), headers=as_alice(served))
    assert answer.status_code == 201
    assert answer.json()["late"] is True
    assert "submission_late" in [f["code"] for f in answer.json()["findings"]]


def test_a_timely_file_that_is_sent_again_after_the_close_still_counts(served: Served, client) -> None:
    first = client.post(PATH, content=signals_csv(), headers=as_alice(served)).json()
    served.clock.advance_to(CLOSES_AT)
    again = client.post(PATH, content=signals_csv(), headers=as_alice(served)).json()
    assert (again["late"], again["findings"], again["received_at"]) == (False, first["findings"], first["received_at"])


def test_a_round_is_named_once_and_in_the_address(served: Served, client) -> None:
    """Elsewhere it would be passed over, and the file would go into the latest round."""
    form = {"files": {"file": ("mine.csv", signals_csv())}, "headers": as_alice(served)}
    for answer in (
        client.post(PATH, data={"round": "signals-1"}, **form),
        client.post(f"{PATH}?round=signals-2&round=signals-1", content=signals_csv(), headers=as_alice(served)),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "request_invalid"), answer.text
    assert client.post(PATH, **form).status_code == 201


def test_a_classic_file_goes_to_the_classic_round(served: Served, client) -> None:
    data = "id,prediction\n" + "\n".join(f"{i:016x},{(i + 0.5) / 120:.5f}" for i in range(120))
    answer = client.post("/v1/models/alice_ridge/submissions", content=data.encode(), headers=as_alice(served))
    assert answer.status_code == 201, answer.text
    assert answer.json()["round"] == "classic-1"
    assert len(stored(served, CLASSIC_OPEN)) == 1


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("signals-2", 201, None),
        ("signals-1", 409, "round_not_open"),
        ("signals-99", 404, "round_unknown"),
        ("classic-1", 404, "round_unknown"),
        ("signals", 404, "round_unknown"),
        ("signals--1", 404, "round_unknown"),
        ("signals-1e3", 404, "round_unknown"),
        ("signals-" + "9" * 5000, 404, "round_unknown"),
        ("signals-٣", 404, "round_unknown"),
        ("futures-1", 404, "not_found"),
    ],
)
def test_a_file_can_name_its_round(served: Served, client, name: str, status: int, code: str | None) -> None:
    answer = client.post(PATH, params={"round": name}, content=signals_csv(), headers=as_alice(served))
    assert answer.status_code == status
    assert code is None or answer.json()["error"]["code"] == code


def test_a_body_of_ten_mebibytes_and_one_byte_is_too_large(served: Served, client) -> None:
    answer = client.post(PATH, content=b"x" * (10 * 2**20 + 1), headers=as_alice(served))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "file_too_large"
    assert answer.headers["connection"] == "close"
    assert stored(served) == []


def test_a_body_that_hides_its_size_is_too_large_too(served: Served, client) -> None:
    def chunks(head: bytes):
        yield head
        for _ in range(10):
            yield b"x" * 2**20

    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    for content_type, head in (("text/csv", b"x"), ("multipart/form-data; boundary=b", form)):
        headers = as_alice(served) | {"Content-Type": content_type}
        answer = client.post(PATH, content=chunks(head), headers=headers)
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "file_too_large"
    assert stored(served) == []


def test_a_form_holds_exactly_one_file(served: Served, client) -> None:
    two = [("file", ("a.csv", signals_csv())), ("file", ("b.csv", signals_csv()))]
    for request in (
        {"files": two},
        {"files": {"note": (None, "no file")}},
        {"data": {f"field{i}": "x" for i in range(500)}, "files": {"file": ("a.csv", signals_csv())}},
        {"content": b"junk", "headers": {"Content-Type": "multipart/form-data"}},
        {"content": b"junk", "headers": {"Content-Type": "multipart/form-data; boundary="}},
        {"content": b"--b\r\nbroken", "headers": {"Content-Type": "multipart/form-data; boundary=b"}},
        {"content": b"\x00" * 999, "headers": {"Content-Type": "multipart/form-data; boundary=b"}},
    ):
        headers = as_alice(served) | request.pop("headers", {})
        answer = client.post(PATH, headers=headers, **request)
        assert answer.status_code == 422, request
        assert answer.json()["error"]["code"] == "request_invalid"
    assert stored(served) == []


def test_many_at_once_are_all_answered(served: Served, client) -> None:
    statuses: list[int] = []

    def send(shift: int) -> None:
        statuses.append(client.post(PATH, content=signals_csv(shift=shift), headers=as_alice(served)).status_code)

    senders = [threading.Thread(target=send, args=(i,)) for i in range(8)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(timeout=60)
    assert statuses == [201] * 8
    assert len(stored(served)) == 8


def test_an_unfit_universe_names_what_is_unknown(served: Served, client) -> None:
    data = signals_csv().decode() + "".join(f"OTHER{i},0.5\n" for i in range(5))
    body = client.post(PATH, content=data.encode(), headers=as_alice(served)).json()
    assert body["accepted"] is True
    assert {f["code"] for f in body["findings"]} == {"id_unknown"}
    assert CLOSES_AT - served.clock.now() < timedelta(days=1)
    assert len(TICKERS) == 120
