"""All benchmarks, one after the other: ``python -m benchmarks``. A quarter of an hour on a machine that does nothing else."""

from benchmarks import commands, diagnose, rebalance, scores, twin, upload


def main() -> None:
    """Print every table."""
    upload.main()
    scores.main()
    twin.main([])
    rebalance.main()
    commands.main([])
    diagnose.main([])


if __name__ == "__main__":
    main()
