"""Every preset of terms opens, closes, scores and resolves rounds: two weekly ones of five models on a small synthetic market.

The judges: numerai-tools 0.7.2 for every score, on what the rounds froze; the payout formula in fractions; the library's churn
and turnover for the gates.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from functools import cache
from math import floor
from pathlib import Path
from typing import Any

import numerai_tools.signals as library
import numpy as np
import pandas as pd
import pytest
from numerai_tools import scoring

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.ids import RoundKey, RoundState, Tournament
from crowdalpha.terms import ATOMS_PER_TOKEN, PPB, PayoutTerms, RoundTerms
from market.panel import PointInTimePanel
from market.synthetic import SyntheticSpec, generate_market
from service import queries
from service.clock import SimulatedClock
from service.context import build_platform
from service.frames import get_book, get_frame, get_live
from service.home import Home
from service.idsource import SeededIds
from service.settings import load_settings, load_terms
from service.settings.places import shipped_config
from service.store import gated, ledger, models, resolutions, rounds, scores, stakes, submissions
from service.web import views
from service.workflows import accounts
from service.workflows.check import check
from service.workflows.choose import choose
from service.workflows.close_round import close_round
from service.workflows.open_round import open_round
from service.workflows.resolve_round import resolve_round
from service.workflows.score_round import score_round
from service.workflows.stakes import set_mode
from service.workflows.submit import submit
from tests.builders.money import transfer

PRESETS = sorted(path.stem for path in (shipped_config() / "terms").glob("*.toml"))
FRIDAYS = (datetime(2021, 1, 8, 22, 30, tzinfo=UTC), datetime(2021, 1, 15, 22, 30, tzinfo=UTC))
HISTORY_FROM, LAST = date(2019, 3, 1), date(2021, 5, 14)
NOISE = {"steady": 0.01, "drifting": 0.2, "jumpy": 10.0, "too_small": 0.01, "unstaked": 0.1}
STAKES = {"steady": 300 * 10**18, "drifting": 200 * 10**18, "jumpy": 100 * 10**18, "too_small": 10**15, "unstaked": 0}


FIXED = 150 * 10**18


@cache
def panel() -> PointInTimePanel:
    return generate_market(SyntheticSpec(seed=5, n_assets=160, start=HISTORY_FROM, end=LAST))


class Stage:
    """A platform under one preset whose two rounds are resolved."""

    def __init__(self, folder: Path, preset: str) -> None:
        self.terms = load_terms(preset)
        self.tournament = Tournament.from_label(preset.partition("-")[0])
        settings = load_settings(env={}).with_overrides(
            {"universe.size": 120, f"tournaments.{self.tournament.label}.terms": preset}
        )
        self.clock = SimulatedClock(FRIDAYS[0] - timedelta(days=1))
        self.platform = build_platform(Home.create(folder), settings, self.clock, SeededIds(preset))
        self.platform.desk.use(panel())
        accounts.create_provider(self.platform, "everybody", 10**22)
        for name, atoms in STAKES.items():
            accounts.create_model(self.platform, "everybody", name, self.tournament, atoms)
        with self.platform.store.write() as connection:
            ledger.post(connection, [transfer("funding", "deposit", "external", "treasury", 10**24)])
            self.ids = {m.name: m.id for m in models.list_models(connection)}
        self.chosen = {kind: among[-1] for kind, among in self.terms.payout.choices_ppb}
        if self.chosen:
            choose(self.platform, "steady", self.chosen)
        # Its provider's wallet fills it up at every close that it may take part in.
        set_mode(self.platform, "jumpy", "fixed", FIXED)
        self.told: dict[tuple[int, str], dict[str, Any]] = {}
        self.keys = [self._play(week) for week in range(2)]
        for key in self.keys:
            self._settle(key)

    def _play(self, week: int) -> RoundKey:
        self.clock.advance_to(FRIDAYS[week])
        record = open_round(self.platform, self.tournament)
        assert record.terms["name"] == self.terms.name
        with self.platform.store.read() as connection:
            frame = get_frame(connection, self.platform.blobs, record.key)
        at = np.searchsorted(panel().assets.asset_ids, frame.asset_ids)
        header = "id,prediction" if self.tournament is Tournament.CLASSIC else "ticker,signal"
        for number, (name, noise) in enumerate(NOISE.items()):
            own = np.random.default_rng(number).normal(size=len(panel().assets))
            own += noise * np.random.default_rng((number, week)).normal(size=len(own))
            values = 0.5 + np.arctan(own[at]) / np.pi
            lines = "".join(f"{label},{value!r}\n" for label, value in zip(frame.labels, values.tolist(), strict=True))
            data = f"{header}\n{lines}".encode()
            self.told[week, name] = check(self.platform, data, model_name=name).figures["eligibility"]
            assert submit(self.platform, name, data, f"{name}.csv").accepted
        self.clock.advance_to(record.closes_at)
        close_round(self.platform, record.key)
        return record.key

    def _settle(self, key: RoundKey) -> None:
        with self.platform.store.read() as connection:
            record = rounds.round_by_key(connection, key)
        assert record is not None
        evening = datetime.combine(record.resolve_session, datetime.min.time(), UTC) + timedelta(hours=23)
        self.clock.advance_to(max(evening, self.clock.now()))
        assert score_round(self.platform, key) == self.terms.scoring.horizon_sessions
        resolve_round(self.platform, key)


@pytest.fixture(params=PRESETS)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path / "home", request.param)
    yield made
    made.platform.store.dispose()


def test_a_preset_is_a_row_of_the_page_and_runs_from_opening_to_resolution(stage: Stage) -> None:
    page = (shipped_config().parent / "docs" / "terms.md").read_text(encoding="utf-8")
    assert f"| `{stage.terms.name}` |" in page
    for key in stage.keys:
        _gates_are_the_librarys(stage, key)
        _scores_are_the_librarys(stage, key)
        _payouts_are_those_of_the_formula(stage, key)
    _the_page_of_a_round_tells_its_conditions(stage)
    with stage.platform.store.read() as connection:
        assert ledger.verify(connection) == []
        assert sum(ledger.balances(connection).values()) == 0


def _the_page_of_a_round_tells_its_conditions(stage: Stage) -> None:
    payout = stage.terms.payout
    page = views.round_page(stage.keys[0], queries.round_detail(stage.platform, stage.keys[0]))
    told = {name: text for group in page["groups"] if group["title"] == "Terms" for name, text in group["facts"]}
    assert (told["Stake threshold"] == "none") == (payout.stake_threshold_atoms is None)
    assert ("Churn that keeps a stake out" in told) == bool(payout.churn_max_ppb)
    if payout.turnover_max_ppb:
        assert told["Turnover that keeps a stake out"] == f"{payout.turnover_max_ppb // 10**7} % or more"
    if payout.choices_ppb:
        assert told["Multiplier of mmc"] == "one of 0, 0.5, 1, 2, as the provider chooses"


def _gates_are_the_librarys(stage: Stage, key: RoundKey) -> None:
    payout = stage.terms.payout
    bounds = {Code.GATE_CHURN: payout.churn_max_ppb, Code.GATE_TURNOVER: payout.turnover_max_ppb}
    expected: dict[str, str] = {"too_small": Code.GATE_STAKE}
    for name in ("steady", "drifting", "jumpy", "too_small") if any(bounds.values()) else ():
        if key.number == 1:
            expected[name] = Code.GATE_HISTORY
            continue
        moved = dict(zip(bounds, _library_moves(stage, name), strict=True))
        met = [code for code, bound in bounds.items() if bound and moved[code] * PPB >= bound]
        expected |= {name: met[0]} if met else {}
    with stage.platform.store.read() as connection:
        names = {m: name for name, m in stage.ids.items()}
        barred = {names[g.model_id]: g.code for g in gated.gated_of_round(connection, key)}
        frozen = {names[a.model_id] for a in stakes.at_risk_of_round(connection, key)}
        before = {names[a.model_id] for a in stakes.at_risk_of_round(connection, stage.keys[0])}
    assert barred == expected
    free = {"steady", "drifting", "jumpy"} - barred.keys()
    # Under a clip of 100 % the first round holds the whole stake, and nothing is left for the second.
    assert frozen == (free - before if payout.clip_ppb == PPB and key.number == 2 else free)
    told = {name: figures for (week, name), figures in stage.told.items() if week == key.number - 1}
    assert {told[name]["gate"] for name in frozen} <= {None}
    if any(bounds.values()):
        foretold = {name: told[name]["gate"] for name in STAKES if told[name]["gate"] is not None}
        unstaked = {"unstaked": foretold["unstaked"]} if "unstaked" in foretold else {}
        assert foretold == {name: code for name, code in expected.items() if code != Code.GATE_STAKE} | unstaked
    if any(bounds.values()) and key.number == 2:
        for name in STAKES:
            assert (told[name]["churn"], told[name]["turnover"]) == pytest.approx(_library_moves(stage, name), abs=1e-12)
        assert "steady" in frozen
        assert barred["jumpy"] == Code.GATE_CHURN
    with stage.platform.store.read() as connection:
        topped_up = ledger.transfer_by_id(connection, f"{key}:top-up") is not None
    assert topped_up == (key.number == 1 and "jumpy" not in barred)
    shown = {line["model"]: line.get("gated") for line in queries.round_detail(stage.platform, key)["models"]}
    assert {name: code for name, code in shown.items() if code} == expected


def _library_moves(stage: Stage, name: str) -> tuple[float, float]:
    """Return churn and turnover of a model's second file against its first, by the library."""
    tables, bases, weights = [], [], []
    with stage.platform.store.read() as connection:
        for key in stage.keys:
            frame = get_frame(connection, stage.platform.blobs, key)
            sent = submissions.selected_submissions(connection, key)[stage.ids[name]]
            ranks = stage.platform.blobs.get_array(str(sent.vector_sha))
            tables.append(pd.Series(ranks, index=frame.asset_ids, name="signal").sort_index())
            bases.append(pd.DataFrame(frame.neutralizers, index=frame.asset_ids).sort_index())
            weights.append(pd.Series(frame.weights_v, index=frame.asset_ids).sort_index())
    books = [
        scoring.generate_neutralized_weights(t.to_frame(), n, v, center_and_normalize=True)["signal"]
        for t, n, v in zip(tables, bases, weights, strict=True)
    ]
    return library.churn(tables[1], tables[0]), library.turnover(books[1], books[0])


def _scores_are_the_librarys(stage: Stage, key: RoundKey) -> None:
    blobs = stage.platform.blobs
    with stage.platform.store.read() as connection:
        frame = get_frame(connection, blobs, key)
        book = get_book(connection, blobs, key)
        target = blobs.get_array(rounds.artifacts(connection, key)["target"])
        sent = submissions.selected_submissions(connection, key)
        found = scores.scores_of_round(connection, key)
        if stage.tournament is Tournament.CLASSIC:
            live = get_live(connection, blobs, key)
            features = pd.DataFrame(live.features, index=list(live.ids)).loc[list(frame.labels)].to_numpy()
        else:
            features = frame.exposures
    index = pd.Index(frame.asset_ids)
    table = pd.DataFrame({m: blobs.get_array(str(s.vector_sha)) for m, s in sent.items()}, index=index)
    t, known = pd.Series(target, index=index, name="target"), ~np.isnan(target)
    on = {"p": table[known], "t": t[known], "meta": pd.Series(book.raw, index=index, name="meta")[known]}
    b, n, v = (pd.DataFrame(x, index=index)[known] for x in (frame.exposures, frame.neutralizers, frame.weights_v))
    staked = pd.Series(book.weights, index=list(book.model_ids))
    oracle: dict[str, Any] = {
        "corr": lambda: scoring.numerai_corr(on["p"], on["t"]),
        "mmc": lambda: scoring.correlation_contribution(on["p"], on["meta"], on["t"]),
        "fnc": lambda: scoring.feature_neutral_corr(table, pd.DataFrame(features, index=index), t.dropna()),
        "neutral_corr": lambda: scoring.neutral_correlation(on["p"], b, on["t"]),
        "neutral_mmc": lambda: scoring.neutral_contribution(on["p"], on["meta"], b, on["t"]),
        "alpha": lambda: scoring.alpha(on["p"], n, v[0], on["t"]),
        "mpc": lambda: scoring.meta_portfolio_contribution(on["p"], staked, n, v[0], on["t"]),
    }
    assert {s.kind for s in found} == set(stage.terms.scoring.kinds)
    for kind in stage.terms.scoring.kinds:
        ours = {s.model_id: s.value for s in found if s.kind == kind}
        if not book.weights.any() and kind in {"mmc", "neutral_mmc", "mpc"}:
            assert set(ours.values()) == {0.0}  # the library has no answer where nobody has a stake
            continue
        assert ours == {m: pytest.approx(value, abs=1e-12) for m, value in oracle[kind]().to_dict().items()}, kind


def _payouts_are_those_of_the_formula(stage: Stage, key: RoundKey) -> None:
    with stage.platform.store.read() as connection:
        record = rounds.round_by_key(connection, key)
        assert record is not None
        assert record.state is RoundState.RESOLVED
        frozen = stakes.at_risk_of_round(connection, key)
        kept = {r.model_id: r.retention_ppb for r in scores.retentions_of_round(connection, key)}
        published: dict[str, dict[str, int]] = {}
        for score in scores.scores_of_round(connection, key):
            published.setdefault(score.model_id, {})[score.kind] = score.score_ppb
        paid = {line.model_id: line.payout_atoms for line in resolutions.lines_of_round(connection, key)}
    payout, total = RoundTerms.from_dict(record.terms).payout, sum(a.at_risk_atoms for a in frozen)
    assert payout == stage.terms.payout
    expected = {}
    for a in frozen:
        assert dict(a.chosen_ppb or {}) == (stage.chosen if a.model_id == stage.ids["steady"] else {})
        multipliers = dict(payout.multipliers_ppb) | dict(a.chosen_ppb or {})
        rate = sum((Fraction(m * published[a.model_id][kind], PPB**2) for kind, m in multipliers.items()), Fraction(0))
        if payout.stake_threshold_atoms is not None:
            rate *= min(Fraction(1), Fraction(payout.stake_threshold_atoms, total))
        rate = min(max(rate, Fraction(-payout.clip_ppb, PPB)), Fraction(payout.clip_ppb, PPB))
        expected[a.model_id] = floor(a.at_risk_atoms * rate * (Fraction(kept[a.model_id], PPB) if rate > 0 else 1))
    assert paid == expected


def test_the_page_lists_every_preset_and_no_other() -> None:
    page = (shipped_config().parent / "docs" / "terms.md").read_text(encoding="utf-8")
    named = {line.split("`")[1] for line in page.splitlines() if line.startswith(("| `classic-", "| `signals-"))}
    assert named == set(PRESETS)


def test_a_choice_that_the_terms_do_not_offer_is_refused_and_an_empty_one_forgets(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "home", "classic-2021-04")
    for wrong in ({"mmc": 3 * PPB}, {"corr": 2 * PPB}, {"mmc": 2 * PPB, "alpha": 0}):
        with pytest.raises(InputRejected) as caught:
            choose(stage.platform, "steady", wrong)
        assert caught.value.code is Code.CHOICE_INVALID
        assert "mmc: 0, 0.5, 1, 2" in caught.value.message
    choose(stage.platform, "steady", {})
    with stage.platform.store.read() as connection:
        steady = stage.ids["steady"]
        assert stakes.plans_of(connection, [steady])[steady].chosen_ppb is None
    stage.platform.store.dispose()


def test_the_original_rows_are_as_published() -> None:
    """The figures that the operator of the first such fund published, by hand: multipliers, clip, threshold."""
    told: dict[str, tuple[dict[str, float], float, int | None]] = {
        "classic-2021-04": ({"corr": 1, "mmc": 0}, 0.25, 300_000),
        "classic-2024-01": ({"corr": 0.5, "mmc": 2}, 0.05, 72_000),
        "classic-2026-01": ({"corr": 0.75, "mmc": 2.25}, 0.05, 72_000),
        "classic-2026-07": ({"corr": 5, "mmc": 10}, 1, None),
        "classic-2026-08": ({"corr": 3, "mmc": 15}, 1, None),
        "signals-2024-01": ({"fnc": 1, "mmc": 2}, 0.05, 36_000),
        "signals-2025-09": ({"alpha": 0.3, "mpc": 0.8}, 0.017, 36_000),
        "signals-2026-01": ({"alpha": 0.3, "mpc": 0.8}, 0.035, 36_000),
        "signals-2026-06": ({"alpha": 4, "mpc": 8}, 1, None),
        "signals-2026-09": ({"neutral_corr": 0.5, "neutral_mmc": 2}, 0.035, None),
    }
    for name, (multipliers, clip, threshold) in told.items():
        payout: PayoutTerms = load_terms(name).payout
        assert {kind: m / PPB for kind, m in payout.multipliers_ppb} == multipliers
        assert payout.clip_ppb / PPB == clip
        assert payout.stake_threshold_atoms == (None if threshold is None else threshold * ATOMS_PER_TOKEN)
