"""What the gate says of a batch: a verdict for each row, findings, releases, coverage, and the report made of them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from market.arrays import BoolArray, DateArray, FloatArray, StrArray
from market.batch import EventRows, PriceBatch, PriceRows
from market.quality.coverage import SessionCoverage
from market.quality.faults import (
    ACCEPTED,
    QUARANTINED,
    UNUSED,
    Fault,
    Found,
    QualityFinding,
    Severity,
    VerdictArray,
    of_batch,
)
from market.quality.known import KnownMarket, Trail
from market.quality.rules import QualityRules

KNOWN_ALREADY = (Fault.REPETITION, Fault.FLOAT_NOISE)

FINDINGS_LISTED_MAX = 1000
"""More findings than anyone reads; counts are always whole."""


@dataclass(frozen=True, slots=True, eq=False)
class Releases:
    """Doubts that later sessions settled, each (k,): the rows of a ticker from ``first`` to ``last`` came free at ``known_at``.

    The rows may stand in this batch or in an earlier one: whoever keeps what was set aside finds them by ticker and dates among
    those of the fault ``faults``. ``ratios`` is NaN where the move was real, else the split that the break is told as.
    """

    tickers: StrArray
    first: DateArray
    last: DateArray
    known_at: DateArray
    faults: tuple[Fault, ...]
    ratios: FloatArray

    def __len__(self) -> int:
        """Return the number of releases."""
        return int(self.tickers.shape[0])


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """The verdict on a batch.

    Attributes
    ----------
    verdicts : (r,) int8
        :data:`ACCEPTED`, :data:`UNUSED` or :data:`QUARANTINED`; of a refused batch nothing is accepted.
    event_verdicts : (e,) int8
        The same of events.
    findings : tuple of Found
        Every row that is set aside has one at least.
    released_at : (r,) datetime64[us]
        When a row of this batch that was set aside came free; NaT for all others. It is a revision: before, there was no price.
    releases : Releases
    breaks : EventRows
        Splits that the gate infers from settled breaks, on the batch's price basis: nobody told of them, so the data under
        them are flagged. Without them a break would count as a return.
    coverage : SessionCoverage
    trail : Trail
        What the next batch is judged after. Of a refused batch, the trail before it.
    refused : str
        Why the whole batch is refused, in one sentence; empty where it is not.
    """

    verdicts: VerdictArray
    event_verdicts: VerdictArray
    findings: tuple[Found, ...]
    released_at: DateArray
    releases: Releases
    breaks: EventRows
    coverage: SessionCoverage
    trail: Trail
    refused: str

    @property
    def accepted(self) -> BoolArray:
        """(r,) rows that are used."""
        return np.asarray(self.verdicts == ACCEPTED)

    @property
    def unused(self) -> BoolArray:
        """(r,) rows that say nothing that could be used."""
        return np.asarray(self.verdicts == UNUSED)

    @property
    def quarantined(self) -> BoolArray:
        """(r,) rows that are set aside."""
        return np.asarray(self.verdicts == QUARANTINED)

    @property
    def covered(self) -> BoolArray:
        """(r,) rows of whose date and ticker there is a price: accepted, or known already."""
        out = self.accepted.copy()
        for found in self.of(*KNOWN_ALREADY):
            if found.of == "prices":
                out[found.at] = True
        return out

    @property
    def accepted_events(self) -> BoolArray:
        """(e,) events that are used."""
        return np.asarray(self.event_verdicts == ACCEPTED)

    def of(self, *faults: Fault) -> Iterator[Found]:
        """Return the findings of some faults."""
        return (found for found in self.findings if found.fault in faults)

    def counts(self, severity: Severity | None = None) -> dict[Fault, int]:
        """Return how often each fault was found, in the order of :class:`Fault`; those never found are left out."""
        chosen = [f for f in self.findings if severity in {None, f.severity}]
        total = {fault: sum(len(f) for f in chosen if f.fault is fault) for fault in Fault}
        return {fault: count for fault, count in total.items() if count}

    def alarms(self) -> int:
        """Return the number of findings that refuse the batch or set a row or an event aside."""
        return sum(len(f) for f in self.findings if f.severity in {Severity.REFUSE, Severity.QUARANTINE})

    def listed(self, most: int = FINDINGS_LISTED_MAX, *severities: Severity) -> list[QualityFinding]:
        """Return findings one by one, the weightiest first; of some severities where they are named."""
        out: list[QualityFinding] = []
        for severity in severities or tuple(Severity):
            for found in self.findings:
                if found.severity is severity and len(out) < most:
                    out += found.listed(most - len(out))
        return out

    def revised_known_at(self, prices: PriceRows) -> DateArray:
        """Return from when on each row (r,) of the batch may be used: its own instant, its release's, or NaT for never."""
        used = np.where(self.accepted, prices.known_at, self.released_at)
        return np.asarray(used, dtype="datetime64[us]")

    def report(self, most: int = FINDINGS_LISTED_MAX) -> dict[str, Any]:
        """Return the judgement as plain JSON values; at most ``most`` findings are listed, counts are whole."""
        share = self.coverage.share
        worst = np.argsort(share, kind="stable")[:10].tolist()
        return {
            "refused": self.refused,
            "rows": {
                "all": int(self.verdicts.shape[0]),
                "accepted": int(self.accepted.sum()),
                "unused": int(self.unused.sum()),
                "quarantined": int(self.quarantined.sum()),
                "released": int((~np.isnat(self.released_at)).sum()),
            },
            "events": {"all": int(self.event_verdicts.shape[0]), "accepted": int(self.accepted_events.sum())},
            "counts": {
                severity.value: {fault.value: count for fault, count in self.counts(severity).items()} for severity in Severity
            },
            "inferred_splits": [
                {"ticker": t, "date": str(d), "ratio": float(r), "known_at": str(k)}
                for t, d, r, k in zip(
                    self.breaks.tickers.tolist(), self.breaks.dates, self.breaks.values, self.breaks.known_at, strict=True
                )
            ],
            "thinnest_sessions": [
                {"exchange": str(self.coverage.exchanges[at]), "date": str(self.coverage.dates[at]), "share": float(share[at])}
                for at in worst
            ],
            "findings": [finding.as_dict() for finding in self.listed(most)],
        }

    def refused_if_bad(self, known: KnownMarket, rules: QualityRules) -> "Judgement":
        """Return the judgement, or that of a refused batch where the rules say so: nothing of it is used or remembered."""
        bad, rows = int(self.quarantined.sum()), self.verdicts.shape[0]
        found = self.findings
        if bad >= rules.bad_rows_min and bad > rules.bad_share_max * rows:
            found = (*found, of_batch(Fault.TOO_MANY_BAD, column="share", value=bad / rows))
        reasons = [finding.message for f in found if f.severity is Severity.REFUSE for finding in f.listed(1)]
        if not reasons:
            return self
        return replace(
            self,
            verdicts=np.where(self.accepted, QUARANTINED, self.verdicts).astype(np.int8),
            event_verdicts=np.where(self.accepted_events, QUARANTINED, self.event_verdicts).astype(np.int8),
            findings=found,
            released_at=np.full(rows, np.datetime64("NaT"), dtype="datetime64[us]"),
            releases=no_releases(),
            breaks=EventRows.empty(),
            trail=known.trail,
            refused=reasons[0],
        )


def no_releases() -> Releases:
    """Return releases of nothing."""
    day, instant = np.empty(0, dtype="datetime64[D]"), np.empty(0, dtype="datetime64[us]")
    return Releases(np.empty(0, dtype=np.str_), day, day, instant, (), np.empty(0))


def empty_judgement(batch: PriceBatch, known: KnownMarket, found: tuple[Found, ...]) -> Judgement:
    """Return the judgement of an answer without rows and events."""
    none = np.empty(0, dtype=np.int64)
    words, days = np.empty(0, dtype=np.str_), np.empty(0, dtype="datetime64[D]")
    return Judgement(
        verdicts=np.empty(0, dtype=np.int8),
        event_verdicts=np.empty(0, dtype=np.int8),
        findings=found,
        released_at=np.empty(0, dtype="datetime64[us]"),
        releases=no_releases(),
        breaks=EventRows.empty(),
        coverage=SessionCoverage(words, days, none, none, none, none),
        trail=known.trail,
        refused=found[-1].listed(1)[0].message if batch.source else "",
    )


def coverage_of(judgement: Judgement, prices: PriceRows, universe: StrArray) -> tuple[DateArray, FloatArray]:
    """Return the sessions of a batch and the part of a universe of which each has a price.

    Parameters
    ----------
    judgement, prices
        Of one batch.
    universe : (k,) str
        Tickers.

    Returns
    -------
    dates : (s,) datetime64[D]
        Ascending.
    share : (s,) float64
        Below 0.8 a round that is scored on that session is held: what is not accepted has no return there.
    """
    members = np.unique(universe)
    dates = np.unique(judgement.coverage.dates)
    if members.shape[0] == 0 or dates.shape[0] == 0:
        return dates, np.ones(dates.shape[0])
    rows = np.flatnonzero(judgement.covered)
    rows = rows[np.isin(prices.tickers[rows], members)]
    pairs = np.unique(
        np.stack([np.searchsorted(dates, prices.dates[rows]), np.searchsorted(members, prices.tickers[rows])]), axis=1
    )
    return dates, np.bincount(pairs[0], minlength=dates.shape[0]) / members.shape[0]
