"""Send once: a sending that is killed at any named point, and run again, places each order once and fills the same book.

A child process sends an approved rebalance and kills itself with SIGKILL at a fault point, in the first part of orders or in
a later one. Then the orders are sent to the end, the session is settled, and everything must be that of an undisturbed run."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from service.book import read_book
from service.broker import PaperBroker
from service.faults import SENDING_FAULT_POINTS, set_fault_hook
from service.home import Home
from service.store import fund, orders
from service.workflows import send_orders as module
from service.workflows.approve_rebalance import approve
from service.workflows.reconcile_fund import reconcile_fund
from service.workflows.send_orders import send_orders
from service.workflows.settle_fund import settle_fund
from tests.builders.desks import AFTER_FILL, desk_at, in_child, kill_at, play_to_sunday

PART = 20
KILLED = 9
VISITS = [(point, visit) for point in SENDING_FAULT_POINTS for visit in (1, 3) if (point, visit) != ("send.recorded", 3)]


@pytest.fixture(scope="module")
def approved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the third rebalance is approved and not sent."""
    home = play_to_sunday(tmp_path_factory.mktemp("sending") / "home")
    platform = desk_at(home)
    approve(platform, "ann")
    platform.store.dispose()
    return home.path


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PART_ORDERS", PART)


def copy_of(approved: Path, path: Path) -> Home:
    shutil.copytree(approved, path)
    return Home.open(path)


def send_in_child(home: Home, hook: Any) -> int:
    def work() -> None:
        set_fault_hook(hook)
        send_orders(desk_at(home), "ann")

    return in_child(work)


def effect(home: Home) -> dict[str, Any]:
    """Settle the fill session and return what sending and filling have left."""
    platform = desk_at(home, AFTER_FILL)
    with platform.store.read() as connection:
        placed = connection.execute(text("SELECT COUNT(*) FROM paper_orders WHERE state = 'sent'")).scalar()
    settle_fund(platform)
    differences = reconcile_fund(platform, "ann").findings
    with platform.store.read() as connection:
        record = fund.latest_rebalance(connection)
        book, through = read_book(connection, platform)
        found = {
            "placed": placed,
            "state": None if record is None else record.state,
            "orders": [] if record is None else orders.orders_of(connection, record.id),
            "book": (through, book.cash, dict(zip(book.asset_ids.tolist(), book.positions.tolist(), strict=True))),
            "day": fund.fund_days(connection)[-1],
            "differences": differences,
        }
    platform.store.dispose()
    return found


@pytest.fixture(scope="module")
def undisturbed(approved: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = copy_of(approved, tmp_path_factory.mktemp("calm") / "home")
    platform = desk_at(home)
    sent = send_orders(platform, "ann")
    platform.store.dispose()
    found = effect(home)
    assert found["state"] == "reconciled"
    assert found["placed"] == sent.orders > 3 * PART
    return found


@pytest.mark.parametrize(("point", "visit"), VISITS, ids=[f"{point}-{visit}" for point, visit in VISITS])
def test_killed_and_sent_again_each_order_is_placed_once(
    approved: Path, undisturbed: dict[str, Any], tmp_path: Path, point: str, visit: int
) -> None:
    home = copy_of(approved, tmp_path / "home")
    assert send_in_child(home, kill_at(point, visit)) == KILLED, f"{point} was not reached"
    assert send_in_child(home, None) == 0
    assert effect(home) == undisturbed


def test_killed_and_never_sent_again_the_book_follows_what_was_placed(
    approved: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    home = copy_of(approved, tmp_path / "home")
    assert send_in_child(home, kill_at("send.placed", 3)) == KILLED
    found = effect(home)
    assert found["placed"] == 3 * PART
    assert sum(o.fill is not None for o in found["orders"]) == 3 * PART
    assert {o.state for o in found["orders"] if o.fill is None} == {"cancelled"}
    assert found["differences"] == ()
    assert found["book"] != undisturbed["book"]


def test_raced_by_four_processes_each_order_is_placed_once(approved: Path, undisturbed: dict[str, Any], tmp_path: Path) -> None:
    home = copy_of(approved, tmp_path / "home")
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                send_orders(desk_at(home), "ann")
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children] == [0] * 4
    assert effect(home) == undisturbed


def test_a_broker_that_is_asked_twice_takes_one_order(approved: Path, tmp_path: Path) -> None:
    platform = desk_at(copy_of(approved, tmp_path / "home"))
    sent = send_orders(platform, "ann")
    with platform.store.read() as connection:
        mine = orders.orders_of(connection, sent.record.id)
    PaperBroker(platform).place(mine, sent.record.fill_session)
    with platform.store.read() as connection:
        assert orders.open_paper_orders(connection) == sorted(o.client_order_id for o in mine)
    platform.store.dispose()
