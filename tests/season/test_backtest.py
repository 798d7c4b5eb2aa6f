"""A walk over the meta-models of a home decides as the fund did. Method: play a small season, walk its closed rounds, and set
the walk beside the fund's own rebalances, which came about on the simulated clock and through the store."""

from collections.abc import Iterator
from datetime import date

import numpy as np
import pytest

from service.attribution import read_lines
from service.backtest.outcome import tearsheet
from service.backtest.sources import MetaModelSource
from service.backtest.spec import BacktestSpec, named_mandate
from service.context import Platform, build_platform
from service.store import fund
from service.workflows.backtest import Backtest, BacktestRoom
from service.workflows.rebalance import read_decision
from tests.builders.seasons import play_small, small_panel, small_settings

LAST = date(2021, 2, 26)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    home, _ = play_small(tmp_path_factory.mktemp("season") / "home", last=LAST)
    made = build_platform(home, small_settings())
    made.desk.use(small_panel())
    yield made
    made.store.dispose()


@pytest.fixture(scope="module")
def found(platform: Platform) -> Backtest:
    return BacktestRoom(platform).run(BacktestSpec(named_mandate(platform.settings), last=LAST), with_lines=True)


def test_it_decides_on_the_sessions_of_the_fund_and_fills_on_theirs(platform: Platform, found: Backtest) -> None:
    with platform.store.read() as connection:
        standing = [read_decision(platform, record) for record in fund.list_rebalances(connection)]
    walked = {d.session: d.fill_session for d in found.walk.decisions}
    lived = {d.as_of: d.fill_session for d in standing if d.fill_session <= LAST}
    assert len(lived) >= 6
    assert {session: walked[session] for session in lived} == lived


def test_its_first_book_is_the_funds_but_for_who_is_standardized_with_whom(platform: Platform, found: Backtest) -> None:
    """From cash both see one score and one mandate; a few assets that left the universe move exposures a little."""
    with platform.store.read() as connection:
        first = read_decision(platform, fund.list_rebalances(connection)[0])
    walked = found.walk.decisions[0]
    weights = np.zeros(len(small_panel().assets))
    weights[walked.positions] = walked.weights
    lived = np.zeros(len(small_panel().assets))
    lived[platform.desk.positions_of(first.asset_ids)] = first.weights
    assert np.corrcoef(weights, lived)[0, 1] > 0.99
    assert np.abs(lived).sum() == pytest.approx(np.abs(weights).sum(), rel=0.02)


def test_its_record_is_that_of_the_rounds_that_had_resolved(platform: Platform, found: Backtest) -> None:
    with platform.store.read() as connection:
        lived = {d.as_of: d.evidence["information_coefficient"] for d in _decisions(platform, connection)}
    for decision in found.walk.decisions:
        if decision.session in lived:
            assert decision.ic == pytest.approx(lived[decision.session], rel=1e-12)


def test_its_models_earn_what_the_funds_models_earned(platform: Platform, found: Backtest) -> None:
    """The fund's lines came about through the store. While the first book is held both have the same models, and each earns the
    same but for who is standardized with whom; all of the walk's profit is told, by factor and by model."""
    with platform.store.read() as connection:
        lived = read_lines(connection, platform)
    walked, equity = found.walk, np.concatenate([[found.walk.result.initial_equity], found.walk.result.equity])
    assert lived is not None
    assert walked.by_model is not None
    assert walked.by_factor is not None
    for lines in (walked.by_factor, walked.by_model):
        np.testing.assert_allclose(lines.sums, np.diff(equity), atol=1e-9 * equity[0])
    until = sum(day < np.datetime64(walked.decisions[1].fill_session, "D") for day in walked.sessions)
    assert lived.sessions[:until] == tuple(walked.sessions[:until].tolist())
    told = [
        dict(zip(zip(s.groups, s.names, strict=True), s.values[:until].sum(axis=0), strict=True))
        for s in (lived.by_model, walked.by_model)
    ]
    models = [key for key in told[0] if key[0] in ("signals", "classic") and told[0][key] != 0]
    assert len(models) > 10
    assert {key for key in told[1] if told[1][key] != 0 and key[0] in ("signals", "classic")} == set(models)
    assert np.corrcoef([told[0][m] for m in models], [told[1][m] for m in models])[0, 1] > 0.99


def test_its_tear_sheet_tells_of_tournaments_and_models(platform: Platform, found: Backtest) -> None:
    page = tearsheet(found.walk, BacktestSpec(named_mandate(platform.settings), last=LAST), found.flags)
    for section in ("Profit by tournament", "Profit by model", "Profit by factor", "Drift between decisions"):
        assert section in page


def _decisions(platform: Platform, connection):
    return [read_decision(platform, record) for record in fund.list_rebalances(connection)]


def test_a_moment_is_when_the_last_round_of_a_session_has_closed(platform: Platform) -> None:
    room = BacktestRoom(platform)
    spec = BacktestSpec(named_mandate(platform.settings))
    source = MetaModelSource(platform, room._evenings_of(spec))
    for moment in source.moments(5):
        known = small_panel().known_at[moment.row].astype("datetime64[s]").item()
        assert moment.instant.replace(tzinfo=None) > known
        assert room._evenings_of(spec).evening(moment.instant).row == moment.row
