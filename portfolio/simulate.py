"""The NumPy twin: a book carried through sessions of returns, with every friction, booked so that it can be recomputed.

One session, in this order:

1. positions earn their overnight return (dividends are in it, also those that a short pays);
2. names that are delisted earn their delisting return instead and become cash: a forced close, without cost, recorded;
3. if there is a target, it is filled at the open: target dollars = weight × equity at that open, for names that trade;
   the others keep what they have; spread and impact are paid in cash;
4. positions earn their intraday return;
5. the fee on shorts and the interest on cash accrue on the values at the close.

It works on returns, so that no adjusted price ever enters, and it decides nothing: a target decided at a close is handed in
for the open of a later session, which keeps the lag between knowing and trading. An account without equity is liquidated.
Gross profit and each cost are booked apart: the change of equity equals gross profit less costs up to rounding.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import BoolArray, FloatArray, IntArray
from portfolio.book import BookState, Liquidity, TradingCosts
from portfolio.mandate import SESSIONS_PER_YEAR

COST_KINDS = ("spread", "impact", "borrow", "interest")
"""``interest`` is what cash earns, booked as a negative cost."""


@dataclass(frozen=True, slots=True)
class ForcedClose:
    """A delisting under an open position: which asset (its place), and the dollars that it became."""

    asset: int
    value: float


@dataclass(frozen=True, slots=True)
class DayRecord:
    """What one session did to a book, in dollars.

    Attributes
    ----------
    equity_open, equity : float
        Equity at the open, before trading, and at the close.
    gross_pnl : float
        Sum of positions times their returns.
    costs : dict
        One figure for each of :data:`COST_KINDS`.
    traded : float
        Σ|trade|.
    long_value, short_value : float
        Value of longs and of shorts (negative) at the close.
    unfilled : int
        Names whose target differed from what was held but that could not be traded.
    forced_closes : tuple of ForcedClose
    bankrupt : bool
        True when equity at the open was not positive; the book was then liquidated where it could be.
    """

    equity_open: float
    equity: float
    gross_pnl: float
    costs: dict[str, float]
    traded: float
    long_value: float
    short_value: float
    unfilled: int = 0
    forced_closes: tuple[ForcedClose, ...] = ()
    bankrupt: bool = False

    @property
    def net_pnl(self) -> float:
        """Gross profit less all costs."""
        return self.gross_pnl - sum(self.costs.values())


@dataclass(frozen=True, slots=True)
class _Fill:
    trade: FloatArray
    spread: float = 0.0
    impact: float = 0.0
    unfilled: int = 0


def step(
    state: BookState,
    overnight: FloatArray,
    intraday: FloatArray,
    costs: TradingCosts,
    *,
    target: FloatArray | None = None,
    halted: BoolArray | None = None,
    delisting: FloatArray | None = None,
    liquidity: Liquidity | None = None,
) -> tuple[BookState, DayRecord]:
    """Carry a book through one session.

    Parameters
    ----------
    state : BookState
        At the close before.
    overnight, intraday : (n,) float64
        Total returns close to open and open to close; NaN counts as 0 and forbids trading in that name.
    costs : TradingCosts
    target : (n,) float64, optional
        Weights to fill at this open, decided no later than the close before; finite.
    halted : (n,) bool, optional
        Names that do not trade in this session.
    delisting : (n,) float64, optional
        Return of a name that is delisted before this open, NaN for the others; replaces both returns of the session.
    liquidity : Liquidity, optional
        Needed when there is a target and impact is charged.

    Returns
    -------
    BookState, DayRecord

    Raises
    ------
    InputRejected
        PROBLEM_INVALID for a target of another length or with values that are not finite, or for impact without liquidity.
    """
    _check_target(target, state, costs, liquidity)
    gone = np.isfinite(delisting) if delisting is not None else np.zeros(state.positions.shape, dtype=bool)
    first = np.where(gone, delisting if delisting is not None else 0.0, np.nan_to_num(overnight))
    pnl = float(state.positions @ first)
    positions = state.positions * (1.0 + first)
    closes = tuple(ForcedClose(int(i), float(positions[i])) for i in np.flatnonzero(gone & (state.positions != 0)))
    cash = state.cash + float(positions[gone].sum())
    positions[gone] = 0.0
    equity_open = cash + float(positions.sum())
    bankrupt = equity_open <= 0.0
    fill = _Fill(np.zeros_like(positions))
    if target is not None or (bankrupt and positions.any()):
        tradable = np.isfinite(overnight) & np.isfinite(intraday) & ~gone
        if halted is not None:
            tradable &= ~halted
        wanted = np.zeros_like(positions) if target is None or bankrupt else target * equity_open
        fill = _fill(wanted, positions, tradable, costs, liquidity)
    positions = positions + fill.trade
    cash -= float(fill.trade.sum()) + fill.spread + fill.impact
    second = np.where(gone, 0.0, np.nan_to_num(intraday))
    pnl += float(positions @ second)
    positions = positions * (1.0 + second)
    short_value = float(np.minimum(positions, 0.0).sum())
    borrow = -short_value * costs.borrow_per_year / SESSIONS_PER_YEAR
    interest = cash * costs.cash_per_year / SESSIONS_PER_YEAR
    cash += interest - borrow
    after = BookState(state.asset_ids, positions, cash)
    record = DayRecord(
        equity_open=equity_open,
        equity=after.equity,
        gross_pnl=pnl,
        costs={"spread": fill.spread, "impact": fill.impact, "borrow": borrow, "interest": -interest},
        traded=float(np.abs(fill.trade).sum()),
        long_value=float(np.maximum(positions, 0.0).sum()),
        short_value=short_value,
        unfilled=fill.unfilled,
        forced_closes=closes,
        bankrupt=bankrupt,
    )
    return after, record


def _check_target(target: FloatArray | None, state: BookState, costs: TradingCosts, liquidity: Liquidity | None) -> None:
    if target is None:
        return
    if target.shape != state.positions.shape or not np.isfinite(target).all():
        raise InputRejected(Code.PROBLEM_INVALID, "A target holds one finite weight for each asset of the book.")
    if costs.impact_coefficient > 0 and liquidity is None:
        raise InputRejected(Code.PROBLEM_INVALID, "Impact needs the volume and volatility of the names that are traded.")


def _fill(
    wanted: FloatArray,
    positions: FloatArray,
    tradable: BoolArray,
    costs: TradingCosts,
    liquidity: Liquidity | None,
) -> _Fill:
    """Return the trades towards ``wanted`` dollars in names that trade, with what they cost."""
    priced = costs.impact_coefficient > 0 and liquidity is not None
    if priced and liquidity is not None:
        # Without a known volume the cost of a trade cannot be told, so there is none.
        adv = np.nan_to_num(liquidity.adv_dollars)
        tradable = tradable & (adv > 0) & np.isfinite(liquidity.sigma)
    move = wanted - positions
    trade = np.where(tradable, move, 0.0)
    size = np.abs(trade)
    impact = 0.0
    if priced and liquidity is not None:
        part = size / np.where(tradable, adv, 1.0)
        impact = float(costs.impact_coefficient * np.sum(np.where(tradable, liquidity.sigma, 0.0) * size * np.sqrt(part)))
    return _Fill(trade, float(np.sum(costs.half_spread * size)), impact, int(np.count_nonzero(~tradable & (move != 0))))


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """A book's history over T sessions. Money in the unit of the initial capital, exposures as fractions of equity.

    Attributes
    ----------
    initial_equity : float
        Before the first session.
    equity, gross_pnl : (T,) float64
        Equity after costs at each close; profit before costs of each session.
    costs : dict of (T,) float64
        For each of :data:`COST_KINDS` what the session paid; interest is negative when earned.
    turnover : (T,) float64
        Σ|trade| / equity at the open.
    long_exposure, short_exposure : (T,) float64
        At the close; shorts negative.
    unfilled : (T,) int64
        Names whose target could not be traded.
    forced_closes : tuple of (row, ForcedClose)
    bankrupt : bool
        True when equity was not positive at some open.
    final : BookState or None
        The book after the last session; None from an engine that keeps none.
    weights : (T, n) float64 or None
        Weights at each close, when they were asked for.
    """

    initial_equity: float
    equity: FloatArray
    gross_pnl: FloatArray
    costs: dict[str, FloatArray]
    turnover: FloatArray
    long_exposure: FloatArray
    short_exposure: FloatArray
    unfilled: IntArray
    forced_closes: tuple[tuple[int, ForcedClose], ...] = ()
    bankrupt: bool = False
    final: BookState | None = None
    weights: FloatArray | None = field(default=None, repr=False)

    @property
    def net_returns(self) -> FloatArray:
        """Return of each session after costs, (T,) float64."""
        before = np.concatenate([[self.initial_equity], self.equity[:-1]])
        returns: FloatArray = self.equity / before - 1.0
        return returns

    @property
    def total_costs(self) -> FloatArray:
        """All costs of each session, (T,) float64."""
        total: FloatArray = np.sum([self.costs[kind] for kind in COST_KINDS], axis=0)
        return total

    @property
    def gross_equity(self) -> FloatArray:
        """Initial capital plus cumulated gross profit: the same trades had they been free, (T,) float64."""
        equity: FloatArray = self.initial_equity + np.cumsum(self.gross_pnl)
        return equity


def backtest(
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
) -> BacktestResult:
    """Carry a book through T sessions, filling each target at the open of its row.

    Parameters
    ----------
    overnight, intraday : (T, n) float64
        Total returns; see :func:`step` for NaN.
    targets : mapping of row to (n,) float64
        Weights filled at the open of that row, decided no later than the close of the row before.
    costs : TradingCosts
    initial : float or BookState
        Capital, or a book to continue.
    traded : (T, n) bool, optional
        False where a name does not trade; all by default.
    delisting_rows : (n,) int64, optional
        Row before whose open a name is delisted, −1 for none.
    delisting_returns : (n,) float64, optional
        The return that it then has; needed with ``delisting_rows``.
    liquidity : mapping of row to Liquidity, optional
        For the rows of ``targets``; needed when impact is charged.
    keep_weights : bool
        Whether weights at each close are kept: T × n numbers.

    Returns
    -------
    BacktestResult

    Raises
    ------
    InputRejected
        PROBLEM_INVALID for shapes that do not fit, targets outside the rows, or as :func:`step`.

    Examples
    --------
    Half long, half short, one session in which the long gains a percent after the open:

    >>> import numpy as np
    >>> night, day = np.zeros((1, 2)), np.array([[0.01, 0.0]])
    >>> result = backtest(night, day, {0: np.array([0.5, -0.5])}, TradingCosts(half_spread=0.001))
    >>> result.equity.round(6).tolist(), result.gross_pnl.round(6).tolist()
    ([1.004], [0.005])
    """
    _check_rows(overnight, intraday, targets, traded, delisting_rows, delisting_returns)
    sessions, n = overnight.shape
    ids = np.arange(n).astype(np.str_)
    state = initial if isinstance(initial, BookState) else BookState.opening(ids, float(initial))
    start = state.equity
    records: list[DayRecord] = []
    weights = np.empty((sessions, n)) if keep_weights else None
    for row in range(sessions):
        delisting = None
        if delisting_rows is not None and delisting_returns is not None and (delisting_rows == row).any():
            delisting = np.where(delisting_rows == row, delisting_returns, np.nan)
        state, record = step(
            state,
            overnight[row],
            intraday[row],
            costs,
            target=targets.get(row),
            halted=None if traded is None else ~traded[row],
            delisting=delisting,
            liquidity=None if liquidity is None else liquidity.get(row),
        )
        records.append(record)
        if weights is not None:
            weights[row] = state.weights
    return collect(start, records, final=state, weights=weights)


def collect(
    initial_equity: float, records: list[DayRecord], *, final: BookState | None = None, weights: FloatArray | None = None
) -> BacktestResult:
    """Put the records of successive sessions together, as they are stored by a fund that lives day by day."""
    equity = np.array([r.equity for r in records], dtype=np.float64)
    opened = np.array([r.equity_open for r in records], dtype=np.float64)
    positive = np.where(equity > 0, equity, np.nan)
    return BacktestResult(
        initial_equity=initial_equity,
        equity=equity,
        gross_pnl=np.array([r.gross_pnl for r in records], dtype=np.float64),
        costs={kind: np.array([r.costs[kind] for r in records], dtype=np.float64) for kind in COST_KINDS},
        turnover=np.nan_to_num(np.array([r.traded for r in records]) / np.where(opened > 0, opened, np.nan)),
        long_exposure=np.nan_to_num(np.array([r.long_value for r in records]) / positive),
        short_exposure=np.nan_to_num(np.array([r.short_value for r in records]) / positive),
        unfilled=np.array([r.unfilled for r in records], dtype=np.int64),
        forced_closes=tuple((row, close) for row, r in enumerate(records) for close in r.forced_closes),
        bankrupt=any(r.bankrupt for r in records),
        final=final,
        weights=weights,
    )


def _check_rows(
    overnight: FloatArray,
    intraday: FloatArray,
    targets: Mapping[int, FloatArray],
    traded: BoolArray | None,
    delisting_rows: IntArray | None,
    delisting_returns: FloatArray | None,
) -> None:
    """Refuse arrays that do not fit each other and targets for rows that do not exist."""
    shape = overnight.shape
    fits = overnight.ndim == 2 and intraday.shape == shape and (traded is None or traded.shape == shape)
    if (delisting_rows is None) != (delisting_returns is None):
        fits = False
    if delisting_rows is not None and delisting_returns is not None:
        fits = fits and delisting_rows.shape == (shape[1],) == delisting_returns.shape
        fits = fits and bool(np.isfinite(delisting_returns[delisting_rows >= 0]).all())
    if not fits:
        raise InputRejected(Code.PROBLEM_INVALID, "Returns, masks and delistings of a backtest have shapes that do not fit.")
    outside = sorted(row for row in targets if not 0 <= row < shape[0])
    if outside:
        raise InputRejected(Code.PROBLEM_INVALID, f"There is no session for the targets of rows {outside[:5]}.")
