"""A signal that says next to nothing has a verdict as a file, a score of every kind as a column, and no NaN in a payout.

Method: each odd signal is judged as an upload and scored beside ordinary ones by everything that the frame knows; what is
expected stands in the tables below, written by hand. Scores that equal the library's are in test_against_library.py.
"""

import numpy as np
import pandas as pd
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.terms import ATOMS_PER_TOKEN, PAYING_KINDS, PPB, PayoutTerms, ScoringTerms
from signals import judge, score_frame
from signals.parse import SIGNALS_FORMAT
from signals.prepared import prepare_round, score_prepared
from signals.quantize import retention_ppb, score_ppb
from staking import payout

N = 150
LABELS = [f"A{i:04d}" for i in range(N)]
AT = np.arange(N)
ORDERLESS = {
    "constant": np.full(N, 0.1),
    "all zero": np.zeros(N),
    "constant but for rounding": np.where(AT % 2, 0.1, 0.1 + 1.4e-17),
    "constant of large size": np.where(AT % 2, 1e15, 1e15 + 0.125),
}
ORDERED = {
    "two values": np.where(AT < 7, 0.2, 0.8),
    "one of two values once": np.where(AT == 7, 0.2, 0.8),
    "one huge outlier": np.where(AT == 3, 1e300, AT),
    "denormals": AT * 5e-324,
    "tiny steps": 0.5 + AT * 1e-13,
    "99 % ties": np.where(AT == 3, 0.7, np.where(AT == 99, 0.3, 0.5)),
    "both ends of float64": np.where(AT % 2, 1.7e308, -1.7e308) * ((AT + 1) / N),
}
VERDICTS = {
    "constant": Code.NO_VARIANCE,
    "all zero": Code.NO_VARIANCE,
    "constant but for rounding": Code.NO_VARIANCE,
    "constant of large size": Code.VALUE_RANGE,
    "one huge outlier": Code.VALUE_RANGE,
    "both ends of float64": Code.VALUE_RANGE,
}
"""Why a file is refused; the others are accepted."""
ODD = ORDERLESS | ORDERED
OF_CHANGES = {"churn": 1.0, "neutral_churn": 1.0, "turnover": 0.5}
"""What an orderless signal has beside an ordinary one: unrelated, and a book of its own size to sell."""


def beside(rng: np.random.Generator) -> dict:
    """Everything that a frame can be scored beside."""

    def series(name: str) -> pd.Series:
        return pd.Series(rng.normal(size=N), index=LABELS, name=name)

    def table() -> pd.DataFrame:
        return pd.DataFrame(rng.normal(size=(N, 3)), index=LABELS)

    sides = {name: table() for name in ("neutralizers", "features", "previous_neutralizers")}
    sides |= {name: series(name) for name in ("meta_model", "benchmark")}
    sides |= {name: series(name).abs() + 0.1 for name in ("sample_weights", "previous_sample_weights")}
    return sides


def framed(values: np.ndarray, *, former: bool = False) -> pd.DataFrame:
    """Every score of an odd signal, or of one whose former signal was odd."""
    rng = np.random.default_rng(17)
    ordinary = pd.DataFrame(rng.normal(size=(N, 2)), index=LABELS, columns=["odd", "ordinary"])
    target = pd.Series(rng.choice([0.0, 0.25, 0.5, 0.75, 1.0], N), index=LABELS, name="target")
    odd = ordinary.assign(odd=values)
    now, then = (ordinary, odd) if former else (odd, ordinary)
    return score_frame(now, target, **beside(rng), stakes=pd.Series({"odd": 2.0, "ordinary": 1.0}), previous=then)


@pytest.mark.parametrize("name", ODD)
def test_odd_signal_has_a_finite_score_of_every_kind(name: str) -> None:
    for former in (False, True):
        found = framed(ODD[name], former=former)
        assert len(found.columns) == 16
        assert np.isfinite(found).all().all()
        if name in ORDERLESS:
            for kind, expected in OF_CHANGES.items():
                assert found.loc["odd", kind] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ORDERLESS)
def test_signal_without_an_order_scores_zero_of_every_kind(name: str) -> None:
    found = framed(ORDERLESS[name])
    changes = [*OF_CHANGES, "retention"]
    assert (found.loc["odd"].drop(changes) == 0.0).all()
    assert (found.loc["ordinary"].drop([*changes, "max_model_corr", "mean_model_corr"]) != 0.0).drop("mpc").all()


@pytest.mark.parametrize("name", ODD)
def test_odd_signal_pays_a_whole_number_of_atoms(name: str) -> None:
    found = framed(ODD[name]).loc["odd"]
    terms = PayoutTerms(tuple((kind, PPB) for kind in PAYING_KINDS), PPB // 20, 10**6 * ATOMS_PER_TOKEN, 10**24)
    scores = {kind: score_ppb(float(found[kind])) for kind in PAYING_KINDS}
    paid = payout(ATOMS_PER_TOKEN, scores, retention_ppb(float(found["retention"])), ATOMS_PER_TOKEN, terms)
    assert type(paid) is int
    assert abs(paid) <= ATOMS_PER_TOKEN // 20
    assert (paid == 0) is (name in ORDERLESS)


@pytest.mark.parametrize("name", ODD)
def test_odd_file_has_its_verdict_and_an_accepted_one_its_scores(name: str) -> None:
    lines = [f"{label},{value!r}" for label, value in zip(LABELS, ODD[name].tolist(), strict=True)]
    data = "\n".join(["ticker,signal", *lines]).encode()
    verdict = judge(data, SIGNALS_FORMAT, LABELS, ScoringTerms(kinds=PAYING_KINDS))
    assert verdict.accepted is (name not in VERDICTS)
    if not verdict.accepted:
        assert VERDICTS[name] in {finding.code for finding in verdict.findings}
        return
    assert verdict.signal is not None
    rng = np.random.default_rng(18)
    ranks, exposures, meta = verdict.signal.values, rng.normal(size=(N, 4)), rng.normal(size=N)
    beside_it = {"features": exposures, "sample_weights": np.ones(N), "stakes": np.array([2.0, 1.0])}
    closed = prepare_round(np.stack([ranks, rng.normal(size=N)]), LABELS, ["odd", "ordinary"], exposures, meta, **beside_it)
    scores = score_prepared(closed, rng.choice([0.0, 0.25, 0.5, 0.75, 1.0], N), PAYING_KINDS)
    assert all(np.isfinite(scores[kind]).all() and scores[kind][0] != 0.0 for kind in PAYING_KINDS)
    assert framed(ranks).loc["odd"].to_numpy() == pytest.approx(framed(ODD[name]).loc["odd"].to_numpy(), abs=0.5)


@pytest.mark.parametrize("text", ["inf", "-inf", "nan", "1e999", "-1e999"])
def test_what_is_not_finite_is_refused_at_both_doors(text: str) -> None:
    values = np.linspace(0.01, 0.99, N)
    lines = [f"{label},{value!r}" for label, value in zip(LABELS, values.tolist(), strict=True)]
    lines[40] = f"{LABELS[40]},{text}"
    verdict = judge("\n".join(["ticker,signal", *lines]).encode(), SIGNALS_FORMAT, LABELS, ScoringTerms(kinds=("corr",)))
    assert [finding.code for finding in verdict.findings if finding.refuses] == [Code.VALUE_NOT_FINITE]
    if text == "nan":
        return  # in a table that is how an asset is left out
    values[40] = float(text)
    with pytest.raises(InputRejected) as refusal:
        framed(values)
    assert refusal.value.code is Code.VALUE_NOT_FINITE
