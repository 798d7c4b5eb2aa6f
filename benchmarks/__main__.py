"""All benchmarks, one after the other: ``python -m benchmarks``. Half an hour on a machine that does nothing else."""

from benchmarks import commands, day, diagnose, exposures, rebalance, scores, twin, upload, weekly


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
    exposures.main([])


if __name__ == "__main__":
    main()
