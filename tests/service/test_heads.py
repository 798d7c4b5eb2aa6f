"""A ledger that was rewritten or cut is found by the heads that were kept outside it, on both databases.

Tampering is done past the triggers, and thoroughly: every seal behind the change is computed anew, balances and head too.
"""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service import queries
from service.cli.listing import ledger_state
from service.clock import instant_text
from service.context import Platform
from service.heads import read_head
from service.store import ledger, occurrences
from service.store.engine import Store
from service.store.guards import missing_guards
from service.store.records import PlannedOccurrence
from service.workflows import accounts
from service.workflows.keep_head import HEADS_JOB, head_problems, keep_head, kept_heads
from staking import GENESIS_HASH, LedgerEntry, Transfer
from tests.builders.stakers import rolled_back, stakers_on
from tests.builders.store_rows import T0

RAISED = "BEGIN SELECT RAISE(ABORT, 'rows of transfers are never changed'); END"
DAYS = [date(2016, 1, day) for day in (4, 5, 6)]


@pytest.fixture
def platform(store: Store, tmp_path: Path) -> Platform:
    """A platform on which three days brought a deposit each, before and after the heads of the days."""
    made = stakers_on(tmp_path / "home", store.url)
    keep_head(made, DAYS[0])
    accounts.create_provider(made, "ada", 10**18)
    for day in DAYS[1:]:
        accounts.deposit_tokens(made, "ada", day.day)
        keep_head(made, day)
    return made


def problems(platform: Platform) -> list[str]:
    with platform.store.read() as connection:
        return head_problems(platform, connection)


def test_a_head_is_kept_each_day_and_never_replaced(platform: Platform) -> None:
    heads, broken = kept_heads(platform)
    assert broken == []
    assert [(head.date, head.sequence) for head in heads] == [("2016-01-04", 0), ("2016-01-05", 2), ("2016-01-06", 3)]
    assert heads[0].hash == GENESIS_HASH
    with platform.store.read() as connection:
        assert heads[2].hash == ledger.head(connection).hash
    accounts.deposit_tokens(platform, "ada", 1)
    path = platform.home.path / "heads" / "2016-01-06.json"
    before = path.read_bytes()
    assert keep_head(platform, DAYS[2]) == heads[2]
    assert path.read_bytes() == before
    assert problems(platform) == []


def test_a_head_tells_when_it_was_kept_and_which_one_before_it(platform: Platform) -> None:
    heads, _ = kept_heads(platform)
    assert [head.previous for head in heads] == ["", "2016-01-04", "2016-01-05"]
    assert {head.kept_at for head in heads} == {instant_text(T0)}


@pytest.mark.parametrize("gone", ["2016-01-04", "2016-01-05"])
def test_a_head_that_was_taken_away_is_missed_and_never_signed_anew(platform: Platform, gone: str) -> None:
    """Who rewrote the ledger could otherwise remove the head that tells, and sign another one for that day."""
    (platform.home.path / "heads" / f"{gone}.json").unlink()
    assert problems(platform) == [f"The head of {gone} was kept, and its file is gone."]
    assert queries.health(platform)["status"] == "broken"
    with pytest.raises(InputRejected) as caught:
        keep_head(platform, date.fromisoformat(gone))
    assert caught.value.code is Code.HEAD_BROKEN
    assert problems(platform) == [f"The head of {gone} was kept, and its file is gone."]


def test_the_last_head_is_missed_by_the_schedule(platform: Platform) -> None:
    with platform.store.write() as connection:
        for day in DAYS:
            due = datetime(day.year, day.month, day.day, 22, tzinfo=UTC)
            occurrences.plan(connection, [PlannedOccurrence(HEADS_JOB, due, {"session": day.isoformat()})])
            claimed = occurrences.claim_next(connection, "w", due, 60)
            assert claimed is not None
            occurrences.finish(connection, claimed, due)
    assert problems(platform) == []
    for path in (platform.home.path / "heads").glob("*.json"):
        path.unlink()
    assert problems(platform) == [f"The head of {day} was kept, and its file is gone." for day in DAYS]


def test_a_file_of_another_name_among_the_heads_is_none(platform: Platform) -> None:
    (platform.home.path / "heads" / "notes.json").write_text("{}")
    assert problems(platform) == []
    assert keep_head(platform, date(2016, 1, 7)).previous == "2016-01-06"


def test_heads_of_the_first_format_are_still_read(platform: Platform) -> None:
    """They hold four facts and no more; the signature is over the canonical bytes of these."""
    with platform.store.read() as connection:
        end = ledger.head(connection)
    old = {"date": "2016-01-07", "format": 1, "hash": end.hash, "sequence": end.sequence}
    signature = platform.signer.sign(json.dumps(old, sort_keys=True, separators=(",", ":")).encode())
    path = platform.home.path / "heads" / "2016-01-07.json"
    path.write_text(json.dumps(old | {"signature": signature}))
    assert problems(platform) == []
    assert (read_head(path).previous, read_head(path).sequence) == ("", 3)


def test_a_guard_that_was_taken_away_or_switched_off_is_missed(platform: Platform) -> None:
    postgres = platform.store.dialect == "postgresql"
    with platform.store.read() as connection:
        assert missing_guards(connection) == []
    changes = (
        {
            "transfers_no_change": "ALTER TABLE transfers DISABLE TRIGGER USER",
            "entries_no_change": "DROP TRIGGER entries_no_change ON entries",
            "audit_no_truncate": "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN RETURN NEW; END'",
        }
        if postgres
        else {
            f"{table}_no_{event}": f"DROP TRIGGER {table}_no_{event}"
            for table, event in (("transfers", "update"), ("entries", "replace"), ("audit", "delete"))
        }
    )
    for name, statement in changes.items():
        with rolled_back(platform.store) as connection:
            connection.execute(text(statement))
            assert any(name in line for line in missing_guards(connection)), name
    # One of the same name that never fires, fires at less, or stands on another table, is none.
    name, standing, body = (
        ("transfers_no_change", "transfers_no_change ON transfers", "EXECUTE FUNCTION refuse_change()")
        if postgres
        else ("transfers_no_update", "transfers_no_update", RAISED)
    )
    others = (
        [
            "UPDATE OR DELETE ON transfers FOR EACH ROW WHEN (false)",
            "UPDATE OR DELETE ON audit FOR EACH ROW",
            "UPDATE ON transfers FOR EACH ROW",
            "UPDATE OR DELETE ON transfers FOR EACH STATEMENT",
        ]
        if postgres
        else ["UPDATE ON transfers WHEN 0", "UPDATE ON audit", "UPDATE OF at ON transfers"]
    )
    for other in others:
        with rolled_back(platform.store) as connection:
            connection.execute(text(f"DROP TRIGGER {standing}"))
            connection.execute(text(f"CREATE TRIGGER {name} BEFORE {other} {body}"))
            assert len(missing_guards(connection)) == 1, other
    with platform.store.write() as connection:
        connection.execute(text(next(iter(changes.values()))))
    assert queries.health(platform)["status"] == "broken"
    assert any("guard" in line for line in ledger_state(platform)["problems"])


def _rewritten(platform: Platform, upto: int) -> None:
    """Replace the ledger by another whole one with ``upto`` transfers, whose first deposit is larger."""
    with platform.store.read() as connection:
        old = [record.transfer for record in ledger.history(connection)][::-1]
    with platform.store.write() as connection:
        for table in ("entries", "transfers"):
            if platform.store.dialect == "postgresql":
                connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
            else:
                connection.execute(text(f"DROP TRIGGER {table}_no_delete"))
        for table in ("entries", "transfers", "balances", "ledger_head"):
            connection.execute(text(f"DELETE FROM {table}"))
        first = old[0]
        larger = tuple(LedgerEntry(e.account, e.amount_atoms * 2) for e in first.entries)
        ledger.post(connection, [Transfer(first.id, first.kind, first.at, larger, first.reference), *old[1:]][:upto])
        assert ledger.verify(connection) == []


@pytest.mark.parametrize("upto", [1, 3])
def test_a_ledger_that_was_rewritten_or_cut_and_sealed_anew_is_found(platform: Platform, upto: int) -> None:
    _rewritten(platform, upto)
    found = problems(platform)
    assert len(found) == 2
    assert all(("cut" if upto == 1 else "rewritten") in line for line in found)


def test_a_head_that_was_forged_or_spoilt_is_found(platform: Platform) -> None:
    folder = platform.home.path / "heads"
    good = (folder / "2016-01-05.json").read_text()
    with platform.store.read() as connection:
        other = ledger.hashes_of(connection, [1])[1]
    (folder / "2016-01-05.json").write_text(good.replace(read_head(folder / "2016-01-05.json").hash, other))
    assert problems(platform) == ["The head of 2016-01-05 does not bear the platform's signature."]
    for spoilt in (
        "",
        "[]",
        "[" * 100_000,
        good.replace('"sequence":2', '"sequence":"2"'),
        good.replace("2016-01-05", "2016-01-07"),
    ):
        (folder / "2016-01-05.json").write_text(spoilt)
        assert len(problems(platform)) == 1
        with pytest.raises(InputRejected) as caught:
            read_head(folder / "2016-01-05.json")
        assert caught.value.code is Code.HEAD_BROKEN
