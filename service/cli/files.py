"""``crowdalpha submit`` and ``crowdalpha check``: a provider's file to the open round, or only what can be said of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from crowdalpha.errors import Finding, InputRejected
from service.cli.options import HOME, HomeOption, JsonOption, TournamentLabel, read_bytes

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="CSV with one row for each asset.")]
TournamentChoice = Annotated[
    TournamentLabel | None, typer.Option("--tournament", "-t", help="Which tournament; that of the model if none is named.")
]
ModelChoice = Annotated[
    str | None, typer.Option("--model", "-m", metavar="NAME", help="Compare with the earlier files of this model.")
]
EXPOSURE_DECIMALS = 3


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


def check(
    file: FileArgument,
    tournament: TournamentChoice = None,
    model: ModelChoice = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Tell of a file what can be known before it is sent.

    The verdict, what neutralization will take away, churn against the model's earlier files and what it leaves of a payout,
    likeness to the last public meta-model. Nothing is stored.
    """
    from service.cli.failures import report_findings
    from service.cli.plain import echo_json
    from service.cli.render import waiting
    from service.context import open_platform
    from service.workflows.check import check as check_file

    data = read_bytes(file)
    with open_platform(home) as platform, waiting("Checking the file"):
        outcome = check_file(platform, data, None if tournament is None else tournament.tournament, model)
    if as_json:
        echo_json(outcome.as_dict())
        _leave_if_refused(outcome.verdict.accepted)
        return
    if outcome.figures is None:
        raise _refusal(file, outcome.verdict.findings)
    when = "accepted" if outcome.on_time else "kept as late, without stake and weight,"
    coverage = f"it covers {outcome.verdict.coverage:.1%} of the round's universe"
    typer.echo(f"The file would be {when} in round {outcome.round}; {coverage}.")
    if outcome.verdict.findings:
        report_findings(outcome.verdict.findings)
    _print_figures(outcome.figures)


def _print_figures(figures: Mapping[str, Any]) -> None:
    """Print the figures of a check: a line each, a sentence where there is none, then the exposures, the largest first."""
    from service.cli.render import print_figures, print_rows

    values, neutral, crowd = figures["values"], figures["neutralization"], figures["meta_model"]
    loss = ", taken away by neutralization" if neutral["against"] == "factors" else ""
    lines = {
        "values": "{given:,}, {distinct:,} different ones, as spread as {effective:,.0f} equally frequent".format(**values),
        "largest tie": f"{values['largest_tie']:.1%} of the assets share one value",
        f"explained by {neutral['against']}": f"{neutral['explained']:.1%} of the variance{loss}",
        "largest exposure": None if neutral["largest"] is None else f"{neutral['largest']} {neutral['largest_exposure']:+.3f}",
        **_history_lines(figures),
    }
    of = "meta-model" if crowd["round"] is None else f"meta-model of {crowd['round']}"
    known = crowd["correlation"] is not None
    lines[f"correlation with the {of}"] = f"{crowd['correlation']:+.3f}" if known else figures["notes"]["meta_model"]
    print_figures("what the file comes to", lines)
    by_size = sorted(neutral["exposures"].items(), key=lambda pair: -abs(pair[1]))
    kind = neutral["against"].removesuffix("s")
    print_rows("exposures", [{kind: name, "correlation": round(value, EXPOSURE_DECIMALS)} for name, value in by_size])


def _history_lines(figures: Mapping[str, Any]) -> dict[str, Any]:
    history, retention, notes = figures["history"], figures["retention"], figures["notes"]
    lines: dict[str, Any] = {}
    if history is not None and history["rounds"]:
        over = f"since {history['rounds'][-1]}"
        lines[f"neutral churn against {history['rounds'][0]}"] = history["neutral_churn"]
        lines[f"mean neutral churn {over}"] = history["mean_neutral_churn"]
        lines[f"largest churn {over}"] = history["max_churn"]
        lines[f"largest turnover {over}"] = history["max_turnover"]
    if "history" in notes:
        lines["earlier files"] = notes["history"]
    if retention["retained"] is None:
        lines["kept of a positive payout"] = notes["retention"]
    else:
        rule = "" if retention["rule"] == "none" else f" under the rule {retention['rule']}"
        lines["kept of a positive payout"] = f"{retention['retained']:.1%}{rule}"
    lines["may be at risk"] = _eligibility_line(figures)
    return lines


def _eligibility_line(figures: Mapping[str, Any]) -> str:
    told, notes = figures["eligibility"], figures["notes"]
    if told["gate"] is not None:
        return f"no: {told['reason']}"
    if "eligibility" in notes:
        return str(notes["eligibility"])
    bounds = [f"{name} {told[name]:.4g} < {told[f'{name}_max']:.4g}" for name in ("churn", "turnover") if told[f"{name}_max"]]
    return ", ".join([f"yes, with a stake of {told['stake_min_tokens']} tokens or more", *bounds])


def _refusal(file: Path, findings: tuple[Finding, ...]) -> InputRejected:
    refusing = [finding for finding in findings if finding.refuses]
    count = "one reason" if len(refusing) == 1 else f"{len(refusing)} reasons"
    return InputRejected(refusing[0].code, f"'{file.name}' is refused for {count}.", findings)


def _leave_if_refused(accepted: bool) -> None:
    if not accepted:
        raise typer.Exit(InputRejected.exit_code)
