"""A fund in the middle of its life: two rebalances filled and reconciled, a third proposed on a Saturday.

Nothing is approved automatically: an operator approves and sends the first two, and has not looked at the third. The clock then
stands on Sunday."""

import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from service.clock import SimulatedClock
from service.context import Platform, build_platform
from service.home import Home
from service.idsource import SeededIds
from service.progress import Silent
from service.replay.crowd import roster
from service.replay.run import seed_classic_ids
from service.replay.season import play_season
from service.store import fund
from service.workflows.approve_rebalance import approve
from service.workflows.send_orders import send_orders
from tests.builders.seasons import FIRST, small_panel, small_settings

SUNDAY = datetime(2021, 1, 24, 12, tzinfo=UTC)
FILL_SESSION = date(2021, 1, 25)
AFTER_FILL = datetime(2021, 1, 25, 22, 30, tzinfo=UTC)
SEED = 7
BY_HAND = {"fund.approval.mode": "by_hand"}


@dataclass
class Operator(Silent):
    """Approves and sends whatever is proposed on a session before ``until``, whenever the season is an instant further."""

    platform: Platform
    until: date

    def advance(self, text: str) -> None:
        with self.platform.store.read() as connection:
            record = fund.latest_rebalance(connection)
        if record is not None and record.state == "proposed" and record.as_of < self.until:
            approve(self.platform, "ann")
            send_orders(self.platform, "ann")


def play_to_sunday(path: Path, overrides: Mapping[str, Any] | None = None) -> Home:
    """Play three weeks into a fresh home at ``path``; the third rebalance stays proposed."""
    home = Home.create(path)
    seed_classic_ids(home, SEED)
    begins = datetime.combine(FIRST, datetime.min.time(), tzinfo=UTC)
    platform = build_platform(home, small_settings(BY_HAND | dict(overrides or {})), SimulatedClock(begins), SeededIds(SEED))
    platform.desk.use(small_panel())
    operator = Operator(platform, date(2021, 1, 22))
    play_season(platform, roster(small_panel().source, SEED), begins, SUNDAY, SEED, operator)
    platform.store.dispose()
    return home


def desk_at(home: Home, at: datetime = SUNDAY, overrides: Mapping[str, Any] | None = None) -> Platform:
    """Return a platform on ``home`` whose clock stands at ``at``."""
    settings = small_settings(BY_HAND | dict(overrides or {}))
    platform = build_platform(home, settings, SimulatedClock(at), SeededIds(99))
    platform.desk.use(small_panel())
    return platform


def in_child(work: Callable[[], object]) -> int:
    """Run ``work`` in a forked child; return the signal that ended it, 0 for none, or −1 where it raised."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status)


def kill_at(point: str, visit: int = 1) -> Callable[[str], None]:
    """Return a hook that kills the process on its ``visit``-th arrival at a fault point."""
    left = [visit]

    def hook(name: str) -> None:
        left[0] -= name == point
        if name == point and left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return hook
