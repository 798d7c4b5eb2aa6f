"""What a model's resolved rounds would have paid under other terms, or on another stake. Nothing is stored.

1. *load* the rounds of the model's tournament that were resolved with a score of it: published integers and totals, and where
   the terms have a gate on churn or turnover, the frozen files.
2. *decide* by the true rule: one stake lives through the closes and the resolutions in their order. Each close reserves, and
   counts as much as what is free by then allows; each resolution gives back (:mod:`staking.stakes`). In mode ``fixed`` a wallet
   that never runs dry fills the stake up before each close, and payouts leave it; in mode ``compound`` they stay.
3. The total at risk of a round is its own with the model's line replaced; so is the share in its budget, for which the others
   are paid anew by the same terms. Whether a gate of other terms would have kept *others* out is not asked.

What a round did not publish is named and not guessed: its line has no payout. The window of the returns stays the round's,
whatever the horizon of the terms. A model without stakes sees in this way what it would have earned (:func:`virtual_lines`).

Decision instant: each round's own, since all that enters was published or frozen by its resolution.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from crowdalpha.codes import Code
from crowdalpha.errors import InputRejected
from crowdalpha.ids import RoundKey, RoundState
from crowdalpha.terms import ATOMS_PER_TOKEN, PayoutTerms, RoundTerms
from service.context import Platform
from service.frames import get_frame
from service.settings import load_terms
from service.stakelines import stake_lines
from service.store import resolutions, rounds, scores, stakes, submissions
from service.store.records import ModelRecord, RoundRecord
from service.workflows.accounts import model_named
from service.workflows.choose import refuse_unoffered
from service.workflows.gates import compares, gate_of, largest_moves
from service.workflows.retentions import NEUTRAL_CHURN, retained_ppb
from staking import STAKE_MODES, StakeLine, at_risk, budget_can_bind, payout, payouts, reservation

COMPOUND, FIXED = STAKE_MODES
CHURN = "churn"
"""What a round lacks whose own terms never asked for it."""

VIRTUAL_STAKE_ATOMS = 100 * ATOMS_PER_TOKEN
"""A round number: what a stake earns is in proportion to it, as long as it hardly moves the round's total."""


@dataclass(frozen=True, slots=True)
class WhatIfLine:
    """One round paid anew.

    Attributes
    ----------
    round : RoundKey
    lacks : tuple of str
        Kinds of score that the terms pay on and the round did not publish, or ``churn``; then nothing is at risk.
    gate : str
        Code of the gate that keeps the model out, else empty.
    at_risk_atoms, total_at_risk_atoms : int
        Of the model, and of the round with it.
    retention_ppb : int
        Part of a positive payout that is kept.
    payout_atoms : int
        Negative for a burn.
    own_at_risk_atoms, own_payout_atoms : int
        What really was at risk, and what it came to.
    """

    round: RoundKey
    lacks: tuple[str, ...]
    gate: str
    at_risk_atoms: int
    total_at_risk_atoms: int
    retention_ppb: int
    payout_atoms: int
    own_at_risk_atoms: int
    own_payout_atoms: int


@dataclass(frozen=True, slots=True)
class WhatIf:
    """A history paid anew: ``terms`` is the preset's name, or empty for each round's own; ``end_atoms`` what the stake came to.

    In mode ``fixed`` the end is the stake and all that was paid beside it.
    """

    model: str
    terms: str
    mode: str
    stake_atoms: int
    end_atoms: int
    lines: tuple[WhatIfLine, ...]


@dataclass(frozen=True, slots=True)
class _Past:
    """A resolved round, and what it holds of the model."""

    record: RoundRecord
    payout: PayoutTerms
    scores_ppb: Mapping[str, int]
    chosen_ppb: Mapping[str, int]
    line: WhatIfLine
    others_atoms: int

    @property
    def out(self) -> bool:
        """Whether the model cannot take part, whatever its stake."""
        return bool(self.line.lacks or self.line.gate)


def what_if(
    platform: Platform,
    model_name: str,
    terms_name: str | None = None,
    stake_atoms: int | None = None,
    mode: str = FIXED,
    chosen_ppb: Mapping[str, int] | None = None,
    *,
    unstaked: bool = False,
) -> WhatIf:
    """Pay the resolved rounds of a model anew.

    Parameters
    ----------
    terms_name : str, optional
        A preset; without it each round's own terms.
    stake_atoms : int, optional
        By default :data:`VIRTUAL_STAKE_ATOMS`.
    mode : str
        One of :data:`staking.STAKE_MODES`.
    chosen_ppb : mapping of str to int, optional
        Multipliers in ppb for all rounds whose terms leave that choice, the others keep their own; by default what each close
        froze, and the terms' own multipliers where nothing was frozen.
    unstaked : bool
        Whether only rounds count in which the model had nothing at risk.

    Raises
    ------
    InputRejected
        MODEL_UNKNOWN, SETTING_UNKNOWN for a preset that is not there, AMOUNT_INVALID, REQUEST_INVALID for another mode,
        CHOICE_INVALID for a multiplier that neither ``terms_name`` nor, without it, any of the rounds offers.
    """
    if mode not in STAKE_MODES:
        raise InputRejected(Code.REQUEST_INVALID, f"A stake's mode is {' or '.join(STAKE_MODES)}, not '{mode[:40]}'.")
    stake = VIRTUAL_STAKE_ATOMS if stake_atoms is None else stake_atoms
    if stake <= 0:
        raise InputRejected(Code.AMOUNT_INVALID, "A stake is above zero.")
    terms = None if terms_name is None else load_terms(terms_name, platform.settings.config_dir)
    if terms is not None and chosen_ppb:
        refuse_unoffered([terms], chosen_ppb)
    with platform.store.read() as connection:
        model = model_named(connection, model_name)
        history = _history(platform, connection, model, None if terms is None else terms.payout, chosen_ppb)
        history = [past for past in history if not (unstaked and past.line.own_at_risk_atoms)]
        if terms is None and chosen_ppb:
            refuse_unoffered([RoundTerms.from_dict(past.record.terms) for past in history], chosen_ppb)
        lines, end = _replayed(connection, model.id, history, stake, filled=mode == FIXED)
    return WhatIf(model_name, terms_name or "", mode, stake, end, lines)


def virtual_lines(platform: Platform, model_name: str, stake_atoms: int | None = None) -> tuple[WhatIfLine, ...]:
    """Return what a fixed stake would have earned, by the rounds' own terms, where the model had nothing at risk."""
    return what_if(platform, model_name, None, stake_atoms, unstaked=True).lines


def _history(
    platform: Platform,
    connection: Connection,
    model: ModelRecord,
    terms: PayoutTerms | None,
    chosen_ppb: Mapping[str, int] | None,
) -> list[_Past]:
    published: dict[RoundKey, dict[str, int]] = {}
    for score in scores.scores_of_model(connection, model.id):
        published.setdefault(score.round, {})[score.kind] = score.score_ppb
    churns = {r.round: r.churn for r in scores.retentions_of_model(connection, model.id)}
    totals = {r.round: r.total_at_risk for r in resolutions.list_resolutions(connection, model.tournament)}
    paid = dict(resolutions.lines_of_model(connection, model.id))
    frozen = {key: a.chosen_ppb or {} for key, a in stakes.at_risk_of_model(connection, model.id).items()}
    found = []
    for record in rounds.list_rounds(connection, model.tournament, (RoundState.RESOLVED,)):
        if record.key not in published:
            continue
        own = RoundTerms.from_dict(record.terms).payout
        payout_terms = own if terms is None else terms
        lacks = [kind for kind, _ in payout_terms.multipliers_ppb if kind not in published[record.key]]
        if payout_terms.retention == NEUTRAL_CHURN != own.retention:
            lacks.append(CHURN)
        own_line = paid.get(record.key)
        own_atoms = 0 if own_line is None else own_line.at_risk_atoms
        gate = "" if lacks else _gate(platform, connection, record, payout_terms, model.id)
        line = WhatIfLine(
            record.key, tuple(lacks), gate, 0, totals[record.key],
            retained_ppb(churns.get(record.key), payout_terms), 0, own_atoms, 0 if own_line is None else own_line.payout_atoms,
        )  # fmt: skip
        choice = payout_terms.allowed_choice(frozen.get(record.key, {}) if chosen_ppb is None else chosen_ppb)
        found.append(_Past(record, payout_terms, published[record.key], choice, line, totals[record.key] - own_atoms))
    return found


def _gate(platform: Platform, connection: Connection, record: RoundRecord, terms: PayoutTerms, model_id: str) -> str:
    """Return the code of the gate on churn or turnover that the model's file of the round meets, else an empty text."""
    if not compares(terms):
        return ""
    sent = submissions.selected_submissions(connection, record.key)[model_id]
    ranks = platform.blobs.get_array(str(sent.vector_sha))
    frame = get_frame(connection, platform.blobs, record.key)
    moved = largest_moves(platform, connection, record, frame, (model_id,), lambda _: ranks)
    gate = gate_of(moved.get(model_id), terms)
    return "" if gate is None else gate[0].value


def _replayed(
    connection: Connection, model_id: str, history: list[_Past], stake: int, *, filled: bool
) -> tuple[tuple[WhatIfLine, ...], int]:
    """Let one stake live through closes and resolutions; what resolves at an instant is free for a close at the same.

    ``filled``: before each close a wallet brings the stake, free and held, back to what it was, and payouts go there.
    """
    free, held, closed = stake, 0, dict[RoundKey, WhatIfLine]()
    for _, resolves, past in _events(history):
        if not resolves:
            free = stake - held if filled else free
            line = closed[past.record.key] = _put(past, free + held, at_risk(free + held, free, past.payout.clip_ppb))
            reserved = reservation(line.at_risk_atoms, past.payout.clip_ppb)
            free, held = free - reserved, held + reserved
            continue
        line = closed[past.record.key] = _settled(connection, model_id, past, closed[past.record.key])
        reserved = reservation(line.at_risk_atoms, past.payout.clip_ppb)
        free, held = free + reserved + line.payout_atoms, held - reserved
    lines = tuple(closed[past.record.key] for past in history)
    return lines, stake + sum(line.payout_atoms for line in lines)


def _events(history: list[_Past]) -> list[tuple[datetime, bool, _Past]]:
    """Return closes (False) and resolutions (True) in the order of their instants."""
    closes = [(past.record.closes_at, False, past) for past in history]
    ends = [(past.record.resolved_at or past.record.closes_at, True, past) for past in history]
    return sorted([*closes, *ends], key=lambda event: (event[0], not event[1], event[2].record.key))


def _put(past: _Past, stake: int, at_risk_atoms: int) -> WhatIfLine:
    """Return the round's line with what the model puts at risk in it."""
    if past.out:
        return replace(past.line, total_at_risk_atoms=past.others_atoms)
    if stake < past.payout.stake_min_atoms:
        return replace(past.line, gate=Code.GATE_STAKE.value, total_at_risk_atoms=past.others_atoms)
    return replace(past.line, at_risk_atoms=at_risk_atoms, total_at_risk_atoms=past.others_atoms + at_risk_atoms)


def _settled(connection: Connection, model_id: str, past: _Past, line: WhatIfLine) -> WhatIfLine:
    if not line.at_risk_atoms:
        return line
    terms, total = past.payout, line.total_at_risk_atoms
    paid = payout(line.at_risk_atoms, past.scores_ppb, line.retention_ppb, total, terms, past.chosen_ppb)
    if paid > 0 and budget_can_bind(total, terms):
        own = StakeLine(model_id, line.at_risk_atoms, 0, past.scores_ppb, line.retention_ppb, past.chosen_ppb)
        paid = payouts([own, *_others(connection, model_id, past)], terms)[0].payout_atoms
    return replace(line, payout_atoms=paid)


def _others(connection: Connection, model_id: str, past: _Past) -> list[StakeLine]:
    """Return the round's other stakes as the terms would have paid them."""
    churns = {r.model_id: r.churn for r in scores.retentions_of_round(connection, past.record.key)}
    return [
        replace(
            line,
            retention_ppb=retained_ppb(churns.get(line.model_id), past.payout),
            chosen_ppb=past.payout.allowed_choice(line.chosen_ppb),
        )
        for line in stake_lines(connection, past.record.key).lines
        if line.model_id != model_id
    ]
