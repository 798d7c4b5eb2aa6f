"""Goal: a vendor is asked no faster than allowed, and waits grow after failures.

Method: a clock that moves only when somebody sleeps.
"""

import numpy as np
import pytest

from crowdalpha.errors import InputRejected
from service.vendors.pace import Backoff, TokenBucket
from tests.builders.yahoo import FakeTime


def test_requests_are_spaced_by_the_rate() -> None:
    time = FakeTime()
    bucket = TokenBucket(2.0, 1, time.elapsed, time.sleep)
    instants = []
    for _ in range(20):
        bucket.take()
        instants.append(time.now)
    np.testing.assert_allclose(np.diff(instants), 0.5)
    assert instants[0] == 0.0


def test_a_pause_saves_up_a_burst_and_no_more() -> None:
    time = FakeTime()
    bucket = TokenBucket(2.0, 3, time.elapsed, time.sleep)
    time.now = 100.0
    assert [bucket.take() for _ in range(5)] == pytest.approx([0.0, 0.0, 0.0, 0.5, 0.5])


def test_the_mean_rate_holds_whatever_the_pauses() -> None:
    print("seed 3")
    rng, time = np.random.default_rng(3), FakeTime()
    bucket = TokenBucket(5.0, 2, time.elapsed, time.sleep)
    instants = []
    for _ in range(500):
        time.now += float(rng.exponential(0.15))
        bucket.take()
        instants.append(time.now)
    for width in (2, 10, 100):
        spans = np.array(instants[width:]) - np.array(instants[:-width])
        assert spans.min() >= (width - 1) / 5.0 - 1e-9


@pytest.mark.parametrize(("rate", "burst"), [(0.0, 1), (-1.0, 1), (float("nan"), 1), (1.0, 0)])
def test_a_pace_that_cannot_be_is_refused(rate: float, burst: int) -> None:
    with pytest.raises(InputRejected):
        TokenBucket(rate, burst)


def test_waits_double_up_to_a_cap_with_jitter_from_the_given_generator() -> None:
    time = FakeTime()
    backoff = Backoff(np.random.default_rng(7), 2.0, 20.0, time.sleep)
    waits = [backoff.wait(failures) for failures in range(1, 8)]
    longest = [2.0, 4.0, 8.0, 16.0, 20.0, 20.0, 20.0]
    assert all(top / 2 <= wait <= top for wait, top in zip(waits, longest, strict=True))
    assert len(set(waits)) == len(waits)
    assert time.slept == waits
    again = Backoff(np.random.default_rng(7), 2.0, 20.0, time.sleep)
    assert [again.wait(failures) for failures in range(1, 8)] == waits
