"""Later words: rows about dates that were passed already. They are revisions, repetitions, or history that somebody rewrote.

A correction of a few percent within days is accepted as a revision; what says again what is known is left unused; a larger
correction, or one of a date long past, waits for a person. Each is compared with the accepted row of its date, or where there
is none with the last accepted close before it.
"""

from typing import NamedTuple

import numpy as np

from market.arrays import BoolArray, FloatArray, IntArray
from market.batch import PriceRows
from market.quality.cells import Placed
from market.quality.faults import Fault, Found, Severity, of_prices
from market.quality.known import StateArray, places_of
from market.quality.rules import QualityRules

COLUMNS = ("open", "high", "low", "close", "volume")
KEY_DAYS = 1 << 22
"""More days than a date of four digits can have, so that ticker and date make one number."""


class Judged(NamedTuple):
    """Later words (k,) by what becomes of them; the rest is set aside."""

    accepted: BoolArray
    unused: BoolArray
    found: list[Found]


def judge_later(
    prices: PriceRows, placed: Placed, later: IntArray, chain: IntArray, good: BoolArray, known: PriceRows | None,
    state: StateArray, rules: QualityRules,
) -> Judged:  # fmt: skip
    """Judge later words.

    Parameters
    ----------
    prices, placed
        The batch's rows.
    later, chain : (k,), (m,) int64
        Positions in the batch, sorted by ticker, date and instant.
    good : (m,) bool
        Rows of the chain that were accepted.
    known : PriceRows or None
        Accepted rows of the store.
    state : (n,) records
        The trail before the batch.
    rules : QualityRules
    """
    old = _former(prices, placed, later, chain[good], known)
    share, worst = np.zeros(later.size), np.full(later.size, 3, dtype=np.int64)
    for index, name in enumerate(COLUMNS[:4]):
        new = getattr(prices, name)[later]
        apart = np.abs(np.log(new / old[name]))
        worst[apart > share] = index
        share = np.fmax(share, apart)
    busier = np.abs(prices.volume[later] - old["volume"]) > rules.noise_share * np.abs(old["volume"])
    seen = np.isfinite(old["close"])
    age = (prices.known_at[later].astype("datetime64[D]") - prices.dates[later]).astype(np.int64)
    recent = age <= rules.restatement_age_days_max
    fits = seen & (share <= rules.restatement_share_max) | ~seen & _fits_before(
        prices, placed, later, chain[good], state, rules
    )
    same = seen & (share == 0) & ~busier
    noise = seen & ~same & (share <= rules.noise_share) & ~busier
    revised = ~same & ~noise & fits & recent
    aside = ~(same | noise | revised)
    found = [
        of_prices(prices, fault, later[hit], "close", severity=severity)
        for hit, fault, severity in (
            (same, Fault.REPETITION, Severity.COVERAGE),
            (noise, Fault.FLOAT_NOISE, Severity.COVERAGE),
            (revised, Fault.RESTATEMENT, Severity.NOTICE),
        )
        if hit.any()
    ]
    for index, name in enumerate(COLUMNS[:4]):
        hit = aside & (worst == index)
        if hit.any():
            found.append(of_prices(prices, Fault.RESTATEMENT, later[hit], name))
    return Judged(revised, same | noise, found)


def _keys(code: IntArray, prices: PriceRows, at: IntArray) -> IntArray:
    return np.asarray(code * KEY_DAYS + prices.dates[at].astype(np.int64) % KEY_DAYS, dtype=np.int64)


def _former(
    prices: PriceRows, placed: Placed, later: IntArray, accepted: IntArray, known: PriceRows | None
) -> dict[str, FloatArray]:
    """The columns (k,) of what was known of each later word's ticker and date, in the batch or the store; NaN if nothing."""
    wanted = _keys(placed.code[later], prices, later)
    out = {name: np.full(later.size, np.nan) for name in COLUMNS}
    sources = [(prices, accepted, placed.code[accepted])]
    if known is not None and len(known):
        place, there = places_of(known.tickers, placed.tickers)
        rows = np.flatnonzero(there & ~np.isnat(known.dates))
        sources.insert(0, (known, rows, place[rows]))
    for source, rows, code in sources:
        if rows.size == 0:
            continue
        keys = _keys(code, source, rows)
        order = np.argsort(keys, kind="stable")
        at = np.searchsorted(keys[order], wanted, side="right") - 1
        hit = (at >= 0) & (keys[order][at] == wanted)
        for name in COLUMNS:
            out[name][hit] = getattr(source, name)[rows[order[at[hit]]]]
    return out


def _fits_before(
    prices: PriceRows, placed: Placed, later: IntArray, accepted: IntArray, state: StateArray, rules: QualityRules
) -> BoolArray:
    """Tell which later words follow the last accepted close of the batch before them, or the trail's, within a young limit."""
    code = placed.code[later]
    level = state["level"][code].copy()
    if accepted.size:
        keys = _keys(placed.code[accepted], prices, accepted)
        at = np.searchsorted(keys, _keys(code, prices, later), side="left") - 1
        mine = (at >= 0) & (placed.code[accepted[np.maximum(at, 0)]] == code)
        level[mine] = np.log(prices.close[accepted[at[mine]]])
    return np.asarray(np.abs(np.log(prices.close[later]) - level) <= rules.jump_log_young, dtype=np.bool_)
