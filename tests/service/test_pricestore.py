"""The store of market data grows and never changes; a kill, a second process and a damaged file leave the last state valid.

Method: round trips of a small market through the files, revisions, killed writers, racing writers, damage done by hand.
"""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from crowdalpha.canonical import sha256_hex
from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected, InvariantBroken, Unavailable
from market.batch import EventRows, PriceRows
from market.calendars import to_instant
from service.pricepanel import stored_panel
from service.pricestore import Appended, Dataset, PriceStore
from tests.builders.panels import new_york

ROOT = Path(__file__).resolve().parents[2]
US = Dataset("us", "parquet", "XNYS", "US", "USD", "raw", 60)
FIRST, T = date(2015, 11, 2), 80
NAMES = np.array(["AAA", "BBB", "CCC"])


def price_rows(shift: float = 0.0, first: int = 0, count: int = T, late_days: int = 0) -> PriceRows:
    """A price of each asset on each session: 10 + row + asset + shift, learnt with its session or some days later."""
    calendar, begin = new_york(), new_york().index_of(FIRST)
    row, asset = np.divmod(np.arange(count * 3), 3)
    row += first
    close = 10.0 + row + asset + shift
    known = calendar.closes[begin + row].astype("datetime64[us]") + np.timedelta64(60 + late_days * 1440, "m")
    nothing = np.full(len(row), np.nan)
    return PriceRows(
        np.arange(len(row)) + 1, NAMES[asset], calendar.sessions[begin + row], close, nothing, nothing, close,
        np.full(len(row), 100.0), np.full(len(row), "USD"), known,
    )  # fmt: skip


def events() -> EventRows:
    day, learnt = new_york().sessions[new_york().index_of(FIRST) + 5], new_york().closes[new_york().index_of(FIRST) + 5]
    return EventRows(
        np.array(["split", "dividend"]), np.array(["AAA", "BBB"]), np.array([day, day]), np.array([2.0, 0.5]),
        np.array(["", ""]), np.array([learnt, learnt]).astype("datetime64[us]"),
    )  # fmt: skip


def add(store: PriceStore, prices: PriceRows, told: EventRows | None = None, dataset: Dataset = US, **more: Any) -> Appended:
    """Append rows under the hash of what they say."""
    told = EventRows.empty() if told is None else told
    batch_id = sha256_hex(b"".join(getattr(prices, name).tobytes() for name in ("dates", "close", "known_at")))
    return store.append(dataset, prices, told, batch_id=batch_id, **more)


@pytest.fixture
def store(tmp_path: Path) -> PriceStore:
    return PriceStore(tmp_path / "market", sync=False)


def test_what_was_stored_comes_back_as_a_panel(store: PriceStore) -> None:
    add(store, price_rows(), events(), flags=["assumed"])
    panel = stored_panel(store)
    view = panel.as_of(to_instant(panel.known_at[-1]))
    assert view.assets.asset_ids.tolist() == NAMES.tolist()
    assert view.assets.exchanges.tolist() == ["XNYS"] * 3
    np.testing.assert_array_equal(view.close, 10.0 + np.arange(T)[:, None] + np.arange(3))
    assert (view.splits[5, 0], view.dividends[5, 1]) == (2.0, 0.5)
    assert view.quotes.high is None
    assert panel.flags == {"assumed", "survivors_only"}
    assert (panel.price_basis, panel.source) == ("raw", "parquet")


def test_files_are_long_and_partitioned_and_say_both_instants_and_the_basis(store: PriceStore) -> None:
    add(store, price_rows())
    files = sorted((store.folder / "us/prices").rglob("*.parquet"))
    assert [f.parent.name for f in files] == ["2015", "2016"]
    table = pq.read_table(files[0])
    assert {"asset", "as_of", "open", "high", "low", "close", "volume", "known_at", "price_basis"} == set(table.column_names)
    assert table.column("price_basis").to_pylist()[0] == "raw"
    assert pq.ParquetFile(files[0]).metadata.row_group(0).column(4).compression == "ZSTD"


def test_a_revision_is_appended_and_invisible_before_it_was_learnt(store: PriceStore) -> None:
    add(store, price_rows())
    before = stored_panel(store).as_of(to_instant(stored_panel(store).known_at[20]))
    files = {p: p.read_bytes() for p in store.folder.rglob("*.parquet")}
    add(store, price_rows(shift=0.25, first=10, count=1, late_days=30))
    assert all(path.read_bytes() == data for path, data in files.items())
    panel = stored_panel(store)
    again = panel.as_of(before.instant)
    assert again.close.tobytes() == before.close.tobytes()
    later = panel.as_of(to_instant(panel.known_at[40]))
    assert later.close[10].tolist() == [20.25, 21.25, 22.25]
    assert later.close[11].tolist() == [21.0, 22.0, 23.0]
    assert panel.notes["revisions"] == 3 * 3


def test_a_draft_counts_when_its_block_ends_and_one_that_was_killed_never(store: PriceStore) -> None:
    add(store, price_rows())
    kept = store.manifest_path.read_bytes()
    drafts: list[bytes] = []

    def refuse_all() -> None:
        with store.drafted() as draft:
            add(draft, price_rows(shift=0.25, first=10, count=1, late_days=30))
            assert stored_panel(draft).notes["revisions"] > 0
            assert store.manifest_path.read_bytes() == kept
            drafts.append(draft.manifest_path.read_bytes())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        refuse_all()
    assert store.manifest_path.read_bytes() == kept
    (store.folder / "market.draft.json").write_bytes(drafts[0])
    assert stored_panel(store).notes["revisions"] == 0
    with store.drafted() as draft:
        assert draft.manifest() == store.manifest()
        add(draft, price_rows(shift=0.5, first=11, count=1, late_days=30))
    assert stored_panel(store).notes["revisions"] > 0
    assert not (store.folder / "market.draft.json").exists()


def test_the_same_batch_again_has_no_effect(store: PriceStore) -> None:
    assert add(store, price_rows(), events()).fresh
    kept = (store.folder / "market.json").read_bytes()
    assert not add(store, price_rows(), events()).fresh
    assert (store.folder / "market.json").read_bytes() == kept


def test_only_the_dates_asked_for_are_read(store: PriceStore) -> None:
    add(store, price_rows())
    (old,) = (store.folder / "us/prices/2015").iterdir()
    old.chmod(0o644)
    old.write_bytes(b"not looked at")
    panel = stored_panel(store, first=date(2016, 1, 1))
    assert panel.sessions[0] == np.datetime64("2016-01-04")
    with pytest.raises(InvariantBroken) as refused:
        stored_panel(store)
    assert refused.value.code is Code.BLOB_BROKEN


def test_an_empty_store_says_so(store: PriceStore) -> None:
    with pytest.raises(Unavailable) as refused:
        stored_panel(store)
    assert refused.value.code is Code.PRICES_MISSING


@pytest.mark.parametrize("field", ["exchange", "currency", "price_basis", "vendor_delay_minutes"])
def test_a_dataset_keeps_its_calendar_currency_basis_and_delay(store: PriceStore, field: str) -> None:
    add(store, price_rows())
    other = {"exchange": "XLON", "currency": "GBP", "price_basis": "total_return", "vendor_delay_minutes": 90}
    with pytest.raises(Conflict) as refused:
        add(store, price_rows(shift=1.0), dataset=replace(US, **{field: other[field]}))
    assert refused.value.code is Code.DATASET_DIFFERS
    assert stored_panel(store).close[0, 0] == 10.0


@pytest.mark.parametrize("name", ["", "../us", "US", "a b", "x/y"])
def test_a_datasets_name_is_no_path(name: str) -> None:
    with pytest.raises(InputRejected):
        replace(US, name=name)


def test_a_torn_manifest_is_named(store: PriceStore) -> None:
    add(store, price_rows())
    (store.folder / "market.json").write_bytes(b'{"format": 1, "datas')
    with pytest.raises(InvariantBroken):
        stored_panel(store)


APPEND_FOREVER = """
import sys
from pathlib import Path
from service.pricestore import PriceStore
from tests.service.test_pricestore import add, price_rows
store = PriceStore(Path(sys.argv[1]))
for i in range(int(sys.argv[2]), 10_000):
    add(store, price_rows(shift=i / 1000, first=i % 70, count=3, late_days=i))
    print(i, flush=True)
"""


def test_a_killed_append_leaves_the_former_state_or_the_new_one(store: PriceStore) -> None:
    add(store, price_rows())
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for start in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", APPEND_FOREVER, str(store.folder), str(1000 * start + 1)],
            cwd=ROOT, stdout=subprocess.PIPE, env=environment,
        )  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline()
        time.sleep(0.03 * start)
        child.send_signal(signal.SIGKILL)
        said = child.communicate()[0].split()
        panel = stored_panel(store)  # every file that the manifest names is whole
        assert panel.close[0, 0] == 10.0
        batches = json.loads((store.folder / "market.json").read_text())["datasets"]["us"]["batches"]
        assert len(batches) >= 1 + len(said)
    assert add(store, price_rows(shift=9.0, count=1, late_days=2)).fresh


def test_processes_that_append_at_once_stand_in_line(store: PriceStore) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    code = APPEND_FOREVER.replace("10_000", "int(sys.argv[2]) + 5")
    children = [
        subprocess.Popen([sys.executable, "-c", code, str(store.folder), str(1000 * k + 1)], cwd=ROOT, env=environment)
        for k in range(3)
    ]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    batches = json.loads((store.folder / "market.json").read_text())["datasets"]["us"]["batches"]
    assert len({b["id"] for b in batches}) == 15
    assert sum(b["rows"] for b in batches) == stored_panel(store).notes["rows_read"]
