"""Goal: a rebalance goes from proposal to the broker's account by somebody and in time, or it ends and the book stays.

Method: a small fund whose third rebalance waits for its operator; each step, and each reason for which it is refused. What the
book must become is carried by the twin alone, from the decision's weights and the panel's returns."""

import importlib
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, CrowdalphaError, InputRejected
from market.exposures import compute_exposures
from portfolio.book import BookState, Liquidity, costs_of
from portfolio.simulate import step
from service import queries
from service.book import PAPER_KEY, put_book, read_book
from service.broker import PaperBroker
from service.cli.rebalance import book_title
from service.context import Platform
from service.decisions import load_fund_mandate, loadings_of, read_decision
from service.home import Home
from service.jobs import registry
from service.pretrade import _sheet
from service.store import audit, fund, orders
from service.workflows.approve_rebalance import approve, reject
from service.workflows.halt_fund import halt_fund, resume_fund
from service.workflows.rebalance import rebalance
from service.workflows.reconcile_fund import reconcile_fund
from service.workflows.send_orders import send_orders
from service.workflows.settle_fund import settle_fund
from service.workflows.treasury import deposit_treasury
from tests.builders.desks import AFTER_FILL, FILL_SESSION, SUNDAY, desk_at, play_to_sunday
from tests.builders.seasons import small_panel

AS_OF = {"base_session": "2021-01-22"}


@pytest.fixture(scope="module")
def proposed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return play_to_sunday(tmp_path_factory.mktemp("desk") / "home").path


@pytest.fixture
def opened(proposed: Path, tmp_path: Path):
    """A function that opens a copy of the home at an instant, with settings; one copy a test."""
    shutil.copytree(proposed, tmp_path / "home")
    made: list[Platform] = []

    def at(instant: datetime = SUNDAY, **overrides: Any) -> Platform:
        named = {f"fund.{key.replace('__', '.')}": value for key, value in overrides.items()}
        made.append(desk_at(Home.open(tmp_path / "home"), instant, named))
        return made[-1]

    yield at
    for platform in made:
        platform.store.dispose()


def latest(platform: Platform):
    with platform.store.read() as connection:
        return fund.latest_rebalance(connection)


def book_of(platform: Platform) -> BookState:
    with platform.store.read() as connection:
        return read_book(connection, platform)[0]


def trail(platform: Platform) -> list[tuple[str, str]]:
    with platform.store.read() as connection:
        return [(line.who, line.what) for line in reversed(audit.list_audit(connection))]


def refused(code: Code, call: Callable[..., object], *arguments: Any, **named: Any) -> CrowdalphaError:
    with pytest.raises(CrowdalphaError) as caught:
        call(*arguments, **named)
    assert caught.value.code is code
    return caught.value


def expected_book(platform: Platform, target: np.ndarray | None) -> BookState:
    """Carry the book over the fill session by the twin alone."""
    decision = read_decision(platform, latest(platform))
    book = book_of(platform)
    ids = np.union1d(book.asset_ids, decision.asset_ids)
    panel = small_panel()
    view = panel.as_of(AFTER_FILL)
    at, row = platform.desk.positions_of(ids), view.index_of(FILL_SESSION)
    window = platform.settings.universe.adv_window_sessions
    adv = np.median(np.nan_to_num(view.dollar_volume()[row - window : row, at]), axis=0)
    sigma = np.nan_to_num(view.total_returns()[row - 63 : row, at]).std(axis=0)
    wanted = None
    if target is not None:
        wanted = np.zeros(len(ids))
        wanted[np.searchsorted(ids, decision.asset_ids)] = target
    after, _ = step(
        book.reindexed(ids),
        view.overnight_returns()[row, at],
        view.intraday_returns()[row, at],
        costs_of(load_fund_mandate(platform)),
        target=wanted,
        halted=~view.traded[row, at],
        delisting=np.where(view.delisting_index[at] == row, view.delisting_return[at], np.nan),
        liquidity=Liquidity(adv, sigma),
    )
    return after


def assert_same_book(found: BookState, expected: BookState, tolerance: float) -> None:
    ids = np.union1d(found.asset_ids, expected.asset_ids)
    off = np.abs(found.reindexed(ids).positions - expected.reindexed(ids).positions)
    assert off.max() <= tolerance * expected.equity
    assert abs(found.cash - expected.cash) <= tolerance * expected.equity


# The way through


def test_what_the_limits_do_not_cover_waits_and_says_why(opened) -> None:
    platform = opened()
    with platform.store.read() as connection:
        past = [(r.state, r.approved_by) for r in fund.list_rebalances(connection)]
    assert past == [("reconciled", "ann")] * 2 + [("proposed", None)]
    detail = queries.rebalance_detail(platform)
    assert [f["code"] for f in detail["findings"]] == ["approval_limit"]
    assert (detail["expires_at"], detail["fill_session"]) == ("2021-01-25T14:30:00+00:00", "2021-01-25")


def test_approved_sent_filled_and_reconciled_the_book_is_that_of_the_twin(opened) -> None:
    platform = opened()
    before = len(trail(platform))
    decision = read_decision(platform, latest(platform))
    expected = expected_book(platform, decision.weights)
    approved = approve(platform, "ann").record
    assert (approved.state, approved.approved_by, approved.approved_at) == ("approved", "ann", SUNDAY)
    sending = send_orders(platform, "ann")
    assert sending.orders == int(decision.sizes.traded.sum()) > 100
    platform = opened(AFTER_FILL)
    settled = settle_fund(platform)
    assert settled.sessions[-1] == FILL_SESSION
    assert settled.filled == (approved.id,)
    found = book_of(platform)
    assert_same_book(found, expected, 1e-9)
    with platform.store.read() as connection:
        filled = orders.orders_of(connection, approved.id)
        day = fund.fund_days(connection)[-1]
    assert {o.state for o in filled} <= {"filled", "unfilled"}
    for kind in ("spread", "impact"):
        assert sum(getattr(o.fill, kind) for o in filled) == pytest.approx(day.costs[kind], rel=1e-9)
    done = reconcile_fund(platform, "bob")
    assert (done.findings, done.rebalances, latest(platform).state) == ((), (approved.id,), "reconciled")
    assert trail(platform)[before:] == [
        ("ann", "approve_rebalance"),
        ("ann", "send_orders"),
        ("schedule", "fill_rebalance"),
        ("bob", "reconcile_fund"),
    ]


def test_whole_shares_miss_the_target_by_the_error_that_was_told(opened) -> None:
    platform = opened(orders__shares="whole")
    decision = read_decision(platform, latest(platform))
    reached = decision.sizes.reached(whole=True)
    told = decision.evidence["rounding"]["whole"]
    assert 0 < told["weight_error"] < 1e-3
    assert told["weight_error"] == pytest.approx(np.abs(reached - decision.weights).sum())
    approve(platform, "ann")
    send_orders(platform, "ann")
    platform = opened(AFTER_FILL, orders__shares="whole")
    before = book_of(platform)
    settle_fund(platform)
    with platform.store.read() as connection:
        filled = [o for o in orders.orders_of(connection, decision.record.id) if o.state == "filled"]
    view = small_panel().as_of(AFTER_FILL)
    row, ids = view.index_of(FILL_SESSION), np.array([o.asset_id for o in filled])
    opens = view.open[row, platform.desk.positions_of(ids)]
    assert [o.fill.value for o in filled] == pytest.approx((np.array([o.shares for o in filled]) * opens).tolist(), rel=1e-9)
    assert all(o.shares == (round if o.weight else math.trunc)(o.value / o.price) for o in filled)
    assert book_of(platform).equity == pytest.approx(before.equity, rel=0.05)
    assert reconcile_fund(platform, "ann").findings == ()


def test_a_file_of_orders_holds_whole_shares(opened, tmp_path: Path) -> None:
    from service.orders import write_orders

    platform = opened()
    decision = read_decision(platform, latest(platform))
    count = write_orders(platform, decision, tmp_path / "orders.csv")
    lines = [line.split(",") for line in (tmp_path / "orders.csv").read_text().splitlines()]
    assert lines[0][:5] == ["client_order_id", "asset_id", "ticker", "side", "shares"]
    assert len(lines) - 1 == count > 50
    traded = 0.0
    for line in lines[1:]:
        assert line[3] in {"buy", "sell"}
        assert int(line[4]) > 0
        traded += (1 if line[3] == "buy" else -1) * float(line[6])
    sizes = decision.sizes
    assert traded / sizes.equity == pytest.approx((sizes.reached(whole=True) - sizes.held).sum(), abs=1e-6)


# What the book is exposed to


@pytest.mark.parametrize("former", [False, True])
def test_a_stored_decision_names_each_column_of_its_exposures(opened, former: bool) -> None:
    """Beside the exposures of the whole panel at that close, which no decision has touched: the styles of the universe."""
    platform = opened()
    decision = read_decision(platform, latest(platform))
    evidence = dict(decision.evidence)
    if former:  # as stored before there was a list of the columns
        del evidence["factors"]
    found = loadings_of(platform, evidence)
    assert found.kinds[0] == "market"
    told = [decision.evidence["exposures"][name] for name in found.names]
    assert (decision.weights @ found.values).tolist() == pytest.approx(told, abs=1e-12)
    assert [decision.evidence["exposure_kinds"][name] for name in found.names] == list(found.kinds)
    members = platform.desk.positions_of(decision.asset_ids)
    independent = compute_exposures(small_panel().as_of(SUNDAY), members)
    told = {name: column for name, column in zip(independent.names, independent.values.T, strict=True) if column.std() > 0}
    assert {"beta", "size", "momentum", "reversal", "volatility", "liquidity", "sector:Technology"} <= set(told)
    for name, column in told.items():
        assert np.corrcoef(column, found.values[:, found.names.index(name)])[0, 1] > 0.99, name
    sheet = _sheet(platform, platform.desk.view(SUNDAY), decision)
    assert (sheet.beta == found.values[:, found.names.index("beta")]).all()


def test_a_close_tells_the_exposures_by_their_names(opened) -> None:
    platform = opened()
    approve(platform, "ann")
    send_orders(platform, "ann")
    platform = opened(AFTER_FILL)
    settle_fund(platform)
    decision, book = read_decision(platform, latest(platform)), book_of(platform)
    with platform.store.read() as connection:
        day = fund.fund_days(connection)[-1]
    ids = np.intersect1d(book.asset_ids, decision.asset_ids)
    weights = book.weights[np.isin(book.asset_ids, ids)]
    exposures = compute_exposures(small_panel().as_of(SUNDAY), platform.desk.positions_of(decision.asset_ids))
    rows = np.searchsorted(decision.asset_ids, ids)
    for name in ("beta", "momentum", "size", "sector:Technology"):
        expected = weights @ exposures.values[rows, exposures.names.index(name)]
        assert day.exposures[f"factor:{name}"] == pytest.approx(expected, abs=0.02), name
    assert day.exposures["factor:market"] == pytest.approx(day.exposures["net"], abs=1e-9)
    assert day.exposures["factor:beta"] != pytest.approx(day.exposures["net"], abs=1e-6)


def test_a_book_that_aims_at_a_net_is_not_taken_for_one_with_a_beta(opened) -> None:
    platform = opened()
    reject(platform, "ann", "another mandate")
    platform = opened(mandate="long-biased")
    proposed = rebalance(platform)
    assert proposed.evidence["net"] > load_fund_mandate(platform).hard_figure("beta_band") + 0.05
    assert [f for f in proposed.findings if f.refuses] == []
    assert approve(platform, "ann").record.state == "approved"


# What is refused, and what ends


def test_what_is_not_approved_by_its_open_expires_and_the_book_stays(opened) -> None:
    expected = expected_book(opened(), None)
    platform = opened(AFTER_FILL)
    refused(Code.REBALANCE_EXPIRED, approve, platform, "ann")
    settled = settle_fund(platform)
    assert (settled.expired, settled.filled) == ((latest(platform).id,), ())
    assert latest(platform).state == "expired"
    assert_same_book(book_of(platform), expected, 1e-12)
    refused(Code.REBALANCE_STATE, send_orders, platform, "ann")


def test_an_approval_that_is_not_sent_expires_too(opened) -> None:
    approve(opened(), "ann")
    platform = opened(AFTER_FILL)
    refused(Code.REBALANCE_EXPIRED, send_orders, platform, "ann")
    settle_fund(platform)
    assert latest(platform).state == "expired"


def test_nothing_is_sent_that_is_not_approved_and_nothing_twice(opened) -> None:
    platform = opened()
    refused(Code.REBALANCE_STATE, send_orders, platform, "ann")
    approve(platform, "ann")
    refused(Code.REBALANCE_STATE, approve, platform, "ann")
    first = send_orders(platform, "ann")
    second = send_orders(platform, "ann")
    assert first == second
    with platform.store.read() as connection:
        assert len(orders.open_paper_orders(connection)) == first.orders
    refused(Code.REBALANCE_UNKNOWN, send_orders, platform, "ann", "nosuch")


def test_a_rejected_rebalance_may_be_proposed_again_by_a_person_and_is_not_by_the_scheduler(opened) -> None:
    platform = opened()
    old = reject(platform, "ann", "too large")
    assert registry.rebalance(platform, AS_OF).record == old
    new = rebalance(platform)
    assert new.record.id != old.id
    assert new.record.state == "proposed"
    with platform.store.read() as connection:
        assert audit.list_audit(connection, old.id)[0].details == {"why": "too large"}


@pytest.mark.parametrize("shares", ["fractional", "whole"])
def test_a_book_that_was_not_settled_is_settled_before_the_next_is_decided(
    opened, monkeypatch: pytest.MonkeyPatch, shares: str
) -> None:
    """Else what the last rebalance bought would be bought again: decided from the book before its fill."""
    platform = opened(orders__shares=shares)
    approve(platform, "ann")
    send_orders(platform, "ann")
    module = importlib.import_module("service.workflows.rebalance")
    closed_on = module._closed_on
    monkeypatch.setattr(module, "_closed_on", lambda connection, _: closed_on(connection, date(2021, 1, 22)))
    platform = opened(AFTER_FILL, orders__shares=shares)
    assert "2021-01-22" in str(refused(Code.BOOK_BEHIND, rebalance, platform, dry_run=True))
    sent = latest(platform)
    decision = rebalance(platform)
    assert not decision.standing
    with platform.store.read() as connection:
        book, through = read_book(connection, platform)
        assert fund.rebalance_by_id(connection, sent.id).state == "filled"
    assert through == FILL_SESSION
    held = dict(zip(decision.asset_ids.tolist(), decision.sizes.held.tolist(), strict=True))
    for asset, weight in zip(book.asset_ids.tolist(), book.weights.tolist(), strict=True):
        assert held.get(asset, 0.0) == pytest.approx(weight, abs=1e-9)
    assert np.abs(book.weights).sum() > 0.3
    again = rebalance(platform, dry_run=True)
    assert (again.weights == decision.weights).all()


def test_a_proposal_that_stands_is_shown_as_what_it_is(opened) -> None:
    platform = opened()
    shown = rebalance(platform)
    assert (shown.standing, shown.record.state) == (True, "proposed")
    assert "nothing proposed" in book_title(shown, dry_run=False)
    assert shown.record.id in book_title(shown, dry_run=False)
    approve(platform, "ann")
    assert "approved" in book_title(rebalance(platform), dry_run=False)
    tried = rebalance(platform, dry_run=True)
    assert (tried.standing, tried.record) == (False, None)
    assert "dry run" in book_title(tried, dry_run=True)


def test_a_dry_run_tells_what_the_checks_would_find(opened) -> None:
    platform = opened(orders__restricted_list="restricted.txt")
    (platform.home.path / "restricted.txt").write_text("NOSUCH\n")
    found = rebalance(platform, dry_run=True).findings
    assert [(f.code, f.value) for f in found] == [(Code.LIST_ENTRY_UNKNOWN, "NOSUCH")]


@pytest.mark.parametrize("who", ["", "  ", "a" * 81, "ann\x1b[2J", "\udce9"])
def test_nobody_decides_nothing(opened, who: str) -> None:
    platform = opened()
    for call in (
        lambda: approve(platform, who),
        lambda: reject(platform, who, "why"),
        lambda: reject(platform, "ann", who * 13),
        lambda: send_orders(platform, who),
        lambda: halt_fund(platform, who, "why"),
        lambda: halt_fund(platform, "ann", who * 13),
        lambda: resume_fund(platform, who),
        lambda: reconcile_fund(platform, who),
        lambda: deposit_treasury(platform, 1, who),
    ):
        refused(Code.REQUEST_INVALID, call)
    assert latest(platform).state == "proposed"


def test_by_hand_the_scheduler_approves_nothing(opened) -> None:
    left = registry.rebalance(opened(), AS_OF)
    assert [f.code for f in left.findings] == [Code.APPROVAL_LIMIT]
    assert left.record.state == "proposed"


def test_inside_the_limits_the_scheduler_approves_and_sends(opened) -> None:
    done = registry.rebalance(opened(approval__mode="automatic"), AS_OF)
    assert (done.record.state, done.record.approved_by) == ("sent", "automatic")


@pytest.mark.parametrize(
    "limits",
    [{"turnover_max": 0.001}, {"gross_max": 0.001}, {"names_max": 10}, {"statuses": "held"}],
    ids=lambda limits: next(iter(limits)),
)
def test_each_limit_of_automatic_approval_holds(opened, limits: dict[str, Any]) -> None:
    named = {f"approval__{key}": value for key, value in limits.items()} | {"approval__mode": "automatic"}
    left = registry.rebalance(opened(**named), AS_OF)
    assert [f.code for f in left.findings] == [Code.APPROVAL_LIMIT]
    assert left.record.state == "proposed"


# Pre-trade checks


def test_a_restricted_name_blocks_what_was_decided_before_and_is_left_by_the_next_proposal(opened) -> None:
    platform = opened(orders__restricted_list="restricted.txt")
    decision = read_decision(platform, latest(platform))
    largest = int(np.abs(decision.sizes.values).argmax())
    name = str(decision.asset_ids[largest])
    refused(Code.SETTING_INVALID, approve, platform, "ann")
    (platform.home.path / "restricted.txt").write_text(f"# today's\n{name}  # in talks\n")
    error = refused(Code.REBALANCE_BLOCKED, approve, platform, "ann")
    assert "restricted" in error.message
    assert queries.rebalance_detail(platform)["checks"] == {"asset_restricted": 1}
    reject(platform, "ann", "a name is restricted")
    again = rebalance(platform)
    place = int(np.flatnonzero(again.asset_ids == name)[0])
    assert not again.sizes.traded[place]
    assert again.weights[place] == pytest.approx(again.sizes.held[place], abs=1e-12)
    assert again.record.findings == ()


def test_a_list_is_read_in_any_case_and_a_line_that_names_nobody_blocks(opened) -> None:
    platform = opened(orders__restricted_list="restricted.txt")
    decision = read_decision(platform, latest(platform))
    largest = int(np.abs(decision.sizes.values).argmax())
    ticker = str(small_panel().assets.tickers[platform.desk.positions_of(decision.asset_ids[[largest]])][0])
    (platform.home.path / "restricted.txt").write_text(f"{ticker.lower()}\nAAPL, MSFT\n")
    refused(Code.REBALANCE_BLOCKED, approve, platform, "ann")
    assert [f["value"] for f in latest(platform).findings if f["code"] == "list_entry_unknown"] == ["AAPL, MSFT"]
    assert queries.rebalance_detail(platform)["checks"] == {"asset_restricted": 1, "list_entry_unknown": 1}
    platform = opened(orders__restricted_list="restricted.txt", orders__notices="asset_restricted list_entry_unknown")
    assert approve(platform, "ann").record.state == "approved"


def test_a_name_that_must_not_be_sold_short_is_known_to_the_next_proposal(opened) -> None:
    platform = opened(orders__no_short_list="no_short.txt")
    decision = read_decision(platform, latest(platform))
    sold = np.flatnonzero((decision.weights < -1e-4) & (decision.sizes.values < 0))[:20]
    assert len(sold) > 5
    names = decision.asset_ids[sold].tolist()
    (platform.home.path / "no_short.txt").write_text("\n".join(names))
    refused(Code.REBALANCE_BLOCKED, approve, platform, "ann")
    reject(platform, "ann", "they cannot be borrowed")
    again = rebalance(platform)
    at = np.searchsorted(again.asset_ids, names)
    # What is short already may stay or be bought back; nothing more is sold.
    assert (again.weights[at] >= np.minimum(again.sizes.held[at], 0.0) - 1e-9).all()
    assert again.record.findings == ()
    assert approve(platform, "ann").record.state == "approved"
    assert send_orders(platform, "ann").orders > 0


def test_a_book_is_not_traded_once_nothing_is_left_of_what_it_was_decided_on(opened) -> None:
    platform = opened()
    with platform.store.write() as connection:
        book, through = read_book(connection, platform)
        ruined = replace(book, cash=book.cash - book.equity + 1.0)
        for key in ("book", PAPER_KEY):
            put_book(connection, platform, ruined, through, key)
    refused(Code.FUND_RUINED, approve, platform, "ann")
    assert latest(platform).state == "proposed"


def test_a_notice_does_not_block_a_person_and_rules_out_automatic_approval(opened) -> None:
    settings = {"orders__adv_share_max": 0, "orders__notices": "order_over_adv", "approval__mode": "automatic"}
    left = registry.rebalance(opened(**settings), AS_OF)
    assert {f.code for f in left.findings} == {Code.ORDER_OVER_ADV}
    assert approve(opened(**settings), "ann").record.state == "approved"


def test_a_blocking_finding_that_comes_after_the_approval_keeps_the_orders_back(opened) -> None:
    approve(opened(), "ann")
    platform = opened(orders__no_short_list="no_short.txt")
    decision = read_decision(platform, latest(platform))
    shorted = np.argsort(np.where(decision.weights < 0, decision.sizes.values, 0.0))[:2]
    (platform.home.path / "no_short.txt").write_text("\n".join(decision.asset_ids[shorted].tolist()))
    refused(Code.REBALANCE_BLOCKED, send_orders, platform, "ann")
    assert isinstance(registry.rebalance(platform, AS_OF), registry.Missed)
    assert queries.rebalance_detail(platform)["checks"] == {"short_forbidden": 2}
    with platform.store.read() as connection:
        assert orders.open_paper_orders(connection) == []


def test_a_difference_from_the_brokers_account_blocks_until_it_is_gone(opened) -> None:
    platform = opened()
    with platform.store.write() as connection:
        account = PaperBroker(platform).account(connection)
        through = fund.get_fund_state(connection).through
        largest = int(np.abs(account.positions).argmax())
        factors = np.where(np.arange(len(account.positions)) == largest, 1.01, 1.0)
        wrong = replace(account, positions=account.positions * factors)
        put_book(connection, platform, wrong, through, PAPER_KEY)
    found = reconcile_fund(platform, "ann")
    assert [f.code for f in found.findings] == [Code.BOOKS_DIFFER]
    assert found.findings[0].value == account.asset_ids[largest]
    refused(Code.REBALANCE_BLOCKED, approve, platform, "ann")
    with platform.store.write() as connection:
        put_book(connection, platform, account, through, PAPER_KEY)
    assert approve(platform, "ann").record.state == "approved"


@pytest.mark.parametrize("equity", [0.0, -5e6])
def test_a_fund_without_equity_is_proposed_no_book_and_told_what_it_holds(opened, equity: float) -> None:
    platform = opened()
    reject(platform, "ann", "to decide anew")
    with platform.store.write() as connection:
        through = fund.get_fund_state(connection).through
        book = read_book(connection, platform)[0]
        put_book(connection, platform, replace(book, cash=book.cash + equity - book.equity), through)
    caught = refused(Code.FUND_RUINED, rebalance, platform)
    assert f"{np.abs(book.positions).sum():,.2f} gross held" in caught.message
    assert latest(platform).state == "rejected"


def test_a_statement_of_another_broker_is_compared(opened) -> None:
    platform = opened()
    book = book_of(platform)
    lines = [f"{i},{v!r}" for i, v in zip(map(str, book.asset_ids), map(float, book.positions), strict=True)]
    good = "\n".join(["asset_id,value", f"cash,{book.cash!r}", *lines]).encode()
    assert reconcile_fund(platform, "ann", good).findings == ()
    assert reconcile_fund(platform, "ann", good + b"\r\n\r\n").findings == ()
    wrong = reconcile_fund(platform, "ann", good.replace(lines[5].encode(), b"other,5000000"))
    assert sorted(f.value for f in wrong.findings) == sorted(["other", lines[5].split(",")[0]])
    for bad in (
        b"",
        b"x,y\n",
        b"asset_id,value\na,1\n",
        b"asset_id,value\ncash,x\n",
        b"asset_id,value\ncash,1_00\n",
        b"asset_id,value\ncash,nan\n",
        b"asset_id,value\ncash,1e999\n",
        b"asset_id,value\ncash,1\ncash,1\n",
        b"\xff",
    ):
        refused(Code.REQUEST_INVALID, reconcile_fund, platform, "ann", bad)


# The broker


def test_orders_larger_than_the_volume_are_filled_in_part_and_the_book_follows(opened) -> None:
    settings = {"orders__paper_adv_share_max": 0.001}
    platform = opened(**settings)
    approve(platform, "ann")
    send_orders(platform, "ann")
    platform = opened(AFTER_FILL, **settings)
    settle_fund(platform)
    with platform.store.read() as connection:
        found = orders.orders_of(connection, latest(platform).id)
    partly = [o for o in found if o.state == "partial"]
    assert len(partly) > 50
    assert {o.fill.reason for o in partly} == {"order_partial"}
    book = book_of(platform)
    view = small_panel().as_of(AFTER_FILL)
    row = view.index_of(FILL_SESSION)
    window = platform.settings.universe.adv_window_sessions
    at = platform.desk.positions_of(np.array([o.asset_id for o in partly]))
    adv = np.median(np.nan_to_num(view.dollar_volume()[row - window : row, at]), axis=0)
    assert [abs(o.fill.value) for o in partly] == pytest.approx((0.001 * adv).tolist(), rel=1e-9)
    for order in partly[:10]:
        position = float(book.positions[book.asset_ids == order.asset_id][0])
        intraday = float(view.intraday_returns()[row, platform.desk.positions_of(np.array([order.asset_id]))][0])
        with platform.store.read() as connection:
            equity_open = position / (1 + intraday) / order.fill.weight
        assert order.fill.weight != order.weight
        assert equity_open == pytest.approx(book.equity, rel=0.05)
    assert reconcile_fund(platform, "ann").findings == ()


def test_a_halt_cancels_what_is_open_and_stops_sending_until_resumed(opened) -> None:
    expected = expected_book(opened(), None)
    platform = opened()
    approve(platform, "ann")
    sent = send_orders(platform, "ann")
    halted = halt_fund(platform, "bob", "flash crash")
    assert (halted.rebalances, halted.orders_cancelled) == ((sent.record.id,), sent.orders)
    assert halt_fund(platform, "bob", "again").rebalances == ()
    assert latest(platform).state == "cancelled"
    assert queries.fund_curve(platform)["halted_since"] == SUNDAY.isoformat()
    new = rebalance(platform)
    left = registry.rebalance(opened(approval__mode="automatic"), AS_OF)
    assert [f.code for f in left.findings] == [Code.FUND_HALTED]
    approve(platform, "ann", new.record.id)
    refused(Code.FUND_HALTED, send_orders, platform, "ann")
    resume_fund(platform, "bob")
    assert queries.fund_curve(platform)["halted_since"] is None
    assert [what for who, what in trail(platform) if who == "bob"] == ["halt_fund", "cancel_rebalance", "resume_fund"]
    late = opened(AFTER_FILL)
    settle_fund(late)
    assert_same_book(book_of(late), expected, 1e-12)
    with late.store.read() as connection:
        assert {o.state for o in orders.orders_of(connection, sent.record.id)} == {"cancelled"}


def test_a_halt_in_the_middle_of_sending_leaves_no_order_open(opened) -> None:
    platform = opened()
    approve(platform, "ann")
    real = PaperBroker(platform)

    class Halting:
        """A broker during whose second call somebody halts the fund."""

        calls = 0
        cancel, fills, account = real.cancel, real.fills, real.account

        def place(self, wanted: Any, session: Any) -> None:
            self.calls += 1
            if self.calls == 2:
                halt_fund(platform, "bob", "now")
            real.place(wanted, session)

    refused(Code.FUND_HALTED, send_orders, platform, "ann", broker=Halting())
    with platform.store.read() as connection:
        assert orders.open_paper_orders(connection) == []
        assert {o.state for o in orders.orders_of(connection, latest(platform).id)} == {"cancelled"}


def test_a_dry_run_keeps_nothing_and_an_unknown_session_is_refused(opened) -> None:
    platform = opened()
    before = queries.fund_curve(platform)["rebalances"]
    assert rebalance(platform, dry_run=True).record is None
    with pytest.raises(Conflict):
        rebalance(platform, SUNDAY.date())
    assert queries.fund_curve(platform)["rebalances"] == before
    with pytest.raises(InputRejected):
        queries.rebalance_detail(platform, "nosuch")


def test_the_instant_of_the_open_is_the_end_of_an_approval(opened) -> None:
    opens = datetime(2021, 1, 25, 14, 30, tzinfo=UTC)
    refused(Code.REBALANCE_EXPIRED, approve, opened(opens), "ann")
    assert approve(opened(opens - timedelta(seconds=1)), "ann").record.state == "approved"
