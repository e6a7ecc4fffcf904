"""Migrations of the schema `geosvc`, with Alembic. The scripts are in the folder `migrations`.

Each revision runs in a transaction of its own. There env.py sets lock_timeout and
statement_timeout, and takes a lock, so that one command migrates at a time. The revision is chosen
while that lock is held: two commands that run at the same time share the work.

The functions run an event loop of their own, and Alembic keeps its context in a global variable. So
call one at a time, and none from a coroutine.
"""

import asyncio
import logging
import re
import ssl
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass
from errno import ETIMEDOUT
from functools import partial
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

from geosvc.database.connection import open_connection
from geosvc.database.session import CANCEL_GRACE_SECONDS
from geosvc.database.sqlstate import DATABASE_ERRORS
from geosvc.database.target import NotConnected, first_line
from geosvc.errors import MigrationError
from geosvc.settings import Settings

Phase = Literal["expand", "contract"]

_PACKAGE = Path(__file__).parent.parent
_VERSION_TABLE = {"version_table": "alembic_version", "version_table_schema": "geosvc"}
_WAITED_TOO_LONG = "waiting"
# by SQLSTATE, where the message of PostgreSQL does not say enough
_REASONS = {
    "2BP01": "an object that geosvc did not make is in the way; move it out of the schema geosvc",
    "42501": "the database role may not do it: {words}",
    "55P03": "it waited {lock_seconds:g} s for a lock that somebody else holds; try again",
    "57014": "a statement took longer than {statement_seconds:g} s",
    _WAITED_TOO_LONG: (
        "another migration has run for {statement_seconds:g} s; wait until it has ended"
    ),
}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_ -]*")
_STEPS_DOWN = re.compile(r"-[1-9]\d{0,5}")

_T = TypeVar("_T")
# returns the revision to run next, given how many are applied; None to stop
_Choose = Callable[[int], Script | None]


@dataclass(frozen=True, slots=True)
class Migration:
    """A revision of the schema.

    Attributes:
        phase: `expand` runs before a deployment, while the old version still serves; `contract`
            runs when no old version runs any more.
    """

    revision: str
    phase: Phase
    title: str
    applied: bool


@dataclass(frozen=True, slots=True)
class MigrationLimits:
    """The limits of a migration.

    Attributes:
        lock_seconds: how long it waits for a lock. Requests wait behind it for as long.
        statement_seconds: how long one statement may run.
    """

    lock_seconds: float = 5.0
    statement_seconds: float = 300.0


DEFAULT_LIMITS = MigrationLimits()


class _Command:
    """One command on the revisions.

    Attributes:
        order: the scripts of the revisions, oldest first.
    """

    def __init__(self, settings: Settings, url: str, limits: MigrationLimits) -> None:
        self._scripts = _open_scripts()
        self.order = _in_order(self._scripts)
        self._limits = limits
        self._settings = settings
        self._url = url
        self._current: Script | None = None
        # at level INFO Alembic reports each step
        logging.getLogger("alembic").setLevel(logging.WARNING)

    def run(self, choose: _Choose, *, upgrading: bool) -> tuple[Migration, ...]:
        """Run revisions, each in a transaction of its own, until `choose` returns None.

        Raises: MigrationError.
        """
        scripts = self._with_engine(partial(self._run_all, choose, upgrading))
        return tuple(_migration(script, applied=upgrading) for script in scripts)

    def number_applied(self) -> int:
        """How many revisions are applied. Writes nothing, and waits for no migration.

        Raises: MigrationError.
        """
        heads = self._with_engine(_read_heads)
        return self._count(heads)

    async def _run_all(self, choose: _Choose, upgrading: bool, engine: AsyncEngine) -> list[Script]:
        done: list[Script] = []
        async with engine.connect() as connection:
            while True:
                async with connection.begin():
                    script = await connection.run_sync(self._run_next, choose, upgrading)
                if script is None:
                    return done
                done.append(script)

    def _run_next(self, connection: Connection, choose: _Choose, upgrading: bool) -> Script | None:
        """Run one revision in an open transaction; None if `choose` returns none.

        env.py takes the lock, and then calls `plan` by way of Alembic.
        """
        make_step = MigrationStep.downgrade_from_script
        if upgrading:
            make_step = MigrationStep.upgrade_from_script
        self._current = None

        def plan(heads: Any, _: MigrationContext) -> list[Any]:
            self._current = choose(self._count(heads))
            if self._current is None:
                return []
            return [make_step(self._scripts.revision_map, self._current)]

        attributes: dict[str, Any] = {"connection": connection, "upgrading": upgrading}
        attributes.update(asdict(self._limits))
        config = Config(attributes=attributes)
        with EnvironmentContext(config, self._scripts, fn=plan):
            self._scripts.run_env()
        return self._current

    def _count(self, heads: Sequence[str]) -> int:
        """How many revisions are applied. Raises: MigrationError if one is unknown.

        Args:
            heads: what Alembic's version table contains: the last applied revision, if any.
        """
        positions = {script.revision: at for at, script in enumerate(self.order, 1)}
        unknown = [head for head in heads if head not in positions]
        if unknown:
            raise MigrationError(
                f"the database is at revision {', '.join(unknown)}, made by a newer geosvc than"
                " this one"
            )
        return max((positions[head] for head in heads), default=0)

    def _with_engine(self, work: Callable[[AsyncEngine], Coroutine[Any, Any, _T]]) -> _T:
        """Run a coroutine in a new event loop.

        Raises: MigrationError for the errors of the database.
        """
        try:
            return asyncio.run(self._run_with_engine(work))
        except (DBAPIError, *DATABASE_ERRORS) as error:
            reason = self._reason(error)
            if self._current is not None:
                reason = f"migration {self._current.revision} failed: {reason}"
            # the error of SQLAlchemy contains the SQL
            raise MigrationError(reason) from None

    async def _run_with_engine(self, work: Callable[[AsyncEngine], Coroutine[Any, Any, _T]]) -> _T:
        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._connect,
            poolclass=NullPool,
            isolation_level="READ COMMITTED",
        )
        try:
            return await work(engine)
        finally:
            await engine.dispose()

    async def _connect(self) -> asyncpg.Connection:
        return await open_connection(
            self._settings,
            self._url,
            statement_cache_size=0,  # no statement runs twice
            command_timeout=self._limits.statement_seconds + CANCEL_GRACE_SECONDS,
        )

    def _reason(self, error: BaseException) -> str:
        """Why the database failed, in one line without SQL and without the URL."""
        cause = _cause_of(error)
        if isinstance(cause, asyncpg.PostgresError):
            return self._reason_of_server(cause)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate of the database is not trusted: {cause.verify_message}"
        if isinstance(cause, NotConnected):
            return f"the database cannot be reached: {first_line(cause)}"
        number = getattr(cause, "errno", None) or 0
        if not number and isinstance(cause, TimeoutError):
            number = ETIMEDOUT
        if number <= 0:
            return "the database cannot be reached"
        return f"the database cannot be reached: {strerror(number)}"

    def _reason_of_server(self, error: asyncpg.PostgresError) -> str:
        sqlstate = error.sqlstate or "XX000"
        words = first_line(error)
        if sqlstate.startswith("22"):
            words = "a value was refused"  # the message quotes the value
        key = sqlstate
        if sqlstate == "57014" and self._current is None:
            key = _WAITED_TOO_LONG
        template = _REASONS.get(key, f"{{words}} ({sqlstate})")
        return template.format(words=words, **asdict(self._limits))


def _cause_of(error: BaseException) -> BaseException:
    """The error of asyncpg from which SQLAlchemy made its own."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error
    return error


async def _read_heads(engine: AsyncEngine) -> tuple[str, ...]:
    async with engine.connect() as connection:
        return await connection.run_sync(_heads_of)


def _heads_of(connection: Connection) -> tuple[str, ...]:
    context = MigrationContext.configure(connection, opts=dict(_VERSION_TABLE))
    return context.get_current_heads()


def _open_scripts() -> ScriptDirectory:
    """Open the folder of scripts: in an installed package, or beside the package in a checkout.

    Raises: MigrationError.
    """
    folder = _PACKAGE / "migrations"
    if not folder.is_dir():
        folder = _PACKAGE.parent / "migrations"
    if not (folder / "env.py").is_file():
        raise MigrationError("the installation is incomplete: it has no migrations")
    return ScriptDirectory(
        str(folder), file_template="%(rev)s_%(slug)s", messaging_opts={"quiet": True}
    )


def _in_order(scripts: ScriptDirectory) -> list[Script]:
    """The scripts, oldest first. Raises: MigrationError if they do not follow one another."""
    heads = scripts.get_heads()
    if len(heads) > 1:
        names = ", ".join(sorted(heads))
        raise MigrationError(
            f"no migration follows any of {names}: only the last one may have no successor"
        )
    order = list(scripts.walk_revisions())
    order.reverse()
    return order


def _phase_of(script: Script) -> Phase:
    """The phase that a script states. Raises: MigrationError if it states none."""
    phase: Any = getattr(script.module, "phase", None)
    if phase not in ("expand", "contract"):
        raise MigrationError(
            f"migration {script.revision} does not say whether its phase is expand or contract"
        )
    stated: Phase = phase
    return stated


def _migration(script: Script, *, applied: bool) -> Migration:
    title = script.doc.partition("\n")[0].rstrip(".")
    return Migration(script.revision, _phase_of(script), title, applied)


def migrate_up(
    settings: Settings,
    url: str,
    *,
    expand_only: bool = False,
    limits: MigrationLimits = DEFAULT_LIMITS,
) -> tuple[Migration, ...]:
    """Apply the revisions that are not applied yet, oldest first.

    Args:
        url: of the database itself, not of a pooler in transaction mode.
        expand_only: whether to stop before the first revision that contracts.
    Returns: what this call applied; nothing if another command was faster.
    Raises: MigrationError; what was applied before it stays applied. SettingsError if the settings
        of TLS are wrong.
    """
    command = _Command(settings, url, limits)
    # before anything runs, since it raises for a script without a phase
    phases = [_phase_of(script) for script in command.order]

    def choose_next(number_applied: int) -> Script | None:
        if number_applied == len(phases):
            return None
        if expand_only and phases[number_applied] == "contract":
            return None
        return command.order[number_applied]

    return command.run(choose_next, upgrading=True)


def migrate_down(
    settings: Settings, url: str, revision: str = "-1", *, limits: MigrationLimits = DEFAULT_LIMITS
) -> tuple[Migration, ...]:
    """Undo revisions, newest first.

    Args:
        revision: `-2` undoes the last two, `0004` those after 0004, `base` all.
    Returns: what this call undid.
    Raises: MigrationError, also if fewer are applied, or if the revision is not; SettingsError.
    """
    command = _Command(settings, url, limits)
    number_kept: int | None = None

    def choose_last(number_applied: int) -> Script | None:
        nonlocal number_kept
        if number_kept is None:
            # only now, when the lock is held, no other command changes what is applied
            applied = [script.revision for script in command.order[:number_applied]]
            number_kept = _number_kept(applied, revision)
        if number_applied <= number_kept:
            return None
        return command.order[number_applied - 1]

    return command.run(choose_last, upgrading=False)


def _number_kept(applied: list[str], revision: str) -> int:
    """How many revisions stay applied. Raises: MigrationError."""
    if revision == "base":
        return 0
    if revision in applied:
        return applied.index(revision) + 1
    if _STEPS_DOWN.fullmatch(revision):
        number_kept = len(applied) + int(revision)
        if number_kept >= 0:
            return number_kept
    raise MigrationError(
        f"cannot go down to {revision[:40]!r}: {len(applied)} migrations are applied"
    )


def migration_status(settings: Settings, url: str) -> tuple[Migration, ...]:
    """Return all revisions, oldest first. Changes nothing, and works before the first `up`.

    Raises: MigrationError, SettingsError.
    """
    command = _Command(settings, url, DEFAULT_LIMITS)
    number_applied = command.number_applied()
    migrations = []
    for at, script in enumerate(command.order):
        migrations.append(_migration(script, applied=at < number_applied))
    return tuple(migrations)


def new_migration(name: str) -> Path:
    """Write the script of a new revision into the checkout.

    Args:
        name: what the revision does, such as `add-change-log`.
    Raises: MigrationError.
    """
    scripts = _open_scripts()
    is_installed = Path(scripts.dir).parent == _PACKAGE
    if is_installed or not _NAME.fullmatch(name):
        raise MigrationError(
            "this needs a checkout, and a name of letters, digits and hyphens: NAME=add-change-log"
        )
    revision = f"{len(_in_order(scripts)) + 1:04}"
    title = name.replace("-", " ").strip().capitalize()
    script = scripts.generate_revision(revision, title)
    if script is None:
        return Path()
    return Path(script.path)
