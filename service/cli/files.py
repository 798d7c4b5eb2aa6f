"""``crowdalpha submit`` and ``crowdalpha check``: a provider's file to the open round, or only its verdict."""

from pathlib import Path
from typing import Annotated

import typer

from crowdalpha.errors import Finding, InputRejected
from service.cli.options import HOME, HomeOption, JsonOption, TournamentOption, read_bytes

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="CSV with one row for each asset.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the root."""
    app.command("submit")(submit)
    app.command("check")(check)


def submit(
    file: FileArgument,
    model: Annotated[str, typer.Option("--model", "-m", metavar="NAME", help="Whose file it is.")],
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Send a file to the open round.

    The round is that of the model's tournament. Prints the signed receipt, or every finding.
    """
    from service.cli.failures import report_findings
    from service.cli.plain import echo_json
    from service.context import open_platform
    from service.workflows.submit import submit as submit_file

    data = read_bytes(file)
    with open_platform(home) as platform:
        outcome = submit_file(platform, model, data, file.name)
    if as_json:
        echo_json(
            {
                "accepted": outcome.accepted,
                "late": outcome.late,
                "findings": [finding.as_dict() for finding in outcome.findings],
                "receipt": None if outcome.receipt is None else outcome.receipt.as_dict(),
            }
        )
        _leave_if_refused(outcome.accepted)
        return
    if not outcome.accepted:
        raise _refusal(file, outcome.findings)
    when = "late: it has no stake and no weight" if outcome.late else "on time"
    typer.echo(f"Accepted {when}, round {outcome.submission.round}, submission {outcome.submission.id}.")
    if outcome.findings:
        report_findings(outcome.findings)
    if outcome.receipt is not None:
        echo_json(outcome.receipt.as_dict())


def check(file: FileArgument, tournament: TournamentOption, home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Judge a file without sending it."""
    from service.cli.failures import report_findings
    from service.cli.plain import echo_json
    from service.context import open_platform
    from service.workflows.submit import check as check_file

    data = read_bytes(file)
    with open_platform(home) as platform:
        verdict = check_file(platform, tournament.tournament, data)
    if as_json:
        echo_json(
            {
                "accepted": verdict.accepted,
                "coverage": verdict.coverage,
                "sha256": verdict.sha256,
                "findings": [finding.as_dict() for finding in verdict.findings],
            }
        )
        _leave_if_refused(verdict.accepted)
        return
    if not verdict.accepted:
        raise _refusal(file, verdict.findings)
    typer.echo(f"The file would be accepted; it covers {verdict.coverage:.1%} of the round's universe.")
    if verdict.findings:
        report_findings(verdict.findings)


def _refusal(file: Path, findings: tuple[Finding, ...]) -> InputRejected:
    refusing = [finding for finding in findings if finding.refuses]
    count = "one reason" if len(refusing) == 1 else f"{len(refusing)} reasons"
    return InputRejected(refusing[0].code, f"'{file.name}' is refused for {count}.", findings)


def _leave_if_refused(accepted: bool) -> None:
    if not accepted:
        raise typer.Exit(InputRejected.exit_code)
