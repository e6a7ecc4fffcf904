"""A real hot standby beside its primary, both private."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from geosvc.devdb.binaries import find_binaries
from geosvc.devdb.cluster import SUPERUSER, Cluster
from geosvc.devdb.server_user import server_user
from geosvc.errors import ClusterError
from tests.conftest import FAST


@dataclass(frozen=True)
class Pair:
    """A primary and its standby, on which nobody waits for the other."""

    primary: Cluster
    standby: Cluster

    def url(self, database: str = "postgres") -> str:
        """The DSN of a database on the primary, for a superuser."""
        return self.primary.url(database, SUPERUSER)

    def standby_url(self, database: str = "postgres") -> str:
        """The DSN of the same on the standby."""
        return self.standby.url(database, SUPERUSER)

    def promote(self) -> None:
        """Makes a primary of the standby."""
        assert self.standby.query("postgres", "SELECT pg_promote()") == "t"


@contextmanager
def making_pair(folder: Path, **settings: str) -> Iterator[Pair]:
    """Skips the test where the server is not ours to copy, or PostgreSQL is not installed here.

    Args:
        settings: of the standby.
    """
    if "GEOSVC_TEST_DATABASE_URL" in os.environ:
        pytest.skip("a standby needs a private cluster")
    try:
        binaries = find_binaries()
    except ClusterError as error:
        pytest.skip(str(error))
    folder.mkdir()
    folder.chmod(0o755)
    pair = Pair(
        Cluster(folder / "primary", settings=FAST),
        Cluster(folder / "standby", settings={**FAST, **settings}),
    )
    pair.primary.start()
    try:
        _copy(pair, binaries)
        pair.standby.start()
        yield pair
    finally:
        pair.standby.stop()
        pair.primary.stop()


def _copy(pair: Pair, binaries: Path) -> None:
    user = server_user()
    pair.standby.folder.mkdir()
    if user is not None:
        os.chown(pair.standby.folder, user.pw_uid, user.pw_gid)
    source = ("-h", str(pair.primary.socket_folder), "-p", str(pair.primary.port), "-U", SUPERUSER)
    subprocess.run(
        [
            binaries / "pg_basebackup",
            *source,
            "-D",
            str(pair.standby.data),
            "-R",
            "-X",
            "stream",
            "-c",
            "fast",
        ],
        user=user.pw_uid if user else None,
        group=user.pw_gid if user else None,
        cwd=pair.standby.folder,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        check=True,
        capture_output=True,
    )
