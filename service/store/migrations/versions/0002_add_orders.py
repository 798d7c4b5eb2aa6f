"""Add orders, the paper broker's own records, and who approved a rebalance, when, and until when."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# The type as it was when this step was written: the store's own may move on, this file may not.
INSTANT = sa.Text().with_variant(sa.TIMESTAMP(timezone=True), "postgresql")

APPROVAL_COLUMNS = (
    ("approved_by", sa.Text()),
    ("approved_at", INSTANT),
    ("expires_at", INSTANT),
    ("sent_at", INSTANT),
    ("reconciled_at", INSTANT),
    ("findings", sa.Text()),
)


def upgrade() -> None:
    with op.batch_alter_table("rebalances") as table:
        for name, kind in APPROVAL_COLUMNS:
            table.add_column(sa.Column(name, kind, nullable=True))
    op.create_table(
        "orders",
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("rebalance_id", sa.Text(), nullable=False),
        sa.Column("asset_id", sa.Text(), nullable=False),
        sa.Column("weight", sa.Double(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("shares", sa.BigInteger(), nullable=True),
        sa.Column("price", sa.Double(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("fill", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('new', 'sent', 'filled', 'partial', 'unfilled', 'cancelled')", name=op.f("ck_orders_state")
        ),
        sa.ForeignKeyConstraint(["rebalance_id"], ["rebalances.id"], name=op.f("fk_orders_rebalance_id")),
        sa.PrimaryKeyConstraint("client_order_id", name=op.f("pk_orders")),
    )
    op.create_index(op.f("ix_orders_rebalance_id"), "orders", ["rebalance_id"])
    op.create_table(
        "paper_orders",
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("fill_session", sa.Date(), nullable=False),
        sa.Column("instruction", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("fill", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('new', 'sent', 'filled', 'partial', 'unfilled', 'cancelled')", name=op.f("ck_paper_orders_state")
        ),
        sa.PrimaryKeyConstraint("client_order_id", name=op.f("pk_paper_orders")),
    )
    op.create_index(op.f("ix_paper_orders_fill_session"), "paper_orders", ["fill_session"])


def downgrade() -> None:
    op.drop_table("paper_orders")
    op.drop_table("orders")
    with op.batch_alter_table("rebalances") as table:
        for name, _ in reversed(APPROVAL_COLUMNS):
            table.drop_column(name)
