"""The role with which PostgreSQL runs the statements of a principal.

Only this module decides it. Every principal is anonymous as yet, so that all statements
run with the role of the connection. A later change returns SET LOCAL ROLE and the claims here;
`Database.connection` already sends what is returned at the head of a transaction.
"""

from geosvc.model.principal import Principal


def role_commands(principal: Principal) -> str:
    """The commands that give a transaction the privileges of a principal.

    Returns: SQL that follows BEGIN, each command after a semicolon. "" means that a transaction is
        not needed for the sake of the role.
    """
    return ""
