"""Exposures with every defect that a projection must bear, and the measure of what it leaves."""

from collections.abc import Iterator

import numpy as np

N = 60
EXPOSURE_LEFT_MAX = 1e-10


def sectors(rng: np.random.Generator, n: int, k: int) -> np.ndarray:
    """Return dummies (n, k): each asset in one of k sectors."""
    return np.eye(k)[rng.integers(0, k, n)]


def degenerate_designs(rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Yield names and exposures of N assets."""
    normal = rng.normal(size=(N, 4))
    yield "constant columns", np.column_stack([normal, np.full(N, 7.0), np.zeros(N), np.full(N, 0.1)])
    yield "duplicates", np.column_stack([normal, normal[:, 0], -3 * normal[:, 1]])
    yield "sums", np.column_stack([normal, normal[:, 0] + normal[:, 1] * 1e-3])
    yield "all sectors", sectors(rng, N, 7)
    yield "one asset a sector", np.eye(N)
    yield "one asset a sector but two", np.eye(N)[:, : N - 2]
    yield "more factors than assets", rng.normal(size=(N, 3 * N))
    yield "no factor", np.zeros((N, 0))
    yield "only zeros", np.zeros((N, 3))
    yield "huge and tiny scales", normal * np.array([1e12, 1e-12, 1.0, 1e150])
    yield "nearly equal columns", np.column_stack([normal, normal[:, 0] + 1e-9 * rng.normal(size=N)])
    yield "barely equal columns", np.column_stack([normal, normal[:, 0] + 1e-13 * rng.normal(size=N)])
    yield "large mean", normal + 1e8
    yield "powers", np.vander(np.linspace(0, 1, N), 25)


def assert_nothing_left(residual: np.ndarray, exposures: np.ndarray) -> None:
    """Check that |b'r| is at most 1e-10 of |b| |r| for each column b of the exposures and for an intercept."""
    design = np.column_stack([np.ones(len(exposures)), exposures])
    scale = np.linalg.norm(residual)
    for column in design.T:
        peak = np.abs(column).max()
        if scale > 0 and peak > 0:
            b = column / peak
            assert abs(b @ residual) <= EXPOSURE_LEFT_MAX * np.linalg.norm(b) * scale
