"""Make the table of idempotency keys."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
phase = "expand"


def upgrade() -> None:
    """A row for each Idempotency-Key and the answer that its first request got, made in the transaction of its write."""
    op.execute(
        "CREATE TABLE geosvc.idempotency_keys ("
        " key text PRIMARY KEY,"
        " digest bytea NOT NULL,"
        " status smallint,"
        " headers jsonb,"
        " body bytea,"
        " created_at timestamptz NOT NULL DEFAULT now())"
    )
    op.execute("CREATE INDEX idempotency_keys_created_at_idx ON geosvc.idempotency_keys (created_at)")
    op.execute(
        "COMMENT ON TABLE geosvc.idempotency_keys IS"
        " 'Answers to requests with an Idempotency-Key; rows older than GEOSVC_IDEMPOTENCY_SECONDS are deleted as new ones come.'"
    )


def downgrade() -> None:
    """Drops the table: keys that were used can be used again."""
    op.execute("DROP TABLE geosvc.idempotency_keys")
