"""Metadata as the store keeps them: one row a ticker of a snapshot, and one for each share count that has a date.

What a column ``as_of`` dates is known from that date on, or from the instant in ``known_at`` (UTC) where there is one. Sectors
and countries are those of the newest row: a ticker map dates them, not the metadata.
"""

from typing import Any

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.panel import UNKNOWN
from market.pivot import AS_OF, About

KNOWN_AT = "known_at"


def newest_first(meta: Any) -> Any:
    """Return a table of metadata with the newest statements first, undated ones last; as it is where nothing is dated."""
    return meta.sort_by([(AS_OF, "descending")]) if AS_OF in meta.column_names else meta


def fact_table(meta: Any, facts: dict[str, About]) -> Any:
    """Return what is kept of metadata.

    Parameters
    ----------
    meta : pyarrow.Table
        As the file has it.
    facts : dict of str to About
        The row of each ticker that has prices.

    Returns
    -------
    pyarrow.Table
        ``ticker, sector, listing_country, shares_out_approx``, sorted by ticker. With dated share counts also ``as_of`` and
        ``known_at``: a row for each, after the others.

    Raises
    ------
    InputRejected
        ``meta_unreadable`` where a date or an instant is none.
    """
    import pyarrow as pa

    rows = sorted(facts.items())
    columns: dict[str, Any] = {
        "ticker": pa.array([ticker for ticker, _ in rows], pa.string()),
        "sector": pa.array([fact.sector for _, fact in rows], pa.string()),
        "listing_country": pa.array([fact.country for _, fact in rows], pa.string()),
        "shares_out_approx": pa.array([fact.shares for _, fact in rows], pa.float64()),
    }
    if AS_OF not in meta.column_names:
        return pa.table(columns)
    undated = pa.table(columns | {AS_OF: pa.nulls(len(rows), pa.date32()), KNOWN_AT: pa.nulls(len(rows), pa.timestamp("us"))})
    return pa.concat_tables([undated, _dated(meta, facts).select(undated.column_names)])


def _dated(meta: Any, facts: dict[str, About]) -> Any:
    """Return the share counts that have a date, of the tickers and countries in ``facts``, in the order of the table."""
    import pyarrow as pa

    dates = _cast(meta.column(AS_OF), pa.date32(), AS_OF)
    shares = _cast(meta.column("shares_out_approx"), pa.float64(), "shares_out_approx").to_pylist()
    told = dates.cast(pa.timestamp("us"))
    if KNOWN_AT in meta.column_names:
        learnt = _cast(meta.column(KNOWN_AT), pa.timestamp("us", "UTC"), KNOWN_AT).cast(pa.timestamp("us"))
        told = pa.compute.coalesce(learnt, told)
    tickers, countries = (meta.column(name).cast(pa.string()).to_pylist() for name in ("ticker", "listing_country"))
    kept: dict[tuple[Any, ...], int] = {}  # of two rows that date the same, the first counts, as in a snapshot
    for i, row in enumerate(zip(tickers, dates.to_pylist(), told.to_pylist(), strict=True)):
        counted = row[1] is not None and shares[i] is not None and shares[i] > 0
        if counted and row[0] in facts and (countries[i] or UNKNOWN) == facts[row[0]].country:
            kept.setdefault(row, i)
    columns = {"ticker": pa.array(tickers, pa.string()), "shares_out_approx": pa.array(shares, pa.float64())}
    chosen = pa.table({**columns, AS_OF: dates, KNOWN_AT: told}).take(list(kept.values()))
    for name in ("sector", "listing_country"):
        chosen = chosen.append_column(name, pa.nulls(chosen.num_rows, pa.string()))
    return chosen


def _cast(column: Any, kind: Any, name: str) -> Any:
    import pyarrow as pa

    column = column.combine_chunks()
    if pa.types.is_timestamp(kind) and pa.types.is_string(column.type):
        # Text with a zone and text without one are read by different rules; both are UTC here.
        column = pa.array([None if not text else text.replace("Z", "").replace("+00:00", "") for text in column.to_pylist()])
        kind = pa.timestamp(kind.unit)
    try:
        return column.cast(kind, safe=kind != pa.float64())
    except pa.ArrowException as error:
        raise InputRejected(Code.META_UNREADABLE, f"The column {name} of the metadata cannot be read as {kind}.") from error
