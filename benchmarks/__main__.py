"""All benchmarks of speed, one after the other: ``python -m benchmarks``. Half an hour on a machine that does nothing else.

Those of judgement (backtests, ensemble, factors, linkage, quality, riskmodel) need files of real prices and are run by name.
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
