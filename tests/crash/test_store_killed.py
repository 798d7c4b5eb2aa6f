"""A process that dies while it writes leaves a whole ledger, nothing half booked, and nothing that a second run would double.

SIGKILL before each statement of a resolution and at random instants of posting, on both databases. A kill leaves the page cache
alive; for a power failure the log of a copied SQLite database is cut and spoiled at many places.
"""

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from crowdalpha.ids import RoundState
from service.store import ledger
from service.store.engine import Store
from staking.ledger import LedgerEntry, Transfer
from tests.builders.store_rows import add_model, add_round, deposit

REPOSITORY = Path(__file__).resolve().parents[2]
ROUNDS = 40
"""More than a resolution has statements, so that the last of them is never killed."""

RANDOM_KILLS = 25
CUTS = 50


def _run(scenario, store, *arguments):
    command = [sys.executable, "-m", "tests.builders.store_crashes", scenario, store.url, *map(str, arguments)]
    answer = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=240, check=False)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout.splitlines()[-1])


@pytest.fixture
def scoring_rounds(store):
    """Rounds that wait for their resolution, each with five atoms reserved."""
    at = "2016-01-04T20:00:00Z"
    with store.write() as connection:
        model = add_model(connection)
        for number in range(1, ROUNDS + 1):
            add_round(connection, number, RoundState.SCORING)
        stake = LedgerEntry("provider:p", -5 * ROUNDS), LedgerEntry(f"stake:{model.id}", 5 * ROUNDS)
        moves = [deposit("d", "provider:p", 5 * ROUNDS), Transfer("s", "stake", at, stake)]
        for n in range(1, ROUNDS + 1):
            reserve = LedgerEntry(f"stake:{model.id}", -5), LedgerEntry(f"reserve:signals-{n}:{model.id}", 5)
            moves.append(Transfer(f"signals-{n}:reserve", "reserve", at, reserve))
        ledger.post(connection, moves)
    return store, model


def test_a_resolution_killed_before_each_statement_and_run_again_has_one_effect(scoring_rounds):
    store, model = scoring_rounds
    found = _run("resolve", store, model.id, ROUNDS)
    assert found["problems"] == [], found
    assert found["outcomes"][-1] == 0, "the last one came through"
    assert set(found["outcomes"][:-1]) == {-9}
    assert found["steps"] >= 10
    with store.read() as connection:
        assert ledger.verify(connection) == []
        assert ledger.balance(connection, "treasury") == -7 * found["rounds"]
        assert ledger.balance(connection, f"stake:{model.id}") == 12 * found["rounds"]
    print(f"{found['steps'] - 1} kills")


def test_posting_killed_at_random_loses_nothing_that_was_acknowledged(store):
    seed = 20160108
    print(f"seed {seed}")
    found = _run("post", store, seed, RANDOM_KILLS)
    assert found["problems"] == [], found
    assert found["acknowledged"] >= RANDOM_KILLS
    with store.read() as connection:
        assert ledger.verify(connection) == []
        assert sum(ledger.balances(connection).values()) == 0


def test_a_claim_of_a_killed_worker_is_taken_over_after_its_lease(store):
    assert _run("claim", store) == {"ends": [-9, -9], "early": False, "fencing": 3, "done": "done"}


@pytest.mark.parametrize("damage", ["cut", "spoil"])
def test_a_log_that_power_failure_left_unfinished_is_a_shorter_whole_ledger(sqlite_template, tmp_path, damage):
    """What was not on the disk yet may be gone, but never in the middle: the ledger is a prefix of what was posted."""
    seed = 20160109
    print(f"seed {seed}")
    rng = random.Random(seed)
    source = Path(shutil.copy(sqlite_template, tmp_path / "x.db"))
    store = Store.for_home(source)
    heads = [0]
    for n in range(40):
        with store.write() as connection:
            ledger.post(connection, [deposit(f"{n}-{place}", "provider:a", 1) for place in range(5)])
            heads.append(ledger.head(connection).sequence)
    log = (tmp_path / "x.db-wal").read_bytes()
    whole = source.read_bytes()
    store.dispose()
    seen = set()
    for place in range(CUTS):
        copy = tmp_path / f"copy{place}.db"
        copy.write_bytes(whole)
        at = rng.randrange(len(log))
        left = log[:at] if damage == "cut" else log[:at] + bytes([log[at] ^ 0xFF]) + log[at + 1 :]
        Path(f"{copy}-wal").write_bytes(left)
        damaged = Store.for_home(copy)
        with damaged.read() as connection:
            head = ledger.head(connection).sequence
            assert ledger.verify(connection) == [], at
            assert ledger.balance(connection, "provider:a") == head
        damaged.dispose()
        assert head in heads
        seen.add(head)
    assert len(seen) > 5, "the cuts fell at many places"
