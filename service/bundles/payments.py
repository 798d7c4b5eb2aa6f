"""Check a bundle's money: every payout, burn, total and Merkle path again, from the integers that it holds. No floats.

1. The terms have the hash that the round was opened under, and say nothing that is not hashed.
2. The submissions are the leaves of the tree whose root was published at the close, each received while the round was open.
3. Each model has one row of scores, and of a resolved round each with a leaf has one.
4. Each line of the resolution is computed anew by :func:`staking.resolution.resolve` from its own inputs; the inputs are those
   of the score table, and its model has a leaf.
5. The sealed transfers are each there once, in their order and not before the close or the last session, move exactly what the
   lines say, and their seals fit.
6. What is told beside the money has one sense: the base session is not after the close, and the last one as many sessions later
   as the terms say, at a session a day.

What is not shown: that the scores follow from files (see :mod:`service.bundles.rescoring`), and that the ledger around the
round is whole (see ``crowdalpha ledger verify``). The first difference is raised; nothing is said of what lies behind it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from crowdalpha.canonical import canonical_bytes
from crowdalpha.errors import CrowdalphaError
from crowdalpha.merkle import merkle_path, merkle_root, verify_path
from crowdalpha.terms import PPB, RoundTerms
from service.bundles.archive import Bundle, differs, unreadable
from service.bundles.booked import check_transfers, records_of
from service.bundles.contents import RESOLUTION, ROUND, SCORES, SUBMISSIONS
from service.bundles.forms import atoms_of, list_of, mapping_of
from service.clock import is_instant_text
from staking import Resolution, StakeLine, resolve, void

VOID = "void"
ROUND_FIELDS = (
    "round", "outcome", "void_reason", "opens_at", "closes_at", "base_session", "resolve_session", "terms", "terms_hash",
    "universe_hash", "submissions_root", "meta_model_withheld",
)  # fmt: skip
_SHA256 = re.compile(r"[0-9a-f]{64}")
ANY_INSTANT = "1970-01-01T00:00:00Z"
"""When a settlement was booked is no part of what it comes to."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What a bundle says of its round, after its money was checked.

    Attributes
    ----------
    told : mapping
        The content of ``round.json``.
    terms : RoundTerms
    leaves : tuple of bytes
        Of the submissions' tree, by model id.
    submissions : tuple of mapping
        ``model_id``, ``sha256``, ``received_at``.
    scores : mapping of model id to mapping
        ``scores_ppb`` by kind, and ``retention_ppb``.
    resolution : Resolution
        As it was computed here.
    """

    told: Mapping[str, Any]
    terms: RoundTerms
    leaves: tuple[bytes, ...]
    submissions: tuple[Mapping[str, Any], ...]
    scores: Mapping[str, Mapping[str, Any]]
    resolution: Resolution


def check_payments(bundle: Bundle) -> Settled:
    """Recompute the money of a bundle.

    Raises
    ------
    InputRejected
        ``BUNDLE_UNREADABLE`` where a file has another form than it should; ``BUNDLE_DIFFERS``, naming the first difference.
    """
    told, terms = _round(bundle)
    submissions, leaves = _submissions(bundle, told)
    scores = _score_table(bundle, told, terms, [str(s["model_id"]) for s in submissions])
    resolution = _recomputed(bundle, told, terms)
    models = {s["model_id"] for s in submissions}
    for line in resolution.lines:
        if line.model_id not in models:
            raise differs(f"model {line.model_id} was settled, but no file of it counted")
        if resolution.outcome != VOID:
            _check_inputs(line.model_id, dict(line.scores_ppb), line.retention_ppb, scores)
    check_transfers(records_of(bundle), resolution, told)
    return Settled(told, terms, leaves, submissions, scores, resolution)


def path_of(settled: Settled, model_id: str) -> list[tuple[str, str]]:
    """Return the Merkle path of a model's file, from its leaf up; raises InputRejected if no file of it counted."""
    for index, submission in enumerate(settled.submissions):
        if submission["model_id"] == model_id:
            return merkle_path(settled.leaves, index)
    raise differs(f"no file of model {model_id} counted in round {settled.told['round']}")


def _round(bundle: Bundle) -> tuple[Mapping[str, Any], RoundTerms]:
    told = mapping_of(bundle.plain(ROUND), ROUND, ROUND_FIELDS, exact=True)
    if not all(is_instant_text(told[name]) for name in ("opens_at", "closes_at")):
        raise unreadable("its round has sessions or instants that are none")
    _check_days(told)
    if type(told["meta_model_withheld"]) is not bool:
        raise unreadable("it does not say whether the meta-model is withheld")
    if told["round"] != bundle.round:
        raise differs(f"its manifest is of round {bundle.round}, its contents are of {told['round']}")
    try:
        terms = RoundTerms.from_dict(told["terms"])
    except (CrowdalphaError, TypeError, AttributeError) as error:
        raise unreadable("its terms are not those of a round") from error
    if terms.hash != told["terms_hash"]:
        raise differs(f"the terms have the hash {terms.hash}, not {told['terms_hash']}")
    if canonical_bytes(terms.as_dict()) != canonical_bytes(told["terms"]):
        raise differs("its terms say more than what was hashed at the opening")
    _check_length(told, terms)
    return told, terms


def _check_length(told: Mapping[str, Any], terms: RoundTerms) -> None:
    """Check the round's sessions against its terms; which days are sessions, no bundle says.

    The base session is that of one exchange, and the last one the latest of all exchanges. One that had not closed by the
    round's close counts from a session earlier, and so ends at most a day before the same number of days is over.
    """
    base, last = (date.fromisoformat(told[name]) for name in ("base_session", "resolve_session"))
    if (last - base).days < terms.scoring.lag_sessions + terms.scoring.horizon_sessions - 1:
        raise differs(f"its sessions from {base} to {last} are fewer than its terms count")


def _check_days(told: Mapping[str, Any]) -> None:
    """Check what is told beside the money: nothing follows from it, but it cannot be nonsense."""
    try:
        days = [date.fromisoformat(told[name]) for name in ("base_session", "resolve_session")]
    except (TypeError, ValueError) as error:
        raise unreadable("its round has sessions or instants that are none") from error
    if days[0] >= days[1] or told["opens_at"] >= told["closes_at"]:
        raise differs("its round ends before it begins")
    if told["base_session"] > told["closes_at"][: len("2016-01-08")]:
        raise differs("its base session is after its close")
    if type(told["universe_hash"]) is not str or not _SHA256.fullmatch(told["universe_hash"]):
        raise unreadable("the hash of its universe is none")
    reason = told["void_reason"]
    if not (type(reason) is str and reason if told["outcome"] == VOID else reason is None):
        raise differs("a round is void for a reason, and a resolved one has none")


def _submissions(bundle: Bundle, told: Mapping[str, Any]) -> tuple[tuple[Mapping[str, Any], ...], tuple[bytes, ...]]:
    names = ("model_id", "sha256", "received_at")
    found = tuple(mapping_of(item, SUBMISSIONS, names, exact=True) for item in list_of(bundle.plain(SUBMISSIONS), SUBMISSIONS))
    if any(type(value) is not str for item in found for value in item.values()):
        raise unreadable("a submission is told by texts")
    ids = [item["model_id"] for item in found]
    if ids != sorted(set(ids)):
        raise differs("its submissions are not one a model, by model id")
    for item in found:
        if not is_instant_text(item["received_at"]) or not told["opens_at"] <= item["received_at"] < told["closes_at"]:
            raise differs(f"the file of model {item['model_id']} came at {item['received_at']}, when the round was not open")
    leaves = tuple(canonical_bytes(dict(item)) for item in found)
    root = told["submissions_root"]
    if root is None and not found and told["outcome"] == VOID:  # void before its close: nothing was committed to
        return found, leaves
    if merkle_root(leaves) != root:
        raise differs(f"its submissions have the Merkle root {merkle_root(leaves)}, not {root}, which was published")
    for index, leaf in enumerate(leaves):
        if not verify_path(leaf, merkle_path(leaves, index), root):
            raise differs(f"the path of model {ids[index]} does not lead to the root")
    return found, leaves


def _score_table(
    bundle: Bundle, told: Mapping[str, Any], terms: RoundTerms, models: Sequence[str]
) -> dict[str, Mapping[str, Any]]:
    names = ("model_id", "scores_ppb", "retention_ppb")
    rows = [mapping_of(item, SCORES, names, exact=True) for item in list_of(bundle.plain(SCORES), SCORES)]
    ids = [row["model_id"] for row in rows]
    if any(type(model) is not str for model in ids) or ids != sorted(set(ids)):
        raise differs("its scores are not one row a model, by model id")
    kinds = sorted(terms.scoring.kinds)
    for row in rows:
        if not isinstance(row["scores_ppb"], dict) or sorted(row["scores_ppb"]) != kinds:
            raise differs(f"model {row['model_id']} has scores of other kinds than the terms publish")
        if any(type(number) is not int for number in (*row["scores_ppb"].values(), row["retention_ppb"])):
            raise unreadable("a score, or what is retained, is told by whole parts per billion")
        kept = row["retention_ppb"]
        if not 0 <= kept <= PPB or (kept != PPB and terms.payout.retention == "none"):
            raise differs(f"model {row['model_id']} retains {kept} ppb, which its terms do not know")
    if told["outcome"] != VOID and ids != list(models):
        other = min(set(ids) ^ set(models))
        raise differs(f"model {other} has {'scores and no file' if other in ids else 'a file and no scores'}")
    return {row["model_id"]: row for row in rows}


def _recomputed(bundle: Bundle, told: Mapping[str, Any], terms: RoundTerms) -> Resolution:
    """Settle the round again from the inputs of its own lines, and compare what is booked, line by line."""
    published = mapping_of(bundle.plain(RESOLUTION), RESOLUTION, ("round", "outcome", "terms", "lines"))
    if (published["round"], published["outcome"]) != (told["round"], told["outcome"]):
        raise differs(f"the resolution is of {published['round']}, {published['outcome']}")
    lines = list_of(published["lines"], RESOLUTION)
    try:
        inputs = [stake_line(line) for line in lines]
        wallets = {line["model_id"]: line["wallet_of"] for line in lines if "wallet_of" in line}
        if published["outcome"] == VOID:
            again = void(told["round"], inputs, terms.payout, ANY_INSTANT)
        else:
            again = resolve(told["round"], inputs, terms.payout, ANY_INSTANT, wallets)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise unreadable("a line of its resolution has another form than it should") from error
    except CrowdalphaError as error:
        raise differs(error.message) from error
    computed = json.loads(again.canonical())
    for said, found in zip(lines, computed["lines"], strict=True):
        for name in sorted(said.keys() | found.keys()):
            if said.get(name) != found.get(name):
                raise differs(
                    f"model {found['model_id']}: {name} is {said.get(name)}, and its own inputs give {found.get(name)}"
                )
    for name in sorted(published.keys() | computed.keys()):
        if published.get(name) != computed.get(name):
            raise differs(f"the resolution's {name} is {published.get(name)}, and its lines give {computed.get(name)}")
    return again


def stake_line(plain: Mapping[str, Any]) -> StakeLine:
    """Return the inputs of one line of a resolution, as :meth:`staking.resolution.ResolutionLine.as_plain` wrote it."""
    return StakeLine(
        plain["model_id"],
        atoms_of(plain["at_risk_atoms"]),
        atoms_of(plain["reserved_atoms"]),
        dict(plain["scores_ppb"]),
        plain["retention_ppb"],
        dict(plain.get("chosen_ppb", {})),
    )


def _check_inputs(model_id: str, paid_on: Mapping[str, int], retention: int, scores: Mapping[str, Mapping[str, Any]]) -> None:
    row = scores.get(model_id)
    if row is None or row["scores_ppb"] != paid_on:
        raise differs(f"model {model_id} was paid on other scores than were published")
    if row["retention_ppb"] != retention:
        raise differs(f"model {model_id} was paid with a retention of {retention} ppb; {row['retention_ppb']} was published")
