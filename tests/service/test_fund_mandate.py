"""Goal: the live fund obeys the times of its mandate, and a wrong file is told with its line. Method: mandate files of a folder
of their own, and a desk that knows one Friday of the New York calendar."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InputRejected
from market.calendars import session_calendar
from service.decisions import load_fund_mandate, refuse_other_capital
from service.workflows.rebalance import _wait_for_decision

FRIDAY = date(2016, 1, 8)
CLOSE = datetime(2016, 1, 8, 21, tzinfo=UTC)
"""Four in the afternoon of a New York winter."""


def platform_with(tmp_path, text: str) -> SimpleNamespace:
    (tmp_path / "mandates").mkdir()
    (tmp_path / "mandates" / "ours.toml").write_text(text)
    settings = SimpleNamespace(fund=SimpleNamespace(mandate="ours", initial_capital=1e8), config_dir=tmp_path)
    return SimpleNamespace(settings=settings)


def test_a_mandate_of_the_fund_is_read_with_lines(tmp_path):
    """The sentence of a refusal has the file, the line and the key."""
    platform = platform_with(tmp_path, 'name = "ours"\n\n# too small\ngross_max = 0.5\nnet_target = 0.8\n')
    with pytest.raises(InputRejected, match=r"ours\.toml, line 4, is not usable: gross_max") as caught:
        load_fund_mandate(platform)
    assert caught.value.findings[0].row == 4


def test_a_fill_at_the_close_is_refused_by_the_live_fund(tmp_path):
    """The twin of the live fund trades at the open, so a mandate that says otherwise does not run there."""
    with pytest.raises(InputRejected, match="line 2: the fund trades at the open") as caught:
        load_fund_mandate(platform_with(tmp_path, 'name = "ours"\nfill = "close"\n'))
    assert caught.value.code == Code.MANDATE_INVALID


def test_another_capital_than_the_funds_is_refused(tmp_path):
    """Twenty millions in the mandate and a hundred in the settings: impact and volume limits would be of another fund."""
    platform = platform_with(tmp_path, 'name = "ours"\naum = 2e7\n')
    with pytest.raises(InputRejected, match=r"line 2: aum is 20,000,000, and the setting fund\.initial_capital is 100,000,000"):
        refuse_other_capital(platform, load_fund_mandate(platform))
    refuse_other_capital(platform, replace(load_fund_mandate(platform), aum=1e8))


@pytest.mark.parametrize(("late_minutes", "decides"), [(0, False), (89, False), (90, True), (600, True)])
def test_no_book_is_decided_before_its_time(late_minutes, decides):
    """With ninety minutes asked for, a decision 89 minutes after the close is refused and one 90 minutes after is not."""
    calendar = session_calendar("XNYS", date(2016, 1, 4), date(2016, 1, 29))
    desk = SimpleNamespace(home_session=lambda view: FRIDAY, home_calendar=lambda instant: calendar)
    view = SimpleNamespace(instant=CLOSE + timedelta(minutes=late_minutes))
    if decides:
        _wait_for_decision(SimpleNamespace(desk=desk), view, 90)
    else:
        with pytest.raises(Conflict, match="no earlier than 2016-01-08 22:30 UTC") as caught:
            _wait_for_decision(SimpleNamespace(desk=desk), view, 90)
        assert caught.value.code == Code.ROUND_NOT_DUE
