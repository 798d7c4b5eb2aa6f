"""Uploads get the verdict that the field's library gives them, or a stricter or plainer one that is written down here.

Independent source: the 27 calls of ``numerai_tools.submissions`` 0.7.2 in library.json. The files are made here, since the
answers hold no inputs but two; the library is asked again about the same tables.
"""

import json
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numerai_tools.submissions as library
import numpy as np
import pandas as pd
import pytest

from crowdalpha.codes import Code
from crowdalpha.terms import ScoringTerms
from signals.align import align
from signals.parse import CLASSIC_FORMAT, SIGNALS_FORMAT
from signals.submission import judge

HELD = json.loads(Path(__file__).with_name("library.json").read_text(encoding="utf-8"))
ANSWERS = {case["case"]: case for case in HELD["cases"] if case["file"] == "05"}
N = 120
IDS = [f"n{i:04d}" for i in range(N)]
UNIVERSE = pd.DataFrame(
    {
        "numerai_ticker": [f"A{i:04d}" for i in range(N)],
        "composite_figi": [f"BBG{i:04d}" for i in range(N)],
        "symbol": [f"C{i:04d}" for i in range(N)],
    }
)
VALUES = (np.random.default_rng(5).permutation(N) + 0.5) / N
TERMS = ScoringTerms(kinds=("corr",), ids_min=100)


@dataclass(frozen=True)
class Sent:
    """A table that is sent, and what we say of it: accepted or not, and the code among the findings, if there is one.

    ``differs`` says why our verdict is another than the library's.
    """

    table: pd.DataFrame
    accepted: bool
    code: Code | None = None
    differs: str | None = None


def sent(
    ids: list, values: np.ndarray, id_column: str = "id", value_column: str = "prediction", **more: object
) -> pd.DataFrame:
    return pd.DataFrame({id_column: ids, value_column: values, **more})


def changed(row: int, value: object, column: str = "prediction") -> pd.DataFrame:
    """The classic table with one entry replaced."""
    table = sent(IDS, VALUES).astype({column: object})
    table.loc[row, column] = value
    return table if column == "id" else table.astype({column: float})


TICKERS, FIGIS, SYMBOLS = (UNIVERSE[name].tolist() for name in ("numerai_ticker", "composite_figi", "symbol"))
EXTRA = "a file has two columns; a third one is named and refused, not dropped"
SENT = {
    "classic_ok": Sent(sent(IDS, VALUES), True),
    "classic_probability_column": Sent(sent(IDS, VALUES, value_column="probability"), True),
    "classic_one_id_missing": Sent(sent(IDS[1:], VALUES[1:]), False, Code.ID_MISSING),
    "classic_extra_id_reported_not_fatal": Sent(sent([*IDS, "zzz"], np.append(VALUES, 0.5)), True, Code.ID_UNKNOWN),
    "classic_duplicate_id": Sent(sent([*IDS, IDS[3]], np.append(VALUES, 0.5)), False, Code.ID_DUPLICATE),
    "classic_nan_pred": Sent(changed(4, np.nan), False, Code.VALUE_MISSING),
    "classic_out_of_range": Sent(changed(4, 1.5), False, Code.VALUE_RANGE),
    "classic_zero_and_one_accepted": Sent(sent(IDS, np.clip(np.round(VALUES, 1), 0, 1)), True),
    "classic_constant": Sent(sent(IDS, np.full(N, 0.5)), False, Code.NO_VARIANCE),
    "classic_extra_column": Sent(sent(IDS, VALUES, extra=1), False, Code.FILE_HEADER),
    "classic_swapped_columns": Sent(
        sent(IDS, VALUES)[["prediction", "id"]], True, differs="the names say which column is which, not their order"
    ),
    "classic_nan_id": Sent(changed(4, None, "id"), False, Code.ID_EMPTY),
    "signals_ok": Sent(sent(TICKERS, VALUES, "numerai_ticker", "signal"), True),
    "signals_prediction_column": Sent(sent(TICKERS, VALUES, "numerai_ticker"), True),
    "signals_figi": Sent(sent(FIGIS, VALUES, "composite_figi", "signal"), True),
    "signals_99_tickers": Sent(sent(TICKERS[:99], VALUES[:99], "numerai_ticker", "signal"), False, Code.ROWS_TOO_FEW),
    "signals_100_tickers": Sent(sent(TICKERS[:100], VALUES[:100], "numerai_ticker", "signal"), True),
    "signals_cusip_rejected_by_library": Sent(sent(TICKERS, VALUES, "cusip", "signal"), False, Code.FILE_HEADER),
    "signals_date_column": Sent(
        sent(TICKERS, VALUES, "numerai_ticker", "signal", date="2026-01-02"), False, Code.FILE_HEADER, EXTRA
    ),
    "signals_friday_date_column": Sent(
        sent(TICKERS, VALUES, "numerai_ticker", "signal", friday_date=20260102), False, Code.FILE_HEADER, EXTRA
    ),
    "signals_assert_date_missing": Sent(
        sent(TICKERS, VALUES, "numerai_ticker", "signal"), True, differs="a file is for one round and needs no date"
    ),
    "signals_data_type_dropped_with_warning": Sent(
        sent(TICKERS, VALUES, "numerai_ticker", "signal", data_type="live"), False, Code.FILE_HEADER, EXTRA
    ),
    "signals_universe_lacks_column": Sent(sent(TICKERS, VALUES, "sedol", "signal"), False, Code.COVERAGE_TOO_LOW),
    "signals_duplicates": Sent(
        sent([*TICKERS, TICKERS[3]], np.append(VALUES, 0.5), "numerai_ticker", "signal"), False, Code.ID_DUPLICATE
    ),
    "crypto_ok": Sent(sent(SYMBOLS, VALUES, "symbol", "signal"), True),
}


def by_library(name: str, table: pd.DataFrame) -> bool:
    """Whether the library takes the table."""
    logging.disable(logging.WARNING)
    check: dict[str, Callable[[pd.DataFrame], object]] = {
        "classic": lambda t: library.validate_submission_numerai(pd.Series(IDS), t),
        "signals": lambda t: library.validate_submission_signals(UNIVERSE, t, assert_date_col="assert_date" in name),
        "crypto": lambda t: library.validate_submission_crypto(UNIVERSE, t),
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            check[name.split("_", maxsplit=1)[0]](table.copy())
    except (AssertionError, KeyError):
        return False
    finally:
        logging.disable(logging.NOTSET)
    return True


def labels_for(name: str, table: pd.DataFrame) -> list[str]:
    """The labels of the round in the vocabulary of the file; the round has no label of a kind that it does not know."""
    if name.startswith("classic"):
        return IDS
    used = [column for column in table.columns if column in UNIVERSE.columns]
    return UNIVERSE[used[0]].tolist() if used else [f"S{i}" for i in range(N)]


@pytest.mark.parametrize("name", SENT)
def test_upload_gets_its_verdict_and_differs_only_where_that_is_written_down(name: str) -> None:
    case = SENT[name]
    assert by_library(name, case.table) is ANSWERS[name]["ok"]
    fmt = CLASSIC_FORMAT if name.startswith("classic") else SIGNALS_FORMAT
    verdict = judge(case.table.to_csv(index=False).encode(), fmt, labels_for(name, case.table), TERMS)
    assert verdict.accepted is case.accepted
    assert (case.differs is not None) is (case.accepted is not ANSWERS[name]["ok"])
    assert case.code in {finding.code for finding in verdict.findings} if case.code else verdict.findings == ()


def test_every_answer_on_uploads_is_compared() -> None:
    assert set(SENT) | {"clean_rank_fill_remap", "clean_no_rank"} == set(ANSWERS)


def test_an_accepted_file_becomes_the_vector_that_the_library_makes_of_it() -> None:
    held = ANSWERS["clean_rank_fill_remap"]
    tables = {
        name: {column: HELD["vectors"][at] for column, at in part["columns"].items()} for name, part in held["inputs"].items()
    }
    universe, file = tables["universe"], pd.DataFrame(tables["submission"])
    figis = universe["composite_figi"]
    verdict = judge(file.to_csv(index=False).encode(), SIGNALS_FORMAT, figis, ScoringTerms(kinds=("corr",), ids_min=3))
    assert verdict.signal is not None
    assert [finding.code for finding in verdict.findings] == [Code.ID_UNKNOWN]
    # Our universe keeps its own labels: what the library calls another name is the same place.
    assert universe["numerai_ticker"] == HELD["indices"][held["result"]["index"]]
    assert verdict.signal.values.tolist() == HELD["vectors"][held["result"]["values"]]
    placed = align(file["composite_figi"].tolist(), file["signal"].to_numpy(), figis)
    raw = np.array(HELD["vectors"][ANSWERS["clean_no_rank"]["result"]["values"]], dtype=float)
    assert np.array_equal(placed.values, raw, equal_nan=True)
