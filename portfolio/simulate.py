"""The NumPy twin: a book carried through sessions of returns, with every friction, booked so that it can be recomputed.

One session, in this order:

1. positions earn their overnight return (dividends are in it, also those that a short pays; of a book in whole shares they are
   paid in cash instead);
2. names that are delisted earn their delisting return instead and become cash: a forced close, without cost, recorded;
3. if there is a target, it is filled at the open: target dollars = weight × equity at that open, for names that trade;
   the others keep what they have; spread and impact are paid in cash;
4. positions earn their intraday return;
5. with ``fill="close"`` the target is filled here instead, in the same way, at the equity of that close;
6. the fee on shorts and the interest on cash accrue on the values at the close.

It works on returns, so that no adjusted price ever enters, and it decides nothing: a target decided at a close is handed in
for a later session, which keeps the lag between knowing and trading. An account without equity is liquidated.
Gross profit and each cost are booked apart: the change of equity equals gross profit less costs up to rounding.

:func:`step` is one session and what a live fund uses. :func:`backtest` carries a book through many of them at once
(:mod:`portfolio.stretches`) and comes to the same to 1e-12.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from market.arrays import BoolArray, FloatArray, IntArray
from portfolio.book import BookState, Liquidity, TradingCosts
from portfolio.fills import Fill, FillAt, fill_towards
from portfolio.mandate import SESSIONS_PER_YEAR
from portfolio.stretches import Journal, Passage, Sessions

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
        Equity at the moment of trading, before it (the open, or the close where fills are at the close), and at the close.
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
        True when equity at the moment of trading was not positive; the book was then liquidated where it could be.
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


_NO_FILL = Fill(np.zeros(0), traded=0.0, bought=0.0, spread=0.0, impact=0.0, unfilled=0)
"""What a session without a target trades."""


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
    fill: FillAt = "open",
    paid: FloatArray | None = None,
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
        Weights to fill in this session, decided no later than the close before; finite.
    halted : (n,) bool, optional
        Names that do not trade in this session.
    delisting : (n,) float64, optional
        Return of a name that is delisted before this open, NaN for the others; replaces both returns of the session.
    liquidity : Liquidity, optional
        Needed when there is a target and impact is charged.
    fill : {"open", "close"}
        Where in the session a target is filled, and an account without equity liquidated.
    paid : (n,) float64, optional
        Part of each position at the close before that is paid in cash before the open, and is in no return: a dividend that is
        not reinvested. A short pays it. Without effect on a name that is delisted.

    Returns
    -------
    BookState, DayRecord

    Raises
    ------
    InputRejected
        PROBLEM_INVALID for a target of another length or with values that are not finite, for impact without liquidity, or
        for another ``fill``.
    """
    _check_fill(fill)
    _check_target(target, state.positions.shape, costs, liquidity)
    gone = np.isfinite(delisting) if delisting is not None else np.zeros(state.positions.shape, dtype=bool)
    first = np.where(gone, delisting if delisting is not None else 0.0, np.nan_to_num(overnight))
    second = np.where(gone, 0.0, np.nan_to_num(intraday))
    tradable = np.isfinite(overnight) & np.isfinite(intraday) & ~gone
    if halted is not None:
        tradable &= ~halted
    positions, cash, pnl, closes = _until_open(state, first, gone, paid)
    if fill == "close":
        pnl += float(positions @ second)
        positions = positions * (1.0 + second)
    before = cash + float(positions.sum())
    done = _NO_FILL
    if target is not None or (before <= 0.0 and positions.any()):
        done = fill_towards(target, positions, before, tradable, costs, liquidity)
        positions = done.positions
        cash -= done.paid
    if fill == "open":
        pnl += float(positions @ second)
        positions = positions * (1.0 + second)
    return _at_close(BookState(state.asset_ids, positions, cash), costs, before, pnl, done, closes)


def _until_open(
    state: BookState, first: FloatArray, gone: BoolArray, paid: FloatArray | None
) -> tuple[FloatArray, float, float, tuple[ForcedClose, ...]]:
    """Return positions and cash at the open, what was earned by then, and the positions that a delisting closed."""
    positions = state.positions * (1.0 + first)
    dividends = 0.0 if paid is None else float(state.positions @ np.where(gone, 0.0, paid))
    closes = tuple(ForcedClose(int(i), float(positions[i])) for i in np.flatnonzero(gone & (state.positions != 0)))
    cash = state.cash + float(positions[gone].sum()) + dividends
    positions[gone] = 0.0
    return positions, cash, float(state.positions @ first) + dividends, closes


def _at_close(
    book: BookState, costs: TradingCosts, before: float, pnl: float, done: Fill, closes: tuple[ForcedClose, ...]
) -> tuple[BookState, DayRecord]:
    """Accrue borrow and interest at the close, and write the session down; ``before`` is the equity before trading."""
    short_value = float(np.minimum(book.positions, 0.0).sum())
    borrow = -short_value * costs.borrow_per_year / SESSIONS_PER_YEAR
    interest = book.cash * costs.cash_per_year / SESSIONS_PER_YEAR
    after = BookState(book.asset_ids, book.positions, book.cash + (interest - borrow))
    return after, DayRecord(
        equity_open=before,
        equity=after.equity,
        gross_pnl=pnl,
        costs={"spread": done.spread, "impact": done.impact, "borrow": borrow, "interest": -interest},
        traded=done.traded,
        long_value=float(np.maximum(book.positions, 0.0).sum()),
        short_value=short_value,
        unfilled=done.unfilled,
        forced_closes=closes,
        bankrupt=before <= 0.0,
    )


def _check_fill(fill: str) -> None:
    if fill not in ("open", "close"):
        raise InputRejected(Code.PROBLEM_INVALID, f"Fills are at the open or at the close, not at {fill!r}.")


def _check_target(target: FloatArray | None, shape: tuple[int, ...], costs: TradingCosts, liquidity: Liquidity | None) -> None:
    if target is None:
        return
    if target.shape != shape or not np.isfinite(target).all():
        raise InputRejected(Code.PROBLEM_INVALID, "A target holds one finite weight for each asset of the book.")
    if costs.impact_coefficient > 0 and liquidity is None:
        raise InputRejected(Code.PROBLEM_INVALID, "Impact needs the volume and volatility of the names that are traded.")


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
        Σ|trade| / equity before trading.
    long_exposure, short_exposure : (T,) float64
        At the close; shorts negative.
    unfilled : (T,) int64
        Names whose target could not be traded.
    forced_closes : tuple of (row, ForcedClose)
    bankrupt : bool
        True when equity before trading was not positive in some session.
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
    fill: FillAt = "open",
) -> BacktestResult:
    """Carry a book through T sessions, filling each target at the open, or at the close, of its row.

    Parameters
    ----------
    overnight, intraday : (T, n) float64
        Total returns, never below −1; see :func:`step` for NaN.
    targets : mapping of row to (n,) float64
        Weights filled in the session of that row, decided no later than the close of the row before.
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
    fill : {"open", "close"}
        As :func:`step`.

    Returns
    -------
    BacktestResult

    Raises
    ------
    InputRejected
        PROBLEM_INVALID for shapes that do not fit, targets outside the rows, returns below −1, or as :func:`step`.

    Examples
    --------
    Half long, half short, one session in which the long gains a percent after the open:

    >>> import numpy as np
    >>> night, day = np.zeros((1, 2)), np.array([[0.01, 0.0]])
    >>> result = backtest(night, day, {0: np.array([0.5, -0.5])}, TradingCosts(half_spread=0.001))
    >>> result.equity.round(6).tolist(), result.gross_pnl.round(6).tolist()
    ([1.004], [0.005])
    """
    check_arguments(overnight, intraday, targets, costs, traded, delisting_rows, delisting_returns, liquidity, fill)
    sessions, n = overnight.shape
    state = initial if isinstance(initial, BookState) else BookState.opening(np.arange(n).astype(np.str_), float(initial))
    if state.positions.shape != (n,):
        raise InputRejected(Code.PROBLEM_INVALID, "The book that is continued has other assets than the returns.")
    gone: dict[int, list[int]] = {}
    if delisting_rows is not None:
        for asset in np.flatnonzero(delisting_rows >= 0).tolist():
            gone.setdefault(int(delisting_rows[asset]), []).append(asset)
    deaths = {row: np.array(assets) for row, assets in gone.items()}
    given = Sessions(overnight, intraday, targets, costs, fill, traded, liquidity, deaths, delisting_returns)
    weights = np.empty((sessions, n)) if keep_weights else None
    passage = Passage(given, state.positions, state.cash, weights)
    journal = passage.run()
    final = BookState(state.asset_ids, passage.positions, passage.cash)
    return _result(state.equity, journal, final, weights)


def collect(
    initial_equity: float, records: list[DayRecord], *, final: BookState | None = None, weights: FloatArray | None = None
) -> BacktestResult:
    """Put the records of successive sessions together, as they are stored by a fund that lives day by day."""
    journal = Journal(
        before=np.array([r.equity_open for r in records]),
        equity=np.array([r.equity for r in records]),
        gross_pnl=np.array([r.gross_pnl for r in records]),
        borrow=np.array([r.costs["borrow"] for r in records]),
        interest=np.array([-r.costs["interest"] for r in records]),
        long_value=np.array([r.long_value for r in records]),
        short_value=np.array([r.short_value for r in records]),
        traded=np.array([r.traded for r in records]),
        spread=np.array([r.costs["spread"] for r in records]),
        impact=np.array([r.costs["impact"] for r in records]),
        unfilled=np.array([r.unfilled for r in records], dtype=np.int64),
        closes=[(row, close.asset, close.value) for row, r in enumerate(records) for close in r.forced_closes],
    )
    return _result(initial_equity, journal, final, weights)


def _result(initial_equity: float, journal: Journal, final: BookState | None, weights: FloatArray | None) -> BacktestResult:
    positive = np.where(journal.equity > 0, journal.equity, np.nan)
    before = np.where(journal.before > 0, journal.before, np.nan)
    costs = {"spread": journal.spread, "impact": journal.impact, "borrow": journal.borrow, "interest": -journal.interest}
    return BacktestResult(
        initial_equity=initial_equity,
        equity=journal.equity,
        gross_pnl=journal.gross_pnl,
        costs=costs,
        turnover=np.nan_to_num(journal.traded / before),
        long_exposure=np.nan_to_num(journal.long_value / positive),
        short_exposure=np.nan_to_num(journal.short_value / positive),
        unfilled=journal.unfilled,
        forced_closes=tuple((row, ForcedClose(asset, value)) for row, asset, value in journal.closes),
        bankrupt=bool((journal.before <= 0).any()),
        final=final,
        weights=weights,
    )


def check_arguments(
    overnight: FloatArray,
    intraday: FloatArray,
    targets: Mapping[int, FloatArray],
    costs: TradingCosts,
    traded: BoolArray | None,
    delisting_rows: IntArray | None,
    delisting_returns: FloatArray | None,
    liquidity: Mapping[int, Liquidity] | None,
    fill: FillAt,
) -> None:
    """Refuse arguments of a backtest that do not fit each other, and targets for rows that do not exist."""
    _check_fill(fill)
    shape = overnight.shape
    fits = overnight.ndim == 2 and intraday.shape == shape and (traded is None or traded.shape == shape)
    if (delisting_rows is None) != (delisting_returns is None):
        fits = False
    if delisting_rows is not None and delisting_returns is not None:
        fits = fits and delisting_rows.shape == (shape[1],) == delisting_returns.shape
        fits = fits and bool(np.isfinite(delisting_returns[delisting_rows >= 0]).all())
        if fits and delisting_returns[delisting_rows >= 0].min(initial=0.0) < -1.0:
            raise InputRejected(
                Code.PROBLEM_INVALID, "A delisting return is below -100 %: no share can lose more than its value."
            )
    if not fits:
        raise InputRejected(Code.PROBLEM_INVALID, "Returns, masks and delistings of a backtest have shapes that do not fit.")
    outside = sorted(row for row in targets if not 0 <= row < shape[0])
    if outside:
        raise InputRejected(Code.PROBLEM_INVALID, f"There is no session for the targets of rows {outside[:5]}.")
    for row, target in targets.items():
        _check_target(target, (shape[1],), costs, None if liquidity is None else liquidity.get(row))
