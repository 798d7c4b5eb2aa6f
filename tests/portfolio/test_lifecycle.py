"""Goal: a decision goes its way in one direction, and nothing is traded that was not approved and sent.

Method: every pair of state and step against the list below, written by hand from the documented flow; then every path."""

import itertools

import pytest

from portfolio.lifecycle import ENDED, STEPS, TRADED, RebalanceState, RebalanceStep, may

ALLOWED = {
    ("approve", "proposed", "approved"),
    ("reject", "proposed", "rejected"),
    ("reject", "approved", "rejected"),
    ("send", "approved", "sent"),
    ("send", "sent", "sent"),
    ("fill", "sent", "filled"),
    ("reconcile", "filled", "reconciled"),
    ("expire", "proposed", "expired"),
    ("expire", "approved", "expired"),
    ("cancel", "proposed", "cancelled"),
    ("cancel", "approved", "cancelled"),
    ("cancel", "sent", "cancelled"),
}
PAIRS = list(itertools.product(RebalanceStep, RebalanceState))


@pytest.mark.parametrize(("step", "state"), PAIRS, ids=[f"{step}-{state}" for step, state in PAIRS])
def test_each_step_is_taken_where_it_is_allowed_and_nowhere_else(step: RebalanceStep, state: RebalanceState) -> None:
    leads_to = STEPS[step][1]
    assert may(step, state) == ((step.value, state.value, leads_to.value) in ALLOWED)


def paths(state: RebalanceState, seen: tuple[RebalanceState, ...] = ()) -> list[tuple[RebalanceState, ...]]:
    here = (*seen, state)
    following = {STEPS[s][1] for s in RebalanceStep if may(s, state)} - set(here)
    return [here] + [path for after in following for path in paths(after, here)]


def test_whatever_is_traded_was_approved_and_sent_before() -> None:
    found = [path for path in paths(RebalanceState.PROPOSED) if path[-1] in TRADED]
    assert len(found) == 2
    for path in found:
        assert path[:4] == tuple(RebalanceState(s) for s in ("proposed", "approved", "sent", "filled"))


def test_what_has_ended_stays_ended() -> None:
    for state in ENDED | {RebalanceState.RECONCILED}:
        assert not any(may(step, state) for step in RebalanceStep)
    assert {path[-1] for path in paths(RebalanceState.PROPOSED)} == set(RebalanceState)
