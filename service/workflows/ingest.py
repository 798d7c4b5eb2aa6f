"""Ingest prices: judge files, keep them in the home, serve them from now on; or fetch them from a source, part by part.

A fetch is load → decide → commit for each part: read what is kept of its tickers, decide which rows are news, keep those. A
part is recorded as done after it was kept, so that a run that was killed at any moment goes on with the same call.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, Unavailable
from market.assettable import UNKNOWN
from market.batch import EventRows, PriceBatch, PriceRows
from market.calendars import SessionCalendar, session_calendar
from market.overlap import News, compare_prices, unknown_events
from market.panel import PointInTimePanel
from market.quality import Judgement
from service.context import Platform
from service.pricepanel import stored_panel
from service.pricestore import PriceStore, give_memory_back
from service.store import audit
from service.vendors.ingested import (
    CALENDAR_MARGIN_DAYS,
    FileBatch,
    ingest_file,
    keep_flags,
    market_store,
    panel_rules,
    refuse_made_market,
    refuse_without_rates,
)
from service.vendors.rates import read_rates
from service.vendors.rawanswers import FetchRun, open_run
from service.vendors.source import FetchedPart, FetchRequest, FindingKind, PriceSource, VendorFinding
from service.workflows.ids_in_use import ids_in_use, refuse_lost

EARLIEST = date(1990, 1, 2)
"""Where the calendar begins when nobody says since when prices are wanted."""

CALENDAR_BEFORE = timedelta(days=40)
"""So that the calendar holds a session before the first one wanted, whatever the holidays."""

NOTES_MAX = 40
"""Findings that are printed while a fetch runs; all are in its record."""

TICKERS_SHOWN = 5
"""Tickers that are still to be asked, as an error names them."""

FAR = np.datetime64("9999-12-31", "D")


class Progress(Protocol):
    """Who is told how far a fetch has come."""

    def start(self, total: int, text: str) -> None:
        """Begin a stretch of ``total`` steps."""

    def advance(self, text: str = "") -> None:
        """Count one step."""

    def note(self, text: str) -> None:
        """Tell a line that stays."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What an ingest came to: the panel that is served now, how many rows of each verdict there were, findings by fault."""

    panel: PointInTimePanel
    rows: dict[str, int]
    findings: dict[str, int]


class KeptPrices(Protocol):
    """What a fetch asks of the place where rows are kept."""

    store: PriceStore

    def drafted(self) -> AbstractContextManager["KeptPrices"]:
        """Give the same place on a draft, which counts once the block ends without an error."""

    def keep(self, batch: PriceBatch) -> None:
        """Add rows and events; the same batch twice has the effect of one."""

    def spans(self, tickers: Sequence[str]) -> Mapping[str, tuple[date, date]]:
        """Return the first and last kept date of each ticker that has prices."""

    def prices(self, tickers: Sequence[str], since: np.datetime64) -> PriceRows:
        """Return the kept prices from ``since`` on, revisions included."""

    def events(self, tickers: Sequence[str], since: np.datetime64) -> EventRows:
        """Return the kept events from ``since`` on, revisions included."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How much was added; the restated rows are among the rows."""

    rows: int = 0
    events: int = 0
    restated_rows: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        """Return the sum."""
        return Counts(self.rows + other.rows, self.events + other.events, self.restated_rows + other.restated_rows)


@dataclass(slots=True)
class FetchReport:
    """What a fetch came to; a run that was taken up again counts what it did before.

    Attributes
    ----------
    source : str
    parts, resumed_parts : int
        Parts that were kept; those of them that an interrupted run had kept already.
    counts : Counts
    findings : list of VendorFinding
    left : list of str
        Tickers that are still to be asked.
    stopped : str
        Why the source gave up, as a sentence; empty when it did not.
    """

    source: str
    parts: int = 0
    resumed_parts: int = 0
    counts: Counts = Counts()
    findings: list[VendorFinding] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    stopped: str = ""

    def add(self, counts: Counts, findings: Sequence[VendorFinding]) -> None:
        """Count one more part."""
        self.parts += 1
        self.counts += counts
        self.findings += findings

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON values; findings are counted by kind."""
        kinds = Counter(finding.kind.value for finding in self.findings)
        return {
            "source": self.source,
            "parts": self.parts,
            "resumed_parts": self.resumed_parts,
            **asdict(self.counts),
            "left": len(self.left),
            "findings": dict(sorted(kinds.items())),
        }


def ingest(platform: Platform, file: FileBatch) -> Ingested:
    """Judge the rows of a file, keep them, and serve the panel of all that is kept from now on.

    The panel is put together before any of it counts: what no panel can be made of is refused with the file.

    Raises
    ------
    Unavailable, InputRejected, Conflict
        As :func:`service.vendors.ingested.ingest_file` and :func:`service.pricepanel.stored_panel`; ``asset_ids_in_use`` for
        tickers of another dataset that would give other ids to assets of unresolved rounds or of the fund; ``dataset_differs``
        for a home whose market is made from a seed. A refused file changes nothing.
    """
    refuse_made_market(platform.home)
    store = market_store(platform.home)
    refuse_without_rates(store, platform.settings, file.currency)
    with store.drafted() as draft:
        judgements = ingest_file(draft, platform.settings, file, platform.clock.now())
        panel = _panel_of(platform, draft)
    _serve(platform, store, panel)
    counts = _counts(judgements)
    with platform.store.write() as connection:
        now = platform.clock.now(connection)
        details = {"assets": len(panel.assets), "sessions": len(panel.sessions), "flags": sorted(panel.flags), "rows": counts}
        audit.record(connection, now, "operator", "ingest", file.dataset, details)
    return Ingested(panel, counts, {k.value: n for j in judgements for k, n in j.counts().items()})


def ingest_rates(platform: Platform, path: Path) -> None:
    """Keep a file of exchange rates in the home; a refused file changes nothing.

    Raises
    ------
    Unavailable, InputRejected
        As :func:`service.vendors.rates.read_rates`; ``fx_missing`` for rates that do not reach the prices that are kept.
    """
    refuse_made_market(platform.home)
    data, store = read_rates(path), market_store(platform.home)
    panel = None
    with store.drafted() as draft:
        draft.keep_rates(data)
        if _foreign(draft, platform.settings.market.currency):
            panel = stored_panel(draft, panel_rules(platform.settings))
    if panel is not None:
        _serve(platform, store, panel)
    with platform.store.write() as connection:
        audit.record(connection, platform.clock.now(connection), "operator", "ingest_rates", path.name, {})


def _foreign(store: PriceStore, own: str) -> bool:
    """Say whether prices in another currency than ``own`` are kept."""
    return any(entry["about"]["currency"] not in {own, UNKNOWN} for entry in store.manifest()["datasets"].values())


def _panel_of(platform: Platform, draft: PriceStore) -> PointInTimePanel:
    """Return the panel that a draft would give; raises as :func:`ingest` for one that cannot be, or loses what is in use."""
    panel = stored_panel(draft, panel_rules(platform.settings))
    remedy = "another dataset has the same tickers, so give its assets other ids by a ticker map first"
    refuse_lost(platform, panel.assets.asset_ids.tolist(), "beside what is kept", remedy)
    return panel


def _serve(platform: Platform, store: PriceStore, panel: PointInTimePanel) -> None:
    """Serve a panel that was put together from what is kept now."""
    give_memory_back()
    keep_flags(store, panel.flags)
    platform.desk.use(panel)


def _counts(judgements: Sequence[Judgement]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for judgement in judgements:
        total.update(judgement.report(0)["rows"])
    return dict(total)


def fetch_request(
    platform: Platform, source: PriceSource, tickers: Sequence[str], first: date | None, last: date | None = None
) -> FetchRequest:
    """Return the request for ``tickers`` from ``first`` to ``last`` under the platform's settings.

    Raises
    ------
    InputRejected
        ``date_invalid`` when ``first`` is after ``last`` or lies in the future.
    """
    today = platform.clock.now().date()
    if first is not None and first > (last or today):
        raise InputRejected(Code.DATE_INVALID, f"There is no session from {first} to {last or today}.")
    reach = today + timedelta(days=CALENDAR_MARGIN_DAYS)

    def calendar_of(ticker: str) -> SessionCalendar:
        exchange = source.exchange_of(ticker) or platform.settings.market.calendar
        return session_calendar(exchange, (first or EARLIEST) - CALENDAR_BEFORE, reach)

    return FetchRequest(
        tickers=tuple(dict.fromkeys(tickers)),
        first=first,
        last=last,
        asked_at=platform.clock.now(),
        calendar_of=calendar_of,
        delay_minutes=platform.settings.market.vendor_delay_minutes,
        overlap_sessions=platform.settings.vendors.overlap_sessions,
    )


def ingest_from(
    platform: Platform, source: PriceSource, request: FetchRequest, progress: Progress, kept: KeptPrices
) -> FetchReport:
    """Fetch what ``request`` asks of ``source`` and keep what is new.

    Parameters
    ----------
    source : PriceSource
    request : FetchRequest
        As :func:`fetch_request` makes it; what is kept and what is done already is looked up here.
    progress : Progress
        Told each ticker, and the first findings.
    kept : KeptPrices
        Where the rows go, and where the former ones are.

    Returns
    -------
    FetchReport

    Raises
    ------
    Unavailable
        ``vendor_unavailable`` when something is left to ask; everything else is kept, and the same call asks the rest.
    Conflict
        ``home_in_use`` when another process has the home to itself, such as another fetch; ``dataset_differs`` for a home whose
        market is made from a seed; ``asset_ids_in_use`` as in :func:`ingest`, and then nothing of the part is kept. A source
        that is no vendor is kept whole or not at all, and further refused as a file is.
    """
    refuse_made_market(platform.home)
    asking = replace(request, kept=kept.spans(request.tickers), advance=progress.advance)
    tolerance = platform.settings.vendors.restatement_min
    if not source.remote:
        panel = None
        with kept.drafted() as draft:
            report = _fetch(source, asking, progress, _Room(lambda: nullcontext(draft)), None, tolerance)
            if draft.store.manifest()["datasets"]:
                panel = _panel_of(platform, draft.store)
        if panel is not None:
            _serve(platform, kept.store, panel)
        return _recorded(platform, report)
    with platform.home.lock():
        run = open_run(platform.home.data / "raw" / source.name, _asked(platform, source, request), platform.clock.now())
        asking = replace(asking, answers=run.answers, done=frozenset(run.done()))
        room = _Room(kept.drafted, _look(platform, asking.kept))
        report = _recorded(platform, _fetch(source, asking, progress, room, run, tolerance))
        if report.left:
            raise Unavailable(Code.VENDOR_UNAVAILABLE, _still_to_ask(report, request))
        run.finish()
    return report


@dataclass(frozen=True, slots=True)
class _Room:
    """Where a part is kept, opened for each part, and what is looked at before it counts."""

    opened: Callable[[], AbstractContextManager[KeptPrices]]
    look: Callable[[KeptPrices, PriceBatch], None] = lambda _, __: None


def _look(platform: Platform, kept: Mapping[str, Any]) -> Callable[[KeptPrices, PriceBatch], None]:
    """Return the look at a vendor's part: tickers that were not kept before must rename nothing that is in use."""

    def look(draft: KeptPrices, batch: PriceBatch) -> None:
        # The panel takes long to put together; prices of tickers that are known can rename nothing.
        if not set(batch.prices.tickers.tolist()) <= set(kept) and ids_in_use(platform):
            _panel_of(platform, draft.store)

    return look


def _asked(platform: Platform, source: PriceSource, request: FetchRequest) -> dict[str, Any]:
    """Return what makes two requests the same run: the same parts, the same question in each."""
    return {
        "source": source.name,
        "tickers": list(request.tickers),
        "first": str(request.first),
        "last": str(request.last),
        "part_tickers": platform.settings.vendors.part_tickers,
    }


def _still_to_ask(report: FetchReport, request: FetchRequest) -> str:
    shown = ", ".join(report.left[:TICKERS_SHOWN]) + (" …" if len(report.left) > TICKERS_SHOWN else "")
    return (
        f"{report.stopped} {len(report.left)} of {len(request.tickers)} tickers are still to be asked ({shown}); "
        "the rest is kept, and the same command goes on from there."
    ).lstrip()


def _recorded(platform: Platform, report: FetchReport) -> FetchReport:
    with platform.store.write() as connection:
        audit.record(connection, platform.clock.now(connection), "operator", "fetch", report.source, report.as_dict())
    return report


def _fetch(
    source: PriceSource, request: FetchRequest, progress: Progress, room: _Room, run: FetchRun | None, tolerance: float
) -> FetchReport:
    report, dealt_with = FetchReport(source.name), set[str]()
    for record in run.done().values() if run is not None else ():
        dealt_with.update(record["tickers"])
        report.add(Counts(**record["counts"]), [VendorFinding.from_dict(plain) for plain in record["findings"]])
        report.resumed_parts += 1
    progress.start(source.steps(request), f"fetching from {source.name}")
    for part in source.fetch(request):
        with room.opened() as kept:
            counts, findings = _keep_part(part, kept, tolerance)
            if part.batch is not None:
                room.look(kept, part.batch)
        for finding in findings[: max(0, NOTES_MAX - len(report.findings))]:
            progress.note(finding.message)
        report.add(counts, findings)
        report.left += part.left
        report.stopped = part.stopped
        dealt_with.update(part.tickers)
        if run is not None and not part.left:
            plain = [finding.as_dict() for finding in findings]
            run.mark_done(part.number, {"tickers": part.tickers, "counts": asdict(counts), "findings": plain})
    if report.stopped:
        report.left += [ticker for ticker in request.tickers if ticker not in dealt_with]
    return report


def _keep_part(part: FetchedPart, kept: KeptPrices, tolerance: float) -> tuple[Counts, list[VendorFinding]]:
    """Keep what a part tells beyond what is kept; return how much that was, and its findings with the restatements."""
    if part.batch is None:
        return Counts(), list(part.findings)
    batch, tickers = part.batch, part.tickers
    dates = np.concatenate([batch.prices.dates, batch.events.dates])
    since = np.min(dates[~np.isnat(dates)]) if not np.isnat(dates).all() else FAR
    news = compare_prices(batch.prices, kept.prices(tickers, since), tolerance)
    prices = batch.prices.take(news.fresh | news.restated)
    events = batch.events.take(unknown_events(batch.events, kept.events(tickers, since), tolerance))
    if len(prices) or len(events):
        kept.keep(replace(batch, prices=prices, events=events))
    counts = Counts(len(prices), len(events), int(news.restated.sum()))
    return counts, [*part.findings, *_restatements(batch.prices, news)]


def _restatements(prices: PriceRows, news: News) -> list[VendorFinding]:
    """Return one finding for each ticker whose kept prices now read otherwise."""
    findings = []
    for ticker in np.unique(prices.tickers[news.restated]).tolist():
        rows = news.restated & (prices.tickers == ticker)
        dates, change = prices.dates[rows], news.change[rows].max()
        by = f"by up to {change:.2%}" if np.isfinite(change) else "where there was none"
        text = f"{ticker} restates {dates.shape[0]} sessions from {dates.min()} on, {by}; the former rows stay."
        findings.append(VendorFinding(FindingKind.RESTATEMENT, ticker, text))
    return findings
