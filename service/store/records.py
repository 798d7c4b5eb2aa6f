"""What the store takes and gives: frozen records, one a kind of row.

Amounts are ``int`` atoms, instants aware UTC ``datetime`` with microseconds, sessions ``date``, hashes 64 hexadecimal digits. A
mapping inside a record is plain JSON values; it belongs to the record and is not to be changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from crowdalpha.ids import RoundKey, RoundState, Tournament


@dataclass(frozen=True, slots=True)
class ProviderRecord:
    """An account of a person or a program that sends signals."""

    id: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """An API key: its public prefix and the hash of its secret."""

    id: str
    provider_id: str
    prefix: str
    secret_hash: str
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """One named stream of signals or of predictions."""

    id: str
    provider_id: str
    name: str
    tournament: Tournament
    created_at: datetime


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """A round with the terms that were copied into it.

    ``opened_at`` is None while the round is only scheduled; the other optional fields are None until their step was taken.
    """

    key: RoundKey
    state: RoundState
    opens_at: datetime
    closes_at: datetime
    base_session: date
    resolve_session: date
    terms: Mapping[str, Any]
    terms_hash: str
    universe_hash: str
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    resolved_at: datetime | None = None
    submissions_root: str | None = None
    void_reason: str | None = None


@dataclass(frozen=True, slots=True)
class SubmissionRecord:
    """An upload as it was judged. The store gives ``sequence``, which follows the order of commits over all rounds."""

    id: str
    round: RoundKey
    model_id: str
    sha256: str
    filename: str
    received_at: datetime
    on_time: bool
    accepted: bool
    findings: list[dict[str, Any]]
    vector_sha: str | None = None
    receipt: Mapping[str, Any] | None = None
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class SubmissionCounts:
    """How many uploads of a round met which verdict."""

    accepted: int
    late: int
    refused: int


@dataclass(frozen=True, slots=True)
class AtRiskRecord:
    """What a round froze of a model's stake at its close.

    ``pays_wallet`` says where a payout goes, if not to the stake; ``chosen_ppb`` are the multipliers that its provider chose.
    """

    round: RoundKey
    model_id: str
    stake_atoms: int
    at_risk_atoms: int
    reserved_atoms: int
    pays_wallet: bool = False
    chosen_ppb: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class StakePlan:
    """What a provider has said about a model's stake.

    Attributes
    ----------
    mode : str
        One of :data:`staking.STAKE_MODES`.
    fixed_atoms : int or None
        The constant amount of mode ``fixed``.
    chosen_ppb : mapping of str to int, or None
        Multipliers that the provider chose where terms leave a choice.
    """

    model_id: str
    mode: str
    fixed_atoms: int | None
    changed_at: datetime
    chosen_ppb: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class StakePool:
    """A provider's weights over its models, in ppb by model id: one stake behind all of them."""

    provider_id: str
    weights_ppb: Mapping[str, int]
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class StakeRelease:
    """Stake that is, or was, on its way back to the wallet: ``pending``, ``released`` or ``cancelled``.

    ``rounds`` are those that it waits for, such as ``signals-7``; ``burned_atoms`` is what their burns took of it.
    """

    id: str
    model_id: str
    requested_at: datetime
    amount_atoms: int
    burned_atoms: int
    rounds: tuple[str, ...]
    state: str = "pending"
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class GatedRecord:
    """A model with a stake that a close left out: by which gate (a code), and the figure that it met there.

    The figure is a churn, a turnover, or a stake in tokens; None for a model without a file to compare with.
    """

    round: RoundKey
    model_id: str
    code: str
    value: float | None


@dataclass(frozen=True, slots=True)
class CorrectionRecord:
    """A correction of a transfer: ``proposed``, then ``posted`` by another name, or ``withdrawn``.

    ``entries`` are (account, atoms), by account.
    """

    id: str
    transfer_id: str
    reason: str
    entries: tuple[tuple[str, int], ...]
    proposed_by: str
    proposed_at: datetime
    approved_by: str | None = None
    approved_at: datetime | None = None
    state: str = "proposed"


@dataclass(frozen=True, slots=True)
class LedgerHead:
    """The end of the ledger's chain: how many transfers there are, and the hash of the last."""

    sequence: int
    hash: str


@dataclass(frozen=True, slots=True)
class ScoreRecord:
    """The last score of a kind that a model has in a round; ``day`` counts the sessions of return in it."""

    round: RoundKey
    model_id: str
    kind: str
    day: int
    value: float
    score_ppb: int
    final: bool


@dataclass(frozen=True, slots=True)
class RetentionRecord:
    """How much of a payout a model keeps in a round; ``churn`` is None where there is nothing to compare with."""

    round: RoundKey
    model_id: str
    churn: float | None
    retention_ppb: int


@dataclass(frozen=True, slots=True)
class ResolutionLine:
    """What a resolution did to one model: ``payout_atoms`` is negative for a burn."""

    model_id: str
    at_risk_atoms: int
    payout_atoms: int
    retention_ppb: int


@dataclass(frozen=True, slots=True)
class ResolutionRecord:
    """The once-only settlement of a round; ``sha256`` names the file with its canonical text. Totals are in atoms."""

    round: RoundKey
    resolved_at: datetime
    sha256: str
    total_at_risk: int
    total_payout: int
    total_burn: int


@dataclass(frozen=True, slots=True)
class LeaderboardRow:
    """A model's standing. Means are over resolved rounds, by kind; a model without one has none. Amounts are atoms."""

    model: ModelRecord
    provider: ProviderRecord
    rounds_scored: int
    rounds_resolved: int
    mean_scores: Mapping[str, float]
    stake_atoms: int
    at_risk_atoms: int
    payout_atoms: int
    burn_atoms: int


@dataclass(frozen=True, slots=True)
class RebalanceRecord:
    """A decision of the fund, and how far it has come on its way to the book.

    Attributes
    ----------
    state : str
        One of :class:`portfolio.lifecycle.RebalanceState`.
    status : str
        What the optimizer's ladder says of the book.
    sha256 : str
        The file with weights, orders and evidence.
    fill_session : date or None
        The session at whose open it is to be filled.
    approved_by, approved_at : str and datetime, or None
        Who approved it, and when; ``automatic`` where the operator's limits did.
    expires_at : datetime or None
        The open of the fill session: what is not sent by then is never sent.
    sent_at, reconciled_at : datetime or None
    findings : sequence of mapping
        What the last pre-trade check found, as :meth:`crowdalpha.errors.Finding.as_dict` gives it.
    """

    id: str
    decided_at: datetime
    as_of: date
    state: str
    status: str
    sha256: str
    fill_session: date | None = None
    approved_by: str | None = None
    approved_at: datetime | None = None
    expires_at: datetime | None = None
    sent_at: datetime | None = None
    reconciled_at: datetime | None = None
    findings: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class FillRecord:
    """What became of an order at the open.

    Attributes
    ----------
    weight : float
        The position right after the fill, as a fraction of equity at that open: what a target is.
    value : float
        What was bought (sold: negative), in the currency of the fund.
    spread, impact : float
        What it cost.
    reason : str
        The code of why it was filled in part or not at all; empty otherwise.
    """

    weight: float
    value: float
    spread: float = 0.0
    impact: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """An order of a rebalance for one asset, good for one open.

    Attributes
    ----------
    client_order_id : str
        Made from the rebalance and the asset, so that sending twice makes one order.
    weight : float
        What the position is to become, as a fraction of equity at the open.
    value : float
        The trade that this was at the prices of the decision; negative for a sale.
    shares : int or None
        The same in whole shares; None where no price was known.
    price : float or None
        Of the decision, in the currency of the fund.
    state : str
        ``new``, ``sent``, then ``filled``, ``partial``, ``unfilled`` or ``cancelled``.
    fill : FillRecord or None
    """

    client_order_id: str
    rebalance_id: str
    asset_id: str
    weight: float
    value: float
    shares: int | None
    price: float | None
    state: str = "new"
    fill: FillRecord | None = None


@dataclass(frozen=True, slots=True)
class FundDayRecord:
    """One session of the fund: equity at its close, gross profit in it, costs by kind, exposures by factor (dollars, betas)."""

    session: date
    equity: float
    gross_pnl: float
    costs: Mapping[str, float]
    exposures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class FundState:
    """Where the fund's book stands after the session ``through``: the hash of the file that holds it."""

    key: str
    sha256: str
    through: date


@dataclass(frozen=True, slots=True)
class PlannedOccurrence:
    """An event that is due: one of the same job and instant exists once.

    Attributes
    ----------
    job : str
        What is to be done, such as ``close_round:signals``.
    due_at : datetime
        When.
    payload : mapping
        Plain values that the job needs.
    priority : int
        Among events of the same instant the lower number goes first.
    chain : str
        Events of a chain run strictly one after the other, in order; the empty string means the job's own chain.
    """

    job: str
    due_at: datetime
    payload: Mapping[str, Any]
    priority: int = 0
    chain: str = ""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A due event as it stands. ``fencing`` grows with each claim, so that a worker that lost its lease can be told apart."""

    job: str
    due_at: datetime
    chain: str
    priority: int
    payload: Mapping[str, Any]
    state: str
    owner: str | None
    fencing: int
    lease_until: datetime | None
    finished_at: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """Who did what to whom, and with which details."""

    sequence: int
    at: datetime
    who: str
    what: str
    subject: str
    details: Mapping[str, Any]
