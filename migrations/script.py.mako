"""${message}."""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None
phase = "expand"  # "expand": before a deploy, the old version still runs; "contract": when no old version runs


def upgrade() -> None:
    """What comes."""
    op.execute("")


def downgrade() -> None:
    """What goes; nothing of the user's."""
    op.execute("")
