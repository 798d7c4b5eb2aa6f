"""Goal: whatever is changed in a bundle, a ledger or a receipt is found.

Method: a thousand random edits, deletions, swaps and truncations, of bytes by strangers and of numbers by whoever holds the
platform's own key; an edit that leaves the same bytes, or the same receipt, is drawn again. The seed is printed.
"""

import copy
import json
import random
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from crowdalpha.canonical import canonical_bytes, sha256_hex
from crowdalpha.codes import Code
from crowdalpha.errors import CrowdalphaError, InputRejected
from crowdalpha.merkle import merkle_root
from crowdalpha.terms import RoundTerms
from service.bundles.archive import PUBLIC, read_bundle, write_bundle
from service.bundles.checking import verify
from service.bundles.contents import LEDGER, RESOLUTION, ROUND, SCORES, SUBMISSIONS
from service.bundles.sealed import make_key_pair, open_sealed, seal_to
from service.receipts import Receipt, Signer, sign_receipt, verify_receipt
from service.store import ledger
from service.store.engine import Store
from staking import LedgerRecord, append, deposit, verify_chain, void
from tests.builders.bundles import RESOLVED_AT, ROUND_ID, invented_bundle, invented_files

STRANGERS_EDITS, INSIDERS_EDITS, CHAIN_EDITS, ROW_EDITS, RECEIPT_EDITS, SEALED_EDITS = 300, 250, 200, 50, 150, 50


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


TOLD_BESIDE = ("void_reason", "base_session", "resolve_session", "universe_hash")


def _untold(name: str, before: Any, after: Any) -> bool:
    """Say whether an edit touched only what is told beside the money: nothing in the bundle speaks for or against it.

    An instant of opening or closing that moves and yet lies on the right side of every file is such a word too.
    """
    beside = dict.fromkeys((*TOLD_BESIDE, "opens_at", "closes_at"))
    return name == ROUND and before | beside == after | beside and _instants(after)


def _instants(told: Any) -> bool:
    """Say whether the round was open at 20:00, when all files came."""
    texts = told["opens_at"], told["closes_at"]
    whole = all(re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z", text) for text in texts)
    return whole and texts[0] <= "2016-01-09T20:00:00.000000Z" < texts[1]


def changed(files: dict[str, bytes], name: str, change: Callable[[Any], Any]) -> dict[str, bytes]:
    """Return the files with the plain values of one changed."""
    plain = json.loads(files[name])
    return files | {name: canonical_bytes(change(plain))}


def settled_anew(**told: Any) -> dict[str, bytes]:
    """Return a bundle's files whose round says other things beside its money."""
    return changed(invented_files(), ROUND, lambda plain: plain | told)


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
    "a file that belongs nowhere": (lambda: invented_files() | {"files/note.csv": b"x"}, "belongs to no bundle"),
    "a term that is not hashed": (
        lambda: changed(invented_files(), ROUND, lambda told: told | {"terms": told["terms"] | {"bonus": 1}}), "say more"
    ),
    "a word that no rule knows": (lambda: settled_anew(bonus=1), "other fields"),
    "a transfer twice": (lambda: changed(invented_files(), LEDGER, lambda rows: [*rows, rows[-1]]), "stands twice"),
    "a transfer out of its order": (lambda: changed(invented_files(), LEDGER, lambda rows: rows[::-1]), "out of its order"),
}  # fmt: skip


@pytest.mark.parametrize("what", list(CONTRADICTIONS))
def test_whoever_holds_the_key_cannot_sign_a_bundle_that_contradicts_itself(signer: Signer, what: str) -> None:
    make, told = CONTRADICTIONS[what]
    with pytest.raises(InputRejected, match=told) as caught:
        verify(write_bundle(PUBLIC, ROUND_ID, make(), signer))
    assert caught.value.code in {Code.BUNDLE_DIFFERS, Code.BUNDLE_UNREADABLE}


def receipt_of(signer: Signer, model: str, sha256: str, second: int = 0) -> bytes:
    """Return the signed receipt of a file on time, ``second`` seconds after those that counted came."""
    receipt = sign_receipt(
        signer, submission_id="s", round_key=ROUND_ID, model_id=model, sha256=sha256,
        received_at=datetime(2016, 1, 9, 20, 0, second, tzinfo=UTC), on_time=True,
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


def test_a_round_that_was_void_before_its_close_is_no_difference_to_who_holds_a_receipt(signer: Signer) -> None:
    terms = RoundTerms.from_dict(json.loads(invented_files()[ROUND])["terms"])
    files = settled_anew(outcome="void", void_reason="The exchange did not open.", submissions_root=None)
    files = {name: files[name] for name in (ROUND, SUBMISSIONS, RESOLUTION, SCORES, LEDGER)}
    files[RESOLUTION] = void(ROUND_ID, [], terms.payout, RESOLVED_AT).canonical()
    for name in (SUBMISSIONS, SCORES, LEDGER):
        files[name] = canonical_bytes([])
    found = verify(write_bundle(PUBLIC, ROUND_ID, files, signer), receipt=receipt_of(signer, "model-03", "ab" * 32))
    assert "void before its close" in found.steps[-1]
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


def test_edits_of_a_sealed_bundle_are_found(signer: Signer) -> None:
    private, public = make_key_pair()
    data, rng = seal_to(invented_bundle(signer), public), rng_of("sealed")
    assert read_bundle(open_sealed(data, private)).kind == PUBLIC
    for _ in range(SEALED_EDITS):
        with pytest.raises(InputRejected):
            verify(edited_bytes(data, rng), private_key=private)
