"""The files of the signals dataset beside its eras: the live universe, its exposures and neutralizers, past universes.

What is live is that of the open round if there is one, exactly as it froze it; else what a round opened now would freeze.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crowdalpha.ids import RoundState, Tournament
from market.calendars import to_date, to_instant
from market.neutralizers import neutralizers_of, sample_weights
from market.panel import PanelView
from service.context import Platform
from service.eratables import EraWriter, read_eras
from service.frames import get_frame
from service.store import rounds
from service.workflows.publish_history import exposure_table

DATASET, VERSION = "signals", "v1.0"
EXPOSURES = "{}_exposures.parquet"
UNIVERSE = "universe.parquet"
STYLE = "style"


def factor_names(view: PanelView, live: "LiveEra") -> tuple[str, ...]:
    """Return the columns of every exposures file: sectors and countries of all assets there are, then the styles.

    An era in which no asset was of a sector has zeros there.
    """
    sectors, countries = (sorted(set(labels.tolist())) for labels in (view.assets.sectors, view.assets.countries))
    dummies = [f"sector:{s}" for s in sectors] + ([f"country:{c}" for c in countries] if len(countries) > 1 else [])
    return (*dummies, *(name for name, kind in zip(live.names, live.kinds, strict=True) if kind == STYLE))


@dataclass(frozen=True, slots=True)
class LiveEra:
    """The live universe in the order of its assets: factors by name, kind and exposures (n, k); v (n,) and N (n, rank)."""

    era: str
    tickers: tuple[str, ...]
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    exposures: np.ndarray
    weights_v: np.ndarray
    neutralizers: np.ndarray


def live_era(platform: Platform, view: PanelView) -> LiveEra:
    """Return the live era; decision instant: the open round's opening, or ``view.instant`` where none is open."""
    with platform.store.read() as connection:
        record = rounds.latest_round(connection, Tournament.SIGNALS)
        if record is not None and record.state is RoundState.OPEN:
            frame = get_frame(connection, platform.blobs, record.key)
            factors = (frame.names, frame.kinds, frame.exposures, frame.weights_v, frame.neutralizers)
            return LiveEra(record.base_session.isoformat(), frame.labels, *factors)
    members = platform.desk.universe(view).members
    exposures = platform.desk.exposures(view, members)
    tickers = tuple(str(t) for t in np.asarray(view.assets.tickers)[members])
    weights_v = sample_weights(view, members)
    factors = (exposures.names, exposures.kinds, exposures.values, weights_v, neutralizers_of(exposures.values, weights_v))
    return LiveEra(view.last_session.isoformat(), tickers, *factors)


def write_live(folder: Path, live: LiveEra) -> None:
    """Write the live universe, its exposures, neutralizers N and sample weights v, and what the factors are."""
    import pyarrow as pa

    order = sorted(range(len(live.tickers)), key=live.tickers.__getitem__)
    labels, values = [live.tickers[i] for i in order], np.ascontiguousarray(live.exposures[order])
    universe = pa.table({"era": [live.era] * len(labels), "ticker": labels, "data_type": ["live"] * len(labels)})
    weights, basis = live.weights_v[order], np.ascontiguousarray(live.neutralizers[order])
    basis_names = tuple(f"neutralizer_{j:03d}" for j in range(basis.shape[1]))
    for name, table in {
        "live.parquet": universe,
        EXPOSURES.format("live"): exposure_table(live.era, labels, live.names, values),
        "live_neutralizer.parquet": exposure_table(live.era, labels, basis_names, basis),
        "live_sample_weights.parquet": universe.select(["era", "ticker"]).append_column("sample_weight", pa.array(weights)),
    }.items():
        with EraWriter(folder / name, table.schema) as out:
            out.write(table)
    told = [{"name": name, "kind": kind} for name, kind in zip(live.names, live.kinds, strict=True)]
    (folder / "factors.json").write_text(json.dumps({"factors": told}, indent=2) + "\n", encoding="utf-8")


def write_universes(path: Path, platform: Platform, view: PanelView, ends: Sequence[int], former: Path | None) -> None:
    """Write who was in the universe in every week that is over: what was written before, and the rows ``ends`` after it."""
    import pyarrow as pa

    newest = ""
    with EraWriter(path, pa.schema([("era", pa.string()), ("ticker", pa.string())])) as out:
        for table in read_eras(former) if former is not None else ():
            newest = table.column("era")[0].as_py()
            out.write(table)
        for row in ends:
            era = to_date(view.sessions[row]).isoformat()
            if era > newest:
                evening = platform.desk.view(to_instant(view.known_at[row]))
                tickers = sorted(evening.assets.tickers[platform.desk.universe(evening).members].tolist())
                out.write(pa.table({"era": [era] * len(tickers), "ticker": tickers}))
