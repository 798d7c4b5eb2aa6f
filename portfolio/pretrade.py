"""What is looked at once more before orders leave: a list of findings, each with a stable code, none of them an exception.

The optimizer kept the limits at the prices and lists that it was given. Between the decision and the sending prices move, names
split or stop trading, lists change, and somebody may have approved a book that no optimizer made. So the orders themselves are
checked, name by name and as a whole:

- by name: a stale price, a price that jumped since the decision, an order over a part of the usual volume, a restricted name, a
  short that is forbidden, a split between decision and fill;
- as a whole: gross, net and the exposure to beta after the fill.

Whether a finding keeps the orders back is the operator's setting: ``refuses`` of each says so. Decision instant: that of the
check; everything handed in was known by then.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import Finding
from market.arrays import BoolArray, FloatArray, IntArray, StrArray

CHECKS = (
    Code.PRICE_STALE,
    Code.PRICE_JUMP,
    Code.ORDER_OVER_ADV,
    Code.GROSS_AFTER_FILL,
    Code.NET_AFTER_FILL,
    Code.BETA_AFTER_FILL,
    Code.ASSET_RESTRICTED,
    Code.SHORT_FORBIDDEN,
    Code.SPLIT_BEFORE_FILL,
    Code.LIST_ENTRY_UNKNOWN,
    Code.BOOKS_DIFFER,
)
"""Everything that can be found before a trade; the last by :mod:`portfolio.reconcile`, the one before where lists are read."""

SLACK = 1e-9
"""What the optimizer's own verification lets pass is no finding here."""


@dataclass(frozen=True, slots=True)
class OrderSheet:
    """The orders of n names, and what is known of each.

    Attributes
    ----------
    names : (n,) str
        What the findings call them.
    held, after : (n,) float64
        Weights before and after the fill at the prices of the decision, fractions of equity.
    values : (n,) float64
        The trade in the currency of the fund; 0 where there is none.
    price_decided, price_now : (n,) float64
        Last price known at the decision, and now; NaN where there is none.
    split : (n,) float64
        New shares for an old one by the splits since the decision; 1 for none.
    idle_sessions : (n,) int64
        Sessions since the name traded last, 0 if it did on the last one.
    adv : (n,) float64
        Usual daily volume in the currency of the fund; NaN or 0 where unknown.
    beta : (n,) float64
        Loading on beta; zeros where the risk model has none.
    restricted, no_short : (n,) bool
        Names on the operator's lists.
    """

    names: StrArray
    held: FloatArray
    after: FloatArray
    values: FloatArray
    price_decided: FloatArray
    price_now: FloatArray
    split: FloatArray
    idle_sessions: IntArray
    adv: FloatArray
    beta: FloatArray
    restricted: BoolArray
    no_short: BoolArray


@dataclass(frozen=True, slots=True)
class CheckLimits:
    """From where on something is a finding, and which findings keep the orders back.

    Attributes
    ----------
    idle_sessions_max : int
    price_jump_max : float
        Largest |price now / price decided − 1|, splits undone.
    adv_share_max : float
        Largest part of the usual daily volume that an order may be.
    gross_max, net_max, beta_max : float
        After the fill, fractions of equity; net and beta as distances from their targets.
    blocking : frozenset of Code
        Findings that keep the orders back.
    net_target, beta_target : float
        What net and beta are aimed at; 0 for a neutral book.
    """

    idle_sessions_max: int
    price_jump_max: float
    adv_share_max: float
    gross_max: float
    net_max: float
    beta_max: float
    blocking: frozenset[Code]
    net_target: float = 0.0
    beta_target: float = 0.0


def check_orders(sheet: OrderSheet, limits: CheckLimits) -> tuple[Finding, ...]:
    """Return everything that is found, name by name in the order of the checks, then of the whole book."""
    return (*_by_name(sheet, limits), *_whole(sheet, limits))


def _by_name(sheet: OrderSheet, limits: CheckLimits) -> Iterator[Finding]:
    ordered = sheet.values != 0
    jump = np.abs(sheet.price_now * sheet.split / sheet.price_decided - 1.0)
    usual = np.nan_to_num(sheet.adv)
    part = np.abs(sheet.values) / np.where(usual > 0, usual, np.nan)
    split = sheet.split != 1.0
    priced = np.isfinite(sheet.price_now)
    checks: tuple[tuple[Code, BoolArray, Callable[[int], str]], ...] = (
        (
            Code.PRICE_STALE,
            (sheet.idle_sessions > limits.idle_sessions_max) | ~priced,
            lambda i: f"has not traded for {sheet.idle_sessions[i]} sessions" if priced[i] else "has no price",
        ),
        (
            Code.PRICE_JUMP,
            (jump > limits.price_jump_max) & ~split,
            lambda i: f"has moved by {jump[i]:.1%} since the decision",
        ),
        (
            Code.ORDER_OVER_ADV,
            # A volume that nobody knows is not one that the order is a small part of.
            ~(part <= limits.adv_share_max + SLACK),
            lambda i: "has no known volume" if np.isnan(part[i]) else f"would be traded at {part[i]:.1%} of its daily volume",
        ),
        (Code.ASSET_RESTRICTED, sheet.restricted, lambda _: "is on the restricted list"),
        (
            Code.SHORT_FORBIDDEN,
            # Beyond what the optimizer's verification lets pass: a short that is kept is not one that is sold.
            sheet.no_short & (sheet.after < -SLACK) & (sheet.after < sheet.held - SLACK) & (sheet.values < 0),
            lambda _: "is on the no-short list and would be sold short",
        ),
        (Code.SPLIT_BEFORE_FILL, split, lambda i: f"has split since the decision, {sheet.split[i]:g} shares for one"),
    )
    for code, found, says in checks:
        for i in map(int, np.flatnonzero(found & ordered)):
            name = str(sheet.names[i])
            yield Finding(code, f"{name} {says(i)}.", column="asset", value=name[:64], refuses=code in limits.blocking)


def _whole(sheet: OrderSheet, limits: CheckLimits) -> Iterator[Finding]:
    after = sheet.after
    sums = (
        (Code.GROSS_AFTER_FILL, float(np.abs(after).sum()), limits.gross_max, "Longs plus shorts"),
        (
            Code.NET_AFTER_FILL,
            abs(float(after.sum()) - limits.net_target),
            limits.net_max,
            "The distance of net from its target",
        ),
        (
            Code.BETA_AFTER_FILL,
            abs(float(after @ sheet.beta) - limits.beta_target),
            limits.beta_max,
            "The distance of beta from its target",
        ),
    )
    for code, value, limit, what in sums:
        if not value <= limit + SLACK:
            text = f"{what} would be {value:.4f} of equity after the fill, more than {limit:.4f}."
            yield Finding(code, text, value=f"{value:.6f}", refuses=code in limits.blocking)
