"""How the pages write values: scores, parts, tokens, instants. Pure; what is absent is written as a dash everywhere."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

ABSENT = "–"
MINUS = "−"
TOKEN_DECIMALS_SHOWN = 2


def score(value: float | None) -> str:
    """Write a score with its sign and four decimals.

    Examples
    --------
    >>> score(0.01234)
    '+0.0123'
    """
    return ABSENT if value is None else _signed(f"{value:+.4f}")


def percent(value: float | None) -> str:
    """Write a part of one as a percentage with its sign.

    Examples
    --------
    >>> percent(0.125)
    '+12.50 %'
    """
    return ABSENT if value is None else _signed(f"{100 * value:+.2f}") + " %"


def part(value: float | None) -> str:
    """Write a part of one that has no direction, as a percentage.

    Examples
    --------
    >>> part(0.05)
    '5.00 %'
    """
    return ABSENT if value is None else f"{100 * value:.2f} %"


def tick(text: str) -> str:
    """Write an axis label without the zeros that end its decimals.

    Examples
    --------
    >>> tick("125.00 M"), tick("7.50 %"), tick("100")
    ('125 M', '7.5 %', '100')
    """
    found = re.fullmatch(r"([^.]*)\.(\d*?)0*(\D*)", text)
    if found is None:
        return text
    whole, decimals, unit = found.groups()
    return f"{whole}.{decimals}{unit}" if decimals else f"{whole}{unit}"


def number(value: float | None) -> str:
    """Write a number with three digits after the point, or none when it is whole."""
    if value is None:
        return ABSENT
    return _signed(f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3f}")


def ratio(value: float | None) -> str:
    """Write a ratio, such as Sharpe's, to two decimals."""
    return ABSENT if value is None else _signed(f"{value:.2f}")


def money(value: float | None) -> str:
    """Write dollars, from a million on in millions.

    Examples
    --------
    >>> money(12_500_000.0)
    '12.50 M'
    """
    if value is None:
        return ABSENT
    if abs(value) >= 1e6:
        return _signed(f"{value / 1e6:,.2f} M")
    return _signed(f"{value:,.0f}")


def tokens(text: str | None) -> str:
    """Write an amount of tokens, given as its exact decimal text, to two decimals; an inexact one is cut, never rounded up.

    Examples
    --------
    >>> tokens("1234.5678")
    '1,234.56'
    """
    if text is None:
        return ABSENT
    amount = Decimal(text)
    whole, _, rest = f"{abs(amount):f}".partition(".")
    shown = f"{int(whole):,}.{rest[:TOKEN_DECIMALS_SHOWN].ljust(TOKEN_DECIMALS_SHOWN, '0')}"
    return MINUS + shown if amount < 0 else shown


def instant(value: datetime | str | None) -> str:
    """Write an instant in UTC, to the minute."""
    if value is None:
        return ABSENT
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def words(name: str) -> str:
    """Write the name of a field or of a score kind as words."""
    return name.replace("_", " ")


def tone(value: Any) -> str:
    """Return the style class of a value with a sign: the sign itself is always written too."""
    if value is None:
        return ""
    amount = Decimal(str(value))
    return "gain" if amount > 0 else "loss" if amount < 0 else ""


def _signed(text: str) -> str:
    # A value that rounds to zero has no sign; a true minus is as wide as a plus.
    if not any(c in "123456789" for c in text):
        return text.lstrip("+-")
    return text.replace("-", MINUS)


FILTERS: dict[str, Callable[..., str]] = {
    "score": score,
    "percent": percent,
    "number": number,
    "money": money,
    "tokens": tokens,
    "instant": instant,
    "words": words,
    "tone": tone,
}
