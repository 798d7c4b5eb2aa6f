"""Publish what proves a settled round: the public bundle, the auditor's, and in time the complete one.

It comes after the settlement and is no part of it: nothing here can hold up or undo a payment, and a bundle that could not be
made today is made by the next run.

1. *load* a settled round; its frozen files, rows and sealed transfers do not change any more.
2. *decide* the bytes of each bundle that its terms promise and that is not there yet: the public one at once; sealed to the
   auditor at once, where a key is named; the complete one ``reveal_after_days`` after the settlement.
3. *commit* the file, then its name among the round's artifacts.

Run twice it changes nothing: what is published stays, byte for byte.
"""

from datetime import timedelta

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.ids import RoundKey
from crowdalpha.terms import NO_PROOF, RoundTerms
from service.bundles.archive import COMPLETE, PUBLIC, write_bundle
from service.bundles.contents import complete_files, public_files, settled_round
from service.bundles.sealed import seal_to
from service.context import Platform
from service.store import audit, resolutions, rounds

PUBLIC_ARTIFACT, AUDITOR_ARTIFACT, COMPLETE_ARTIFACT = "bundle", "bundle_auditor", "bundle_complete"
ARTIFACTS = (PUBLIC_ARTIFACT, AUDITOR_ARTIFACT, COMPLETE_ARTIFACT)


def publish_bundles(platform: Platform) -> int:
    """Publish what is due of all settled rounds; return how many bundles are new."""
    with platform.store.read() as connection:
        keys = [record.round for record in resolutions.list_resolutions(connection)]
        standing = {name: rounds.artifacts_named(connection, name) for name in ARTIFACTS}
        proofs = {r.key: RoundTerms.from_dict(r.terms).proof for r in rounds.list_rounds(connection) if "proof" in r.terms}
    new = 0
    for key in keys:
        proof = proofs.get(key, NO_PROOF)
        promised = (True, bool(proof.auditor_key), proof.reveal_after_days > 0)
        if any(wanted and key not in standing[name] for name, wanted in zip(ARTIFACTS, promised, strict=True)):
            new += len(publish_bundle(platform, key))
    return new


def publish_bundle(platform: Platform, key: RoundKey) -> list[str]:
    """Publish what is due of one settled round; return the names of the artifacts that are new.

    Raises
    ------
    InputRejected
        ROUND_UNKNOWN.
    Conflict
        ROUND_NOT_DUE before the round is settled.
    """
    with platform.store.read() as connection:
        record, resolution = settled_round(connection, key)
        standing = rounds.artifacts(connection, key)
        proof = RoundTerms.from_dict(record.terms).proof
        made: dict[str, bytes] = {}
        if PUBLIC_ARTIFACT not in standing:
            made[PUBLIC_ARTIFACT] = write_bundle(PUBLIC, str(key), public_files(platform, connection, key), platform.signer)
        revealed_at = resolution.resolved_at + timedelta(days=proof.reveal_after_days)
        reveal = proof.reveal_after_days > 0 and revealed_at <= platform.clock.now()
        sealed = bool(proof.auditor_key) and AUDITOR_ARTIFACT not in standing
        if sealed or (reveal and COMPLETE_ARTIFACT not in standing):
            whole = write_bundle(COMPLETE, str(key), complete_files(platform, connection, key), platform.signer)
            if sealed:
                made[AUDITOR_ARTIFACT] = seal_to(whole, proof.auditor_key)
            if reveal and COMPLETE_ARTIFACT not in standing:
                made[COMPLETE_ARTIFACT] = whole
    hashes = {name: platform.blobs.put(data) for name, data in made.items()}
    if not hashes:
        return []
    with platform.store.write() as connection:
        now = platform.clock.now(connection)
        standing = rounds.artifacts(connection, key)
        new = {name: sha for name, sha in hashes.items() if name not in standing}
        for name, sha in new.items():
            rounds.set_artifact(connection, key, name, sha)
        if new:
            audit.record(connection, now, "schedule", "publish_bundle", str(key), new)
    return sorted(new)


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
