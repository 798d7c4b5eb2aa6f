"""What rounds would have paid: histories paid anew, and virtual stakes, as every door shows them. It computes nothing."""

from collections.abc import Iterable
from typing import Any

from crowdalpha.terms import PPB
from service.context import Platform
from service.workflows.whatif import VIRTUAL_STAKE_ATOMS, WhatIf, WhatIfLine, virtual_lines
from staking import format_amount


def whatif_report(found: WhatIf) -> dict[str, Any]:
    """Return a history paid anew as plain values: a line a round, oldest first, and sums, in decimal text of tokens."""
    return {
        "model": found.model,
        "terms": found.terms or None,
        "mode": found.mode,
        "stake_tokens": format_amount(found.stake_atoms),
        **_sums(found.lines),
        "end_tokens": format_amount(found.end_atoms),
        "rounds": [_line(line) for line in found.lines],
    }


def virtual_report(platform: Platform, model_name: str) -> dict[str, Any]:
    """Return what a model would have earned where it had nothing at risk; raises InputRejected ``model_unknown``."""
    lines = virtual_lines(platform, model_name)
    return {
        "stake_tokens": format_amount(VIRTUAL_STAKE_ATOMS),
        **_sums(lines),
        "rounds": [_line(line) for line in lines],
    }


def _sums(lines: Iterable[WhatIfLine]) -> dict[str, str]:
    payouts = [line.payout_atoms for line in lines]
    return {
        "paid_tokens": format_amount(sum(max(atoms, 0) for atoms in payouts)),
        "burned_tokens": format_amount(sum(max(-atoms, 0) for atoms in payouts)),
        "net_tokens": format_amount(sum(payouts)),
    }


def _line(line: WhatIfLine) -> dict[str, Any]:
    return {
        "round": str(line.round),
        "at_risk_tokens": format_amount(line.at_risk_atoms),
        "retained": line.retention_ppb / PPB,
        "payout_tokens": None if line.lacks else format_amount(line.payout_atoms),
        "real_at_risk_tokens": format_amount(line.own_at_risk_atoms),
        "real_payout_tokens": format_amount(line.own_payout_atoms),
        "gate": line.gate or None,
        "lacks": list(line.lacks),
    }
