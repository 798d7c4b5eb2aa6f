"""The crowd of a replay: who takes part, with which strategy, stake and manners.

It holds tables and nothing else; ``uploads.py`` turns them into files. The same seed gives the same members and stakes. Most
members are honest, and honest strategies may well be worthless; noise shows that luck does not pay, mirrors and clones that
copying does not, and the careless that the platform bears bad files.
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal
from zlib import crc32

import numpy as np

from crowdalpha.ids import Tournament
from service.replay.providers.blend import blend
from service.replay.providers.classic import ClassicStrategy
from service.replay.providers.feature_vote import feature_mean, feature_vote
from service.replay.providers.high_52_weeks import high_52_weeks
from service.replay.providers.illiquidity import illiquidity
from service.replay.providers.lottery import lottery
from service.replay.providers.low_beta import low_beta
from service.replay.providers.low_volatility import low_volatility
from service.replay.providers.momentum import momentum
from service.replay.providers.noise import classic_noise, noise
from service.replay.providers.oracle import ORACLE_NAME, SYNTHETIC, oracle
from service.replay.providers.residual_momentum import residual_momentum
from service.replay.providers.reversal import reversal
from service.replay.providers.ridge import ridge
from service.replay.providers.ridge_committee import ridge_committee
from service.replay.providers.seasonality import seasonality
from service.replay.providers.sector_momentum import sector_momentum
from service.replay.providers.skewness import skewness
from service.replay.providers.small import small
from service.replay.providers.steady_trend import steady_trend
from service.replay.providers.tug_of_war import tug_of_war
from service.replay.providers.volume_trend import volume_trend
from service.replay.providers.window import Strategy

if TYPE_CHECKING:
    from market.panel import PointInTimePanel

Habit = Literal["careful", "late", "malformed", "wrong_round", "skips"]

STAKE_TOKENS_MIN, STAKE_TOKENS_MAX = 50, 2000
STAKE_STEP_TOKENS = 5
"""People stake round sums."""


@dataclass(frozen=True, slots=True)
class Member:
    """One model of the crowd.

    Attributes
    ----------
    provider_name, model_name : str
        Account and model, as they are created on the platform.
    tournament : Tournament
        Where the model takes part.
    stake_tokens : str
        What is put behind the model at the start, in tokens.
    strategy, classic_strategy : callable or None
        What makes the numbers; the one of the model's tournament. Both None for a clone and a mirror.
    clone_of, mirror_of : str or None
        Name of the original in the same tournament.
    habit : str
        ``careful``, ``late``, ``malformed``, ``wrong_round`` or ``skips``.
    """

    provider_name: str
    model_name: str
    tournament: Tournament
    stake_tokens: str
    strategy: Strategy | None = None
    classic_strategy: ClassicStrategy | None = None
    clone_of: str | None = None
    mirror_of: str | None = None
    habit: Habit = "careful"


# Provider, model, strategy, habit.
SIGNALS: tuple[tuple[str, str, Strategy, Habit], ...] = (
    ("momentum", "momentum", momentum, "careful"),
    ("momentum", "momentum_half_year", partial(momentum, sessions=126), "careful"),
    ("trend_works", "residual_momentum", residual_momentum, "careful"),
    ("trend_works", "steady_trend", steady_trend, "careful"),
    ("contrarian", "reversal_month", reversal, "careful"),
    ("contrarian", "reversal_week", partial(reversal, sessions=5), "careful"),
    ("quiet_capital", "low_volatility", low_volatility, "careful"),
    ("quiet_capital", "low_beta", low_beta, "careful"),
    ("peak_research", "high_52_weeks", high_52_weeks, "careful"),
    ("thin_markets", "illiquidity", illiquidity, "careful"),
    ("thin_markets", "small", small, "careful"),
    ("sector_desk", "sector_momentum", sector_momentum, "careful"),
    ("tape_readers", "volume_trend", volume_trend, "careful"),
    ("tape_readers", "tug_of_war", tug_of_war, "careful"),
    ("anti_lottery", "lottery", lottery, "careful"),
    ("anti_lottery", "skewness", skewness, "careful"),
    ("almanac", "seasonality", seasonality, "careful"),
    ("blenders", "blend_defensive", partial(blend, parts=(low_volatility, low_beta, lottery), taste=11), "careful"),
    ("blenders", "blend_trend", partial(blend, parts=(momentum, high_52_weeks, residual_momentum), taste=12), "careful"),
    (
        "kitchen_sink",
        "blend_everything",
        partial(blend, parts=(momentum, reversal, low_volatility, illiquidity, high_52_weeks), taste=13),
        "careful",
    ),
    ("kitchen_sink", "blend_slow", partial(blend, parts=(residual_momentum, skewness, low_beta, small), taste=14), "careful"),
    ("dice", "noise_amber", noise, "careful"),
    ("dice", "noise_birch", noise, "careful"),
    ("dice", "noise_cedar", noise, "careful"),
    ("absent_minded", "late_momentum", partial(momentum, sessions=189), "late"),
    ("absent_minded", "sometimes_quiet", partial(low_volatility, sessions=63), "skips"),
    ("clumsy", "broken_trend", partial(steady_trend, sessions=126), "malformed"),
    ("clumsy", "wrong_week_highs", partial(blend, parts=(high_52_weeks, low_beta), taste=15), "wrong_round"),
)

CLASSIC: tuple[tuple[str, str, ClassicStrategy, Habit], ...] = (
    ("ridge_house", "ridge_plain", ridge, "careful"),
    ("ridge_house", "ridge_stiff", partial(ridge, penalty=1.0), "careful"),
    ("ridge_house", "ridge_one_year", partial(ridge, penalty=0.3, eras=52), "careful"),
    ("subset_lab", "ridge_half_amber", partial(ridge, feature_share=0.5, taste=21), "careful"),
    ("subset_lab", "ridge_half_birch", partial(ridge, feature_share=0.5, taste=22), "careful"),
    ("subset_lab", "ridge_half_cedar", partial(ridge, penalty=0.5, feature_share=0.5, taste=23), "careful"),
    ("subset_lab", "ridge_third", partial(ridge, penalty=0.5, feature_share=0.34, taste=24), "careful"),
    ("quarter_horse", "ridge_half_year", partial(ridge, penalty=1.0, eras=26), "careful"),
    ("quarter_horse", "ridge_two_years", partial(ridge, penalty=0.2, eras=104, feature_share=0.8, taste=25), "careful"),
    ("committee", "committee_amber", partial(ridge_committee, taste=31), "careful"),
    ("committee", "committee_birch", partial(ridge_committee, feature_share=0.4, taste=41), "careful"),
    ("plain_minds", "feature_vote", feature_vote, "careful"),
    ("plain_minds", "feature_vote_year", partial(feature_vote, eras=52), "careful"),
    ("plain_minds", "feature_mean", feature_mean, "careful"),
    ("dice", "noise_dogwood", classic_noise, "careful"),
    ("dice", "noise_elm", classic_noise, "careful"),
    ("absent_minded", "late_ridge", partial(ridge, penalty=0.2, feature_share=0.6, taste=51), "late"),
    ("absent_minded", "sometimes_vote", partial(feature_vote, eras=26), "skips"),
    ("clumsy", "broken_ridge", partial(ridge, penalty=0.4, feature_share=0.6, taste=52), "malformed"),
    ("clumsy", "wrong_week_ridge", partial(ridge, penalty=0.6, feature_share=0.6, taste=53), "wrong_round"),
)

# Provider, model, tournament, original.
CLONES = (
    ("copycat", "clone_momentum", Tournament.SIGNALS, "momentum"),
    ("copycat", "clone_blend", Tournament.SIGNALS, "blend_defensive"),
    ("copycat", "clone_ridge", Tournament.CLASSIC, "ridge_plain"),
)
MIRRORS = (
    ("looking_glass", "mirror_momentum", Tournament.SIGNALS, "momentum"),
    ("looking_glass", "mirror_low_volatility", Tournament.SIGNALS, "low_volatility"),
    ("looking_glass", "mirror_ridge", Tournament.CLASSIC, "ridge_plain"),
)


def roster(market_source: str, seed: int, panel: "PointInTimePanel | None" = None) -> tuple[Member, ...]:
    """Return the crowd of a replay.

    Parameters
    ----------
    market_source : str
        Where the panel comes from; only ``synthetic`` gets the oracle.
    seed : int
        Seed of the stakes; the strategies are the same for every seed.
    panel : PointInTimePanel or None
        The whole panel, which nobody but the oracle is given; without it there is no oracle.

    Returns
    -------
    tuple of Member
        Originals before the clones and mirrors that name them; model names are unique over both tournaments.
    """
    stake = partial(_stake_tokens, seed)
    members = [
        Member(provider, model, Tournament.SIGNALS, stake(model), strategy=strategy, habit=habit)
        for provider, model, strategy, habit in SIGNALS
    ]
    members += [
        Member(provider, model, Tournament.CLASSIC, stake(model), classic_strategy=strategy, habit=habit)
        for provider, model, strategy, habit in CLASSIC
    ]
    members += [Member(provider, model, where, stake(model), clone_of=original) for provider, model, where, original in CLONES]
    members += [
        Member(provider, model, where, stake(model), mirror_of=original) for provider, model, where, original in MIRRORS
    ]
    if market_source == SYNTHETIC and panel is not None:
        seer = partial(oracle, panel=panel)
        members.append(Member("oracle", ORACLE_NAME, Tournament.SIGNALS, stake(ORACLE_NAME), strategy=seer))
    return tuple(members)


def _stake_tokens(seed: int, model_name: str) -> str:
    """Draw a model's stake, log-uniform: many small ones and a few large ones, as in real contests."""
    rng = np.random.default_rng([seed, crc32(model_name.encode())])
    tokens = np.exp(rng.uniform(np.log(STAKE_TOKENS_MIN), np.log(STAKE_TOKENS_MAX)))
    return str(max(STAKE_TOKENS_MIN, round(tokens / STAKE_STEP_TOKENS) * STAKE_STEP_TOKENS))
