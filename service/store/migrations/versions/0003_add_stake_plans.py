"""Add how a stake is kept, what is on its way out of it, gates, and corrections of the ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# The types as they were when this step was written: the store's own may move on, this file may not.
INSTANT = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")
AMOUNT = sa.Text().with_variant(sa.Numeric(78, 0), "postgresql")


def upgrade() -> None:
    with op.batch_alter_table("at_risk") as table:
        table.add_column(sa.Column("pays_wallet", sa.Boolean(), nullable=True))
        table.add_column(sa.Column("chosen_ppb", sa.Text(), nullable=True))
    _create_plans()
    _create_releases()
    _create_gated()
    _create_corrections()


def _create_plans() -> None:
    op.create_table(
        "stake_plans",
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("fixed_atoms", AMOUNT, nullable=True),
        sa.Column("chosen_ppb", sa.Text(), nullable=True),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_stake_plans_model_id")),
        sa.PrimaryKeyConstraint("model_id", name=op.f("pk_stake_plans")),
    )
    op.create_table(
        "stake_pools",
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("weights_ppb", sa.Text(), nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(["provider_id"], ["providers.id"], name=op.f("fk_stake_pools_provider_id")),
        sa.PrimaryKeyConstraint("provider_id", name=op.f("pk_stake_pools")),
    )


def _create_releases() -> None:
    op.create_table(
        "stake_releases",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("requested_at", INSTANT, nullable=False),
        sa.Column("amount_atoms", AMOUNT, nullable=False),
        sa.Column("burned_atoms", AMOUNT, nullable=False),
        sa.Column("rounds", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.CheckConstraint("state IN ('pending', 'released', 'cancelled')", name=op.f("ck_stake_releases_state")),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_stake_releases_model_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stake_releases")),
    )
    op.create_index(op.f("ix_stake_releases_model_id_state"), "stake_releases", ["model_id", "state"])


def _create_gated() -> None:
    op.create_table(
        "gated",
        sa.Column("tournament", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_gated_model_id")),
        sa.ForeignKeyConstraint(
            ["tournament", "number"], ["rounds.tournament", "rounds.number"], name=op.f("fk_gated_tournament_number")
        ),
        sa.PrimaryKeyConstraint("tournament", "number", "model_id", name=op.f("pk_gated")),
    )


def _create_corrections() -> None:
    op.create_table(
        "corrections",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("transfer_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("entries", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("proposed_at", INSTANT, nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("approved_at", INSTANT, nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.CheckConstraint("state IN ('proposed', 'posted', 'withdrawn')", name=op.f("ck_corrections_state")),
        sa.ForeignKeyConstraint(["transfer_id"], ["transfers.id"], name=op.f("fk_corrections_transfer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_corrections")),
    )
    op.create_index(op.f("ix_corrections_transfer_id"), "corrections", ["transfer_id"])


def downgrade() -> None:
    for table in ("corrections", "gated", "stake_releases", "stake_pools", "stake_plans"):
        op.drop_table(table)
    with op.batch_alter_table("at_risk") as at_risk:
        at_risk.drop_column("chosen_ppb")
        at_risk.drop_column("pays_wallet")
