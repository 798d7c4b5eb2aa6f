"""``crowdalpha data``: prices into the home."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.cli import publish
from service.cli.options import HOME, HomeOption, JsonOption, parse_date


class SourceName(StrEnum):
    """Where prices may be fetched from."""

    PARQUET = "parquet"
    CSV = "csv"
    SYNTHETIC = "synthetic"
    YFINANCE = "yfinance"


app = typer.Typer(help="Prices and metadata.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Prices and metadata."""


publish.add_to(app)


@app.command("ingest")
def ingest(
    prices: Annotated[
        Path | None, typer.Option("--prices", metavar="FILE", help="Long Parquet or CSV of daily prices, or a folder of them.")
    ] = None,
    meta: Annotated[Path | None, typer.Option("--meta", metavar="FILE", help="CSV of sectors and the like.")] = None,
    source: Annotated[
        SourceName | None, typer.Option("--source", help="Fetch from there into data/incoming; without it, judge --prices.")
    ] = None,
    tickers: Annotated[Path | None, typer.Option("--tickers", metavar="FILE", help="Tickers to fetch, one a line.")] = None,
    first: Annotated[str | None, typer.Option("--from", metavar="DATE", help="First session to fetch, YYYY-MM-DD.")] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="DATE", help="Last session to fetch; by default the newest.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Which market --source synthetic makes.")] = 0,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Judge a price file and keep it in the home, or fetch prices from a source.

    A refused file changes nothing. A fetch that was interrupted goes on with the same command.
    """
    if source is not None:
        _fetch(source, prices, tickers, first, last, seed, home, as_json=as_json)
        return
    if prices is None:
        raise InputRejected(Code.REQUEST_INVALID, "Give --prices FILE, or --source with what it needs.")

    from service.cli.plain import echo_json
    from service.cli.render import print_figures, waiting
    from service.context import open_platform
    from service.workflows.ingest import ingest as ingest_prices

    with open_platform(home) as platform, waiting("reading prices"):
        panel = ingest_prices(platform, prices, meta)
    figures = {
        "assets": len(panel.assets.asset_ids),
        "sessions": len(panel.sessions),
        "first": str(panel.sessions[0]),
        "last": str(panel.sessions[-1]),
        "flags": sorted(panel.flags),
        "notes": dict(panel.notes),
    }
    if as_json:
        echo_json(figures)
    else:
        print_figures("prices", figures)


def _fetch(
    source: SourceName,
    prices: Path | None,
    tickers: Path | None,
    first: str | None,
    last: str | None,
    seed: int,
    home: Path,
    *,
    as_json: bool,
) -> None:
    if source is SourceName.YFINANCE and (tickers is None or first is None):
        raise InputRejected(Code.REQUEST_INVALID, "--source yfinance needs --tickers FILE and --from DATE.")
    if source in {SourceName.PARQUET, SourceName.CSV} and prices is None:
        raise InputRejected(Code.REQUEST_INVALID, f"--source {source} needs --prices, a file or a folder of them.")
    first_date = None if first is None else parse_date(first, "--from")
    last_date = None if last is None else parse_date(last, "--to")

    from service.cli.plain import echo_json
    from service.cli.progress import ConsoleProgress
    from service.cli.render import print_figures
    from service.context import open_platform
    from service.vendors.incoming import IncomingFolder
    from service.vendors.registry import open_source
    from service.vendors.tickers import read_tickers
    from service.workflows.ingest import fetch_request, ingest_from

    wanted = () if tickers is None else read_tickers(tickers)
    with open_platform(home) as platform, ConsoleProgress() as progress:
        opened = open_source(platform, source.value, prices, seed)
        request = fetch_request(platform, opened, wanted, first_date, last_date)
        incoming = IncomingFolder(platform.home.data / "incoming" / source.value)
        report = ingest_from(platform, opened, request, progress, incoming)
    if as_json:
        echo_json({**report.as_dict(), "details": [finding.as_dict() for finding in report.findings]})
    else:
        print_figures("fetched", report.as_dict())
