"""Signals rounds one after another on the small platform: each opens on a universe of its own, takes files and closes.

Rounds open as rows, because the platform has no prices; files and closes go through the platform's workflows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np

from crowdalpha.ids import RoundKey, RoundState, Tournament
from market.arrays import FloatArray
from market.neutralizers import neutralizers_of
from service.frames import RoundFrame, put_frame
from service.store import rounds
from service.workflows.close_round import close_round
from service.workflows.submit import submit
from tests.builders.platforms import TICKERS, Served

WEEK = timedelta(weeks=1)


def universe(first: int, n: int = len(TICKERS)) -> tuple[str, ...]:
    """Return ``n`` tickers from the ``first`` on: universes that begin k apart share n − k of them."""
    return tuple(f"STOCK{i:03d}" for i in range(first, first + n))


def exposures_of(tickers: Sequence[str], seed: int) -> FloatArray:
    """Return three factors, of which the last is the sum of the others: a deficient rank is an ordinary case."""
    values = np.random.default_rng(seed).standard_normal((len(tickers), 2))
    return np.column_stack([values, values.sum(axis=1)])


def csv_of(values: Mapping[str, float]) -> bytes:
    """Return a signals file."""
    return ("ticker,signal\n" + "".join(f"{name},{value!r}\n" for name, value in values.items())).encode()


def drift(tickers: Sequence[str], week: int, noise: float = 0.3) -> dict[str, float]:
    """Return a slow signal: a stock's own number and a week's noise, in two decimals so that some values tie."""
    own = {t: float(np.random.default_rng(int(t[5:])).uniform()) for t in tickers}
    moves = np.random.default_rng(10_000 + week).uniform(-noise, noise, len(tickers))
    return {t: round(min(max(own[t] + float(m), 0.01), 0.99), 2) for t, m in zip(tickers, moves, strict=True)}


def close_latest(served: Served, files: Mapping[str, bytes]) -> RoundKey:
    """Send files by model name to the latest signals round, close it, and return its key."""
    with served.platform.store.read() as connection:
        record = rounds.latest_round(connection, Tournament.SIGNALS)
    assert record is not None
    for model, data in files.items():
        assert submit(served.platform, model, data, f"{model}.csv").accepted
    served.clock.advance_to(record.closes_at)
    close_round(served.platform, record.key)
    return record.key


def open_next(served: Served, tickers: Sequence[str], seed: int) -> RoundKey:
    """Open the next signals round a week after the latest, on the universe given, and move the clock into it."""
    with served.platform.store.read() as connection:
        last = rounds.latest_round(connection, Tournament.SIGNALS)
    assert last is not None
    record = replace(
        last,
        key=RoundKey(Tournament.SIGNALS, last.key.number + 1),
        state=RoundState.OPEN,
        opens_at=last.opens_at + WEEK,
        closes_at=last.closes_at + WEEK,
        base_session=last.base_session + WEEK,
        resolve_session=last.resolve_session + WEEK,
        opened_at=last.opens_at + WEEK,
        closed_at=None,
        submissions_root=None,
    )
    factors = ("beta", "size", "sum")
    exposures, weights_v = exposures_of(tickers, seed), np.linspace(0.5, 1.5, len(tickers))
    basis = neutralizers_of(exposures, weights_v)
    frame = RoundFrame(np.array(tickers), tuple(tickers), exposures, factors, ("style",) * 3, weights_v, basis)
    files = put_frame(served.platform.blobs, frame)
    with served.platform.store.write() as connection:
        rounds.add_round(connection, record)
        for name, sha in files.items():
            rounds.set_artifact(connection, record.key, name, sha)
    served.clock.advance_to(record.opens_at)
    return record.key
