"""Goal: on real prices, what the first example sends is diagnosed as what it is: momentum. Method: the command line over
forty weekly eras of what `examples/first_signal.py` would have sent; some eras are recomputed one date at a time."""

import importlib.util
import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from market.calendars import to_instant
from market.exposures import compute_exposures
from market.targets import forward_returns, neutral_target
from market.universe import UniverseRule, select_universe
from service.cli import run
from service.context import init_home
from service.settings import load_settings
from service.vendors.ingested import FileBatch, end_of, ingest_file, load_panel, market_store
from signals.frame import score_frame

pytestmark = pytest.mark.real_data

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "first_signal.py"
FIRST, LAST, ERAS = date(2014, 1, 3), date(2014, 12, 31), 40


@pytest.fixture(scope="module")
def diagnosed(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The panel, the file's rows by date, and the command's JSON and page."""
    spec = importlib.util.spec_from_file_location("first_signal", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    folder = tmp_path_factory.mktemp("real")
    home = init_home(folder / "home")
    file = FileBatch(real_data / "us_daily.parquet", real_data / "equity_meta.csv.gz", last=LAST)
    ingest_file(market_store(home, sync=False), load_settings(), file, end_of(LAST))
    panel = load_panel(home, load_settings())
    start = int(np.searchsorted(panel.sessions, np.datetime64(FIRST, "D")))
    files = {}
    for row in range(start, start + 5 * ERAS, 5):
        view = panel.as_of(to_instant(panel.known_at[row]))
        members = select_universe(view, UniverseRule()).members
        closes = {str(panel.assets.tickers[m]): view.return_index()[-300:, m] for m in members}
        said = {ticker: example.momentum(path[np.isfinite(path)].tolist()) for ticker, path in closes.items()}
        files[str(panel.sessions[row])] = example.ranks({t: v for t, v in said.items() if v is not None})
    path = folder / "momentum.csv"
    lines = [f"{day},{ticker},{rank:.6f}" for day, ranks in files.items() for ticker, rank in sorted(ranks.items())]
    path.write_text("\n".join(["friday_date,numerai_ticker,signal", *lines]) + "\n")
    return {"panel": panel, "files": files, "path": path, "home": home}


def test_the_first_examples_history_is_momentum(diagnosed: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["diagnose", str(diagnosed["path"]), "--home", str(diagnosed["home"].path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (len(found["eras"]), found["scored"], found["pending"], found["left_out"]) == (ERAS, ERAS, 0, 0)
    assert found["flags"] == [
        "adjusted_prices",
        "assumed",
        "dividends_inferred",
        "splits_inferred",
        "static_lookahead",
        "survivors_only",
    ]
    assert found["factors"][0]["name"] == "momentum"
    assert found["factors"][0]["signal"]["mean"] > 0.9
    assert found["coverage_mean"] > 0.98
    # The example counts an asset's own prices, the platform counts sessions: a gap moves a few assets' windows. (What the
    # factors leave of momentum is little, so there the same few assets count for much.)
    for era in found["eras"]:
        assert era["signal"]["scores"]["corr"] == pytest.approx(era["example"]["scores"]["corr"], abs=0.02)
        assert abs(era["signal"]["scores"]["bmc"]) < 0.01
    assert found["signal_change"]["churn"] < 0.1
    assert found["scores"]["corr"]["signal"]["adjusted_sharpe_error"] > 0.15  # forty overlapping weeks say little
    assert (diagnosed["home"].reports / "diagnosis-momentum.html").stat().st_size > 20_000


def test_eras_equal_the_functions_of_one_date(diagnosed: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    panel = diagnosed["panel"]
    outcome = panel.as_of(to_instant(panel.known_at[-1]))
    assert run(["diagnose", str(diagnosed["path"]), "--home", str(diagnosed["home"].path), "--json"]) == 0
    for era in json.loads(capsys.readouterr().out)["eras"][::13]:
        view = panel.as_of(to_instant(panel.known_at[panel.index_of(date.fromisoformat(era["session"]))]))
        members = select_universe(view, UniverseRule()).members
        index = pd.Index(panel.assets.tickers[members])
        ranks = pd.Series(diagnosed["files"][era["date"]]).round(6).reindex(index)
        ranks = ranks.rank().sub(0.5).div(ranks.notna().sum()).fillna(0.5)
        exposures = compute_exposures(view, members)
        returns = forward_returns(outcome, members, view.last_session, 20, 2)
        target = pd.Series(neutral_target(returns, exposures), index=index)
        frame = score_frame(pd.DataFrame({"own": ranks}), target, neutralizers=pd.DataFrame(exposures.values, index=index))
        for kind in ("corr", "neutral_corr"):
            assert era["signal"]["scores"][kind] == pytest.approx(frame.loc["own", kind], abs=1e-12)
