"""Migrations of geosvc's own schema, by Alembic's async engine; the scripts are in the folder `migrations`.

Every revision runs in a transaction of its own, which env.py bounds with lock_timeout and statement_timeout, and which one
command at a time may have. The revision to run is chosen while that lock is held, so two commands share the work instead of
doing it twice. The functions run an event loop of their own, and Alembic keeps its context in a global: call them one at a
time in a process, and never from a coroutine.
"""

import asyncio
import logging
import re
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from os import strerror
from pathlib import Path
from typing import Any, Literal

import asyncpg
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, NullPool
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from geosvc.database.pool import CANCEL_GRACE_SECONDS, connect_arguments
from geosvc.errors import MigrationError
from geosvc.settings import Settings

Phase = Literal["expand", "contract"]
_PACKAGE = Path(__file__).parent.parent
_VERSION_TABLE = {"version_table": "alembic_version", "version_table_schema": "geosvc"}


@dataclass(frozen=True, slots=True)
class Migration:
    """A revision of the schema `geosvc`.

    Attributes:
        phase: `expand` runs before a deploy, beside the old version; `contract` when no old version runs any more.
        title: the first line of the script, without its full stop.
    """

    revision: str
    phase: Phase
    title: str
    applied: bool


@dataclass(frozen=True, slots=True)
class Limits:
    """What a migration may take.

    Attributes:
        lock_seconds: how long it waits for a table or schema: requests queue behind it, so not for long.
        statement_seconds: how long one of its statements runs, or waits for another command that migrates.
    """

    lock_seconds: float = 5.0
    statement_seconds: float = 300.0


_Choose = Callable[[int], Script | None]  # the revision to run next, given how many are applied


class _Command:
    """One command: the revisions, oldest first, and the one that it is at."""

    def __init__(self, settings: Settings, url: str, limits: Limits) -> None:
        self.scripts = _scripts(_folder())
        self.order = _in_order(self.scripts)
        self._limits = limits
        self._arguments = connect_arguments(settings, url) | {
            "command_timeout": limits.statement_seconds + CANCEL_GRACE_SECONDS
        }
        if settings.pgbouncer:
            self._arguments["statement_cache_size"] = 0
        self._current: Script | None = None
        logging.getLogger("alembic").setLevel(logging.WARNING)  # at info it tells each step

    def run(self, choose: _Choose, *, upgrading: bool) -> tuple[Migration, ...]:
        """Runs revisions, each in its own transaction, until `choose` has no more. Raises: MigrationError."""

        async def steps(engine: AsyncEngine) -> list[Script]:
            done = []
            async with engine.connect() as connection:
                while True:
                    self._current = None
                    async with connection.begin():
                        await connection.run_sync(self._step, choose, upgrading)
                    if self._current is None:
                        return done
                    done.append(self._current)

        return tuple(_migration(script, applied=upgrading) for script in self._with_engine(steps))

    def applied(self) -> int:
        """How many revisions are applied; neither writes nor waits for a migration. Raises: MigrationError."""

        def heads(connection: Connection) -> tuple[str, ...]:
            return MigrationContext.configure(connection, opts=dict(_VERSION_TABLE)).get_current_heads()

        async def read(engine: AsyncEngine) -> tuple[str, ...]:
            async with engine.connect() as connection:
                return await connection.run_sync(heads)

        return self._count(self._with_engine(read))

    def _step(self, connection: Connection, choose: _Choose, upgrading: bool) -> None:
        make = MigrationStep.upgrade_from_script if upgrading else MigrationStep.downgrade_from_script

        def chosen(heads: Any, _: MigrationContext) -> Iterator[MigrationStep]:
            self._current = choose(self._count(heads))
            return iter(() if self._current is None else (make(self.scripts.revision_map, self._current),))

        config = Config(
            attributes={
                "connection": connection,
                "upgrading": upgrading,
                "lock_seconds": self._limits.lock_seconds,
                "statement_seconds": self._limits.statement_seconds,
            }
        )
        with EnvironmentContext(config, self.scripts, fn=chosen):
            self.scripts.run_env()

    def _count(self, heads: tuple[str, ...]) -> int:
        position = {script.revision: at for at, script in enumerate(self.order, 1)}
        unknown = [head for head in heads if head not in position]
        if unknown:
            raise MigrationError(
                f"the database is at revision {', '.join(unknown)}, which this geosvc does not have: "
                "a newer one migrated it"
            )
        return max((position[head] for head in heads), default=0)

    def _with_engine[T](self, work: Callable[[AsyncEngine], Any]) -> T: ...
