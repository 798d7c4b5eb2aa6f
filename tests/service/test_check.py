"""Goal: a check tells what an upload would meet and what the close would record, and leaves no trace.

Method: rounds on moving universes through the workflows; numbers by numerai-tools 0.7.2, NumPy and pandas from the files.
"""

import hashlib
import io
import json
import math
import sqlite3
from dataclasses import replace
from pathlib import Path

import numerai_tools.signals as oracle
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from numerai_tools import scoring
from scipy.stats import norm

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.ids import Tournament
from service.frames import get_book, get_frame, put_frame
from service.store import models, providers, rounds, scores, submissions
from service.workflows import accounts
from service.workflows import check as workflow
from service.workflows.check import check
from service.workflows.submit import submit
from service.workflows.void_round import void_round
from tests.builders.histories import close_latest, csv_of, drift, exposures_of, open_next, universe
from tests.builders.platforms import CLASSIC_OPEN, SIGNALS_OPEN, SIGNALS_RESOLVED, TICKERS, Served, serve_small

SIGNALS = Tournament.SIGNALS
MODEL = "alice_momentum"
OTHER = "bobby_reversal"


@pytest.fixture
def served(tmp_path: Path):
    made = serve_small(tmp_path / "home")
    yield made
    made.platform.store.dispose()


def lived(served: Served, weeks: int, others_noise: float = 0.5) -> None:
    """Let both models take part in the open round and in all but the last of so many further rounds."""
    for week in range(weeks):
        tickers = TICKERS if week == 0 else universe(week)
        close_latest(served, {MODEL: csv_of(drift(tickers, week)), OTHER: csv_of(drift(tickers, 50 + week, others_noise))})
        open_next(served, universe(week + 1), seed=week + 1)


def series(values: dict[str, float], tickers=None) -> pd.Series:
    found = pd.Series(values, name="signal")
    found.index.name = "ticker"
    return found if tickers is None else found.reindex(tickers)


def factors(tickers, seed: int) -> pd.DataFrame:
    """Return the first two factors: the third is their sum and adds nothing."""
    return pd.DataFrame(exposures_of(tickers, seed)[:, :2], index=pd.Index(tickers, name="ticker"))


def sample_weights(tickers) -> pd.Series:
    """Return the weights that the builders freeze with a round."""
    return pd.Series(np.linspace(0.5, 1.5, len(tickers)), index=pd.Index(tickers, name="ticker"))


def basis(table: pd.DataFrame) -> pd.DataFrame:
    """Return N with N'VN = I of an intercept and the factors."""
    root = np.sqrt(sample_weights(table.index).to_numpy())[:, None]
    return pd.DataFrame(np.linalg.qr(root * np.column_stack([np.ones(len(table)), table]))[0] / root, index=table.index)


def gauss(values: dict[str, float], tickers) -> np.ndarray:
    """Return quantiles of the ranks among the stocks of the file, gaps in the middle, ranked again."""
    ranked = (series(values, tickers).rank() - 0.5) / len(values)
    return norm.ppf((ranked.fillna(0.5).rank() - 0.5) / len(tickers))


def trace(served: Served) -> str:
    """Return the hash of every row and every file of the home."""
    with sqlite3.connect(served.platform.home.database) as connection:
        found = hashlib.sha256("\n".join(connection.iterdump()).encode())
    root = served.platform.home.rounds.parent
    for path in sorted(p for p in root.rglob("*") if p.is_file() and not p.name.startswith("crowdalpha.db")):
        found.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return found.hexdigest()


def model_id(served: Served, name: str) -> str:
    with served.platform.store.read() as connection:
        return models.model_by_name(connection, name).id


# The numbers


def test_without_a_model_exposures_and_the_explained_part_are_numpys(served: Served) -> None:
    close_latest(served, {})
    tickers = universe(1)
    key = open_next(served, tickers, seed=1)
    values = drift(tickers[:110], 1)
    outcome = check(served.platform, csv_of(values), SIGNALS)
    assert (outcome.round, outcome.on_time, outcome.verdict.accepted) == (key, True, True)
    assert outcome.verdict.coverage == 110 / 120
    g, columns = gauss(values, tickers), exposures_of(tickers, 1)
    neutral = outcome.figures["neutralization"]
    expected = [np.corrcoef(g, column)[0, 1] for column in columns.T]
    assert list(neutral["exposures"]) == ["beta", "size", "sum"]
    assert list(neutral["exposures"].values()) == pytest.approx(expected, abs=1e-12)
    strongest = int(np.argmax(np.abs(expected)))
    assert (neutral["against"], neutral["largest"]) == ("factors", ["beta", "size", "sum"][strongest])
    assert neutral["largest_exposure"] == pytest.approx(expected[strongest], abs=1e-12)
    design = np.column_stack([np.ones(120), columns[:, :2]])
    rest = g - design @ np.linalg.lstsq(design, g, rcond=None)[0]
    assert neutral["explained"] == pytest.approx(1 - rest.var() / g.var(), abs=1e-12)
    counts = pd.Series(values).value_counts()
    assert outcome.figures["values"] == {
        "given": 110,
        "distinct": len(counts),
        "effective": pytest.approx(110**2 / (counts**2).sum()),
        "largest_tie": counts.max() / 110,
    }
    assert outcome.figures["history"] is None
    assert outcome.figures["retention"] == {"rule": "neutral_churn", "retained": None}
    assert set(outcome.figures["notes"]) == {"history", "retention"}


@pytest.mark.parametrize(("weeks", "counted"), [(1, 1), (6, 5)])
def test_churn_and_turnover_are_numerais_over_the_last_five_rounds(served: Served, weeks: int, counted: int) -> None:
    lived(served, weeks)
    now = universe(weeks)
    values = drift(now, weeks)
    history = check(served.platform, csv_of(values), model_name=MODEL).figures["history"]
    former = {week: (TICKERS if week == 0 else universe(week)) for week in range(weeks)}
    last = range(weeks - counted, weeks)
    assert history["rounds"] == [f"signals-{2 + week}" for week in reversed(last)]
    # The open round of the small platform has factors of its own, the same for all its rounds.
    with served.platform.store.read() as connection:
        first = get_frame(connection, served.platform.blobs, SIGNALS_OPEN).exposures
    tables = {w: factors(t, w) if w else pd.DataFrame(first, index=pd.Index(t, name="ticker")) for w, t in former.items()}
    bases = {w: basis(table) for w, table in tables.items()}
    asked = {
        "curr_sub": series(values),
        "curr_sample_weight": sample_weights(now),
        "prev_subs": {str(w): series(drift(former[w], w)) for w in last},
        "prev_sample_weights": {str(w): sample_weights(former[w]) for w in last},
    }
    mean = oracle.calculate_mean_neutral_churn(
        curr_neutralizer=factors(now, weeks), prev_neutralizers={str(w): tables[w] for w in last}, **asked
    )
    assert history["mean_neutral_churn"] == pytest.approx(mean, abs=1e-12)
    largest = oracle.calculate_max_churn_and_turnover(
        curr_neutralizer=basis(factors(now, weeks)), prev_neutralizers={str(w): bases[w] for w in last}, **asked
    )
    assert (history["max_churn"], history["max_turnover"]) == pytest.approx(largest, abs=1e-12)
    before = former[weeks - 1]
    previous = oracle.neutral_churn(series(values), series(drift(before, weeks - 1)), factors(now, weeks), tables[weeks - 1])
    assert history["neutral_churn"] == pytest.approx(previous, abs=1e-12)


def test_the_correlation_is_with_the_last_public_meta_model_by_asset(served: Served) -> None:
    close_latest(served, {})
    tickers = universe(20)
    open_next(served, tickers, seed=1)
    values = drift(tickers, 1)
    found = check(served.platform, csv_of(values), SIGNALS).figures["meta_model"]
    with served.platform.store.read() as connection:
        raw = get_book(connection, served.platform.blobs, SIGNALS_RESOLVED).raw
    common = [t for t in tickers if t in TICKERS]
    stressed = scoring.tie_kept_rank__gaussianize__pow_1_5(series(values, common).to_frame())["signal"]
    expected = np.corrcoef(stressed, pd.Series(raw, index=list(TICKERS))[common])[0, 1]
    assert len(common) == 100
    assert found == {"round": "signals-1", "correlation": pytest.approx(expected, abs=1e-12)}


# What the close records is what the check foretold


@pytest.mark.parametrize("weeks", [0, 1, 6])
def test_the_close_records_the_churn_and_the_retention_that_the_check_told(served: Served, weeks: int) -> None:
    lived(served, weeks)
    tickers = universe(weeks)
    files = {MODEL: csv_of(drift(tickers, weeks)), OTHER: csv_of(drift(tickers[5:], 90, 0.1))}
    told = {name: check(served.platform, data, model_name=name).figures for name, data in files.items()}
    key = close_latest(served, files)
    with served.platform.store.read() as connection:
        recorded = {r.model_id: r for r in scores.retentions_of_round(connection, key)}
    for name, figures in told.items():
        record = recorded[model_id(served, name)]
        assert figures["history"]["neutral_churn"] == record.churn
        assert figures["retention"] == {"rule": "neutral_churn", "retained": record.retention_ppb / 1e9}
        assert (record.churn is None) == (weeks == 0)
    if weeks:
        assert min(f["retention"]["retained"] for f in told.values()) < 1.0


def test_under_terms_without_retention_everything_is_kept_whoever_asks(served: Served) -> None:
    lived(served, 1)
    path = served.platform.home.database
    terms = json.dumps(_terms_without_retention(served))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE rounds SET terms = ? WHERE tournament = 11 AND number = 3", (terms,))
    tickers = universe(1)
    data = csv_of(dict(zip(tickers, np.linspace(0.9, 0.1, 120).tolist(), strict=True)))
    for name in (None, MODEL):
        figures = check(served.platform, data, SIGNALS, name).figures
        assert figures["retention"] == {"rule": "none", "retained": 1.0}
        assert "retention" not in figures["notes"]
    assert figures["history"]["neutral_churn"] > 0.5
    with served.platform.store.read() as connection:
        record = rounds.latest_round(connection, SIGNALS)
    close_latest(served, {MODEL: data})
    with served.platform.store.read() as connection:
        (kept,) = scores.retentions_of_round(connection, record.key)
    assert (kept.churn, kept.retention_ppb) == (None, 10**9)


def _terms_without_retention(served: Served) -> dict:
    with served.platform.store.read() as connection:
        terms = json.loads(json.dumps(dict(rounds.latest_round(connection, SIGNALS).terms)))
    terms["payout"]["retention"] = "none"
    return terms


# What cannot be told is said in words


def test_a_first_file_has_no_history_and_keeps_everything(served: Served) -> None:
    figures = check(served.platform, csv_of(drift(TICKERS, 0)), model_name=MODEL).figures
    none = {"neutral_churn": None, "mean_neutral_churn": None, "max_churn": None, "max_turnover": None}
    assert figures["history"] == {"model": MODEL, "rounds": [], **none}
    assert figures["retention"]["retained"] == 1.0
    assert figures["notes"] == {"history": workflow.NO_EARLIER, "retention": workflow.NOBODY_HAS}


def test_a_new_name_counts_as_one_that_changed_wholly_once_others_have_files(served: Served) -> None:
    lived(served, 1)
    fresh = "alice_fresh"
    accounts.create_model(served.platform, "alice", fresh, SIGNALS)
    data = csv_of(drift(universe(1), 1))
    figures = check(served.platform, data, model_name=fresh).figures
    assert figures["history"]["neutral_churn"] is None
    by_hand = 2 / (1 + math.exp(10 * (1.0 - 0.2)))
    assert figures["retention"]["retained"] == pytest.approx(by_hand, abs=1e-9)
    assert figures["notes"]["retention"] == workflow.AS_CHANGED
    key = close_latest(served, {fresh: data, MODEL: data})
    with served.platform.store.read() as connection:
        kept = {r.model_id: r for r in scores.retentions_of_round(connection, key)}
    new, old = kept[model_id(served, fresh)], kept[model_id(served, MODEL)]
    assert (new.churn, new.retention_ppb) == (1.0, round(by_hand * 1e9))
    assert old.churn is not None
    assert old.churn < 1.0


def test_a_round_that_was_void_before_its_close_gave_nobody_a_file(served: Served) -> None:
    """One early file in a round that never closed would make newcomers of the next one count as changed wholly."""
    submit(served.platform, OTHER, csv_of(drift(TICKERS, 0)), "early.csv")
    with served.platform.store.read() as connection:
        first = rounds.latest_round(connection, SIGNALS)
    void_round(served.platform, first.key, "a broken universe")
    key = open_next(served, universe(1), seed=1)
    close_latest(served, {MODEL: csv_of(drift(universe(1), 1)), OTHER: csv_of(drift(universe(1), 9))})
    with served.platform.store.read() as connection:
        kept = scores.retentions_of_round(connection, key)
        assert submissions.earlier_selected(connection, model_id(served, OTHER), key, 5) == []
    assert [(r.churn, r.retention_ppb) for r in kept] == [(None, 10**9)] * 2


def test_a_file_of_years_ago_on_another_universe_spares_nobody_what_others_are_held_to(served: Served) -> None:
    close_latest(served, {MODEL: csv_of(drift(TICKERS, 0))})
    open_next(served, universe(25), seed=1)
    close_latest(served, {OTHER: csv_of(drift(universe(25), 1))})
    key = open_next(served, universe(26), seed=2)
    close_latest(served, {name: csv_of(drift(universe(26), 2)) for name in (MODEL, OTHER)})
    with served.platform.store.read() as connection:
        kept = {r.model_id: r.churn for r in scores.retentions_of_round(connection, key)}
    assert kept[model_id(served, MODEL)] == 1.0
    assert kept[model_id(served, OTHER)] < 1.0


def test_universes_that_share_too_little_are_not_compared(served: Served) -> None:
    close_latest(served, {MODEL: csv_of(drift(TICKERS, 0))})
    key = open_next(served, universe(25), seed=1)
    data = csv_of(drift(universe(25), 1))
    figures = check(served.platform, data, model_name=MODEL).figures
    assert figures["history"]["neutral_churn"] is None
    assert figures["history"]["max_turnover"] is None
    assert figures["retention"]["retained"] == 1.0
    assert figures["meta_model"] == {"round": "signals-1", "correlation": None}
    assert "signals-2" in figures["notes"]["history"]
    assert "signals-1," in figures["notes"]["meta_model"]
    close_latest(served, {MODEL: data})
    with served.platform.store.read() as connection:
        assert [(r.churn, r.retention_ppb) for r in scores.retentions_of_round(connection, key)] == [(None, 10**9)]


def test_without_a_public_meta_model_there_is_no_correlation(tmp_path: Path) -> None:
    made = serve_small(tmp_path / "home", publish_min_providers=3)
    figures = check(made.platform, csv_of(drift(TICKERS, 0)), SIGNALS).figures
    made.platform.store.dispose()
    assert figures["meta_model"] == {"round": None, "correlation": None}
    assert figures["notes"]["meta_model"] == workflow.NO_PUBLIC


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (csv_of(dict.fromkeys(TICKERS, 0.5)), Code.NO_VARIANCE),
        (csv_of(drift(TICKERS[:99], 0)), Code.ROWS_TOO_FEW),
        (b"", Code.FILE_EMPTY),
    ],
)
def test_a_refused_file_has_findings_and_no_figures(served: Served, data: bytes, code: Code) -> None:
    outcome = check(served.platform, data, model_name=MODEL)
    assert not outcome.verdict.accepted
    assert outcome.figures is None
    assert code in {f.code for f in outcome.verdict.findings}
    assert outcome.as_dict()["figures"] is None


def test_exactly_at_the_close_a_file_would_be_late(served: Served) -> None:
    data = csv_of(drift(TICKERS, 0))
    with served.platform.store.read() as connection:
        closes_at = rounds.latest_round(connection, SIGNALS).closes_at
    assert check(served.platform, data, SIGNALS).on_time
    served.clock.advance_to(closes_at)
    assert not check(served.platform, data, SIGNALS).on_time
    close_latest(served, {})
    assert not check(served.platform, data, SIGNALS).on_time


@pytest.mark.parametrize(
    ("tournament", "model", "code"),
    [
        (None, None, Code.REQUEST_INVALID),
        (Tournament.CLASSIC, MODEL, Code.REQUEST_INVALID),
        (None, "nobody_at_all", Code.MODEL_UNKNOWN),
    ],
)
def test_a_question_that_names_too_little_or_what_does_not_fit_is_refused(served: Served, tournament, model, code) -> None:
    with pytest.raises(InputRejected) as caught:
        check(served.platform, csv_of(drift(TICKERS, 0)), tournament, model)
    assert caught.value.code is code


# Secrecy


def test_a_model_of_another_provider_is_unknown(served: Served) -> None:
    with served.platform.store.read() as connection:
        bobby = providers.provider_by_name(connection, "bobby").id
    with pytest.raises(InputRejected) as caught:
        check(served.platform, csv_of(drift(TICKERS, 0)), model_name=MODEL, provider_id=bobby)
    assert caught.value.code is Code.MODEL_UNKNOWN


def test_nothing_is_written(served: Served) -> None:
    lived(served, 2)
    before = trace(served)
    for data in (csv_of(drift(universe(2), 2)), csv_of(dict.fromkeys(universe(2), 0.5))):
        check(served.platform, data, model_name=MODEL)
        check(served.platform, data, SIGNALS)
    check(served.platform, classic_file(served), Tournament.CLASSIC)
    assert trace(served) == before
    submit(served.platform, MODEL, csv_of(drift(universe(2), 2)), "a.csv")
    assert trace(served) != before, "the hash sees what an upload leaves"


def test_no_answer_depends_on_what_others_have_sent(tmp_path: Path) -> None:
    """The other's files differ on the two platforms, in rounds that have closed and in the one that is open."""
    told = []
    for noise in (0.1, 0.9):
        made = serve_small(tmp_path / f"home{noise}")
        lived(made, 2, others_noise=noise)
        submit(made.platform, OTHER, csv_of(drift(universe(2), 77, noise)), "other.csv")
        data = csv_of(drift(universe(2), 2))
        told.append([check(made.platform, data, SIGNALS, name).as_dict() for name in (None, MODEL)])
        made.platform.store.dispose()
    assert told[0] == told[1]


def classic_file(served: Served, seed: int = 5) -> bytes:
    with served.platform.store.read() as connection:
        labels = get_frame(connection, served.platform.blobs, CLASSIC_OPEN).labels
    values = np.random.default_rng(seed).uniform(0.01, 0.99, len(labels))
    return ("id,prediction\n" + "".join(f"{i},{v!r}\n" for i, v in zip(sorted(labels), values.tolist(), strict=True))).encode()


def test_a_classic_file_is_compared_with_the_published_features_alone(served: Served) -> None:
    data = classic_file(served)
    figures = check(served.platform, data, model_name="alice_ridge").figures
    with served.platform.store.read() as connection:
        live = served.platform.blobs.get(rounds.artifacts(connection, CLASSIC_OPEN)["live"])
    table = pq.read_table(io.BytesIO(live)).to_pandas().set_index("id")
    sent = pd.read_csv(io.BytesIO(data), index_col="id", dtype={"id": str})["prediction"]
    g = norm.ppf((sent.rank() - 0.5) / len(sent))
    features = table.loc[sent.index, ["feature_0", "feature_1", "feature_2"]]
    expected = {name: pytest.approx(np.corrcoef(g, column)[0, 1], abs=1e-12) for name, column in features.items()}
    assert figures["neutralization"]["against"] == "features"
    assert figures["neutralization"]["exposures"] == expected
    design = np.column_stack([np.ones(len(g)), features])
    rest = g - design @ np.linalg.lstsq(design, g, rcond=None)[0]
    assert figures["neutralization"]["explained"] == pytest.approx(1 - rest.var() / g.var(), abs=1e-12)
    assert figures["history"] is None
    assert figures["retention"] == {"rule": "none", "retained": 1.0}
    assert figures["meta_model"] == {"round": None, "correlation": None}
    assert figures["notes"] == {"history": workflow.UNLINKED, "meta_model": workflow.UNLINKED}


def test_no_bit_of_a_classic_answer_depends_on_which_asset_an_id_is(served: Served) -> None:
    """Goal: asking as often as one likes finds nothing of the map. Method: another map and other factors, the same answer."""
    files = [classic_file(served, seed) for seed in range(8)]
    files += [b"".join(files[0].splitlines(keepends=True)[:some]) for some in (2, 60, 119)]
    before = [check(served.platform, data, model_name="alice_ridge").as_dict() for data in files]
    rng = np.random.default_rng(3)
    with served.platform.store.read() as connection:
        frame = get_frame(connection, served.platform.blobs, CLASSIC_OPEN)
    labels = tuple(rng.permutation(frame.labels).tolist())
    other = replace(frame, labels=labels, exposures=rng.standard_normal(frame.exposures.shape))
    with served.platform.store.write() as connection:
        for name, sha in put_frame(served.platform.blobs, other).items():
            rounds.set_artifact(connection, CLASSIC_OPEN, name, sha)
    assert [check(served.platform, data, model_name="alice_ridge").as_dict() for data in files] == before
