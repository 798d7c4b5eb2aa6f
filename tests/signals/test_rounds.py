"""A round moves along the drawn arrows and no other way; a file exactly at the close is late.

Method: all ordered pairs of states are tried against the drawing of the design, written out here once more by hand.
"""

from datetime import UTC, date, datetime, timedelta
from itertools import product

import pytest

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, InvariantBroken
from crowdalpha.ids import RoundKey, RoundState, Tournament
from crowdalpha.terms import PayoutTerms, RoundTerms, ScoringTerms
from signals.rounds import Round, advance

OPENS = datetime(2016, 1, 2, 14, tzinfo=UTC)
TERMS = RoundTerms("t", ScoringTerms(("corr",)), PayoutTerms((("corr", 10**9),), 5 * 10**7, 10**18, 0))
DRAWN = {
    ("scheduled", "open"),
    ("open", "closed"),
    ("closed", "scoring"),
    ("scoring", "resolved"),
    *((state, "void") for state in ("scheduled", "open", "closed", "scoring")),
}


def make_round(state: RoundState, **changes: object) -> Round:
    values: dict[str, object] = {
        "key": RoundKey(Tournament.SIGNALS, 7),
        "state": state,
        "opens_at": OPENS,
        "closes_at": OPENS + timedelta(hours=2),
        "base_session": date(2015, 12, 31),
        "resolve_session": date(2016, 2, 3),
        "terms": TERMS,
        "universe_hash": "0" * 64,
    }
    return Round(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(("here", "there"), list(product(RoundState, RoundState)), ids=lambda state: state.value)
def test_only_drawn_arrows_exist(here, there):
    before = make_round(here)
    if (here.value, there.value) in DRAWN:
        after = advance(before, there)
        assert after.state is there
        assert (after.terms, after.key, before.state) == (before.terms, before.key, here)
    else:
        with pytest.raises(Conflict) as refusal:
            advance(before, there)
        assert refusal.value.code is Code.ROUND_STATE


def test_file_at_the_close_is_late():
    open_round = make_round(RoundState.OPEN)
    moments = [OPENS - timedelta(microseconds=1), OPENS, open_round.closes_at - timedelta(microseconds=1), open_round.closes_at]
    assert [open_round.takes_files_at(moment) for moment in moments] == [False, True, True, False]
    assert not make_round(RoundState.CLOSED).takes_files_at(OPENS)


@pytest.mark.parametrize(
    "changes",
    [
        {"closes_at": OPENS},
        {"opens_at": datetime(2016, 1, 2, 14)},  # noqa: DTZ001
        {"resolve_session": date(2015, 12, 31)},
    ],
)
def test_round_that_contradicts_itself_is_a_bug(changes):
    with pytest.raises(InvariantBroken):
        make_round(RoundState.OPEN, **changes)
