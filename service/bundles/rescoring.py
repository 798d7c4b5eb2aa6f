"""Check a bundle's scores: from files to the published integers, with the functions that made them.

Of a ``public`` bundle: the scores of one model, from its owner's file, as far as what they were measured against is public.
Of a ``complete`` bundle: every file against the commitment of the close, the meta-model, and the scores of every model, as far
as what they need is there: the one that is public of a classic round names no asset, and so has no exposures.

What is compared are parts per billion. Another processor may sum in another order, which moves a score by one in the last
place where it lay on the border: :data:`SLACK_PPB`.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from crowdalpha.canonical import sha256_hex
from crowdalpha.codes import Code
from crowdalpha.errors import CrowdalphaError
from market.arrays import FloatArray
from service.bundles.archive import Bundle, differs, unreadable
from service.bundles.completeness import names_assets, tournament_of
from service.bundles.payments import VOID, Settled
from service.frames import RoundFrame
from service.workflows.close_round import prepare_book, scored_beside
from service.workflows.submit import file_format
from signals.labels import NO_SCHEMES, LabelScheme
from signals.prepared import PreparedRound, prepare_round, score_prepared
from signals.quantize import scores_ppb
from signals.submission import judge

SLACK_PPB = 1
META_MODEL_TOLERANCE = 1e-9
"""Largest difference of a meta-model's values, whose unit is a standard deviation."""

NEEDS_META_MODEL = frozenset({"mmc", "neutral_mmc"})
NEEDS_EXPOSURES = frozenset({"neutral_corr", "neutral_mmc", "alpha"})
NEEDS_ALL_FILES = frozenset({"mpc"})
NOT_SCORED = "the round was not scored"
ASSETS_WITHHELD = "exposures would tell which assets the ids of the classic tournament are"


@dataclass(frozen=True, slots=True)
class Rescored:
    """Which scores of how many models were computed again, and why others were not.

    Attributes
    ----------
    models : int
    kinds : tuple of str
    left_out : mapping of str to str
        For each other kind of the round's terms, the reason.
    """

    models: int
    kinds: tuple[str, ...]
    left_out: Mapping[str, str]


@contextmanager
def _fitting() -> Iterator[None]:
    """Turn whatever a computation says of files that do not fit each other into the one error of a damaged bundle."""
    try:
        yield
    except CrowdalphaError as error:
        if error.code in {Code.BUNDLE_DIFFERS, Code.BUNDLE_UNREADABLE}:
            raise
        raise unreadable(f"its files do not fit each other: {error.message}") from error
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise unreadable("its files have other contents than they should") from error


@_fitting()
def rescore_own(bundle: Bundle, settled: Settled, model_id: str, data: bytes) -> Rescored:
    """Compute one model's scores again from its own file.

    Parameters
    ----------
    data : bytes
        The file as it was sent; its SHA-256 is the one that the close committed to.

    Raises
    ------
    InputRejected
        ``BUNDLE_DIFFERS`` if the file is another one, or a score differs; ``BUNDLE_UNREADABLE`` for a damaged bundle.
    """
    leaf = next((s for s in settled.submissions if s["model_id"] == model_id), None)
    if leaf is None:
        raise differs(f"no file of model {model_id} counted in round {bundle.round}")
    if sha256_hex(data) != leaf["sha256"]:
        raise differs(f"the file that counted for model {model_id} has the hash {leaf['sha256']}, and this one another")
    if settled.resolution.outcome == VOID:
        return Rescored(0, (), dict.fromkeys(settled.terms.scoring.kinds, NOT_SCORED))
    labels = list(bundle.plain("yardstick/labels.json"))
    values = _signal(bundle, settled, labels, data, "yardstick", model_id)
    left_out = _not_public(bundle, settled)
    kinds = tuple(kind for kind in settled.terms.scoring.kinds if kind not in left_out)
    places = [f"{i:09d}" for i in range(len(labels))]  # sorted as they stand
    exposures, weights_v = _public_exposures(bundle, settled, places, labels)
    meta = bundle.array("yardstick/metamodel_raw.npy") if "yardstick/metamodel_raw.npy" in bundle.files else None
    prepared = prepare_round(
        values[None, :], places, [model_id], exposures, meta, _features(bundle, settled, "yardstick"), weights_v, kinds=kinds
    )
    _compare(prepared, bundle.array("yardstick/target.npy"), kinds, settled)
    return Rescored(1, kinds, left_out)


@_fitting()
def rescore_all(bundle: Bundle, settled: Settled) -> Rescored:
    """Compute everything again from the files: verdicts, meta-model, all scores.

    Raises
    ------
    InputRejected
        As :func:`rescore_own`.
    """
    universe = bundle.plain("frozen/universe.json")
    labels = list(universe["labels"])
    models = [str(s["model_id"]) for s in settled.submissions]
    predictions = np.empty((len(models), len(labels)))
    for row, submission in enumerate(settled.submissions):
        data = bundle.files[f"files/{submission['sha256']}.csv"]
        if sha256_hex(data) != submission["sha256"]:
            raise differs(f"the file that counted for model {submission['model_id']} is not the one that was committed to")
        predictions[row] = _signal(bundle, settled, labels, data, "frozen", submission["model_id"])
    if settled.resolution.outcome == VOID:
        return Rescored(0, (), dict.fromkeys(settled.terms.scoring.kinds, NOT_SCORED))
    named = names_assets(bundle)
    left_out = (
        {} if named else {k: ASSETS_WITHHELD for k in settled.terms.scoring.kinds if k in NEEDS_EXPOSURES | NEEDS_ALL_FILES}
    )
    kinds = tuple(kind for kind in settled.terms.scoring.kinds if kind not in left_out)
    if not kinds:
        return Rescored(0, (), left_out)
    at_risk = {line.model_id: line.at_risk_atoms for line in settled.resolution.lines}
    book, prepared = prepare_book(
        replace(settled.terms.scoring, kinds=kinds),
        _frame(bundle, universe["asset_ids"], labels, "frozen") if named else _frame_without_assets(labels),
        models, predictions, [at_risk.get(m, 0) for m in models], _features(bundle, settled, "frozen"),
    )  # fmt: skip
    for name, found in (("metamodel_raw", book.raw), ("metamodel_neutral", book.neutral if named else None)):
        said = None if found is None else bundle.array(f"frozen/{name}.npy")
        if said is not None and not _same(said, found):
            raise differs(f"the files give another meta-model ({name}) than the one that was used")
    _compare(prepared, bundle.array("frozen/target.npy"), kinds, settled)
    return Rescored(len(models), kinds, left_out)


def _same(said: FloatArray, found: FloatArray | None) -> bool:
    return found is not None and said.shape == found.shape and np.allclose(said, found, rtol=0, atol=META_MODEL_TOLERANCE)


def _not_public(bundle: Bundle, settled: Settled) -> dict[str, str]:
    reasons: dict[str, str] = {}
    for kind in settled.terms.scoring.kinds:
        if kind in NEEDS_ALL_FILES:
            reasons[kind] = "it is measured against the stakes of all models, file by file"
        elif kind in NEEDS_META_MODEL and "yardstick/metamodel_raw.npy" not in bundle.files:
            reasons[kind] = "too few providers stand behind the meta-model for it to be public"
        elif kind in NEEDS_EXPOSURES and "yardstick/exposures.npy" not in bundle.files:
            reasons[kind] = ASSETS_WITHHELD
    return reasons


def _public_exposures(
    bundle: Bundle, settled: Settled, places: Sequence[str], labels: Sequence[str]
) -> tuple[FloatArray | None, FloatArray | None]:
    if "yardstick/exposures.npy" not in bundle.files:
        return None, None
    return scored_beside(settled.terms.scoring, _frame(bundle, places, labels, "yardstick"))


def _frame(bundle: Bundle, asset_ids: Sequence[str], labels: Sequence[str], folder: str) -> RoundFrame:
    exposures, weights_v, neutralizers = (
        bundle.array(f"{folder}/{name}.npy") for name in ("exposures", "weights_v", "neutralizers")
    )
    return RoundFrame(np.asarray(asset_ids), tuple(labels), exposures, (), (), weights_v, neutralizers)


def _frame_without_assets(labels: Sequence[str]) -> RoundFrame:
    """Return a frame on which everything that needs no exposures can be computed, by places in the order of the labels."""
    places = np.asarray([f"{i:09d}" for i in range(len(labels))])
    nothing = np.empty((len(labels), 0))
    return RoundFrame(places, tuple(labels), nothing, (), (), np.ones(len(labels)), nothing)


def _features(bundle: Bundle, settled: Settled, folder: str) -> FloatArray | None:
    return bundle.array(f"{folder}/features.npy") if "fnc" in settled.terms.scoring.kinds else None


def _signal(bundle: Bundle, settled: Settled, labels: Sequence[str], data: bytes, folder: str, model_id: str) -> FloatArray:
    name = f"{folder}/schemes.json"
    told: Mapping[str, Any] = json.loads(bundle.files[name]) if name in bundle.files else {}
    schemes = {key: LabelScheme.from_plain(plain) for key, plain in told.items()} or NO_SCHEMES
    verdict = judge(data, file_format(tournament_of(bundle)), labels, settled.terms.scoring, schemes)
    if verdict.signal is None:
        raise differs(f"the file of model {model_id} would have been refused: {verdict.findings[0].code}")
    return verdict.signal.values


def _compare(prepared: PreparedRound, target: FloatArray, kinds: Sequence[str], settled: Settled) -> None:
    try:
        found = score_prepared(prepared, target, kinds, overlap_min=0.0)
    except CrowdalphaError as error:
        raise unreadable(f"its scores cannot be computed: {error.message}") from error
    for kind, column in found.items():
        for model_id, ppb in zip(prepared.model_ids.tolist(), scores_ppb(column), strict=True):
            row = settled.scores.get(model_id)
            said = None if row is None else row["scores_ppb"].get(kind)
            if said is None or abs(said - ppb) > SLACK_PPB:
                raise differs(f"model {model_id}: its file has {kind} {ppb} ppb, and {said} was published")
