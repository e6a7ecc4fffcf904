"""Make the change log."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None
phase = "expand"


def upgrade() -> None:
    """A row for each change of a published table, made in the transaction of the change by the table's triggers.

    The index is by transaction, since readers ask for what was not visible in the snapshot of their last read: nothing below
    that snapshot's xmin can be. There is no primary key, whose index every write would pay for. Rows are kept together up to 8 kB:
    compressing the states of those above the usual 2 kB took half of the time of writing them.
    """
    op.execute(
        "CREATE TABLE geosvc.publication ("
        " id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
        " relation text NOT NULL,"
        " published_at timestamptz NOT NULL DEFAULT now(),"
        " pruned_moves numeric NOT NULL DEFAULT 0,"
        " pruned_to xid8 NOT NULL DEFAULT '0')"
    )
    op.execute(
        "COMMENT ON TABLE geosvc.publication IS"
        " 'Tables whose changes are logged, see geosvc publish; pruned_moves and pruned_to sum up the changes that were pruned.'"
    )
    op.execute("CREATE SEQUENCE geosvc.change_seq")
    op.execute(
        "CREATE TABLE geosvc.change ("
        " seq bigint NOT NULL DEFAULT nextval('geosvc.change_seq'),"
        " xid xid8 NOT NULL DEFAULT pg_current_xact_id(),"
        " publication integer NOT NULL,"
        ' operation "char" NOT NULL,'
        " key text,"
        " rows bigint,"
        " old_box box,"
        " new_box box,"
        " old json,"
        " new json,"
        " at timestamptz NOT NULL DEFAULT clock_timestamp())"
        " WITH (toast_tuple_target = 8160)"
    )
    op.execute("CREATE INDEX change_xid_idx ON geosvc.change (xid)")
    op.execute(
        "COMMENT ON TABLE geosvc.change IS"
        " 'Changes of published tables, for a while: i(nsert), u(pdate), d(elete), t(runcate), ? of an altered table,"
        " + published, - unpublished; rows is the number of rows of a statement that is logged as one.'"
    )


def downgrade() -> None:
    """Drops the log, unless a table still writes to it."""
    op.execute(
        "DO $$ BEGIN IF EXISTS (SELECT FROM geosvc.publication) THEN RAISE EXCEPTION 'unpublish first: %',"
        " (SELECT string_agg(relation, ', ' ORDER BY relation) FROM geosvc.publication) USING ERRCODE = 'object_in_use';"
        " END IF; END $$"
    )
    op.execute("DROP TABLE geosvc.change, geosvc.publication")
    op.execute("DROP SEQUENCE geosvc.change_seq")
