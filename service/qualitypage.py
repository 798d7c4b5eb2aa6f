"""The quality of a home's market data as one self-contained HTML page: what is kept, what was set aside, and why.

The frame and the style are the tear sheet's (:mod:`portfolio.page`). It shows a report and computes nothing.
"""

from collections.abc import Mapping
from html import escape
from typing import Any

from portfolio.page import Table, render_banners, render_page, render_table, render_tiles

SEVERITIES: Mapping[str, str] = {
    "refuse": "refused the batch",
    "quarantine": "set the row aside",
    "coverage": "counted as missing",
    "notice": "noted",
}

FOOTER = (
    "<footer><p>A row that was set aside is not used by anything. It comes free when later sessions confirm it, as a later "
    "word with an instant of its own, or when a person clears it. What each fault means, and from which limit on it is one, "
    "stands in the documentation of data quality.</p></footer>"
)


def render_quality(report: Mapping[str, Any]) -> str:
    """Return the page of :func:`service.workflows.check_data.data_report`."""
    panel = report["panel"]
    header = (
        f"<header><h1>Market data</h1><p>{escape(panel['first'])} to {escape(panel['last'])}, {escape(panel['source'])}, "
        f"{escape(panel['price_basis'])} prices, {escape(', '.join(panel['exchanges']))}</p></header>"
    )
    sections = [header, render_banners(panel["flags"]), _tiles(report)]
    for name, dataset in report["datasets"].items():
        sections += [render_table(table) for table in _tables(name, dataset) if table.rows]
    return render_page("Market data", [*sections, FOOTER])


def _tiles(report: Mapping[str, Any]) -> str:
    panel, datasets = report["panel"], report["datasets"].values()
    rows = sum(d["rows"].get("all", 0) for d in datasets)
    aside = sum(d["rows"].get("quarantined", 0) for d in datasets)
    share = f"{aside / rows:.3%} of all" if rows else ""
    return render_tiles(
        [
            ("Assets", f"{panel['assets']:,}", ""),
            ("Sessions", f"{panel['sessions']:,}", ""),
            ("Rows", f"{rows:,}", "as they came"),
            ("Set aside", f"{aside:,}", share),
            ("Revisions", f"{panel['revisions']:,}", "learnt later"),
        ]
    )


def _tables(name: str, dataset: Mapping[str, Any]) -> list[Table]:
    about = dataset["about"]
    kept = [(key.replace("_", " "), str(value)) for key, value in about.items()]
    kept += [("batches", f"{dataset['batches']:,}"), ("flags", ", ".join(dataset["flags"]))]
    kept += [(f"rows {key}", f"{value:,}") for key, value in dataset["rows"].items()]
    kept += [(f"events {key}", f"{value:,}") for key, value in dataset["events"].items()]
    faults = [
        (fault, SEVERITIES[severity], f"{count:,}")
        for severity, counts in dataset["findings"].items()
        for fault, count in sorted(counts.items(), key=lambda item: -item[1])
    ]
    splits = [(s["ticker"], s["date"], f"{s['ratio']:.6g}", s["known_at"]) for s in dataset["inferred_splits"]]
    thin = [(s["date"], s["exchange"], f"{s['share']:.1%}") for s in dataset["thinnest_sessions"]]
    listed = [(f["ticker"], f["date"], f["fault"], f["column"], f["value"], f["message"]) for f in dataset["listed"]]
    return [
        Table(f"Dataset {name}", ("", ""), kept),
        Table("Findings", ("fault", "what it did", "count"), faults),
        Table(
            "Splits that nobody announced",
            ("ticker", "date", "ratio", "known at"),
            splits,
            "A break of a series that lasted is told as a split, so that it counts as no return.",
        ),
        Table("Thinnest sessions", ("date", "exchange", "with a price"), thin),
        Table("Findings one by one", ("ticker", "date", "fault", "column", "value", ""), listed, "The weightiest first."),
    ]
