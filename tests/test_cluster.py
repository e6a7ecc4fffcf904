"""The private PostgreSQL: made whole or not at all, whenever its maker is killed, and stopped by
the last who uses it.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from geosvc.devdb.binaries import find_binaries
from geosvc.devdb.cluster import SUPERUSER, Cluster
from geosvc.devdb.server_user import server_user
from geosvc.errors import ClusterError
from tests.conftest import FAST
from tests.processes import serving

SECONDS = 60
ENTRIES = {"data", "geosvc-cluster", "kept", "lock", "log", "run", "users"}


@pytest.fixture
def cluster(cluster_folder: Path, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A folder for a cluster that is not there yet."""
    made = Cluster(cluster_folder / f"c{abs(hash(request.node.name)) % 10**6}", settings=FAST)
    yield made
    (made.folder / "geosvc-cluster").parent.mkdir(exist_ok=True)
    (made.folder / "geosvc-cluster").touch()
    made.remove()


def start_by_command(cluster: Cluster) -> "subprocess.Popen[str]":
    """`geosvc dev-db start` in a process of its own."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("GEOSVC_")
    }
    environment["GEOSVC_DATA_DIR"] = str(cluster.folder)
    command = [sys.executable, "-m", "geosvc", "dev-db", "start"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )


def wait_until(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    """Looks as often as it can, for a moment that passes."""
    until = time.monotonic() + SECONDS
    while not condition():
        assert process.poll() is None, f"it ended before: {process.communicate()[0]}"
        assert time.monotonic() < until, "the moment never came"
        time.sleep(0.001)


MOMENTS = (
    "making",
    "making/PG_VERSION",
    "making/base/1",
    "making/global/pg_control",
    "making/base/5",
    "data",
)


KILLS = [
    *((moment, signal.SIGKILL) for moment in MOMENTS),
    ("making/base/1", signal.SIGINT),
    ("making/PG_VERSION", signal.SIGTERM),
    ("making/base/5", signal.SIGHUP),
]


@pytest.mark.parametrize(("moment", "number"), KILLS, ids=lambda each: getattr(each, "name", each))
def test_one_that_is_killed_while_it_is_made_is_made_by_the_next_start(
    cluster: Cluster, moment: str, number: signal.Signals
) -> None:
    process = start_by_command(cluster)
    wait_until((cluster.folder / moment).exists, process)
    process.send_signal(number)
    said = process.communicate(timeout=SECONDS)[0]
    assert "Traceback" not in said
    assert len(said.splitlines()) <= 1, said
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    again = start_by_command(cluster)
    told = again.communicate(timeout=SECONDS)[0]
    assert again.returncode == 0, told
    assert cluster.query("geosvc", "SELECT count(*) FROM spatial_ref_sys WHERE srid = 4326") == "1"
    assert {each.name for each in cluster.folder.iterdir()} <= ENTRIES


def test_initdb_keeps_the_lock_when_its_maker_is_killed(cluster: Cluster) -> None:
    process = start_by_command(cluster)
    wait_until((cluster.folder / "making/PG_VERSION").exists, process)
    (made_by,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(made_by), signal.SIGSTOP)
    process.kill()
    process.communicate(timeout=SECONDS)
    with (cluster.folder / "lock").open() as lock:
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.kill(int(made_by), signal.SIGCONT)
    again = start_by_command(cluster)
    told = again.communicate(timeout=SECONDS)[0]
    assert again.returncode == 0, told


def initdb(cluster: Cluster) -> "subprocess.Popen[str]":
    """What made the data folder in place, before it was made beside."""
    user = server_user()
    cluster.folder.mkdir(parents=True)
    cluster.data.mkdir(mode=0o700)
    if user is not None:
        for folder in (cluster.folder, cluster.data):
            os.chown(folder, user.pw_uid, user.pw_gid)
    (cluster.folder / "geosvc-cluster").touch()
    command = [
        str(find_binaries() / "initdb"),
        "-D",
        str(cluster.data),
        "-U",
        SUPERUSER,
        "--encoding=UTF8",
        "-N",
    ]
    return subprocess.Popen(
        [*command, "--locale=C.UTF-8", "--auth=trust"],
        cwd=cluster.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        user=user.pw_uid if user else None,
        group=user.pw_gid if user else None,
    )


@pytest.mark.parametrize(
    ("moment", "then_tried"),
    [
        ("base/1", False),
        ("PG_VERSION", False),
        ("global/pg_control", True),
        ("base/5", False),
        ("base/5", True),
        (None, True),
    ],
)
def test_one_that_was_left_half_made_in_its_place_is_made_anew(
    cluster: Cluster, moment: str | None, then_tried: bool
) -> None:
    process = initdb(cluster)
    if moment is not None:
        wait_until((cluster.data / moment).exists, process)
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=SECONDS)
    if then_tried:  # the server may have started, and looked as if it were whole
        cluster._run(
            "pg_ctl",
            "start",
            "-w",
            "-D",
            str(cluster.data),
            "-o",
            f"-k {cluster.folder} -h ''",
            check=False,
        )
        cluster._run("pg_ctl", "stop", "-w", "-D", str(cluster.data), check=False)
    assert cluster.start()
    cluster.ensure_database()
    assert cluster.query("geosvc", "SHOW unix_socket_directories") == str(cluster.socket_folder)


@pytest.mark.parametrize("name", ["PG_VERSION", "treasure.txt", "base/x"])
def test_what_initdb_did_not_make_is_left_alone(cluster: Cluster, name: str) -> None:
    if name == "PG_VERSION":  # a cluster that has databases of somebody's
        cluster.start()
        cluster.ensure_database()
        cluster.stop()
        conf = cluster.data / "postgresql.conf"
        conf.write_text(conf.read_text().replace("include 'geosvc.conf'\n", ""))
    else:
        (cluster.data / name).parent.mkdir(parents=True)
        (cluster.data / name).write_text("gold")
    with pytest.raises(ClusterError, match="is left alone"):
        cluster.start()
    assert (cluster.data / name).exists()


@pytest.fixture(scope="module")
def whole(cluster_folder: Path) -> Iterator[Cluster]:
    """One that works, with a database."""
    made = Cluster(cluster_folder / "whole", settings=FAST)
    with made.used():
        made.ensure_database()
    yield made
    made.remove()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"max_connections": "many"}, "configuration file .* contains errors"),
        (
            {"shared_preload_libraries": "no_such_library"},
            'could not access file "no_such_library"',
        ),
        ({"unix_socket_directories": "/nowhere/at/all"}, "could not create"),
        (
            {"data_directory": "/nowhere"},
            'data directory "/nowhere" does not exist|could not .*"/nowhere',
        ),
        ({"wal_level": "minimal"}, "WAL streaming"),
    ],
    ids=lambda each: next(iter(each)) if isinstance(each, dict) else "",
)
def test_a_server_that_does_not_start_tells_its_first_fatal_line(
    whole: Cluster, settings: dict[str, str], reason: str
) -> None:
    with pytest.raises(ClusterError, match=reason) as caught:
        Cluster(whole.folder, settings={**FAST, **settings}).start()
    assert "\n" not in str(caught.value)
    assert "did not start" in str(caught.value)


def test_a_folder_of_a_version_that_is_not_installed_names_the_version_and_can_be_reset(
    cluster: Cluster,
) -> None:
    cluster.start()
    cluster.stop()
    (cluster.data / "PG_VERSION").write_text("9\n")
    with pytest.raises(
        ClusterError, match=r"made by PostgreSQL 9, which is not installed.*dev-db reset"
    ):
        cluster.start()
    cluster.remove()
    assert not cluster.folder.exists()


def test_the_last_who_uses_it_stops_it_and_whoever_started_it(whole: Cluster) -> None:
    same = Cluster(whole.folder, settings=FAST)
    with whole.used():
        with same.used():
            assert whole.is_running()
        assert whole.is_running()
    assert not whole.is_running()
    first = whole.used()
    first.__enter__()
    with same.used():
        first.__exit__(None, None, None)
        assert whole.is_running()
    assert not whole.is_running()


def test_one_that_was_started_for_good_stays_until_it_is_stopped(whole: Cluster) -> None:
    whole.start_for_good()
    with whole.used():
        pass
    assert whole.is_running()
    whole.stop()
    with whole.used():
        pass
    assert not whole.is_running()


@pytest.mark.parametrize(
    ("number", "workers"),
    [(signal.SIGHUP, "1"), (signal.SIGTERM, "1"), (signal.SIGINT, "1"), (signal.SIGHUP, "2")],
    ids=lambda each: getattr(each, "name", each),
)
def test_a_signal_stops_the_service_and_its_postgresql(
    whole: Cluster, number: signal.Signals, workers: str
) -> None:
    with serving(None, data_dir=str(whole.folder), workers=workers) as running:
        running.wait_for("server_started", seconds=SECONDS)
        assert whole.is_running()
        assert running.stop(number, SECONDS) == 0
        assert not whole.is_running()
        assert not [line for line in running.log if "Traceback" in line.get("text", "")]


def test_the_next_start_stops_what_a_killed_service_left_running(whole: Cluster) -> None:
    with serving(None, data_dir=str(whole.folder)) as running:
        assert running.url
        running.stop(signal.SIGKILL)
    assert whole.is_running()
    with serving(None, data_dir=str(whole.folder)) as running:
        assert running.url
        running.stop()
    assert not whole.is_running()


def test_nohup_keeps_the_service_when_the_terminal_is_closed(whole: Cluster) -> None:
    shutil.which("nohup") or pytest.skip("no nohup")
    previous = signal.signal(
        signal.SIGHUP, signal.SIG_IGN
    )  # what is started inherits it, as from nohup
    try:
        with serving(None, data_dir=str(whole.folder)) as running:
            assert running.url
            running.process.send_signal(signal.SIGHUP)
            with pytest.raises(subprocess.TimeoutExpired):
                running.process.wait(1)
            assert running.stop() == 0
    finally:
        signal.signal(signal.SIGHUP, previous)
