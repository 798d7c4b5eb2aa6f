"""How often a vendor is asked: a token bucket between requests, and longer and longer waits after failures.

Neither knows a network. Elapsed time, sleeping and randomness are given, so that a test sees every wait without waiting.
"""

import threading
import time
from collections.abc import Callable

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected


class TokenBucket:
    """At most ``rate`` requests a second on average, and at most ``burst`` at once.

    Parameters
    ----------
    rate : float
        Tokens a second, above 0.
    burst : int
        Tokens that a pause saves up.
    elapsed : callable
        Seconds on a clock that never goes back.
    sleep : callable
        Waits for so many seconds.
    """

    def __init__(
        self,
        rate: float,
        burst: int = 1,
        elapsed: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not rate > 0 or burst < 1:
            raise InputRejected(Code.SETTING_INVALID, "A pace has more than 0 requests a second and a burst of at least 1.")
        self._rate, self._burst = rate, burst
        self._elapsed, self._sleep = elapsed, sleep
        self._tokens, self._seen = float(burst), elapsed()
        self._lock = threading.Lock()

    def take(self) -> float:
        """Take a token, waiting for it if need be; return the seconds waited."""
        with self._lock:
            now = self._elapsed()
            self._tokens = min(self._burst, self._tokens + (now - self._seen) * self._rate) - 1.0
            self._seen = now
            # Below zero the token is lent: whoever comes next waits longer, so that the mean rate holds.
            wait = max(0.0, -self._tokens / self._rate)
        if wait > 0:
            self._sleep(wait)
        return wait


class Backoff:
    """Waits that double with each failure, up to a cap, each drawn from its upper half so that clients do not march in step.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the jitter.
    first_seconds, most_seconds : float
        Longest first wait; longest of all.
    sleep : callable
        Waits for so many seconds.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        first_seconds: float = 2.0,
        most_seconds: float = 60.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rng, self._sleep = rng, sleep
        self._first, self._most = first_seconds, most_seconds

    def wait(self, failures: int) -> float:
        """Wait after the ``failures``-th failure in a row, counted from 1; return the seconds waited."""
        longest = min(self._most, self._first * 2.0 ** (failures - 1))
        seconds = longest * float(self._rng.uniform(0.5, 1.0))
        self._sleep(seconds)
        return seconds
