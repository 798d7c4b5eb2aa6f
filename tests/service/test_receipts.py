"""A receipt holds exactly what was signed. Method: signatures checked by the library alone, drawn tampering."""

import dataclasses
import json
import random
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected
from service.receipts import Receipt, Signer, sign_receipt, verify_receipt


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir(mode=0o700)
    return tmp_path / "keys"


@pytest.fixture
def signer(keys: Path) -> Signer:
    return Signer.load_or_create(keys)


def receipt_of(signer: Signer) -> Receipt:
    return sign_receipt(
        signer,
        submission_id="s1",
        round_key="signals-7",
        model_id="m1",
        sha256="ab" * 32,
        received_at=datetime(2016, 1, 8, 21, 0, 0, 5, tzinfo=UTC),
        on_time=True,
    )


def test_the_signed_bytes_never_change(signer: Signer) -> None:
    """Golden vector, and a check that uses nothing of ours but the receipt's text and the published key."""
    receipt = receipt_of(signer)
    text = (
        b'{"format":1,"model_id":"m1","on_time":true,"received_at":"2016-01-08T21:00:00.000005Z","round":"signals-7",'
        b'"sha256":"' + b"ab" * 32 + b'","submission_id":"s1"}'
    )
    assert receipt.text() == text
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signer.public_key))
    key.verify(bytes.fromhex(receipt.signature), text)


def test_a_receipt_survives_the_way_through_json(signer: Signer) -> None:
    receipt = receipt_of(signer)
    assert Receipt.from_json(receipt.to_json()) == receipt
    assert Receipt.from_dict(json.loads(receipt.to_json())) == receipt
    verify_receipt(Receipt.from_json(receipt.to_json()), signer.public_key + "\n")


@pytest.mark.parametrize(
    "change",
    [
        {"submission_id": "s2"},
        {"round": "signals-8"},
        {"model_id": "m2"},
        {"sha256": "ac" * 32},
        {"received_at": "2016-01-08T20:59:59.000005Z"},
        {"on_time": False},
        {"signature": ""},
        {"signature": "00" * 64},
        {"signature": "no hexadecimal"},
    ],
    ids=str,
)
def test_any_change_of_a_field_breaks_the_signature(signer: Signer, change: dict[str, object]) -> None:
    changed = dataclasses.replace(receipt_of(signer), **change)  # type: ignore[arg-type]
    with pytest.raises(InputRejected) as caught:
        verify_receipt(changed, signer.public_key)
    assert caught.value.code is Code.RECEIPT_INVALID


def test_any_change_of_a_character_is_refused(signer: Signer) -> None:
    seed = 9
    print(f"seed {seed}")
    rng = random.Random(seed)
    text = receipt_of(signer).to_json()
    for _ in range(1000):
        place = rng.randrange(len(text))
        letter = chr(rng.randrange(32, 127))
        changed = text[:place] + letter + text[place + 1 :]
        if changed == text:
            continue
        try:
            verify_receipt(Receipt.from_json(changed), signer.public_key)
        except InputRejected:
            continue
        # The signature's hexadecimal may be written in capitals: the same bytes.
        assert changed.lower() == text.lower()


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", '{"format":1}', "\x00", b"\xff"])
def test_what_is_no_receipt_is_refused(text: str | bytes) -> None:
    with pytest.raises(InputRejected) as caught:
        Receipt.from_json(text)
    assert caught.value.code is Code.RECEIPT_INVALID


@pytest.mark.parametrize("change", [{"format": 2}, {"format": True}, {"on_time": 1}, {"round": 7}, {"more": "x"}], ids=str)
def test_a_field_of_another_kind_version_or_name_is_refused(signer: Signer, change: dict[str, object]) -> None:
    with pytest.raises(InputRejected):
        Receipt.from_dict({**receipt_of(signer).as_dict(), **change})


@pytest.mark.parametrize("key", ["", "00", "zz" * 32, "00" * 32])
def test_another_key_does_not_fit(signer: Signer, key: str) -> None:
    with pytest.raises(InputRejected):
        verify_receipt(receipt_of(signer), key)


def test_the_key_is_made_once_and_is_private(keys: Path) -> None:
    first, again = Signer.load_or_create(keys), Signer.load_or_create(keys)
    assert first.public_key == again.public_key == (keys / "receipt.pub").read_text().strip()
    assert (keys / "receipt.key").stat().st_mode & 0o777 == 0o600
    assert (keys / "receipt.key").stat().st_size == 32


def test_the_private_key_is_not_shown(signer: Signer, keys: Path) -> None:
    assert (keys / "receipt.key").read_bytes().hex() not in repr(signer) + str(signer)


def test_two_at_once_end_with_the_same_key(keys: Path) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(Signer.load_or_create(keys).public_key)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize("raw", [b"", b"short", b"x" * 33])
def test_a_damaged_key_is_refused_and_not_replaced(keys: Path, raw: bytes) -> None:
    (keys / "receipt.key").write_bytes(raw)
    with pytest.raises(Conflict) as caught:
        Signer.load_or_create(keys)
    assert caught.value.code is Code.SIGNING_KEY
    assert (keys / "receipt.key").read_bytes() == raw
