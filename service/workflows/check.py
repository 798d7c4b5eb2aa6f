"""Tell a provider of a file, before it is sent, all that can be known of it now. Nothing is stored.

1. *load* the tournament's latest round and what it froze; the model's earlier files; the last meta-model that is public.
2. *decide* the verdict, as an upload would get it, and for a file that passes the figures of :mod:`signals.preview` and the
   retained part that the close would record (:mod:`service.workflows.retentions`).

What is shown depends on nobody else's file of any round whose meta-model is not public, and on no other file of the open one.

In the classic tournament ids carry no link from era to era, and whoever may ask as often as they like could find such links in
any number that is taken asset by asset: one id a question. So a classic file is compared with the features of its own live
table, which everybody has, and not with factors, earlier files or meta-models.

Decision instant: the clock's. Earlier rounds' files are those that were frozen or counted before.
"""

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.ids import RoundKey, Tournament
from crowdalpha.terms import PPB, RoundTerms
from market.arrays import FloatArray
from service.context import Platform
from service.frames import RoundFrame, get_book, get_frame, get_live, get_schemes
from service.metamodels import latest_public
from service.store import submissions
from service.store.records import ModelRecord, RoundRecord
from service.workflows.gates import compares, gate_of, largest_moves
from service.workflows.retentions import NEUTRAL_CHURN, churn_without_file, former_churns, retained_ppb
from service.workflows.submit import is_on_time, judge_for, model_of, round_taking
from signals.churn import RoundSignal
from signals.preview import FORMER_ROUNDS, crowd_correlation, exposed, moved, spread
from signals.submission import Verdict
from staking import format_amount

UNLINKED = "Not told in the classic tournament: it would link the ids of one era to those of another."
NO_MODEL = "Name a model to compare the file with its earlier ones."
NO_CHURN = "It depends on the churn against the model's previous file: name a model."
NO_EARLIER = "The model has no earlier file that a round counted: there is nothing to compare with."
OTHER_UNIVERSE = (
    "The universe of {round}, where the model's previous file counted, shares less than 80 % with this round's: they are not"
    " compared."
)
AS_CHANGED = "Without a file to compare with, the model counts as one whose signal changed wholly: a churn of 1."
NOBODY_HAS = "No model has a file to compare with: everything is retained."
NO_PUBLIC = "No resolved round of the tournament has a public meta-model yet."
OTHER_CROWD = "The universe of {round}, the last round with a public meta-model, shares less than 80 % with this round's."


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """What is said of a file that was not sent.

    Attributes
    ----------
    round : RoundKey
        The round that it was judged for.
    on_time : bool
        Whether it would be on time if it were sent now.
    verdict : Verdict
    figures : dict or None
        JSON-ready: ``values``, ``neutralization``, ``history``, ``retention``, ``eligibility``, ``meta_model``, and
        ``notes``: a sentence for each of them that could not be told. None for a refused file.
    """

    round: RoundKey
    on_time: bool
    verdict: Verdict
    figures: dict[str, Any] | None

    def as_dict(self) -> dict[str, Any]:
        """Return it all as plain values: the one form for every door."""
        return {
            "accepted": self.verdict.accepted,
            "round": str(self.round),
            "on_time": self.on_time,
            "coverage": self.verdict.coverage,
            "rows": self.verdict.rows,
            "sha256": self.verdict.sha256,
            "findings": [finding.as_dict() for finding in self.verdict.findings],
            "figures": self.figures,
        }


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """What all figures are taken from."""

    platform: Platform
    connection: Connection
    record: RoundRecord
    frame: RoundFrame
    model: ModelRecord | None
    ranks: FloatArray

    @property
    def unlinked(self) -> bool:
        """Whether assets must not be followed from round to round."""
        return self.record.key.tournament is Tournament.CLASSIC


def check(
    platform: Platform,
    data: bytes,
    tournament: Tournament | None = None,
    model_name: str | None = None,
    provider_id: str | None = None,
) -> CheckOutcome:
    """Check ``data`` as a file for the latest round of ``tournament``, or of the model's.

    Parameters
    ----------
    data : bytes
        The file as it would be sent.
    tournament : Tournament, optional
        May be left out where a model is named.
    model_name : str, optional
        Whose earlier files it is compared with.
    provider_id : str, optional
        When given, the model must belong to this provider; a foreign model is as unknown as an absent one.

    Raises
    ------
    InputRejected
        REQUEST_INVALID without tournament and model, or for a model of another tournament; MODEL_UNKNOWN, ROUND_UNKNOWN.
    Conflict
        ROUND_NOT_OPEN when the latest round takes no files any more.
    """
    with platform.store.read() as connection:
        model = None if model_name is None else model_of(connection, model_name, provider_id)
        record = round_taking(connection, _tournament(tournament, model), None)
        frame = get_frame(connection, platform.blobs, record.key)
        on_time = is_on_time(record, platform.clock.now(connection))
        verdict = judge_for(record, data, frame.labels, get_schemes(connection, platform.blobs, record.key))
        figures = None
        if verdict.signal is not None:
            question = _Question(platform, connection, record, frame, model, verdict.signal.values)
            figures = {"values": asdict(spread(verdict.signal))} | _figures(question)
    return CheckOutcome(record.key, on_time, verdict, figures)


def _tournament(named: Tournament | None, model: ModelRecord | None) -> Tournament:
    found = named if model is None else model.tournament
    if found is None:
        raise InputRejected(Code.REQUEST_INVALID, "Name the tournament that the file is for, or the model.")
    if named not in {None, found}:
        raise InputRejected(Code.REQUEST_INVALID, f"The model is one of the {found.label} tournament.")
    return found


def _figures(asked: _Question) -> dict[str, Any]:
    notes: dict[str, str] = {}
    history = _history(asked, notes)
    return {
        "neutralization": _neutralization(asked),
        "history": history,
        "retention": _retention(asked, None if history is None else history["neutral_churn"], notes),
        "eligibility": _eligibility(asked, notes),
        "meta_model": _meta_model(asked, notes),
        "notes": notes,
    }


def _neutralization(asked: _Question) -> dict[str, Any]:
    against, names, columns, ranks = "factors", asked.frame.names, asked.frame.exposures, asked.ranks
    if asked.unlinked:
        against = "features"
        names, columns, ranks = _live_features(asked)
    found = exposed(ranks, columns)
    exposures = dict(zip(names, found.exposures.tolist(), strict=True))
    largest = None if found.largest is None else names[found.largest]
    return {
        "against": against,
        "explained": found.explained,
        "largest": largest,
        "largest_exposure": None if largest is None else exposures[largest],
        "exposures": exposures,
    }


def _live_features(asked: _Question) -> tuple[tuple[str, ...], FloatArray, FloatArray]:
    """Return names and columns of the round's live table, and the file's ranks in the order of its rows.

    The rows' order is public, that of the universe is not: even the last bit of a sum shall not depend on it.
    """
    live = get_live(asked.connection, asked.platform.blobs, asked.record.key)
    place_of = {label: place for place, label in enumerate(asked.frame.labels)}
    return live.names, live.features, asked.ranks[[place_of[label] for label in live.ids]]


def _history(asked: _Question, notes: dict[str, str]) -> dict[str, Any] | None:
    if asked.unlinked or asked.model is None:
        notes["history"] = UNLINKED if asked.unlinked else NO_MODEL
        return None
    blobs, key, frame = asked.platform.blobs, asked.record.key, asked.frame
    earlier = submissions.earlier_selected(asked.connection, asked.model.id, key, FORMER_ROUNDS)
    former = []
    for submission in earlier:
        own = get_frame(asked.connection, blobs, submission.round)
        former.append(_round_signal(blobs.get_array(str(submission.vector_sha)), own))
    found = moved(_round_signal(asked.ranks, frame), former)
    churns = former_churns(asked.platform, asked.connection, key, frame, (asked.model.id,), lambda _: asked.ranks)
    churn = churns.get(asked.model.id)
    if churn is None:
        notes["history"] = OTHER_UNIVERSE.format(round=earlier[0].round) if earlier else NO_EARLIER
    rounds_before = [str(submission.round) for submission in earlier]
    return {"model": asked.model.name, "rounds": rounds_before, "neutral_churn": churn} | asdict(found)


def _round_signal(ranks: FloatArray, frame: RoundFrame) -> RoundSignal:
    return RoundSignal(frame.asset_ids.tolist(), ranks, frame.neutralizers, frame.weights_v)


def _retention(asked: _Question, churn: float | None, notes: dict[str, str]) -> dict[str, Any]:
    payout = RoundTerms.from_dict(asked.record.terms).payout
    if payout.retention != NEUTRAL_CHURN:
        return {"rule": payout.retention, "retained": retained_ppb(None, payout) / PPB}
    if asked.unlinked or asked.model is None:
        notes["retention"] = UNLINKED if asked.unlinked else NO_CHURN
        return {"rule": payout.retention, "retained": None}
    if churn is None:
        churn = churn_without_file(asked.platform, asked.connection, asked.record.key, asked.frame)
        notes["retention"] = NOBODY_HAS if churn is None else AS_CHANGED
    return {"rule": payout.retention, "retained": retained_ppb(churn, payout) / PPB}


def _eligibility(asked: _Question, notes: dict[str, str]) -> dict[str, Any]:
    """Return which gate of the terms the file meets, by its code, beside what the terms allow and what it moved."""
    payout = RoundTerms.from_dict(asked.record.terms).payout
    told: dict[str, Any] = {
        "gate": None,
        "reason": None,
        "churn": None,
        "churn_max": payout.churn_max_ppb / PPB or None,
        "turnover": None,
        "turnover_max": payout.turnover_max_ppb / PPB or None,
        "stake_min_tokens": format_amount(payout.stake_min_atoms),
    }
    if not compares(payout):
        return told
    if asked.unlinked or asked.model is None:
        notes["eligibility"] = UNLINKED if asked.unlinked else NO_MODEL
        return told
    one = (asked.model.id,)
    moved = largest_moves(asked.platform, asked.connection, asked.record, asked.frame, one, lambda _: asked.ranks)
    told["churn"], told["turnover"] = moved.get(asked.model.id, (None, None))
    gate = gate_of(moved.get(asked.model.id), payout)
    return told if gate is None else told | {"gate": gate[0].value, "reason": gate[0].meaning}


def _meta_model(asked: _Question, notes: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {"round": None, "correlation": None}
    if asked.unlinked:
        notes["meta_model"] = UNLINKED
        return found
    blobs = asked.platform.blobs
    latest = latest_public(asked.platform, asked.connection, asked.record.key.tournament)
    if latest is None:
        notes["meta_model"] = NO_PUBLIC
        return found
    ids = get_frame(asked.connection, blobs, latest.key).asset_ids
    raw = get_book(asked.connection, blobs, latest.key).raw
    correlation = crowd_correlation(asked.ranks, asked.frame.asset_ids.tolist(), raw, ids.tolist())
    if correlation is None:
        notes["meta_model"] = OTHER_CROWD.format(round=latest.key)
    return {"round": str(latest.key), "correlation": correlation}
