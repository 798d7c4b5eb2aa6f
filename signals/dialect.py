"""What an uploaded file may look like: the columns of each tournament, the limits, and what reading one gives.

Nothing is read here; :mod:`signals.parse` reads.
"""

from dataclasses import dataclass

from crowdalpha.errors import Finding
from market.arrays import FloatArray, IntArray

FILE_BYTES_MAX = 10 * 1024 * 1024
"""A file of 20,000 rows with the longest ids and numbers fills a fifth of this."""

ROWS_MAX = 20_000
COLUMNS_MAX = 16
FIELD_LENGTH_MAX = 64
NUMBER_LENGTH_MAX = 40
"""Twice what the shortest text of any float64 in 0 to 1 needs."""

WHOLE_DIGITS_MAX = 20
"""Digits before the point; more make no sense for a value up to 1 and cost time to convert."""


@dataclass(frozen=True, slots=True)
class FileFormat:
    """The columns that a tournament takes.

    Attributes
    ----------
    id_columns, value_columns : tuple of str
        Names that the column of identifiers and that of values may bear; a file has exactly one of each, in any order.
    complete : bool
        True when every identifier of the round must be present.
    """

    id_columns: tuple[str, ...]
    value_columns: tuple[str, ...]
    complete: bool = False

    @property
    def example(self) -> str:
        """A header that is right."""
        return f"{self.id_columns[0]},{self.value_columns[0]}"


SIGNALS_FORMAT = FileFormat(
    id_columns=("numerai_ticker", "ticker", "symbol", "bloomberg_ticker", "composite_figi", "sedol", "yahoo"),
    value_columns=("signal", "prediction"),
)
"""Signals on stocks; identifiers are the labels of the round's universe, or of the scheme that the column names where the round
froze a ticker map (:mod:`signals.labels`)."""

CLASSIC_FORMAT = FileFormat(id_columns=("id",), value_columns=("prediction", "probability"), complete=True)
"""Predictions for the obfuscated rows of the live era."""


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """What the reading of one file gave.

    Attributes
    ----------
    ids : tuple of str
        Identifiers of the valid rows, in the file's order; no two are equal.
    values : (n,) float64
        Their values, finite and within 0 to 1.
    rows : (n,) int64
        Their line numbers; the header is line 1.
    findings : tuple of Finding
        Everything that was noticed, refusals first, at most 100.
    findings_total : int
        How much was noticed in all.
    refused : bool
        True when at least one of all findings refuses the file.
    id_column : str
        Name of the column of identifiers; empty where the reading did not come as far.
    """

    ids: tuple[str, ...]
    values: FloatArray
    rows: IntArray
    findings: tuple[Finding, ...] = ()
    findings_total: int = 0
    refused: bool = False
    id_column: str = ""
