"""A compiled statement answers as one that is stated anew, to the bit, whatever was asked before and by whom.

What is expected comes from the same call with nothing remembered, here or in a process of its own.
"""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from portfolio import convex, solve
from portfolio.scaled import CLARABEL, PIQP, expansion, scaled, shape_of
from tests.builders.books import random_problem

SEED = 4_031


@pytest.fixture(autouse=True)
def forms(monkeypatch):
    """Nothing is remembered when a test begins."""
    fresh = convex._Forms()
    monkeypatch.setattr(convex, "_FORMS", fresh)
    return fresh


def weeks(count=4, seed=SEED, **options):
    """Return problems of one shape: other alphas, holdings, styles, costs and limits each."""
    rng = np.random.default_rng(seed)
    first = random_problem(rng, 70, **options)
    dense = np.array([kind in {"beta", "style"} for kind in first.factor_kinds])
    found = []
    for week in range(count):
        found.append(
            replace(
                first,
                alpha=first.alpha + 1e-3 * rng.standard_normal(first.n),
                B=np.where(dense, first.B + 0.1 * rng.standard_normal(first.B.shape), first.B),
                F=first.F * (1 + 0.1 * week),
                w0=first.w0 * rng.uniform(0.5, 1.0, first.n),
                half_spread=first.half_spread * (1 + 0.1 * week),
                gross_max=first.gross_max - 0.1 * week,
                turnover_max=first.turnover_max + 0.02 * week,
                risk_aversion=2.0 + week,
            )
        )
    return found


def evidence(solution):
    """Return all of a solution but its seconds, as bytes and words."""
    rungs = [(r.name, r.status, r.accepted, r.reason, repr(r.violation), repr(r.move)) for r in solution.rungs]
    return solution.weights.tobytes(), solution.status, rungs, solution.limits, solution.violations, solution.objective.hex()


def remembering_nothing(problem, monkeypatch):
    """Return the evidence of a solve that knows no earlier one."""
    with monkeypatch.context() as patch:
        patch.setattr(convex, "_FORMS", convex._Forms())
        return evidence(solve(problem))


@pytest.mark.parametrize("options", [{}, {"impact": True}, {"drifted": False}], ids=["relaxed", "impact", "flat"])
def test_an_answer_does_not_depend_on_what_was_asked_before(options, monkeypatch):
    """Each of four weeks, forwards and backwards and twice, is answered as if it were the first."""
    problems = weeks(**options)
    expected = [remembering_nothing(p, monkeypatch) for p in problems]
    order = [0, 1, 2, 3, 3, 2, 1, 0, 0, 2]
    assert [evidence(solve(problems[week])) for week in order] == [expected[week] for week in order]
    assert len({weights for weights, *_ in expected}) == len(problems), "the weeks must differ, or the test shows nothing"


def test_a_process_of_its_own_gives_the_same_bytes():
    """A, B, A and A once more here; A alone elsewhere."""
    first, second = weeks(2, drifted=False)
    here = [solve(p).weights.tobytes().hex() for p in (first, second, first, first)]
    code = (
        "from tests.portfolio.test_forms import weeks; from portfolio import solve;"
        "print(solve(weeks(2, drifted=False)[0]).weights.tobytes().hex())"
    )
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert [here[0], here[2], here[3]] == [elsewhere] * 3


@pytest.mark.parametrize("solver", [PIQP, CLARABEL])
@pytest.mark.parametrize("impact", [False, True])
@pytest.mark.parametrize("elastic", [(), ("turnover", "style")])
def test_constants_and_parameters_hand_over_the_same_arrays(solver, impact, elastic):
    """What cvxpy makes of a statement for the solver is equal to the bit, patterns included."""
    made = []
    first, p = weeks(2, impact=impact)
    shape = shape_of(p, solver, elastic)
    assert shape == shape_of(first, solver, elastic)
    scale = scaled(p, shape)
    numbers = {**scale.numbers, **expansion(p, scale)}
    for names in (convex.EXPANSION, tuple(numbers)):
        statement = convex._Statement(shape, convex._symbols(numbers, names))
        statement.fill(numbers)
        data = statement.program.get_problem_data(solver)[0]
        made.append({name: (v.toarray(), v.indices, v.data) if hasattr(v, "nnz") else v for name, v in data.items()})
        assert statement.program.is_dpp()
    assert statement.is_compiled
    compared = [name for name in made[0] if isinstance(made[0][name], (tuple, np.ndarray))]
    assert len(compared) >= 4
    for name in compared:
        np.testing.assert_equal(made[0][name], made[1][name])


def changed(p, what):
    """Return the problem with another pattern of limits or terms."""
    one = np.arange(p.n) == 3
    changes = {
        "nothing": {},
        "pinned": {
            "position_lower": np.where(one, p.w0, p.position_lower),
            "position_upper": np.where(one, p.w0, p.position_upper),
        },
        "net": {"net_band": 0.01},
        "shorts": {"short_max": 0.8},
        "no fee": {"borrow": np.zeros(p.n)},
        "no band": {"exposure_upper": np.full(len(p.factor_kinds), np.inf)},
        "a style of zero": {"B": np.where(one[:, None] & np.array([k == "style" for k in p.factor_kinds]), 0.0, p.B)},
        "sectors": {"B": np.where([k == "sector" for k in p.factor_kinds], p.B[::-1], p.B)},
        "less risk": {"F": np.diag(np.diag(p.F) * (np.arange(len(p.F)) > 0))},
        "volatility": {"volatility_max": 0.004},
    }
    return replace(p, **changes[what])


def test_another_pattern_is_another_statement(monkeypatch):
    """Problems that differ in what is limited, one after the other, each as if it were the first."""
    base = weeks(1, drifted=False)[0]
    words = ["nothing", "pinned", "net", "shorts", "no fee", "no band", "a style of zero", "sectors", "less risk", "volatility"]
    expected = {word: remembering_nothing(changed(base, word), monkeypatch) for word in words}
    rng = np.random.default_rng(SEED)
    print("seed", SEED)
    for word in rng.permutation(words * 3):
        assert evidence(solve(changed(base, word))) == expected[word], word


def test_threads_get_what_one_alone_gets(monkeypatch):
    """Four threads ask for weeks of one shape at once; a statement is never shared."""
    problems = weeks(6, drifted=False)
    expected = [remembering_nothing(p, monkeypatch) for p in problems]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda p: evidence(solve(p)), problems * 4))
    assert found == expected * 4


def test_a_problem_without_an_answer_leaves_nothing_behind(monkeypatch):
    """Bounds that contradict Σw = 0 end in a hold; the next week of that shape is solved as ever."""
    good = replace(weeks(1, drifted=False)[0], relaxation=())
    bad = replace(good, position_lower=np.full(good.n, 0.001), position_upper=np.full(good.n, 0.05))
    expected = [remembering_nothing(p, monkeypatch) for p in (good, bad)]
    assert [words[1] for words in expected] == ["solved", "held"]
    assert [evidence(solve(p)) for p in (good, good, bad, good, bad, good)] == [expected[i] for i in (0, 0, 1, 0, 1, 0)]


def test_numbers_that_overflow_are_a_status(forms):
    """Where a hint of an alpha stands beside an enormous impact, scaling ends in infinities: a hold, no exception."""
    p, none = weeks(1, drifted=False)[0], np.zeros(70)
    p = replace(p, alpha=p.alpha * 1e-298, D=none, F=p.F * 0, half_spread=none, borrow=none, impact=none + 1e20)
    solution = solve(p)
    assert {rung.status for rung in solution.rungs[:-1]} == {"The scaled numbers overflow."}
    assert solution.status == "held"
    assert not forms._kept


def test_few_shapes_are_kept(forms):
    """The latest few, compiled from the second time on."""
    problems = [random_problem(np.random.default_rng(n), n, drifted=False) for n in range(40, 50)]
    for p in problems:
        convex.candidate(p, PIQP)
    assert [shape.n for shape in forms._kept] == [46, 47, 48, 49]
    assert set(forms._kept.values()) == {None}
    convex.candidate(problems[-1], PIQP)
    kept = forms._kept[shape_of(problems[-1], PIQP)]
    assert kept is not None
    assert kept.is_compiled
    convex.candidate(problems[-1], PIQP)
    assert forms._kept[shape_of(problems[-1], PIQP)] is kept


def test_what_would_differ_or_cost_more_is_stated_anew(forms, monkeypatch):
    """A name without specific risk, factors without correlation, or a block beyond the threshold: nothing is kept."""
    p = weeks(1, drifted=False)[0]
    convex.candidate(replace(p, D=np.where(np.arange(p.n) == 0, 0.0, p.D)), PIQP)
    convex.candidate(replace(p, F=np.diag(np.diag(p.F))), PIQP)
    monkeypatch.setattr(convex, "PARAMETERS_MAX", p.n)
    convex.candidate(p, PIQP)
    assert not forms._kept
