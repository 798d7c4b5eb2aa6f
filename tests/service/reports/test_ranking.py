"""Goal: standings are means of what was published, missing rounds as zero. Method: random tournaments beside a twin in pandas
that fills a table of rounds × models with zeros and averages it in floats; small cases by hand."""

import random
from fractions import Fraction

import pandas as pd
import pytest

from service.reports.ranking import (
    ROUNDS_MIN,
    SettledLine,
    provider_reputations,
    reputations,
    returns_on_stake,
    season,
    title_of,
)

TOKEN = 10**18


def invented(rng: random.Random, rounds: int, models: int) -> tuple[list[str], list[SettledLine]]:
    """Return rounds and lines; about a third of the files is missing, and a quarter of the models has no stake."""
    ids = [f"signals-{i}" for i in range(1, rounds + 1)]
    lines = []
    for round_id in ids:
        for m in range(models):
            if rng.random() < 0.35:
                continue
            stake = 0 if rng.random() < 0.25 else rng.randrange(1, 50) * TOKEN
            at_risk = stake // rng.choice((1, 2))
            scores = {"corr": rng.randrange(-(10**8), 10**8), "mmc": rng.randrange(-(10**7), 10**7)}
            payout = rng.randrange(-at_risk // 20, at_risk // 20 + 1) if at_risk else 0
            lines.append(SettledLine(round_id, f"m{m}", f"p{m % 4}", scores, stake, at_risk, payout))
    return ids, lines


def frame(lines: list[SettledLine], kind: str) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "round": x.round_id, "model": x.model_id, "provider": x.provider_id, "score": float(x.scores_ppb[kind]),
                "stake": float(x.stake_atoms), "at_risk": float(x.at_risk_atoms), "payout": float(x.payout_atoms),
            }
            for x in lines
        ]
    )  # fmt: skip


def test_reputations_and_returns_are_those_of_a_table_filled_with_zeros() -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed: {seed}")
    rng = random.Random(seed)
    for _ in range(60):
        ids, lines = invented(rng, rng.randint(1, 30), rng.randint(1, 9))
        if not lines:
            continue
        for kind in ("corr", "mmc"):
            table = frame(lines, kind)
            wide = table.pivot_table(index="round", columns="model", values="score").reindex(ids).fillna(0.0)
            own = reputations(ids, lines, kind)
            assert {m: float(v) for m, v in own.items()} == pytest.approx(wide.mean().to_dict(), abs=1e-3)
            table["product"] = table["score"] * table["at_risk"]
            sums = table.groupby(["provider", "round"])[["product", "at_risk"]].sum()
            mean = (sums["product"] / sums["at_risk"]).where(sums["at_risk"] > 0, 0.0)
            expected = mean.unstack("provider").reindex(ids).fillna(0.0).mean().to_dict()
            found = provider_reputations(ids, lines, kind)
            assert {p: float(v) for p, v in found.items()} == pytest.approx(expected, abs=1e-3)
        staked = frame(lines, "corr").query("at_risk > 0").groupby("model")
        expected = (staked["payout"].sum() / staked["stake"].mean()).to_dict()
        assert {m: float(v) for m, v in returns_on_stake(lines).items()} == pytest.approx(expected, rel=1e-12)


def test_a_round_that_was_missed_counts_zero_and_one_elsewhere_nothing() -> None:
    lines = [SettledLine("signals-1", "m", "p", {"corr": 6}), SettledLine("signals-9", "m", "p", {"corr": 600})]
    assert reputations(["signals-1", "signals-2", "signals-3"], lines, "corr") == {"m": Fraction(2)}
    assert reputations(["signals-1"], lines, "mmc") == {"m": Fraction(0)}


def test_an_unstaked_model_gives_its_provider_no_reputation() -> None:
    lines = [
        SettledLine("r", "a", "p", {"corr": 100}, 4, 4),
        SettledLine("r", "b", "p", {"corr": 900}),
        SettledLine("r", "c", "q", {"corr": 900}),
    ]
    assert provider_reputations(["r"], lines, "corr") == {"p": Fraction(100), "q": Fraction(0)}


def season_lines(provider: str, rounds: int, score: int, at_risk: int = TOKEN) -> list[SettledLine]:
    return [
        SettledLine(f"signals-{i}", f"model-{provider}", provider, {"corr": score}, at_risk, at_risk) for i in range(rounds)
    ]


def test_a_season_ranks_those_who_qualify_and_lists_the_others_behind() -> None:
    ids = [f"signals-{i}" for i in range(30)]
    lines = [
        *season_lines("steady", 30, 10),
        *season_lines("equal", 30, 10),
        *season_lines("late", ROUNDS_MIN, 9),
        *season_lines("short", ROUNDS_MIN - 1, 10**6),
        *season_lines("small", 30, 10**6, TOKEN - 1),
        *season_lines("last", 30, -5),
    ]
    board = season(ids, lines, "corr")
    assert [(s.provider_id, s.rank, s.title) for s in board] == [
        ("equal", 1, "grandmaster"),
        ("steady", 1, "grandmaster"),
        ("late", 3, "master"),
        ("last", 4, "master"),
        ("small", None, ""),
        ("short", None, ""),
    ]
    by_name = {s.provider_id: s for s in board}
    assert by_name["late"].score_ppb == Fraction(9 * ROUNDS_MIN, 30)
    assert by_name["small"].rounds_at_risk == 0
    assert by_name["short"].rounds_at_risk == ROUNDS_MIN - 1


def test_equal_scores_share_the_lower_rank_as_pandas_ranks_them() -> None:
    ids = [f"signals-{i}" for i in range(ROUNDS_MIN)]
    scores = {f"p{i:02}": i * 7 % 5 for i in range(40)}
    board = season(ids, [line for p, score in scores.items() for line in season_lines(p, ROUNDS_MIN, score)], "corr")
    expected = pd.Series(scores).rank(method="min", ascending=False).astype(int).to_dict()
    assert {s.provider_id: s.rank for s in board} == expected


@pytest.mark.parametrize(
    ("rank", "title"),
    [(1, "grandmaster"), (2, "master"), (10, "master"), (11, "expert"), (100, "expert"), (101, "contributor"), (None, "")],
)
def test_titles_go_with_ranks(rank: int | None, title: str) -> None:
    assert title_of(rank) == title
