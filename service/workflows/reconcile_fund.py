"""Compare the fund's book with the broker's account, or with a statement of one, and close the rebalances that it confirms.

1. *load* the book as settled last, and the broker's account at the same close.
2. *decide*: every position and cash that differ are findings (:mod:`portfolio.reconcile`).
3. *commit*: without a difference, filled rebalances are reconciled; with one they stay filled, and the next rebalance is kept
   back by the same comparison before it is sent.

Nothing is corrected: which of the two is right, a person finds out.
"""

import csv
import io
import re
from dataclasses import dataclass
from datetime import date

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import Finding, InputRejected
from portfolio.book import BookState
from portfolio.lifecycle import RebalanceState, RebalanceStep
from portfolio.reconcile import compare_books
from service.book import read_book
from service.broker import Broker, PaperBroker
from service.context import Platform
from service.named import refuse_nobody
from service.pretrade import book_differences
from service.store import audit, fund

STATEMENT_COLUMNS = ("asset_id", "value")
CASH = "cash"
NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """A comparison: through which session, what differs, and the rebalances that it closed."""

    through: date | None
    findings: tuple[Finding, ...]
    rebalances: tuple[str, ...]


def reconcile_fund(
    platform: Platform, who: str, statement: bytes | None = None, broker: Broker | None = None
) -> Reconciliation:
    """Compare the book with the broker's account.

    Parameters
    ----------
    who : str
        Who compares, for the audit trail.
    statement : bytes, optional
        A CSV ``asset_id,value`` of another broker's account at the close that the book is settled through, one line an asset,
        and one for ``cash``; the fund's own broker is asked by default.
    broker : Broker, optional
        The paper broker by default.

    Raises
    ------
    InputRejected
        REQUEST_INVALID for a statement that cannot be read, or nobody's name.
    """
    refuse_nobody(who)
    with platform.store.write() as connection:
        book, through = read_book(connection, platform)
        if statement is None:
            found = book_differences(platform, connection, broker or PaperBroker(platform))
        else:
            found = compare_books(book, read_statement(statement), platform.settings.fund.orders.reconcile_tolerance)
        now = platform.clock.now(connection)
        closed = []
        for record in fund.list_rebalances(connection) if through is not None and not found else ():
            if record.state == RebalanceState.FILLED:
                fund.advance_rebalance(connection, record.id, RebalanceStep.RECONCILE, reconciled_at=now)
                closed.append(record.id)
        details = {"through": "" if through is None else through.isoformat(), "differences": len(found), "closed": closed}
        audit.record(connection, now, who, "reconcile_fund", "fund", details)
    return Reconciliation(through, found, tuple(closed))


def read_statement(data: bytes) -> BookState:
    """Read a statement of positions and cash; raises InputRejected REQUEST_INVALID naming the line that is wrong."""
    try:
        lines = list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputRejected(Code.REQUEST_INVALID, "The statement is not CSV text.") from error
    if not lines or tuple(lines[0]) != STATEMENT_COLUMNS:
        raise InputRejected(Code.REQUEST_INVALID, f"The first line of a statement is '{','.join(STATEMENT_COLUMNS)}'.")
    values: dict[str, float] = {}
    for number, line in enumerate(lines[1:], 2):
        if not line:  # a blank line, as spreadsheets leave at the end
            continue
        try:
            name, text = line
            if not NUMBER.fullmatch(text.strip()):
                raise ValueError(text)
            value = float(text)
        except ValueError as error:
            message = f"Line {number} of the statement is not an asset and a value."
            raise InputRejected(Code.REQUEST_INVALID, message) from error
        if name in values or not np.isfinite(value):
            raise InputRejected(Code.REQUEST_INVALID, f"Line {number} of the statement repeats an asset, or is not finite.")
        values[name] = value
    if CASH not in values:
        raise InputRejected(Code.REQUEST_INVALID, "The statement has no line for 'cash'.")
    cash = values.pop(CASH)
    ids = sorted(values)
    return BookState(np.array(ids, dtype=np.str_), np.array([values[i] for i in ids], dtype=np.float64), cash)
