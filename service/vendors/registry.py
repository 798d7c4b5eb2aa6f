"""Opens a source by its name, with the platform's settings, clock and folders."""

from pathlib import Path

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.context import Platform
from service.vendors.source import PriceSource


def open_source(platform: Platform, name: str, folder: Path | None = None, seed: int = 0) -> PriceSource:
    """Return the source ``name``.

    Parameters
    ----------
    name : str
        ``parquet``, ``csv``, ``synthetic`` or ``yfinance``.
    folder : Path, optional
        Of ``parquet`` and ``csv``: the folder or file.
    seed : int
        Of ``synthetic``: which market.

    Raises
    ------
    Unavailable
        ``prices_missing`` when there is no such file.
    InputRejected
        ``request_invalid`` for another name, or without a folder where one is needed.
    """
    if name == "yfinance":
        return _yahoo(platform)
    if name == "synthetic":
        from market.synthetic import SyntheticSpec
        from service.vendors.synthetic import SyntheticSource

        return SyntheticSource(SyntheticSpec(seed=seed))
    if name not in {"parquet", "csv"} or folder is None:
        raise InputRejected(Code.REQUEST_INVALID, f"There is no source {name[:40]!r}, or it needs a folder.")
    from service.vendors.folder import FolderSource

    return FolderSource(folder, name)


def _yahoo(platform: Platform) -> PriceSource:
    from service.vendors.pace import Backoff, TokenBucket
    from service.vendors.yahoo import YahooSource

    settings = platform.settings.vendors
    return YahooSource(
        platform.home.data / "yfinance",
        platform.clock.now,
        TokenBucket(settings.requests_per_second),
        # Each client draws waits of its own, so that two platforms behind one address do not march in step.
        Backoff(np.random.default_rng()),
        part_tickers=settings.part_tickers,
        attempts_max=settings.attempts_max,
        timeout_seconds=settings.timeout_seconds,
    )
