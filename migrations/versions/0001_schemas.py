"""Make the schemas geosvc and geosvc_functions."""

from alembic import op
from sqlalchemy import text

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None
phase = "expand"

FUNCTIONS_COMMENT = (
    "Yours: geosvc serves each set-returning function of this schema as a collection; "
    "its arguments are the parameters of the request."
)


def upgrade() -> None:
    """The schema geosvc is there by now: env.py made it for Alembic's version table.

    A schema geosvc_functions that was there before is the user's own, and is left as it is.
    """
    op.execute("COMMENT ON SCHEMA geosvc IS 'Objects of geosvc itself, made by `geosvc migrate`: do not change them.'")
    if op.get_bind().scalar(text("SELECT pg_catalog.to_regnamespace('geosvc_functions') IS NULL")):
        op.execute("CREATE SCHEMA geosvc_functions")
        op.execute(f"COMMENT ON SCHEMA geosvc_functions IS '{FUNCTIONS_COMMENT}'")


def downgrade() -> None:
    """Drops geosvc_functions when upgrade() made it and nothing is in it; env.py drops geosvc with the version table.

    DROP ... RESTRICT decides what empty means: it cannot miss a kind of object, and nothing can come in between.
    """
    made_here = text(
        "SELECT pg_catalog.obj_description(pg_catalog.to_regnamespace('geosvc_functions'), 'pg_namespace') = :comment"
    )
    if op.get_bind().scalar(made_here, {"comment": FUNCTIONS_COMMENT}):
        op.execute(
            "DO $$ BEGIN DROP SCHEMA geosvc_functions RESTRICT;"
            " EXCEPTION WHEN dependent_objects_still_exist THEN NULL; END $$"
        )
