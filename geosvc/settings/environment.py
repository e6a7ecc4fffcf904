"""Reads settings from options, the environment and a TOML file; the only reader of the
environment.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError as SourceError

from geosvc.errors import SettingsError
from geosvc.settings.publication import CollectionSettings
from geosvc.settings.service import PREFIX, Settings

OUTSIDE_SETTINGS = frozenset(
    {
        "GEOSVC_CONFIG",
        "GEOSVC_TEST_DATABASE_URL",
        "GEOSVC_BENCH_DATABASE_URL",
        "GEOSVC_NO_POSTGRESQL",
        "GEOSVC_SHARED_DATA",
    }
)
_SOURCE_FIELD = re.compile(r'field "(\w+)"')


def _mistakes(error: ValidationError) -> Iterator[str]:
    for each in error.errors(include_input=False, include_url=False):
        path = [str(part) for part in each["loc"]]
        reason = each["msg"].removeprefix("Value error, ")
        if each["type"] == "extra_forbidden":
            reason = _unknown_setting(path)
        yield f"{_setting_name(path)}: {reason}"


def _setting_name(path: Sequence[str]) -> str:
    """How users write the setting at a path of pydantic's."""
    if not path:
        return "settings"
    inner = [part for part in path[1:] if not part.startswith("function-")]
    return ".".join([f"{PREFIX}{path[0].upper()}", *inner])


def _unknown_setting(path: Sequence[str]) -> str:
    """Says that there is no such setting, and which one is near."""
    known = Settings.model_fields
    if len(path) > 1:
        known = CollectionSettings.model_fields
    close = difflib.get_close_matches(path[-1].lower(), known, n=1)
    if close:
        return f"is not a setting; did you mean {close[0].upper()}?"
    return "is not a setting"


def load_settings(config: Path | None = None, **options: Any) -> Settings:
    """Reads options, environment and file, in this order of precedence.

    An option that is None was not given.

    Raises: SettingsError with one line for each mistake, without the wrong values, which may be
        secrets.
    """
    path = config or (
        Path(os.environ[f"{PREFIX}CONFIG"]) if os.environ.get(f"{PREFIX}CONFIG") else None
    )
    file_values: dict[str, Any] = {}
    if path is not None:
        try:
            file_values = {
                key.lower(): value for key, value in tomllib.loads(path.read_text("utf-8")).items()
            }
        except OSError as error:
            raise SettingsError([f"{path}: cannot be read: {error.strerror}"]) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError([f"{path}: is no TOML: {error}"]) from None
    given = {key: value for key, value in options.items() if value is not None}
    beaten = {
        key for key in file_values if key in given or os.environ.get(f"{PREFIX}{key.upper()}")
    }
    try:
        return Settings(
            **{key: value for key, value in file_values.items() if key not in beaten}, **given
        )
    except ValidationError as error:
        raise SettingsError(list(_mistakes(error))) from None
    except SourceError as error:  # of those that are read as JSON from the environment
        found = _SOURCE_FIELD.search(str(error))
        raise SettingsError(
            [f"{PREFIX}{found[1].upper() if found else 'settings'}: is no JSON object"]
        ) from None


def environment_default(name: str) -> str | None:
    """What asyncpg, like libpq, takes when a DSN does not say it: of PGHOST, PGPORT, PGDATABASE or
    PGUSER.
    """
    return os.environ.get(name)


def foreign_variables() -> dict[str, str]:
    """The environment without what is the service's own, or its database's, for programs that need
    neither.
    """
    return {
        name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "PG"))
    }


def unknown_variables() -> list[tuple[str, str | None]]:
    """The GEOSVC_ variables of the environment that are no settings, each with the setting that was
    likely meant.

    They do not stop the start: Kubernetes sets GEOSVC_SERVICE_HOST and the like when a service is
    called geosvc.
    """
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | OUTSIDE_SETTINGS
    found = []
    for variable in sorted(
        name for name in os.environ if name.startswith(PREFIX) and name not in known
    ):
        close = difflib.get_close_matches(variable, known, n=1, cutoff=0.8)
        found.append((variable, close[0] if close else None))
    return found
