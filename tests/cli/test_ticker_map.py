"""A ticker map goes through the command line into the home: prices join under it, a round freezes it, files are judged by it.

Method: a home of 120 stocks, one of which is renamed and one of whose old tickers is used again; rounds are opened with a clock
inside the data, files are checked and sent through the command line and over HTTP. Prices and labels by hand.
"""

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict
from crowdalpha.ids import Tournament
from market.calendars import session_calendar, to_instant
from service.cli.app import run
from service.clock import SimulatedClock
from service.context import Platform, build_platform, init_home
from service.frames import get_frame
from service.home import Home
from service.http.app import create_app
from service.idsource import SeededIds
from service.settings import load_settings
from service.store import audit, rounds
from service.workflows import accounts
from service.workflows.check import check
from service.workflows.ingest_map import ingest_ticker_map
from service.workflows.open_round import open_round
from tests.builders.treasuries import fill_treasury

SEED = 12
COUNT, T = 120, 280
RENAMED, REUSED = 100, 200
"""Rows on which S000 becomes NEW0, and on which another company takes the ticker S000."""

DAYS = session_calendar("XNYS", datetime(2014, 6, 2, tzinfo=UTC).date(), datetime(2016, 6, 30, tzinfo=UTC).date()).sessions
IDS = [f"A{i:03d}" for i in range(COUNT)]
FIGI = [f"BBG{i:09d}" for i in range(COUNT)]
NEWCOMER = "A900"


def price_file(path: Path) -> Path:
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    walks = np.round(20 * np.exp(np.cumsum(rng.normal(0, 0.01, (T, COUNT + 1)), axis=0)), 3)
    volumes = rng.integers(100_000, 200_000, walks.shape)
    lines = ["ticker,date,open,close,adj_close,volume"]
    for k in range(COUNT + 1):
        for t in range(REUSED if k == COUNT else 0, T):
            label = "S000" if k == COUNT else "NEW0" if (k == 0 and t >= RENAMED) else f"S{k:03d}"
            lines.append(f"{label},{DAYS[t]},{walks[t, k]},{walks[t, k]},{walks[t, k]},{volumes[t, k]}")
    path.write_text("\n".join(lines) + "\n")
    return path


def map_rows() -> list[str]:
    rows = ["asset_id,kind,value,country,valid_from,valid_to,known_at"]
    rows += [f"{IDS[i]},ticker,S{i:03d},US,2010-01-04,{DAYS[RENAMED] if i == 0 else ''}," for i in range(COUNT)]
    rows += [f"{IDS[0]},ticker,NEW0,US,{DAYS[RENAMED]},,", f"{NEWCOMER},ticker,S000,US,{DAYS[REUSED]},,"]
    for i in range(COUNT):
        rows += [f"{IDS[i]},composite_figi,{FIGI[i]},,2010-01-04,,", f"{IDS[i]},sedol,{i:07d},,2010-01-04,,"]
        rows += [f"{IDS[i]},bloomberg_ticker,B{i:03d} US,,2010-01-04,,", f"{IDS[i]},yahoo,Y{i:03d},,2010-01-04,,"]
    return rows


def called(home: Path, *arguments: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run([*map(str, arguments), "--home", str(home)])
    return code, out.getvalue(), out.getvalue() + err.getvalue()


def written(folder: Path, rows: list[str], name: str = "map.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(rows) + "\n")
    return path


@dataclass(frozen=True)
class Made:
    """A home with prices, a map and an open round, and a folder for files."""

    platform: Platform
    folder: Path
    key: str

    @property
    def home(self) -> Path:
        return self.platform.home.path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("mapped")
    home = folder / "home"
    init_home(home)
    assert called(home, "data", "ingest", "--prices", price_file(folder / "prices.csv"))[0] == 0
    code, out, told = called(home, "data", "ingest", "--ticker-map", written(folder, map_rows()), "--json")
    assert code == 0, told
    assert json.loads(out)["ticker_map"] == {
        "spells": 5 * COUNT + 2, "assets": COUNT + 1, "flags": ["assumed"], "unmapped_labels": 0, "unmapped_rows": 0,
    }  # fmt: skip
    evening = to_instant(DAYS[T - 1].astype("datetime64[s]")).replace(hour=23)
    platform = build_platform(Home.open(home), load_settings(env={}), SimulatedClock(evening), SeededIds("mapped"))
    accounts.create_provider(platform, "ada", 10**18)
    accounts.create_model(platform, "ada", "ada_momentum", Tournament.SIGNALS, 0)
    key = accounts.create_key(platform, "ada", ["submit"])[1]
    fill_treasury(platform)
    open_round(platform, Tournament.SIGNALS)
    yield Made(platform, folder, key)
    platform.store.dispose()


def test_a_rename_joins_and_a_reuse_parts(made: Made) -> None:
    view = made.platform.desk.view(made.platform.clock.now())
    ids, tickers = view.assets.asset_ids.tolist(), view.assets.tickers.tolist()
    assert ids == [*IDS, NEWCOMER]
    assert np.isfinite(view.close[:, 0]).all()
    assert np.isfinite(view.close[:, COUNT]).tolist() == [t >= REUSED for t in range(T)]
    assert (tickers[0], tickers[COUNT]) == ("NEW0", "S000")
    before = made.platform.desk.view(to_instant(made.platform.desk.panel.known_at[RENAMED - 1]))
    assert before.assets.tickers[0] == "S000"
    assert "labels_unmapped" not in view.flags
    with made.platform.store.read() as connection:
        assert audit.list_audit(connection, "map.csv")[-1].details["spells"] == 5 * COUNT + 2
        frame = get_frame(connection, made.platform.blobs, rounds.list_rounds(connection)[0].key)
    assert frame.asset_ids.tolist() == IDS, "the newcomer is too young for the universe"
    assert frame.labels[0] == "NEW0"


LABELS = {
    "ticker": ["NEW0", *(f"S{i:03d}" for i in range(1, COUNT))],
    "numerai_ticker": ["NEW0 US", *(f"S{i:03d} US" for i in range(1, COUNT))],
    "bloomberg_ticker": [f"B{i:03d} US" for i in range(COUNT)],
    "composite_figi": FIGI,
    "sedol": [f"{i:07d}" for i in range(COUNT)],
    "yahoo": [f"Y{i:03d}" for i in range(COUNT)],
}


def signals(column: str, labels: list[str]) -> list[str]:
    return [f"{column},signal", *(f"{label},{(i * 37 % COUNT + 0.5) / COUNT:.6f}" for i, label in enumerate(labels))]


@pytest.mark.parametrize("column", sorted(LABELS))
def test_a_file_in_any_scheme_is_the_same_signal(column: str, made: Made) -> None:
    path = written(made.folder, signals(column, LABELS[column]), f"{column}.csv")
    code, out, told = called(made.home, "check", path, "--tournament", "signals", "--json")
    assert code == 0, told
    found = json.loads(out)
    own = check(made.platform, "\n".join(signals("ticker", LABELS["ticker"])).encode(), Tournament.SIGNALS)
    assert found["findings"] == []
    assert found["coverage"] == 1.0
    assert found["figures"]["neutralization"] == own.as_dict()["figures"]["neutralization"]


def test_doors_agree_on_labels_that_name_nothing_or_one_asset_twice(made: Made) -> None:
    old, outside = "S000 US", "S001"
    rows = signals("numerai_ticker", LABELS["numerai_ticker"][1:])
    rows += [f"{old},0.3", f"{outside},0.4", "s002 US,0.5"]
    path = written(made.folder, rows, "odd.csv")
    code, out, _ = called(made.home, "check", path, "--model", "ada_momentum", "--json")
    found = {(f["code"], f["value"], f["refuses"]) for f in json.loads(out)["findings"]}
    assert code == 2
    # S000 is the newcomer's now, which is not in the universe; a bare symbol is no Numerai ticker
    assert found == {("id_unknown", old, False), ("label_unknown", outside, False), ("id_unknown", "s002 US", True)}
    client = TestClient(create_app(made.platform), raise_server_exceptions=False)
    head = {"Authorization": f"Token {made.key}"}
    over_http = client.post("/v1/models/ada_momentum/check", content=path.read_bytes(), headers=head).json()
    assert over_http["findings"] == json.loads(out)["findings"]
    sent = client.post("/v1/models/ada_momentum/submissions", content=path.read_bytes(), headers=head)
    assert sent.status_code == 422, sent.text
    line = called(made.home, "submit", path, "--model", "ada_momentum", "--json")
    assert json.loads(line[1])["findings"] == over_http["findings"]


def test_a_later_map_changes_nothing_in_an_open_round_and_may_not_lose_its_assets(made: Made) -> None:
    path = written(made.folder, signals("sedol", LABELS["sedol"]), "late.csv")
    before = called(made.home, "check", path, "--tournament", "signals", "--json")[1]
    moved = [row.replace(f",sedol,{1:07d},", ",sedol,9999999,") for row in map_rows()]
    ingest_ticker_map(made.platform, written(made.folder, moved, "moved.csv"))
    assert json.loads(called(made.home, "check", path, "--tournament", "signals", "--json")[1])["findings"] == []
    assert json.loads(called(made.home, "check", path, "--tournament", "signals", "--json")[1]) == json.loads(before)
    kept = (made.home / "data/market/market.json").read_bytes()
    other = [row.replace("A005,", "B005,") for row in map_rows()]
    with pytest.raises(Conflict) as refused:
        ingest_ticker_map(made.platform, written(made.folder, other, "other.csv"))
    assert refused.value.code is Code.ASSET_IDS_IN_USE
    assert "A005" in refused.value.message
    assert (made.home / "data/market/market.json").read_bytes() == kept
    code, _, told = called(made.home, "data", "ingest", "--ticker-map", made.folder / "other.csv")
    assert (code, "[asset_ids_in_use]" in told) == (3, True)


@pytest.mark.parametrize(
    ("rows", "code", "told"),
    [
        (["asset_id,kind", "A,ticker"], "file_header", ["value"]),
        (["asset_id,kind,value", "A 1,ticker,X", "A,colour,red", "A,sedol,12"], "spell_invalid", ["'A 1'", "'colour'", "'12'"]),
        (["asset_id,kind,value", "A,ticker,X", "B,ticker,X"], "spell_conflict", ["Rows 2 and 3"]),
        ([""], "file_empty", []),
    ],
)
def test_a_wrong_map_is_refused_with_every_row_and_changes_nothing(
    rows: list[str], code: str, told: list[str], made: Made
) -> None:
    kept = (made.home / "data/market/market.json").read_bytes()
    left, _, output = called(made.home, "data", "ingest", "--ticker-map", written(made.folder, rows, "wrong.csv"))
    assert left == 2
    assert f"[{code}]" in output
    assert [text for text in told if text not in output] == []
    assert (made.home / "data/market/market.json").read_bytes() == kept
    assert called(made.home, "data", "ingest", "--ticker-map", made.folder / "absent.csv")[0] == 2
