"""One upload of 5,000 rows, bytes to verdict, beside numerai-tools; and the files that are made to hurt.

The peer reads with pandas, validates (headers, identifiers, values) and cleans (join, rank, fill), which is what our verdict
holds: both vectors are compared. Ours gives every finding with its row and hashes the bytes, too. Neither stores anything.
"""

import io
from functools import partial
from statistics import median
from typing import Any

from benchmarks.harness import SEED, contend, repeat, show, table

ROWS = 5_000
REPEATS = 41
HOSTILE = range(16, 22)
"""Numbers of the corpus: too large, too many rows, fields of megabytes, 100,000 columns, archives in disguise."""


def _upload() -> tuple[bytes, tuple[str, ...]]:
    import numpy as np

    labels = tuple(f"T{i:05d} US" for i in range(ROWS))
    rng = np.random.default_rng(SEED)
    order, values = rng.permutation(ROWS), rng.random(ROWS)
    rows = "".join(f"{labels[i]},{float(values[i])!r}\n" for i in order)
    return f"ticker,signal\n{rows}".encode(), labels


def ours() -> dict[str, Any]:
    """Judge the clean file."""
    from crowdalpha.terms import ScoringTerms
    from signals.parse import SIGNALS_FORMAT
    from signals.submission import judge

    data, labels = _upload()
    terms = ScoringTerms(kinds=("corr",), ids_min=100)
    seconds, verdict = repeat(lambda: judge(data, SIGNALS_FORMAT, labels, terms), REPEATS)
    return {**seconds, "values": verdict.signal.values.tolist()}


def numerai() -> dict[str, Any]:
    """Read, validate and clean the same file with numerai-tools."""
    import pandas as pd
    from numerai_tools.submissions import clean_submission, validate_submission_signals

    data, labels = _upload()
    universe = pd.DataFrame({"ticker": labels})

    def verdict() -> Any:
        frame = pd.read_csv(io.BytesIO(data))
        id_column, value_column, _, kept, _ = validate_submission_signals(universe, frame)
        return clean_submission(universe, kept, id_column, value_column, rank_and_fill=True)

    seconds, values = repeat(verdict, REPEATS)
    return {**seconds, "values": values.loc[list(labels)].tolist()}


def ours_hostile() -> dict[str, Any]:
    """Judge the files that are made to hurt, one after the other."""
    from signals.submission import judge
    from tests.corpus.uploads import SCORING, UPLOADS

    cases = [(u.name, u.make(), u.fmt, u.universe) for u in UPLOADS if int(u.name[:2]) in HOSTILE]
    each = {}
    for name, data, fmt, ids in cases:
        seconds, _ = repeat(partial(judge, data, fmt, ids, SCORING))
        each[name] = median(seconds["wall"])
    seconds, _ = repeat(lambda: [judge(data, fmt, ids, SCORING) for _, data, fmt, ids in cases])
    worst = max(each, key=lambda name: each[name])
    return {**seconds, "files": len(cases), "worst": worst, "worst_seconds": each[worst]}


def main() -> None:
    """Print the table, and what the hostile files cost."""
    mine = contend("crowdalpha, judge", "upload", "ours")
    theirs = contend("numerai-tools, validate + clean", "upload", "numerai")
    hostile = contend("crowdalpha, hostile files", "upload", "ours_hostile")
    apart = max(abs(a - b) for a, b in zip(mine.found["values"], theirs.found["values"], strict=True))
    worst = hostile.found["worst_seconds"] / mine.seconds
    notes = [
        f"The two vectors differ by {apart:.1e} at most.",
        (
            f"Of {hostile.found['files']} hostile files the slowest is '{hostile.found['worst']}': {worst:.1f} times a clean "
            f"upload. Judging them all, one process peaks at {hostile.peak_bytes / 1e6:.0f} MB, the files included."
        ),
    ]
    packages = ("pandas", "numerai-tools")
    show("One upload, 5,000 rows", "python -m benchmarks.upload", table([mine, theirs]), packages=packages, notes=notes)


if __name__ == "__main__":
    main()
