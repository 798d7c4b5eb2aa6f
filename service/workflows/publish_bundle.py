"""Publish what proves a settled round: the public bundle, the auditor's, and in time the complete one.

It comes after the settlement and is no part of it: nothing here can hold up or undo a payment, and a bundle that could not be
made today is made by the next run.

1. *load* a settled round; its frozen files, rows and sealed transfers do not change any more.
2. *decide* the bytes of each bundle that its terms promise and that is not there yet: the public one at once; sealed to the
   auditor at once, where a key is named; the complete one ``reveal_after_days`` after the settlement, and of a round that
   became void as many days after its last session, because the returns that its files foretell run until then.
3. *commit* the file, then its name among the round's artifacts; each bundle by itself, the public one first.

Run twice it changes nothing: what is published stays, byte for byte. A round whose bundle cannot be made holds up no other.
"""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from functools import partial

from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.errors import Conflict, CrowdalphaError, InputRejected
from crowdalpha.ids import RoundKey
from crowdalpha.terms import NO_PROOF, ProofTerms, RoundTerms
from service.bundles.archive import COMPLETE, PUBLIC, write_bundle
from service.bundles.contents import complete_files, public_files, revealed_files, settled_round
from service.bundles.sealed import seal_to
from service.context import Platform
from service.store import audit, resolutions, rounds
from service.store.records import ResolutionRecord, RoundRecord

PUBLIC_ARTIFACT, AUDITOR_ARTIFACT, COMPLETE_ARTIFACT = "bundle", "bundle_auditor", "bundle_complete"
Files = Callable[[Platform, Connection, RoundKey], dict[str, bytes]]
ARTIFACTS = (PUBLIC_ARTIFACT, AUDITOR_ARTIFACT, COMPLETE_ARTIFACT)


def publish_bundles(platform: Platform) -> int:
    """Publish what is due of all settled rounds; return how many bundles are new.

    Raises
    ------
    Conflict
        With the code of the first failure, after all other rounds were published. Whatever it was, trying again does no harm,
        and publishes what has come meanwhile.
    """
    with platform.store.read() as connection:
        keys = [record.round for record in resolutions.list_resolutions(connection)]
        standing = {name: rounds.artifacts_named(connection, name) for name in ARTIFACTS}
        proofs = {r.key: RoundTerms.from_dict(r.terms).proof for r in rounds.list_rounds(connection) if "proof" in r.terms}
    new, failures = 0, list[tuple[RoundKey, CrowdalphaError]]()
    for key in keys:
        proof = proofs.get(key, NO_PROOF)
        promised = (True, bool(proof.auditor_key), proof.reveal_after_days > 0)
        if any(wanted and key not in standing[name] for name, wanted in zip(ARTIFACTS, promised, strict=True)):
            try:
                new += len(publish_bundle(platform, key))
            except CrowdalphaError as error:
                failures.append((key, error))
    if failures:
        first, failure = failures[0]
        more = f", and {len(failures) - 1} rounds more" if len(failures) > 1 else ""
        raise Conflict(failure.code, f"A bundle of {first}{more} cannot be made: {failure.message}") from failure
    return new


def publish_bundle(platform: Platform, key: RoundKey) -> list[str]:
    """Publish what is due of one settled round; return the names of the artifacts that are new.

    Raises
    ------
    InputRejected
        ROUND_UNKNOWN; AUDITOR_KEY where nothing can be sealed to the key that the terms name. The public bundle stands by then.
    Conflict
        ROUND_NOT_DUE before the round is settled.
    """
    with platform.store.read() as connection:
        record, resolution = settled_round(connection, key)
        standing = rounds.artifacts(connection, key)
    proof = RoundTerms.from_dict(record.terms).proof
    revealed = _is_revealed(platform, record, resolution, proof)
    due = {
        PUBLIC_ARTIFACT: (True, partial(_written, platform, PUBLIC, public_files, key)),
        COMPLETE_ARTIFACT: (revealed, partial(_written, platform, COMPLETE, revealed_files, key)),
        AUDITOR_ARTIFACT: (bool(proof.auditor_key), partial(_sealed, platform, key, proof.auditor_key)),
    }
    new = []
    for name, (wanted, make) in due.items():
        if wanted and name not in standing and _keep(platform, key, name, platform.blobs.put(make())):
            new.append(name)
    return sorted(new)


def _is_revealed(platform: Platform, record: RoundRecord, resolution: ResolutionRecord, proof: ProofTerms) -> bool:
    """Say whether all files are public by now: days count from the settlement, or from the end of the last session if later."""
    if not proof.reveal_after_days:
        return False
    last = datetime.combine(record.resolve_session + timedelta(days=1), time(), UTC)
    # Not the sum of days and an instant: a promise of a million years has none.
    return (platform.clock.now() - max(resolution.resolved_at, last)).days >= proof.reveal_after_days


def _written(platform: Platform, kind: str, files: Files, key: RoundKey) -> bytes:
    with platform.store.read() as connection:
        return write_bundle(kind, str(key), files(platform, connection, key), platform.signer)


def _sealed(platform: Platform, key: RoundKey, auditor_key: str) -> bytes:
    return seal_to(_written(platform, COMPLETE, complete_files, key), auditor_key)


def _keep(platform: Platform, key: RoundKey, name: str, sha: str) -> bool:
    with platform.store.write() as connection:
        if name in rounds.artifacts(connection, key):
            return False
        rounds.set_artifact(connection, key, name, sha)
        audit.record(connection, platform.clock.now(connection), "schedule", "publish_bundle", str(key), {name: sha})
    return True


def bundle_of(platform: Platform, key: RoundKey, *, sealed: bool = False) -> bytes:
    """Return the bytes of a round's published bundle: the complete one where it is public, or the one sealed to the auditor.

    Raises
    ------
    InputRejected
        ROUND_UNKNOWN, or BUNDLE_MISSING while there is none.
    """
    with platform.store.read() as connection:
        if rounds.round_by_key(connection, key) is None:
            raise InputRejected(Code.ROUND_UNKNOWN, f"There is no round {key}.")
        standing = rounds.artifacts(connection, key)
    wanted = (AUDITOR_ARTIFACT,) if sealed else (COMPLETE_ARTIFACT, PUBLIC_ARTIFACT)
    sha = next((standing[name] for name in wanted if name in standing), None)
    if sha is None:
        kind = "sealed bundle" if sealed else "bundle"
        raise InputRejected(Code.BUNDLE_MISSING, f"Round {key} has no {kind}, or not yet: it is made after the settlement.")
    return platform.blobs.get(sha)
