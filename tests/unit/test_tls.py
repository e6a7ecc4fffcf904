"""TLS to the database: which mode, and what its context demands."""

import ssl
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from geosvc.database.tls import is_local, ssl_mode, tls_to_database
from geosvc.errors import SettingsError
from geosvc.settings import SSL_MODES, Settings, load_settings

REMOTE = "postgresql://u:p@db.example/gis"
LOCAL = "postgresql:///gis?host=/var/run/postgresql"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "GEOSVC_DB_SSL_MODE",
        "GEOSVC_DB_DIRECT_TLS",
        "GEOSVC_DB_SSL_ROOT_CERT",
        "GEOSVC_CONFIG",
        "PGHOST",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    """A private CA's certificate."""
    path = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(path))
    return path


def settings(**options: object) -> Settings:
    return load_settings(None, **options)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        (LOCAL, True),
        ("postgresql://localhost/gis", True),
        ("postgresql://u:p@localhost:5432/gis", True),
        ("postgresql://127.0.0.1:5432/gis", True),
        ("postgresql://[::1]/gis", True),
        ("postgresql://[::1]:5432/gis", True),
        ("postgresql:///gis?host=localhost,127.0.0.1", True),
        ("postgresql://u:p@/gis?host=%2Fvar%2Frun%2Fpostgresql", True),
        ("postgresql://db.example/gis", False),
        ("postgresql://localhost:x@db.example/gis", False),
        ("postgresql://u:p@localhost.example/gis", False),
        ("postgresql://127.0.0.1.example/gis", False),
        ("postgresql://10.0.0.1/gis", False),
        ("postgresql://0.0.0.0/gis", False),
        ("postgresql://[2001:db8::1]/gis", False),
        ("postgresql://[2001:db8::1]:5432/gis", False),
        ("postgresql://localhost,db.example/gis", False),
        ("postgresql:///gis?host=/var/run/postgresql,db.example", False),
        ("postgresql://localhost/gis?host=db.example", False),
        ("postgresql:///gis?host=db.example", False),
        ("postgresql:///gis?host=/var/run/postgresql&host=db.example", False),
    ],
)
def test_only_this_machine_is_local(url: str, local: bool) -> None:
    assert is_local(url) is local
    assert ssl_mode(settings(), url) == ("disable" if local else "verify-full")


def test_a_socket_folder_in_the_place_of_the_host_is_local() -> None:
    # asyncpg, like libpq, decodes it
    assert is_local("postgresql://%2Fvar%2Frun%2Fpostgresql/gis")


def test_a_host_that_the_environment_gives_is_not_taken_for_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # asyncpg falls back to PGHOST when the DSN names no host: that would be plain text to a remote
    # host
    monkeypatch.setenv("PGHOST", "db.example")
    assert ssl_mode(settings(), "postgresql:///gis") == "verify-full"


def test_a_host_that_a_service_file_gives_is_not_taken_for_this_machine() -> None:
    # asyncpg, like libpq, looks for the service in ~/.pg_service.conf when the DSN names no host
    try:
        mode = ssl_mode(
            settings(database_url="postgresql:///gis?service=remote"),
            "postgresql:///gis?service=remote",
        )
    except SettingsError:
        return  # refusing it is as good
    assert mode == "verify-full"


@pytest.mark.parametrize("mode", SSL_MODES)
@pytest.mark.parametrize("url", [REMOTE, LOCAL])
def test_the_setting_beats_the_dsn_which_beats_the_default(mode: str, url: str) -> None:
    other = "require" if mode == "disable" else "disable"
    named = url + ("&" if "?" in url else "?") + f"sslmode={other}"
    assert ssl_mode(settings(), named) == other
    assert ssl_mode(settings(db_ssl_mode=mode), named) == mode
    assert ssl_mode(settings(db_ssl_mode=mode), url) == mode


@given(
    st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z0-9]{1,8}){0,3}", fullmatch=True),
    st.sampled_from(["", ":5432"]),
    st.sampled_from(["", "u@", "u:p@", "localhost:5432@", "u:p%40localhost@"]),
)
def test_there_is_never_plain_text_to_a_remote_host_unless_told(
    host: str, port: str, login: str
) -> None:
    if host in ("localhost", "127.0.0.1"):
        return
    plain = Settings()
    for url in (f"postgresql://{login}{host}{port}/gis", f"postgresql://{login}/gis?host={host}"):
        assert ssl_mode(plain, url) == "verify-full"
        told = url + ("&" if "?" in url else "?") + "sslmode=disable"
        assert ssl_mode(plain, told) == "disable"


def test_direct_tls_is_tls_even_on_this_machine() -> None:
    tls = tls_to_database(settings(db_direct_tls=True), LOCAL)
    assert tls.direct
    assert tls.context is not None
    assert tls.context.check_hostname


@pytest.mark.parametrize(
    ("mode", "with_ca", "verifies", "checks_name"),
    [
        ("require", False, False, False),
        ("require", True, True, False),
        ("verify-ca", False, True, False),
        ("verify-ca", True, True, False),
        ("verify-full", False, True, True),
        ("verify-full", True, True, True),
    ],
)
def test_a_mode_demands_what_libpq_means_by_it(
    mode: str, with_ca: bool, verifies: bool, checks_name: bool, ca: Path
) -> None:
    tls = tls_to_database(
        settings(db_ssl_mode=mode, db_ssl_root_cert=ca if with_ca else None), REMOTE
    )
    assert tls.context is not None
    assert not tls.direct
    assert tls.context.verify_mode is (ssl.CERT_REQUIRED if verifies else ssl.CERT_NONE)
    assert tls.context.check_hostname is checks_name
    assert tls.context.minimum_version >= ssl.TLSVersion.TLSv1_2
    if with_ca:
        assert len(tls.context.get_ca_certs()) == 1


def test_disable_is_plain_text() -> None:
    assert tls_to_database(settings(db_ssl_mode="disable"), REMOTE).context is None
    assert tls_to_database(settings(), LOCAL).context is None


def test_a_clients_certificate_is_sent(tmp_path: Path, ca: Path) -> None:
    issued = trustme.CA().issue_cert("client.example")
    cert, key = tmp_path / "client.pem", tmp_path / "client.key"
    issued.cert_chain_pems[0].write_to_path(str(cert))
    issued.private_key_pem.write_to_path(str(key))
    assert (
        tls_to_database(
            settings(db_ssl_cert=cert, db_ssl_key=key, db_ssl_root_cert=ca), REMOTE
        ).context
        is not None
    )


@pytest.mark.parametrize("name", ["db_ssl_root_cert", "db_ssl_cert"])
def test_a_certificate_that_is_none_is_a_mistake_without_its_contents(
    name: str, tmp_path: Path
) -> None:
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("s3cr3t")
    with pytest.raises(SettingsError, match="GEOSVC_DB_SSL_") as caught:
        tls_to_database(
            settings(db_ssl_root_cert=rubbish)
            if name == "db_ssl_root_cert"
            else settings(db_ssl_cert=rubbish, db_ssl_key=rubbish),
            REMOTE,
        )
    assert len(caught.value.mistakes) == 1
    assert "s3cr3t" not in str(caught.value)
