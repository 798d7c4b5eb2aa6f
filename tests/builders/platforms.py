"""A small platform to serve: rows and files written through the store, no market data. It has three providers (one with hostile
names), a resolved and an open signals round, an open classic round, and forty sessions of the fund."""

import io
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from crowdalpha.ids import RoundKey, RoundState, Tournament
from crowdalpha.terms import ATOMS_PER_TOKEN
from market.neutralizers import neutralizers_of
from service.bundles.sealed import make_key_pair, seal_to
from service.clock import SimulatedClock
from service.context import Platform, build_platform
from service.frames import ClosedBook, RoundFrame, get_frame, put_book, put_frame, put_prepared
from service.home import Home
from service.idsource import SeededIds
from service.settings import load_settings, load_terms
from service.store import fund, models, providers, resolutions, rounds, scores, stakes
from service.store.records import (
    AtRiskRecord,
    FundDayRecord,
    ModelRecord,
    ProviderRecord,
    RebalanceRecord,
    ResolutionLine,
    ResolutionRecord,
    RetentionRecord,
    RoundRecord,
    ScoreRecord,
)
from service.workflows import accounts
from service.workflows.publish import releases
from service.workflows.publish_bundle import AUDITOR_ARTIFACT, PUBLIC_ARTIFACT
from signals.prepared import prepare_round
from tests.builders.bundles import invented_bundle

FRIDAY = date(2016, 1, 8)
OPENED_AT = datetime(2016, 1, 8, 23, tzinfo=UTC)
CLOSES_AT = OPENED_AT + timedelta(days=1)
NOW = OPENED_AT + timedelta(hours=2)
TICKERS = tuple(f"STOCK{i:03d}" for i in range(120))
HOSTILE_NAMES = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'-alert(1)-'",
    "{{ 7 * 7 }}",
    "</title><svg onload=alert(1)>",
    "javascript:alert(1)",
)
SIGNALS_OPEN = RoundKey(Tournament.SIGNALS, 2)
SIGNALS_RESOLVED = RoundKey(Tournament.SIGNALS, 1)
CLASSIC_OPEN = RoundKey(Tournament.CLASSIC, 1)


@dataclass(frozen=True)
class Served:
    """A platform, its clock, and the keys of its providers by name and scope."""

    platform: Platform
    clock: SimulatedClock
    keys: dict[tuple[str, str], str]


def serve_small(path: Path, publish_min_providers: int = 2) -> Served:
    """Return a small platform in a fresh home at ``path``; two providers stand behind its resolved round."""
    clock = SimulatedClock(NOW - timedelta(days=60))
    settings = load_settings(env={}).with_overrides({"metamodel.publish_min_providers": publish_min_providers})
    platform = build_platform(Home.create(path), settings, clock, SeededIds("served"))
    keys = _people(platform)
    _resolved_round(platform)
    _open_round(platform, SIGNALS_OPEN, TICKERS, None)
    era_ids = tuple(f"{i:016x}" for i in range(len(TICKERS)))
    _open_round(platform, CLASSIC_OPEN, era_ids, live_table(era_ids))
    with platform.store.write() as connection:
        past = platform.blobs.put(live_table(era_ids))
        rounds.set_artifact(connection, CLASSIC_OPEN, "era", past)
    _dataset(platform, live_table(era_ids))
    _fund(platform)
    clock.advance_to(NOW)
    return Served(platform, clock, keys)


def live_table(ids: tuple[str, ...]) -> bytes:
    """Return a classic live table of three features as Parquet."""
    features = {f"feature_{k}": pa.array([(i * (k + 2)) % 5 for i in range(len(ids))], pa.int8()) for k in range(3)}
    sink = io.BytesIO()
    pq.write_table(pa.table({"era": ["2016-01-08"] * len(ids), "id": list(ids), **features}), sink)
    return sink.getvalue()


def _dataset(platform: Platform, table: bytes) -> None:
    """Publish one file of a classic dataset."""
    kept = releases(platform)
    with kept.draft() as draft:
        folder = draft / "classic" / "v1.0"
        folder.mkdir(parents=True)
        (folder / "train.parquet").write_bytes(table)
        kept.publish(draft, {"classic": {"version": "v1.0", "published_at": NOW.isoformat()}})


def signals_csv(count: int = len(TICKERS), shift: int = 0) -> bytes:
    """Return a good signals file; ``shift`` makes another one of it."""
    lines = [f"{t},{(((i + shift) * 37) % 120 + 0.5) / 120:.6f}" for i, t in enumerate(TICKERS[:count])]
    return ("ticker,signal\n" + "\n".join(lines) + "\n").encode()


def _people(platform: Platform) -> dict[tuple[str, str], str]:
    keys = {}
    for name in ("alice", "bobby"):
        accounts.create_provider(platform, name, 5_000 * ATOMS_PER_TOKEN)
        for scope in accounts.SCOPES:
            keys[name, scope] = accounts.create_key(platform, name, [scope])[1]
    accounts.create_model(platform, "alice", "alice_momentum", Tournament.SIGNALS, 1_000 * ATOMS_PER_TOKEN)
    accounts.create_model(platform, "alice", "alice_ridge", Tournament.CLASSIC, 250 * ATOMS_PER_TOKEN)
    accounts.create_model(platform, "bobby", "bobby_reversal", Tournament.SIGNALS, 500 * ATOMS_PER_TOKEN)
    with platform.store.write() as connection:
        # Past the check of names, as if an older version had let them in.
        providers.add_provider(connection, ProviderRecord("hostile", HOSTILE_NAMES[0], platform.clock.now()))
        for place, name in enumerate(HOSTILE_NAMES):
            tournament = Tournament.SIGNALS if place % 2 else Tournament.CLASSIC
            models.add_model(connection, ModelRecord(f"hostile-{place}", "hostile", name, tournament, platform.clock.now()))
    return keys


def _record(platform: Platform, key: RoundKey, base: date, opens_at: datetime, state: RoundState) -> RoundRecord:
    named = getattr(platform.settings.tournaments, key.tournament.label)
    terms = load_terms(named.terms, platform.settings.config_dir)
    return RoundRecord(
        key=key,
        state=state,
        opens_at=opens_at,
        closes_at=opens_at + timedelta(days=1),
        base_session=base,
        resolve_session=base + timedelta(days=33),
        # As the store gives it back: what was a tuple is a list.
        terms=json.loads(json.dumps(terms.as_dict())),
        terms_hash=terms.hash,
        universe_hash="0" * 64,
        opened_at=opens_at,
    )


def _open_round(platform: Platform, key: RoundKey, labels: tuple[str, ...], live: bytes | None) -> None:
    _add_round(platform, _record(platform, key, FRIDAY, OPENED_AT, RoundState.OPEN), labels, live)


def _add_round(platform: Platform, record: RoundRecord, labels: tuple[str, ...], live: bytes | None) -> None:
    exposures = np.random.default_rng(3).standard_normal((len(labels), 2))
    weights_v = np.linspace(0.5, 1.5, len(labels))
    basis = neutralizers_of(exposures, weights_v)
    frame = RoundFrame(np.array(TICKERS), labels, exposures, ("beta", "size"), ("style", "style"), weights_v, basis)
    files = put_frame(platform.blobs, frame)
    if live is not None:
        files["live"] = platform.blobs.put(live)
    with platform.store.write() as connection:
        rounds.add_round(connection, record)
        for name, sha in files.items():
            rounds.set_artifact(connection, record.key, name, sha)


def _resolved_round(platform: Platform) -> None:
    key, opens_at = SIGNALS_RESOLVED, OPENED_AT - timedelta(weeks=7)
    _add_round(platform, _record(platform, key, FRIDAY - timedelta(weeks=7), opens_at, RoundState.OPEN), TICKERS, None)
    with platform.store.write() as connection:
        ids = {m.name: m.id for m in models.list_models(connection, Tournament.SIGNALS)}
        rng = np.random.default_rng(5)
        staked = {ids["alice_momentum"]: 7, ids["bobby_reversal"]: -3}
        stakes.add_at_risk(
            connection,
            [AtRiskRecord(key, m, 500 * ATOMS_PER_TOKEN, 500 * ATOMS_PER_TOKEN, 25 * ATOMS_PER_TOKEN) for m in staked],
        )
        values = {
            (m, k): float(rng.normal(0, 0.02)) for m in ids.values() for k in ("corr", "mmc", "neutral_corr", "neutral_mmc")
        }
        scores.put_scores(connection, [ScoreRecord(key, m, k, 20, v, round(v * 1e9), True) for (m, k), v in values.items()])
        scores.put_retentions(connection, [RetentionRecord(key, m, 0.1, 980_000_000) for m in ids.values()])
        vectors = rng.standard_normal((2, len(TICKERS)))
        book = ClosedBook(tuple(sorted(staked)), np.full(2, 500.0), *vectors)
        frame = get_frame(connection, platform.blobs, key)
        predictions = rng.uniform(size=vectors.shape)
        prepared = prepare_round(predictions, frame.asset_ids.tolist(), book.model_ids, frame.exposures, book.raw)
        for name, sha in (put_book(platform.blobs, book) | put_prepared(platform.blobs, prepared)).items():
            rounds.set_artifact(connection, key, name, sha)
        rounds.advance_round(connection, key, (RoundState.OPEN,), RoundState.CLOSED, closed_at=opens_at + timedelta(days=1))
        rounds.advance_round(connection, key, (RoundState.CLOSED,), RoundState.SCORING)
        at = opens_at + timedelta(days=34)
        lines = [ResolutionLine(m, 500 * ATOMS_PER_TOKEN, p * ATOMS_PER_TOKEN, 980_000_000) for m, p in staked.items()]
        total = 1_000 * ATOMS_PER_TOKEN
        resolutions.add_resolution(
            connection, ResolutionRecord(key, at, "0" * 64, total, 7 * ATOMS_PER_TOKEN, 3 * ATOMS_PER_TOKEN), lines
        )
        rounds.advance_round(connection, key, (RoundState.SCORING,), RoundState.RESOLVED, resolved_at=at)
        # Of another round, whose money is right: doors give what is there, and look into nothing.
        bundle = invented_bundle(platform.signer)
        rounds.set_artifact(connection, key, PUBLIC_ARTIFACT, platform.blobs.put(bundle))
        rounds.set_artifact(connection, key, AUDITOR_ARTIFACT, platform.blobs.put(seal_to(bundle, make_key_pair()[1])))


def _fund(platform: Platform) -> None:
    rng = np.random.default_rng(11)
    equity, days, day = platform.settings.fund.initial_capital, [], date(2015, 11, 2)
    while len(days) < 40:
        if day.isoweekday() <= 5:
            gross = float(rng.normal(2e4, 3e5))
            costs = {"spread": 4_000.0, "borrow": 1_000.0, "impact": 2_500.0}
            equity += gross - sum(costs.values())
            days.append(
                FundDayRecord(
                    day, equity, gross, costs, {"net": 0.0, "gross": 1.98, "factor:beta": 0.01, "factor:sector:Energy": -0.02}
                )
            )
        day += timedelta(days=1)
    with platform.store.write() as connection:
        for week in range(0, 40, 5):
            as_of = days[week].session
            at = datetime(as_of.year, as_of.month, as_of.day, 23, tzinfo=UTC)
            fund.add_rebalance(connection, RebalanceRecord(f"rebalance-{week}", at, as_of, "filled", "solved", "0" * 64, None))
        waits = RebalanceRecord(
            "rebalance-waits",
            at + timedelta(days=7),
            as_of + timedelta(days=7),
            "approved",
            "relaxed",
            "0" * 64,
            as_of + timedelta(days=10),
            approved_by=HOSTILE_NAMES[0],
            approved_at=at + timedelta(days=7, hours=1),
            findings=[{"code": "price_stale", "message": "STOCK007 has not traded.", "value": "STOCK007", "refuses": False}],
        )
        fund.add_rebalance(connection, waits)
        fund.put_fund_days(connection, days)
    (platform.home.data / "panel.json").write_text(
        json.dumps({"source": "parquet", "flags": ["survivors_only", "assumed"], "files": {}})
    )
