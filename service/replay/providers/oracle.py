"""The oracle: knows the generated market's future, through thick noise. It shows that the fund earns where there is skill.

It is the one provider that sees more than a view, so it is named for what it is wherever it appears, and it refuses any market
that was not generated. Its noise stays with an asset from round to round: fresh noise would be churn, and skill that jumps
about is not retained.
"""

from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from market.arrays import FloatArray
from service.replay.providers.window import StrategyInput

if TYPE_CHECKING:
    from market.panel import PointInTimePanel

ORACLE_NAME = "oracle_synthetic"
SYNTHETIC = "synthetic"
"""The source that a generated panel names."""


def oracle(data: StrategyInput, panel: "PointInTimePanel") -> FloatArray:
    """Return the members' returns to come, under noise.

    Parameters
    ----------
    data : StrategyInput
        The round; its last visible session is s₀.
    panel : PointInTimePanel
        The whole generated market, its future included.

    Returns
    -------
    (assets,) float64

    Raises
    ------
    InputRejected
        ``request_invalid`` for a panel that was not generated.
    """
    from market.synthetic import oracle_scores

    noise = np.random.default_rng(crc32(ORACLE_NAME.encode()))
    everyone = np.arange(len(panel.assets))
    scores: FloatArray = oracle_scores(panel, data.view.last_session, everyone, noise)[data.members]
    return scores
