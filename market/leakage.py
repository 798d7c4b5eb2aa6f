"""Does a strategy know the future? Change everything that was learnt after a cut, ask again, and compare to the bit.

An operator runs it on a strategy before money follows it; the tests run it on all that the platform publishes. It is evidence
about the strategy on one panel and at some instants, no proof: what it cannot find stands in ``docs/no-future.md``.

1. Each decision instant is a cut. The strategy is asked on the panel as it is; twice, because a strategy with a randomness or a
   memory of its own gives other answers without knowing any future, and must be told apart.
2. For each edit a panel is made that differs after the cut only (:mod:`market.edits`). The strategy is asked for the decisions
   up to the cut, once with nothing computed before each (cold) and once after it was asked for the panel's end (warm), so that
   whatever is kept between questions has seen the edited future.
3. Each leaf of an answer that is not bit-identical is a leak (:mod:`market.outcome`). An error is an answer too.
4. As a control everything that was known by the cut is changed. A strategy that notices at no cut is deaf: it reads no prices,
   or answers from memory, and that nothing was found says nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import CrowdalphaError, InputRejected
from market.calendars import to_instant
from market.edits import Edit, edit_after, edit_before
from market.outcome import Outcome, differences, outcome, raised
from market.panel import PanelView, PointInTimePanel

Strategy = Callable[[PointInTimePanel, datetime], object]
"""Takes the panel and the decision instant; returns anything that :mod:`market.outcome` can walk."""

ALL_EDITS = tuple(Edit)


class Cache(StrEnum):
    """What had been computed on the edited panel before the strategy was asked: nothing, or everything to its end."""

    COLD = "cold"
    WARM = "warm"


BOTH_CACHES = tuple(Cache)


@dataclass(frozen=True, slots=True)
class Leak:
    """One part of one answer that hangs on what was learnt after its instant.

    Attributes
    ----------
    edit : Edit
        What was done to the future.
    cut : datetime
        After which everything was edited.
    instant : datetime
        Decision instant of the answer, at or before the cut.
    cache : Cache
        What had been computed before.
    output : str
        Path of the part, such as ``weights`` or ``exposures.values``; ``the answer`` for one without parts.
    position : tuple of int or None
        First place in an array that differs; None where no single place does.
    before, after : str
        What stood there on the panel as it is, and on the edited one.
    """

    edit: Edit
    cut: datetime
    instant: datetime
    cache: Cache
    output: str
    position: tuple[int, ...] | None
    before: str
    after: str

    def __str__(self) -> str:
        """Return the leak in a sentence."""
        place = "" if self.position is None else str(list(self.position))
        decided = f"decided at {_utc(self.instant)}"
        what = f"{self.edit} of everything after {_utc(self.cut)} ({self.cache})"
        return f"{self.output}{place}, {decided}, was {self.before} and becomes {self.after} under {what}."


@dataclass(frozen=True, slots=True)
class LeakReport:
    """What a search found.

    Attributes
    ----------
    leaks : tuple of Leak
        By cut, edit, cache, instant, then in the order of the answer's parts.
    cuts, comparisons : int
        Cuts that were made, and answers that were compared.
    deaf : bool
        True when changing everything *before* every cut changed no answer: the search could have found nothing.
    """

    leaks: tuple[Leak, ...]
    cuts: int
    comparisons: int
    deaf: bool

    @property
    def clean(self) -> bool:
        """True when nothing was found and something could have been."""
        return not self.leaks and not self.deaf

    def __str__(self) -> str:
        """Return the verdict in a sentence."""
        tried = f"{_counted(self.comparisons, 'answer')} at {_counted(self.cuts, 'cut')}"
        if self.leaks:
            return f"It knows the future: {_counted(len(self.leaks), 'change')} in {tried}. First: {self.leaks[0]}"
        if self.deaf:
            return f"Nothing can be said: {tried} hang on no price at all, neither later nor earlier."
        return f"No trace of the future: {tried} are bit-identical, and do change with the past."


def _utc(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M}Z"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def of_view(decide: Callable[[PanelView], object]) -> Strategy:
    """Return the strategy that decides on ``panel.as_of(instant)``."""
    return lambda panel, instant: decide(panel.as_of(instant))


def find_leaks(
    strategy: Strategy,
    panel: PointInTimePanel,
    instants: Sequence[datetime],
    *,
    rng: np.random.Generator,
    edits: Sequence[Edit] = ALL_EDITS,
    caches: Sequence[Cache] = BOTH_CACHES,
    decisions_per_cut: int = 2,
) -> LeakReport:
    """Search for knowledge of the future in what a strategy answers.

    Parameters
    ----------
    strategy : callable
        Takes the panel and a decision instant and returns arrays, numbers, words, tables, or dataclasses, mappings and
        sequences of these. :func:`of_view` makes one from a function of a view. It must be a function of its arguments: seed
        its randomness by the instant, and let it remember nothing from one panel to another.
    panel : PointInTimePanel
        The market; the longer it goes on after the instants, the more there is to leak.
    instants : sequence of datetime
        Aware decision instants, any order. Each is a cut, so each must have data on both sides.
    rng : numpy.random.Generator
        Draws the shuffles.
    edits, caches : sequence of Edit, of Cache
        Which to try; all by default.
    decisions_per_cut : int
        How many decisions are compared at a cut: the one at the cut, and those before it. What a decision knows of the future
        shows at its own cut already; earlier ones are asked for the sake of what a strategy keeps between decisions.

    Returns
    -------
    LeakReport
        Every part of every answer that changed, and what was tried.

    Raises
    ------
    InputRejected
        ``strategy_unsteady`` when two answers to one question differ; ``date_outside_panel`` for an instant without data on
        both sides; ``request_invalid`` without instants, or for an answer that cannot be compared.

    Examples
    --------
    >>> from datetime import date
    >>> from market.synthetic import SyntheticSpec, generate_market
    >>> panel = generate_market(SyntheticSpec(n_assets=12, start=date(2015, 1, 2), end=date(2015, 2, 27)))
    >>> instants = [to_instant(panel.known_at[row]) for row in (20, 30)]
    >>> report = find_leaks(of_view(lambda v: v.close[-1] / v.close[-11]), panel, instants, rng=np.random.default_rng(0))
    >>> report.clean, report.comparisons
    (True, 24)
    """
    when = sorted(set(instants))
    if not when or decisions_per_cut < 1:
        raise InputRejected(Code.REQUEST_INVALID, "A search needs at least one instant and one decision at each cut.")
    original = {instant: _steady_answer(strategy, panel, instant) for instant in when}
    leaks: list[Leak] = []
    comparisons, deaf = 0, True
    for number, cut in enumerate(when, start=1):
        decisions = when[max(0, number - decisions_per_cut) : number]
        for edit in edits:
            edited = edit_after(panel, cut, edit, rng)
            for cache in caches:
                for instant, answer in _answers(strategy, edited, decisions, cache):
                    comparisons += 1
                    found = differences(original[instant], answer)
                    leaks += [Leak(edit, cut, instant, cache, d.output, d.position, d.before, d.after) for d in found]
        deaf = deaf and not differences(original[cut], _answer(strategy, edit_before(panel, cut, rng), cut))
    return LeakReport(tuple(leaks), len(when), comparisons, deaf)


def _answers(
    strategy: Strategy, edited: PointInTimePanel, decisions: Sequence[datetime], cache: Cache
) -> list[tuple[datetime, Outcome]]:
    if cache is Cache.COLD:
        # a copy shares the arrays and has computed nothing
        return [(instant, _answer(strategy, replace(edited), instant)) for instant in decisions]
    _answer(strategy, edited, to_instant(edited.known_at[-1]))
    return [(instant, _answer(strategy, edited, instant)) for instant in reversed(decisions)]


def _asked(strategy: Strategy, panel: PointInTimePanel, instant: datetime) -> object:
    # prices a million times too high overflow here and there; what is not in the answer is no answer
    with np.errstate(all="ignore"):
        return strategy(panel, instant)


def _answer(strategy: Strategy, panel: PointInTimePanel, instant: datetime) -> Outcome:
    try:
        value = _asked(strategy, panel, instant)
    except Exception as error:  # noqa: BLE001 - whatever a strategy trips over on an edited panel is its answer there
        return raised(error)
    return outcome(value)


def _steady_answer(strategy: Strategy, panel: PointInTimePanel, instant: datetime) -> Outcome:
    """Return the answer on the panel as it is; a fault of the strategy that is no refusal comes through."""
    answers = []
    for _ in range(2):
        try:
            answers.append(outcome(_asked(strategy, replace(panel), instant)))
        except CrowdalphaError as error:
            answers.append(raised(error))
    found = differences(*answers)
    if found:
        what = f"{found[0].output} was {found[0].before} and then {found[0].after}"
        raise InputRejected(
            Code.STRATEGY_UNSTEADY,
            f"Asked twice for {_utc(instant)} on the same panel, the strategy gave two answers: {what}.",
        )
    return answers[0]
