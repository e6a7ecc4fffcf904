"""geosvc as part of another aiohttp application (docs/embedding.md)."""

from geosvc.app import build_admin_app, build_app
from geosvc.routes import Route
from geosvc.server.serve import runner_arguments
from geosvc.settings import Settings, load_settings

__all__ = [
    "Route",
    "Settings",
    "build_admin_app",
    "build_app",
    "load_settings",
    "runner_arguments",
]
