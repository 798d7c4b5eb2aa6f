"""Create the tables, and the triggers that keep ledger and audit rows as they are."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# The types as they were when this step was written: the store's own may move on, this file may not.
AMOUNT = sa.Text().with_variant(sa.Numeric(78, 0), "postgresql")
INSTANT = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")
UNFINISHED = sa.text("finished_at IS NULL")


def _create_accounts() -> None:
    op.create_table(
        "meta",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_meta")),
    )
    op.create_table(
        "providers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_providers")),
        sa.UniqueConstraint("name", name=op.f("uq_providers_name")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("revoked_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(["provider_id"], ["providers.id"], name=op.f("fk_api_keys_provider_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("prefix", name=op.f("uq_api_keys_prefix")),
    )
    op.create_index(op.f("ix_api_keys_provider_id"), "api_keys", ["provider_id"])
    op.create_table(
        "models",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("tournament", sa.Integer(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["provider_id"], ["providers.id"], name=op.f("fk_models_provider_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_models")),
        sa.UniqueConstraint("name", name=op.f("uq_models_name")),
    )
    op.create_index(op.f("ix_models_provider_id"), "models", ["provider_id"])
    op.create_index(op.f("ix_models_tournament"), "models", ["tournament"])


def _create_rounds() -> None:
    op.create_table(
        "rounds",
        sa.Column("tournament", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("opens_at", INSTANT, nullable=False),
        sa.Column("closes_at", INSTANT, nullable=False),
        sa.Column("base_session", sa.Date(), nullable=False),
        sa.Column("resolve_session", sa.Date(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False),
        sa.Column("terms_hash", sa.Text(), nullable=False),
        sa.Column("universe_hash", sa.Text(), nullable=False),
        sa.Column("opened_at", INSTANT, nullable=True),
        sa.Column("closed_at", INSTANT, nullable=True),
        sa.Column("resolved_at", INSTANT, nullable=True),
        sa.Column("submissions_root", sa.Text(), nullable=True),
        sa.Column("void_reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('scheduled', 'open', 'closed', 'scoring', 'resolved', 'void')", name=op.f("ck_rounds_state")
        ),
        sa.PrimaryKeyConstraint("tournament", "number", name=op.f("pk_rounds")),
    )
    op.create_index(op.f("ix_rounds_state"), "rounds", ["state"])
    op.create_table(
        "round_artifacts",
        sa.Column("tournament", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tournament", "number"], ["rounds.tournament", "rounds.number"], name=op.f("fk_round_artifacts_tournament_number")
        ),
        sa.PrimaryKeyConstraint("tournament", "number", "name", name=op.f("pk_round_artifacts")),
    )


def _create_submissions() -> None:
    op.create_table(
        "submissions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("tournament", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.Column("on_time", sa.Boolean(), nullable=False),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("findings", sa.Text(), nullable=False),
        sa.Column("vector_sha", sa.Text(), nullable=True),
        sa.Column("receipt", sa.Text(), nullable=True),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_submissions_model_id")),
        sa.ForeignKeyConstraint(
            ["tournament", "number"], ["rounds.tournament", "rounds.number"], name=op.f("fk_submissions_tournament_number")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_submissions")),
        sa.UniqueConstraint("sequence", name=op.f("uq_submissions_sequence")),
    )
    op.create_index(
        op.f("ix_submissions_model_id_tournament_number_sequence"),
        "submissions",
        ["model_id", "tournament", "number", "sequence"],
    )
    op.create_index(op.f("ix_submissions_tournament_number_sequence"), "submissions", ["tournament", "number", "sequence"])


def _create_ledger() -> None:
    op.create_table(
        "transfers",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("previous_hash", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_transfers")),
        sa.UniqueConstraint("hash", name=op.f("uq_transfers_hash")),
        sa.UniqueConstraint("id", name=op.f("uq_transfers_id")),
    )
    op.create_table(
        "entries",
        sa.Column("transfer_sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("amount", AMOUNT, nullable=False),
        sa.ForeignKeyConstraint(["transfer_sequence"], ["transfers.sequence"], name=op.f("fk_entries_transfer_sequence")),
        sa.PrimaryKeyConstraint("transfer_sequence", "position", name=op.f("pk_entries")),
    )
    op.create_index(op.f("ix_entries_account_transfer_sequence"), "entries", ["account", "transfer_sequence"])
    op.create_table(
        "balances",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("balance", AMOUNT, nullable=False),
        sa.PrimaryKeyConstraint("account", name=op.f("pk_balances")),
    )
    op.create_table(
        "ledger_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_ledger_head_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_head")),
    )


def _create_scores() -> None:
    op.create_table(
        "scores",
        sa.Column("tournament", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("score_ppb", sa.BigInteger(), nullable=False),
        sa.Column("final", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_scores_model_id")),
        sa.ForeignKeyConstraint(
            ["tournament", "number"], ["rounds.tournament", "rounds.number"], name=op.f("fk_scores_tournament_number")
        ),
        sa.PrimaryKeyConstraint("tournament", "number", "model_id", "kind", name=op.f("pk_scores")),
    )
    op.create_index(op.f("ix_scores_model_id"), "scores", ["model_id"])
    op.create_table(
        "retentions",
        sa.Column("tournament", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("churn", sa.Double(), nullable=True),
        sa.Column("retention_ppb", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_retentions_model_id")),
        sa.ForeignKeyConstraint(
            ["tournament", "number"], ["rounds.tournament", "rounds.number"], name=op.f("fk_retentions_tournament_number")
        ),
        sa.PrimaryKeyConstraint("tournament", "number", "model_id", name=op.f("pk_retentions")),
    )


def _create_settlements() -> None:
    op.create_table(
        "at_risk",
        sa.Column("tournament", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("stake_atoms", AMOUNT, nullable=False),
        sa.Column("at_risk_atoms", AMOUNT, nullable=False),
        sa.Column("reserved_atoms", AMOUNT, nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_at_risk_model_id")),
        sa.ForeignKeyConstraint(
            ["tournament", "number"], ["rounds.tournament", "rounds.number"], name=op.f("fk_at_risk_tournament_number")
        ),
        sa.PrimaryKeyConstraint("tournament", "number", "model_id", name=op.f("pk_at_risk")),
    )
    op.create_index(op.f("ix_at_risk_model_id"), "at_risk", ["model_id"])
    op.create_table(
        "resolutions",
        sa.Column("tournament", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("resolved_at", INSTANT, nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("total_at_risk", AMOUNT, nullable=False),
        sa.Column("total_payout", AMOUNT, nullable=False),
        sa.Column("total_burn", AMOUNT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tournament", "number"], ["rounds.tournament", "rounds.number"], name=op.f("fk_resolutions_tournament_number")
        ),
        sa.PrimaryKeyConstraint("tournament", "number", name=op.f("pk_resolutions")),
    )
    op.create_table(
        "resolution_lines",
        sa.Column("tournament", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("at_risk_atoms", AMOUNT, nullable=False),
        sa.Column("payout_atoms", AMOUNT, nullable=False),
        sa.Column("retention_ppb", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_resolution_lines_model_id")),
        sa.ForeignKeyConstraint(
            ["tournament", "number"],
            ["resolutions.tournament", "resolutions.number"],
            name=op.f("fk_resolution_lines_tournament_number"),
        ),
        sa.PrimaryKeyConstraint("tournament", "number", "model_id", name=op.f("pk_resolution_lines")),
    )
    op.create_index(op.f("ix_resolution_lines_model_id"), "resolution_lines", ["model_id"])


def _create_fund() -> None:
    op.create_table(
        "rebalances",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("decided_at", INSTANT, nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("fill_session", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rebalances")),
    )
    op.create_index(op.f("ix_rebalances_as_of"), "rebalances", ["as_of"])
    op.create_table(
        "fund_days",
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("equity", sa.Double(), nullable=False),
        sa.Column("gross_pnl", sa.Double(), nullable=False),
        sa.Column("costs", sa.Text(), nullable=False),
        sa.Column("exposures", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("session", name=op.f("pk_fund_days")),
    )
    op.create_table(
        "fund_state",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("through", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_fund_state")),
    )


def _create_operations() -> None:
    op.create_table(
        "occurrences",
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("chain", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("fencing", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", INSTANT, nullable=True),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('planned', 'running', 'failed', 'done')", name=op.f("ck_occurrences_state")),
        sa.PrimaryKeyConstraint("job", "due_at", name=op.f("pk_occurrences")),
    )
    op.create_index(
        "ix_occurrences_unfinished",
        "occurrences",
        ["due_at", "priority", "job"],
        sqlite_where=UNFINISHED,
        postgresql_where=UNFINISHED,
    )
    op.create_index(
        "ix_occurrences_unfinished_chain",
        "occurrences",
        ["chain", "due_at", "priority", "job"],
        sqlite_where=UNFINISHED,
        postgresql_where=UNFINISHED,
    )
    op.create_table(
        "audit",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_subject"), "audit", ["subject"])


SQLITE_TRIGGERS = (
    """CREATE TRIGGER transfers_no_update BEFORE UPDATE ON transfers
    BEGIN SELECT RAISE(ABORT, 'rows of transfers are never changed'); END""",
    """CREATE TRIGGER transfers_no_delete BEFORE DELETE ON transfers
    BEGIN SELECT RAISE(ABORT, 'rows of transfers are never removed'); END""",
    # INSERT OR REPLACE removes the old row without asking the trigger above.
    """CREATE TRIGGER transfers_no_replace BEFORE INSERT ON transfers
    WHEN EXISTS (SELECT 1 FROM transfers WHERE sequence = NEW.sequence OR id = NEW.id)
    BEGIN SELECT RAISE(ABORT, 'rows of transfers are never replaced'); END""",
    """CREATE TRIGGER entries_no_update BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'rows of entries are never changed'); END""",
    """CREATE TRIGGER entries_no_delete BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'rows of entries are never removed'); END""",
    # INSERT OR REPLACE removes the old row without asking the trigger above.
    """CREATE TRIGGER entries_no_replace BEFORE INSERT ON entries
    WHEN EXISTS (SELECT 1 FROM entries WHERE transfer_sequence = NEW.transfer_sequence AND position = NEW.position)
    BEGIN SELECT RAISE(ABORT, 'rows of entries are never replaced'); END""",
    """CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'rows of audit are never changed'); END""",
    """CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'rows of audit are never removed'); END""",
    # INSERT OR REPLACE removes the old row without asking the trigger above.
    """CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit
    WHEN EXISTS (SELECT 1 FROM audit WHERE sequence = NEW.sequence)
    BEGIN SELECT RAISE(ABORT, 'rows of audit are never replaced'); END""",
)

POSTGRES_TRIGGERS = (
    """CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'rows of % are never changed or removed', TG_TABLE_NAME; END $$""",
    """CREATE TRIGGER transfers_no_change BEFORE UPDATE OR DELETE ON transfers
    FOR EACH ROW EXECUTE FUNCTION refuse_change()""",
    """CREATE TRIGGER transfers_no_truncate BEFORE TRUNCATE ON transfers
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""",
    """CREATE TRIGGER entries_no_change BEFORE UPDATE OR DELETE ON entries
    FOR EACH ROW EXECUTE FUNCTION refuse_change()""",
    """CREATE TRIGGER entries_no_truncate BEFORE TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""",
    """CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION refuse_change()""",
    """CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()""",
)

TABLES = (
    "meta",
    "providers",
    "api_keys",
    "models",
    "rounds",
    "round_artifacts",
    "submissions",
    "transfers",
    "entries",
    "balances",
    "ledger_head",
    "scores",
    "retentions",
    "at_risk",
    "resolutions",
    "resolution_lines",
    "rebalances",
    "fund_days",
    "fund_state",
    "occurrences",
    "audit",
)
"""In the order of their creation: a table after those that it refers to."""


def upgrade() -> None:
    _create_accounts()
    _create_rounds()
    _create_submissions()
    _create_ledger()
    _create_scores()
    _create_settlements()
    _create_fund()
    _create_operations()
    triggers = POSTGRES_TRIGGERS if op.get_context().dialect.name == "postgresql" else SQLITE_TRIGGERS
    for statement in triggers:
        op.execute(statement)


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_change()")
