"""One thread for linear algebra: this must run before NumPy is imported.

Two reasons. The bits of a product depend on how many threads made it, and published scores may not. And our matrices are
small: on a busy machine two threads that wait for each other made a singular value decomposition of 1,000 × 21 a hundred
times slower than one.
"""

import os
from collections.abc import MutableMapping

VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def use_one_blas_thread(environment: MutableMapping[str, str] = os.environ) -> None:
    """Ask the linear algebra libraries for one thread, unless the environment already says how many."""
    for name in VARIABLES:
        environment.setdefault(name, "1")
