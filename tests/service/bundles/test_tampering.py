"""Goal: whatever is changed in a bundle, a ledger or a receipt is found.

Method: a thousand random edits, deletions, swaps and truncations, of bytes by strangers and of numbers by whoever holds the
platform's own key; an edit that leaves the same bytes, or the same receipt, is drawn again. The seed is printed.
"""

import copy
import io
import json
import random
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from crowdalpha.canonical import canonical_bytes, sha256_hex
from crowdalpha.codes import Code
from crowdalpha.errors import CrowdalphaError, InputRejected
from crowdalpha.merkle import merkle_root
from crowdalpha.terms import PPB, RoundTerms
from service.bundles.archive import PUBLIC, array_bytes, read_array, read_bundle, write_bundle
from service.bundles.checking import verify
from service.bundles.contents import LEDGER, RESOLUTION, ROUND, SCORES, SUBMISSIONS
from service.bundles.noted import Noted
from service.bundles.sealed import make_key_pair, open_sealed, seal_to
from service.receipts import Receipt, Signer, sign_receipt, verify_receipt
from service.store import ledger
from service.store.engine import Store
from staking import LedgerEntry, LedgerRecord, Transfer, append, deposit, resolve, seal, verify_chain, void
from tests.builders.bundles import CLOSED_AT, RESOLVED_AT, ROUND_ID, invented_bundle, invented_files

STRANGERS_EDITS, INSIDERS_EDITS, CHAIN_EDITS, ROW_EDITS, RECEIPT_EDITS, SEALED_EDITS = 300, 250, 200, 50, 150, 50


def npz_bytes() -> bytes:
    """Return an archive of arrays, which NumPy reads as gladly as an array."""
    buffer = io.BytesIO()
    np.savez(buffer, target=np.zeros(3))
    return buffer.getvalue()


def header(kind: str, shape: str) -> bytes:
    """Return an array's header that promises much, and three values."""
    text = (
        f"{{'descr': {kind if kind.startswith('(') else repr(kind)}, 'fortran_order': False, 'shape': ({shape},), }}\n".encode()
    )
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(24)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return Signer.load_or_create(tmp_path_factory.mktemp("keys"))


def rng_of(name: str) -> random.Random:
    """Return the seeded source of one test's edits."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed of {name}: {seed}")
    return random.Random(seed)


def edited_bytes(data: bytes, rng: random.Random) -> bytes:
    """Return other bytes than ``data``: one changed, a part removed, doubled or moved, or the end cut off."""
    while True:
        at, length = rng.randrange(len(data)), rng.randint(1, 64)
        part = data[at : at + length]
        found = rng.choice(
            [
                data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :],
                data[:at] + data[at + length :],
                data[:at] + part + part + data[at + length :],
                data[:at] + part[::-1] + data[at + length :],
                data[:at],
                data + part,
            ]
        )
        if found != data:
            return found


def test_the_bundle_that_was_not_touched_verifies(signer: Signer) -> None:
    found = verify(invented_bundle(signer), public_key=signer.public_key)
    assert int(found.facts["paid_atoms"]) > 0
    assert int(found.facts["burned_atoms"]) > 0


def test_strangers_edits_of_a_bundle_are_found(signer: Signer) -> None:
    data, rng = invented_bundle(signer), rng_of("strangers")
    for _ in range(STRANGERS_EDITS):
        with pytest.raises(InputRejected):
            verify(edited_bytes(data, rng))


def test_a_bundle_signed_by_a_stranger_is_found(signer: Signer, tmp_path: Path) -> None:
    forged = invented_bundle(Signer.load_or_create(tmp_path))
    assert verify(forged).facts["round"] == ROUND_ID
    with pytest.raises(InputRejected, match="another key"):
        verify(forged, public_key=signer.public_key)


def numbers_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the places of all leaves in plain values."""
    if isinstance(value, dict):
        return [found for key in value for found in numbers_of(value[key], (*path, key))]
    if isinstance(value, list):
        return [found for index in range(len(value)) for found in numbers_of(value[index], (*path, index))]
    return [path]


def changed_plain(plain: Any, rng: random.Random) -> Any:
    """Return plain values with one leaf changed, or one item of a list removed, doubled, or swapped with another."""
    found = copy.deepcopy(plain)
    path = rng.choice(numbers_of(found))
    lists = [i for i, step in enumerate(path) if isinstance(step, int)]
    holder = found
    if lists and rng.random() < 0.4:
        for step in path[: lists[0]]:
            holder = holder[step]
        at, other = path[lists[0]], rng.randrange(len(holder))
        manner = rng.choice(("remove", "double", "swap"))
        if manner == "remove":
            del holder[at]
        elif manner == "double":
            holder.append(copy.deepcopy(holder[at]))
        else:
            holder[at], holder[other] = holder[other], holder[at]
        return found
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = changed_leaf(holder[path[-1]], rng)
    return found


def changed_leaf(value: Any, rng: random.Random) -> Any:
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int):
        return value + rng.choice((-1, 1)) * rng.randint(1, 10**9)
    if value.lstrip("-").isdigit():
        return str(int(value) + rng.choice((-1, 1)) * rng.randint(1, 10**18))
    at = rng.randrange(len(value)) if value else 0
    return value[:at] + ("0" if value[at : at + 1] != "0" else "1") + value[at + 1 :]


def test_an_insiders_edits_of_what_was_settled_are_found(signer: Signer) -> None:
    """Whoever holds the key can sign anything, but not make other numbers follow from the same inputs."""
    files, rng = invented_files(), rng_of("insiders")
    done = 0
    while done < INSIDERS_EDITS:
        name = rng.choice((ROUND, SUBMISSIONS, RESOLUTION, SCORES, LEDGER))
        plain = json.loads(files[name])
        found = changed_plain(plain, rng)
        if found == plain or _untold(name, plain, found):
            continue
        forged = write_bundle(PUBLIC, ROUND_ID, files | {name: canonical_bytes(found)}, signer)
        with pytest.raises(InputRejected):
            verify(forged)
        done += 1


INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
TOLD_BESIDE = ("base_session", "resolve_session", "universe_hash", "opens_at", "closes_at")


def _untold(name: str, before: Any, after: Any) -> bool:
    """Say whether an edit touched only what is told beside the money: nothing in the bundle speaks for or against it.

    What it says then must make sense all the same: days and instants in their order, and a hash that is one.
    """
    beside = dict.fromkeys(TOLD_BESIDE)
    return name == ROUND and before | beside == after | beside and _makes_sense(after)


def _makes_sense(told: Any) -> bool:
    """Say whether the times fit the files, which all came at 20:00, the bookings at 23:00 and on 12 February, and the terms."""
    try:
        days = [date.fromisoformat(told[name]) for name in ("base_session", "resolve_session")]
        texts = [told["opens_at"], told["closes_at"]]
        whole = all(datetime.fromisoformat(text) and INSTANT.fullmatch(text) for text in texts)
    except ValueError:
        return False
    scoring = told["terms"]["scoring"]
    open_then = texts[0] <= "2016-01-09T20:00:00.000000Z" < texts[1] <= CLOSED_AT
    based = days[0] <= datetime.fromisoformat(texts[1]).date()
    lasts = (days[1] - days[0]).days >= scoring["lag_sessions"] + scoring["horizon_sessions"] - 1
    fits = whole and open_then and based and lasts and days[1] <= date.fromisoformat(RESOLVED_AT[:10])
    return fits and re.fullmatch("[0-9a-f]{64}", told["universe_hash"]) is not None


def changed(files: dict[str, bytes], name: str, change: Callable[[Any], Any]) -> dict[str, bytes]:
    """Return the files with the plain values of one changed."""
    plain = json.loads(files[name])
    return files | {name: canonical_bytes(change(plain))}


def settled_anew(**told: Any) -> dict[str, bytes]:
    """Return a bundle's files whose round says other things beside its money."""
    return changed(invented_files(), ROUND, lambda plain: plain | told)


def resettled(retention: str, kept_ppb: int) -> dict[str, bytes]:
    """Return a bundle settled, rightly by its own lines, with what its terms do not retain."""
    return invented_files(retention=retention, kept_ppb=kept_ppb)


def rebooked(*instants: str, skip: int = 0, first: int = 5, **other: str) -> dict[str, bytes]:
    """Return a bundle whose transfers were booked at other instants and places, each sealed anew and linked to the one before.

    ``skip`` leaves so many places free before the last one; ``other`` replaces the kind or the reference of the first.
    """
    files = invented_files()
    rows, found = json.loads(files[LEDGER]), []
    for i, (row, at) in enumerate(zip(rows, instants, strict=True)):
        plain = row["transfer"] | {"at": at} | (other if i == 0 else {})
        entries = tuple(LedgerEntry(account, int(amount)) for account, amount in plain["entries"])
        transfer = Transfer(plain["id"], plain["kind"], plain["at"], entries, plain["reference"])
        sequence = first + i + (skip if i == len(rows) - 1 else 0)
        before = found[-1]["hash"] if found else "e" * 64
        seal_of = seal(before, sequence, transfer)
        found.append({"sequence": sequence, "previous_hash": before, "hash": seal_of, "transfer": transfer.as_plain()})
    return files | {LEDGER: canonical_bytes(found)}


def relinked(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the records with another hash before the second one, and its seal made anew."""
    plain = rows[1]["transfer"]
    entries = tuple(LedgerEntry(account, int(amount)) for account, amount in plain["entries"])
    transfer = Transfer(plain["id"], plain["kind"], plain["at"], entries, plain["reference"])
    sequence = rows[0]["sequence"] + 1
    forged = {"sequence": sequence, "previous_hash": "f" * 64, "hash": seal("f" * 64, sequence, transfer), "transfer": plain}
    return [rows[0], forged, *rows[2:]]


CONTRADICTIONS: dict[str, tuple[Callable[[], dict[str, bytes]], str]] = {
    "a file after the close": (lambda: settled_anew(closes_at="2016-01-09T20:00:00.000000Z"), "when the round was not open"),
    "a file before the opening": (lambda: settled_anew(opens_at="2016-01-09T20:00:00.000001Z"), "when the round was not open"),
    "no target": (lambda: {n: d for n, d in invented_files().items() if "target" not in n}, "target.npy is missing"),
    "no public meta-model": (lambda: settled_anew(meta_model_withheld=False), "metamodel_raw.npy is missing"),
    "a model twice": (lambda: changed(invented_files(), SCORES, lambda rows: [*rows, rows[-1]]), "one row a model"),
    "a model out of its order": (lambda: changed(invented_files(), SCORES, lambda rows: rows[::-1]), "one row a model"),
    "a model that sent nothing": (
        lambda: changed(invented_files(), SCORES, lambda rows: [*rows, rows[-1] | {"model_id": "model-99"}]),
        "model-99 has scores and no file",
    ),
    "a model without scores": (lambda: changed(invented_files(), SCORES, lambda rows: rows[1:]), "model-00 has a file and no"),
    "a kind that does not pay": (
        lambda: changed(invented_files(), SCORES, lambda rows: [rows[0] | {"scores_ppb": {"fnc": 1}}, *rows[1:]]),
        "other kinds",
    ),
    "half retained where all is": (lambda: resettled("none", PPB // 2), "its terms do not know"),
    "nothing said of what is retained": (
        lambda: changed(invented_files(), SCORES, lambda rows: [rows[0] | {"retention_ppb": None}, *rows[1:]]), "whole parts"
    ),
    "more than all retained": (
        lambda: changed(invented_files(), SCORES, lambda rows: [rows[0] | {"retention_ppb": 2 * PPB}, *rows[1:]]), "do not know"
    ),
    "resolved, and void for a reason": (lambda: settled_anew(void_reason="a storm"), "void for a reason"),
    "an end before the beginning": (lambda: settled_anew(resolve_session="2016-01-08"), "ends before it begins"),
    "a session that is none": (lambda: settled_anew(resolve_session=["a", 1]), "that are none"),
    "an instant that is none": (lambda: settled_anew(opens_at="0000-99-99T99:99:99.000000Z"), "that are none"),
    "a hash that is none": (lambda: settled_anew(universe_hash=7), "hash of its universe"),
    "a label twice": (lambda: invented_files() | {"yardstick/labels.json": b'["AAA","AAA","BBB"]'}, "each once"),
    "labels that are no list": (lambda: invented_files() | {"yardstick/labels.json": b"7"}, "each once"),
    "fewer labels than rows": (lambda: invented_files() | {"yardstick/labels.json": b'["AAA"]'}, "one row a label"),
    "a link to nowhere": (lambda: changed(invented_files(), LEDGER, relinked), "does not follow"),
    "a file that belongs nowhere": (lambda: invented_files() | {"files/note.csv": b"x"}, "belongs to no bundle"),
    "a term that is not hashed": (
        lambda: changed(invented_files(), ROUND, lambda told: told | {"terms": told["terms"] | {"bonus": 1}}), "say more"
    ),
    "a word that no rule knows": (lambda: settled_anew(bonus=1), "other fields"),
    "all booked before the opening": (lambda: rebooked(*["2001-01-01T00:00:00.000000Z"] * 4), "before the close"),
    "reserved before the close": (
        lambda: rebooked("2016-01-09T22:59:59.999999Z", *[RESOLVED_AT] * 3), "before the close"
    ),
    "settled before the reservation": (
        lambda: rebooked("2016-02-12T23:00:00.000001Z", *[RESOLVED_AT] * 3), "before the reservation"
    ),
    "settled before the last session": (
        lambda: rebooked(CLOSED_AT, *["2016-02-10T23:59:59.999999Z"] * 3), "before the session 2016-02-11"
    ),
    "settled bit by bit": (
        lambda: rebooked(CLOSED_AT, RESOLVED_AT, RESOLVED_AT, "2016-02-12T23:00:00.000001Z"), "not booked right after"
    ),
    "something between two transfers of a settlement": (
        lambda: rebooked(CLOSED_AT, *[RESOLVED_AT] * 3, skip=1), "not booked right after"
    ),
    "a day for an instant": (lambda: rebooked("2016-01-10", *[RESOLVED_AT] * 3), "no instant"),
    "a reservation that calls itself a correction": (
        lambda: rebooked(CLOSED_AT, *[RESOLVED_AT] * 3, kind="correction"), "no reserve of its round"
    ),
    "a reservation for something else": (
        lambda: rebooked(CLOSED_AT, *[RESOLVED_AT] * 3, reference="signals-8"), "no reserve of its round"
    ),
    "a base session after the close": (lambda: settled_anew(base_session="2016-01-10"), "after its close"),
    "fewer sessions than the terms count": (lambda: settled_anew(resolve_session="2016-01-28"), "fewer than its terms"),
    "a transfer twice": (lambda: changed(invented_files(), LEDGER, lambda rows: [*rows, rows[-1]]), "stands twice"),
    "a transfer out of its order": (lambda: changed(invented_files(), LEDGER, lambda rows: rows[::-1]), "out of its order"),
}  # fmt: skip


def test_transfers_that_were_booked_at_the_same_instants_at_another_place_of_the_ledger_hold(signer: Signer) -> None:
    """Where in the ledger a round stands, its bundle cannot show; the kept heads do."""
    verify(write_bundle(PUBLIC, ROUND_ID, rebooked(CLOSED_AT, *[RESOLVED_AT] * 3), signer))


def test_a_resolved_round_without_a_root_is_a_difference_and_not_one_that_was_void_before_its_close(signer: Signer) -> None:
    """All files could be put away otherwise, and the holder of a receipt would be told that no file of anybody counted."""
    terms = RoundTerms.from_dict(json.loads(invented_files()[ROUND])["terms"])
    files = settled_anew(submissions_root=None) | {name: canonical_bytes([]) for name in (SUBMISSIONS, SCORES, LEDGER)}
    files[RESOLUTION] = resolve(ROUND_ID, [], terms.payout, RESOLVED_AT).canonical()
    with pytest.raises(InputRejected, match="Merkle root") as caught:
        verify(write_bundle(PUBLIC, ROUND_ID, files, signer), receipt=receipt_of(signer, "model-03", "ab" * 32))
    assert caught.value.code is Code.BUNDLE_DIFFERS


@pytest.mark.parametrize("what", list(CONTRADICTIONS))
def test_whoever_holds_the_key_cannot_sign_a_bundle_that_contradicts_itself(signer: Signer, what: str) -> None:
    make, told = CONTRADICTIONS[what]
    with pytest.raises(InputRejected, match=told) as caught:
        verify(write_bundle(PUBLIC, ROUND_ID, make(), signer))
    assert caught.value.code in {Code.BUNDLE_DIFFERS, Code.BUNDLE_UNREADABLE}


def noted_of(files: dict[str, bytes]) -> dict[str, str]:
    """Return what an outsider could note of the invented round."""
    told = json.loads(files[ROUND])
    return {"terms_hash": told["terms_hash"], "root": told["submissions_root"], "closes_at": "2016-01-09T23:00:00+00:00"}


def rebuilt(**what: Any) -> dict[str, bytes]:
    """Return a bundle's files with other terms, files or another close, and everything else as it follows from these."""
    files = invented_files()
    told = json.loads(files[ROUND])
    if "closes_at" in what:
        return settled_anew(closes_at=what["closes_at"])
    if "terms" in what:
        terms = RoundTerms.from_dict(told["terms"] | {"name": what["terms"]})
        return settled_anew(terms=terms.as_dict(), terms_hash=terms.hash)
    rows = json.loads(files[SUBMISSIONS])
    rows[0]["sha256"] = what["sha256"]
    root = merkle_root([canonical_bytes(row) for row in rows])
    return settled_anew(submissions_root=root) | {SUBMISSIONS: canonical_bytes(rows)}


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ({"terms": "other"}, "hash of its terms"),
        ({"sha256": "cd" * 32}, "root of its submissions"),
        ({"closes_at": "2016-01-09T22:59:59.999999Z"}, "instant of its close"),
    ],
    ids=["terms", "root", "close"],
)
def test_a_note_finds_what_the_key_holder_rebuilt_as_one_piece(signer: Signer, what: dict[str, str], told: str) -> None:
    notes = noted_of(invented_files())
    found = verify(invented_bundle(signer), noted=Noted(**notes))
    assert len(found.facts["noted"]) == 3
    assert (found.facts["terms_hash"], found.facts["root"]) == (notes["terms_hash"], notes["root"])
    assert all(any(note in step for step in found.steps) for note in (notes["terms_hash"], notes["root"]))
    forged = write_bundle(PUBLIC, ROUND_ID, rebuilt(**what), signer)
    verify(forged)
    with pytest.raises(InputRejected, match=told) as caught:
        verify(forged, noted=Noted(**notes))
    assert caught.value.code is Code.BUNDLE_DIFFERS


def test_a_note_is_compared_by_what_it_says_and_not_by_how_it_is_written(signer: Signer) -> None:
    notes = noted_of(invented_files())
    same = Noted(f" {notes['terms_hash'].upper()}\n", notes["root"].upper(), "2016-01-10T00:00:00+01:00")
    assert len(verify(invented_bundle(signer), noted=same).facts["noted"]) == 3


@pytest.mark.parametrize(
    "note",
    [{"root": "ab"}, {"terms_hash": "g" * 64}, {"root": ""}, {"closes_at": "2016-01-09T23:00:00"}, {"closes_at": "soon"}],
    ids=str,
)
def test_what_is_no_note_is_refused(note: dict[str, str]) -> None:
    with pytest.raises(InputRejected) as caught:
        Noted(**note)
    assert caught.value.code is Code.REQUEST_INVALID


CAME = datetime(2016, 1, 9, 20, tzinfo=UTC)
"""When all files of the invented bundle came; its round was open from 14:00 until 23:00."""


def receipt_of(signer: Signer, model: str, sha256: str, second: int = 0, *, at: datetime = CAME, on_time: bool = True) -> bytes:
    """Return the signed receipt of a file that came ``second`` seconds after ``at``."""
    receipt = sign_receipt(
        signer, submission_id="s", round_key=ROUND_ID, model_id=model, sha256=sha256,
        received_at=at + timedelta(seconds=second), on_time=on_time,
    )  # fmt: skip
    return receipt.to_json().encode()


def test_a_receipt_tells_whether_its_file_counted_was_replaced_or_was_put_away(signer: Signer) -> None:
    data = invented_bundle(signer)
    own = sha256_hex(b"model-03")
    assert "counted: its path" in verify(data, receipt=receipt_of(signer, "model-03", own)).steps[-1]
    for sha, second in (("ab" * 32, 0), ("ab" * 32, 1), (own, 1)):
        with pytest.raises(InputRejected) as caught:
            verify(data, receipt=receipt_of(signer, "model-03", sha, second))
        assert caught.value.code is Code.BUNDLE_DIFFERS


@pytest.mark.parametrize(
    ("at", "on_time", "holds"),
    [
        (datetime(2016, 1, 9, 22, 59, 59, tzinfo=UTC), False, False),
        (CAME, False, False),
        (datetime(2016, 1, 9, 13, 59, 59, tzinfo=UTC), False, False),
        (datetime(2016, 1, 9, 13, 59, 59, tzinfo=UTC), True, False),
        (datetime(2016, 1, 9, 23, tzinfo=UTC), True, False),
        (datetime(2016, 1, 9, 23, tzinfo=UTC), False, True),
        (datetime(2016, 1, 20, tzinfo=UTC), False, True),
    ],
)
def test_a_receipt_that_calls_a_timely_file_late_or_a_late_one_timely_is_a_difference(
    signer: Signer, at: datetime, on_time: bool, holds: bool
) -> None:
    """A provider whose file was turned away while the round was open holds the platform's signature for it."""
    receipt = receipt_of(signer, "model-99", "ab" * 32, at=at, on_time=on_time)
    if holds:
        assert "late file" in verify(invented_bundle(signer), receipt=receipt).steps[-1]
        return
    with pytest.raises(InputRejected, match="the round was open from") as caught:
        verify(invented_bundle(signer), receipt=receipt)
    assert caught.value.code is Code.BUNDLE_DIFFERS


def test_a_receipt_names_an_instant(signer: Signer) -> None:
    """Whoever holds the key could call any text later than the close."""
    told = json.loads(receipt_of(signer, "model-03", "ab" * 32, on_time=False)) | {"received_at": "9999"}
    unsigned = Receipt(**(told | {"signature": ""}))
    signed = replace(unsigned, signature=signer.sign(unsigned.text())).to_json().encode()
    with pytest.raises(InputRejected, match="no instant") as caught:
        verify(invented_bundle(signer), receipt=signed)
    assert caught.value.code is Code.RECEIPT_INVALID


def test_a_round_that_was_void_before_its_close_is_no_difference_to_who_holds_a_receipt(signer: Signer) -> None:
    terms = RoundTerms.from_dict(json.loads(invented_files()[ROUND])["terms"])
    files = settled_anew(outcome="void", void_reason="The exchange did not open.", submissions_root=None)
    files = {name: files[name] for name in (ROUND, SUBMISSIONS, RESOLUTION, SCORES, LEDGER)}
    files[RESOLUTION] = void(ROUND_ID, [], terms.payout, RESOLVED_AT).canonical()
    for name in (SUBMISSIONS, SCORES, LEDGER):
        files[name] = canonical_bytes([])
    found = verify(write_bundle(PUBLIC, ROUND_ID, files, signer), receipt=receipt_of(signer, "model-03", "ab" * 32))
    assert "void before its close" in found.steps[-1]
    with pytest.raises(InputRejected, match="is none"):
        verify(write_bundle(PUBLIC, ROUND_ID, files, signer), noted=Noted(root="ab" * 32))
    # Once a root was published, a file that is on nobody's list is a difference.
    empty = canonical_bytes(json.loads(files[ROUND]) | {"submissions_root": merkle_root([])})
    with pytest.raises(InputRejected, match="no file of its model"):
        verify(write_bundle(PUBLIC, ROUND_ID, files | {ROUND: empty}, signer), receipt=receipt_of(signer, "m", "ab" * 32))


NESTED = b"[" * 200_000 + b"]" * 200_000


@pytest.mark.parametrize(
    "receipt",
    [NESTED, b'{"format":1,"x":' + NESTED + b"}", b"\xff", b'"\\ud800"', b"7"],
    ids=["nested", "deep", "bytes", "half", "7"],
)
def test_what_is_no_receipt_is_refused(signer: Signer, receipt: bytes) -> None:
    with pytest.raises(InputRejected) as caught:
        verify(None, receipt=receipt, public_key=signer.public_key)
    assert caught.value.code is Code.RECEIPT_INVALID


def test_a_receipt_with_half_a_character_is_refused(signer: Signer) -> None:
    text = json.dumps(dict.fromkeys(("submission_id", "round", "model_id", "sha256", "received_at", "signature"), "\ud800"))
    data = json.dumps(json.loads(text) | {"format": 1, "on_time": True}).encode()
    with pytest.raises(InputRejected) as caught:
        verify(None, receipt=data, public_key=signer.public_key)
    assert caught.value.code is Code.RECEIPT_INVALID


def invented_chain(count: int = 30) -> list[LedgerRecord]:
    records: list[LedgerRecord] = []
    for i in range(count):
        transfer = deposit(f"d{i}", f"provider-{i % 4}", 10**18 + i, "2016-01-08T21:00:00.000000Z", "salary")
        records.append(append(records[-1] if records else None, transfer))
    return records


def test_edits_of_a_chain_are_found() -> None:
    chain, rng = invented_chain(), rng_of("chain")
    head = chain[-1].hash
    assert verify_chain(chain, head) == []
    for _ in range(CHAIN_EDITS):
        assert verify_chain(changed_chain(chain, rng), head)


def changed_chain(chain: list[LedgerRecord], rng: random.Random) -> list[LedgerRecord]:
    at, other = rng.sample(range(len(chain)), 2)
    record = chain[at]
    more = replace(record.transfer, entries=tuple(replace(e, amount_atoms=e.amount_atoms * 2) for e in record.transfer.entries))
    manners: list[Callable[[], list[LedgerRecord]]] = [
        lambda: [*chain[:at], *chain[at + 1 :]],
        lambda: chain[:at],
        lambda: [*chain, record],
        lambda: [chain[other] if i == at else chain[at] if i == other else r for i, r in enumerate(chain)],
        lambda: [*chain[:at], replace(record, transfer=more), *chain[at + 1 :]],
        lambda: [*chain[:at], replace(record, hash=changed_leaf(record.hash, rng)), *chain[at + 1 :]],
        lambda: [*chain[:at], replace(record, previous_hash=changed_leaf(record.previous_hash, rng)), *chain[at + 1 :]],
        lambda: [*chain[:at], replace(record, transfer=replace(record.transfer, reference="bonus")), *chain[at + 1 :]],
        # Everything from here on is sealed anew: only the head that was published elsewhere tells.
        lambda: resealed(chain[:at], [more, *(r.transfer for r in chain[at + 1 :])]),
    ]
    return rng.choice(manners)()


def resealed(before: list[LedgerRecord], transfers: list[Any]) -> list[LedgerRecord]:
    records = list(before)
    for transfer in transfers:
        records.append(append(records[-1] if records else None, transfer))
    return records


def test_edits_of_the_rows_are_found(store: Store) -> None:
    """By somebody who took the triggers away first."""
    rng = rng_of("rows")
    with store.write() as connection:
        ledger.post(connection, [record.transfer for record in invented_chain()])
        assert ledger.verify(connection) == []
    postgres = store.engine.dialect.name == "postgresql"
    for _ in range(ROW_EDITS):
        with store.engine.connect() as connection, connection.begin() as transaction:
            for table in ("transfers", "entries"):
                if postgres:
                    connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
                else:
                    for event in ("update", "delete"):
                        connection.execute(text(f"DROP TRIGGER {table}_no_{event}"))
            changed = connection.execute(text(random_statement(rng)))
            assert changed.rowcount
            assert ledger.verify(connection)
            transaction.rollback()


def random_statement(rng: random.Random) -> str:
    at = rng.randint(1, 30)
    return rng.choice(
        [
            f"DELETE FROM entries WHERE transfer_sequence = {at} AND position = {rng.randint(0, 1)}",
            f"UPDATE entries SET account = 'provider:thief' WHERE transfer_sequence = {at} AND position = 1",
            f"UPDATE entries SET position = position + 5 WHERE transfer_sequence = {at}",
            f"UPDATE transfers SET reference = 'bonus' WHERE sequence = {at}",
            f"UPDATE transfers SET at = '2016-01-08T21:00:01.000000Z' WHERE sequence = {at}",
            f"UPDATE transfers SET hash = 'f{at:063d}' WHERE sequence = {at}",
            f"UPDATE balances SET account = 'provider:thief{at}' WHERE account = 'provider:provider-{at % 4}'",
            "UPDATE ledger_head SET sequence = sequence - 1",
            f"UPDATE ledger_head SET hash = (SELECT previous_hash FROM transfers WHERE sequence = {at})",
        ]
    )


def test_edits_of_a_receipt_are_found(signer: Signer) -> None:
    rng = rng_of("receipts")
    receipt = sign_receipt(
        signer, submission_id="s", round_key=ROUND_ID, model_id="m", sha256="ab" * 32,
        received_at=datetime(2016, 1, 9, 20, tzinfo=UTC), on_time=True,
    )  # fmt: skip
    data = receipt.to_json().encode()
    verify_receipt(Receipt.from_json(data), signer.public_key)
    done = 0
    while done < RECEIPT_EDITS:
        forged = edited_bytes(data, rng)
        try:
            same = Receipt.from_json(forged) == receipt
        except CrowdalphaError:
            same = False
        if same:  # more space, say
            continue
        with pytest.raises(InputRejected):
            verify(None, receipt=forged, public_key=signer.public_key)
        done += 1


def test_what_is_sealed_to_an_auditor_is_the_complete_bundle(signer: Signer) -> None:
    private, public = make_key_pair()
    with pytest.raises(InputRejected, match="does not hold everything"):
        verify(seal_to(invented_bundle(signer), public), private_key=private)


@pytest.mark.parametrize(
    "data",
    [
        npz_bytes(), b"PK\x03\x04", header("<f8", "1000000000000"), header("<f8", "1" + "0" * 30),
        b"\x93NUMPY\x01\x00v\x00{'descr':",
        b"\x93NUMPY\x01\x00v\x00((((", header("('<f8',)", "3"), header("<f8", "True"), header("<f8", "-" * 9000 + "1"),
        header("|O8", "3"), array_bytes(np.zeros(3))[:-1], array_bytes(np.zeros(3)) + b"x",
    ],
    ids=["npz", "zip", "huge", "beyond", "cut", "open", "tuple", "bool", "minus", "objects", "short", "long"],
)  # fmt: skip
def test_what_is_no_array_is_refused_whatever_its_header_promises(signer: Signer, data: bytes) -> None:
    files = invented_files() | {"yardstick/target.npy": data}
    with pytest.raises(InputRejected) as caught:
        verify(write_bundle(PUBLIC, ROUND_ID, files, signer))
    assert caught.value.code is Code.BUNDLE_UNREADABLE


@pytest.mark.parametrize(
    "array", [np.zeros((3, 2)), np.arange(4, dtype=np.int8), np.array(["a", "bc"]), np.zeros(0), np.zeros((0, 3))]
)
def test_an_array_comes_back_as_it_was(array: np.ndarray) -> None:
    found = read_array(array_bytes(array))
    assert found.dtype == array.dtype
    assert np.array_equal(found, array)
    assert found.shape == array.shape


def test_edits_of_a_sealed_bundle_are_found(signer: Signer) -> None:
    private, public = make_key_pair()
    data, rng = seal_to(invented_bundle(signer), public), rng_of("sealed")
    assert read_bundle(open_sealed(data, private)).kind == PUBLIC
    for _ in range(SEALED_EDITS):
        with pytest.raises(InputRejected):
            verify(edited_bytes(data, rng), private_key=private)
