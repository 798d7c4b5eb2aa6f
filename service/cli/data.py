"""``crowdalpha data``: prices into the home."""

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.cli import publish
from service.cli.options import HOME, SEED_MAX, HomeOption, JsonOption, parse_date


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
    rates: Annotated[
        Path | None, typer.Option("--fx", metavar="FILE", help="CSV of exchange rates: date, ccy, per_eur.")
    ] = None,
    ticker_map: Annotated[
        Path | None, typer.Option("--ticker-map", metavar="FILE", help="CSV: which asset had which ticker or sector, and when.")
    ] = None,
    dataset: Annotated[str, typer.Option("--dataset", metavar="NAME", help="What --prices is kept under.")] = "prices",
    exchange: Annotated[
        str | None, typer.Option("--exchange", metavar="MIC", help="Exchange of --prices; by default the settings' calendar.")
    ] = None,
    country: Annotated[
        str, typer.Option("--country", metavar="CC", help="Country of --prices, where metadata are silent.")
    ] = "",
    currency: Annotated[
        str, typer.Option("--currency", metavar="CCY", help="Currency of --prices, GBp for pence; by default the fund's.")
    ] = "",
    source: Annotated[SourceName | None, typer.Option("--source", help="Fetch from there; without it, read --prices.")] = None,
    tickers: Annotated[Path | None, typer.Option("--tickers", metavar="FILE", help="Tickers to fetch, one a line.")] = None,
    first: Annotated[str | None, typer.Option("--from", metavar="DATE", help="First session to fetch, YYYY-MM-DD.")] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="DATE", help="Last session to fetch; by default the newest.")
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=SEED_MAX, metavar="N", help="Which market --source synthetic makes.")
    ] = 0,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Judge prices and keep them in the home, from a file or fetched from a source.

    Rows are added, never replaced: what differs from a kept row is a revision. A file or batch that is refused changes
    nothing. A fetch that was interrupted goes on with the same command.
    """
    if source is not None:
        _fetch(source, prices, tickers, first, last, seed, home, as_json=as_json)
        return
    if prices is None and rates is None and ticker_map is None:
        message = "Give --prices FILE, --fx FILE, --ticker-map FILE, or --source with what it needs."
        raise InputRejected(Code.REQUEST_INVALID, message)

    from service.cli.plain import echo_json
    from service.cli.render import print_figures, waiting
    from service.context import open_platform
    from service.vendors.ingested import FileBatch
    from service.workflows.ingest import ingest as ingest_prices
    from service.workflows.ingest import ingest_rates
    from service.workflows.ingest_map import ingest_ticker_map

    last_date = None if last is None else parse_date(last, "--to")
    figures: dict[str, Any] = {}
    with open_platform(home) as platform, waiting("reading and judging"):
        if rates is not None:
            ingest_rates(platform, rates)
            figures["rates"] = rates.name
        if ticker_map is not None:
            figures["ticker_map"] = asdict(ingest_ticker_map(platform, ticker_map))
        if prices is not None:
            file = FileBatch(prices, meta, dataset, exchange, country, currency, last_date)
            done = ingest_prices(platform, file)
            panel = done.panel
            figures |= {
                "assets": len(panel.assets),
                "sessions": len(panel.sessions),
                "first": str(panel.sessions[0]),
                "last": str(panel.sessions[-1]),
                "flags": sorted(panel.flags),
                "rows": done.rows,
                "findings": done.findings,
            }
    if as_json:
        echo_json(figures)
    else:
        print_figures("prices", figures)


@app.command("check")
def check(
    page: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Where the page goes; by default reports/data-quality.html.")
    ] = None,
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Say what is wrong with the home's market data.

    Shows what is kept, what was set aside and why, and writes a page of it.
    """
    from service.cli.plain import echo_json
    from service.cli.render import print_figures, waiting
    from service.context import open_platform
    from service.outputs import refuse_output, write_output
    from service.qualitypage import render_quality
    from service.workflows.check_data import data_report

    refuse_output(page)
    with open_platform(home) as platform, waiting("reading"):
        report = data_report(platform)
        target = page or platform.home.reports / "data-quality.html"
        write_output(target, render_quality(report).encode())
    if as_json:
        echo_json(report)
        return
    print_figures("market data", report["panel"])
    for name, found in report["datasets"].items():
        print_figures(f"dataset {name}", {"rows": found["rows"], "events": found["events"], **found["findings"]})
    typer.echo(f"page  {target}")


@app.command("clear")
def clear(
    ticker: Annotated[str, typer.Argument(metavar="TICKER", help="Whose rows are right.")],
    day: Annotated[str, typer.Option("--from", metavar="DATE", help="First of them, YYYY-MM-DD.")],
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Reason, for the record.")],
    home: HomeOption = HOME,
) -> None:
    """Free rows that the quality gate holds back and that you found right.

    They count as known from now on, not before.
    """
    from service.context import open_platform
    from service.workflows.check_data import clear_row

    with open_platform(home) as platform:
        freed = clear_row(platform, ticker, parse_date(day, "--from"), why)
    typer.echo(f"{freed} rows of {ticker} are used from now on.")


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

    from market.calendars import to_datetime64
    from service.cli.plain import echo_json
    from service.cli.progress import ConsoleProgress
    from service.cli.render import print_figures
    from service.context import open_platform
    from service.vendors.fetched import FetchedMarkets
    from service.vendors.ingested import market_store
    from service.vendors.registry import open_source
    from service.vendors.tickers import read_tickers
    from service.workflows.ingest import fetch_request, ingest_from

    wanted = () if tickers is None else read_tickers(tickers)
    with open_platform(home) as platform, ConsoleProgress() as progress:
        opened = open_source(platform, source.value, prices, seed)
        request = fetch_request(platform, opened, wanted, first_date, last_date)
        kept = FetchedMarkets(market_store(platform.home), opened, platform.settings, to_datetime64(platform.clock.now()))
        report = ingest_from(platform, opened, request, progress, kept)
    if as_json:
        echo_json({**report.as_dict(), "details": [finding.as_dict() for finding in report.findings]})
    else:
        print_figures("fetched", report.as_dict())
