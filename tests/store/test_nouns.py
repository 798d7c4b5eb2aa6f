"""Every noun comes back as the record that went in, and refuses what would contradict what stands: on both databases."""

from dataclasses import replace
from datetime import date

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected, InvariantBroken
from crowdalpha.ids import RoundKey, RoundState, Tournament
from crowdalpha.terms import PayoutTerms, RoundTerms, ScoringTerms
from portfolio.lifecycle import RebalanceStep
from service.store import audit, fund, keys, models, orders, providers, rounds
from service.store.orders import PaperOrder
from service.store.records import (
    FillRecord,
    FundDayRecord,
    FundState,
    KeyRecord,
    ModelRecord,
    OrderRecord,
    ProviderRecord,
    RebalanceRecord,
)
from tests.builders.store_rows import T0, add_model, add_round, later, round_record

SIGNALS_1 = RoundKey(Tournament.SIGNALS, 1)


def test_providers(store):
    ann, zoe = ProviderRecord("1", "ann", T0), ProviderRecord("2", "Zoe", later(1))
    with store.write() as connection:
        providers.add_provider(connection, zoe)
        providers.add_provider(connection, ann)
    with store.read() as connection:
        assert providers.provider_by_id(connection, "1") == ann
        assert providers.provider_by_name(connection, "Zoe") == zoe
        assert providers.provider_by_name(connection, "zoe") is None
        assert providers.provider_by_id(connection, "3") is None
        assert providers.list_providers(connection) == [zoe, ann]
    for again in (ProviderRecord("3", "ann", T0), ProviderRecord("1", "new", T0)):
        with pytest.raises(Conflict) as caught, store.write() as connection:
            providers.add_provider(connection, again)
        assert caught.value.code is Code.PROVIDER_EXISTS


def test_keys(store):
    with store.write() as connection:
        owner = add_model(connection).provider_id
        key = KeyRecord("k1", owner, "abc", "hash", ("read", "submit"), T0)
        keys.add_key(connection, key)
        keys.add_key(connection, replace(key, id="k2", prefix="def", scopes=(), created_at=later(1)))
    with store.write() as connection:
        assert keys.key_by_prefix(connection, "abc") == key
        assert keys.key_by_prefix(connection, "abd") is None
        assert keys.revoke_key(connection, "abc", later(9)) == replace(key, revoked_at=later(9))
        assert keys.revoke_key(connection, "abc", later(10)).revoked_at == later(9)
        assert [k.id for k in keys.keys_of_provider(connection, owner)] == ["k1", "k2"]
    with pytest.raises(InputRejected) as caught, store.write() as connection:
        keys.revoke_key(connection, "nothing", T0)
    assert caught.value.code is Code.KEY_INVALID
    with pytest.raises(IntegrityError), store.write() as connection:
        keys.add_key(connection, replace(key, id="k3"))


def test_models(store):
    with store.write() as connection:
        alpha = add_model(connection, "alpha")
        beta = add_model(connection, "beta", Tournament.CLASSIC)
    with store.read() as connection:
        assert models.model_by_id(connection, alpha.id) == alpha
        assert models.model_by_name(connection, "beta") == beta
        assert models.model_by_name(connection, "gamma") is None
        assert models.list_models(connection) == [alpha, beta]
        assert models.list_models(connection, Tournament.CLASSIC) == [beta]
        assert models.models_of_provider(connection, alpha.provider_id) == [alpha]
        assert type(models.list_models(connection)[0].tournament) is Tournament


def test_a_model_name_stands_once_over_all_tournaments(store):
    with store.write() as connection:
        alpha = add_model(connection, "alpha")
    with pytest.raises(Conflict) as caught, store.write() as connection:
        models.add_model(connection, replace(alpha, id="other", tournament=Tournament.CLASSIC))
    assert caught.value.code is Code.MODEL_EXISTS


def test_a_row_that_refers_to_nothing_is_refused(store):
    with pytest.raises(IntegrityError), store.write() as connection:
        models.add_model(connection, ModelRecord("m", "nobody", "m", Tournament.SIGNALS, T0))


def test_rounds(store):
    records = [round_record(1), round_record(2), round_record(1, Tournament.CLASSIC, RoundState.SCHEDULED)]
    records[2] = replace(records[2], opened_at=None)
    with store.write() as connection:
        for record in records:
            rounds.add_round(connection, record)
    with store.read() as connection:
        assert rounds.round_by_key(connection, SIGNALS_1) == records[0]
        assert rounds.round_by_key(connection, RoundKey(Tournament.SIGNALS, 3)) is None
        assert rounds.latest_round(connection, Tournament.SIGNALS) == records[1]
        assert rounds.list_rounds(connection) == [records[2], records[0], records[1]]
        assert rounds.list_rounds(connection, Tournament.SIGNALS, (RoundState.OPEN,)) == records[:2]
        assert rounds.list_rounds(connection, states=(RoundState.SCHEDULED,)) == [records[2]]
        assert rounds.list_rounds(connection, states=()) == []
    with pytest.raises(Conflict) as caught, store.write() as connection:
        rounds.add_round(connection, records[0])
    assert caught.value.code is Code.ROUND_STATE


def test_a_tournament_has_one_round_a_session(store):
    first, other = round_record(1), replace(round_record(1, Tournament.CLASSIC), state=RoundState.VOID)
    with store.write() as connection:
        rounds.add_round(connection, first)
        rounds.add_round(connection, other)
    with pytest.raises(Conflict) as caught, store.write() as connection:
        rounds.add_round(connection, replace(round_record(2), base_session=first.base_session))
    assert caught.value.code is Code.ROUND_STATE
    with store.read() as connection:
        assert rounds.round_of_session(connection, Tournament.SIGNALS, first.base_session) == first
        assert rounds.round_of_session(connection, Tournament.CLASSIC, first.base_session) == other
        assert rounds.round_of_session(connection, Tournament.SIGNALS, round_record(2).base_session) is None


def test_no_round_yet(store):
    with store.read() as connection:
        assert rounds.latest_round(connection, Tournament.CLASSIC) is None
        assert rounds.artifacts(connection, SIGNALS_1) == {}


def test_terms_come_back_with_their_hash(store):
    payout = PayoutTerms((("corr", 500_000_000),), 50_000_000, 72_000 * 10**18, 10**24)
    terms = RoundTerms("weekly", ScoringTerms(("corr", "mmc")), payout)
    record = replace(round_record(1), terms=terms.as_dict(), terms_hash=terms.hash)
    with store.write() as connection:
        rounds.add_round(connection, record)
        back = rounds.round_by_key(connection, record.key)
    assert back is not None
    assert RoundTerms.from_dict(back.terms) == terms
    assert RoundTerms.from_dict(back.terms).hash == back.terms_hash


def test_a_round_steps_by_compare_and_set(store):
    with store.write() as connection:
        key = add_round(connection)
        closed = rounds.advance_round(
            connection, key, (RoundState.OPEN,), RoundState.CLOSED, closed_at=later(7), submissions_root="d" * 64
        )
    assert closed == replace(round_record(1), state=RoundState.CLOSED, closed_at=later(7), submissions_root="d" * 64)
    with pytest.raises(Conflict) as caught, store.write() as connection:
        rounds.advance_round(connection, key, (RoundState.OPEN,), RoundState.CLOSED, closed_at=later(8))
    assert caught.value.code is Code.ROUND_STATE
    with store.read() as connection:
        assert rounds.round_by_key(connection, key) == closed
    with store.write() as connection:
        scoring = rounds.advance_round(connection, key, (RoundState.CLOSED,), RoundState.SCORING)
        assert scoring == replace(closed, state=RoundState.SCORING)
        void = rounds.advance_round(
            connection, key, (RoundState.CLOSED, RoundState.SCORING), RoundState.VOID, void_reason="No prices."
        )
        assert (void.state, void.void_reason) == (RoundState.VOID, "No prices.")


def test_a_step_that_is_no_arrow_is_a_bug(store):
    with store.write() as connection:
        key = add_round(connection)
    with pytest.raises(InvariantBroken), store.write() as connection:
        rounds.advance_round(connection, key, (RoundState.OPEN,), RoundState.RESOLVED)
    with pytest.raises(Conflict) as caught, store.write() as connection:
        rounds.advance_round(connection, RoundKey(Tournament.SIGNALS, 9), (RoundState.OPEN,), RoundState.CLOSED)
    assert caught.value.code is Code.ROUND_UNKNOWN


def test_artifacts(store):
    with store.write() as connection:
        key = add_round(connection)
        for name, sha in (("universe", "1" * 64), ("exposures", "2" * 64), ("universe", "3" * 64)):
            rounds.set_artifact(connection, key, name, sha)
    with store.read() as connection:
        assert rounds.artifacts(connection, key) == {"exposures": "2" * 64, "universe": "3" * 64}
        assert rounds.artifacts_named(connection, "universe")[key] == "3" * 64
        assert rounds.artifacts_named(connection, "nothing") == {}
    with pytest.raises(IntegrityError), store.write() as connection:
        rounds.set_artifact(connection, RoundKey(Tournament.CLASSIC, 1), "universe", "1" * 64)


def test_rebalances(store):
    first = RebalanceRecord("r1", T0, date(2016, 1, 4), "proposed", "solved", "e" * 64, date(2016, 1, 5), expires_at=later(5))
    second = replace(first, id="r2", decided_at=later(9), as_of=date(2016, 1, 11))
    finding = {"code": "price_stale", "message": "x", "row": None, "column": "asset", "value": "a1", "refuses": True}
    with store.write() as connection:
        assert fund.latest_rebalance(connection) is None
        fund.add_rebalance(connection, second)
        fund.add_rebalance(connection, first)
        assert fund.latest_rebalance(connection) == second
        assert fund.list_rebalances(connection) == [first, second]
        fund.set_findings(connection, "r1", [finding])
        approved = fund.advance_rebalance(connection, "r1", RebalanceStep.APPROVE, approved_by="ann", approved_at=later(1))
        expected = replace(first, state="approved", approved_by="ann", approved_at=later(1), findings=(finding,))
        assert approved == expected
        assert fund.rebalance_by_id(connection, "r1") == approved
        assert fund.rebalance_by_id(connection, "r3") is None
    for step, wrong in ((RebalanceStep.FILL, "r1"), (RebalanceStep.SEND, "r2"), (RebalanceStep.SEND, "r3")):
        with pytest.raises(Conflict) as caught, store.write() as connection:
            fund.advance_rebalance(connection, wrong, step)
        assert caught.value.code is Code.REBALANCE_STATE


def test_orders_are_added_once_and_end_once(store):
    record = RebalanceRecord("r1", T0, date(2016, 1, 4), "approved", "solved", "e" * 64, date(2016, 1, 5))
    wanted = [
        OrderRecord("c1", "r1", "a1", 0.1, 12.5, 3, 4.1),
        OrderRecord("c2", "r1", "a2", -0.1 / 3, -12.5, None, None),
        OrderRecord("c3", "r1", "a3", 0.0, -1.0, -1, 1.0),
    ]
    fill = FillRecord(0.1, 12.75, 0.01, 0.1 / 3)
    with store.write() as connection:
        fund.add_rebalance(connection, record)
        orders.add_orders(connection, wanted[:2])
        orders.add_orders(connection, [replace(o, weight=9.0) for o in wanted[:2]] + wanted[2:])
        orders.add_orders(connection, [])
        assert orders.orders_of(connection, "r1") == wanted
        orders.set_order_state(connection, ["c1", "c2", "c3"], "sent")
        orders.put_fills(connection, {"c1": ("filled", fill)})
        orders.put_fills(connection, {"c1": ("unfilled", replace(fill, value=0.0))})
        orders.set_order_state(connection, ["c1", "c2"], "cancelled")
        found = orders.orders_of(connection, "r1")
    assert found[0] == replace(wanted[0], state="filled", fill=fill)
    assert [o.state for o in found] == ["filled", "cancelled", "sent"]


def test_the_paper_broker_keeps_its_own_orders(store):
    monday, tuesday = date(2016, 1, 4), date(2016, 1, 5)
    placed = [PaperOrder(f"c{i}", monday, {"asset_id": "a", "weight": 0.1 / 3}, "sent") for i in range(3)]
    fill = FillRecord(0.0, 0.0, reason="order_unfilled")
    with store.write() as connection:
        orders.add_paper_orders(connection, placed)
        orders.add_paper_orders(connection, [replace(placed[0], fill_session=tuesday)])
        assert orders.paper_orders_at(connection, monday, {"sent"}) == placed
        assert orders.paper_orders_at(connection, tuesday, {"sent"}) == []
        assert orders.open_paper_orders(connection) == ["c0", "c1", "c2"]
        orders.put_paper_fills(connection, {"c0": ("unfilled", fill)})
        orders.set_paper_state(connection, ["c0", "c1"], "cancelled")
        assert orders.open_paper_orders(connection) == ["c2"]
        assert orders.paper_orders_by_id(connection, ["c0", "c1", "c9"]) == {
            "c0": replace(placed[0], state="unfilled", fill=fill),
            "c1": replace(placed[1], state="cancelled"),
        }


def test_fund_days_are_written_once(store):
    days = [
        FundDayRecord(date(2016, 1, d), 1e6 + d / 3, d / 7, {"spread": 0.1, "borrow": d / 9}, {"beta": -0.01})
        for d in (4, 5, 6)
    ]
    with store.write() as connection:
        fund.put_fund_days(connection, days[:2])
        fund.put_fund_days(connection, days)
        fund.put_fund_days(connection, [])
        assert fund.fund_days(connection) == days
        assert fund.fund_days(connection, date(2016, 1, 5), date(2016, 1, 5)) == days[1:2]
    with pytest.raises(Conflict) as caught, store.write() as connection:
        fund.put_fund_days(connection, [replace(days[1], equity=1.0)])
    assert caught.value.code is Code.FUND_DAY_EXISTS


def test_fund_state(store):
    with store.write() as connection:
        assert fund.get_fund_state(connection) is None
        fund.set_fund_state(connection, FundState("book", "1" * 64, date(2016, 1, 4)))
        fund.set_fund_state(connection, FundState("book", "2" * 64, date(2016, 1, 5)))
        assert fund.get_fund_state(connection) == FundState("book", "2" * 64, date(2016, 1, 5))


def test_audit_lines_stay(store):
    with store.write() as connection:
        first = audit.record(connection, T0, "ann", "create_model", "m1", {"stake_atoms": str(10**20)})
        second = audit.record(connection, later(1), "ann", "revoke_key", "abc", {})
    with store.read() as connection:
        assert audit.list_audit(connection) == [second, first]
        assert audit.list_audit(connection, "m1") == [first]
        assert audit.list_audit(connection, limit=1) == [second]
    for statement in ("UPDATE audit SET who = 'bob'", "DELETE FROM audit"):
        with pytest.raises(DBAPIError, match="are never"), store.write() as connection:
            connection.execute(text(statement))
