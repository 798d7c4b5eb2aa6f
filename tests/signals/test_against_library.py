"""A thousand random rounds score as the field's library scores them, kind by kind, and are refused where it refuses them.

Independent source: numerai-tools 0.7.2, called here (tests/builders/library.py) on tables with ties, constants, gaps, missing
and unsorted labels, some of them cut to the edge of the overlap rule (tests/builders/rounds.py). Tolerance 1e-12; where the
library has no score, for a constant, ours is 0, and 1 for a churn.
"""

import warnings

import numerai_tools.scoring as scoring
import numerai_tools.signals as over_time
import numpy as np
import pandas as pd
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.neutralizers import condensed
from signals import score_frame
from signals.churn import RoundSignal, churn, max_churn_and_turnover, mean_neutral_churn, retention
from signals.scores import corr, fnc, mmc, neutral_corr, neutral_mmc
from signals.sides import NEEDS
from tests.builders.library import KINDS, Refused, by_library
from tests.builders.rounds import LabelledRound, labelled_round, signal
from tests.builders.rounds import target as draw_target

SEED = 2_017
ROUNDS = 1_000
TOLERANCE = 1e-12

BOOKS = ("neutralizers", "sample_weights")
SIDES = {
    **{kind: tuple("neutralizers" if need == "exposures" else need for need in needs) for kind, needs in NEEDS.items()},
    "max_feature_corr": ("features",),
    "churn": ("previous",),
    "turnover": (*BOOKS, "previous", "previous_neutralizers", "previous_sample_weights"),
    "neutral_churn": ("neutralizers", "previous", "previous_neutralizers"),
    "retention": ("neutralizers", "previous", "previous_neutralizers"),
}
"""What must be given for a kind to be in the frame."""
OF_NO_ORDER = dict.fromkeys(KINDS, 0.0) | {"churn": 1.0, "neutral_churn": 1.0, "retention": retention(1.0, 0.1, 10.0)}


def expected(given: LabelledRound, kinds: tuple[str, ...]) -> dict[str, np.ndarray] | None:
    """The library's scores, or None where it refuses one of the kinds."""
    try:
        found = by_library(given, kinds)
    except Refused:
        return None
    return {kind: np.where(np.isnan(values), OF_NO_ORDER[kind], values) for kind, values in found.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_random_rounds_score_as_in_the_library_and_are_refused_as_there(kind: str) -> None:
    seed = [SEED, list(KINDS).index(kind)]
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    refused, edges = 0, ("predictions", "target", *(side for side in SIDES[kind] if side != "stakes"))
    for i in range(-(-ROUNDS // len(KINDS))):
        given = labelled_round(rng, edges)
        sides = {name: side for name, side in given.sides().items() if name in SIDES[kind]}
        # One refused kind refuses the whole frame, so that at the edge all kinds in it must be asked for.
        allowed = tuple(other for other, needs in SIDES.items() if set(needs) <= set(sides))
        theirs = expected(given, allowed if given.narrow else (kind,))
        if theirs is None:
            refused += 1
            with pytest.raises(InputRejected) as refusal:
                score_frame(given.predictions, given.target, **sides)
            assert refusal.value.code is Code.COVERAGE_TOO_LOW
            assert {finding.code for finding in refusal.value.findings} == {Code.ID_MISSING}
            continue
        ours = score_frame(given.predictions, given.target, **sides)
        assert list(ours.index) == list(given.predictions.columns)
        for name, scores in theirs.items():
            assert np.max(np.abs(ours[name] - scores)) <= TOLERANCE, (i, name, given.narrow)
    assert 0 < refused < ROUNDS // len(KINDS) // 3


def whole_round(rng: np.random.Generator, n: int, m: int = 2, manner: str = "smooth") -> dict:
    """Tables without a gap on one sorted index, as arrays and as the library wants them."""
    labels = [f"A{i:04d}" for i in range(n)]
    hidden = rng.normal(size=n)
    return {
        "p": pd.DataFrame({f"m{i}": signal(rng, hidden, manner) for i in range(m)}, index=labels),
        "t": pd.Series(draw_target(rng, hidden), index=labels, name="target"),
        "m": pd.Series(hidden + rng.normal(size=n), index=labels, name="meta"),
        "f": pd.DataFrame(rng.normal(size=(n, 4)), index=labels).add_prefix("f"),
        "v": pd.Series(rng.uniform(0.2, 2.0, n), index=labels, name="weight"),
    }


def test_scores_of_extremes_equal_the_library() -> None:
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    for manner in ("smooth", "rounded", "two values") * 6:
        n = int(rng.integers(20, 300))
        given = whole_round(rng, n, manner=manner)
        p, t, m, f = (given[name] for name in "ptmf")
        rows, top = p.to_numpy().T, int(rng.integers(2, n // 2 + 1))
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            pairs = {
                "corr": (corr(rows, t.to_numpy(), top_bottom=top), scoring.numerai_corr(p, t, top_bottom=top)),
                "returns": (
                    corr(rows, t.to_numpy(), top_bottom=top, stress_target=False),
                    scoring.numerai_corr(p, t, top_bottom=top, target_pow15=False),
                ),
                "mmc": (
                    mmc(rows, m.to_numpy(), t.to_numpy(), top_bottom=top),
                    scoring.correlation_contribution(p, m, t, top_bottom=top),
                ),
                "neutral_corr": (
                    neutral_corr(rows, f.to_numpy(), t.to_numpy(), top_bottom=top),
                    scoring.neutral_correlation(p, f, t, top_bottom=top),
                ),
                "neutral_mmc": (
                    neutral_mmc(rows, m.to_numpy(), f.to_numpy(), t.to_numpy(), top_bottom=top),
                    scoring.neutral_contribution(p, m, f, t, top_bottom=top),
                ),
                "fnc": (
                    fnc(rows, f.to_numpy(), t.to_numpy(), top_bottom=top),
                    scoring.feature_neutral_corr(p, f, t, top_bottom=top),
                ),
            }
            changed = churn(rows[0], rows[1], top_bottom=top), over_time.churn(p["m0"], p["m1"], top_bottom=top)
        for kind, (ours, theirs) in pairs.items():
            assert np.max(np.abs(ours - np.nan_to_num(theirs.to_numpy(), nan=0.0))) <= TOLERANCE, (kind, manner, n, top)
        assert abs(changed[0] - changed[1]) <= TOLERANCE


def history(rng: np.random.Generator, count: int = 5, moved: int = 6) -> list[dict]:
    """Files of one model over several rounds, each with its round's universe, neutralizers and weights."""
    kept = [f"A{i:04d}" for i in range(150)]
    opinion = pd.Series(rng.normal(size=150), index=kept)
    rounds = []
    for step in range(count + 1):
        kept = [*kept[moved:], *(f"Z{step}{i:03d}" for i in range(moved))]
        opinion = opinion.reindex(kept).fillna(0.0) + 0.3 * rng.normal(size=150)
        index = pd.Index(sorted(kept), name="ticker")
        weights = pd.Series(rng.uniform(0.2, 2.0, 150), index=index, name="weight")
        factors = pd.DataFrame(condensed(rng.normal(size=(150, 5)), weights.to_numpy()), index=index)
        sent = opinion.rank(pct=True).sort_index().rename_axis("ticker").rename("signal").clip(0.01, 0.99)
        # Some assets are left out of the file: they stand in the middle.
        rounds.append({"sent": sent.drop(rng.choice(sent.index, 8, replace=False)), "factors": factors, "weights": weights})
    return rounds


def round_signal(one: dict) -> RoundSignal:
    """What our platform makes of such a file."""
    ranks = scoring.tie_kept_rank(one["sent"].reindex(one["weights"].index)).fillna(0.5)
    return RoundSignal(list(ranks.index), ranks.to_numpy(), one["factors"].to_numpy(), one["weights"].to_numpy())


def by_dates(rounds: list[dict]) -> tuple[dict, dict, dict]:
    """Former rounds as the library wants them."""
    names = [f"d{i}" for i in range(len(rounds))]
    return tuple(dict(zip(names, (r[part] for r in rounds), strict=True)) for part in ("sent", "factors", "weights"))


def test_changes_over_several_rounds_equal_the_library() -> None:
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    for moved in (0, 3, 6, 12, 40):
        *former, now = history(rng, moved=moved)
        current, earlier = round_signal(now), [round_signal(r) for r in former]
        given = (now["sent"], now["factors"], now["weights"], *by_dates(former))
        ours = max_churn_and_turnover(current, earlier)
        theirs = over_time.calculate_max_churn_and_turnover(*given)
        # Where the library says that everything changed, for want of history, we say that there is none.
        assert np.max(np.abs(np.subtract((1.0, 1.0) if ours is None else ours, theirs))) <= TOLERANCE
        mean = mean_neutral_churn(current, earlier)
        assert abs((1.0 if mean is None else mean) - over_time.calculate_mean_neutral_churn(*given)) <= TOLERANCE
        assert (ours is None) is (mean is None) is (moved == 40)
