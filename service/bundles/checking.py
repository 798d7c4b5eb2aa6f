"""``crowdalpha verify``: all that can be checked of a bundle and of a receipt, in order, up to the first difference."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crowdalpha.canonical import sha256_hex
from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from service.bundles.archive import COMPLETE, Bundle, differs, read_bundle
from service.bundles.completeness import check_files, check_universe
from service.bundles.noted import NOTHING_NOTED, Noted, check_noted
from service.bundles.payments import Settled, check_payments, path_of
from service.bundles.sealed import is_sealed, open_sealed
from service.receipts import Receipt, verify_receipt
from staking import format_amount


@dataclass(slots=True)
class Checked:
    """What was found to hold, a sentence each; and the same facts for a script."""

    steps: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def verify(
    bundle: bytes | None,
    *,
    receipt: bytes | None = None,
    file: bytes | None = None,
    private_key: str | None = None,
    public_key: str | None = None,
    noted: Noted = NOTHING_NOTED,
    tell: Callable[[str], None] = lambda _: None,
) -> Checked:
    """Check a bundle, a receipt, or both with each other.

    Parameters
    ----------
    bundle : bytes or None
        A public, complete or sealed bundle.
    receipt : bytes or None
        A receipt as JSON; without a bundle, ``public_key`` is needed.
    file : bytes or None
        The file that the receipt is for; without a receipt one that counted in the bundle's round.
    private_key : str or None
        Opens a sealed bundle; refused with any other, because it would have no part in what is found.
    public_key : str or None
        The platform's, as known from elsewhere.
    noted : Noted
        What was noted of the round before it was settled.
    tell : callable
        Gets each step's sentence as it is found to hold.

    Raises
    ------
    InputRejected
        ``BUNDLE_UNREADABLE``, ``BUNDLE_DIFFERS``, ``RECEIPT_INVALID``, ``AUDITOR_KEY`` or ``REQUEST_INVALID``; the message is
        the first difference.
    """
    if bundle is None and receipt is None:
        raise InputRejected(Code.REQUEST_INVALID, "There is nothing to verify: give a bundle, a receipt, or both.")
    if bundle is None and private_key is not None:
        raise InputRejected(Code.REQUEST_INVALID, "--key opens a sealed bundle, and none is given.")
    if bundle is None and noted:
        raise InputRejected(Code.REQUEST_INVALID, "What was noted is compared with a bundle, and none is given.")
    checked = _Steps(Checked(), tell)
    opened: Bundle | None = None
    sealed = False
    if bundle is not None:
        sealed = is_sealed(bundle)
        opened = _open(bundle, private_key, public_key)
        checked.note(f"The bundle of {opened.round} is whole and signed by {opened.public_key[:16]}….")
    key = public_key if public_key is not None else None if opened is None else opened.public_key
    proof = None if receipt is None else _receipt(receipt, file, key, checked)
    if opened is not None:
        settled = _check_bundle(opened, noted, checked, sealed=sealed)
        if proof is not None:
            _check_against(opened, settled, proof, file, checked)
        elif file is not None:
            _look_up(opened, settled, file, checked)
    return checked.checked


@dataclass(frozen=True, slots=True)
class _Steps:
    checked: Checked
    tell: Callable[[str], None]

    def note(self, sentence: str, **facts: Any) -> None:
        self.checked.steps.append(sentence)
        self.checked.facts.update(facts)
        self.tell(sentence)


def _open(data: bytes, private_key: str | None, public_key: str | None) -> Bundle:
    if is_sealed(data):
        if private_key is None:
            raise InputRejected(Code.AUDITOR_KEY, "The bundle is sealed: its auditor's private key opens it (--key).")
        return read_bundle(open_sealed(data, private_key), public_key)
    opened = read_bundle(data, public_key)
    if private_key is not None:
        raise InputRejected(Code.REQUEST_INVALID, "The bundle is not sealed: --key is for one that is, and opens nothing here.")
    return opened


def _receipt(data: bytes, file: bytes | None, public_key: str | None, checked: _Steps) -> Receipt:
    if public_key is None:
        raise InputRejected(Code.REQUEST_INVALID, "A receipt alone is checked under the platform's public key (--public-key).")
    receipt = Receipt.from_json(data)
    verify_receipt(receipt, public_key)
    when = "on time" if receipt.on_time else "late"
    checked.note(f"The receipt is signed: {receipt.sha256[:16]}… for {receipt.round}, {when}.", receipt=receipt.submission_id)
    if file is not None:
        if sha256_hex(file) != receipt.sha256:
            raise InputRejected(Code.RECEIPT_INVALID, "The receipt is for another file: the hashes differ.")
        checked.note("The file is the one that the receipt names.")
    return receipt


def _check_bundle(bundle: Bundle, noted: Noted, checked: _Steps, *, sealed: bool) -> Settled:
    settled = check_payments(bundle)
    check_files(bundle, settled, sealed=sealed)
    resolution, told = settled.resolution, settled.told
    checked.note(
        f"All {len(resolution.lines)} settlements follow from their inputs: {format_amount(resolution.total_payout_atoms)} "
        f"tokens paid, {format_amount(resolution.total_burn_atoms)} burned.",
        round=bundle.round, outcome=resolution.outcome, kind=bundle.kind, lines=len(resolution.lines),
        paid_atoms=str(resolution.total_payout_atoms), burned_atoms=str(resolution.total_burn_atoms),
    )  # fmt: skip
    root = told["submissions_root"]
    checked.note(f"The terms have the hash {settled.terms.hash}.", terms_hash=settled.terms.hash)
    files = f"The {len(settled.leaves)} files that counted are those of the root {root}."
    checked.note(files if root else "No file counted: the round was void before its close.", root=root)
    # Said by the bundle and recomputed from nothing: for whoever noted them.
    checked.checked.facts |= {name: told[name] for name in ("opens_at", "closes_at", "base_session", "universe_hash")}
    same = check_noted(settled, noted)
    if same:
        checked.note(f"As it was noted: {', '.join(same)}.", noted=same)
    anew = check_universe(bundle, settled)
    checked.checked.facts["universe_recomputed"] = anew
    if bundle.kind == COMPLETE:
        from service.bundles.rescoring import rescore_all

        why = "the assets or the rule that its hash is over are not in the bundle"
        checked.note(
            f"The universe has the hash {told['universe_hash']}." if anew else f"The universe was taken as published: {why}."
        )

        found = rescore_all(bundle, settled)
        checked.note(
            f"The scores of all {found.models} models follow from their files: {', '.join(found.kinds) or 'none'}.",
            rescored_models=found.models, rescored_kinds=list(found.kinds), not_rescored=dict(found.left_out),
        )  # fmt: skip
        _tell_left_out(found.left_out, checked)
    return settled


def _check_against(bundle: Bundle, settled: Settled, receipt: Receipt, file: bytes | None, checked: _Steps) -> None:
    if receipt.round != bundle.round:
        raise differs(f"the receipt is for round {receipt.round}, the bundle is of {bundle.round}")
    _check_instant(settled, receipt)
    leaf = next((s for s in settled.submissions if s["model_id"] == receipt.model_id), None)
    if not receipt.on_time:
        checked.note("The receipt is for a late file, which did not count.")
        return
    if settled.told["submissions_root"] is None:
        checked.note("The round was made void before its close: no file of anybody counted, and nothing was at risk.")
        return
    if leaf is not None and leaf["received_at"] == receipt.received_at and leaf["sha256"] != receipt.sha256:
        raise differs("the receipt names another file than the one that counted, of the same model at the same instant")
    if leaf is None or leaf["received_at"] < receipt.received_at:
        raise differs("the receipt is for a file on time, and no file of its model as late as that counted")
    if (leaf["sha256"], leaf["received_at"]) != (receipt.sha256, receipt.received_at):
        checked.note("The receipt is for a file that a later one of the same model replaced.")
        return
    path = path_of(settled, receipt.model_id)
    checked.note(
        f"The receipt's file counted: its path of {len(path)} hashes leads to the root.", path=[list(step) for step in path]
    )
    if file is not None:
        _rescore(bundle, settled, [receipt.model_id], file, checked)


def _look_up(bundle: Bundle, settled: Settled, file: bytes, checked: _Steps) -> None:
    """Find a file without a receipt among those that counted; nothing can be said of one that did not, so it is refused."""
    sha = sha256_hex(file)
    found = [s for s in settled.submissions if s["sha256"] == sha]
    if not found:
        raise InputRejected(
            Code.REQUEST_INVALID,
            f"The file is none of those that counted in round {bundle.round} (its SHA-256 is {sha}). Whether it should have, "
            "its receipt shows: --file needs --receipt.",
        )
    for one in found:
        checked.note(f"The file counted: it came at {one['received_at']} for model {one['model_id']}.")
    models = [str(one["model_id"]) for one in found]
    checked.checked.facts["file_models"] = models
    _rescore(bundle, settled, models, file, checked)


def _rescore(bundle: Bundle, settled: Settled, models: Sequence[str], file: bytes, checked: _Steps) -> None:
    """Compute a file's scores for each of its models; of a complete bundle those of all models were computed before."""
    if bundle.kind == COMPLETE:
        return
    from service.bundles.rescoring import rescore_own

    every = [rescore_own(bundle, settled, model, file) for model in models]
    first = every[0]
    checked.note(
        f"Its scores follow from the file: {', '.join(first.kinds) or 'none could be computed'}.",
        rescored_models=sum(found.models for found in every), rescored_kinds=list(first.kinds),
        not_rescored=dict(first.left_out),
    )  # fmt: skip
    _tell_left_out(first.left_out, checked)


def _check_instant(settled: Settled, receipt: Receipt) -> None:
    """Compare the receipt's word on whether its file was late with the bundle's instants: exactly at the close is late.

    A file that came while the round was open and was turned away as late is a difference; so is one that counts and came after.
    """
    opens_at, closes_at = settled.told["opens_at"], settled.told["closes_at"]
    if receipt.received_at < opens_at or receipt.on_time != (receipt.received_at < closes_at):
        word = "on time" if receipt.on_time else "late"
        raise differs(
            f"the receipt says that a file which came at {receipt.received_at} was {word}, and the round was open from "
            f"{opens_at} until {closes_at}"
        )


def _tell_left_out(left_out: Mapping[str, str], checked: _Steps) -> None:
    for kind, reason in left_out.items():
        checked.note(f"Not computed again: {kind}, because {reason}.")
