"""All benchmarks of speed, one after the other: ``python -m benchmarks``. Half an hour on a machine that does nothing else.

Those of judgement (backtests, capacity, ensemble, factors, linkage, quality, riskmodel) are run by name; all but capacity
need files of real prices.
"""

from benchmarks import commands, day, diagnose, exposures, rebalance, resolution, scores, store, twin, upload, weekly


def main() -> None:
    """Print every table."""
    upload.main()
    scores.main([])
    day.main([])
    twin.main([])
    rebalance.main()
    weekly.main([])
    commands.main([])
    diagnose.main([])
    store.main([])
    exposures.main([])
    resolution.main([])


if __name__ == "__main__":
    main()
