"""Check what a bundle says was booked: sealed transfers, each there once and in its order, that move what the settlement says.

The reservation is booked by the close, which is not before ``closes_at``; the settlement's transfers one after the other at one
instant, which is not before the reservation and, of a resolved round, not before the day of its last session.

Nothing here computes a payout (:mod:`service.bundles.payments`). That the ledger around the round is whole, no bundle can show.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from crowdalpha.errors import CrowdalphaError
from service.bundles.archive import Bundle, differs, unreadable
from service.bundles.contents import LEDGER, TRANSFERS
from service.bundles.forms import atoms_of, list_of, mapping_of
from service.clock import is_instant_text
from staking import BURNED, GENESIS_HASH, TREASURY, LedgerEntry, LedgerRecord, Resolution, Transfer, seal
from staking.accounts import provider_account, reserve_account, stake_account


def records_of(bundle: Bundle) -> dict[str, LedgerRecord]:
    """Return the sealed transfers of a bundle by id, in their order, after each seal, place and link was checked.

    Raises
    ------
    InputRejected
        ``BUNDLE_UNREADABLE`` for another form; ``BUNDLE_DIFFERS``, naming the first transfer that does not fit.
    """
    found: dict[str, LedgerRecord] = {}
    before, link = 0, GENESIS_HASH
    for item in list_of(bundle.plain(LEDGER), LEDGER):
        row = mapping_of(item, LEDGER, ("sequence", "previous_hash", "hash", "transfer"), exact=True)
        try:
            plain = row["transfer"]
            if type(row["sequence"]) is not int or type(row["previous_hash"]) is not str:
                raise TypeError("a record has a number and the hash before it")
            entries = tuple(LedgerEntry(account, atoms_of(amount)) for account, amount in plain["entries"])
            transfer = Transfer(plain["id"], plain["kind"], plain["at"], entries, plain["reference"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise unreadable("a transfer has another form than it should") from error
        except CrowdalphaError as error:
            raise differs(error.message) from error
        if transfer.as_plain() != plain or seal(row["previous_hash"], row["sequence"], transfer) != row["hash"]:
            raise differs(f"the seal of transfer {transfer.id} does not fit its bytes")
        if transfer.id in found or row["sequence"] <= before:
            raise differs(f"transfer {transfer.id} stands twice, or out of its order")
        if row["sequence"] == before + 1 and row["previous_hash"] != link:
            raise differs(f"transfer {transfer.id} does not follow the one before it in the chain")
        before, link = row["sequence"], row["hash"]
        found[transfer.id] = LedgerRecord(before, row["previous_hash"], link, transfer)
    return found


def check_transfers(booked: Mapping[str, LedgerRecord], resolution: Resolution, told: Mapping[str, Any]) -> None:
    """Compare what the sealed transfers move with what the lines say, and when with ``told``, what the round says of itself.

    Raises
    ------
    InputRejected
        ``BUNDLE_DIFFERS``, naming the first difference.
    """
    own = [f"{resolution.round_id}:{name}" for name in TRANSFERS]
    strange = sorted(set(booked) - set(own))
    if strange:
        raise differs(f"transfer {strange[0]} is not of this round")
    if list(booked) != [name for name in own if name in booked]:
        raise differs("its transfers were booked in another order than a round's are")
    for name, id_ in zip(TRANSFERS, own, strict=True):
        if id_ in booked and (booked[id_].transfer.kind, booked[id_].transfer.reference) != (name, resolution.round_id):
            raise differs(f"transfer {id_} is no {name} of its round")
    _check_times([booked[name] for name in own if name in booked], resolution, told)
    moved = {name: _moved(booked.get(id_)) for name, id_ in zip(TRANSFERS, own, strict=True)}
    for line in resolution.lines:
        held = reserve_account(resolution.round_id, line.model_id)
        for name, atoms in (
            ("reserve", line.reserved_atoms), ("burn", -line.burned_atoms), ("release", -line.released_atoms),
        ):  # fmt: skip
            found = moved[name].pop(held, 0)
            if found != atoms:
                raise differs(f"model {line.model_id}: the ledger has {found} atoms in {name}, the resolution {atoms}")
        taken = moved["reserve"].pop(stake_account(line.model_id), 0)
        if taken != -line.reserved_atoms:
            raise differs(f"model {line.model_id}: {-taken} atoms left its stake for the reserve, not {line.reserved_atoms}")
    burned, paid = moved["burn"].pop(BURNED, 0), moved["payout"].pop(TREASURY, 0)
    if burned != resolution.total_burn_atoms or -paid != resolution.total_payout_atoms:
        raise differs(f"the ledger burned {burned} and paid {-paid} atoms, the resolution other amounts")
    _check_takers(moved, resolution)


def _check_times(records: Sequence[LedgerRecord], resolution: Resolution, told: Mapping[str, Any]) -> None:
    for record in records:
        transfer = record.transfer
        if not is_instant_text(transfer.at):
            raise differs(f"transfer {transfer.id} was booked at {transfer.at}, which is no instant")
        if transfer.at < told["closes_at"]:
            raise differs(f"transfer {transfer.id} was booked at {transfer.at}, before the close at {told['closes_at']}")
    settled = [record for record in records if record.transfer.kind != "reserve"]
    if len(settled) < len(records) and settled and settled[0].transfer.at < records[0].transfer.at:
        raise differs(f"the settlement was booked at {settled[0].transfer.at}, before the reservation")
    for before, after in pairwise(settled):
        if (after.sequence, after.transfer.at) != (before.sequence + 1, before.transfer.at):
            raise differs(f"transfer {after.transfer.id} was not booked right after {before.transfer.id}")
    for record in settled:
        if resolution.outcome == "resolved" and record.transfer.at[: len("2016-01-08")] < told["resolve_session"]:
            raise differs(f"the settlement was booked at {record.transfer.at}, before the session {told['resolve_session']}")


def _check_takers(moved: Mapping[str, dict[str, int]], resolution: Resolution) -> None:
    released = {stake_account(x.model_id): x.released_atoms for x in resolution.lines if x.released_atoms}
    paid: dict[str, int] = {}
    for line in resolution.lines:
        if line.paid_atoms:
            taker = provider_account(line.wallet_of) if line.wallet_of else stake_account(line.model_id)
            paid[taker] = paid.get(taker, 0) + line.paid_atoms
    for name, expected in (("reserve", {}), ("burn", {}), ("release", released), ("payout", paid)):
        if moved[name] != expected:
            account = min(set(moved[name].items()) ^ set(expected.items()))[0]
            raise differs(f"the {name} moved other amounts on {account} than the resolution says")


def _moved(record: LedgerRecord | None) -> dict[str, int]:
    return {} if record is None else {entry.account: entry.amount_atoms for entry in record.transfer.entries}
