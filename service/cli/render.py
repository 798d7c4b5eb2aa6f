"""Tables on the terminal: the end of a season, and plain lists and details of anything else. It computes nothing.

What a season ends with is ``reports/summary.json``; :func:`print_summary` shows that file's values, so that the screen never
says more than the file. A value that a summary does not have is left out, one that is None is a dash.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from crowdalpha.terms import PPB

LEADERBOARD_SHOWN = 60
"""More than any crowd of a replay; a real platform's leaderboard is read on its page."""

POSITIONS_SHOWN = 5
"""On each side of a book."""

ENTRIES_SHOWN = 6
"""A mapping with more entries than this is not shown on one line."""

LARGEST_SHOWN = 4
"""Of many numbers, so many are shown."""

DASH = "–"
INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9.]+(Z|\+00:00)")
NEGLIGIBLE = 1e-9
"""Below it many numbers together are told as zero: the digits of rounding errors say nothing."""

WIDTH_WITH_PROVIDER = 128
WIDTH_WITH_STAKE = 112
"""A leaderboard of four scores needs so many columns with the provider's name, or with stake, retention and rounds; on
less they are left out, so that names and numbers stay whole: the providers' table holds them too."""

WIDTH_MIN = 132
"""Where there is no terminal to measure, lines may be as long."""

PROVIDER_COLUMNS = (
    ("provider", "provider"),
    ("staked", "staked"),
    ("paid", "paid"),
    ("burned", "burned"),
    ("net", "net"),
    ("retention_mean", "retention"),
)


def console() -> Console:
    """Return the console for results: standard output, wide enough for our tables where it is no terminal."""
    out = Console()
    return out if out.is_terminal else Console(width=max(out.width, WIDTH_MIN), soft_wrap=True)


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Turn a spinner on standard error for as long as the block runs; nothing where that is no terminal."""
    out = Console(stderr=True)
    if not out.is_terminal:
        yield
        return
    with out.status(Text(text)):
        yield


def print_summary(data: Mapping[str, Any], paths: Any) -> None:
    """Print what a season came to.

    Parameters
    ----------
    data : mapping
        ``summary.json`` as it was written.
    paths : mapping of str to path, or sequence of paths
        The files that were written, the tear sheet among them.
    """
    out = console()
    _print_rounds(out, data)
    _print_leaderboards(out, data.get("leaderboard", []))
    _print_providers(out, data.get("providers", []))
    for title, key in (("stake flows", "stake_flows"), ("meta-model", "meta_model"), ("fund", "fund")):
        if data.get(key):
            _print_figures(out, title, data[key])
    for name, path in _named(paths):
        out.print(Text.assemble((f"{name}  ", "bold"), str(path)), soft_wrap=True)


def print_rows(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print mappings that share their keys as a table; a mapping inside a row gets a column an entry."""
    out = console()
    if not rows:
        out.print(Text(f"no {title}"))
        return
    flat = [_spread(row) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    table = _table(title)
    for name in names:
        numbers = all(_is_number(row.get(name)) or name.endswith("_tokens") for row in flat)
        table.add_column(_heading(name), justify="right" if numbers else "left", overflow="fold")
    for row in flat:
        table.add_row(*(Text(_shown(name, row.get(name))) for name in names))
    out.print(Padding(table, (0, 0, 1, 0), expand=False))


def print_figures(title: str, figures: Mapping[str, Any]) -> None:
    """Print a mapping as names and values; nested mappings are flattened."""
    _print_figures(console(), title, figures)


def print_detail(title: str, detail: Mapping[str, Any]) -> None:
    """Print a mapping: its plain values as figures, then each list of mappings as a table of its own."""
    tables = {k: v for k, v in detail.items() if isinstance(v, list) and v and all(isinstance(i, Mapping) for i in v)}
    print_figures(title, {k: v for k, v in detail.items() if k not in tables})
    for name, rows in tables.items():
        print_rows(_words(name), rows)


def print_book(title: str, asset_ids: Any, weights: Any, evidence: Mapping[str, Any]) -> None:
    """Print a decided book: its sums, its largest positions on both sides, the solver's verdict, and which limits hold it back.

    Parameters
    ----------
    title : str
    asset_ids, weights : (n,) arrays
        Names and fractions of equity.
    evidence : mapping
        Plain values; those that are lists or mappings of many entries are left to ``--json``.
    """
    book = sorted(zip([str(a) for a in asset_ids], [float(w) for w in weights], strict=True), key=lambda pair: pair[1])
    held = [pair for pair in book if pair[1] != 0.0]
    figures: dict[str, Any] = {
        "positions": len(held),
        "gross": sum(abs(w) for _, w in held),
        "net": sum(w for _, w in held),
        "largest long": {name: weight for name, weight in held[: -POSITIONS_SHOWN - 1 : -1] if weight > 0.0} or None,
        "largest short": {name: weight for name, weight in held[:POSITIONS_SHOWN] if weight < 0.0} or None,
    }
    figures |= {name: value for name, value in evidence.items() if not isinstance(value, list | tuple | Mapping)}
    figures["cannot be traded"] = evidence.get("frozen") or None
    print_figures(title, figures)
    for sentence in evidence.get("limits_told", ()):
        console().print(Text(f"  {sentence}"), soft_wrap=True)


def cell(value: Any) -> str:
    """Return a value as a person reads it: a float with four significant digits, a list joined, None a dash.

    An instant in UTC is cut to the minute.

    Examples
    --------
    >>> cell(0.0123456), cell(None), cell(["a", "b"]), cell(True)
    ('0.01235', '–', 'a, b', 'yes')
    """
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e3 else f"{value:,.0f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {cell(item)}" for key, item in value.items()) or DASH
    if isinstance(value, list | tuple):
        return ", ".join(cell(item) for item in value) or DASH
    if isinstance(value, str) and INSTANT.fullmatch(value):
        return f"{value[:10]} {value[11:16]}"
    return str(value)


def _print_rounds(out: Console, data: Mapping[str, Any]) -> None:
    figures: dict[str, Any] = {"seed": data.get("seed"), "market": data.get("market"), "models": data.get("models")}
    for tournament, states in dict(data.get("rounds", {})).items():
        figures[f"{tournament} rounds"] = states
    figures["submissions"] = data.get("submissions")
    _print_figures(out, "season", {name: value for name, value in figures.items() if value is not None})


def _print_leaderboards(out: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print a table a tournament: they pay on different scores."""
    for tournament in dict.fromkeys(row.get("tournament") for row in rows):
        _print_leaderboard(out, str(tournament), [row for row in rows if row.get("tournament") == tournament])


def _print_leaderboard(out: Console, tournament: str, rows: Sequence[Mapping[str, Any]]) -> None:
    kinds = list(dict.fromkeys(kind for row in rows for kind in row.get("scores", {})))
    columns: list[tuple[str, Callable[[Mapping[str, Any]], Any]]] = [("model", lambda row: row.get("model"))]
    if out.width >= WIDTH_WITH_PROVIDER:
        columns.append(("provider", lambda row: row.get("provider")))
    names = len(columns)
    columns += [(kind.replace("_", "\n"), partial(_score_of, kind)) for kind in kinds]
    columns += [
        ("paid", lambda row: _tokens(row.get("paid_tokens"))),
        ("burned", lambda row: _tokens(row.get("burned_tokens"))),
    ]
    if out.width >= WIDTH_WITH_STAKE:
        columns += [("stake", lambda row: _tokens(row.get("stake_tokens")))]
        columns += [("retention", lambda row: _share(row.get("retention_mean"))), ("rounds", lambda row: row.get("rounds"))]
    table = _table(f"leaderboard of {tournament}: mean scores, amounts in tokens")
    table.add_column("", justify="right")
    for place, (title, _) in enumerate(columns):
        table.add_column(title, no_wrap=True, justify="left" if place < names else "right")
    for place, row in enumerate(rows[:LEADERBOARD_SHOWN], start=1):
        table.add_row(str(row.get("rank", place)), *(Text(cell(value(row))) for _, value in columns))
    out.print(Padding(table, (0, 0, 1, 0), expand=False))
    if len(rows) > LEADERBOARD_SHOWN:
        out.print(f"… and {len(rows) - LEADERBOARD_SHOWN} more")


def _print_providers(out: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    table = _table("stake flows by provider, in tokens")
    for key, title in PROVIDER_COLUMNS:
        table.add_column(title, justify="left" if key == "provider" else "right")
    for row in rows:
        cells = [
            row.get("provider"),
            *(_tokens(row.get(k)) for k, _ in PROVIDER_COLUMNS[1:-1]),
            _share(row.get("retention_mean")),
        ]
        table.add_row(*(Text(cell(value)) for value in cells))
    out.print(Padding(table, (0, 0, 1, 0), expand=False))


def _print_figures(out: Console, title: str, figures: Mapping[str, Any]) -> None:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for name, value in _flat(figures):
        grid.add_row(Text(_heading(name)), Text(_shown(name, value)))
    out.print(Text(title, style="bold"))
    out.print(Padding(grid, (0, 0, 1, 2), expand=False))


def _flat(figures: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (name, value) with nested mappings flattened; one of a few plain values, or of many numbers, stays one line."""
    for name, value in figures.items():
        if not isinstance(value, Mapping):
            yield prefix + str(name), value
        elif len(value) > ENTRIES_SHOWN and all(isinstance(item, float) for item in value.values()):
            yield prefix + str(name), _largest(value)
        elif len(value) > ENTRIES_SHOWN or any(isinstance(item, Mapping) for item in value.values()):
            yield from _flat(value, f"{prefix}{name} ")
        else:
            yield prefix + str(name), value


def _largest(numbers: Mapping[str, float]) -> str:
    """Return the numbers that are furthest from zero: of twenty exposures, these are the ones to look at."""
    if max(abs(number) for number in numbers.values()) < NEGLIGIBLE:
        return f"all {len(numbers)} within {NEGLIGIBLE:.0e} of zero"
    order = sorted(numbers, key=lambda name: -abs(numbers[name]))[:LARGEST_SHOWN]
    return f"{cell({name: numbers[name] for name in order})} (largest of {len(numbers)})"


def _spread(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with the entries of its small inner mappings in the place of these."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        flat |= value if isinstance(value, Mapping) and len(value) <= ENTRIES_SHOWN else {name: value}
    return flat


def _shown(name: str, value: Any) -> str:
    """Return a value as its name's unit wants it; a cell where the name has none."""
    if value is None:
        return DASH
    if name.endswith("_atoms"):
        return _tokens_of_atoms(value)
    if name.endswith("_tokens") and isinstance(value, str):
        return _tokens(value)
    if name.endswith("_ppb") and isinstance(value, int):
        return cell(value / PPB)
    return cell(value)


def _heading(name: str) -> str:
    return _words(name.removesuffix("_atoms").removesuffix("_ppb").removesuffix("_tokens"))


def _table(title: str) -> Table:
    return Table(
        title=Text(title, style="bold"),
        title_justify="left",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        collapse_padding=True,
    )


def _named(paths: Any) -> list[tuple[str, Any]]:
    if isinstance(paths, Mapping):
        return [(_words(str(name)), path) for name, path in paths.items()]
    return [(str(path).rpartition("/")[2], path) for path in paths]


def _score_of(kind: str, row: Mapping[str, Any]) -> str:
    value = row.get("scores", {}).get(kind)
    return f"{value:+.4f}" if isinstance(value, float) else cell(value)


def _share(value: Any) -> str:
    return f"{value:.0%}" if isinstance(value, float | int) else cell(value)


def _tokens(value: Any) -> str:
    """Return an amount of tokens with two decimals; the exact one stands in the file."""
    from decimal import Decimal, InvalidOperation

    if value is None:
        return DASH
    try:
        return f"{Decimal(str(value)):,.2f}"
    except InvalidOperation:
        return str(value)


def _tokens_of_atoms(value: Any) -> str:
    from staking.amount import format_amount

    try:
        return f"{_tokens(format_amount(int(value)))} tokens"
    except (TypeError, ValueError):
        return cell(value)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
