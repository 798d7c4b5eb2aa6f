"""Check what a bundle says was booked: sealed transfers, each there once and in its order, that move what the settlement says.

Nothing here computes a payout (:mod:`service.bundles.payments`). That the ledger around the round is whole, no bundle can show.
"""

from collections.abc import Mapping

from crowdalpha.errors import CrowdalphaError
from service.bundles.archive import Bundle, differs, unreadable
from service.bundles.contents import LEDGER, TRANSFERS
from service.bundles.forms import atoms_of, list_of, mapping_of
from staking import BURNED, GENESIS_HASH, TREASURY, LedgerEntry, Resolution, Transfer, seal
from staking.accounts import provider_account, reserve_account, stake_account


def records_of(bundle: Bundle) -> dict[str, Transfer]:
    """Return the sealed transfers of a bundle by id, in their order, after each seal, place and link was checked.

    Raises
    ------
    InputRejected
        ``BUNDLE_UNREADABLE`` for another form; ``BUNDLE_DIFFERS``, naming the first transfer that does not fit.
    """
    found: dict[str, Transfer] = {}
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
        found[transfer.id] = transfer
    return found


def check_transfers(booked: Mapping[str, Transfer], resolution: Resolution) -> None:
    """Compare what the sealed transfers move with what the lines say; raises InputRejected ``BUNDLE_DIFFERS``."""
    own = [f"{resolution.round_id}:{name}" for name in TRANSFERS]
    strange = sorted(set(booked) - set(own))
    if strange:
        raise differs(f"transfer {strange[0]} is not of this round")
    if list(booked) != [name for name in own if name in booked]:
        raise differs("its transfers were booked in another order than a round's are")
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


def _moved(transfer: Transfer | None) -> dict[str, int]:
    return {} if transfer is None else {entry.account: entry.amount_atoms for entry in transfer.entries}
