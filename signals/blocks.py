"""Rows in blocks, on one thread or on several: sorting, looking up and summing leave the interpreter free meanwhile."""

from collections.abc import Callable

ROWS = 16
"""Models a block: what one thread works on stays near its processor's cache, and memory stays bounded."""


def each_block(count: int, work: Callable[[slice], None], workers: int = 1, rows: int = ROWS) -> None:
    """Call ``work`` for each slice of at most ``rows`` of ``count`` rows; no two overlap, and their order is not promised.

    Parameters
    ----------
    count : int
        Number of rows.
    work : callable
        Writes what it finds for its rows into places of its own.
    workers : int
        Threads.
    rows : int
        Rows of a block.

    Examples
    --------
    >>> seen = []
    >>> each_block(5, lambda part: seen.append((part.start, part.stop)), rows=2)
    >>> seen
    [(0, 2), (2, 4), (4, 5)]
    """
    parts = [slice(lo, min(lo + rows, count)) for lo in range(0, count, rows)]
    if workers <= 1 or len(parts) <= 1:
        for part in parts:
            work(part)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(workers) as pool:
        for done in pool.map(work, parts):
            del done  # taking the results raises what a block raised
