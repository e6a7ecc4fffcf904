"""Migrations of geosvc's own schema, by Alembic's async engine; the scripts are in the folder `migrations`.

Every revision runs in a transaction of its own, which env.py bounds with lock_timeout and statement_timeout and gives
to one command at a time; the revision is chosen while that lock is held, so two commands share the work. The functions
run a loop of their own, and Alembic keeps its context in a global: call one at a time, and never in a coroutine.
"""

import asyncio
import logging
import re
import ssl
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import asdict, dataclass
from errno import ETIMEDOUT
from os import strerror
from pathlib import Path
from typing import Any, Literal, TypeVar

import asyncpg
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, MigrationStep
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, NullPool
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from geosvc.database.connection import connect_arguments
from geosvc.database.session import CANCEL_GRACE_SECONDS
from geosvc.database.sqlstate import DATABASE_ERRORS
from geosvc.errors import MigrationError
from geosvc.settings import Settings

_PACKAGE = Path(__file__).parent.parent
_VERSION_TABLE = {"version_table": "alembic_version", "version_table_schema": "geosvc"}
_REASONS = {  # where PostgreSQL's own words do not say enough
    "2BP01": "an object that geosvc did not make is in the way; move it out of the schema geosvc",
    "42501": "the database role may not do it: {words}",
    "55P03": "it waited {lock_seconds:g} s for a lock that somebody else holds; try again",
    "57014": "a statement took longer than {statement_seconds:g} s",
    "waiting": "another migration has run for {statement_seconds:g} s; wait until it has ended",
}
_T = TypeVar("_T")
_Choose = Callable[[int], Script | None]  # the revision to run next, given how many are applied


@dataclass(frozen=True, slots=True)
class Migration:
    """A revision: `expand` comes before a deploy, beside the old version; `contract` when no old version runs."""

    revision: str
    phase: Literal["expand", "contract"]
    title: str
    applied: bool


@dataclass(frozen=True, slots=True)
class MigrationLimits:
    """How long a migration waits for a lock, with requests queueing behind it, and how long a statement may run."""

    lock_seconds: float = 5.0
    statement_seconds: float = 300.0


DEFAULT_LIMITS = MigrationLimits()


class _Command:
    """One command: the revisions, oldest first, and the one that it is at."""

    def __init__(self, settings: Settings, url: str, limits: MigrationLimits) -> None:
        self.scripts = _scripts()
        self.order = _in_order(self.scripts)
        self._limits = limits
        self._arguments = connect_arguments(settings, url) | {
            "statement_cache_size": 0
        }  # nothing is run twice
        self._arguments["command_timeout"] = limits.statement_seconds + CANCEL_GRACE_SECONDS
        self._current: Script | None = None
        logging.getLogger("alembic").setLevel(logging.WARNING)  # at info it tells each step

    def run(self, choose: _Choose, *, upgrading: bool) -> tuple[Migration, ...]:
        """Runs revisions, each in its own transaction, until `choose` has no more. Raises: MigrationError."""

        async def steps(engine: AsyncEngine) -> list[Script]:
            done: list[Script] = []
            async with engine.connect() as connection:
                while True:
                    async with connection.begin():
                        script = await connection.run_sync(self._step, choose, upgrading)
                    if script is None:
                        return done
                    done.append(script)

        return tuple(_migration(script, applied=upgrading) for script in self._with_engine(steps))

    def applied(self) -> int:
        """How many revisions are applied; neither writes nor waits for a migration. Raises: MigrationError."""

        async def heads(engine: AsyncEngine) -> tuple[str, ...]:
            async with engine.connect() as connection:
                context = await connection.run_sync(
                    MigrationContext.configure, opts={**_VERSION_TABLE}
                )
                return await connection.run_sync(lambda _: context.get_current_heads())

        return self._count(self._with_engine(heads))

    def _step(self, connection: Connection, choose: _Choose, upgrading: bool) -> Script | None:
        make = (
            MigrationStep.upgrade_from_script if upgrading else MigrationStep.downgrade_from_script
        )
        self._current = None

        def chosen(heads: Any, _: MigrationContext) -> Iterator[Any]:
            self._current = choose(self._count(heads))
            return iter([make(self.scripts.revision_map, self._current)] if self._current else [])

        config = Config(
            attributes={"connection": connection, "upgrading": upgrading, **asdict(self._limits)}
        )
        with EnvironmentContext(config, self.scripts, fn=chosen):
            self.scripts.run_env()
        return self._current

    def _count(self, heads: tuple[str, ...]) -> int:
        position = {script.revision: at for at, script in enumerate(self.order, 1)}
        if unknown := ", ".join(head for head in heads if head not in position):
            raise MigrationError(
                f"the database is at revision {unknown}, made by a newer geosvc than this one"
            )
        return max((position[head] for head in heads), default=0)

    def _with_engine(self, work: Callable[[AsyncEngine], Coroutine[Any, Any, _T]]) -> _T:
        async def connect() -> asyncpg.Connection:
            try:
                return await asyncpg.connect(**self._arguments)
            except ValueError:  # it may quote a piece of the URL, which may be of the password
                raise MigrationError(
                    "the database URL cannot be used: asyncpg does not understand it"
                ) from None

        async def run() -> _T:
            engine = create_async_engine(
                "postgresql+asyncpg://",
                async_creator=connect,
                poolclass=NullPool,
                isolation_level="READ COMMITTED",
            )
            try:
                return await work(engine)
            finally:
                await engine.dispose()

        try:
            return asyncio.run(run())
        except (DBAPIError, *DATABASE_ERRORS) as error:
            at = f"migration {self._current.revision} failed: " if self._current else ""
            raise MigrationError(
                at + self._reason(error)
            ) from None  # SQLAlchemy's error holds the SQL

    def _reason(self, error: BaseException) -> str:
        """One line without SQL and without the URL."""
        cause = (
            (error.orig and error.orig.__cause__) or error
            if isinstance(error, DBAPIError)
            else error
        )
        if isinstance(cause, asyncpg.PostgresError):
            state = cause.sqlstate or "XX000"
            words = str(cause.args[0] if cause.args else "").partition("\n")[0]
            if state.startswith("22"):
                words = "a value was refused"  # the server's words quote it
            key = "waiting" if state == "57014" and not self._current else state
            return _REASONS.get(key, f"{{words}} ({state})").format(
                words=words, **asdict(self._limits)
            )
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate of the database is not trusted: {cause.verify_message}"
        number = getattr(cause, "errno", None) or (
            ETIMEDOUT if isinstance(cause, TimeoutError) else 0
        )
        return "the database cannot be reached" + (f": {strerror(number)}" if number > 0 else "")


def _scripts() -> ScriptDirectory:
    """The scripts: in the package when it was installed from a wheel, beside it in a checkout."""
    installed, beside = _PACKAGE / "migrations", _PACKAGE.parent / "migrations"
    folder = installed if installed.is_dir() else beside
    if not (folder / "env.py").is_file():
        raise MigrationError("the installation is incomplete: it has no migrations")
    return ScriptDirectory(
        str(folder), file_template="%(rev)s_%(slug)s", messaging_opts={"quiet": True}
    )


def _in_order(scripts: ScriptDirectory) -> list[Script]:
    if len(heads := scripts.get_heads()) > 1:
        raise MigrationError(
            f"the migrations {', '.join(sorted(heads))} all want to be the last: put them in a line"
        )
    return [*scripts.walk_revisions()][::-1]


def _migration(script: Script, *, applied: bool) -> Migration:
    phase = getattr(script.module, "phase", None)
    if phase not in ("expand", "contract"):
        raise MigrationError(
            f"migration {script.revision} does not say whether its phase is expand or contract"
        )
    return Migration(script.revision, phase, script.doc.partition("\n")[0].rstrip("."), applied)


def migrate_up(
    settings: Settings,
    url: str,
    *,
    expand_only: bool = False,
    limits: MigrationLimits = DEFAULT_LIMITS,
) -> tuple[Migration, ...]:
    """Applies what is not applied yet, oldest first; with `expand_only`, as far as the first revision that contracts.

    `url` is the database itself, not a pooler in transaction mode.
    Returns: what this call applied; nothing when another command was faster.
    Raises: MigrationError, and what was applied before stays applied; SettingsError when those of TLS do not hold.
    """
    command = _Command(settings, url, limits)
    every = [_migration(script, applied=True) for script in command.order]

    def following(applied: int) -> Script | None:
        wanted = applied < len(every) and not (expand_only and every[applied].phase == "contract")
        return command.order[applied] if wanted else None

    return command.run(following, upgrading=True)


def migrate_down(
    settings: Settings, url: str, revision: str = "-1", *, limits: MigrationLimits = DEFAULT_LIMITS
) -> tuple[Migration, ...]:
    """Undoes revisions, newest first: `-2` the last two, `0004` what came after 0004, `base` all.

    Returns: what this call undid.
    Raises: MigrationError, also when fewer are applied or the revision is not; SettingsError.
    """
    command = _Command(settings, url, limits)
    kept: int | None = None  # how many stay applied; known once the lock is held

    def last(applied: int) -> Script | None:
        nonlocal kept
        kept = (
            _kept([script.revision for script in command.order[:applied]], revision)
            if kept is None
            else kept
        )
        return command.order[applied - 1] if applied > kept else None

    return command.run(last, upgrading=False)


def _kept(applied: list[str], revision: str) -> int:
    if revision == "base":
        return 0
    if revision in applied:
        return applied.index(revision) + 1
    if re.fullmatch(r"-[1-9]\d{0,5}", revision) and -int(revision) <= len(applied):
        return len(applied) + int(revision)
    raise MigrationError(
        f"cannot go down to {revision[:40]!r}: {len(applied)} migrations are applied"
    )


def migration_status(settings: Settings, url: str) -> tuple[Migration, ...]:
    """Every revision, oldest first, and whether it is applied. It changes nothing, and works before the first `up`.

    Raises: MigrationError; SettingsError.
    """
    applied = (command := _Command(settings, url, DEFAULT_LIMITS)).applied()
    return tuple(
        _migration(script, applied=at < applied) for at, script in enumerate(command.order)
    )


def new_migration(name: str) -> Path:
    """Writes the next revision's script into the checkout; `name` says what it does: `add-change-log`.

    Raises: MigrationError.
    """
    scripts = _scripts()
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_ -]*", name) or Path(scripts.dir).parent == _PACKAGE:
        raise MigrationError(
            "in a checkout, and with a name of letters, digits and hyphens: NAME=add-change-log"
        )
    title = name.replace("-", " ").strip().capitalize()
    script = scripts.generate_revision(f"{len(_in_order(scripts)) + 1:04}", title)
    return Path(script.path if script else "")
