"""The two kinds of field in an upload: an identifier and a number, each judged by its text alone.

A number is one regular expression, then finite, then in range. It is never handed to a converter that would also take
underscores, hexadecimal digits, words or digits of other scripts.
"""

import re
import unicodedata

from crowdalpha.codes import Code
from signals.dialect import FIELD_LENGTH_MAX, NUMBER_LENGTH_MAX, WHOLE_DIGITS_MAX
from signals.findings import FindingList

NUMBER = re.compile(r"-?(\d+)(?:\.(\d+))?(?:[eE][+-]?\d+)?", re.ASCII)
NOT_FINITE = re.compile(r"[+-]?(?:nan(?:\(\w*\))?|inf(?:inity)?)", re.ASCII | re.IGNORECASE)
INVISIBLE_CATEGORIES = frozenset({"Cf", "Cc", "Cs", "Co", "Zl", "Zp"})


def id_fault(identifier: str) -> tuple[Code, str] | None:
    """Say what is wrong with an identifier's text, or None.

    Examples
    --------
    >>> id_fault("BRK.B") is None, id_fault(" AAPL")[0].value
    (True, 'id_space')
    """
    if identifier == "":
        return Code.ID_EMPTY, "The identifier is empty."
    if len(identifier) > FIELD_LENGTH_MAX:
        return Code.ID_LENGTH, f"The identifier has {len(identifier):,} characters; at most {FIELD_LENGTH_MAX} are allowed."
    if identifier != identifier.strip():
        return Code.ID_SPACE, f"The identifier has a space around it; did you mean {identifier.strip()!r}?"
    if not identifier.isascii():
        for character in identifier:
            category = unicodedata.category(character)
            if category in INVISIBLE_CATEGORIES or (category == "Zs" and character != " "):
                return Code.ID_SPACE, f"The identifier holds the invisible character U+{ord(character):04X}."
    elif "\t" in identifier:
        return Code.ID_SPACE, "The identifier holds a tab."
    return None


def read_number(text: str, row: int, column: str, findings: FindingList) -> float | None:
    """Return the value of a number's text within 0 to 1, or None after noting what is wrong.

    ``-0`` is 0. A number too small for float64 is 0, with a notice. Exactly 0 and exactly 1 are allowed.
    """
    fault = _number_fault(text)
    if fault is not None:
        findings.refuse(fault[0], fault[1], row, column, text)
        return None
    value = float(text)
    if value in (float("inf"), float("-inf")):
        findings.refuse(Code.VALUE_NOT_FINITE, "The value is too large for a number.", row, column, text)
        return None
    if not 0.0 <= value <= 1.0:
        findings.refuse(Code.VALUE_RANGE, "The value lies outside 0 to 1.", row, column, text)
        return None
    if value == 0.0 and re.search(r"[1-9]", re.split("[eE]", text)[0]):
        findings.notice(
            Code.VALUE_UNDERFLOW, "The value is too small to be told from zero and was read as zero.", row, column, text
        )
    return value + 0.0  # the sum turns minus zero into zero


def _number_fault(text: str) -> tuple[Code, str] | None:
    if text == "":
        return Code.VALUE_MISSING, "The value is empty."
    matched = NUMBER.fullmatch(text) if len(text) <= FIELD_LENGTH_MAX else None
    too_long = len(text) > NUMBER_LENGTH_MAX or (matched is not None and len(matched.group(1)) > WHOLE_DIGITS_MAX)
    if too_long:
        return Code.VALUE_LENGTH, f"The value has {len(text):,} characters; write at most {NUMBER_LENGTH_MAX}."
    if matched is not None:
        return None
    if NOT_FINITE.fullmatch(text):
        return Code.VALUE_NOT_FINITE, "The value is not a finite number."
    return Code.VALUE_NOT_A_NUMBER, _number_hint(text)


def _number_hint(text: str) -> str:
    """Say in one sentence what a text that is not a number looks like."""
    if text != text.strip():
        return "The number has a space around it."
    if "," in text:
        return "The decimal sign is a point, and thousands are not separated."
    if not text.isascii():
        return "The number holds characters other than the digits 0 to 9, a point and a minus sign."
    if re.fullmatch(r"[+-]?\d*\.\d*", text):
        return "A number has digits on both sides of its point and no plus sign."
    return "The value is not a plain decimal number such as 0.25."
