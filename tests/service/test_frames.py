"""What a close prepared comes back as it was, mapped into memory; a changed file is never read.

Method: round trips through the stored files of a small platform, and damage done by hand.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from sqlalchemy import delete

from crowdalpha.codes import Code
from crowdalpha.errors import InvariantBroken, Unavailable
from market.neutralizers import neutralizers_of
from service.context import Platform
from service.frames import RoundSessions, get_frame, get_labels, get_prepared, put_frame, put_prepared
from service.store import rounds
from service.store.schema import of_round, round_artifacts
from signals.prepared import PreparedRound, prepare_round, score_prepared
from tests.builders.platforms import CLASSIC_OPEN, SIGNALS_OPEN, TICKERS, serve_small

SEED = 4_711


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform whose second signals round is open and has nothing prepared."""
    served = serve_small(tmp_path_factory.mktemp("frames") / "home")
    yield served.platform
    served.platform.store.dispose()


def a_prepared_round() -> PreparedRound:
    print(f"seed {SEED}")
    rng = np.random.default_rng(SEED)
    n = len(TICKERS)
    return prepare_round(rng.random((3, n)), sorted(TICKERS), ["a", "b", "c"], rng.standard_normal((n, 2)), rng.random(n))


def keep(platform: Platform, prepared: PreparedRound) -> None:
    files = put_prepared(platform.blobs, prepared)
    with platform.store.write() as connection:
        for name, sha in files.items():
            rounds.set_artifact(connection, SIGNALS_OPEN, name, sha)


def test_a_round_keeps_its_sample_weights_and_neutralizers(platform: Platform) -> None:
    with platform.store.read() as connection:
        frame = get_frame(connection, platform.blobs, SIGNALS_OPEN)
        assert get_labels(connection, platform.blobs, SIGNALS_OPEN) == frame.labels == TICKERS
    np.testing.assert_array_equal(frame.weights_v, np.linspace(0.5, 1.5, len(TICKERS)))
    assert frame.neutralizers.tobytes() == neutralizers_of(frame.exposures, frame.weights_v).tobytes()
    assert not frame.neutralizers.flags.writeable


def test_in_a_round_of_before_there_were_sample_weights_every_asset_weighs_one(platform: Platform) -> None:
    late = round_artifacts.c.name.in_(("weights_v", "neutralizers"))
    with platform.store.write() as connection:
        connection.execute(delete(round_artifacts).where(of_round(round_artifacts, CLASSIC_OPEN), late))
    with platform.store.read() as connection:
        frame = get_frame(connection, platform.blobs, CLASSIC_OPEN)
    np.testing.assert_array_equal(frame.weights_v, np.ones(len(TICKERS)))
    q, r = np.linalg.qr(np.column_stack([np.ones(len(TICKERS)), frame.exposures]))
    np.testing.assert_allclose(frame.neutralizers, q * np.sign(np.diag(r)), atol=1e-12)


def test_a_round_that_has_not_closed_has_nothing_prepared(platform: Platform) -> None:
    with platform.store.read() as connection, pytest.raises(Unavailable) as refused:
        get_prepared(connection, platform.blobs, SIGNALS_OPEN)
    assert refused.value.code is Code.ROUND_STATE


def test_what_was_prepared_comes_back_as_memory_maps_and_scores_the_same_bits(platform: Platform) -> None:
    made = a_prepared_round()
    keep(platform, made)
    with platform.store.read() as connection:
        back = get_prepared(connection, platform.blobs, SIGNALS_OPEN)
    assert isinstance(back.places, np.memmap)
    assert back.places.dtype == np.uint16
    assert {n: a.tobytes() for n, a in back.to_arrays().items()} == {n: a.tobytes() for n, a in made.to_arrays().items()}
    target = np.linspace(0, 1, len(TICKERS)).round(1)
    for kind, values in score_prepared(made, target).items():
        assert score_prepared(back, target)[kind].tobytes() == values.tobytes()


def test_a_changed_file_of_a_prepared_round_is_never_read(platform: Platform) -> None:
    made = a_prepared_round()
    keep(platform, made)
    path = platform.blobs.path(platform.blobs.put_array(made.places))
    whole = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        with platform.store.read() as connection, pytest.raises(InvariantBroken) as refused:
            get_prepared(connection, platform.blobs, SIGNALS_OPEN)
        assert refused.value.code is Code.BLOB_BROKEN
    finally:
        path.write_bytes(whole)


def test_where_a_rounds_assets_trade_comes_back_and_is_a_file_of_its_own(platform: Platform) -> None:
    with platform.store.read() as connection:
        plain = get_frame(connection, platform.blobs, SIGNALS_OPEN)
    assert plain.sessions is None
    bare = put_frame(platform.blobs, plain)
    assert set(bare) == {"universe", "exposures", "weights_v", "neutralizers"}
    exchanges = np.array(["XNYS", "XTKS"])[np.arange(len(TICKERS)) % 2]
    told = RoundSessions(exchanges, {"XNYS": date(2016, 3, 24), "XTKS": date(2016, 3, 25)})
    files = put_frame(platform.blobs, replace(plain, sessions=told))
    assert {name: files[name] for name in bare} == bare
    with platform.store.write() as connection:
        rounds.set_artifact(connection, SIGNALS_OPEN, "sessions", files["sessions"])
        again = get_frame(connection, platform.blobs, SIGNALS_OPEN).sessions
    assert again is not None
    assert again.exchanges.tolist() == exchanges.tolist()
    assert again.bases == told.bases
