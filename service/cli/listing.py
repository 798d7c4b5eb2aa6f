"""Lists that only the command line shows: models, stakes, the ledger. Each reads one snapshot and returns plain rows."""

from typing import Any

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.context import Platform


def model_rows(platform: Platform) -> list[dict[str, Any]]:
    """Return one row a model, by name: provider, tournament, when it was created, its whole stake in tokens."""
    from service.store import models

    with platform.store.read() as connection:
        rows = _stakes(connection, models.list_models(connection))
    return [{name: row[name] for name in ("model", "provider", "tournament", "stake_tokens", "created_at")} for row in rows]


def stake_rows(platform: Platform, model_name: str | None) -> list[dict[str, Any]]:
    """Return one row a model, or only that of ``model_name``: what is free, what rounds hold, the sum, what of it is on its
    way back, and the mode, in tokens; of one model also what a virtual stake would have earned.

    Raises
    ------
    InputRejected
        ``model_unknown``.
    """
    from service.store import models

    with platform.store.read() as connection:
        if model_name is None:
            chosen = models.list_models(connection)
        else:
            model = models.model_by_name(connection, model_name)
            if model is None:
                raise InputRejected(Code.MODEL_UNKNOWN, f"There is no model '{model_name[:40]}'.")
            chosen = [model]
        rows = _stakes(connection, chosen)
    names = ("model", "provider", "tournament", "free_tokens", "held_tokens", "stake_tokens", "pending_tokens", "mode")
    found = [{name: row[name] for name in names} for row in rows]
    if model_name is not None:
        from service.reports.virtual import virtual_report

        found[0]["virtual_tokens"] = virtual_report(platform, model_name)["net_tokens"]
    return found


def balance_rows(platform: Platform) -> list[dict[str, Any]]:
    """Return one row an account that holds something, by its name, with owners spelled out: what it holds, in tokens."""
    from service.store import ledger
    from staking import format_amount

    with platform.store.read() as connection:
        names = _owner_names(connection)
        balances = ledger.balances(connection)
    rows = [
        {"account": _readable(account, names), "tokens": format_amount(atoms)} for account, atoms in balances.items() if atoms
    ]
    return sorted(rows, key=lambda row: row["account"])


def transfer_rows(platform: Platform, last: int) -> list[dict[str, Any]]:
    """Return one row a transfer, the newest ``last`` of them, newest first: when, what, for what, how many tokens."""
    from service.store import ledger
    from staking import format_amount

    with platform.store.read() as connection:
        records = ledger.history(connection, limit=last)
    return [
        {
            "sequence": record.sequence,
            "id": record.transfer.id,
            "at": record.transfer.at,
            "kind": record.transfer.kind,
            "reference": record.transfer.reference,
            "tokens": format_amount(sum(max(entry.amount_atoms, 0) for entry in record.transfer.entries)),
            "hash": record.hash,
        }
        for record in records
    ]


def ledger_state(platform: Platform) -> dict[str, Any]:
    """Return how many transfers there are, the hash of the last, and every problem of a full check, with heads and guards."""
    from service.store import ledger
    from service.store.guards import missing_guards
    from service.workflows.keep_head import head_problems

    with platform.store.read() as connection:
        head = ledger.head(connection)
        problems = ledger.verify(connection) + missing_guards(connection) + head_problems(platform, connection)
    return {"transfers": head.sequence, "head": head.hash, "problems": problems}


def correction_rows(platform: Platform) -> list[dict[str, Any]]:
    """Return one row a correction, the oldest first: what, why, by whom, and how it stands."""
    from service.store import corrections
    from staking import format_amount

    with platform.store.read() as connection:
        names = _owner_names(connection)
        records = corrections.list_corrections(connection)
    return [
        {
            "id": record.id,
            "corrects": record.transfer_id,
            "state": record.state,
            "reason": record.reason,
            "entries": ", ".join(f"{_readable(account, names)} {format_amount(atoms)}" for account, atoms in record.entries),
            "proposed_by": record.proposed_by,
            "approved_by": record.approved_by,
        }
        for record in records
    ]


def _owner_names(connection: Any) -> dict[str, str]:
    from service.store import models, providers

    return {p.id: p.name for p in providers.list_providers(connection)} | {m.id: m.name for m in models.list_models(connection)}


def _readable(account: str, names: dict[str, str]) -> str:
    """Return an account's name with the ids of providers and models replaced by their names."""
    return ":".join(names.get(part, part) for part in account.split(":"))


def _stakes(connection: Any, chosen: list[Any]) -> list[dict[str, Any]]:
    from service.store import providers
    from service.workflows.stakes import candidates
    from staking import STAKE_MODES, format_amount

    owners = {provider.id: provider.name for provider in providers.list_providers(connection)}
    standing = candidates(connection, [model.id for model in chosen])
    rows = []
    for model in chosen:
        one = standing[model.id]
        compound, fixed = STAKE_MODES
        rows.append(
            {
                "model": model.name,
                "provider": owners[model.provider_id],
                "tournament": model.tournament.label,
                "free_tokens": format_amount(one.free_atoms),
                "held_tokens": format_amount(one.stake_atoms - one.free_atoms),
                "stake_tokens": format_amount(one.stake_atoms),
                "pending_tokens": format_amount(one.pending_atoms),
                "mode": compound if one.fixed_atoms is None else f"{fixed} at {format_amount(one.fixed_atoms)}",
                "created_at": model.created_at.isoformat(),
            }
        )
    return rows
