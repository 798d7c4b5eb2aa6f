"""All that the platform publishes or decides from prices at an instant, computed by its own code on a market desk.

No database: stakes, verdicts and money are no function of prices alone, and a whole season on altered prices is played in
``tests/season/test_no_future.py``.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from crowdalpha.ids import RoundKey, Tournament
from market.calendars import to_date, to_instant
from market.neutralizers import neutralizers_of, sample_weights
from market.panel import PanelView, PointInTimePanel
from market.targets import forward_returns, neutral_target
from market.windows import last_base_row
from portfolio.alpha import shrunk_ic
from portfolio.ladder import solve
from service.backtest.spec import named_mandate
from service.decide import decision_market, decision_problem
from service.desk import MarketDesk, week_end_rows
from service.home import Home
from service.replay.crowd import roster
from service.replay.providers.classic import ClassicArchive
from service.replay.providers.window import StrategyInput, round_window
from service.replay.uploads import classic_uploads, member_rng, signals_uploads, unit_values
from service.settings import Settings, load_settings, load_terms
from service.workflows.publish_history import history_era
from signals.classic.dataset import live_era, to_table
from signals.classic.targets import HORIZONS
from signals.metamodel import build_meta_model

SECRET = b"a secret of the tests"
EQUITY = 1e7
ERAS = 5
"""One more than a ridge needs to learn from."""


def small_house(overrides: Mapping[str, Any] | None = None) -> Settings:
    """Settings under which a market of sixty assets has a universe, and a risk model of twelve weeks."""
    return load_settings().with_overrides({"universe.size": 45, "fund.risk_weeks": 12, **(overrides or {})})


class Published:
    """A strategy in the sense of the leak detector: panel and instant in, everything published out.

    The desk is kept as long as the panel is the same object: asked for the panel's end first, it is warm.
    """

    def __init__(self, settings: Settings, seed: int = 5) -> None:
        self.settings = settings
        self.seed = seed
        self.desk = MarketDesk(Home(Path("nowhere")), settings)
        self.panel: PointInTimePanel | None = None

    def __call__(self, panel: PointInTimePanel, instant: datetime) -> dict[str, Any]:
        if self.panel is not panel:
            self.panel = panel
            self.desk.use(panel)
        view = self.desk.view(instant)
        universe = self.desk.universe(view)
        exposures = self.desk.exposures(view, universe.members)
        weights_v = sample_weights(view, universe.members)
        return {
            "universe": universe,
            "exposures": exposures,
            "weights_v": weights_v,
            "neutralizers": neutralizers_of(exposures.values, weights_v),
            "targets": self._targets(view),
            **self._crowd(view, universe.members, universe.asset_ids),
        }

    def _platform(self) -> Any:
        return SimpleNamespace(settings=self.settings, desk=self.desk, classic_secret=SECRET)

    def _targets(self, view: PanelView) -> dict[str, Any]:
        """Scores of a round mature day by day: the newest base session has one session of its window, the oldest all."""
        found = {}
        for horizon in (1, 5, 20):
            row = last_base_row(view.trading, horizon, 2)
            evening = self.desk.view(to_instant(view.known_at[row]))
            members = self.desk.universe(evening).members
            returns = forward_returns(view, members, to_date(view.sessions[row]), horizon, 2)
            found[f"{horizon}"] = (returns, neutral_target(returns, self.desk.exposures(evening, members)))
        return found

    def _eras(self, view: PanelView) -> list[Any]:
        terms = load_terms(self.settings.tournaments.classic.terms, self.settings.config_dir)
        last_row = last_base_row(view.trading, max(HORIZONS), terms.scoring.lag_sessions)
        rows = week_end_rows(view.sessions[: last_row + 1], self.settings.universe.min_history_sessions, ERAS)
        main = ("neutral", terms.scoring.horizon_sessions)
        return [history_era(self._platform(), view, row, terms).classic(SECRET, main, "train") for row in rows]

    def _crowd(self, view: PanelView, members: np.ndarray, asset_ids: np.ndarray) -> dict[str, Any]:
        """What the crowd sends in both tournaments, what it says together, and the book that the fund makes of it."""
        crowd = roster(view.source, self.seed)
        key = RoundKey(Tournament.SIGNALS, 7)
        eras, archive = self._eras(view), ClassicArchive()
        for table in eras:
            archive = archive.with_era(table)
        live = to_table(live_era(view, members, SECRET, str(view.last_session)))
        here = [m for m in crowd if m.tournament is Tournament.SIGNALS]
        window = round_window(view, members)
        values = unit_values(
            here, lambda m: m.strategy(StrategyInput(view, members, window, member_rng(self.seed, m.model_name, key.number)))
        )
        signals = np.nan_to_num(np.vstack([values[m.model_name] for m in here]), nan=0.5)
        stakes = np.array([float(m.stake_tokens) for m in here])
        meta_model = build_meta_model(signals, stakes, self.desk.exposures(view, members).values)
        return {
            "classic_eras": eras,
            "classic_live": live,
            "providers": values,
            "signals_files": signals_uploads(crowd, view, members, asset_ids.tolist(), key, self.seed),
            "classic_files": classic_uploads(crowd, live, archive, RoundKey(Tournament.CLASSIC, 7), self.seed),
            "meta_model": meta_model,
            "fund": self._book(view, members, meta_model.neutral),
        }

    def _book(self, view: PanelView, members: np.ndarray, score: np.ndarray) -> Any:
        """Risk model, alpha, problem and weights, as a rebalance decides them on a book that holds every second member."""
        mandate, market = named_mandate(self.settings), decision_market(self.desk, view, members)
        problem = decision_problem(
            mandate,
            market,
            score,
            np.where(np.arange(len(members)) % 2 == 0, 1.0 / len(members), 0.0),
            equity=EQUITY,
            ic=shrunk_ic([0.03, 0.01, 0.02], mandate.information_coefficient, mandate.ic_prior_rounds),
            in_universe=np.ones(len(members), dtype=bool),
            horizon_sessions=20,
        )
        solution = solve(problem)
        return market.model, problem, solution.weights, solution.status
