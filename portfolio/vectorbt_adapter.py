"""The second backtest engine: vectorbt behind the signature of :func:`portfolio.simulate.backtest`.

It exists as an independent check: another code base, working on prices and shares, must come to the same equity. It takes what
vectorbt can express (targets, a proportional cost, shared cash) and refuses the rest by name, because vectorbt would run it
silently as something else.

1. returns become price indices: close = Π(1 + overnight)(1 + intraday), open = close before × (1 + overnight);
2. targets become orders of kind ``targetpercent`` at the open, or at the close, in one group with shared cash that shorts may
   use, valued at the price at which they are filled;
3. a ledger of cash, order by order, tells beforehand whether cash suffices in the default order of columns. A session in which
   it does not is given its sequence, sales before purchases; where that does not suffice either, the case is refused. vectorbt
   would fill such orders in part, without a word, and its automatic sequence costs time quadratic in the number of assets on
   every session without orders;
4. shares, cash and fees are rebuilt from the order records alone, and each fill is compared with what was asked for.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import BoolArray, FloatArray, IntArray
from portfolio.book import BookState, Liquidity, TradingCosts
from portfolio.fills import FillAt
from portfolio.simulate import BacktestResult, check_arguments

WORKING_CAPITAL = 1e8
"""Capital that vectorbt is run with, whatever the book's: it drops trades below about 1e-8 units, which a capital of 1 would
feel."""
CASH_MARGIN = 1e-9
"""Part of equity that must be left at every order for cash to count as sufficient: far above rounding of the two ledgers."""
FILL_TOLERANCE = 1e-7
"""Most that a filled weight may differ from the asked one before the fill counts as partial: far above rounding of shares, far
below any position."""


def _refuse(what: str) -> InputRejected:
    return InputRejected(Code.BACKTEST_NOT_EXPRESSIBLE, f"vectorbt cannot express {what}.")


def backtest_vectorbt(
    overnight: FloatArray,
    intraday: FloatArray,
    targets: Mapping[int, FloatArray],
    costs: TradingCosts,
    *,
    initial: float | BookState = 1.0,
    traded: BoolArray | None = None,
    delisting_rows: IntArray | None = None,
    delisting_returns: FloatArray | None = None,
    liquidity: Mapping[int, Liquidity] | None = None,
    keep_weights: bool = False,
    fill: FillAt = "open",
) -> BacktestResult:
    """Carry a book through T sessions with vectorbt.

    Parameters
    ----------
    overnight, intraday, targets, costs, initial, traded, delisting_rows, delisting_returns, liquidity, keep_weights, fill
        As :func:`portfolio.simulate.backtest`.

    Returns
    -------
    BacktestResult
        Equal to the twin's to 1e-9 of equity; ``final`` is None.

    Raises
    ------
    InputRejected
        BACKTEST_NOT_EXPRESSIBLE for borrow fees, interest, impact, halts, delistings, missing returns, a book that does not
        start in cash, an account that loses everything, or targets that need more cash than there is. PROBLEM_INVALID for
        arguments that do not fit.
    """
    _check_expressible(overnight, intraday, costs, initial, traded, delisting_rows, liquidity)
    check_arguments(overnight, intraday, targets, costs, traded, delisting_rows, delisting_returns, liquidity, fill)
    capital = float(initial) if not isinstance(initial, BookState) else initial.cash
    close = np.asarray(np.cumprod((1.0 + overnight) * (1.0 + intraday), axis=0), dtype=np.float64)
    opened: FloatArray = np.concatenate([np.ones((1, close.shape[1])), close[:-1]]) * (1.0 + overnight)
    price = opened if fill == "open" else close
    fees = np.broadcast_to(np.asarray(costs.half_spread, dtype=np.float64), (close.shape[1],))
    sequence = _call_sequence(price, targets, fees)
    size = np.full(close.shape, np.nan)
    for row, target in targets.items():
        size[row] = target
    records = _orders(close, price, size, fees, sequence).copy()
    for field in ("size", "fees"):
        records[field] *= capital / WORKING_CAPITAL
    return _rebuild(records, close, price, size, capital, keep_weights=keep_weights)


def _check_expressible(
    overnight: FloatArray,
    intraday: FloatArray,
    costs: TradingCosts,
    initial: float | BookState,
    traded: BoolArray | None,
    delisting_rows: IntArray | None,
    liquidity: Mapping[int, Liquidity] | None,
) -> None:
    if costs.borrow_per_year:
        raise _refuse("a fee on shorts")
    if costs.cash_per_year:
        raise _refuse("interest on cash")
    if costs.impact_coefficient or liquidity:
        raise _refuse("price impact")
    if traded is not None and not traded.all():
        raise _refuse("halts")
    if delisting_rows is not None and (delisting_rows >= 0).any():
        raise _refuse("delistings")
    if isinstance(initial, BookState) and initial.positions.any():
        raise _refuse("a book that starts with positions")
    if not (np.isfinite(overnight).all() and np.isfinite(intraday).all()):
        raise _refuse("missing returns")
    if (overnight <= -1).any() or (intraday <= -1).any():
        raise _refuse("a price of zero")


def _call_sequence(price: FloatArray, targets: Mapping[int, FloatArray], fees: FloatArray) -> IntArray | None:
    """Return for each session the order of columns, (T, n), or None where the default order leaves enough cash throughout."""
    names = np.arange(price.shape[1])
    sales_first: dict[int, IntArray] = {}
    shares = np.zeros(len(names))
    cash = 1.0
    for row in sorted(targets):
        equity = cash + float(shares @ price[row])
        if equity <= 0:
            raise _refuse("an account without equity")
        wanted = targets[row] * equity / price[row]
        trade = (wanted - shares) * price[row]
        paid = trade + fees * np.abs(trade)
        left = CASH_MARGIN * equity
        if (cash - np.cumsum(paid)).min(initial=cash) < left:
            order = np.argsort(trade > 0, kind="stable")
            if (cash - np.cumsum(paid[order])).min(initial=cash) < left:
                raise _refuse("these targets, for want of cash")
            sales_first[row] = order
        cash -= float(paid.sum())
        shares = wanted
    if not sales_first:
        return None
    sequence = np.tile(names, (price.shape[0], 1))
    for row, order in sales_first.items():
        sequence[row] = order
    return sequence


def _orders(
    close: FloatArray, price: FloatArray, size: FloatArray, fees: FloatArray, sequence: IntArray | None
) -> npt.NDArray[Any]:
    """Run vectorbt and return its order records."""
    import pandas as pd
    import vectorbt

    columns = pd.RangeIndex(close.shape[1])
    portfolio: Any = vectorbt.Portfolio.from_orders(
        close=pd.DataFrame(close, columns=columns),
        size=pd.DataFrame(size, columns=columns),
        size_type="targetpercent",
        price=pd.DataFrame(price, columns=columns),
        fees=np.broadcast_to(fees, close.shape),
        init_cash=WORKING_CAPITAL,
        cash_sharing=True,
        group_by=True,
        lock_cash=False,
        call_seq=sequence,
        freq="1D",
        engine="rust",
    )
    records: npt.NDArray[Any] = portfolio.orders.records_arr
    return records


def _rebuild(
    records: npt.NDArray[Any],
    close: FloatArray,
    price: FloatArray,
    size: FloatArray,
    capital: float,
    *,
    keep_weights: bool,
) -> BacktestResult:
    """Rebuild equity, fees and exposures from order records, and refuse fills that are not what was asked for."""
    sessions, n = close.shape
    signed = np.where(records["side"] == 0, records["size"], -records["size"])
    bought, fees, flow, volume = np.zeros((sessions, n)), np.zeros(sessions), np.zeros(sessions), np.zeros(sessions)
    np.add.at(bought, (records["idx"], records["col"]), signed)
    np.add.at(fees, records["idx"], records["fees"])
    np.add.at(flow, records["idx"], signed * records["price"])
    np.add.at(volume, records["idx"], records["size"] * records["price"])
    shares = np.cumsum(bought, axis=0)
    cash = capital - np.cumsum(flow + fees)
    value = shares * close
    equity = cash + value.sum(axis=1)
    before = np.concatenate([[capital], cash[:-1]])
    held = np.concatenate([np.zeros((1, n)), shares[:-1]])
    equity_before = before + (held * price).sum(axis=1)
    if (equity_before <= 0).any() or (equity <= 0).any():
        raise _refuse("an account without equity")
    filled = (shares * price) / equity_before[:, None]
    asked = np.isfinite(size).any(axis=1)
    if np.abs(filled[asked] - size[asked]).max(initial=0.0) > FILL_TOLERANCE:
        raise _refuse("these targets: an order was filled in part for want of cash")
    zeros = np.zeros(sessions)
    return BacktestResult(
        initial_equity=capital,
        equity=equity,
        gross_pnl=np.diff(equity, prepend=capital) + fees,
        costs={"spread": fees, "impact": zeros, "borrow": zeros, "interest": zeros},
        turnover=volume / equity_before,
        long_exposure=np.maximum(value, 0.0).sum(axis=1) / equity,
        short_exposure=np.minimum(value, 0.0).sum(axis=1) / equity,
        unfilled=np.zeros(sessions, dtype=np.int64),
        weights=value / equity[:, None] if keep_weights else None,
    )
