"""A report as one self-contained HTML page: its frame, its reservations, its figures and its tables, for whoever has a report.

Not here: what a report says (:mod:`portfolio.tearsheet`), how a chart is drawn (:mod:`portfolio.charts`), colours
(:mod:`portfolio.sheetstyle`). Everything that is given as text is shown as text, whatever it holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from portfolio.charts import Chart, render_chart
from portfolio.sheetstyle import STYLE

FLAG_TEXTS: Mapping[str, str] = {
    "synthetic": "Synthetic market. These prices were generated from a seed; nothing here happened on an exchange.",
    "survivors_only": "Survivors only. Companies that left the market are missing from these prices, so results look better "
    "than they could have been.",
    "static_lookahead": "Undated facts. Sectors, countries and share counts come from one later snapshot and are used as if "
    "they had always been known.",
    "assumed": "Assumed publication times. When a price became known is taken as the close plus a fixed delay.",
    "adjusted_prices": "Adjusted prices. Price levels are not those that were quoted: later splits are in them.",
    "dividends_inferred": "Inferred dividends. They are taken from adjusted closes, on the day on which these changed.",
    "splits_inferred": "Inferred splits. Breaks of a series that lasted count as splits that nobody announced.",
    "delisting_return_assumed": "Assumed delisting returns. Where nothing says what holders got, a fixed return stands for it.",
    "adjusted_price_rule": "Adjusted price rule. The universe was chosen by price levels that hold later events.",
}
GRAVE = frozenset({"synthetic", "survivors_only"})
"""Flags that are shown as warnings rather than remarks."""


@dataclass(frozen=True, slots=True)
class Table:
    """A section of its own: text cells as they are to be read; columns but the first are right-aligned.

    ``heads`` are the places of rows that sum up what stands below them: these are bold, the others set in.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    heads: Sequence[int] = ()


def render_page(title: str, sections: Sequence[str]) -> str:
    """Return a whole HTML document of sections of HTML; empty ones are left out."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body><main>\n"
        + "\n".join(section for section in sections if section)
        + "\n</main></body></html>\n"
    )


def render_banners(flags: Sequence[str]) -> str:
    """Return what must be said of the data under a report, warnings first; nothing without flags."""
    items = []
    for flag in sorted(set(flags), key=lambda f: (f not in GRAVE, f)):
        text = FLAG_TEXTS.get(flag, f"{flag}.")
        head, _, rest = text.partition(". ")
        kind = "grave" if flag in GRAVE else "remark"
        body = f"<b>{escape(head)}.</b> {escape(rest)}" if rest else f"<b>{escape(text)}</b>"
        items.append(f'<li class="{kind}">{body}</li>')
    return f'<ul class="banners">{"".join(items)}</ul>' if items else ""


def render_tiles(tiles: Sequence[tuple[str, str, str]]) -> str:
    """Return the figures that are read first: name, value, and a word beside each."""
    cells = "".join(f"<div><dt>{escape(n)}</dt><dd>{escape(v)}<small>{escape(s)}</small></dd></div>" for n, v, s in tiles)
    return f'<dl class="tiles">{cells}</dl>'


def render_charts(charts: Sequence[Chart]) -> str:
    """Return the section of a report's charts."""
    return f'<section class="charts">{"".join(render_chart(chart) for chart in charts)}</section>'


def render_remarks(messages: Sequence[str]) -> str:
    """Return findings as a list in the manner of the reservations on top; nothing without any."""
    items = "".join(f'<li class="remark">{escape(message)}</li>' for message in messages)
    return f'<ul class="banners">{items}</ul>' if items else ""


def render_table(table: Table, before: str = "") -> str:
    """Return a section with a table, which scrolls by itself where it is too wide; ``before`` is HTML above the table."""
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in table.columns)
    heads = set(table.heads)
    body = "".join(
        ('<tr class="head">' if place in heads else "<tr>")
        + "".join(f'<th scope="row">{escape(c)}</th>' if i == 0 else f"<td>{escape(c)}</td>" for i, c in enumerate(row))
        + "</tr>"
        for place, row in enumerate(table.rows)
    )
    note = f"<p>{escape(table.note)}</p>" if table.note else ""
    kind = ' class="grouped"' if heads else ""
    return (
        f'<section><h2>{escape(table.title)}</h2>{note}{before}<div class="scroll" tabindex="0"><table{kind}>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></section>"
    )
