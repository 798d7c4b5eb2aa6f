"""No step from signal to equity knows what comes after its instant: signal, record, weights, fills and equity of a walk.

Method: as in ``test_published.py``, everything after a cut becomes NaN, a million times itself, shuffled or nothing, and the
walk up to the instant is made again; every bit must be the same. Walks that look ahead are planted and must be found.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

import numpy as np
import pytest

from market import LeakReport, PointInTimePanel, edit_after, find_leaks
from market.calendars import to_date
from market.edits import Edit
from market.leakage import ALL_EDITS
from service.backtest.evenings import Evenings
from service.backtest.outcome import figures
from service.backtest.sources import HistorySource
from service.backtest.spec import BacktestSpec, Fill, named_mandate
from service.backtest.walk import walk
from signals.findings import FindingList
from signals.history import read_history
from tests.builders.backtests import WIDE, desk_on, history_csv
from tests.leakage.published import small_house
from tests.leakage.test_published import SEED, evenings, market_of_sixty

FIRST_ROW, CUT_ROW, LAST_ROW = 300, 345, 351
"""Nine weeks of decisions, the cut in the middle of one, and enough after it to leak. The first targets are known by then."""


class Walked:
    """A strategy in the sense of the leak detector: panel and instant in, signal, decisions and equity out.

    The evenings are kept as long as the panel is the same object: asked for the panel's end first, they are warm.
    """

    def __init__(self, fill: Fill = Fill.OPEN) -> None:
        self.settings = small_house({"universe.size": 30})
        self.fill = fill
        self.panel: PointInTimePanel | None = None

    def __call__(self, panel: PointInTimePanel, instant: datetime) -> dict[str, Any]:
        if self.panel is not panel:
            self.panel, self.evenings = panel, Evenings(desk_on(panel, self.settings), 20, 2)
        desk = self.evenings.desk
        last_row = panel.knowledge_at(instant)[0] - 1
        signal = history_csv(desk, first_row=FIRST_ROW, last_row=last_row)
        source = HistorySource(self.evenings, read_history([signal]), FindingList())
        spec = BacktestSpec(named_mandate(self.settings, changes=WIDE), last=to_date(panel.sessions[last_row]), fill=self.fill)
        found = walk(self.evenings, source, spec)
        return {
            "signal": np.frombuffer(signal, dtype=np.uint8),
            "record": np.array([decision.ic for decision in found.decisions]),
            "decisions": [(d.positions, d.weights, d.exposures, d.turnover, d.status) for d in found.decisions],
            "equity": found.result.equity,
            "costs": found.result.costs,
            "market": found.market_returns,
            "drift": found.factor_exposures,
            "figures": figures(found),
        }


@cache
def market() -> PointInTimePanel:
    """The eventful market of the other searches, up to a week after the cut: corrections, splits, halts, two exchanges."""
    whole = market_of_sixty()
    return edit_after(whole, evenings(whole, (LAST_ROW,))[0], Edit.TRUNCATE, np.random.default_rng(SEED))


def report_of(walked: Walked, edits: Sequence[Edit] = ALL_EDITS) -> LeakReport:
    print(f"seed {SEED}")
    cut = evenings(market(), (CUT_ROW,))
    return find_leaks(walked, market(), cut, rng=np.random.default_rng(SEED), edits=edits, decisions_per_cut=1)


@pytest.mark.parametrize("fill", list(Fill))
def test_nothing_from_signal_to_equity_knows_the_future(fill: Fill) -> None:
    report = report_of(Walked(fill))
    assert [str(leak) for leak in report.leaks] == []
    assert report.clean, str(report)


def test_a_book_on_prices_of_the_week_after_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant the classic fault: the book is decided on prices of the week in which it is held."""
    honest = Evenings.evening

    def a_week_ahead(self: Evenings, instant: datetime) -> Any:
        row = min(self.desk.panel.knowledge_at(instant)[0] + 4, len(self.desk.panel.sessions) - 1)
        return honest(self, self.close_instant(row))

    monkeypatch.setattr(Evenings, "evening", a_week_ahead)
    assert report_of(Walked(), (Edit.SCALE,)).leaks


def test_returns_as_known_in_the_end_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plant the quiet fault: the book is carried with prices as they were corrected later."""
    honest = Evenings.stretch

    def as_known_in_the_end(self: Evenings, first_row: int, instant: datetime) -> Any:
        rows = self.desk.panel.knowledge_at(instant)[0]
        whole = honest(self, first_row, self.close_instant(len(self.desk.panel.sessions) - 1))
        kept = rows - first_row
        return type(whole)(
            range(first_row, rows), whole.sessions[:kept], whole.overnight[:kept], whole.intraday[:kept], whole.traded[:kept],
            whole.gone_row, whole.gone_return,
        )  # fmt: skip

    monkeypatch.setattr(Evenings, "stretch", as_known_in_the_end)
    assert report_of(Walked(), (Edit.SCALE,)).leaks
