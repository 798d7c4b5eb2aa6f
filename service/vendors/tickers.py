"""A list of tickers in a file: one a line, or the first column of a CSV. Nothing here knows whether a ticker exists."""

import re
from pathlib import Path

from crowdalpha.codes import Code
from crowdalpha.errors import FINDINGS_SHOWN_MAX, Finding, InputRejected

TICKER = re.compile(r"[A-Za-z0-9^][A-Za-z0-9.^=_-]{0,23}")
"""Letters, digits and the few marks that vendors use: ``BRK-B``, ``VOD.L``, ``^GSPC``, ``EURUSD=X``."""

HEADERS = ("ticker", "symbol")


def read_tickers(path: Path) -> tuple[str, ...]:
    """Return the tickers of a file in its order, each once.

    Empty lines, what follows a ``#``, and a first line that is a column's name are skipped.

    Raises
    ------
    InputRejected
        ``tickers_invalid`` with a finding for each line that is no ticker, and for a file that names none or is no text.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputRejected(Code.TICKERS_INVALID, f"The file of tickers '{path.name}' cannot be read as text.") from error
    found: dict[str, None] = {}
    findings = []
    for number, line in enumerate(lines, start=1):
        text = line.split("#")[0].split(",")[0].strip()
        if not text or (number == 1 and text.lower() in HEADERS):
            continue
        if TICKER.fullmatch(text):
            found[text] = None
        else:
            findings.append(Finding(Code.TICKERS_INVALID, "This is no ticker.", row=number, value=text[:64]))
    if findings:
        message = f"{len(findings)} lines of '{path.name}' are no tickers."
        raise InputRejected(Code.TICKERS_INVALID, message, findings[:FINDINGS_SHOWN_MAX])
    if not found:
        raise InputRejected(Code.TICKERS_INVALID, f"'{path.name}' names no ticker.")
    return tuple(found)
