"""Rows in blocks, on one thread or on several: sorting, looking up and summing leave the interpreter free meanwhile."""

from collections.abc import Callable, Iterator

ROWS = 16
"""Models a block: what one thread works on stays near its processor's cache, and memory stays bounded."""


def each_block(count: int, work: Callable[[Iterator[slice]], None], workers: int = 1, rows: int = ROWS) -> None:
    """Have all blocks of ``count`` rows worked through.

    Parameters
    ----------
    count : int
        Number of rows.
    work : callable
        Called once a thread, with an iterator over the blocks that fall to it: slices of at most ``rows`` rows, no two of
        which overlap. It writes what it finds for a block into places of that block's own.
    workers : int
        Threads. Which block falls to which is not promised.
    rows : int
        Rows of a block.

    Examples
    --------
    >>> each_block(5, lambda parts: print([(part.start, part.stop) for part in parts]), rows=2)
    [(0, 2), (2, 4), (4, 5)]
    """
    # One iterator for all: the next block goes to whoever is free.
    parts = iter([slice(lo, min(lo + rows, count)) for lo in range(0, count, rows)])
    if workers <= 1 or count <= rows:
        work(parts)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(work, parts) for _ in range(workers)]:
            done.result()
