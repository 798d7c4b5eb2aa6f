"""A decision of the fund as a value, and as a file: target weights, what was held, the orders that follow, the evidence.

Not here: how it is decided (:mod:`service.workflows.rebalance`), and what becomes of it (:mod:`portfolio.lifecycle`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from crowdalpha.codes import Code
from crowdalpha.errors import Finding, InputRejected
from market.arrays import FloatArray, StrArray
from market.exposures import DEFAULT_STYLES
from portfolio.mandate import Mandate, mandate_from_mapping
from portfolio.sizing import OrderSizes
from service.context import Platform
from service.settings import lines_of, load_mandate
from service.store.records import RebalanceRecord


@dataclass(frozen=True, slots=True)
class Decision:
    """A decided book, before and after it is stored.

    Attributes
    ----------
    as_of : date
        Last session whose prices were known.
    fill_session : date
        Session at whose open the book is traded.
    asset_ids : (n,) array of str
    weights : (n,) float64
        Fractions of equity.
    evidence : dict
        Everything that the solver's verdict rests on, as plain JSON values.
    record : RebalanceRecord or None
        The stored row; None for a dry run.
    sizes : OrderSizes or None
        The orders, in the order of ``asset_ids``; None for a decision of a version that made none.
    findings : tuple of Finding
        What the pre-trade checks said of a decision that was made now; those of a stored one stand in its row.
    standing : bool
        True where it had been decided before and stands: nothing was proposed now.
    """

    as_of: date
    fill_session: date
    asset_ids: StrArray
    weights: FloatArray
    evidence: dict[str, Any]
    record: RebalanceRecord | None = None
    sizes: OrderSizes | None = None
    findings: tuple[Finding, ...] = ()
    standing: bool = False


@dataclass(frozen=True, slots=True)
class Loadings:
    """The exposures that a decision was made on.

    Attributes
    ----------
    names, kinds : tuple of str, length k
        Of the factors, in the order of the columns; ``market`` first.
    values : (n, k) float64
        In the order of the decision's assets.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    values: FloatArray

    def column(self, kind: str) -> FloatArray:
        """Return the first column (n,) of a kind; zeros where there is none."""
        found: FloatArray = self.values[:, self.kinds.index(kind)] if kind in self.kinds else np.zeros(len(self.values))
        return found


def loadings_of(platform: Platform, evidence: Mapping[str, Any]) -> Loadings:
    """Return the exposures that a decision's ``evidence`` names, each column with its name.

    A mapping in a stored decision has its keys in the order of the alphabet, so only the list ``factors`` tells the columns.
    One that was stored before there was such a list has the order of every risk model: market, sectors, countries, styles.
    """
    kinds: dict[str, str] = evidence["exposure_kinds"]
    names = evidence.get("factors") or sorted(kinds, key=lambda name: _column_order(name, kinds[name]))
    values = platform.blobs.get_array(evidence["exposures_sha256"])
    return Loadings(tuple(names), tuple(kinds[name] for name in names), values)


def _column_order(name: str, kind: str) -> tuple[int, int, str]:
    if kind in _DUMMIES:
        return _DUMMIES.index(kind), 0, name
    return len(_DUMMIES), DEFAULT_STYLES.index(name), name


_DUMMIES = ("market", "sector", "country")


def load_fund_mandate(platform: Platform) -> Mandate:
    """Return the mandate that the settings name, strictly read.

    Raises
    ------
    InputRejected
        MANDATE_INVALID, naming file, line and key; also for a fill at the close, which the live fund does not do.
    """
    values, source = load_mandate(platform.settings.fund.mandate, platform.settings.config_dir)
    try:
        mandate = mandate_from_mapping(values, source)
    except InputRejected:
        # Finding lines costs more than reading the file: it is done for whoever has to mend it.
        mandate = mandate_from_mapping(values, source, lines_of(source))
    if mandate.fill != "open":
        line = lines_of(source)["fill"]
        what = f"{source}, line {line}: the fund trades at the open; fill = {mandate.fill!r} is for backtests only."
        raise InputRejected(Code.MANDATE_INVALID, what)
    return mandate


def refuse_other_capital(platform: Platform, mandate: Mandate) -> None:
    """Refuse to decide for a fund whose mandate speaks of another capital than it starts with.

    What was decided before is settled all the same.

    Raises
    ------
    InputRejected
        MANDATE_INVALID, naming file, line and both figures.
    """
    capital = platform.settings.fund.initial_capital
    if mandate.aum == capital:
        return
    _, source = load_mandate(platform.settings.fund.mandate, platform.settings.config_dir)
    lines = lines_of(source)
    where = f"{source}, line {lines['aum']}" if "aum" in lines else str(source)
    what = f"{where}: aum is {mandate.aum:,.0f}, and the setting fund.initial_capital is {capital:,.0f}: set both alike."
    raise InputRejected(Code.MANDATE_INVALID, what)


def put_decision(platform: Platform, decision: Decision) -> str:
    """Write the decision's file and return its hash."""
    payload: dict[str, Any] = {
        "evidence": decision.evidence,
        "asset_ids": [str(a) for a in decision.asset_ids],
        "weights": [float(w) for w in decision.weights],
        "fill_session": decision.fill_session.isoformat(),
    }
    if decision.sizes is not None:
        sizes = decision.sizes
        payload["orders"] = {
            "held": sizes.held.tolist(),
            "equity": sizes.equity,
            "prices": _plain(sizes.prices),
            "values": sizes.values.tolist(),
            "shares": _plain(sizes.shares),
            "traded": sizes.traded.tolist(),
            "small": sizes.small.tolist(),
        }
    return platform.blobs.put(json.dumps(payload, sort_keys=True, allow_nan=False).encode())


def read_decision(platform: Platform, record: RebalanceRecord) -> Decision:
    """Read a stored decision back."""
    payload = json.loads(platform.blobs.get(record.sha256))
    weights = np.array(payload["weights"], dtype=np.float64)
    sizes = None
    if "orders" in payload:
        orders = payload["orders"]
        sizes = OrderSizes(
            wanted=weights,
            held=np.array(orders["held"], dtype=np.float64),
            equity=orders["equity"],
            prices=np.array(orders["prices"], dtype=np.float64),
            values=np.array(orders["values"], dtype=np.float64),
            shares=np.array(orders["shares"], dtype=np.float64),
            traded=np.array(orders["traded"], dtype=bool),
            small=np.array(orders["small"], dtype=bool),
        )
    return Decision(
        as_of=record.as_of,
        fill_session=date.fromisoformat(payload["fill_session"]),
        asset_ids=np.array(payload["asset_ids"]),
        weights=weights,
        evidence=payload["evidence"],
        record=record,
        sizes=sizes,
    )


def _plain(values: FloatArray) -> list[float | None]:
    """Return None for what JSON has no word for; NumPy reads it back as NaN."""
    return [float(v) if np.isfinite(v) else None for v in values]
