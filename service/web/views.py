"""What each page shows, as plain rows for its template. Pure: it takes what :mod:`service.queries` returns."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from crowdalpha.ids import RoundKey, RoundState, Tournament
from crowdalpha.terms import ATOMS_PER_TOKEN, PPB
from service.web import write
from service.web.charts import Chart, drawdowns, line_chart

Row = dict[str, Any]

ROUNDS_SHOWN_MAX = 60
REBALANCES_SHOWN_MAX = 26
"""Half a year of weeks; all of them are in the JSON."""

DRAWDOWN_HEIGHT = 200
FACTOR_PREFIX = "factor:"

FLAG_SENTENCES = {
    "synthetic": "The market is synthetic: made from a seed. Nothing here says what a real market would have paid.",
    "survivors_only": "The prices hold no delisted company: whoever went under is missing, which flatters long books.",
    "static_lookahead": "Sectors, countries and share counts are of one late date and are used for all earlier ones.",
    "labels_unmapped": "The ticker map does not know every label of the prices: each of those counts as an asset of its own.",
    "assumed": "When each price was known is assumed (its close plus a delay), not recorded.",
    "adjusted_prices": "Prices are adjusted for later splits after the fact; no rule looks at price levels.",
    "dividends_inferred": "Dividends are inferred from adjusted closes, on the day on which these changed.",
    "splits_inferred": "Breaks of a series that lasted count as splits that nobody announced.",
    "delisting_return_assumed": "Where nothing says what holders of a delisted asset got, a fixed return stands for it.",
    "adjusted_price_rule": "The universe was chosen by price levels that hold later events.",
}

STATE_SENTENCES = {
    RoundState.SCHEDULED: "The round has not opened yet.",
    RoundState.OPEN: "The round takes submissions. Who takes part, and with what stake, is shown once it has closed.",
    RoundState.CLOSED: "The round is closed. Its first scores come when the returns after its base session are known.",
    RoundState.SCORING: "The round is being scored. Its scores are pending: each new session of returns replaces them.",
    RoundState.RESOLVED: "The round is resolved: its scores are final, and every stake at risk was paid or burned once.",
    RoundState.VOID: "The round is void: nobody was paid or burned.",
}

RETURN_WORDS = {"1d": "a day", "1w": "a week", "3m": "a quarter", "1y": "a year", "all": "all time"}

STATISTICS: tuple[tuple[str, str, Callable[[float | None], str]], ...] = (
    ("total_return", "Total return", write.percent),
    ("annual_return", "Return a year", write.percent),
    ("annual_volatility", "Volatility a year", write.part),
    ("sharpe", "Sharpe ratio", write.ratio),
    ("max_drawdown", "Largest drawdown", write.percent),
)


def board(tournament: Tournament, lines: Sequence[Mapping[str, Any]]) -> Row:
    """Return the leaderboard of one tournament: one row a model, one column a score kind that any of them has."""
    kinds = sorted({kind for line in lines for kind in line["scores"]})
    rows = [
        {
            "rank": line["rank"],
            "model": line["model"],
            "provider": line["provider"],
            "rounds": line["rounds"],
            "scores": [line["scores"].get(kind) for kind in kinds],
            "stake": line["stake_tokens"],
            "paid": line["paid_tokens"],
            "burned": line["burned_tokens"],
            "net": line["net_tokens"],
        }
        for line in lines
    ]
    return {"title": f"{tournament.label.capitalize()} tournament", "kinds": kinds, "rows": rows}


def model_page(
    line: Mapping[str, Any], pending: Sequence[Mapping[str, Any]], earned: Mapping[str, Any], virtual: Mapping[str, Any]
) -> Row:
    """Return one model's page: how it stands, what is pending, what its stakes have earned, and what a stake would have."""
    stands = [
        ("Provider", str(line["provider"])),
        ("Tournament", str(line["tournament"]).capitalize()),
        ("Rounds with a file, of the last year's", f"{line['rounds_in_year']:,} of {line['rounds_of_year']:,}"),
        *((f"Reputation: {write.words(kind)}", write.score(value)) for kind, value in line["reputation"].items()),
    ]
    returns = [(f"Return on stake, {RETURN_WORDS[name]}", write.percent(value)) for name, value in line["returns"].items()]
    total = ("Earned by its stakes", f"{write.tokens(earned['payout_tokens'])} tokens")
    book = [] if earned["attributed"] is None else [("Earned by its part of the book", f"{write.money(earned['attributed'])}")]
    groups = [{"title": "Standing", "facts": stands}, {"title": "Earned", "facts": [*returns, total, *book]}]
    if virtual["rounds"]:
        told = f"{write.tokens(virtual['stake_tokens'])} tokens in each would have earned"
        without = [("Resolved rounds without a stake", f"{len(virtual['rounds']):,}")]
        groups.append({"title": "Virtual stake", "facts": [*without, (told, f"{write.tokens(virtual['net_tokens'])} tokens")]})
    return {
        "title": str(line["model"]),
        "groups": groups,
        "pending": list(pending),
        "rounds": list(earned["rounds"])[:ROUNDS_SHOWN_MAX],
    }


def latest(tournament: Tournament, lines: Sequence[Mapping[str, Any]]) -> Row | None:
    """Return the newest round of one tournament, or None before the first."""
    return _round_row(tournament, lines[0]) if lines else None


def round_table(tournament: Tournament, lines: Sequence[Mapping[str, Any]]) -> Row:
    """Return the newest rounds of one tournament, newest first, and how many older ones are left out."""
    shown = lines[:ROUNDS_SHOWN_MAX]
    return {
        "title": f"{tournament.label.capitalize()} rounds",
        "rows": [_round_row(tournament, line) for line in shown],
        "left_out": len(lines) - len(shown),
    }


def _round_row(tournament: Tournament, line: Mapping[str, Any]) -> Row:
    return {
        **line,
        "tournament": tournament.label,
        "name": f"{tournament.label.capitalize()} {line['number']}",
        "href": f"/rounds/{tournament.label}/{line['number']}",
    }


def round_page(key: RoundKey, detail: Mapping[str, Any]) -> Row:
    """Return one round: its state in a sentence, its times and terms, and its models' scores once it has closed."""
    models = list(detail["models"])
    kinds = list(detail["terms"]["scoring"]["kinds"])
    state = RoundState(detail["state"])
    rows = [_model_row(line, kinds) for line in models]
    return {
        "title": f"{key.tournament.label.capitalize()} round {key.number}",
        "state": state.value,
        "sentence": STATE_SENTENCES[state],
        "groups": [
            {"title": "Times", "facts": _times(detail)},
            {"title": "Terms", "facts": _terms(detail["terms"])},
        ],
        "kinds": kinds,
        "scores": rows,
        "scores_note": _scores_note(state, models),
        "pays": any(line.get("payout_tokens") is not None or Decimal(line["at_risk_tokens"]) for line in models),
    }


def _model_row(line: Mapping[str, Any], kinds: Sequence[str]) -> Row:
    retained = line.get("retention_ppb")
    return {
        "model": line["model"],
        "marks": [line["scores"].get(kind) for kind in kinds],
        "at_risk": line["at_risk_tokens"],
        "retained": write.ABSENT if retained is None else f"{100 * retained / PPB:.1f} %",
        "payout": line.get("payout_tokens"),
    }


def _scores_note(state: RoundState, models: Sequence[Mapping[str, Any]]) -> str:
    if state in {RoundState.SCHEDULED, RoundState.OPEN}:
        return "Nothing of a round is shown before it has closed."
    if not models:
        return "Nobody took part."
    day = max((int(line.get("day", 0)) for line in models), default=0)
    if day == 0:
        return "No return is known yet."
    return (
        f"{'final, ' if state is RoundState.RESOLVED else 'pending, '}after {day} session{'' if day == 1 else 's'} of returns"
    )


def _times(detail: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = [
        ("Opens", write.instant(detail["opens_at"])),
        ("Closes", write.instant(detail["closes_at"])),
        ("Base session", str(detail["base_session"])),
        ("Resolves on the close of", str(detail["resolve_session"])),
        ("Resolved", write.instant(detail["resolved_at"])),
        ("Assets in the universe", f"{detail['universe_size']:,}"),
    ]
    if detail["base_sessions"]:
        bases = ", ".join(f"{exchange} {session}" for exchange, session in detail["base_sessions"].items())
        facts.insert(3, ("Base session of each exchange", bases))
    if detail["universe_change"] is not None:
        change = detail["universe_change"]
        facts.append(("Entered and left since the round before", f"{change['entered']:,} and {change['left']:,}"))
        facts.append(("Churn of the universe", f"{change['churn']:.2%}"))
    if "submissions" in detail:
        facts.append(("Models that take part", f"{detail['submissions']:,}"))
    return facts


def _terms(terms: Mapping[str, Any]) -> list[tuple[str, str]]:
    scoring, payout = terms["scoring"], terms["payout"]
    multipliers = ", ".join(f"{_ppb(ppb)} × {write.words(kind)}" for kind, ppb in payout["multipliers_ppb"])
    threshold = payout["stake_threshold_atoms"]
    return [
        ("Preset", str(terms["name"])),
        ("Pays", multipliers),
        ("Target", f"{scoring['horizon_sessions']} sessions, {scoring['lag_sessions']} after the base session"),
        ("Most that is paid or burned", f"{_ppb(payout['clip_ppb'] * 100)} % of what is at risk"),
        ("Stake threshold", "none" if threshold is None else f"{_whole(threshold)} tokens"),
        ("Budget", f"{_whole(payout['budget_atoms'])} tokens"),
        ("Retention", "none" if payout["retention"] == "none" else f"by {write.words(payout['retention'])}"),
        *_conditions(payout),
    ]


def _conditions(payout: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what providers may choose and what keeps a stake out, where the terms have it."""
    found = [
        (f"Multiplier of {write.words(kind)}", f"one of {', '.join(_ppb(m) for m in among)}, as the provider chooses")
        for kind, among in payout.get("choices_ppb", ())
    ]
    for name, words in (("churn", "Churn"), ("turnover", "Turnover")):
        if payout.get(f"{name}_max_ppb"):
            found.append((f"{words} that keeps a stake out", f"{_ppb(payout[f'{name}_max_ppb'] * 100)} % or more"))
    return found


def _ppb(parts: int) -> str:
    return f"{Decimal(int(parts)) / PPB:f}"


def _whole(atoms: int | str) -> str:
    return f"{int(atoms) // ATOMS_PER_TOKEN:,}"


def fund_page(curve: Mapping[str, Any]) -> Row:
    """Return the fund's page: tiles, the curve net and gross of costs, the drawdown, and the data's flags as sentences."""
    sessions, equity, statistics = curve["sessions"], curve["equity"], curve["statistics"]
    charts = [
        _figure(
            "Equity",
            "dollars, at each close",
            line_chart(sessions, {"net of costs": equity, "gross": curve["gross"]}, write.money),
        ),
        _figure(
            "Drawdown",
            "against the highest close so far",
            line_chart(sessions, {"drawdown": drawdowns(equity)}, write.percent, DRAWDOWN_HEIGHT),
            ("line-3",),
        ),
    ]
    return {
        "flags": [FLAG_SENTENCES.get(flag, write.words(flag)) for flag in curve["flags"]],
        "halted_since": curve["halted_since"],
        "rebalances": [_rebalance_row(r) for r in reversed(curve["rebalances"][-REBALANCES_SHOWN_MAX:])],
        "rebalances_left_out": max(len(curve["rebalances"]) - REBALANCES_SHOWN_MAX, 0),
        "tiles": _tiles(sessions, equity, statistics),
        "charts": [figure for figure in charts if figure is not None],
        "groups": [g for g in (_group("The fund so far", _fund_facts(curve)), _group("Exposures now", _exposures(curve))) if g],
    }


def _rebalance_row(line: Mapping[str, Any]) -> Row:
    checks = ", ".join(f"{write.words(code)} ({count})" for code, count in line["checks"].items())
    kept = ("as_of", "fill_session", "status", "state", "approved_by", "approved_at")
    return {name: line[name] for name in kept} | {"checks": checks or "nothing found"}


def _figure(title: str, unit: str, chart: Chart | None, classes: tuple[str, ...] = ("line-1", "line-2")) -> Row | None:
    if chart is None:
        return None
    named = {line.name: css for line, css in zip(chart.lines, classes, strict=False)}
    return {"title": title, "unit": unit, "chart": chart, "classes": named}


def _tiles(sessions: Sequence[str], equity: Sequence[float], statistics: Mapping[str, float]) -> list[Row]:
    if not sessions:
        return []
    tiles = [{"name": "Equity", "value": write.money(equity[-1]), "note": f"at the close of {sessions[-1]}", "tone": ""}]
    for name, title, shown in STATISTICS:
        value = statistics.get(name)
        if value is None:
            continue
        error = statistics.get("sharpe_error") if name == "sharpe" else None
        note = f"± {error:.2f} standard error" if error is not None else ""
        tone = write.tone(value) if name in {"total_return", "annual_return"} else ""
        tiles.append({"name": title, "value": shown(value), "note": note, "tone": tone})
    return tiles


def _fund_facts(curve: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not curve["sessions"]:
        return []
    costs: dict[str, float] = {}
    for day in curve["costs"]:
        for kind, dollars in day.items():
            costs[kind] = costs.get(kind, 0.0) + dollars
    statuses = [r["status"] for r in curve["rebalances"]]
    facts = [
        ("Sessions", f"{len(curve['sessions']):,}, from {curve['sessions'][0]}"),
        ("Rebalances", f"{len(statuses):,}"),
        *((f"Rebalances that ended {write.words(s)}", f"{statuses.count(s):,}") for s in sorted(set(statuses))),
    ]
    facts.extend(
        (f"Booked costs: {write.words(kind)}", f"{write.money(total)} dollars") for kind, total in sorted(costs.items())
    )
    return facts


def _exposures(curve: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the exposures at the last close: the book's own first, then those to each factor."""
    if not curve["exposures"]:
        return []
    last = curve["exposures"][-1]
    own = [(name.capitalize(), write.number(last[name])) for name in ("gross", "net") if name in last]
    factors = [(name.removeprefix(FACTOR_PREFIX), value) for name, value in last.items() if name.startswith(FACTOR_PREFIX)]
    # The widest first: what lies near zero is what a neutral book is meant to be.
    factors.sort(key=lambda item: -abs(item[1]))
    return own + [(write.words(name.replace(":", " ")).capitalize(), write.number(value)) for name, value in factors]


def _group(title: str, facts: list[tuple[str, str]]) -> Row | None:
    return {"title": title, "facts": facts} if facts else None
