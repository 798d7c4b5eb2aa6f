"""Prices from a folder of files, Parquet or CSV, long: one row a ticker and date.

Each file is a part. Whatever columns there are are taken, nothing is judged:

========================  =====================================================================================
``ticker``, ``date``      needed
``close``                 needed, or ``adj_close`` alone: then the rows are on the ``total_return`` basis
``open, high, low``       optional
``volume``, ``currency``  optional
``split``                 optional: new shares for an old one from this session on; with it closes count as raw
``dividend``              optional: on the ex-date, on the basis of ``close``
``adj_close``             optional: dividends are inferred from it where there is no ``dividend``
``known_at``              optional: when each row was learnt, UTC; otherwise its close plus the delay (flag ``assumed``)
========================  =====================================================================================
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected, Unavailable
from market.arrays import BoolArray, DateArray, FloatArray, IntArray, StrArray
from market.batch import DIVIDEND, RAW, SPLIT, SPLIT_ADJUSTED, TOTAL_RETURN, EventRows, PriceBatch, PriceRows
from market.calendars import SessionCalendar, to_date, to_datetime64
from market.dividends import inferred_dividends
from service.vendors.files import readable
from service.vendors.source import FetchedPart, FetchRequest, FindingKind, VendorFinding, assumed_known_at

FORMATS = {"parquet": (".parquet",), "csv": (".csv", ".csv.gz")}
"""Endings of the files that each source reads."""

NUMBERS = ("open", "high", "low", "close", "volume", "split", "dividend", "adj_close")
NEEDED = ("ticker", "date")


class FolderSource:
    """The sources ``parquet`` and ``csv``.

    Parameters
    ----------
    folder : Path
        Its files of the format are read in the order of their names; a single file may be given too.
    file_format : str
        ``parquet`` or ``csv``.
    price_basis : str, optional
        What closes are adjusted for; by default ``raw`` where there is a column ``split``, ``total_return`` where there is
        ``adj_close`` alone, otherwise ``split_adjusted``.

    Raises
    ------
    Unavailable
        ``prices_missing`` when there is no such file.
    """

    remote: bool = False

    def __init__(self, folder: Path, file_format: str, price_basis: str | None = None) -> None:
        self.name = file_format
        self._price_basis = price_basis
        endings = FORMATS[file_format]
        listed = sorted(folder.iterdir()) if folder.is_dir() else [folder]
        self._files = [path for path in listed if path.is_file() and path.name.endswith(endings)]
        if not self._files:
            raise Unavailable(Code.PRICES_MISSING, f"There is no {file_format} file in '{folder.name}'.")

    def span(self) -> tuple[date, date]:
        """Return the first and last date of all files.

        Raises
        ------
        InputRejected
            ``prices_unreadable``, ``prices_columns``; ``prices_invalid`` where no row has a date.
        """
        found = [_Columns.read(path).dates for path in self._files]
        dates = np.concatenate(found)
        dates = dates[~np.isnat(dates)]
        if dates.size == 0:
            raise InputRejected(Code.PRICES_INVALID, "The price file holds no row with a date.")
        return to_date(dates.min()), to_date(dates.max())

    def steps(self, request: FetchRequest) -> int:  # noqa: ARG002 - every file is read, whatever is asked
        """Return the number of files."""
        return len(self._files)

    def exchange_of(self, ticker: str) -> str | None:  # noqa: ARG002 - the settings' calendar holds
        """Return None: a file says nothing of exchanges."""
        return None

    def fetch(self, request: FetchRequest) -> Iterator[FetchedPart]:
        """Yield one part a file.

        Raises
        ------
        InputRejected
            ``prices_unreadable`` for another format or a half-written file; ``prices_columns`` when a column is missing.
        """
        for number, path in enumerate(self._files, start=1):
            if number not in request.done:
                yield self._part(number, path, request)
            request.advance(path.name)

    def _part(self, number: int, path: Path, request: FetchRequest) -> FetchedPart:
        table = _Columns.read(path)
        columns = table.take(table.wanted(request))
        findings: tuple[VendorFinding, ...] = ()
        amounts, flags = columns.numbers.get("dividend"), set()
        basis = self._price_basis or columns.basis
        if amounts is None and "adj_close" in columns.numbers and basis != TOTAL_RETURN:
            amounts, refused = columns.dividends_inferred()
            findings = tuple(_moved_back(path, ticker, count) for ticker, count in refused.items())
            flags.add("dividends_inferred")
        if columns.known_at is None:
            flags.add("assumed")
        known_at = _known_at(columns, request)
        batch = PriceBatch(
            source=self.name,
            price_basis=basis,
            fetched_at=to_datetime64(request.asked_at),
            prices=columns.prices(known_at),
            events=columns.events(amounts, known_at),
            flags=frozenset(flags),
        )
        return FetchedPart(number, tuple(np.unique(columns.tickers).tolist()), batch, findings)


class _Columns:
    """The columns of one file; ``numbers`` holds those of :data:`NUMBERS` that it has."""

    def __init__(
        self,
        row: IntArray,
        tickers: StrArray,
        dates: DateArray,
        currencies: StrArray,
        known_at: DateArray | None,
        numbers: dict[str, FloatArray],
    ) -> None:
        self.row, self.tickers, self.dates = row, tickers, dates
        self.currencies, self.known_at, self.numbers = currencies, known_at, numbers

    @staticmethod
    def read(path: Path) -> "_Columns":
        """Read a file."""
        import pyarrow as pa

        with readable(path):
            table = _table(path)
            names = table.column_names
            missing = [name for name in NEEDED if name not in names]
            if "close" not in names and "adj_close" not in names:
                missing.append("close")
            if missing:
                raise InputRejected(Code.PRICES_COLUMNS, f"'{path.name}' lacks the column {', '.join(missing)}.")
            count = table.num_rows
            known_at = table.column("known_at").cast(pa.timestamp("us")) if "known_at" in names else None
            return _Columns(
                np.arange(1, count + 1),
                _labels(table.column("ticker")),
                table.column("date").cast(pa.date32()).to_numpy().astype("datetime64[D]"),
                _labels(table.column("currency")) if "currency" in names else np.full(count, ""),
                None if known_at is None else known_at.to_numpy().astype("datetime64[us]"),
                {name: _numbers(table.column(name)) for name in NUMBERS if name in names},
            )

    @property
    def basis(self) -> str:
        """What the columns themselves say of the price basis."""
        if "close" not in self.numbers:
            return TOTAL_RETURN
        return RAW if "split" in self.numbers else SPLIT_ADJUSTED

    def wanted(self, request: FetchRequest) -> BoolArray:
        """Tell which rows were asked for."""
        wanted = np.ones(self.row.shape, dtype=np.bool_)
        if request.tickers:
            wanted &= np.isin(self.tickers, np.asarray(request.tickers))
        for bound, outside in ((request.first, np.less), (request.last, np.greater)):
            if bound is not None:
                wanted &= ~outside(self.dates, np.datetime64(bound, "D"))
        return wanted

    def take(self, chosen: BoolArray | IntArray) -> "_Columns":
        """Return the rows that a mask or positions choose."""
        known_at = None if self.known_at is None else self.known_at[chosen]
        numbers = {name: column[chosen] for name, column in self.numbers.items()}
        return _Columns(self.row[chosen], self.tickers[chosen], self.dates[chosen], self.currencies[chosen], known_at, numbers)

    def dividends_inferred(self) -> tuple[FloatArray, dict[str, int]]:
        """Return what the adjusted closes imply was paid, and the rows a ticker on which they imply what cannot be.

        The file may have its rows in any order.
        """
        labels, asset = np.unique(self.tickers, return_inverse=True)
        order = np.lexsort((self.dates, asset))
        ends = np.cumsum(np.bincount(asset, minlength=labels.shape[0]))
        amounts, refused = np.zeros(self.row.shape), {}
        for label, rows in zip(labels.tolist(), np.split(order, ends[:-1]), strict=True):
            close, adjusted = (_positive(self.numbers[name][rows]) for name in ("close", "adj_close"))
            priced = np.isfinite(close) & np.isfinite(adjusted)
            close, adjusted = (np.where(priced, column, np.nan)[:, None] for column in (close, adjusted))
            split = np.nan_to_num(_positive(self.numbers["split"][rows]), nan=1.0)[:, None] if "split" in self.numbers else None
            paid, count = inferred_dividends(close, adjusted, split)
            amounts[rows] = paid[:, 0]
            if count:
                refused[label] = count
        return amounts, refused

    def prices(self, known_at: DateArray) -> PriceRows:
        """Return the price columns; what the file does not have is NaN."""
        empty = np.full(self.row.shape, np.nan)
        columns = {name: self.numbers.get(name, empty) for name in ("open", "high", "low", "close", "volume")}
        if "close" not in self.numbers:
            columns["close"] = self.numbers["adj_close"]
        return PriceRows(
            row=self.row, tickers=self.tickers, dates=self.dates, currencies=self.currencies, known_at=known_at, **columns
        )

    def events(self, dividends: FloatArray | None, known_at: DateArray) -> EventRows:
        """Return the splits and dividends."""
        splits = self.numbers.get("split", np.full(self.row.shape, np.nan))
        split = np.isfinite(splits) & (splits != 1)
        amounts = np.zeros(self.row.shape) if dividends is None else np.nan_to_num(dividends)
        paid = amounts != 0
        at = np.concatenate([np.flatnonzero(split), np.flatnonzero(paid)])
        count = int(split.sum())
        return EventRows(
            kinds=np.array([SPLIT] * count + [DIVIDEND] * (at.shape[0] - count), dtype=np.str_),
            tickers=self.tickers[at],
            dates=self.dates[at],
            values=np.concatenate([splits[split], amounts[paid]]),
            reasons=np.full(at.shape, "", dtype=np.str_),
            known_at=known_at[at],
        )


def _known_at(columns: _Columns, request: FetchRequest) -> DateArray:
    if columns.known_at is not None:
        return columns.known_at
    known = np.empty(columns.dates.shape, dtype="datetime64[us]")
    calendars: dict[int, tuple[SessionCalendar, list[int]]] = {}
    labels, place = np.unique(columns.tickers, return_inverse=True)
    for position, label in enumerate(labels.tolist()):
        calendar = request.calendar_of(label)
        calendars.setdefault(id(calendar), (calendar, []))[1].append(position)
    for calendar, positions in calendars.values():
        chosen = np.isin(place, positions)
        known[chosen] = assumed_known_at(columns.dates[chosen], calendar, request.delay_minutes)
    return known


def _moved_back(path: Path, ticker: str, count: int) -> VendorFinding:
    where = f"on {count} rows of '{path.name}'"
    text = f"The adjusted close of {ticker} falls behind its close {where}; no dividend is inferred there."
    return VendorFinding(FindingKind.ADJUSTMENT_BACK, ticker, text)


def _positive(column: FloatArray) -> FloatArray:
    return np.where(np.isfinite(column) & (column > 0), column, np.nan)


def _table(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.csv as pv
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        return pq.read_table(path)
    # "NA" is a ticker: only an empty field is missing, and never so in a column of text.
    types = {"ticker": pa.string(), "date": pa.date32(), "currency": pa.string(), "known_at": pa.timestamp("us")}
    types |= {name: pa.float64() for name in NUMBERS}
    return pv.read_csv(path, convert_options=pv.ConvertOptions(column_types=types, null_values=[""]))


def _numbers(column: Any) -> FloatArray:
    import pyarrow as pa

    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _labels(column: Any) -> StrArray:
    """Text as an array, through a dictionary: four million rows hold some thousand labels."""
    import pyarrow as pa

    column = column.cast(pa.string()).fill_null("").dictionary_encode().unify_dictionaries().combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks else pa.array([], pa.string()).dictionary_encode()
    labels = np.asarray(column.dictionary.to_pylist(), dtype=np.str_)
    return labels[column.indices.to_numpy()] if labels.size else np.empty(0, dtype=np.str_)
