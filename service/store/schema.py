"""The tables. A migration makes them; this file is what the statements are written with, and a test keeps the two equal.

Rounds are keyed (tournament, number) everywhere. Amounts, instants and JSON have types of their own
(:mod:`service.store.types`). What the tables promise by themselves: one row a key, no row that refers to nothing, and no change
or removal of ledger and audit rows (triggers).
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    and_,
    column,
)

from crowdalpha.ids import RoundKey, RoundState
from service.store.types import Amount, CanonicalJson, Measure, MeasuredJson, UtcInstant

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
"""SQLite can change a constraint only by its name, so each has one from the first migration on."""

metadata = MetaData(naming_convention=NAMING_CONVENTION)

OCCURRENCE_STATES = ("planned", "running", "failed", "done")
RELEASE_STATES = ("pending", "released", "cancelled")
CORRECTION_STATES = ("proposed", "posted", "withdrawn")
ORDER_STATES = ("new", "sent", "filled", "partial", "unfilled", "cancelled")

APPEND_ONLY = ("transfers", "entries", "audit")
"""Tables whose rows triggers keep from being changed or removed."""


def _round_columns(*, primary: bool = True) -> tuple[Column[int], Column[int]]:
    return (
        Column("tournament", Integer, primary_key=primary, nullable=False, autoincrement=False),
        Column("number", Integer, primary_key=primary, nullable=False, autoincrement=False),
    )


def _of_known_round() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["tournament", "number"], ["rounds.tournament", "rounds.number"])


def _model_column(*, primary: bool = True) -> Column[str]:
    return Column("model_id", Text, ForeignKey("models.id"), primary_key=primary, nullable=False)


meta = Table("meta", metadata, Column("key", Text, primary_key=True), Column("value", Text, nullable=False))

providers = Table(
    "providers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", UtcInstant, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("provider_id", Text, ForeignKey("providers.id"), nullable=False, index=True),
    Column("prefix", Text, nullable=False, unique=True),
    Column("secret_hash", Text, nullable=False),
    Column("scopes", CanonicalJson, nullable=False),
    Column("created_at", UtcInstant, nullable=False),
    Column("revoked_at", UtcInstant),
)

models = Table(
    "models",
    metadata,
    Column("id", Text, primary_key=True),
    Column("provider_id", Text, ForeignKey("providers.id"), nullable=False, index=True),
    Column("name", Text, nullable=False, unique=True),
    Column("tournament", Integer, nullable=False, index=True),
    Column("created_at", UtcInstant, nullable=False),
)

rounds = Table(
    "rounds",
    metadata,
    *_round_columns(),
    Column("state", Text, nullable=False, index=True),
    Column("opens_at", UtcInstant, nullable=False),
    Column("closes_at", UtcInstant, nullable=False),
    Column("base_session", Date, nullable=False),
    Column("resolve_session", Date, nullable=False),
    Column("terms", CanonicalJson, nullable=False),
    Column("terms_hash", Text, nullable=False),
    Column("universe_hash", Text, nullable=False),
    Column("opened_at", UtcInstant),
    Column("closed_at", UtcInstant),
    Column("resolved_at", UtcInstant),
    Column("submissions_root", Text),
    Column("void_reason", Text),
    CheckConstraint(column("state").in_([s.value for s in RoundState]), name="state"),
    Index(None, "tournament", "base_session", unique=True),
)

round_artifacts = Table(
    "round_artifacts",
    metadata,
    *_round_columns(),
    Column("name", Text, primary_key=True),
    Column("sha256", Text, nullable=False),
    _of_known_round(),
)

submissions = Table(
    "submissions",
    metadata,
    Column("id", Text, primary_key=True),
    *_round_columns(primary=False),
    _model_column(primary=False),
    Column("sha256", Text, nullable=False),
    Column("filename", Text, nullable=False),
    Column("received_at", UtcInstant, nullable=False),
    Column("on_time", Boolean, nullable=False),
    Column("accepted", Boolean, nullable=False),
    Column("findings", CanonicalJson, nullable=False),
    Column("vector_sha", Text),
    Column("receipt", CanonicalJson),
    Column("sequence", BigInteger, nullable=False, unique=True),
    _of_known_round(),
    Index(None, "tournament", "number", "sequence"),
    Index(None, "model_id", "tournament", "number", "sequence"),
)

at_risk = Table(
    "at_risk",
    metadata,
    *_round_columns(),
    _model_column(),
    Column("stake_atoms", Amount, nullable=False),
    Column("at_risk_atoms", Amount, nullable=False),
    Column("reserved_atoms", Amount, nullable=False),
    Column("pays_wallet", Boolean),
    Column("chosen_ppb", CanonicalJson),
    _of_known_round(),
    Index(None, "model_id"),
)

# What a provider has said about a model's stake; a model without a row compounds, with the terms' own multipliers.
stake_plans = Table(
    "stake_plans",
    metadata,
    _model_column(),
    Column("mode", Text, nullable=False),
    Column("fixed_atoms", Amount),
    Column("chosen_ppb", CanonicalJson),
    Column("changed_at", UtcInstant, nullable=False),
)

stake_pools = Table(
    "stake_pools",
    metadata,
    Column("provider_id", Text, ForeignKey("providers.id"), primary_key=True),
    Column("weights_ppb", CanonicalJson, nullable=False),
    Column("changed_at", UtcInstant, nullable=False),
)

stake_releases = Table(
    "stake_releases",
    metadata,
    Column("id", Text, primary_key=True),
    _model_column(primary=False),
    Column("requested_at", UtcInstant, nullable=False),
    Column("amount_atoms", Amount, nullable=False),
    Column("burned_atoms", Amount, nullable=False),
    Column("rounds", CanonicalJson, nullable=False),
    Column("state", Text, nullable=False),
    Column("ended_at", UtcInstant),
    CheckConstraint(column("state").in_(RELEASE_STATES), name="state"),
    Index(None, "model_id", "state"),
)

# Models that a close left out of the stakes although they had one, and by which gate of the terms.
gated = Table(
    "gated",
    metadata,
    *_round_columns(),
    _model_column(),
    Column("code", Text, nullable=False),
    Column("value", Measure),
    _of_known_round(),
)

corrections = Table(
    "corrections",
    metadata,
    Column("id", Text, primary_key=True),
    Column("transfer_id", Text, ForeignKey("transfers.id"), nullable=False, index=True),
    Column("reason", Text, nullable=False),
    Column("entries", CanonicalJson, nullable=False),
    Column("proposed_by", Text, nullable=False),
    Column("proposed_at", UtcInstant, nullable=False),
    Column("approved_by", Text),
    Column("approved_at", UtcInstant),
    Column("state", Text, nullable=False),
    CheckConstraint(column("state").in_(CORRECTION_STATES), name="state"),
)

transfers = Table(
    "transfers",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False, unique=True),
)

entries = Table(
    "entries",
    metadata,
    Column("transfer_sequence", BigInteger, ForeignKey("transfers.sequence"), primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("account", Text, nullable=False),
    Column("amount", Amount, nullable=False),
    Index(None, "account", "transfer_sequence"),
)

balances = Table(
    "balances",
    metadata,
    Column("account", Text, primary_key=True),
    Column("balance", Amount, nullable=False),
)

ledger_head = Table(
    "ledger_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("sequence", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
    CheckConstraint(column("id") == 1, name="single"),
)

scores = Table(
    "scores",
    metadata,
    *_round_columns(),
    _model_column(),
    Column("kind", Text, primary_key=True),
    Column("day", Integer, nullable=False),
    Column("value", Measure, nullable=False),
    Column("score_ppb", BigInteger, nullable=False),
    Column("final", Boolean, nullable=False),
    _of_known_round(),
    Index(None, "model_id"),
)

retentions = Table(
    "retentions",
    metadata,
    *_round_columns(),
    _model_column(),
    Column("churn", Measure),
    Column("retention_ppb", BigInteger, nullable=False),
    _of_known_round(),
)

resolutions = Table(
    "resolutions",
    metadata,
    *_round_columns(),
    Column("resolved_at", UtcInstant, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("total_at_risk", Amount, nullable=False),
    Column("total_payout", Amount, nullable=False),
    Column("total_burn", Amount, nullable=False),
    _of_known_round(),
)

resolution_lines = Table(
    "resolution_lines",
    metadata,
    *_round_columns(),
    _model_column(),
    Column("at_risk_atoms", Amount, nullable=False),
    Column("payout_atoms", Amount, nullable=False),
    Column("retention_ppb", BigInteger, nullable=False),
    ForeignKeyConstraint(["tournament", "number"], ["resolutions.tournament", "resolutions.number"]),
    Index(None, "model_id"),
)

rebalances = Table(
    "rebalances",
    metadata,
    Column("id", Text, primary_key=True),
    Column("decided_at", UtcInstant, nullable=False),
    Column("as_of", Date, nullable=False, index=True),
    Column("state", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("fill_session", Date),
    Column("approved_by", Text),
    Column("approved_at", UtcInstant),
    Column("expires_at", UtcInstant),
    Column("sent_at", UtcInstant),
    Column("reconciled_at", UtcInstant),
    Column("findings", CanonicalJson),
)

orders = Table(
    "orders",
    metadata,
    Column("client_order_id", Text, primary_key=True),
    Column("rebalance_id", Text, ForeignKey("rebalances.id"), nullable=False, index=True),
    Column("asset_id", Text, nullable=False),
    Column("weight", Measure, nullable=False),
    Column("value", Measure, nullable=False),
    Column("shares", BigInteger),
    Column("price", Measure),
    Column("state", Text, nullable=False),
    Column("fill", MeasuredJson),
    CheckConstraint(column("state").in_(ORDER_STATES), name="state"),
)

# What the paper broker knows by itself: it refers to nothing of ours, as a broker elsewhere would not.
paper_orders = Table(
    "paper_orders",
    metadata,
    Column("client_order_id", Text, primary_key=True),
    Column("fill_session", Date, nullable=False, index=True),
    Column("instruction", MeasuredJson, nullable=False),
    Column("state", Text, nullable=False),
    Column("fill", MeasuredJson),
    CheckConstraint(column("state").in_(ORDER_STATES), name="state"),
)

fund_days = Table(
    "fund_days",
    metadata,
    Column("session", Date, primary_key=True),
    Column("equity", Measure, nullable=False),
    Column("gross_pnl", Measure, nullable=False),
    Column("costs", MeasuredJson, nullable=False),
    Column("exposures", MeasuredJson, nullable=False),
)

fund_state = Table(
    "fund_state",
    metadata,
    Column("key", Text, primary_key=True),
    Column("sha256", Text, nullable=False),
    Column("through", Date, nullable=False),
)

occurrences = Table(
    "occurrences",
    metadata,
    Column("job", Text, primary_key=True),
    Column("due_at", UtcInstant, primary_key=True),
    Column("chain", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("payload", CanonicalJson, nullable=False),
    Column("state", Text, nullable=False),
    Column("owner", Text),
    Column("fencing", BigInteger, nullable=False),
    Column("lease_until", UtcInstant),
    Column("finished_at", UtcInstant),
    Column("error", Text),
    CheckConstraint(column("state").in_(OCCURRENCE_STATES), name="state"),
    # Both claims and blocking look at unfinished rows only, and finished ones pile up for years.
    Index(
        "ix_occurrences_unfinished",
        "due_at",
        "priority",
        "job",
        sqlite_where=column("finished_at").is_(None),
        postgresql_where=column("finished_at").is_(None),
    ),
    Index(
        "ix_occurrences_unfinished_chain",
        "chain",
        "due_at",
        "priority",
        "job",
        sqlite_where=column("finished_at").is_(None),
        postgresql_where=column("finished_at").is_(None),
    ),
)

audit = Table(
    "audit",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcInstant, nullable=False),
    Column("who", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("subject", Text, nullable=False, index=True),
    Column("details", CanonicalJson, nullable=False),
)


def of_round(table: Table, key: RoundKey) -> ColumnElement[bool]:
    """Return the condition that a row of ``table`` belongs to the round ``key``."""
    return and_(table.c.tournament == int(key.tournament), table.c.number == key.number)


def round_values(key: RoundKey) -> dict[str, int]:
    """Return the two columns that name the round ``key`` in a row."""
    return {"tournament": int(key.tournament), "number": key.number}
