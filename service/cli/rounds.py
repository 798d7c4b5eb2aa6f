"""``crowdalpha round``: look at rounds, and take each of a round's steps by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.options import HOME, HomeOption, JsonOption, RoundNumberArgument, TournamentLabel, TournamentOption, round_key

app = typer.Typer(help="Rounds: list, show, open, close, score, resolve, void, bundle.", no_args_is_help=True)
SIGNALS = TournamentLabel.SIGNALS


@app.command("list")
def list_rounds(tournament: TournamentOption = SIGNALS, home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """List a tournament's rounds, newest first."""
    from service import queries
    from service.cli.plain import echo_json
    from service.cli.render import print_rows
    from service.context import open_platform

    with open_platform(home) as platform:
        rows = queries.rounds(platform, tournament.tournament)
    if as_json:
        echo_json(rows)
    else:
        print_rows(f"rounds of {tournament.value}", rows)


@app.command("show")
def show(
    number: RoundNumberArgument, tournament: TournamentOption = SIGNALS, home: HomeOption = HOME, as_json: JsonOption = False
) -> None:
    """Show a round: times, terms, scores."""
    from service import queries
    from service.cli.plain import echo_json
    from service.cli.render import print_detail
    from service.context import open_platform

    key = round_key(tournament, number)
    with open_platform(home) as platform:
        detail = queries.round_detail(platform, key)
    if as_json:
        echo_json(detail)
    else:
        print_detail(f"round {key}", detail)


@app.command("open")
def open_(tournament: TournamentOption = SIGNALS, home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Open the next round: freeze universe and terms."""
    from service.workflows.open_round import open_round

    _step(home, "opening", as_json, lambda platform: open_round(platform, tournament.tournament))


@app.command("close")
def close(
    number: RoundNumberArgument, tournament: TournamentOption = SIGNALS, home: HomeOption = HOME, as_json: JsonOption = False
) -> None:
    """Close a round: freeze files and stakes."""
    from service.workflows.close_round import close_round

    _step(home, "closing", as_json, lambda platform: close_round(platform, round_key(tournament, number)))


@app.command("score")
def score(
    number: RoundNumberArgument, tournament: TournamentOption = SIGNALS, home: HomeOption = HOME, as_json: JsonOption = False
) -> None:
    """Score a closed round by what is known so far."""
    from service.workflows.score_round import score_round

    _step(home, "scoring", as_json, lambda platform: {"scored_days": score_round(platform, round_key(tournament, number))})


@app.command("resolve")
def resolve(
    number: RoundNumberArgument, tournament: TournamentOption = SIGNALS, home: HomeOption = HOME, as_json: JsonOption = False
) -> None:
    """Resolve a round: pay and burn, exactly once."""
    from service.workflows.resolve_round import resolve_round

    _step(home, "resolving", as_json, lambda platform: resolve_round(platform, round_key(tournament, number)))


@app.command("void")
def void(
    number: RoundNumberArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is published with the round.")],
    tournament: TournamentOption = SIGNALS,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Void a round that cannot be scored: all stakes come back."""
    from service.workflows.void_round import void_round

    _step(home, "voiding", as_json, lambda platform: void_round(platform, round_key(tournament, number), reason))


@app.command("bundle")
def bundle(
    number: RoundNumberArgument,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where it is written.")],
    tournament: TournamentOption = SIGNALS,
    sealed: Annotated[bool, typer.Option("--sealed", help="The one that is sealed to the auditor.")] = False,
    home: HomeOption = HOME,
) -> None:
    """Write a settled round's bundle to a file, for crowdalpha verify."""
    from service.context import open_platform
    from service.outputs import refuse_output, write_output
    from service.workflows.publish_bundle import bundle_of, publish_bundle

    refuse_output(path)
    key = round_key(tournament, number)
    with open_platform(home) as platform:
        publish_bundle(platform, key)
        data = bundle_of(platform, key, sealed=sealed)
    write_output(path, data)
    typer.echo(f"{path}: {len(data):,} bytes.")


def _step(home: Any, text: str, as_json: bool, work: Callable[[Any], Any]) -> None:
    """Run one workflow on the home and print the record that it returns."""
    from service.cli.plain import echo_json, plain
    from service.cli.render import print_detail, waiting
    from service.context import open_platform

    with open_platform(home) as platform, waiting(text):
        record = plain(work(platform))
    if as_json:
        echo_json(record)
    else:
        print_detail(str(record.get("key", text)), record)
