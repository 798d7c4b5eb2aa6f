"""Goal: a history paid anew is what the true rule would have paid. Method: a played season; its own stakes paid anew must come
out as they did, to the atom; other terms and stakes are worked out in fractions from the store's rows."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from math import floor

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.ids import RoundKey, RoundState, Tournament
from crowdalpha.terms import ATOMS_PER_TOKEN, PPB, PayoutTerms
from service.clock import SimulatedClock
from service.context import Platform, build_platform
from service.reports.virtual import whatif_report
from service.settings import load_settings, load_terms
from service.settings.places import shipped_config
from service.store import models, resolutions, rounds, scores, stakes
from service.store.records import StakePlan
from service.workflows.whatif import virtual_lines, what_if
from signals.churn import retention
from signals.quantize import retention_ppb
from tests.builders.seasons import LAST, play_small, small_panel

TOKEN = ATOMS_PER_TOKEN
OTHER = {
    "tight": ('budget_tokens = "20000"', 'budget_tokens = "3"'),
    "small": ('stake_threshold_tokens = "72000"', 'stake_threshold_tokens = "500"'),
    "gated": ('clip = "0.05"', 'clip = "0.05"\nchurn_max = "0.15"'),
    "whole": ('clip = "0.05"', 'clip = "1"'),
    "strict": ('retention_threshold = "0.20"', 'retention_threshold = "0.01"'),
}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("whatif")
    home, _ = play_small(folder / "home")
    config = shutil.copytree(shipped_config(), folder / "config")
    weekly = (config / "terms" / "signals-weekly.toml").read_text()
    for name, (old, new) in OTHER.items():
        assert weekly.count(old) == 1
        (config / "terms" / f"{name}.toml").write_text(weekly.replace(old, new))
    clock = SimulatedClock(small_panel().calendar.close_at(LAST) + timedelta(hours=3))
    made = build_platform(home, load_settings(config, env={}), clock, durable=False)
    yield made
    made.store.dispose()


def named(platform: Platform, tournament: Tournament) -> dict[str, str]:
    with platform.store.read() as connection:
        return {m.name: m.id for m in models.list_models(connection, tournament)}


def twin(platform: Platform, key: RoundKey, terms: PayoutTerms, model_id: str, atoms: int) -> int:
    """Return what the round would pay the model on ``atoms`` under ``terms``, all stakes paid anew, in fractions."""
    with platform.store.read() as connection:
        published: dict[str, dict[str, int]] = {}
        for score in scores.scores_of_round(connection, key):
            published.setdefault(score.model_id, {})[score.kind] = score.score_ppb
        churns = {r.model_id: r.churn for r in scores.retentions_of_round(connection, key)}
        risk = {a.model_id: a.at_risk_atoms for a in stakes.at_risk_of_round(connection, key)} | {model_id: atoms}
    total, before = sum(risk.values()), {}
    for model, at in risk.items():
        rate = sum((Fraction(m * published[model][kind], PPB**2) for kind, m in terms.multipliers_ppb), Fraction(0))
        rate *= min(Fraction(1), Fraction(terms.stake_threshold_atoms or total, total))
        rate = max(-Fraction(terms.clip_ppb, PPB), min(rate, Fraction(terms.clip_ppb, PPB)))
        if rate > 0 and terms.retention != "none":
            kept = retention(churns[model], terms.retention_threshold_ppb / PPB, terms.retention_slope)
            rate *= Fraction(retention_ppb(kept), PPB)
        before[model] = floor(at * rate)
    promised = sum(x for x in before.values() if x > 0)
    if before[model_id] > 0 and promised > terms.budget_atoms:
        return before[model_id] * terms.budget_atoms // promised
    return before[model_id]


@pytest.mark.parametrize("tournament", list(Tournament))
def test_the_stake_that_a_model_had_paid_anew_by_its_own_terms_is_what_happened(
    platform: Platform, tournament: Tournament
) -> None:
    compared = 0
    for name, model_id in named(platform, tournament).items():
        with platform.store.read() as connection:
            resolved = rounds.list_rounds(connection, tournament, (RoundState.RESOLVED,))
            first = [a for r in resolved[:1] for a in stakes.at_risk_of_round(connection, r.key) if a.model_id == model_id]
            paid = dict(resolutions.lines_of_model(connection, model_id))
        if not first:
            continue
        found = what_if(platform, name, None, first[0].stake_atoms, "compound")
        for line in found.lines:
            real = paid.get(line.round)
            assert line.at_risk_atoms == line.own_at_risk_atoms == (0 if real is None else real.at_risk_atoms), (
                name,
                line.round,
            )
            assert line.payout_atoms == line.own_payout_atoms == (0 if real is None else real.payout_atoms)
            assert real is None or line.retention_ppb == real.retention_ppb
            compared += real is not None
        assert found.end_atoms == first[0].stake_atoms + sum(line.payout_atoms for line in found.lines)
    assert compared > 50


@pytest.mark.parametrize("terms_name", ["signals-weekly", "signals-2026-09", "tight", "small", "strict"])
def test_other_terms_and_stakes_pay_what_the_formula_says(platform: Platform, terms_name: str) -> None:
    terms = load_terms(terms_name, platform.settings.config_dir).payout
    for name, stake in (("momentum", 250 * TOKEN), ("low_volatility", 10**18 // 3), ("clone_momentum", 40_000 * TOKEN)):
        found = what_if(platform, name, terms_name, stake)
        assert len(found.lines) == 8
        model_id = named(platform, Tournament.SIGNALS)[name]
        for line in found.lines:
            assert (line.at_risk_atoms, line.lacks, line.gate) == (stake, (), "")
            assert line.payout_atoms == twin(platform, line.round, terms, model_id, stake), (name, line.round)
        assert found.end_atoms == stake + sum(line.payout_atoms for line in found.lines)
    if terms_name == "tight":
        assert any(0 < line.payout_atoms < twin(platform, line.round, _wide(terms), model_id, stake) for line in found.lines)


def test_a_fixed_stake_risks_in_overlapping_rounds_no_more_than_real_closes_could(platform: Platform) -> None:
    """Under a clip of 100 % a round holds all that it has at risk, and its neighbours get what is left: nothing."""
    stake = 100 * TOKEN
    found = what_if(platform, "momentum", "whole", stake)
    with platform.store.read() as connection:
        at = {r.key: r for r in rounds.list_rounds(connection, Tournament.SIGNALS, (RoundState.RESOLVED,))}
    by_hand: dict[RoundKey, int] = {}
    for key in sorted(at, key=lambda key: at[key].closes_at):
        still_open = [k for k in by_hand if (at[k].resolved_at or at[k].closes_at) > at[key].closes_at]
        by_hand[key] = stake - sum(by_hand[k] for k in still_open)
    assert {line.round: line.at_risk_atoms for line in found.lines} == by_hand
    assert sorted(set(by_hand.values())) == [0, stake]
    assert found.end_atoms == stake + sum(line.payout_atoms for line in found.lines)


def test_a_choice_made_today_pays_no_round_that_closed_before(platform: Platform) -> None:
    model_id = named(platform, Tournament.CLASSIC)["ridge_plain"]
    before = what_if(platform, "ridge_plain", "classic-2021-04"), virtual_lines(platform, "ridge_plain")
    with platform.store.write() as connection:
        plan = StakePlan(model_id, "compound", None, platform.clock.now(connection), {"mmc": 2 * PPB})
        stakes.put_plan(connection, plan)
    try:
        after = what_if(platform, "ridge_plain", "classic-2021-04"), virtual_lines(platform, "ridge_plain")
    finally:
        with platform.store.write() as connection:
            stakes.put_plan(connection, replace(plan, chosen_ppb=None))
    assert after == before


def _wide(terms: PayoutTerms) -> PayoutTerms:
    return replace(terms, budget_atoms=10**40)


def test_what_a_round_did_not_publish_is_named_and_pays_nothing(platform: Platform) -> None:
    found = what_if(platform, "momentum", "signals-2024-01", 100 * TOKEN)
    assert {line.lacks for line in found.lines} == {("fnc",)}
    assert {(line.at_risk_atoms, line.payout_atoms) for line in found.lines} == {(0, 0)}
    assert found.end_atoms == 100 * TOKEN
    told = whatif_report(found)
    assert {row["payout_tokens"] for row in told["rounds"]} == {None}
    assert told["rounds"][0]["lacks"] == ["fnc"]
    assert told["net_tokens"] == "0"
    classic = what_if(platform, "ridge_plain", "signals-weekly", 100 * TOKEN)
    assert {line.lacks for line in classic.lines} == {("neutral_corr", "neutral_mmc", "churn")}


def test_a_gate_of_other_terms_is_met_by_the_files_that_were_sent(platform: Platform) -> None:
    steady = [line.gate for line in what_if(platform, "low_volatility", "gated").lines]
    assert steady == ["gate_history", *[""] * 7]
    restless = [line.gate for line in what_if(platform, "reversal_week", "gated").lines]
    assert restless == ["gate_history", *["gate_churn"] * 7]


def test_a_chosen_multiplier_counts_where_the_terms_offer_it(platform: Platform) -> None:
    model_id = named(platform, Tournament.CLASSIC)["ridge_plain"]
    with platform.store.read() as connection:
        own = {(s.round, s.kind): s.score_ppb for s in scores.scores_of_model(connection, model_id)}
    for mmc, chosen in ((0, None), (2, {"mmc": 2 * PPB})):
        for line in what_if(platform, "ridge_plain", "classic-2021-04", chosen_ppb=chosen).lines:
            score = own[line.round, "corr"] + mmc * own[line.round, "mmc"]
            assert line.payout_atoms == line.at_risk_atoms * max(-PPB // 4, min(score, PPB // 4)) // PPB
    with pytest.raises(InputRejected) as caught:
        what_if(platform, "ridge_plain", "classic-2021-04", chosen_ppb={"mmc": 3 * PPB})
    assert caught.value.code is Code.CHOICE_INVALID


def test_rounds_with_a_stake_are_no_virtual_ones(platform: Platform) -> None:
    whole = {name: what_if(platform, name).lines for name in named(platform, Tournament.SIGNALS)}
    for name, lines in whole.items():
        assert virtual_lines(platform, name) == tuple(line for line in lines if not line.own_at_risk_atoms)
    assert any(line.own_at_risk_atoms for lines in whole.values() for line in lines)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"model_name": "nobody_here"}, Code.MODEL_UNKNOWN),
        ({"terms_name": "signals-1999"}, Code.SETTING_UNKNOWN),
        ({"stake_atoms": 0}, Code.AMOUNT_INVALID),
        ({"stake_atoms": -1}, Code.AMOUNT_INVALID),
        ({"mode": "both"}, Code.REQUEST_INVALID),
    ],
)
def test_a_question_without_an_answer_is_refused(platform: Platform, arguments: dict[str, object], code: Code) -> None:
    with pytest.raises(InputRejected) as caught:
        what_if(platform, **({"model_name": "momentum"} | arguments))  # type: ignore[arg-type]
    assert caught.value.code is code
