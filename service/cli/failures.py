"""How a failure is told on standard error: one sentence, the findings where there are any, and a hint only where it helps."""

import traceback
from collections.abc import Sequence

import typer

from crowdalpha.errors import FINDINGS_SHOWN_MAX, CrowdalphaError, Finding, InputRejected

WIDTH = 132
"""Of the table of findings where there is no terminal to measure."""


def report_error(error: CrowdalphaError, *, debug: bool = False) -> None:
    """Tell an error that was raised on purpose: its sentence, its stable code, its findings."""
    if debug:
        typer.echo("".join(traceback.format_exception(error)), err=True)
    typer.echo(f"{error.message} [{error.code.value}]", err=True)
    if isinstance(error, InputRejected) and error.findings:
        report_findings(error.findings)


def report_findings(findings: Sequence[Finding]) -> None:
    """Print findings as a table: row, column, code, what was found, the offending text."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    table.add_column("row", justify="right")
    for name in ("column", "code", "finding", "value"):
        table.add_column(name, overflow="fold")
    for finding in findings[:FINDINGS_SHOWN_MAX]:
        cells = ("" if finding.row is None else str(finding.row), finding.column, finding.code.value, finding.message)
        # Text, not markup: what a file holds is shown and never obeyed; repr keeps control characters off the terminal.
        shown = "" if finding.value is None else repr(finding.value)
        table.add_row(*(Text(cell or "") for cell in (*cells, shown)), style=None if finding.refuses else "dim")
    console = Console(stderr=True)
    console = console if console.is_terminal else Console(stderr=True, width=WIDTH)
    console.print(table)
    if len(findings) > FINDINGS_SHOWN_MAX:
        console.print(f"… and {len(findings) - FINDINGS_SHOWN_MAX} more")


def report_fault(error: Exception, *, debug: bool = False) -> None:
    """Tell a fault of ours: one sentence, and how to see where it came from."""
    if debug:
        typer.echo("".join(traceback.format_exception(error)), err=True)
    first_line = (str(error).splitlines() or [""])[0][:200]
    what = f"{type(error).__name__}: {first_line}" if first_line else type(error).__name__
    hint = "" if debug else " Run `crowdalpha --debug …` to see where."
    typer.echo(f"Something failed inside ({what}); this is a fault of the program.{hint}", err=True)
