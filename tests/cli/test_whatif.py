"""Goal: the commands about terms say what they did, and refuse with a code. Method: run them in process on the small platform's
home; the classic tournament pays by terms that offer a choice."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import update

from crowdalpha.ids import RoundKey, Tournament
from crowdalpha.terms import PPB, RoundTerms
from service.cli import run
from service.settings import load_terms
from service.store import models, scores, stakes
from service.store.engine import Store
from service.store.schema import of_round, rounds
from tests.builders.platforms import serve_small

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def stake(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a command of ``stake``: (exit code, standard output, standard error)."""
    served = serve_small(tmp_path / "home")
    served.platform.store.dispose()
    with sqlite3.connect(served.platform.home.database) as connection:  # open by the clock of the command, too
        connection.execute("UPDATE rounds SET closes_at = '2200-01-01T00:00:00.000000+00:00' WHERE state = 'open'")
    monkeypatch.setenv("CROWDALPHA_TOURNAMENTS__CLASSIC__TERMS", "classic-2021-04")

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run(["stake", *arguments, "--home", str(tmp_path / "home")])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_a_choice_is_kept_told_and_forgotten(stake: Run, tmp_path: Path) -> None:
    code, out, _ = stake("choose", "alice_ridge", "mmc=0.5")
    assert code == 0
    open_round = "alice_ridge is paid 0.75 × corr + 2.25 × mmc in classic-1, which is open under the terms classic-weekly."
    from_now_on = "alice_ridge is paid 1 × corr + 0.5 × mmc in rounds that open under the terms classic-2021-04."
    assert out.splitlines() == [open_round, from_now_on]
    store = Store.for_home(tmp_path / "home" / "crowdalpha.db")
    with store.read() as connection:
        model = models.model_by_name(connection, "alice_ridge")
        assert stakes.plans_of(connection, [model.id])[model.id].chosen_ppb == {"mmc": 500_000_000}
    forgotten = stake("choose", "alice_ridge")[1].splitlines()
    assert forgotten == [open_round, from_now_on.replace("0.5 × mmc", "0 × mmc")]
    with store.read() as connection:
        assert stakes.plans_of(connection, [model.id])[model.id].chosen_ppb is None
    store.dispose()


def test_what_an_open_round_offers_may_be_chosen_whatever_later_rounds_offer(stake: Run, tmp_path: Path) -> None:
    """The open round lets corr be 1 or -1, those after it mmc be 0, 0.5, 1 or 2: each takes of a choice what it offers."""
    put_terms(tmp_path / "home", "classic-1", offering(corr=(PPB, -PPB)))
    code, out, _ = stake("choose", "alice_ridge", "corr=-1", "mmc=2")
    assert code == 0
    assert out.splitlines() == [
        "alice_ridge is paid -1 × corr + 2.25 × mmc in classic-1, which is open under the terms offering.",
        "alice_ridge is paid 1 × corr + 2 × mmc in rounds that open under the terms classic-2021-04.",
    ]
    store = Store.for_home(tmp_path / "home" / "crowdalpha.db")
    with store.read() as connection:
        model = models.model_by_name(connection, "alice_ridge")
        assert stakes.plans_of(connection, [model.id])[model.id].chosen_ppb == {"corr": -PPB, "mmc": 2 * PPB}
    store.dispose()
    code, _, err = stake("choose", "alice_ridge", "corr=-2", "mmc=2")
    assert code == 2
    assert "offer mmc: 0, 0.5, 1, 2; the terms offering offer corr: 1, -1." in " ".join(err.split())


def offering(**choices: tuple[int, ...]) -> RoundTerms:
    """Return the weekly terms of the classic tournament with values of some kinds to choose from, the first by default."""
    weekly = load_terms("classic-weekly")
    multipliers = dict(weekly.payout.multipliers_ppb) | {kind: among[0] for kind, among in choices.items()}
    payout = replace(weekly.payout, multipliers_ppb=tuple(multipliers.items()), choices_ppb=tuple(choices.items()))
    return replace(weekly, name="offering", payout=payout)


def put_terms(home: Path, name: str, terms: RoundTerms) -> None:
    """Let the round ``name`` stand as if it had opened under ``terms``."""
    label, _, number = name.partition("-")
    store = Store.for_home(home / "crowdalpha.db")
    with store.write() as connection:
        named = of_round(rounds, RoundKey(Tournament.from_label(label), int(number)))
        connection.execute(update(rounds).where(named).values(terms=terms.as_dict(), terms_hash=terms.hash))
    store.dispose()


def test_after_the_closing_instant_nothing_is_chosen_or_staked_until_the_close(stake: Run, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "home" / "crowdalpha.db") as connection:
        connection.execute("UPDATE rounds SET closes_at = '2016-01-01T00:00:00.000000+00:00' WHERE state = 'open'")
    for arguments in (("choose", "alice_ridge", "mmc=0.5"), ("increase", "alice_ridge", "1")):
        code, out, err = stake(*arguments)
        assert (code, out) == (3, "")
        assert "is due to be closed" in " ".join(err.split())


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("alice_ridge", "mmc=3"), "offer mmc: 0, 0.5, 1, 2"),
        (("alice_ridge", "corr=1"), "offer mmc: 0, 0.5, 1, 2"),
        (("alice_ridge", "mmc"), "'mmc' is no choice"),
        (("alice_ridge", "mmc=0.0000000001"), "is no choice"),
        (("alice_ridge", "mmc=1", "mmc=2"), "is no choice"),
        (("alice_momentum", "neutral_mmc=1"), "offer no choice of multipliers"),
        (("nobody_at_all", "mmc=1"), "no model"),
    ],
)
def test_what_is_no_choice_is_refused_with_a_sentence(stake: Run, arguments: tuple[str, ...], hint: str) -> None:
    code, out, err = stake("choose", *arguments)
    assert (code, out) == (2, "")
    assert hint in " ".join(err.split())


def test_a_history_paid_anew_is_shown_by_round_with_sums(stake: Run, tmp_path: Path) -> None:
    """The small platform has one resolved round: 500 of 1,000 tokens at risk, 7 paid. On 200 the round's total is 700."""
    code, out, err = stake("whatif", "--model", "alice_momentum", "--stake", "200", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    (row,) = told["rounds"]
    assert (told["terms"], told["mode"], told["stake_tokens"]) == (None, "fixed", "200")
    assert (row["round"], row["at_risk_tokens"], row["retained"]) == ("signals-1", "200", 1.0)
    assert (row["real_at_risk_tokens"], row["real_payout_tokens"]) == ("500", "7")
    store = Store.for_home(tmp_path / "home" / "crowdalpha.db")
    with store.read() as connection:
        model = models.model_by_name(connection, "alice_momentum")
        own = {s.kind: s.score_ppb for s in scores.scores_of_model(connection, model.id)}
    store.dispose()
    rate = max(-50_000_000, min((own["neutral_corr"] + 4 * own["neutral_mmc"]) / 2, 50_000_000))
    assert float(row["payout_tokens"]) == pytest.approx(200 * rate / 1e9, abs=1e-15)
    assert float(told["end_tokens"]) == pytest.approx(200 + 200 * rate / 1e9, abs=1e-12)
    code, out, _ = stake("whatif", "--model", "alice_momentum", "--stake", "200")
    assert code == 0
    assert "alice_momentum, paid anew, in tokens" in out
    assert "signals-1" in out


def test_without_other_terms_a_choice_counts_where_a_rounds_own_offer_it(stake: Run, tmp_path: Path) -> None:
    asked = ("whatif", "--model", "alice_momentum", "--stake", "200", "--json", "--choose")
    code, out, err = stake(*asked, "foo=2")
    assert (code, out) == (2, "")
    assert "The terms signals-weekly offer no choice of multipliers. [choice_invalid]" in " ".join(err.split())
    weekly = load_terms("signals-weekly")
    values = (("neutral_mmc", (2 * PPB, 0)), ("neutral_corr", (PPB // 2, 0)))
    put_terms(tmp_path / "home", "signals-1", replace(weekly, payout=replace(weekly.payout, choices_ppb=values)))
    paid = json.loads(stake(*asked, "neutral_mmc=0", "--choose", "neutral_corr=0")[1])
    assert (paid["net_tokens"], paid["end_tokens"]) == ("0", "200")
    assert json.loads(stake(*asked, "neutral_corr=0")[1])["net_tokens"] != "0"
    code, _, err = stake("whatif", "--model", "alice_ridge", "--choose", "mmc=2")
    assert code == 2
    assert "no round that could offer it" in " ".join(err.split())


def test_what_a_round_lacks_is_said_by_name(stake: Run) -> None:
    code, out, _ = stake("whatif", "--model", "alice_momentum", "--terms", "signals-2025-09")
    assert code == 0
    assert "alpha, mpc" in out
    code, _, err = stake("whatif", "--model", "alice_momentum", "--terms", "signals-2025-10")
    assert code == 2
    assert "signals-2025-10" in err


def test_a_model_without_a_stake_sees_what_a_virtual_one_would_have_earned(stake: Run) -> None:
    shown = json.loads(stake("show", "alice_momentum", "--json")[1])
    assert shown[0]["virtual_tokens"] == "0"
    told = json.loads(stake("whatif", "--model", "javascript:alert(1)", "--json")[1])
    assert told["rounds"][0]["real_at_risk_tokens"] == "0"
    shown = json.loads(stake("show", "javascript:alert(1)", "--json")[1])
    assert shown[0]["virtual_tokens"] == told["net_tokens"] != "0"
