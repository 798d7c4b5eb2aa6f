"""The scheduler process: APScheduler wakes the runner every few seconds, and that is all it does.

The timetable and what was done of it are rows in the store; the library's own memory of jobs is thrown away with the process.
A wake-up that was missed or came twice changes nothing. One process is enough; several may run against one database.
"""

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import FrameType

from crowdalpha.errors import CrowdalphaError
from service.context import Platform
from service.jobs.plan import plan_ahead
from service.jobs.runner import JobEvent, run_due

log = logging.getLogger(__name__)

AHEAD = timedelta(days=14)
"""How far the timetable is kept planned: a scheduler that comes back within it finds its work there already."""

REPLAN_EVERY = timedelta(hours=1)


class Tick:
    """One wake-up: keep the timetable planned, then work off what is due. Errors are logged, the next tick tries again."""

    def __init__(
        self, platform: Platform, owner: str, stopped: Callable[[], bool], on_event: Callable[[JobEvent], None] | None = None
    ) -> None:
        self.platform = platform
        self.owner = owner
        self.stopped = stopped
        self.on_event = on_event
        self._planned_at: datetime | None = None

    def __call__(self) -> None:
        """Do what a wake-up does."""
        try:
            self._plan()
            run_due(self.platform, self.owner, self.on_event, stopped=self.stopped)
        except CrowdalphaError:
            log.exception("a tick of the scheduler failed")

    def _plan(self) -> None:
        now = self.platform.clock.now()
        if self._planned_at is not None and now - self._planned_at < REPLAN_EVERY:
            return
        new = plan_ahead(self.platform, now + AHEAD)
        self._planned_at = now
        log.info("planned %d new occurrences up to %s", new, now + AHEAD)


def run(platform: Platform, on_event: Callable[[JobEvent], None] | None = None) -> None:
    """Run the scheduler until SIGTERM or SIGINT; a job that runs then is finished first.

    Must be called in the main thread, because only that one is told of signals.
    """
    from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MISSED
    from apscheduler.schedulers.background import BackgroundScheduler

    stop = threading.Event()
    owner = f"{socket.gethostname()}-{os.getpid()}-{platform.ids.new()[:8]}"
    # Without these, a wake-up that comes a second late is dropped and overlapping ones pile up.
    waking = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
    scheduler = BackgroundScheduler(timezone=UTC, job_defaults=waking)
    # A wake-up that finds the former one still at work is dropped, as it should be: that is no warning.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    scheduler.add_listener(lambda event: log.error("a wake-up failed: %s", event), EVENT_JOB_ERROR | EVENT_JOB_MISSED)
    scheduler.add_job(
        Tick(platform, owner, stop.is_set, on_event),
        "interval",
        seconds=platform.settings.scheduler.poll_seconds,
        next_run_time=platform.clock.now(),
    )
    with _stopping(stop):
        scheduler.start()
        log.info("scheduler %s runs", owner)
        stop.wait()
    scheduler.shutdown(wait=True)
    log.info("scheduler %s stopped", owner)


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """Set ``stop`` on SIGTERM or SIGINT while inside, and restore what was there before."""

    def on_signal(number: int, _frame: FrameType | None) -> None:
        log.info("stopping on signal %d", number)
        stop.set()

    former = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
