"""`Settings`: everything that can be configured, and the only reader of the environment.

Each setting is an environment variable `GEOSVC_<NAME>`, a key of a TOML file and, where
`geosvc serve --help` lists it, an option. An option beats the environment, the environment beats
the file.
"""

from geosvc.settings.database import SSL_MODES
from geosvc.settings.environment import (
    OUTSIDE_SETTINGS,
    environment_default,
    foreign_variables,
    load_settings,
    unknown_variables,
)
from geosvc.settings.publication import CollectionSettings
from geosvc.settings.service import PREFIX, Settings
from geosvc.settings.types import SslMode

__all__ = [
    "OUTSIDE_SETTINGS",
    "PREFIX",
    "SSL_MODES",
    "CollectionSettings",
    "Settings",
    "SslMode",
    "environment_default",
    "foreign_variables",
    "load_settings",
    "unknown_variables",
]
