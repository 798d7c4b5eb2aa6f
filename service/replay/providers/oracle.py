"""The oracle: knows the generated market's future, through thick noise. It shows that the fund earns where there is skill.

It is the one provider that sees more than a view, so it is named for what it is wherever it appears, and refuses any market
that was not generated.
"""

from typing import TYPE_CHECKING

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import FloatArray
from service.replay.providers.window import StrategyInput

if TYPE_CHECKING:
    from market.panel import PointInTimePanel

ORACLE_NAME = "oracle_synthetic"
SYNTHETIC = "synthetic"
"""The source that a generated panel names."""


def oracle(data: StrategyInput, panel: "PointInTimePanel") -> FloatArray:
    """Return scores that know what comes.

    Raises
    ------
    InputRejected
        ``request_invalid`` for a panel that was not generated.
    """
    if panel.source != SYNTHETIC:
        raise InputRejected(Code.REQUEST_INVALID, "An oracle exists for the synthetic market only.")
    from market.synthetic import oracle_scores

    scores: FloatArray = oracle_scores(panel, data.view.last_session, data.members, data.rng)
    return scores
