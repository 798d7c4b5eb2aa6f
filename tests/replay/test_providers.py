"""Goal: the crowd is honest, repeatable and as varied as it says. Method: a small random market and plain formulas."""

import io
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.csv as pv
import pytest

from crowdalpha.errors import InputRejected, InvariantBroken
from crowdalpha.ids import RoundKey, Tournament
from market.calendars import session_calendar
from market.panel import AssetTable, PanelView, PointInTimePanel
from market.quotes import Quotes
from service.replay.crowd import Member, roster
from service.replay.files import DAMAGES, HEADERS, damaged, write_csv
from service.replay.providers.classic import ClassicArchive, ClassicInput, read_era
from service.replay.providers.momentum import momentum
from service.replay.providers.oracle import oracle
from service.replay.providers.ridge import ERAS_MIN, ridge
from service.replay.providers.window import WINDOW_SESSIONS, Strategy, StrategyInput, round_window
from service.replay.uploads import member_rng, signals_uploads, unit_values

SEED = 20160108
ASSETS = 120
SESSIONS = 320
SIGNALS_KEY = RoundKey(Tournament.SIGNALS, 4)
CLASSIC_KEY = RoundKey(Tournament.CLASSIC, 4)


def random_panel(seed: int = SEED) -> PointInTimePanel:
    rng = np.random.default_rng(seed)
    calendar = session_calendar("XNYS", date(2014, 1, 2), date(2016, 12, 30))
    sessions = np.array(calendar.sessions, dtype="datetime64[D]")[:SESSIONS]
    shape = (SESSIONS, ASSETS)
    returns = 0.01 * rng.standard_normal(shape) * rng.uniform(0.5, 3.0, ASSETS) + 0.008 * rng.standard_normal((SESSIONS, 1))
    close = 50.0 * np.exp(np.cumsum(returns, axis=0))
    close[100:104, 3] = np.nan
    close[:200, 5] = np.nan
    ids = np.array([f"A{i:04d}" for i in range(ASSETS)])
    unknown = np.full(ASSETS, np.nan)
    closes_at = np.array([np.datetime64(calendar.close_at(s.astype(object)).replace(tzinfo=None), "s") for s in sessions])
    return PointInTimePanel(
        assets=AssetTable(
            ids,
            ids.copy(),
            np.array([f"s{i % 7}" for i in range(ASSETS)]),
            np.full(ASSETS, "US"),
            np.full(ASSETS, "XNYS"),
            np.full(ASSETS, "USD"),
            unknown,
        ),
        calendar=calendar,
        sessions=sessions,
        known_at=closes_at + np.timedelta64(3600, "s"),
        quotes=Quotes(
            open=close * (1.0 + 0.002 * rng.standard_normal(shape)),
            close=close,
            volume=np.where(np.isfinite(close), rng.uniform(1e4, 1e6, shape), np.nan),
        ),
        delisting_index=np.full(ASSETS, -1, dtype=np.int64),
        delisting_return=unknown.copy(),
        price_basis="split_adjusted",
        flags=frozenset(),
        source="parquet",
    )


def view_before_last(panel: PointInTimePanel, back: int = 1) -> PanelView:
    seconds = int(panel.known_at[-back].astype("datetime64[s]").astype(int))
    return panel.as_of(datetime.fromtimestamp(seconds, tz=UTC) + timedelta(minutes=5))


@pytest.fixture(scope="module")
def panel() -> PointInTimePanel:
    print(f"seed {SEED}")
    return random_panel()


@pytest.fixture(scope="module")
def members() -> tuple[Member, ...]:
    return roster("parquet", SEED)


def strategies(members: tuple[Member, ...]) -> list[tuple[str, Strategy]]:
    return [(m.model_name, m.strategy) for m in members if m.strategy is not None]


def era_table(number: int, rows: int = 400, features: int = 25, weights: np.ndarray | None = None) -> pa.Table:
    rng = np.random.default_rng([SEED, number])
    values = rng.integers(0, 5, (rows, features)).astype(np.int8)
    columns = {"era": [f"{number:04d}"] * rows, "id": [f"{number:04d}{i:05d}" for i in range(rows)]}
    columns |= {f"feature_{k}": values[:, k] for k in range(features)}
    if weights is not None:
        score = (values - 2.0) @ weights + 3.0 * rng.standard_normal(rows)
        columns["target"] = np.clip(np.round(score / 4.0) / 4.0 + 0.5, 0.0, 1.0)
    return pa.table(columns)


def read_back(data: bytes) -> dict[str, float]:
    table = pv.read_csv(io.BytesIO(data))
    label, value = table.column_names
    return dict(zip(table.column(label).to_pylist(), table.column(value).to_pylist(), strict=True))


# The roster


def test_the_crowd_is_large_and_mixed(members: tuple[Member, ...]) -> None:
    names = [m.model_name for m in members]
    assert len(names) == len(set(names))
    assert len(names) >= 44
    assert len({m.provider_name for m in members}) >= 15
    assert {m.habit for m in members} == {"careful", "late", "malformed", "wrong_round", "skips"}
    for tournament in Tournament:
        assert sum(m.tournament is tournament for m in members) >= 20
        assert any(m.model_name.startswith("noise_") and m.tournament is tournament for m in members)
    assert "momentum" in names
    assert all(50 <= int(m.stake_tokens) <= 2000 for m in members)


def test_every_copy_names_an_original_of_its_own_tournament(members: tuple[Member, ...]) -> None:
    by_name = {m.model_name: m for m in members}
    for member in members:
        original = member.clone_of or member.mirror_of
        makers = (member.strategy, member.classic_strategy, original)
        assert sum(maker is not None for maker in makers) == 1
        if original is not None:
            assert by_name[original].tournament is member.tournament
            assert by_name[original].habit == "careful"
            assert member.model_name.startswith("clone_" if member.clone_of else "mirror_")


def test_the_same_seed_gives_the_same_stakes_and_another_seed_others() -> None:
    stakes = [[m.stake_tokens for m in roster("parquet", seed)] for seed in (1, 1, 2)]
    assert stakes[0] == stakes[1] != stakes[2]


def test_only_a_generated_market_has_an_oracle(panel: PointInTimePanel) -> None:
    assert not any("oracle" in m.model_name for m in roster("parquet", SEED, panel))
    assert [m.model_name for m in roster("synthetic", SEED, panel) if "oracle" in m.model_name] == ["oracle_synthetic"]


def test_the_oracle_refuses_a_market_that_was_not_generated(panel: PointInTimePanel) -> None:
    view, positions = view_before_last(panel), np.arange(ASSETS)
    data = StrategyInput(view, positions, round_window(view, positions), np.random.default_rng(0))
    with pytest.raises(InputRejected, match="synthetic market only"):
        oracle(data, panel)


def test_the_oracle_knows_what_comes_and_changes_its_mind_slowly(panel: PointInTimePanel) -> None:
    generated = replace(panel, source="synthetic")
    positions = np.arange(ASSETS)
    knowledge, opinions = [], []
    for back in range(60, 30, -5):
        view = view_before_last(generated, back)
        data = StrategyInput(view, positions, round_window(view, positions), np.random.default_rng(0))
        row = view.sessions.shape[0] - 1
        returns = view_before_last(generated).total_returns()[row + 3 : row + 23]
        truth = np.prod(1.0 + returns, axis=0) - 1.0
        opinions.append(oracle(data, generated))
        knowledge.append(np.corrcoef(opinions[-1], truth)[0, 1])
    assert np.mean(knowledge) > 0.05
    assert np.corrcoef(opinions[0], opinions[1])[0, 1] > 0.9


# Strategies of the signals tournament


def test_every_strategy_gives_one_usable_number_an_asset(panel: PointInTimePanel, members: tuple[Member, ...]) -> None:
    view, positions = view_before_last(panel), np.arange(0, ASSETS, 2)
    window = round_window(view, positions)
    for name, strategy in strategies(members):
        values = strategy(StrategyInput(view, positions, window, member_rng(SEED, name, 1)))
        assert values.shape == positions.shape, name
        assert np.isfinite(values).mean() > 0.95, name
        assert np.unique(values[np.isfinite(values)]).size > 10, name


def test_no_strategy_sees_anything_after_its_instant(panel: PointInTimePanel, members: tuple[Member, ...]) -> None:
    """Change every price after the view's instant: nothing that was computed from the view changes."""
    cut = SESSIONS - 30
    later = {name: array.copy() for name, array in panel.quotes.arrays().items()}
    for array in later.values():
        array[cut:] *= np.random.default_rng(SEED).uniform(0.5, 2.0, array[cut:].shape)
    changed = replace(panel, quotes=Quotes(**later))
    positions = np.arange(ASSETS)
    files = []
    for world in (panel, changed):
        view = view_before_last(world, back=31)
        assert view.sessions.shape[0] == cut
        files.append(signals_uploads(members, view, positions, view.assets.tickers.tolist(), SIGNALS_KEY, SEED))
    assert files[0] == files[1]


def test_momentum_is_the_return_from_a_year_to_a_month_ago(panel: PointInTimePanel) -> None:
    view, positions = view_before_last(panel), np.array([0, 7, 11])
    data = StrategyInput(view, positions, round_window(view, positions), np.random.default_rng(0))
    prices = view.return_index()[:, positions]
    expected = prices[-22] / prices[-253] - 1.0
    np.testing.assert_allclose(momentum(data), expected, rtol=1e-14)


def test_a_window_fills_gaps_with_the_last_price_and_starts_with_the_first(panel: PointInTimePanel) -> None:
    view, positions = view_before_last(panel), np.array([3, 5])
    window = round_window(view, positions)
    offset = SESSIONS - WINDOW_SESSIONS
    assert (window.closes[100 - offset : 104 - offset, 0] == view.return_index()[99, 3]).all()
    assert (window.closes[: 200 - offset, 1] == view.return_index()[200, 5]).all()
    assert (window.returns[: 200 - offset, 1] == 0.0).all()
    assert not window.closes.flags.writeable


def test_too_short_a_history_is_refused(panel: PointInTimePanel) -> None:
    with pytest.raises(InputRejected, match="253 sessions"):
        round_window(view_before_last(panel, back=SESSIONS - 100), np.arange(3))


def test_slow_strategies_keep_their_order_from_week_to_week(panel: PointInTimePanel, members: tuple[Member, ...]) -> None:
    slow = {"momentum", "residual_momentum", "low_volatility", "low_beta", "illiquidity", "small", "blend_slow"}
    positions = np.arange(ASSETS)
    ranks: dict[str, list[np.ndarray]] = {name: [] for name in slow}
    for back, number in ((6, 1), (1, 2)):
        view = view_before_last(panel, back)
        window = round_window(view, positions)
        for name, strategy in strategies(members):
            if name in slow:
                values = strategy(StrategyInput(view, positions, window, member_rng(SEED, name, number)))
                ranks[name].append(np.argsort(np.argsort(values)))
    for name, (before, after) in ranks.items():
        assert np.corrcoef(before, after)[0, 1] > 0.85, name


# Strategies of the classic tournament


def test_the_archive_gives_the_ridge_of_the_stacked_rows() -> None:
    """The independent source is the regression on all rows at once, by numpy's own least squares."""
    weights = np.random.default_rng(SEED).standard_normal(25)
    tables = [era_table(i, weights=weights) for i in range(1, 9)]
    archive = ClassicArchive()
    for table in tables:
        archive = archive.with_era(table)
    live = read_era(era_table(99))
    eras = [read_era(t) for t in tables[-6:]]
    stacked = np.vstack([e.features for e in eras])
    target = np.concatenate([e.target for e in eras if e.target is not None])
    penalty = 0.1
    padded = np.vstack([stacked, np.sqrt(penalty * len(target)) * np.eye(25)])
    fitted = np.linalg.lstsq(padded, np.concatenate([target, np.zeros(25)]), rcond=None)[0]
    prediction = ridge(ClassicInput(live, archive, np.random.default_rng(0)), penalty=penalty, eras=6)
    np.testing.assert_allclose(prediction, live.features @ fitted, atol=1e-12)
    assert np.corrcoef(prediction, live.features @ weights)[0, 1] > 0.9


def test_rows_without_a_target_teach_nothing() -> None:
    table = era_table(1, weights=np.ones(25))
    gap = np.array(table.column("target").to_numpy())
    gap[::2] = np.nan
    with_gaps = table.set_column(table.column_names.index("target"), "target", pa.array(gap))
    halved = ClassicArchive().with_era(with_gaps).eras[0]
    kept = ClassicArchive().with_era(table.take(np.arange(1, 400, 2))).eras[0]
    assert halved.rows == kept.rows == 200
    np.testing.assert_array_equal(halved.gram, kept.gram)
    np.testing.assert_array_equal(halved.cross, kept.cross)


def test_an_archive_refuses_an_era_without_target_or_with_other_features() -> None:
    with pytest.raises(InputRejected, match="no target"):
        ClassicArchive().with_era(era_table(1))
    archive = ClassicArchive().with_era(era_table(1, weights=np.ones(25)))
    with pytest.raises(InputRejected, match="other features"):
        archive.with_era(era_table(2, features=24, weights=np.ones(24)))


def test_without_enough_eras_a_ridge_falls_back_on_its_features() -> None:
    archive = ClassicArchive()
    live = read_era(era_table(99))
    for number in range(1, ERAS_MIN):
        archive = archive.with_era(era_table(number, weights=np.ones(25)))
    values = ridge(ClassicInput(live, archive, np.random.default_rng(0)))
    np.testing.assert_array_equal(values, live.features.mean(axis=1))


# Files


def test_files_are_the_same_in_every_run_and_differ_between_rounds_and_seeds(
    panel: PointInTimePanel, members: tuple[Member, ...]
) -> None:
    view, positions = view_before_last(panel), np.arange(ASSETS)
    labels = view.assets.tickers.tolist()
    first = signals_uploads(members, view, positions, labels, SIGNALS_KEY, SEED)
    assert first == signals_uploads(members, view, positions, labels, SIGNALS_KEY, SEED)
    alone = [m for m in members if m.model_name == "noise_cedar"]
    by_name = {u.model_name: u.data for u in first}
    assert signals_uploads(alone, view, positions, labels, SIGNALS_KEY, SEED)[0].data == by_name["noise_cedar"]
    for key, seed in ((RoundKey(Tournament.SIGNALS, 5), SEED), (SIGNALS_KEY, SEED + 1)):
        assert signals_uploads(alone, view, positions, labels, key, seed)[0].data != by_name["noise_cedar"]


def test_a_clone_sends_its_originals_file_and_a_mirror_the_reverse(
    panel: PointInTimePanel, members: tuple[Member, ...]
) -> None:
    view, positions = view_before_last(panel), np.arange(ASSETS)
    uploads = signals_uploads(members, view, positions, view.assets.tickers.tolist(), SIGNALS_KEY, SEED)
    files = {u.model_name: u.data for u in uploads}
    assert files["clone_momentum"] == files["momentum"]
    original, mirror = read_back(files["momentum"]), read_back(files["mirror_momentum"])
    assert original.keys() == mirror.keys()
    assert max(abs(original[k] + mirror[k] - 1.0) for k in original) < 1e-15


def test_the_careless_are_careless_in_one_round_of_three(panel: PointInTimePanel, members: tuple[Member, ...]) -> None:
    view, positions = view_before_last(panel), np.arange(ASSETS)
    labels = view.assets.tickers.tolist()
    careless = [m for m in members if m.habit != "careful" and m.tournament is Tournament.SIGNALS]
    seen = {m.habit: 0 for m in careless}
    for number in range(1, 7):
        key = RoundKey(Tournament.SIGNALS, number)
        uploads = {u.model_name: u for u in signals_uploads(careless, view, positions, labels, key, SEED)}
        clean = {m.model_name: m.strategy for m in careless}
        assert clean.keys() >= uploads.keys()
        for member in careless:
            upload = uploads.get(member.model_name)
            seen["skips"] += member.habit == "skips" and upload is None
            seen["late"] += member.habit == "late" and upload is not None and upload.late
            seen["wrong_round"] += member.habit == "wrong_round" and upload is not None and upload.round_key != key
            seen["malformed"] += member.habit == "malformed" and upload is not None and not _reads_well(upload.data, ASSETS)
    assert seen == dict.fromkeys(seen, 2)


def _reads_well(data: bytes, rows: int) -> bool:
    """Say whether a file is what the published format asks for; written from the format, not from the platform's parser."""
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        return False
    fields = [line.split(",") for line in lines]
    if fields[0] != list(HEADERS[Tournament.SIGNALS]) or any(len(f) != 2 for f in fields):
        return False
    try:
        values = [float(value) for _, value in fields[1:]]
    except ValueError:
        return False
    return len({label for label, _ in fields[1:]}) == len(values) == rows and all(0.0 <= v <= 1.0 for v in values)


@pytest.mark.parametrize("kind", sorted(DAMAGES))
def test_every_kind_of_damage_spoils_the_file(kind: str) -> None:
    labels = [f"T{i}" for i in range(150)]
    data = write_csv(labels, (np.arange(150) + 0.5) / 150)
    assert _reads_well(data, 150)
    assert not _reads_well(damaged(data, kind, np.random.default_rng(SEED)), 150)


@pytest.mark.parametrize("kind", sorted(DAMAGES))
def test_the_platform_refuses_every_kind_of_damage(kind: str) -> None:
    submission = pytest.importorskip("signals.submission")
    from crowdalpha.terms import ScoringTerms
    from signals.parse import SIGNALS_FORMAT

    labels = tuple(f"T{i:03d}" for i in range(150))
    data = write_csv(labels, (np.arange(150) + 0.5) / 150)
    terms = ScoringTerms(kinds=("corr",))
    assert submission.judge(data, SIGNALS_FORMAT, labels, terms).accepted
    spoiled = damaged(data, kind, np.random.default_rng(SEED))
    assert not submission.judge(spoiled, SIGNALS_FORMAT, labels, terms).accepted


def test_written_numbers_read_back_to_the_last_bit() -> None:
    values = np.random.default_rng(SEED).random(500)
    back = read_back(write_csv([f"T{i}" for i in range(500)], values))
    assert list(back.values()) == values.tolist()


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, np.nan, np.inf])
def test_a_value_outside_the_open_interval_is_never_written(value: float) -> None:
    with pytest.raises(InvariantBroken):
        write_csv(["A", "B"], np.array([0.5, value]))


def test_no_opinion_means_no_row() -> None:
    def partial_view(_: StrategyInput) -> np.ndarray:
        return np.array([1.0, np.nan, 3.0])

    member = Member("p", "part", Tournament.SIGNALS, "1", strategy=partial_view)
    values = unit_values([member], lambda m: partial_view(None))  # type: ignore[arg-type]
    np.testing.assert_array_equal(values["part"], [0.25, np.nan, 0.75])
