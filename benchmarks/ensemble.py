"""How to blend meta-models, on real prices and out of sample: the walk-forward ensemble beside stakes and equal weights.

    python -m benchmarks.ensemble --prices us_daily.parquet --meta equity_meta.csv.gz

It measures judgement and not speed, so nothing here is timed. It is a replay without the shell: the crowd's own strategies,
week by week, through the functions that the platform calls.

1. Each week both tournaments' strategies see the panel as known that evening, the classic ones only eras whose targets were
   known; everybody is careful and stakes stay what they were at the start.
2. A blend is decided on the scores of rounds that had resolved that evening, 22 sessions after their own.
3. Each blend's vector is scored with ``corr`` against the round's target. Blends are compared over the same rounds, those for
   which the ensemble had enough past, as paired differences; targets of neighbouring weeks overlap, so errors are Newey and
   West's with ⌈(20 + 2) / 5⌉ = 5 lags.
"""

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import machine

if TYPE_CHECKING:
    import numpy as np

    from market.panel import PointInTimePanel

FIRST, LAST = date(2014, 1, 1), date(2016, 12, 31)
HORIZON, LAG, STEP = 20, 2, 5
RESOLVED_AFTER = HORIZON + LAG
LAGS = math.ceil((HORIZON + LAG) / STEP)
TRAINING_WEEKS = 104
SEED = 7
SECRET = b"a secret of the benchmark's own"
TARGETS_KNOWN_DAYS = 45
"""Prices are read so far beyond the last round, for its target."""


@dataclass(slots=True)
class Week:
    """One week's rounds: what the crowd said, the exposures, and the target that nobody saw."""

    row: int
    exposures: "np.ndarray"
    target: "np.ndarray"
    said: "dict[str, np.ndarray]" = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Crowd:
    """A tournament's models: names, providers and stakes in tokens."""

    names: tuple[str, ...]
    owners: tuple[str, ...]
    stakes: "np.ndarray"


def play(panel: "PointInTimePanel", universe: int) -> tuple[list[Week], dict[str, Crowd]]:
    """Return the weeks with everybody's ranks, and who takes part."""
    import numpy as np

    from crowdalpha.ids import Tournament
    from market.calendars import to_instant
    from market.targets import forward_returns, neutral_target
    from service.desk import MarketDesk, week_end_rows
    from service.replay.crowd import roster
    from service.replay.providers.classic import ClassicArchive, ClassicInput, read_era
    from service.replay.providers.window import StrategyInput, round_window
    from service.replay.uploads import member_rng, unit_values
    from service.settings import load_settings
    from signals.classic.dataset import live_era, to_table

    settings = load_settings().with_overrides({"universe.size": universe})
    desk: Any = MarketDesk(home=None, settings=settings)  # type: ignore[arg-type]
    desk.use(panel)
    members = roster(panel.source, SEED)
    crowds = {t.label: [m for m in members if m.tournament is t] for t in Tournament}
    end = panel.as_of(to_instant(panel.known_at[-1]))
    first = int(np.searchsorted(panel.sessions, np.datetime64(FIRST)))
    last = int(np.searchsorted(panel.sessions, np.datetime64(LAST), side="right"))
    rows = [r for r in week_end_rows(panel.sessions, 253, 10_000) if r + RESOLVED_AFTER < len(panel.sessions) and r < last]
    history = [r for r in rows if r < first][-TRAINING_WEEKS:]
    archive, unread, weeks = ClassicArchive(), [], []
    for row in [*history, *(r for r in rows if r >= first)]:
        view = panel.as_of(to_instant(panel.known_at[row]))
        assets = desk.universe(view).members
        exposures = desk.exposures(view, assets).values
        target = neutral_target(forward_returns(end, assets, view.last_session, HORIZON, LAG), exposures)
        era = live_era(view, assets, SECRET, str(view.last_session))
        unread.append((row, to_table(era, target)))
        if row < first:
            continue
        while unread and unread[0][0] + RESOLVED_AFTER <= row:
            archive = archive.with_era(unread.pop(0)[1])
        window, live, number = round_window(view, assets), read_era(to_table(era)), len(weeks) + 1

        def signals(m: Any, view: Any = view, assets: Any = assets, window: Any = window, number: int = number) -> Any:
            return m.strategy(StrategyInput(view, assets, window, member_rng(SEED, m.model_name, number)))

        def classic(m: Any, live: Any = live, archive: Any = archive, number: int = number) -> Any:
            return m.classic_strategy(ClassicInput(live, archive, member_rng(SEED, m.model_name, number)))

        week = Week(row, exposures, target)
        for label, compute in (("signals", signals), ("classic", classic)):
            ranks = np.array(list(unit_values(crowds[label], compute).values()))
            ranks = np.where(np.isfinite(ranks), ranks, 0.5)
            week.said[label] = era.on_members(ranks) if label == "classic" else ranks
        weeks.append(week)
    named = {
        label: Crowd(
            tuple(unit_order(crowd)),
            tuple({m.model_name: m.provider_name for m in crowd}[n] for n in unit_order(crowd)),
            np.array([float({m.model_name: m.stake_tokens for m in crowd}[n]) for n in unit_order(crowd)]),
        )
        for label, crowd in crowds.items()
    }
    return weeks, named


def unit_order(members: Sequence[Any]) -> list[str]:
    """Return the model names in the order in which ``unit_values`` gives them: originals, then the rest."""
    originals = [m.model_name for m in members if m.clone_of is None and m.mirror_of is None]
    return originals + [m.model_name for m in members if m.model_name not in originals]


@dataclass(frozen=True, slots=True)
class Field:
    """Candidates over all weeks: their neutral vectors, their scores, and what each would weigh by stake."""

    labels: tuple[str, ...]
    vectors: "list[np.ndarray]"
    scores: "np.ndarray"
    prior: "np.ndarray"


def meta_models(weeks: list[Week], crowds: dict[str, Crowd], variants: Sequence[str]) -> Field:
    """Return each tournament's meta-model under each variant; the stakes' weight lies on the first."""
    import numpy as np

    from service.settings import load_settings
    from signals.contribution import vector_score
    from signals.metamodel import build_meta_model, variant_weights

    s = load_settings().metamodel
    options = {"minimum": float(s.stake_min_tokens), "provider_share_max": s.provider_share_max}
    weights = {
        (label, v): variant_weights(v, crowd.stakes, crowd.owners, **options)
        for label, crowd in crowds.items()
        for v in variants
    }
    vectors = [
        np.array([build_meta_model(w.said[label], weights[label, v], w.exposures).neutral for label, v in weights])
        for w in weeks
    ]
    scores = np.array([[vector_score(x, w.target) for x in rows] for rows, w in zip(vectors, weeks, strict=True)])
    total = sum(float(c.stakes.sum()) for c in crowds.values())
    prior = np.array([crowds[label].stakes.sum() / total if v == variants[0] else 0.0 for label, v in weights])
    return Field(tuple(f"{label}:{v}" for label, v in weights), vectors, scores, prior)


def single_models(weeks: list[Week], crowd: Crowd, label: str) -> Field:
    """Return each model of a tournament as a candidate of its own: its neutral Gaussianized ranks."""
    import numpy as np

    from market.projection import residualize
    from market.ranks import gaussianize, tie_kept_rank
    from signals.contribution import vector_score

    vectors = [residualize(gaussianize(tie_kept_rank(w.said[label])), w.exposures) for w in weeks]
    scores = np.array([[vector_score(x, w.target) for x in rows] for rows, w in zip(vectors, weeks, strict=True)])
    return Field(crowd.names, vectors, scores, crowd.stakes / crowd.stakes.sum())


def walk_forward(weeks: list[Week], candidates: Field, settings: Any) -> "tuple[np.ndarray, np.ndarray]":
    """Return the ensemble's weights week by week, and the rounds that each was fitted on."""
    import numpy as np

    from portfolio.ensemble import ensemble_weights

    rows = np.array([w.row for w in weeks])
    former, found, used = candidates.prior, [], []
    for row in rows:
        past = candidates.scores[rows + RESOLVED_AFTER <= row]
        fitted = ensemble_weights(past, candidates.prior, former, settings)
        former = np.array(fitted.weights)
        found.append(former)
        used.append(fitted.rounds_used)
    return np.array(found), np.array(used)


def blended(weeks: list[Week], candidates: Field, weights: "np.ndarray") -> "np.ndarray":
    """Return the ``corr`` of a blend in each week; ``weights`` for all weeks, or one row a week."""
    import numpy as np

    from signals.contribution import vector_score
    from signals.metamodel import blend

    each = np.broadcast_to(weights, (len(weeks), len(candidates.labels)))
    return np.array(
        [
            vector_score(blend(list(zip(rows, map(float, w), strict=True))), week.target)
            for rows, w, week in zip(candidates.vectors, each, weeks, strict=True)
        ]
    )


def mean_with_error(values: "np.ndarray", lags: int = LAGS) -> tuple[float, float]:
    """Return the mean and its Newey-West error (Bartlett weights): √((γ₀ + 2 Σ (1 − l/(L+1)) γ_l) / T)."""
    import numpy as np

    centred = values - values.mean()
    variance = float(centred @ centred)
    for lag in range(1, lags + 1):
        variance += 2 * (1 - lag / (lags + 1)) * float(centred[lag:] @ centred[:-lag])
    return float(values.mean()), math.sqrt(max(variance, 0.0)) / len(np.atleast_1d(values))


def told(blends: "dict[str, np.ndarray]", rivals: Sequence[str]) -> str:
    """Lay mean scores and paired differences to the rivals out in Markdown."""
    head = ["blend", "mean corr", "of one round", "rounds above 0", *(f"less {r}" for r in rivals)]
    lines = [head, ["---"] * len(head)]
    for name, scores in blends.items():
        mean, error = mean_with_error(scores)
        cells = [name, f"{mean:+.4f} ± {error:.4f}", f"{scores.std(ddof=1):.4f}", f"{(scores > 0).mean():.0%}"]
        for rival in rivals:
            difference, error = mean_with_error(scores - blends[rival])
            same = name == rival
            cells.append("" if same else f"{difference:+.4f} ± {error:.4f} (t {difference / error if error else 0:+.1f})")
        lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def best_in_hindsight(weeks: list[Week], candidates: Field, after: "np.ndarray") -> "tuple[np.ndarray, float]":
    """Return the scores of the constant mixture of two candidates that was best in the very rounds looked at; not a method."""
    import numpy as np

    tried = {a: blended(weeks, candidates, np.array([a, 1 - a])) for a in np.linspace(0, 1, 21).tolist()}
    best = max(tried, key=lambda a: float(tried[a][after].mean()))
    return tried[best], best


def tournaments(weeks: list[Week], crowds: dict[str, Crowd], settings: Any) -> None:
    """Print the comparison of blends of two tournaments."""
    import numpy as np

    pair = meta_models(weeks, crowds, ("stake",))
    many = meta_models(weeks, crowds, ("stake", "equal", "stake_min", "provider_cap"))
    weights, used = walk_forward(weeks, pair, settings)
    of_many, _ = walk_forward(weeks, many, settings)
    after = used > 0
    hindsight, best = best_in_hindsight(weeks, pair, after)
    first = pair.labels[0].partition(":")[0]
    columns = {label: blended(weeks, pair, row) for label, row in zip(pair.labels, np.eye(2), strict=True)}
    equal = np.array([float(label.endswith(":equal")) for label in many.labels]) / 2
    blends = {
        "stake weights": blended(weeks, pair, pair.prior),
        "equal weights": blended(weeks, pair, np.full(2, 0.5)),
        "walk-forward, two meta-models": blended(weeks, pair, weights),
        "walk-forward, four variants of each": blended(weeks, many, of_many),
        "equal weights of tournaments and of models": blended(weeks, many, equal),
        "signals alone": columns["signals:stake"],
        "classic alone": columns["classic:stake"],
        f"best constant in hindsight, {best:.0%} {first}": hindsight,
    }
    print(f"\n### Two tournaments, {after.sum()} of {len(weeks)} rounds\n")
    print(told({n: s[after] for n, s in blends.items()}, ("stake weights", "equal weights")))
    share = weights[after, 0]
    print(f"\nStakes give {first} {pair.prior[0]:.0%}; the ensemble gave it {share.min():.0%} to {share.max():.0%}.")
    sensitivity(weeks, pair, settings, after)


def sensitivity(weeks: list[Week], pair: Field, settings: Any, after: "np.ndarray") -> None:
    """Print what other penalties would have brought: for judging the default, which was set before, not for choosing one."""
    stakes = blended(weeks, pair, pair.prior)
    print("\n| walk-forward with | mean corr | less stake weights |\n|---|---|---|")
    for name, other in {
        "the defaults": settings,
        "no prior": replace(settings, prior_rounds=0.0),
        "no prior, no risk penalty": replace(settings, prior_rounds=0.0, risk_penalty=0.0),
        "ten times the risk penalty": replace(settings, risk_penalty=10 * settings.risk_penalty),
        "no turnover penalty": replace(settings, turnover_penalty=0.0),
    }.items():
        scores = blended(weeks, pair, walk_forward(weeks, pair, other)[0])[after]
        (mean, error), (gain, its_error) = mean_with_error(scores), mean_with_error(scores - stakes[after])
        print(f"| {name} | {mean:+.4f} ± {error:.4f} | {gain:+.4f} ± {its_error:.4f} |")


def models(weeks: list[Week], crowds: dict[str, Crowd], label: str, settings: Any) -> None:
    """Print the comparison where the candidates are a tournament's single models."""
    import numpy as np

    each = single_models(weeks, crowds[label], label)
    weights, used = walk_forward(weeks, each, settings)
    free, _ = walk_forward(weeks, each, replace(settings, prior_rounds=0.0))
    after = used > 0
    blends = {
        "stake weights": blended(weeks, each, each.prior),
        "equal weights": blended(weeks, each, np.full(len(each.labels), 1 / len(each.labels))),
        "walk-forward": blended(weeks, each, weights),
        "walk-forward without a prior": blended(weeks, each, free),
    }
    print(f"\n### The {len(each.labels)} models of {label} as candidates, {after.sum()} of {len(weeks)} rounds\n")
    print(told({n: s[after] for n, s in blends.items()}, ("stake weights", "equal weights")))


def main(arguments: list[str] | None = None, note: Callable[[str], None] = print) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ensemble")
    parser.add_argument("--prices", type=Path, required=True, metavar="FILE", help="long prices, such as us_daily.parquet")
    parser.add_argument("--meta", type=Path, metavar="FILE", help="sectors and countries")
    parser.add_argument("--universe", type=int, default=1000, metavar="N", help="assets a round (1000)")
    chosen = parser.parse_args(arguments)
    from portfolio.ensemble import EnsembleSettings
    from service.settings import load_settings
    from service.vendors.ingested import panel_of_files

    shipped = load_settings()
    panel = panel_of_files(shipped, chosen.prices, chosen.meta, LAST + timedelta(days=TARGETS_KNOWN_DAYS))
    note(f"{machine('cvxpy')}\n\nFlags of the data: {', '.join(sorted(panel.flags))}.")
    weeks, crowds = play(panel, chosen.universe)
    s = shipped.metamodel
    settings = EnsembleSettings(
        s.ensemble_rounds_min,
        s.ensemble_rounds_max,
        s.ensemble_risk_penalty,
        s.ensemble_turnover_penalty,
        s.ensemble_prior_rounds,
    )
    tournaments(weeks, crowds, settings)
    for label in crowds:
        models(weeks, crowds, label, settings)


if __name__ == "__main__":
    main()
