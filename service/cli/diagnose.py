"""``crowdalpha diagnose``: how a history of signals would have fared, beside the example model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.options import HOME, HomeOption, JsonOption

if TYPE_CHECKING:
    from service.diagnosis import Diagnosis

ERAS_SHOWN = 8
"""The newest; more than a screen of eras is read on the page."""

FACTORS_SHOWN = 8


def add_to(app: typer.Typer) -> None:
    """Add the command to the root."""
    app.command("diagnose")(diagnose)


def diagnose(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or Parquet with date, ticker and signal.")],
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Where the page goes; reports/ of the home without it.")
    ] = None,
    all_eras: Annotated[bool, typer.Option("--eras", help="Print every era, not the newest only.")] = False,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Tell how a history of signals would have fared.

    Each date is scored as a round of the signals tournament would have been, on the home's prices and beside the example model.
    Prints a summary and writes a page; sends nothing and stores nothing else.
    """
    from service.cli.plain import echo_json
    from service.cli.progress import ConsoleProgress
    from service.context import open_platform
    from service.diagnosispage import render_diagnosis
    from service.outputs import refuse_output, write_output
    from service.workflows.diagnose import diagnose as diagnose_file

    with open_platform(home) as platform, ConsoleProgress() as progress:
        page = html or platform.home.reports / f"diagnosis-{file.stem}.html"
        refuse_output(page, file)
        found = diagnose_file(platform, file, progress)
    write_output(page, render_diagnosis(found).encode())
    if as_json:
        echo_json(found)
    else:
        _print(found, all_eras=all_eras)
        typer.echo(f"page  {page}")


def _print(found: "Diagnosis", *, all_eras: bool) -> None:
    from service.cli.failures import report_findings
    from service.cli.render import print_figures, print_rows
    from service.diagnosis import AGAINST_EXAMPLE
    from service.diagnosispage import eras_told, lines_of

    print_figures(
        f"diagnosis of {found.file}",
        {
            "dates": f"{found.eras[0].session} to {found.eras[-1].session}, {eras_told(found)}",
            "coverage": found.coverage_mean,
            "target": f"{found.horizon_sessions}D{found.lag_sessions}L",
            "step": f"{found.step_sessions} sessions, {found.lags} lags",
            "example model": found.example,
            "prices": f"{found.source} ({', '.join(found.flags) or 'no reservations'})",
        },
    )
    shown = (
        "mean",
        "std",
        "sharpe",
        "adjusted_sharpe",
        "adjusted_sharpe_error",
        "t_statistic",
        "max_drawdown",
        "hit_rate",
        "eras",
    )
    print_rows(
        "scores",
        [
            {"kind": kind, "of": name, **{column: getattr(summary, column) for column in shown}}
            for kind, line in found.scores.items()
            for name, summary in (("history", line.signal), ("example", line.example), ("difference", line.difference))
            if name == "history" or kind != AGAINST_EXAMPLE
        ],
    )
    changes = (("history", found.signal_change), ("example", found.example_change))
    names = ("churn", "neutral_churn", "retention", "turnover")
    print_rows("change from era to era, means", [{"of": n} | {k: getattr(c, k) for k in names} for n, c in changes])
    print_rows(
        "exposures, the largest",
        [
            {
                "factor": line.name,
                "mean": line.signal.mean,
                "mean_size": line.signal.mean_size,
                "largest": line.signal.largest,
                "on": str(line.largest_on),
                "example_mean": line.example.mean,
                "example_mean_size": line.example.mean_size,
            }
            for line in found.factors[:FACTORS_SHOWN]
        ],
    )
    eras = found.eras if all_eras else found.eras[-ERAS_SHOWN:]
    print_rows("eras" if all_eras else f"the newest {len(eras)} eras", lines_of(eras, list(found.scores)))
    if found.findings:
        report_findings(found.findings)
