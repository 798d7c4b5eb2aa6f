"""Goal: the checks take their limits from the mandate's hard figures, around its targets, and from the settings.

Method: a mandate by hand; what is expected is added up here."""

import pytest

from crowdalpha.codes import Code
from portfolio.mandate import Mandate
from portfolio.pretrade import CHECKS
from service.pretrade import check_limits
from service.settings import load_settings

MANDATE = Mandate(
    name="biased",
    gross_max=1.5,
    net_target=0.3,
    net_band=0.05,
    beta_target=0.25,
    beta_band=0.1,
    relaxation=("gross",),
    hard={"gross_max": 1.7},
)


def test_limits_are_the_hard_figures_with_the_slack_around_the_targets() -> None:
    settings = load_settings(env={}).with_overrides({"fund.orders.after_fill_slack": 0.01, "fund.orders.notices": "price_jump"})
    limits = check_limits(settings, MANDATE)
    assert (limits.gross_max, limits.net_max, limits.beta_max) == pytest.approx((1.71, 0.06, 0.11))
    assert (limits.net_target, limits.beta_target) == (0.3, 0.25)
    assert (limits.idle_sessions_max, limits.price_jump_max, limits.adv_share_max) == (5, 0.2, 0.1)
    assert limits.blocking == frozenset(CHECKS) - {Code.PRICE_JUMP}
