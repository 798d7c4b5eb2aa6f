"""Gathers what the pre-trade checks look at, as known now: prices, volumes, splits, the operator's lists, the broker's account.

It decides nothing: the checks are :mod:`portfolio.pretrade` and :mod:`portfolio.reconcile`. Decision instant: the clock's.
"""

import numpy as np
from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.errors import Finding, InputRejected
from market.panel import PanelView
from portfolio.mandate import Mandate
from portfolio.pretrade import CHECKS, CheckLimits, OrderSheet, check_orders
from portfolio.reconcile import compare_books
from service.book import read_book
from service.broker import Broker
from service.context import Platform
from service.decide import median_dollar_volume
from service.decisions import Decision, load_fund_mandate, loadings_of
from service.orders import WHOLE, idle_sessions, last_prices, split_since, tickers_of
from service.settings import Settings
from service.tradelists import no_short_names, restricted_names, unknown_entries

BETA = "beta"
MOVE_MIN = 1e-12
"""A weight that the optimizer leaves may move by a rounding; that is no order."""


def pretrade_findings(
    platform: Platform, connection: Connection, broker: Broker, view: PanelView, decision: Decision
) -> tuple[Finding, ...]:
    """Return what is found about a decision's orders as of ``view``, and about the account that they would change."""
    found = (*_unknown(platform, view), *book_differences(platform, connection, broker))
    if decision.sizes is None:
        return found
    mandate = load_fund_mandate(platform)
    return check_orders(_sheet(platform, view, decision), check_limits(platform.settings, mandate)) + found


def book_differences(platform: Platform, connection: Connection, broker: Broker) -> tuple[Finding, ...]:
    """Return how the broker's account differs from the fund's book; nothing before the broker has traded."""
    account = broker.account(connection)
    if account is None:
        return ()
    book, _ = read_book(connection, platform)
    refuses = Code.BOOKS_DIFFER in _blocking(platform.settings)
    found = compare_books(book, account, platform.settings.fund.orders.reconcile_tolerance)
    return tuple(Finding(f.code, f.message, column=f.column, value=f.value, refuses=refuses) for f in found)


def _unknown(platform: Platform, view: PanelView) -> tuple[Finding, ...]:
    refuses = Code.LIST_ENTRY_UNKNOWN in _blocking(platform.settings)
    return tuple(
        Finding(
            Code.LIST_ENTRY_UNKNOWN, f"'{entry[:64]}' on the list '{key}' names no asset that is known.",
            column=key, value=entry[:64], refuses=refuses,
        )
        for key, entry in unknown_entries(platform, view)
    )  # fmt: skip


def _sheet(platform: Platform, view: PanelView, decision: Decision) -> OrderSheet:
    sizes, ids = decision.sizes, decision.asset_ids
    if sizes is None:
        raise InputRejected(Code.REBALANCE_STATE, "The decision holds no orders.")
    positions = platform.desk.positions_of(ids)
    after = sizes.reached(whole=platform.settings.fund.orders.shares == WHOLE)
    dead = view.delisting_index[positions] >= 0
    move = after - sizes.held
    return OrderSheet(
        names=np.array(tickers_of(platform, view, ids), dtype=np.str_),
        held=sizes.held,
        after=after,
        # What is delisted is closed by the event and not by an order.
        values=np.where(dead | (np.abs(move) < MOVE_MIN), 0.0, move * sizes.equity),
        price_decided=sizes.prices,
        price_now=last_prices(view, positions),
        split=split_since(view, positions, np.datetime64(decision.as_of, "D")),
        idle_sessions=idle_sessions(view, positions),
        adv=median_dollar_volume(platform.desk, view, positions),
        beta=loadings_of(platform, decision.evidence).column(BETA),
        restricted=restricted_names(platform, view, ids),
        no_short=no_short_names(platform, view, ids),
    )


def _blocking(settings: Settings) -> frozenset[Code]:
    notices = settings.fund.orders.notices.split()
    return frozenset(code for code in CHECKS if code.value not in notices)


def check_limits(settings: Settings, mandate: Mandate) -> CheckLimits:
    """Return from where on something is a finding: the settings' figures, and the mandate's with the settings' slack."""
    own = settings.fund.orders
    return CheckLimits(
        idle_sessions_max=own.idle_sessions_max,
        price_jump_max=own.price_jump_max,
        adv_share_max=own.adv_share_max,
        # What may give way up to a hard figure is a matter of the approval; nothing goes beyond that figure.
        gross_max=mandate.hard_figure("gross_max") + own.after_fill_slack,
        net_max=mandate.hard_figure("net_band") + own.after_fill_slack,
        beta_max=mandate.hard_figure("beta_band") + own.after_fill_slack,
        blocking=_blocking(settings),
        net_target=mandate.net_target,
        beta_target=mandate.beta_target,
    )
