"""Let a tournament have one round a base session."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INDEX = "ix_rounds_tournament_base_session"
DOUBLED = sa.text("SELECT 1 FROM rounds GROUP BY tournament, base_session HAVING count(*) > 1 LIMIT 1")


def upgrade() -> None:
    # Rounds that were opened twice have moved money: they stay, and such a home relies on the look of the workflow that opens.
    if op.get_bind().execute(DOUBLED).first() is None:
        op.create_index(op.f(INDEX), "rounds", ["tournament", "base_session"], unique=True)


def downgrade() -> None:
    op.drop_index(op.f(INDEX), table_name="rounds", if_exists=True)
